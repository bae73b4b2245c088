"""A file of overrides in YAML form: ``mnistlab train anna.yaml``, without Hydra's header lines.

    data: mnist
    model: mlp_1hidden
    model.units: 64            # a key of the chosen option
    optimizer: {lr: 0.01}      # or its keys as a mapping
    trainer: {epochs: 3}
    init: [random, kaiming]    # a list of options of a group is a sweep, for -m

It becomes the words of a command line, which are then checked like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mnistlab.config import compose, safe_yaml
from mnistlab.config.diff import SHARED
from mnistlab.config.options import group_names
from mnistlab.system import files
from mnistlab.system.errors import RequestError, did_you_mean

ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class OverridesFile:
    """The overrides of a file, and the line of each."""

    path: Path
    words: tuple[str, ...]
    lines: Mapping[str, int]

    def located(self, message: str, overrides: Sequence[str]) -> str:
        """Return an error message with the file and line before it, if it is about a key that only the file sets."""
        key = message.partition(":")[0].partition("=")[0].lstrip("+")
        line = self.lines.get(key) or next((self.lines[k] for k in self.lines if k.startswith(f"{key}.")), None)
        typed = {word.partition("=")[0].lstrip("+") for word in overrides}
        return f"{files.shown(self.path)}, line {line}: {message}" if line and key not in typed else message


def split(words: Sequence[str], path: str | None = None) -> tuple[OverridesFile | None, list[str]]:
    """Return the file that ``path`` or one of the words names, if any, and the other words."""
    named = [word for word in words if "=" not in word and not word.startswith("-") and word.endswith(ENDINGS)]
    if len(named) + (path is not None) > 1:
        raise RequestError(f"{' '.join(named)}: name one file of settings")
    path = path or next(iter(named), None)
    return read(Path(path)) if path else None, [word for word in words if word not in named]


def read(path: Path) -> OverridesFile:
    """Return the overrides of a file; raises `RequestError` if it is missing, no YAML, or not keys and values."""
    place = files.shown(path)
    try:
        text = safe_yaml.read(path, mapping=True)
    except FileNotFoundError:
        near = [other.name for other in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise RequestError(f"{path}: no such file{did_you_mean(path.name, near)}") from None
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        raise RequestError(f"{place}: the file is empty; must have keys and values, for example model: lenet5")
    words, lines = [], {}
    for key, value, line in _leaves(node, ""):
        if key in ("defaults", "hydra") or key.startswith(("defaults.", "hydra.")):
            raise RequestError(
                f"{place}, line {line}: {key.partition('.')[0]}: this is a file of overrides; a file with Hydra's own "
                "keys belongs in the folder experiment of --config-dir"
            )
        words.append(f"{key}={_text(key, value)}")
        lines[key] = line
    return OverridesFile(path, tuple(words), lines)


def _leaves(node: yaml.Node, prefix: str) -> Iterator[tuple[str, Any, int]]:
    """Yield each key with its value and its line; a mapping of a group continues its key."""
    assert isinstance(node, yaml.MappingNode)
    for key_node, value_node in node.value:
        key, line = f"{prefix}{key_node.value}", key_node.start_mark.line + 1
        if isinstance(value_node, yaml.MappingNode):
            yield from _leaves(value_node, f"{key}.")
        elif isinstance(value_node, yaml.SequenceNode) and key.endswith("class_names"):
            yield key, [_Written(item) for item in safe_yaml.items_as_written(value_node)], line
        else:
            yield key, yaml.SafeLoader("").construct_object(value_node, deep=True), line


class _Written(str):
    """Text as it is written, which is quoted for Hydra: the class yes is not true."""

    __slots__ = ()


def _text(key: str, value: Any) -> str:
    """Return a value in Hydra's grammar; a list of options of a group is swept."""
    if isinstance(value, list) and key in group_names() and key not in SHARED:
        return ",".join(map(str, value))
    if isinstance(value, list):
        return f"[{','.join(_text('', item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{inner}:{_text('', item)}" for inner, item in value.items()) + "}"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, _Written):
        return compose.quoted(value)
    if isinstance(value, str) and not (value and all(c.isalnum() or c in "_-./" for c in value)):
        if key and ("," in value or "(" in value) and " " not in value:
            return value  # a sweep, as on the command line: 0.1,0.01 or range(3)
        return compose.quoted(value)
    return str(value)
