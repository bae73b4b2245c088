"""Batch normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mnistlab.nn.layers import Layer, Shape
from mnistlab.system.errors import fraction, positive


@dataclass
class BatchNorm(Layer):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, with one gamma and beta for each channel or unit.

    Ioffe & Szegedy 2015. In training, mean and variance are those of the batch (for maps, also over the pixels). At
    inference they are running averages with the weight ``momentum``: running <- momentum running + (1 - momentum) batch
    (as in Keras; PyTorch's momentum is 1 minus this one). The running variance is that of m / (m - 1) times the batch
    variance for m elements, as in PyTorch. gamma starts at 1 and is not regularised. ``eps`` avoids a division by zero.
    A batch that is processed in chunks is normalised chunk by chunk.

    A batch with m = 1 (one vector, or one map of a single pixel) equals its mean: y = beta and dx = 0, and the running
    statistics do not change, since there is no variance. This is harmless for the last batch of an epoch. If every
    batch had m = 1, nothing could be learnt (`Network.too_small_for`).

    dx = gamma / sqrt(var + eps) (dy - mean(dy) - xh mean(dy xh)), with xh the normalised x.
    """

    name: ClassVar[str] = "batchnorm"
    constants: ClassVar[dict[str, float]] = {"gamma": 1.0, "variance": 1.0}

    momentum: float = 0.9
    eps: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("momentum", self.momentum, "the momentum of the running statistics")
        positive("eps", self.eps, "eps")

    def build(self, in_shape: Shape) -> Shape:
        self.channels, self.size = in_shape[0], int(np.prod(in_shape))
        return in_shape

    def biases(self) -> dict[str, Shape]:
        return {"gamma": (self.channels,), "beta": (self.channels,)}

    def statistics(self) -> dict[str, Shape]:
        return {"mean": (self.channels,), "variance": (self.channels,)}

    def flops(self) -> int:
        return 2 * self.size

    def forward(self, x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        y, x = self.array("y", x.shape), self._contiguous(x, "x")
        rows, normal = x.reshape(self.channels, -1), y.reshape(self.channels, -1)
        gamma, beta = self.params["gamma"][:, None], self.params["beta"][:, None]
        mean, variance = self.buffers["mean"], self.buffers["variance"]
        if rng is None:
            np.subtract(rows, mean[:, None], out=normal)
            np.multiply(normal, gamma / np.sqrt(variance + self.eps)[:, None], out=normal)
            np.add(normal, beta, out=normal)
            return y
        return self._normalised(x, self.momentum)

    def measure(self, x: np.ndarray, share: float) -> np.ndarray:
        """Return y as in training, with this ``share`` of the batch in the running statistics."""
        return self._normalised(self._contiguous(x, "x"), 1 - share)

    def _normalised(self, x: np.ndarray, momentum: float) -> np.ndarray:
        y = self.array("y", x.shape)
        rows, normal = x.reshape(self.channels, -1), y.reshape(self.channels, -1)
        gamma, beta = self.params["gamma"][:, None], self.params["beta"][:, None]
        mean, variance = self.buffers["mean"], self.buffers["variance"]
        m = rows.shape[1]
        self.xh = self.array("xh", rows.shape)
        batch_mean = np.add.reduce(rows, axis=1) / m
        np.subtract(rows, batch_mean[:, None], out=self.xh)
        batch_variance = np.einsum("ij,ij->i", self.xh, self.xh) / m
        self.inverse = 1 / np.sqrt(batch_variance + self.eps)
        np.multiply(self.xh, self.inverse[:, None], out=self.xh)
        np.multiply(self.xh, gamma, out=normal)
        np.add(normal, beta, out=normal)
        if m > 1:
            for running, now in ((mean, batch_mean), (variance, batch_variance * (m / (m - 1)))):
                running *= momentum
                running += (1 - momentum) * now
        return y

    def backward(self, dy: np.ndarray, need_dx: bool = True) -> np.ndarray:
        dy = self._contiguous(dy)
        rows, xh = dy.reshape(self.channels, -1), self.xh
        m = rows.shape[1]
        np.einsum("ij,ij->i", rows, xh, out=self.grads["gamma"])
        np.add.reduce(rows, axis=1, out=self.grads["beta"])
        if not need_dx:
            return dy
        np.multiply(xh, self.grads["gamma"][:, None] / m, out=xh)
        np.subtract(rows, xh, out=rows)
        np.subtract(rows, self.grads["beta"][:, None] / m, out=rows)
        np.multiply(rows, (self.params["gamma"] * self.inverse)[:, None], out=rows)
        return dy
