"""Random crops of padded images."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mnistlab.data.augmentation.base import Augment, chosen, needed
from mnistlab.system.errors import RequestError, whole


class Border(Enum):
    """What an image is padded with."""

    zeros = "zeros"  # the background
    reflect = "reflect"  # the image mirrored at its border, whose pixels are not repeated
    edge = "edge"  # the nearest pixel of the border


MODES: dict[Border, Any] = {Border.zeros: "constant", Border.reflect: "reflect", Border.edge: "edge"}


@dataclass
class Crop(Augment):
    """Pad each image by ``padding`` pixels on every side, and cut a window of its own size out of it at random.

    All windows are equally probable. ``border`` is what the image is padded with; with zeros, this is ``augment=shift``
    by so many pixels.
    """

    padding: int = 2
    border: Border = Border.reflect

    def __post_init__(self) -> None:
        whole("padding", self.padding, 0, "the padding (pixels)")

    def check(self, height: int, width: int) -> None:
        if self.padding >= min(height, width):
            raise RequestError(
                f"must be smaller than the images, which have {height} x {width} pixels; pad by less",
                key="padding",
                value=self.padding,
            )

    def start_epoch(self, images: np.ndarray, rng: np.random.Generator | None) -> None:
        """Draw the corner of every image's window in the padded image."""
        self._corners = needed(rng).integers(0, 2 * self.padding, (len(images), 2), endpoint=True)

    def change(self, images: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        """Return the windows of the padded images."""
        corners, p = chosen(self._corners, rows), self.padding
        padded = np.pad(images, ((0, 0), (p, p), (p, p)), mode=MODES[self.border])
        windows = sliding_window_view(padded, images.shape[1:], axis=(1, 2))
        images[...] = windows[np.arange(len(images)), corners[:, 0], corners[:, 1]]
        return images
