"""Initialisation of weights. Biases always start at zero.

One rule covers LeCun, Xavier and Kaiming: W ~ D(0, gain^2 / n) with n = fan_in or (fan_in + fan_out) / 2, and D normal
or uniform on +-sqrt(3) standard deviations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from mnistlab.nn.layers import Shape
from mnistlab.system.errors import RequestError, not_negative, number, positive


class Distribution(Enum):
    """The shape of the distribution; its variance is given by the rule."""

    normal = "normal"
    uniform = "uniform"


@dataclass
class Init:
    """How a weight array is drawn: ``sample(rng, shape, fan_in, fan_out, gain)`` with gain that of the activation."""

    def sample(self, rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int, gain: float) -> np.ndarray:
        """Return float64 weights of ``shape``."""
        raise NotImplementedError


@dataclass
class Zeros(Init):
    """W = 0: all units of a layer stay identical, so training fails. For demonstration only."""

    def sample(self, rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int, gain: float) -> np.ndarray:
        return np.zeros(shape)


@dataclass
class Normal(Init):
    """W ~ N(``mean``, ``std``^2), whatever the size of the layer."""

    std: float = 0.05
    mean: float = 0.0

    def __post_init__(self) -> None:
        positive("std", self.std, "the standard deviation")
        number("mean", self.mean)

    def sample(self, rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int, gain: float) -> np.ndarray:
        return self.mean + self.std * rng.standard_normal(shape)


@dataclass
class Uniform(Init):
    """W ~ U(``low``, ``high``), whatever the size of the layer."""

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        if not number("low", self.low) < number("high", self.high):
            raise RequestError(f"must lie below high={self.high}", key="low", value=self.low)

    def sample(self, rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int, gain: float) -> np.ndarray:
        return rng.uniform(self.low, self.high, shape)


@dataclass
class VarianceScaling(Init):
    """W ~ D(0, g^2 / n). ``gain=null`` takes the gain that the subclass states; a number replaces it."""

    distribution: Distribution = Distribution.normal
    gain: float | None = None

    def __post_init__(self) -> None:
        if self.gain is not None:
            positive("gain", self.gain, "the gain")

    def sample(self, rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int, gain: float) -> np.ndarray:
        g = self._gain(gain) if self.gain is None else self.gain
        std = g / math.sqrt(self._fan(fan_in, fan_out))
        if self.distribution is Distribution.normal:
            return std * rng.standard_normal(shape)
        limit = math.sqrt(3) * std
        return rng.uniform(-limit, limit, shape)

    def _fan(self, fan_in: int, fan_out: int) -> float:
        return fan_in

    def _gain(self, gain: float) -> float:
        return 1.0


@dataclass
class Scaled(VarianceScaling):
    """W ~ D(0, 1 / fan_in), the "sqrt(1/n)" of many courses. LeCun et al. 1998, Efficient BackProp, section 4.6."""


@dataclass
class Xavier(VarianceScaling):
    """W ~ D(0, 2 / (fan_in + fan_out)). Glorot & Bengio 2010, equation 12 and (uniform) 16."""

    def _fan(self, fan_in: int, fan_out: int) -> float:
        return (fan_in + fan_out) / 2


@dataclass
class Kaiming(VarianceScaling):
    """W ~ D(0, g^2 / fan_in) with g the gain of the activation that follows. He et al. 2015, equations 10 and 15.

    g^2 = 2 for ReLU, 2 / (1 + slope^2) for leaky ReLU, 1 for a layer without an activation (the output layer).
    """

    def _gain(self, gain: float) -> float:
        return gain


@dataclass
class Orthogonal(Init):
    """W has orthonormal rows or columns (whichever are fewer), times ``gain``. Saxe et al. 2014.

    W is the Q of a QR decomposition of a matrix of normal random numbers. Its columns are multiplied by the signs of
    R's diagonal, so that W is uniform over all such matrices.
    """

    gain: float | None = None

    def __post_init__(self) -> None:
        if self.gain is not None:
            not_negative("gain", self.gain, "the gain")

    def sample(self, rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int, gain: float) -> np.ndarray:
        rows, columns = shape[0], int(np.prod(shape[1:]))
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))
        return (gain if self.gain is None else self.gain) * (q if rows >= columns else q.T).reshape(shape)


INITS: dict[str, type[Any]] = {
    "zeros": Zeros,
    "normal": Normal,
    "uniform": Uniform,
    "scaled": Scaled,
    "xavier": Xavier,
    "kaiming": Kaiming,
    "orthogonal": Orthogonal,
}
