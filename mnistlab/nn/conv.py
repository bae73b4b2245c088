"""Convolution as matrix products over unrolled windows (im2col), with the batch as the last axis.

A map is (channels, height, width, batch). Every element of a window then stands before a contiguous row of the batch,
and unrolling is copying of long rows. Pooling 2 x 2 after it allows two savings (`prepare_for_pooling`): an odd edge is
not computed, and a map from one channel is written *split into its phases*: (channels, 2, 2, height/2, width/2, batch),
where [c, a, b, i, j] is the pixel (2i + a, 2j + b). Element-wise layers do not care, and pooling becomes an operation
on four contiguous blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from mnistlab.nn.layers import Layer, Shape, as_map
from mnistlab.system.errors import RequestError, whole


@dataclass
class Conv2D(Layer):
    """y[f, p, q] = b[f] + sum over i, j, c of W[f, i, j, c] x[c, stride p + i, stride q + j] (cross-correlation).

    W has the shape (filters, kernel, kernel, channels). ``padding`` is the number of zeros on each side of the map,
    ``valid`` for none, or ``same`` for as many as an output of size ceil(size / stride) needs, with any extra one at
    the bottom and on the right (as in TensorFlow, and for stride 1 and an odd kernel as in PyTorch).
    """

    name: ClassVar[str] = "conv"

    filters: int
    kernel: int
    stride: int = 1
    padding: int | str = "valid"

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("filters", self.filters, 1, "the number of filters")
        whole("kernel", self.kernel, 1, "the size of the kernel (pixels)")
        whole("stride", self.stride, 1, "the stride (pixels)")
        if self.padding in ("valid", "same"):
            return
        if whole("padding", self.padding, 0, "the padding, unless it is valid or same,") >= self.kernel:
            raise RequestError(
                f"must be below kernel={self.kernel}; more only adds windows of zeros",
                key="padding",
                value=self.padding,
            )

    def build(self, in_shape: Shape) -> Shape:
        """Infer the sizes of the maps; return the shape of the output."""
        self.in_shape = channels, height, width = as_map("conv", in_shape)
        (self.top, padded_height), (self.left, padded_width) = self._pad(height), self._pad(width)
        if min(padded_height, padded_width) < self.kernel:
            padded = f" padded to {padded_height} x {padded_width}" if self.padding != "valid" else ""
            raise RequestError(
                f"kernel {self.kernel} does not fit a {height} x {width} map{padded}; "
                "use a smaller one, more padding, or less pooling before it",
                key="conv",
            )
        self.padded = channels, padded_height, padded_width
        self.out_shape = (
            self.filters,
            (padded_height - self.kernel) // self.stride + 1,
            (padded_width - self.kernel) // self.stride + 1,
        )
        self._write(phases=False, even=False)
        return self.out_shape

    def prepare_for_pooling(self) -> None:
        """Write the output as a pooling of 2 x 2 reads it: without an odd edge, and if it pays split into phases.

        For one channel a column is then the window that four neighbouring outputs share, and W stands in the packed
        weights four times, shifted: fewer columns, more multiplications, some of them by zero. For more channels the
        products cost more than the copies, and it would not pay.
        """
        self._write(phases=self.in_shape[0] == 1, even=True)

    def whole_map(self, x: np.ndarray) -> np.ndarray:
        """Return all of the output for x in the plain layout, whatever follows."""
        written = self.phases, self.even
        self._write(phases=False, even=False)
        y = self.forward(x).copy()
        self._write(*written)
        return y

    def _write(self, phases: bool, even: bool) -> None:
        self.phases, self.even = phases, even
        _, height, width = self.out_shape
        halves = (height // 2, width // 2)
        self.grid = halves if phases else (2 * halves[0], 2 * halves[1]) if even else (height, width)  # of columns
        self.taps = self.kernel + self.stride if phases else self.kernel  # the side of a column's window
        self.rows = (self.filters, 2, 2) if phases else (self.filters,)  # of the output, for each column

    def weights(self) -> dict[str, Shape]:
        """Return the shape of W: filters, rows, columns and channels of the kernel."""
        return {"W": (self.filters, self.kernel, self.kernel, self.in_shape[0])}

    def biases(self) -> dict[str, Shape]:
        """Return the shape of b: one a filter."""
        return {"b": (self.filters,)}

    def fans(self) -> tuple[int, int]:
        """Return the channels and the filters, each times the area of the kernel."""
        return self.kernel**2 * self.in_shape[0], self.kernel**2 * self.filters

    def flops(self) -> int:
        """Return the operations for one image: two a weight and position, and one a bias."""
        return (2 * self.kernel**2 * self.in_shape[0] + 1) * int(np.prod(self.out_shape))

    def footprint(self) -> int:
        """Return the number of elements in the columns of one image."""
        return self.kernel**2 * self.in_shape[0] * self.out_shape[1] * self.out_shape[2]

    def forward(self, x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Return the convolution of x, as one product with its columns."""
        columns = self._columns(x.shape[-1])
        windows = self._windows(self._pad_map(x))
        np.copyto(columns[:-1].reshape(windows.shape), windows)
        columns[-1] = 1
        y = self.array("y", (*self.rows, *self.grid, x.shape[-1]))
        np.matmul(self._pack().T, columns, out=y.reshape(-1, columns.shape[1]))
        return y

    def backward(self, dy: np.ndarray, need_dx: bool = True) -> np.ndarray:
        """Write the gradients of W and b; return that of x if it is needed."""
        batch = dy.shape[-1]
        columns = self._columns(batch)
        dy = self._contiguous(dy).reshape(-1, columns.shape[1])
        self._unpack(self._product(columns, dy))
        if not need_dx:
            return dy
        np.matmul(self._packed[:-1], dy, out=columns[:-1])
        return self._roll(columns[:-1], batch)

    def _columns(self, batch: int) -> np.ndarray:
        """Return the array of columns: the elements of a window, and a one so that the bias takes part in products."""
        return self.array("columns", (self.taps**2 * self.in_shape[0] + 1, self.grid[0] * self.grid[1] * batch))

    def _windows(self, padded: np.ndarray) -> np.ndarray:
        """Return the view [i, j, c, p, q, n] of the element i, j, c of the window p, q of a padded map."""
        channel, down, right, sample = padded.strides
        apart = 2 * self.stride if self.phases else self.stride
        return as_strided(
            padded,
            (self.taps, self.taps, self.in_shape[0], *self.grid, padded.shape[-1]),
            (down, right, channel, apart * down, apart * right, sample),
        )

    def _product(self, columns: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """Return columns dy^T, the gradient of the packed weights; BLAS is faster with the longer side first."""
        shape = len(columns), len(dy)
        if shape[0] >= shape[1]:
            return np.matmul(columns, dy.T, out=self.array("packed gradient", shape))
        return np.matmul(dy, columns.T, out=self.array("packed gradient", shape[::-1])).T

    def _roll(self, columns: np.ndarray, batch: int) -> np.ndarray:
        """Add every element of the columns to the pixel it was copied from; return the map without its padding."""
        padded = self.array("padded gradient", (*self.padded, batch))
        padded.fill(0)
        windows = self._windows(padded)
        parts = columns.reshape(windows.shape)
        for i in range(self.taps):
            for j in range(self.taps):
                np.add(windows[i, j], parts[i, j], out=windows[i, j])
        return self._inside(padded)

    def _pack(self) -> np.ndarray:
        """Return the weights as (elements of a column, rows of the output), with the biases as last row."""
        self._packed = self.zeros("packed", (self.taps**2 * self.in_shape[0] + 1, int(np.prod(self.rows))))
        for place in self._places(self._packed):
            np.copyto(place, self.params["W"].transpose(1, 2, 3, 0))
        np.copyto(self._packed[-1].reshape(self.filters, -1), self.params["b"][:, None])
        return self._packed

    def _unpack(self, gradient: np.ndarray) -> None:
        """Write the gradients of weights and biases, given that of the packed array."""
        dw = self.grads["W"].transpose(1, 2, 3, 0)
        first, *others = self._places(gradient)
        np.copyto(dw, first)
        for place in others:
            np.add(dw, place, out=dw)
        np.add.reduce(gradient[-1].reshape(self.filters, -1), axis=1, out=self.grads["b"])

    def _places(self, packed: np.ndarray) -> list[np.ndarray]:
        """Return the views (kernel, kernel, channels, filters) of a packed array in which W stands."""
        parts = packed[:-1].reshape(self.taps, self.taps, self.in_shape[0], *self.rows)
        if not self.phases:
            return [parts]
        k, step = self.kernel, self.stride
        return [parts[a * step : a * step + k, b * step : b * step + k, :, :, a, b] for a in (0, 1) for b in (0, 1)]

    def _pad(self, size: int) -> tuple[int, int]:
        """Return the zeros before a side of ``size`` pixels, and its length with the zeros of both ends."""
        if self.padding == "valid":
            return 0, size
        if self.padding == "same":
            more = max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)
            return more // 2, size + more
        return int(self.padding), size + 2 * int(self.padding)

    def _pad_map(self, x: np.ndarray) -> np.ndarray:
        """Return x with its zeros around it, contiguous."""
        if self.padded == self.in_shape:
            return self._contiguous(x, "x")
        padded = self.zeros("padded", (*self.padded, x.shape[-1]))
        np.copyto(self._inside(padded), x)
        return padded

    def _inside(self, padded: np.ndarray) -> np.ndarray:
        _, height, width = self.in_shape
        return padded[:, self.top : self.top + height, self.left : self.left + width]
