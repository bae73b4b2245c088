"""Mixup: training on weighted means of two images, and of their targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistlab.data.augmentation.base import Augment, Mixture, chosen, needed
from mnistlab.system.errors import positive


@dataclass
class Mixup(Augment):
    """Mix each image x with another one of its batch, x': share x + (1 - share) x', and their targets alike.

    Zhang et al. 2018, with a share of its own for each image: max(l, 1 - l) with l ~ Beta(``alpha``, ``alpha``). So the
    label of an image is the one with the larger share, which counts for the training accuracy. With a small ``alpha``
    most images are hardly mixed; with 1 the share is uniform. Mixed pixels are rounded. In a shuffled epoch the other
    image is a random one; the last batch may have a single image, which stays as it is.
    """

    alpha: float = 0.2

    def __post_init__(self) -> None:
        positive("alpha", self.alpha, "alpha")

    def start_epoch(self, images: np.ndarray, rng: np.random.Generator | None) -> None:
        """Draw the share of each image, at least a half, and how far its partner in the batch is."""
        rng = needed(rng)
        first = rng.beta(self.alpha, self.alpha, len(images))
        self._share = np.maximum(first, 1 - first).astype(np.float32)
        self._turn = int(rng.integers(2**31))

    def change(self, images: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        """Return each image mixed with another one of its batch."""
        share = chosen(self._share, rows)[:, None, None]
        mixed = images.astype(np.float32)
        other = self._others(mixed)
        np.subtract(mixed, other, out=mixed)
        np.multiply(mixed, share, out=mixed)
        np.add(mixed, other, out=mixed)
        np.copyto(images, np.rint(mixed, out=mixed), casting="unsafe")
        return images

    def mixture(self, labels: np.ndarray, rows: np.ndarray | None) -> Mixture:
        return self._others(labels), chosen(self._share, rows)

    def _others(self, of_batch: np.ndarray) -> np.ndarray:
        """Return what belongs to the image with which each one is mixed."""
        n = len(of_batch)
        return np.roll(of_batch, 1 + self._turn % (n - 1) if n > 1 else 0, axis=0)
