"""Hydra's and OmegaConf's errors in one line that names the key, the value, what was expected and the cure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from mnistlab import config
from mnistlab.errors import did_you_mean

TYPES = {"Float": "a number", "Integer": "a whole number", "Boolean": "true or false", "String": "text"}


def one_line(error: BaseException, overrides: Sequence[str]) -> str:
    """Return the message for an error of composition under these command-line overrides."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        return _parse_error(error.override, text)
    if match := re.search(
        r"Could not (?:override|append to config\. An item is already at|delete from config\.) ?'([^']+)'", text
    ):
        return _unknown_key(match[1], text, overrides)
    if match := re.search(r"In '[^']*': Could not find '([^']+)'|Could not (?:find|load) '([^']+)'", text):
        return _unknown_option(match[1] or match[2])
    if match := re.search(
        r"Primary config (?:module|directory) .*|Additional config directory '([^']+)' not found", text
    ):
        return f"--config-dir={match[1] or ''}: no such directory"
    cause = error if isinstance(error, OmegaConfBaseException) else _cause(error)
    if cause is not None:
        return _value_error(cause, text, overrides)
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _cause(error: BaseException) -> OmegaConfBaseException | None:
    while error.__cause__ is not None:
        error = error.__cause__
        if isinstance(error, OmegaConfBaseException):
            return error
    return None


def _parse_error(override: str, text: str) -> str:
    if override and "=" not in override:
        if override in ("train", "data") or not override[0].isalnum():
            return f"{override}: unknown argument; see `mnistlab train --help`"
        return f"{override}: key=value was expected, optimizer.lr=0.01 for instance"
    reason = next((line.strip() for line in text.splitlines()[1:] if line.strip()), "")
    hint = "quote the value for the shell and for Hydra, as in 'data.path=\"a b.csv\"'"
    return (
        f"{override}: not a value that Hydra can read ({reason}); {hint}"
        if reason
        else f"{override}: not a value that Hydra can read; {hint}"
    )


def _unknown_option(path: str) -> str:
    group, _, option = path.rpartition("/")
    if group not in config.group_names():
        groups = config.group_names()
        return f"{path}: there is no config group {group!r}; choose one of {', '.join(groups)}{did_you_mean(group, groups)}"
    options = config.option_names(group)
    return (
        f"{group}={option}: there is no such option; choose one of {', '.join(options)}{did_you_mean(option, options)}"
    )


def _unknown_key(key: str, text: str, overrides: Sequence[str]) -> str:
    group, _, rest = key.partition(".")
    chosen = _chosen(group, overrides)
    schema = config.schema_of(group, chosen)
    if rest and schema is not None:
        if "already at" in text or rest in {f.name for f in fields(schema)}:
            return f"+{key}: the key exists already; write {key}=... without the plus"
        known = [f.name for f in fields(schema)]
        near = did_you_mean(rest, known).replace("mean ", f"mean {group}.")
        where = f"{group}={chosen}" if group in config.GROUPS else group
        return f"{key}: unknown key; {where} has {', '.join(known)}{near}"
    if "already at" in text:
        return f"+{key}: the key exists already; write {key}=... without the plus"
    candidates = [*config.group_names(), *config.Root.__dataclass_fields__]
    for name in candidates:
        schema = config.schema_of(name, _chosen(name, overrides))
        if schema is not None and rest:
            candidates = [*candidates, *(f"{name}.{f.name}" for f in fields(schema))]
    return f"{key}: unknown key{did_you_mean(key, candidates) or '; see `mnistlab train --help`'}"


def _chosen(group: str, overrides: Sequence[str]) -> str:
    """Return the option that is chosen in a group: the last override of it, or the one of the defaults list."""
    found = re.search(rf"^  - {re.escape(group)}: (\w+)", (config.folder() / "config.yaml").read_text(), re.MULTILINE)
    option = found[1] if found else ""
    for override in overrides:
        key, _, value = override.partition("=")
        if key.lstrip("+") == group:
            option = value
    return option


def _value_error(error: OmegaConfBaseException, text: str, overrides: Sequence[str]) -> str:
    message = (getattr(error, "msg", None) or str(error)).splitlines()[0]
    override = re.search(r"Error merging override (\S+)", text)
    full_key = str(getattr(error, "full_key", "") or "")
    shown = override[1] if override else full_key
    for candidate in overrides:
        if candidate.split("=")[0].lstrip("+") == full_key or (override and candidate.startswith(override[1])):
            shown = candidate
    if match := re.search(r"could not be converted to (\w+)", message):
        return f"{shown}: {TYPES.get(match[1], match[1])} was expected"
    if match := re.search(r"Invalid value '.*?', expected one of \[(.*)\]", message):
        value = shown.partition("=")[2]
        options = match[1].split(", ")
        return f"{shown}: choose one of {match[1]}{did_you_mean(value, options)}"
    return f"{shown}: {message}" if shown else message


def is_composition_error(error: BaseException) -> bool:
    """Return whether Hydra or OmegaConf refused the request."""
    return isinstance(error, (HydraException, OmegaConfBaseException))
