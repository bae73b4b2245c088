"""Activations y = f(x), element by element.

Each f'(x) is written in terms of y where it can be, so that y may be stored over x. ``gain`` is the factor that keeps
the variance of a layer's output with Kaiming's initialisation (He et al. 2015): 1 / sqrt(E[f(x)^2]) for x ~ N(0, 1)
where a closed form is known, otherwise the value stated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mnistlab.nn.layers import Layer, Shape
from mnistlab.system.errors import RequestError, number, positive


@dataclass
class Activation(Layer):
    """An element-wise function: `function` writes f(x) to y, `scale_by_derivative` multiplies dy by f'(x)."""

    name: ClassVar[str]
    can_overwrite = True
    reads_output = True
    element_wise = True

    def build(self, in_shape: Shape) -> Shape:
        self.size = int(np.prod(in_shape))
        return in_shape

    def flops(self) -> int:
        return self.size

    @property
    def gain(self) -> float:
        """Return Kaiming's gain."""
        return 1.0

    def function(self, x: np.ndarray, y: np.ndarray) -> None:
        """Write f(x) to y, which may be x itself."""
        raise NotImplementedError

    def scale_by_derivative(self, dy: np.ndarray, y: np.ndarray) -> None:
        """Multiply dy by f'(x) in place, given y = f(x)."""
        raise NotImplementedError

    def where_positive(self, y: np.ndarray) -> np.ndarray:
        """Return 1 where y > 0 and 0 elsewhere, in the network's dtype (np.sign takes twice as long)."""
        mask, ones = self.array("mask", y.shape, bool), self.array("ones", y.shape)
        np.greater(y, 0, out=mask)
        np.copyto(ones, mask)
        return ones

    def forward(self, x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        self.y = x if self.in_place else self.array("y", x.shape)
        self.function(x, self.y)
        return self.y

    def backward(self, dy: np.ndarray, need_dx: bool = True) -> np.ndarray:
        self.scale_by_derivative(dy, self.y)
        return dy


@dataclass
class Identity(Activation):
    """y = x."""

    name = "identity"
    reads_output = False
    may_return_input = True

    def forward(self, x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        return x

    def backward(self, dy: np.ndarray, need_dx: bool = True) -> np.ndarray:
        return dy


@dataclass
class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)), computed as tanh(x/2)/2 + 1/2, which cannot overflow;  y' = y (1 - y)."""

    name = "sigmoid"

    def function(self, x: np.ndarray, y: np.ndarray) -> None:
        """Write the activation of ``x`` into ``y``."""
        np.multiply(x, 0.5, out=y)
        np.tanh(y, out=y)
        np.multiply(y, 0.5, out=y)
        np.add(y, 0.5, out=y)

    def scale_by_derivative(self, dy: np.ndarray, y: np.ndarray) -> None:
        """Multiply dy by y (1 - y)."""
        t = self.array("t", y.shape)
        np.subtract(1, y, out=t)
        np.multiply(t, y, out=t)
        np.multiply(dy, t, out=dy)


@dataclass
class HardSigmoid(Activation):
    """y = min(1, max(0, 0.2 x + 0.5)): Keras's slope (Theano's too; PyTorch's is 1/6);  y' = 0.2 for 0 < y < 1."""

    name = "hard_sigmoid"

    def function(self, x: np.ndarray, y: np.ndarray) -> None:
        """Write min(1, max(0, 0.2 x + 0.5)) to y."""
        np.multiply(x, 0.2, out=y)
        np.add(y, 0.5, out=y)
        np.clip(y, 0, 1, out=y)

    def scale_by_derivative(self, dy: np.ndarray, y: np.ndarray) -> None:
        """Multiply dy by 0.2 where 0 < y < 1, and by 0 elsewhere."""
        t = self.array("t", y.shape)
        np.subtract(1, y, out=t)
        np.multiply(t, y, out=t)  # positive between the bends, 0 on the flat parts
        np.multiply(dy, self.where_positive(t), out=dy)
        np.multiply(dy, 0.2, out=dy)


@dataclass
class Tanh(Activation):
    """y = tanh(x);  y' = 1 - y^2. Gain 5/3 (LeCun's target and PyTorch's table)."""

    name = "tanh"

    @property
    def gain(self) -> float:
        return 5 / 3

    def function(self, x: np.ndarray, y: np.ndarray) -> None:
        """Write tanh(x) to y."""
        np.tanh(x, out=y)

    def scale_by_derivative(self, dy: np.ndarray, y: np.ndarray) -> None:
        """Multiply dy by 1 - y^2."""
        t = self.array("t", y.shape)
        np.multiply(y, y, out=t)
        np.subtract(1, t, out=t)
        np.multiply(dy, t, out=dy)


@dataclass
class ReLU(Activation):
    """y = max(0, x);  y' = 1 for x > 0, otherwise 0 (0 at x = 0). Gain sqrt(2)."""

    name = "relu"

    @property
    def gain(self) -> float:
        return math.sqrt(2)

    def function(self, x: np.ndarray, y: np.ndarray) -> None:
        """Write max(0, x) to y."""
        np.maximum(x, 0, out=y)

    def scale_by_derivative(self, dy: np.ndarray, y: np.ndarray) -> None:
        """Multiply dy by 1 where y > 0, and by 0 elsewhere."""
        np.multiply(dy, self.where_positive(y), out=dy)


