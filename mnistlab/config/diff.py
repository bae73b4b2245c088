"""How a run differs from the defaults: the options it chose, and the values that are not those of its options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mnistlab.config import safe_yaml
from mnistlab.config.options import folder
from mnistlab.config.schema import GROUPS, schema_of
from mnistlab.system.flatten import as_text

SHARED = ("regularization", "trainer")  # groups with a single schema, whose options only set values


class Change(NamedTuple):
    """One setting that differs from the default; ``default`` is None if there is no such setting by default."""

    key: str
    value: str
    default: str | None


def changes(settings: Mapping[str, Any], seed: int | None) -> list[Change]:
    """Return the differences from ``conf/config.yaml``; ``settings`` are those of a `Record`.

    A value is compared with the default of the chosen option: ``model=lenet5`` is one difference, not one per layer.
    An unknown option, for example from --config-dir, has no defaults.
    """
    options = {key: as_text(value) for key, value in settings.items() if "." not in key and isinstance(value, str)}
    usual = choices()
    changed = [
        Change(key, option, usual.get(key) or "none")
        for key, option in options.items()
        if key in (*GROUPS, *SHARED, "experiment") and option != (usual.get(key) or "null")
    ]
    for key, value in settings.items():
        group, dot, inner = key.partition(".")
        if not dot:
            continue
        defaults = _values(group, options.get(group, usual.get(group) or ""))
        changed += _differing(key, value, defaults[inner]) if inner in defaults else [Change(key, as_text(value), None)]
    return changed if seed in (0, None) else [*changed, Change("seed", str(seed), "0")]


def _differing(key: str, value: Any, default: Any) -> Iterator[Change]:
    """Yield the differences; for two lists with the same number of layers, only the settings that differ."""
    if value == default:
        return
    if isinstance(value, list) and isinstance(default, list) and len(value) == len(default):
        for i, (item, other) in enumerate(zip(value, default, strict=True)):
            yield from _differing(f"{key}.{i}", item, other)
    elif isinstance(value, Mapping) and isinstance(default, Mapping) and value.keys() == default.keys():
        for name in value:
            yield from _differing(f"{key}.{name}", value[name], default[name])
    else:
        yield Change(key, as_text(value), as_text(default))


@cache
def choices() -> dict[str, str | None]:
    """Return the default option of each group."""
    content = _yaml(folder() / "config.yaml")
    lines = [line for line in content.get("defaults", []) if isinstance(line, dict)]
    return {group: option for line in lines for group, option in line.items() if not group.startswith("override ")}


@cache
def _values(group: str, options: str) -> dict[str, Any]:
    """Return the default values of an option, or of several, ``[l2,dropout]``."""
    values: dict[str, Any] = {}
    for option in options.strip("[]").split(","):
        schema = schema_of(group, option.strip())
        for field in fields(schema) if schema else ():
            default = field.default if field.default_factory is MISSING else field.default_factory()
            default = default.name if isinstance(default, Enum) else default
            values.setdefault(field.name, None if default is MISSING else default)
        path = folder() / group / f"{option.strip()}.yaml"
        if path.is_file():
            values |= {key: value for key, value in _yaml(path).items() if key != "defaults"}
    return values


def _yaml(path: Path) -> dict[str, Any]:
    content = safe_yaml.load(path)
    return content if isinstance(content, dict) else {}
