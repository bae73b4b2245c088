"""The components of a training, and its random streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mnistlab.data.augmentation import Augment, NoAugment
from mnistlab.nn.optimizers import Optimizer
from mnistlab.nn.regularization import Regularization
from mnistlab.nn.schedules import Constant, Schedule
from mnistlab.system.random import stream
from mnistlab.training.config import TrainerConfig


@dataclass(frozen=True)
class Components:
    """The components that determine how a network is trained."""

    optimizer: Optimizer
    schedule: Schedule = field(default_factory=Constant)
    regularization: Regularization = field(default_factory=Regularization)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    augmentation: Augment = field(default_factory=NoAugment)


@dataclass(frozen=True)
class RandomStreams:
    """One stream per purpose: the ``order`` of the samples, ``dropout``, and augmentation, if any."""

    order: np.random.Generator
    dropout: np.random.Generator
    augment: np.random.Generator | None = None

    @classmethod
    def from_seed(cls, seed: int) -> RandomStreams:
        """Return the streams of a seed in their initial states."""
        return cls(*(stream(seed, name) for name in cls.__dataclass_fields__))

    def state(self) -> dict[str, Any]:
        """Return the state of each existing stream by name."""
        return {name: rng.bit_generator.state for name, rng in vars(self).items() if rng is not None}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state` returned."""
        for name, position in state.items():
            getattr(self, name).bit_generator.state = position
