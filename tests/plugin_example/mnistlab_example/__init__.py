"""A layer, an optimizer, a dataset and a metric for mnistlab, as a package of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mnistlab.data.dataset import Pool, Split, UserSource
from mnistlab.nn.layers import Layer, Shape
from mnistlab.nn.optimizers import Optimizer
from mnistlab.system.errors import fraction, whole


@dataclass
class PReLU(Layer):
    """y = max(0, x) + a min(0, x), with one slope a for each channel or unit, 0.25 at first. He et al. 2015.

    dx = dy for x >= 0, otherwise a dy;  da = sum of dy min(0, x) over the batch (and the pixels of a map).
    """

    constants: ClassVar[dict[str, float]] = {"a": 0.25}

    def build(self, in_shape: Shape) -> Shape:
        self.channels = in_shape[0]
        return in_shape

    def biases(self) -> dict[str, Shape]:  # starts at a constant and is never regularised
        return {"a": (self.channels,)}

    def forward(self, x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        self.below = np.minimum(x, 0, out=self.array("below", x.shape))
        y = np.maximum(x, 0, out=self.array("y", x.shape))
        return np.add(y, np.multiply(self.below, self._slope(x), out=self.array("t", x.shape)), out=y)

    def backward(self, dy: np.ndarray, need_dx: bool = True) -> np.ndarray:
        t = np.multiply(dy, self.below, out=self.array("t", dy.shape))
        np.add.reduce(t, axis=tuple(range(1, t.ndim)), out=self.grads["a"])
        return np.multiply(dy, self._slope(dy), out=dy, where=self.below < 0)

    def _slope(self, x: np.ndarray) -> np.ndarray:
        return self.params["a"].reshape(-1, *[1] * (x.ndim - 1))


@dataclass
class Lion(Optimizer):
    """c = b1 m + (1-b1) g;  theta <- theta - lr sign(c);  m <- b2 m + (1-b2) g. Chen et al. 2023, algorithm 2.

    ``beta1`` (b1) is the weight of m in the step, ``beta2`` (b2) the decay rate of m.
    """

    slots = 1

    lr: float = 3e-4
    beta1: float = 0.9
    beta2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("beta1", self.beta1, "beta1")
        fraction("beta2", self.beta2, "beta2")

    def update(self, p: np.ndarray, g: np.ndarray, slots: list[np.ndarray], t: np.ndarray, is_weight: bool) -> None:
        (m,) = slots
        np.subtract(m, g, out=t)  # c = g + b1 (m - g), and m likewise
        np.multiply(t, self.beta1, out=t)
        np.add(t, g, out=t)
        np.sign(t, out=t)
        np.multiply(t, self.step_lr, out=t)
        np.subtract(p, t, out=p)
        np.subtract(m, g, out=m)
        np.multiply(m, self.beta2, out=m)
        np.add(m, g, out=m)


@dataclass
class Bars(UserSource):
    """Noisy images of a vertical or a horizontal bar. ``images`` is their number."""

    images: int = 400

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("images", self.images, 20, "the number of images")

    def read(self) -> Pool:
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 120, (self.images, 12, 12), dtype=np.uint8)
        labels = np.arange(self.images) % 2
        pixels[labels == 0, :, 5:7] += 130
        pixels[labels == 1, 5:7, :] += 130
        train, test = self.cut_test(Split(pixels, labels))
        return Pool("bars", train, test, ("vertical", "horizontal"), {})


def confidence(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean probability of the true class."""
    return float(probabilities[np.arange(len(labels)), labels].mean())
