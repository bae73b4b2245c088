"""Configurations flattened to keys and values, and the keys in which several of them differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# These do not affect the numbers, or, as seeds, are averaged over
IGNORED_GROUPS = ("report", "tracking", "tags", "note", "seed")
IGNORED_KEYS = ("trainer.threads", "trainer.kernels", "trainer.checkpoint_every")

# Keys that the first release did not have, with their defaults: runs without them are the same experiments
LATER: dict[str, Any] = {"trainer.ema": 0.0, "trainer.swa": None}


def flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of a nested mapping with its dotted key; a list is one value."""
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def deciding_settings(content: Mapping[str, Any], choices: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run that affect its numbers, except its seed: options by group, then values by key."""
    groups = {
        key: choice for key, choice in choices.items() if not key.startswith("hydra/") and key not in IGNORED_GROUPS
    }
    values = {key: value for key, value in flat(content) if key.partition(".")[0] not in IGNORED_GROUPS}
    values = {key: value for key, value in values.items() if key not in IGNORED_KEYS}
    if "trainer.epochs" in values:
        values = {**values, **{key: values.get(key, default) for key, default in LATER.items()}}
    return {**groups, **{key: value for key, value in values.items() if key not in groups}}


def look_up(settings: Mapping[str, Any], key: str) -> Any:
    """Return the setting with this key, also inside a list (model.layers.0.conv.filters); None if there is none."""
    if key in settings:
        return settings[key]
    parts = key.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        value = settings.get(".".join(parts[:cut]))
        if isinstance(value, (list, Mapping)):
            for part in parts[cut:]:
                if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
                    value = value[int(part)]
                else:
                    value = value.get(part) if isinstance(value, Mapping) else None
            return value
    return None


def varying(settings: Sequence[Mapping[str, Any]], overridden: Sequence[str] = ()) -> list[str]:
    """Return the smallest set of keys that distinguishes the settings.

    First the keys that were overridden on the command line with different values, then the options chosen in groups,
    then single values; of the last two only those that distinguish more settings than the keys before them: with
    ``optimizer=sgd,adam``, the learning rates of the two YAML files are redundant.
    """
    keys = list(dict.fromkeys([*overridden, *(key for setting in settings for key in setting)]))
    differing = [key for key in keys if len({as_text(look_up(setting, key)) for setting in settings}) > 1]
    settings_of_keys = {
        key: {as_text(value) for setting in settings if (value := look_up(setting, key)) is not None}
        for key in overridden
    }
    kept = [key for key in differing if len(settings_of_keys.get(key, ())) > 1]
    for key in sorted((key for key in differing if key not in kept), key=lambda key: "." in key):
        values_before = [tuple(as_text(look_up(setting, other)) for other in kept) for setting in settings]
        more = [(*before, as_text(setting.get(key))) for before, setting in zip(values_before, settings, strict=True)]
        if len(set(more)) > len(set(values_before)):
            kept.append(key)
    return kept


def as_text(value: Any) -> str:
    """Return a value as one would write it in an override: 0.1, sgd, [64,32]; None is null."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{as_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(as_text, value)) + "]"
    return str(value)
