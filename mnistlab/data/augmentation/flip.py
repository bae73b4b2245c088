"""Mirrored images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistlab.data.augmentation.base import Augment, chosen, needed
from mnistlab.system.errors import between


@dataclass
class Flip(Augment):
    """Mirror each image, left to right, with ``probability``. For clothes; mirrored digits are not digits."""

    probability: float = 0.5

    def __post_init__(self) -> None:
        between("probability", self.probability, 0, 1, "the probability of a flip")

    def start_epoch(self, images: np.ndarray, rng: np.random.Generator | None) -> None:
        self._flipped = needed(rng).random(len(images)) < self.probability

    def change(self, images: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        flipped = chosen(self._flipped, rows)
        images[flipped] = images[flipped, :, ::-1]
        return images
