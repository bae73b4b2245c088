"""What an experiment sets for an option that the command line replaces by another one.

`experiment=fast_99` chooses optimizer=adam and sets its beta1. With ``optimizer=sgd`` there is no such key; with
``model=lenet5`` the experiment's model.layers would replace those of LeNet-5. Such keys are left out, and a warning
names them. Keys that both options inherit from one class keep the experiment's values: optimizer.lr, data.validation.
Keys that only have the same name do not: the alpha of elastic distortion is in pixels, that of mixup shapes a
distribution.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from omegaconf import DictConfig, open_dict

from mnistlab.config.schema import GROUPS, schema_of

log = logging.getLogger("mnistlab.config")
FOLDER = "experiment/"
CONTENTS = {"model": "layers"}  # what the options of a group consist of
OPTION = re.compile(r"\+*(\w+)=([\w/.-]+)")  # one option: neither a sweep nor a list

_chosen: dict[str, str] = {}
_said: set[str] = set()


def choose(overrides: Sequence[str]) -> None:
    """Remember the options that the overrides of the next composition choose."""
    words = (match.groups() for match in map(OPTION.fullmatch, overrides) if match)
    _chosen.clear()
    _chosen.update((group, option) for group, option in words if group in GROUPS)


def leave_out(path: str, config: Any, defaults: Sequence[Any]) -> None:
    """Remove from an experiment's ``config`` what does not belong to the chosen options.

    ``path`` is its place in conf/, and ``defaults`` its defaults list.
    """
    if not path.startswith(FOLDER) or not isinstance(config, DictConfig):
        return
    own = {group: option for default in defaults for group, option in _choice(default)}
    for group, option in _chosen.items():
        settings = config.get(group)
        if option == own.get(group) or not isinstance(settings, DictConfig):
            continue
        names = list(settings)
        absent = _not_of(group, option, names)
        namesakes = _namesakes(group, option, own.get(group), names)
        with open_dict(settings):
            for name in (*absent, *namesakes):
                del settings[name]
        experiment = path.removeprefix(FOLDER)
        _warn(experiment, group, absent, f"not of {group}={option}")
        _warn(experiment, group, namesakes, f"{group}={option} has its own")


def _choice(default: Any) -> list[tuple[str, str]]:
    group, option = getattr(default, "group", None), getattr(default, "value", None)
    return [(group.lstrip("/"), option)] if isinstance(group, str) and isinstance(option, str) else []


def _not_of(group: str, option: str, names: Sequence[Any]) -> list[str]:
    """Return the keys that the option does not have and another one has: a mistyped key stays, and is refused."""
    schema = schema_of(group, option)
    if schema is None:  # no such option: also refused later
        return []
    known = _names(schema) - {CONTENTS.get(group)}
    elsewhere = {name for other in GROUPS[group].values() for name in _names(other)}
    return [name for name in names if name not in known and name in elsewhere]


def _namesakes(group: str, option: str, own: str | None, names: Sequence[Any]) -> list[str]:
    """Return the keys that mean one thing in the experiment's own option and another in the chosen one."""
    first, second = (_origins(schema_of(group, name)) for name in (own or "", option))
    return [name for name in names if name in first and name in second and first[name] is not second[name]]


def _origins(schema: type[Any] | None) -> dict[str, type[Any]]:
    """Return the class from which a schema has each of its keys."""
    bases = schema.__mro__ if schema else ()
    return {name: base for base in bases for name in inspect.get_annotations(base)}  # the most general one last


def _names(schema: type[Any]) -> set[str | None]:
    return {field.name for field in fields(schema)}


def _warn(experiment: str, group: str, names: Sequence[str], reason: str) -> None:
    if not names:
        return
    keys = " and ".join(f"{group}.{name}" for name in names)
    verb = "is" if len(names) == 1 else "are"
    message = f"{keys} of experiment={experiment} {verb} left out: {reason}"
    if message not in _said:  # once per process: a sweep composes every point
        _said.add(message)
        log.warning(message)