@dataclass
class LeakyReLU(Activation):
    """y = max(x, slope x) with 0 < slope < 1;  y' = 1 for x > 0, otherwise slope. Gain sqrt(2 / (1 + slope^2))."""

    name = "leaky_relu"

    slope: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < number("slope", self.slope) < 1:
            raise RequestError(
                "the slope of leaky_relu must lie between 0 and 1; for 0 use relu", key="slope", value=self.slope
            )

    @property
    def gain(self) -> float:
        return math.sqrt(2 / (1 + self.slope**2))

    def function(self, x: np.ndarray, y: np.ndarray) -> None:
        """Write x where x > 0, and slope x elsewhere, to y."""
        t = self.array("t", x.shape)
        np.multiply(x, self.slope, out=t)
        np.maximum(x, t, out=y)

    def scale_by_derivative(self, dy: np.ndarray, y: np.ndarray) -> None:
        """Multiply dy by 1 where y > 0, and by the slope elsewhere."""
        t = self.where_positive(y)
        np.maximum(t, self.slope, out=t)
        np.multiply(dy, t, out=dy)


@dataclass
class ELU(Activation):
    """y = x for x > 0, otherwise alpha (exp(x) - 1);  y' = 1 or y + alpha. Clevert et al. 2016. Gain 1.

    With alpha = 1 the true gain for unit variance is 1.25; PyTorch and Keras use 1 as here.
    """

    name = "elu"

    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("alpha", self.alpha, "alpha of elu")

    def function(self, x: np.ndarray, y: np.ndarray) -> None:
        """Write x where x > 0, and alpha (exp(x) - 1) elsewhere, to y."""
        t = self.array("t", x.shape)
        np.minimum(x, 0, out=t)
        np.expm1(t, out=t)
        np.multiply(t, self.alpha, out=t)
        np.maximum(x, 0, out=y)
        np.add(y, t, out=y)

    def scale_by_derivative(self, dy: np.ndarray, y: np.ndarray) -> None:
        """Multiply dy by 1 where y > 0, and by y + alpha elsewhere."""
        t = self.array("t", y.shape)
        linear = self.array("linear", y.shape, bool)
        np.add(y, self.alpha, out=t)
        np.greater(y, 0, out=linear)
        np.copyto(t, 1, where=linear)
        np.multiply(dy, t, out=dy)


@dataclass
class Softplus(Activation):
    """y = log(1 + exp(x));  y' = 1 - exp(-y). Dugas et al. 2001. Gain 1."""

    name = "softplus"

    def function(self, x: np.ndarray, y: np.ndarray) -> None:
        """Write log(1 + exp(x)) to y."""
        np.logaddexp(x, 0, out=y)

    def scale_by_derivative(self, dy: np.ndarray, y: np.ndarray) -> None:
        """Multiply dy by 1 - exp(-y)."""
        t = self.array("t", y.shape)
        np.negative(y, out=t)
        np.expm1(t, out=t)
        np.negative(t, out=t)
        np.multiply(dy, t, out=dy)


@dataclass
class GELU(Activation):
    """y = x (1 + tanh(u)) / 2 with u = c (x + 0.044715 x^3), c = sqrt(2/pi). Gain sqrt(2), as for ReLU.

    y' = (1 + tanh u)/2 + x (1 - tanh^2 u) c (1 + 0.134145 x^2) / 2. Hendrycks & Gimpel 2016, the tanh form (the form
    with erf differs by less than 0.0005). The derivative needs x, so the layer cannot work in place.
    """

    name = "gelu"
    can_overwrite = False

    c: ClassVar[float] = math.sqrt(2 / math.pi)

    @property
    def gain(self) -> float:
        return math.sqrt(2)

    def forward(self, x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Return the activation, and keep x for the derivative."""
        self.x = x
        return super().forward(x, rng)

    def function(self, x: np.ndarray, y: np.ndarray) -> None:
        """Write x (1 + tanh(u)) / 2 to y, and keep tanh(u)."""
        t = self.array("tanh", x.shape)
        np.multiply(x, x, out=t)
        np.multiply(t, 0.044715, out=t)
        np.add(t, 1, out=t)
        np.multiply(t, x, out=t)
        np.multiply(t, self.c, out=t)
        np.tanh(t, out=t)
        np.add(t, 1, out=y)
        np.multiply(y, x, out=y)
        np.multiply(y, 0.5, out=y)

    def scale_by_derivative(self, dy: np.ndarray, y: np.ndarray) -> None:
        """Multiply dy by y', from the x and tanh(u) that were kept."""
        x, t = self.x, self.array("tanh", y.shape)
        d, s = self.array("d", y.shape), self.array("s", y.shape)
        np.multiply(x, x, out=d)
        np.multiply(d, 3 * 0.044715, out=d)
        np.add(d, 1, out=d)
        np.multiply(d, x, out=d)
        np.multiply(d, self.c, out=d)
        np.multiply(t, t, out=s)
        np.subtract(1, s, out=s)
        np.multiply(d, s, out=d)  # x (1 - tanh^2 u) u'
        np.add(d, t, out=d)
        np.add(d, 1, out=d)
        np.multiply(d, 0.5, out=d)
        np.multiply(dy, d, out=dy)


ACTIVATIONS: dict[str, type[Activation]] = {
    cls.name: cls for cls in (Identity, Sigmoid, HardSigmoid, Tanh, ReLU, LeakyReLU, ELU, Softplus, GELU)
}
