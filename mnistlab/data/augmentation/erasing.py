"""Random erasing: a rectangle of each image is lost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from mnistlab.data.augmentation.base import Augment, chosen, needed
from mnistlab.system.errors import RequestError, between, number

NOISES = 256  # different images of noise in an epoch


class Fill(Enum):
    """What an erased rectangle is filled with."""

    zeros = "zeros"  # the background
    noise = "noise"  # pixels drawn uniformly from 0 to 255


@dataclass
class Erasing(Augment):
    """Erase a rectangle of each image with ``probability``. Zhong et al. 2020, algorithm 1.

    Its area, as a fraction of the image, is drawn uniformly from ``smallest`` to ``largest``; its height divided by its
    width is drawn from ``aspect`` to 1 / ``aspect``, with a uniform logarithm; its place is drawn uniformly among those
    where it lies inside the image. ``fill`` is what replaces its pixels. A side that would be longer than the image is
    cut to it (the paper draws again). Cutout (DeVries & Taylor 2017) erases a square of one size in every image:
    ``probability=1 smallest=0.25 largest=0.25 aspect=1`` for a quarter of the image (there, the square may also lie
    partly outside).
    """

    probability: float = 0.5
    smallest: float = 0.02
    largest: float = 0.2
    aspect: float = 0.3
    fill: Fill = Fill.zeros

    def __post_init__(self) -> None:
        between("probability", self.probability, 0, 1, "the probability of an erased rectangle")
        between("smallest", self.smallest, 0, 1, "the smallest area (fraction)")
        between("largest", self.largest, 0, 1, "the largest area (fraction)")
        if self.smallest > self.largest:
            raise RequestError(f"must be at most largest={self.largest}", key="smallest", value=self.smallest)
        if not 0 < number("aspect", self.aspect) <= 1:
            raise RequestError("the least aspect ratio must be above 0 and at most 1", key="aspect", value=self.aspect)

    def start_epoch(self, images: np.ndarray, rng: np.random.Generator | None) -> None:
        """Draw whether each image is erased, and the rectangle; a rectangle that is not drawn is empty."""
        rng = needed(rng)
        n, height, width = images.shape
        area = rng.uniform(self.smallest, self.largest, n) * height * width
        ratio = np.exp(math.log(self.aspect) * rng.uniform(-1, 1, n))
        sides = [np.sqrt(area * ratio), np.sqrt(area / ratio)]
        kept = rng.random(n) >= self.probability
        self._ranges = []
        for side, most in zip(sides, (height, width), strict=True):
            length = np.clip(np.rint(side), 0, most).astype(np.int64)
            start = rng.integers(0, most - length, endpoint=True)
            self._ranges.append((start, np.where(kept, start, start + length)))
        if self.fill is Fill.noise:
            self._noise = rng.integers(0, 256, (min(n, NOISES), height, width), np.uint8)

    def change(self, images: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        """Return the images with their rectangles filled."""
        inside = []
        for (start, stop), size in zip(self._ranges, images.shape[1:], strict=True):
            pixels = np.arange(size)
            inside.append((pixels >= chosen(start, rows)[:, None]) & (pixels < chosen(stop, rows)[:, None]))
        erased = inside[0][:, :, None] & inside[1][:, None, :]
        if self.fill is Fill.noise:
            places = np.arange(len(images)) if rows is None else rows
            np.copyto(images, self._noise[places % len(self._noise)], where=erased)
        else:
            np.copyto(images, 0, where=erased)
        return images
