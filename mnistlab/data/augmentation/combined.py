"""Several augmentations, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

import numpy as np

from mnistlab.data.augmentation.base import Augment, Mixture
from mnistlab.system.errors import RequestError, choice, did_you_mean

ALONE = ("none", "combined")  # options that are no part


@dataclass
class Combined(Augment):
    """Augmentations that follow each other, in the order of ``parts``.

    Each part is a name, such as ``affine``, or a name with settings, ``{erasing: {probability: 0.3}}``. On the command
    line, ``augment=[affine,erasing]`` is short for ``augment=combined`` with these parts. Mixup can be one of them.
    """

    parts: list[Any] = field(default_factory=lambda: ["affine", "erasing"])

    def __post_init__(self) -> None:
        if not self.parts:
            raise RequestError("must name one augmentation or more, as in [affine,erasing]", key="parts", value="[]")
        self.steps = [_step(i, part) for i, part in enumerate(self.parts)]
        mixing = [i for i, step in enumerate(self.steps) if type(step).mixture is not Augment.mixture]
        if len(mixing) > 1:
            raise RequestError("images can be mixed only once; remove one of them", key=f"parts.{mixing[1]}")

    def check(self, height: int, width: int) -> None:
        for i, step in enumerate(self.steps):
            try:
                step.check(height, width)
            except RequestError as error:
                raise error.under(_key(i, self.parts[i])) from None

    def start_epoch(self, images: np.ndarray, rng: np.random.Generator | None) -> None:
        for step in self.steps:
            step.start_epoch(images, rng)

    def batch(self, images: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return these rows of the images, changed by every part in turn."""
        first, *others = self.steps
        changed = first.batch(images, rows)
        for step in others:
            changed = step.change(changed, rows)
        return changed

    def change(self, images: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        for step in self.steps:
            images = step.change(images, rows)
        return images

    def mixture(self, labels: np.ndarray, rows: np.ndarray | None) -> Mixture | None:
        mixtures = (step.mixture(labels, rows) for step in self.steps)
        return next((mixture for mixture in mixtures if mixture is not None), None)


def _step(i: int, part: Any) -> Augment:
    """Return the augmentation that a part describes."""
    from mnistlab.data.augmentation.registry import AUGMENTS  # imported here: it imports this module

    name, settings = part, None
    if isinstance(part, Mapping) and len(part) == 1:
        ((name, settings),) = part.items()
    if not isinstance(name, str) or not (settings is None or isinstance(settings, Mapping)):
        raise RequestError(
            "must be a name, or a name with settings as in {erasing: {probability: 0.3}}", key=f"parts.{i}", value=part
        )
    choice(f"parts.{i}", name, [other for other in AUGMENTS if other not in ALONE])
    cls, settings = AUGMENTS[name], dict(settings or {})
    known = [each.name for each in fields(cls)]
    for key in settings:
        if key not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes no settings"
            raise RequestError(f"unknown setting; {takes}{did_you_mean(key, known)}", key=f"parts.{i}.{name}.{key}")
    try:
        step: Augment = cls(**_with_enums(cls, settings))
    except RequestError as error:
        raise error.under(f"parts.{i}.{name}") from None
    if i and cls.change is Augment.change:
        raise RequestError("this augmentation must be the first of the parts", key=f"parts.{i}", value=name)
    return step


def _with_enums(cls: type[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the members of Enums for their names, as OmegaConf does it for the keys of a group."""
    defaults = {each.name: each.default for each in fields(cls)}
    converted = dict(settings)
    for key, value in settings.items():
        if isinstance(default := defaults[key], Enum):
            members = type(default).__members__
            converted[key] = members[choice(key, value, members)]
    return converted


def _key(i: int, part: Any) -> str:
    return f"parts.{i}.{next(iter(part)) if isinstance(part, Mapping) else part}"
