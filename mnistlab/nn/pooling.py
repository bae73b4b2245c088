"""Pooling: the largest or the mean element of each window. An edge that no whole window covers is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mnistlab.nn.layers import Layer, Shape, as_map
from mnistlab.system.errors import RequestError, whole


@dataclass
class Pool2D(Layer):
    """Windows of ``size`` x ``size`` pixels, ``stride`` pixels apart (by default ``size``), without padding.

    (channels, height, width) becomes (channels, (height - size) // stride + 1, (width - size) // stride + 1).
    Windows of 2 x 2 that do not overlap have a faster way, on the four phases of the map (see `conv`).
    """

    name: ClassVar[str]
    can_overwrite = True  # backward writes dx over x

    size: int = 2
    stride: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("size", self.size, 1, "the size of the window (pixels)")
        if self.stride is not None:
            whole("stride", self.stride, 1, "the stride (pixels)")

    @property
    def takes_phases(self) -> bool:
        """Whether a map may come split into its phases."""
        return self.size == 2 and self.stride in (None, 2)

    def build(self, in_shape: Shape) -> Shape:
        self.in_shape = channels, height, width = as_map(self.name, in_shape)
        if min(height, width) < self.size:
            raise RequestError(
                f"{self.name}: size {self.size} does not fit a {height} x {width} map; "
                "use a smaller one, or less pooling before it"
            )
        self.step = self.stride or self.size
        self.reads_output = not self.takes_phases  # only the way by phases keeps no y
        self.out_shape = channels, (height - self.size) // self.step + 1, (width - self.size) // self.step + 1
        return self.out_shape

    def flops(self) -> int:
        return self.size**2 * int(np.prod(self.out_shape))

    def forward(self, x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        self.x = x
        y = self.array("y", (*self.out_shape, x.shape[-1]))
        if self.takes_phases:
            self.pool_phases(self._phases(x), y)
        else:
            self.pool([self._view(x, i, j) for i, j in self._places()], y)
        return y

    def backward(self, dy: np.ndarray, need_dx: bool = True) -> np.ndarray:
        x = self.x
        dx = x if self.in_place else self.array("dx", x.shape)
        if self.takes_phases:
            self.unpool_phases(dy, self._phases(dx))
            if x.ndim == 4:
                self._clear_edges(dx)
            return dx
        dx = self.array("dx", x.shape)  # windows may overlap: x is needed until the last of them
        dx.fill(0)
        places = list(self._places())
        self.unpool(dy, [self._view(x, i, j) for i, j in places], [self._view(dx, i, j) for i, j in places])
        return dx

    def pool_phases(self, x: np.ndarray, y: np.ndarray) -> None:
        """Write to y (c, h, w, n) the pooled x (c, 2, 2, h, w, n)."""
        raise NotImplementedError

    def unpool_phases(self, dy: np.ndarray, dx: np.ndarray) -> None:
        """Write to dx the gradient of the latest `pool_phases`; dx may be its x."""
        raise NotImplementedError

    def pool(self, x: list[np.ndarray], y: np.ndarray) -> None:
        """Write to y the pooled x, given as one array for each place in the window, row by row."""
        raise NotImplementedError

    def unpool(self, dy: np.ndarray, x: list[np.ndarray], dx: list[np.ndarray]) -> None:
        """Add to dx, given like x, the gradient of the latest `pool`."""
        raise NotImplementedError

    def _phases(self, x: np.ndarray) -> np.ndarray:
        if x.ndim == 6:
            return x
        channels, height, width = self.out_shape
        whole = x[:, : 2 * height, : 2 * width].reshape(channels, height, 2, width, 2, x.shape[-1])
        return whole.transpose(0, 2, 4, 1, 3, 5)

    def _clear_edges(self, dx: np.ndarray) -> None:
        _, height, width = self.out_shape
        dx[:, 2 * height :] = 0
        dx[:, :, 2 * width :] = 0

    def _places(self) -> Iterator[tuple[int, int]]:
        return ((i, j) for i in range(self.size) for j in range(self.size))

    def _view(self, x: np.ndarray, i: int, j: int) -> np.ndarray:
        """Return the pixel (i, j) of every window."""
        _, height, width = self.out_shape
        return x[:, i : i + self.step * (height - 1) + 1 : self.step, j : j + self.step * (width - 1) + 1 : self.step]


@dataclass
class MaxPool2D(Pool2D):
    """y = the largest x of the window; dy goes to it (to the first in row order if several are equal)."""

    name = "maxpool"

    def pool_phases(self, x: np.ndarray, y: np.ndarray) -> None:
        channels, _, _, *rest = x.shape
        rows = self.array("rows", (channels, 2, *rest))
        np.maximum(x[:, :, 0], x[:, :, 1], out=rows)
        np.maximum(rows[:, 0], rows[:, 1], out=y)

    def unpool_phases(self, dy: np.ndarray, dx: np.ndarray) -> None:
        x = self._phases(self.x)
        channels, _, _, *rest = x.shape
        rows, drows = self.array("rows", (channels, 2, *rest)), self.array("drows", (channels, 2, *rest))
        upper = self.array("upper", (channels, *rest), bool)
        left = self.array("left", rows.shape, bool)
        np.greater_equal(rows[:, 0], rows[:, 1], out=upper)
        np.multiply(dy, upper, out=drows[:, 0])
        np.subtract(dy, drows[:, 0], out=drows[:, 1])
        np.greater_equal(x[:, :, 0], x[:, :, 1], out=left)
        np.multiply(drows, left, out=dx[:, :, 0])
        np.subtract(drows, dx[:, :, 0], out=dx[:, :, 1])

    def pool(self, x: list[np.ndarray], y: np.ndarray) -> None:
        self.y = y
        np.copyto(y, x[0])
        for view in x[1:]:
            np.maximum(y, view, out=y)

    def unpool(self, dy: np.ndarray, x: list[np.ndarray], dx: list[np.ndarray]) -> None:
        free, hit = self.array("free", dy.shape, bool), self.array("hit", dy.shape, bool)
        part = self.array("part", dy.shape)
        free.fill(True)
        for view, gradient in zip(x, dx, strict=True):
            np.equal(view, self.y, out=hit)
            np.logical_and(hit, free, out=hit)
            np.logical_xor(free, hit, out=free)
            np.multiply(dy, hit, out=part)
            np.add(gradient, part, out=gradient)


@dataclass
class AvgPool2D(Pool2D):
    """y = the mean of the window; dy / size^2 goes to each of its elements."""

    name = "avgpool"

    def pool_phases(self, x: np.ndarray, y: np.ndarray) -> None:
        channels, _, _, *rest = x.shape
        rows = self.array("rows", (channels, 2, *rest))
        np.add(x[:, :, 0], x[:, :, 1], out=rows)
        np.add(rows[:, 0], rows[:, 1], out=y)
        np.multiply(y, 0.25, out=y)

    def unpool_phases(self, dy: np.ndarray, dx: np.ndarray) -> None:
        np.multiply(dy, 0.25, out=dy)
        for a in (0, 1):
            for b in (0, 1):
                np.copyto(dx[:, a, b], dy)

    def pool(self, x: list[np.ndarray], y: np.ndarray) -> None:
        np.copyto(y, x[0])
        for view in x[1:]:
            np.add(y, view, out=y)
        np.multiply(y, 1 / self.size**2, out=y)

    def unpool(self, dy: np.ndarray, x: list[np.ndarray], dx: list[np.ndarray]) -> None:
        np.multiply(dy, 1 / self.size**2, out=dy)
        for gradient in dx:
            np.add(gradient, dy, out=gradient)


@dataclass
class GlobalAvgPool(Layer):
    """(channels, height, width) -> (channels): the mean of each map. Lin et al. 2014."""

    name: ClassVar[str] = "globalavgpool"

    def build(self, in_shape: Shape) -> Shape:
        self.in_shape = channels, _, _ = as_map(self.name, in_shape)
        return (channels,)

    def flops(self) -> int:
        return int(np.prod(self.in_shape))

    def forward(self, x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        y = self.array("y", (x.shape[0], x.shape[-1]))
        np.add.reduce(x, axis=(1, 2), out=y)
        return np.multiply(y, 1 / (self.in_shape[1] * self.in_shape[2]), out=y)

    def backward(self, dy: np.ndarray, need_dx: bool = True) -> np.ndarray:
        dx = self.array("dx", (*self.in_shape, dy.shape[-1]))
        np.multiply(dy, 1 / (self.in_shape[1] * self.in_shape[2]), out=dy)
        np.copyto(dx, dy[:, None, None])
        return dx
