"""Composition by Hydra: from overrides to a checked configuration."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnistlab.config import hydra_guard, plugins
from mnistlab.config.errors import one_line
from mnistlab.config.options import folder, groups_in_lines
from mnistlab.config.schema import GROUPS, Root
from mnistlab.system import directories
from mnistlab.system.errors import RequestError

DATA_PATHS = ("path", "test_path", "root", "train_images", "train_labels", "test_images", "test_labels")
PATH_KEYS = (*(f"data.{key}" for key in DATA_PATHS), "tracking.file", "hydra.run.dir", "hydra.sweep.dir")
PLAIN = re.compile(r"[A-Za-z0-9_./\-+%@?*|]+")  # what Hydra's grammar takes unquoted as it is
SWEEP = re.compile(r"(choice|range|interval|glob|sort|shuffle|tag|str)\(")
WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")  # on a drive or a server


def register(claiming: bool = True) -> None:
    """Register schemas and resolvers with Hydra. With ``claiming``, composing a run directory's name creates it."""
    hydra_guard.install(folder())
    store_schemas()
    OmegaConf.register_new_resolver("groups", groups_in_lines, replace=True)
    OmegaConf.register_new_resolver("slug", slug, replace=True)
    OmegaConf.register_new_resolver("claim", directories.claim if claiming else str, use_cache=True, replace=True)


@cache  # Hydra has one store per process, and filling it takes a third of the time of a composition
def store_schemas() -> None:
    """Put the schema of every option into Hydra's store."""
    store = ConfigStore.instance()
    store.store(group="schema", name="root", node=Root)
    for group, schemas in GROUPS.items():
        for name, schema in schemas.items():
            store.store(group=f"schema/{group}", name=name, node=schema)
    plugins.load_installed()


def quoted(value: Path | str) -> str:
    """Return a value as quoted text of Hydra's override grammar, where a backslash is special only before a quote."""
    text = re.sub(r"(\\*)'", r"\1\1\\'", str(value))
    return "'" + re.sub(r"(\\+)$", r"\1\1", text) + "'"


def with_paths_quoted(overrides: Sequence[str]) -> list[str]:
    r"""Return the overrides of a command line with paths quoted for Hydra, so that they are as the shell gave them.

    Unquoted, Hydra reads the two backslashes before a server's name as one, and rejects many characters, as in
    ~/train (1).csv, größe/x.csv or lr=0.1/run. A comma still separates the values of a sweep, unless there is a file
    of that name.
    """
    return [_with_path_quoted(override) for override in overrides]


def _with_path_quoted(override: str) -> str:
    key, _, value = override.partition("=")
    if key.lstrip("+") not in PATH_KEYS or not value or value in ("null", "None") or _is_grammar(value):
        return override
    if WINDOWS_PATH.match(value):
        values = [value] if "${" in value else value.split(",")  # the commas belong to a resolver
        return f"{key}={','.join(map(quoted, values))}"
    if "\\" in value or "${" in value:  # escaped by the user, or a resolver
        return override
    values = [value] if "," in value and _exists(value) else value.split(",")
    return f"{key}={','.join(each if PLAIN.fullmatch(each) else quoted(each) for each in values)}"


def _is_grammar(value: str) -> bool:
    """Return whether a value is meant for Hydra: quoted text, or a sweep such as choice(a,b)."""
    return (len(value) > 1 and value[0] == value[-1] and value[0] in "'\"") or bool(SWEEP.match(value))


def _exists(value: str) -> bool:
    try:
        return Path(value).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def slug(text: str, most: int = 80) -> str:
    """Return ``text`` as part of a file name: no slashes, no spaces, at most ``most`` characters."""
    return re.sub(r"[^\w.,=+-]+", "-", text).strip("-_")[:most]


def compose(overrides: Sequence[str]) -> DictConfig:
    """Return the configuration for these overrides, outside a Hydra run; every error is a `RequestError`."""
    register(claiming=False)
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(folder())):
            return hydra_compose("config", overrides=with_paths_quoted(overrides))
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, RecursionError) as error:
        raise RequestError(one_line(error, overrides)) from None


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Return Hydra's flags with their values, then the overrides: argparse accepts no flags after the overrides."""
    value_counts = hydra_guard.flags()
    flags, overrides, words = list[str](), list[str](), list(arguments)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        flags.append(word)
        takes = value_counts.get(word, 0)
        if words and (takes is None or (takes == "?" and "=" not in words[0])):
            flags.append(words.pop(0))
    return flags + overrides


def parse_flags(arguments: Sequence[str]) -> argparse.Namespace:
    """Return Hydra's command-line flags and the overrides; an argparse error becomes a `RequestError`."""
    parser = hydra_guard.get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise RequestError(f"{message}; see `mnistlab train --help`")

    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_args(list(arguments))
