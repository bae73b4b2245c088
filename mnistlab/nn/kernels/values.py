"""Where the values between two groups of layers are, and their gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistlab.nn.kernels.dense import PANEL
from mnistlab.nn.kernels.memory import Memory, address, padded
from mnistlab.nn.kernels.vector_ir import LANES


@dataclass
class Map:
    """A map (images, height, width, wide channels) in an array whose rows and images lie ``row`` and ``image`` apart.

    ``first`` is the element at which the map begins: behind a margin of zeros where the reader wants one.
    """

    array: np.ndarray
    height: int
    width: int
    channels: int
    wide: int
    first: int
    row: int
    image: int
    gradient: Map | None = None

    @property
    def address(self) -> int:
        """The address of the first element of the map."""
        return address(self.array) + 4 * self.first

    def view(self, images: int) -> np.ndarray:
        """Return the map as (channels, height, width, images), the layout of the NumPy layers."""
        return np.lib.stride_tricks.as_strided(
            self.array[self.first :],
            (self.channels, self.height, self.width, images),
            (4, 4 * self.row, 4 * self.wide, 4 * self.image),
        )


@dataclass
class Vector:
    """Values of ``units``, as panels (panels, wide, PANEL) and as rows (images, wide); the gradient in panels only."""

    units: int
    panels: np.ndarray
    rows: np.ndarray
    gradient: np.ndarray

    @property
    def wide(self) -> int:
        """The units, padded to whole vectors."""
        return padded(self.units, LANES)

    def view(self, array: np.ndarray, images: int) -> np.ndarray:
        """Return panels as (panels, units, PANEL)."""
        count = -(-images // PANEL)
        return array[: count * self.wide * PANEL].reshape(count, self.wide, PANEL)[:, : self.units]


def vector(memory: Memory, name: str, units: int, images: int) -> Vector:
    """Allocate a vector."""
    size = padded(images, PANEL) * padded(units, LANES)
    panels, rows, gradient = (memory.array(f"{name} {kind}", size) for kind in ("panels", "rows", "gradient"))
    return Vector(units, panels, rows, gradient)


def from_columns(columns: np.ndarray, panels: np.ndarray) -> None:
    """Write columns (units, images), the layout of the NumPy layers, to a view (panels, units, PANEL); zero beyond."""
    images = columns.shape[1]
    for n in range(len(panels)):
        part = columns[:, n * PANEL : (n + 1) * PANEL]
        panels[n, :, : part.shape[1]] = part
        panels[n, :, part.shape[1] :] = 0
    assert images <= len(panels) * PANEL


def to_columns(panels: np.ndarray, images: int) -> np.ndarray:
    """Return the columns (units, images) of a view (panels, units, PANEL), as a copy."""
    return panels.transpose(1, 0, 2).reshape(panels.shape[1], -1)[:, :images].copy()
