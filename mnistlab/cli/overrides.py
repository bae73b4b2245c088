"""A click parameter type for Hydra's overrides: they pass through unchanged, and the shell can complete them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any, get_type_hints

import click
from click.shell_completion import CompletionItem

from mnistlab.config import options

LAUNCHER = "hydra/launcher"
OTHERS = ("report.", "seed=")  # the parts of a configuration that are not in a group
PLACES = (".path", ".root", ".dir")  # endings of keys that name a file or a folder


class Overrides(click.ParamType):
    """Overrides: group=option, key=value, and everything else that Hydra reads.

    Args:
        only: the groups that the command accepts, all if None.
        paths: whether the argument may also be a path.
    """

    name = "override"

    def __init__(self, only: Sequence[str] | None = None, paths: bool = False) -> None:
        self.only, self.paths = only, paths

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the groups, options, keys and values that begin with ``incomplete``."""
        typed = [word for words in ctx.params.values() if isinstance(words, tuple) for word in words]
        items = [CompletionItem(word) for word in words_for(incomplete, typed, self.only)]
        key, equals, _ = incomplete.partition("=")
        if not items and (key.endswith(PLACES) if equals else self.paths):
            return [CompletionItem(incomplete, type="file")]
        return items


def words_for(incomplete: str, typed: Sequence[str], only: Sequence[str] | None = None) -> list[str]:
    """Return the completions of ``incomplete``, given the words ``typed`` before it; nothing is composed."""
    plus = "+" * (len(incomplete) - len(incomplete.lstrip("+")))
    key, equals, value = incomplete[len(plus) :].partition("=")
    groups = list(only) if only is not None else [*options.group_names(), LAUNCHER]
    if equals:
        before = re.match(r"(?:.*[,\[])?", value)  # a list, or several values of a sweep
        start = f"{plus}{key}={before[0] if before else ''}"
        words = [f"{start}{one}" for one in values_of(key, groups, typed)]
    elif "." in key:
        group = key.partition(".")[0]
        allowed = only is None or group in only
        words = [f"{plus}{group}.{name}=" for name in hints_of(group, typed)] if allowed else []
    else:
        names = [f"{group}{end}" for group in groups for end in ("=", ".") if (group, end) != (LAUNCHER, ".")]
        words = [plus + name for name in (*names, *(() if only is not None else OTHERS))]
    return sorted(word for word in words if word.startswith(incomplete))


def values_of(key: str, groups: Sequence[str], typed: Sequence[str]) -> list[str]:
    """Return the options of a group, or the values of a key that is an enumeration or true or false."""
    if key in groups:
        return [*options.option_names(key), *(["basic"] if key == LAUNCHER else [])]  # Hydra's own launcher
    group, dot, name = key.partition(".")
    hint = hints_of(group, typed).get(name) if dot and "." not in name else None
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [str(member.value) for member in hint]
    return ["true", "false"] if hint is bool else []


def hints_of(group: str, typed: Sequence[str]) -> dict[str, Any]:
    """Return the keys of a group with their types, for the option typed on the command line or else the default."""
    from mnistlab.config.schema import schema_of  # imported here, since it imports NumPy

    chosen = {**dict(defaults()), **dict(word.lstrip("+").split("=", 1) for word in typed if "=" in word)}
    schema = schema_of(group, chosen.get(group, "").partition(",")[0])
    if schema is None:
        return {}
    hints = get_type_hints(schema)
    return {field.name: hints[field.name] for field in fields(schema)}


def defaults() -> Iterator[tuple[str, str]]:
    """Yield each group with its default option, from conf/config.yaml."""
    text = (options.folder() / "config.yaml").read_text(encoding="utf-8")
    yield from re.findall(r"^  - (\w+): (\w+)$", text, re.MULTILINE)
