"""Strokes of another width, combined with the affine distortion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistlab.data.augmentation.base import needed
from mnistlab.data.augmentation.strokes import ONE, Strokes
from mnistlab.data.augmentation.warps import SIDE, Affine
from mnistlab.system.errors import between


@dataclass
class StrokeWidth(Affine):
    """Strokes of another width, combined with the affine distortion, for pens unlike those of the training set.

    Each image draws anew in every epoch, uniformly from -``thinner`` to ``wider``, by how many pixels its strokes
    grow on each side: by grey dilation, or where the number is negative by erosion (Serra 1982). The numbers apply to
    images whose shorter side is 28 pixels, and are scaled for other sizes.
    """

    thinner: float = 0.5
    wider: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        between("thinner", self.thinner, 0, 5, "the largest number of pixels taken away on each side")
        between("wider", self.wider, 0, 5, "the largest number of pixels added on each side")

    def start_epoch(self, images: np.ndarray, rng: np.random.Generator | None) -> None:
        """Draw the fields, and by how many pixels each image's strokes change."""
        rng = needed(rng)
        super().start_epoch(images, rng)
        n, height, width = images.shape
        drawn = rng.uniform(-self.thinner, self.wider, n) * (min(height, width) / SIDE)
        self._amounts = np.rint(ONE * drawn).astype(np.int32)
        self._strokes = Strokes(self._table.piece, height, width)

    def batch(self, images: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        return self._drawn(super().batch(images, rows), rows)

    def change(self, images: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        return self._drawn(super().change(images, rows), rows)

    def _drawn(self, warped: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        self._strokes.change(warped, self._amounts if rows is None else self._amounts[rows])
        return warped
