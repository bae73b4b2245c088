"""Layers: Dense, Dropout and Flatten, and what every layer promises.

Inside a network the *batch is the last axis*: activations are ``(units, batch)`` or ``(channels, height, width,
batch)``. Reductions over units then run along long contiguous rows, and W x + b is written as in the textbooks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from mnistlab.system.errors import RequestError, fraction, whole

Shape = tuple[int, ...]


@dataclass
class Layer:
    """One step of a network: ``build`` fixes the sizes, ``forward`` maps x to y, ``backward`` maps dL/dy to dL/dx.

    Fields of the dataclass are the hyper-parameters. ``build(in_shape) -> out_shape`` takes and returns shapes
    without the batch axis and raises `RequestError` where they do not fit. The network then hands over views of its
    flat vectors: ``self.params[name]`` and, of equal shape, ``self.grads[name]``.

    Ownership of arrays: ``forward`` may overwrite x only if the network set ``in_place``; ``backward`` may always
    overwrite dy. Arrays come from `array`, which allocates one per name and shape, so a training step in steady state
    allocates nothing.
    """

    in_place = False  # set by the network: nobody needs x any more, y (or later dx) may be written over it
    can_overwrite: ClassVar[bool] = False  # forward or backward knows how to work in place
    reads_output = False  # backward reads the y that forward returned
    may_return_input: ClassVar[bool] = False  # forward may return x or a view of it
    element_wise: ClassVar[bool] = False  # y has the shape of x, whatever that is
    constants: ClassVar[dict[str, float]] = {}  # where biases and statistics start, if not at 0

    def __post_init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self.buffers: dict[str, np.ndarray] = {}
        self._memory: dict[str, np.ndarray] = {}
        self._arrays: dict[tuple[str, Shape], np.ndarray] = {}
        self._zeroed: dict[str, Shape] = {}
        self.dtype: Any = np.float32

    def build(self, in_shape: Shape) -> Shape:
        """Fix the sizes for inputs of ``in_shape`` (without batch) and return the shape of the output."""
        return in_shape

    def weights(self) -> dict[str, Shape]:
        """Return name and shape of the parameters that are initialised at random and regularised."""
        return {}

    def biases(self) -> dict[str, Shape]:
        """Return name and shape of the parameters that start at a constant and are never regularised."""
        return {}

    def statistics(self) -> dict[str, Shape]:
        """Return name and shape of what training measures rather than learns: ``self.buffers[name]``."""
        return {}

    def fans(self) -> tuple[int, int]:
        """Return fan_in and fan_out of the weights, for the initialisation."""
        raise NotImplementedError

    def flops(self) -> int:
        """Return the floating-point operations of `forward` for one image; a function of one element counts as one."""
        return 0

    def footprint(self) -> int:
        """Return the elements per image of the largest array, beside x and y, that `forward` needs."""
        return 0

    def forward(self, x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Return y for x, batch last. ``rng=None`` means inference."""
        raise NotImplementedError

    def backward(self, dy: np.ndarray, need_dx: bool = True) -> np.ndarray:
        """Write dL/dparams to ``grads`` and return dL/dx, given dL/dy of the latest ``forward``."""
        raise NotImplementedError

    def array(self, name: str, shape: Shape, dtype: Any = None) -> np.ndarray:
        """Return this layer's working array of that name and shape; arrays of one name share their memory."""
        key = name, shape
        found = self._arrays.get(key)
        if found is None:
            size = int(np.prod(shape))
            memory = self._memory.get(name)
            if memory is None or memory.size < size or len(self._arrays) >= 64:
                memory = self._memory[name] = np.empty(size, dtype or self.dtype)
                self._arrays = {other: array for other, array in self._arrays.items() if other[0] != name}
            found = self._arrays[key] = memory[:size].reshape(shape)
        return found

    def zeros(self, name: str, shape: Shape) -> np.ndarray:
        """Return `array`, all zero when the shape was another at the latest call: what stays zero is never refilled."""
        array = self.array(name, shape)
        if self._zeroed.get(name) != shape:
            array.fill(0)
            self._zeroed[name] = shape
        return array

    def _contiguous(self, a: np.ndarray, name: str = "contiguous dy") -> np.ndarray:
        """Return ``a``, or a contiguous copy in the array of that name."""
        if a.flags.c_contiguous:
            return a
        copy = self.array(name, a.shape)
        np.copyto(copy, a)
        return copy

    def spec(self) -> dict[str, dict[str, Any]]:
        """Return ``{name: hyper-parameters}``: what the registry builds the same layer from."""
        return {layer_name(type(self)): asdict(self)}


@dataclass
class Dense(Layer):
    """y = W x + b, with W of shape (units, fan_in) and x of shape (fan_in, batch).

    dW = dy x^T;  db = sum of dy over the batch;  dx = W^T dy.
    """

    units: int

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("units", self.units, 1, "the number of units")

    def build(self, in_shape: Shape) -> Shape:
        if len(in_shape) != 1:
            raise RequestError(
                f"takes a vector, got a map of {' x '.join(map(str, in_shape))}; put flatten before it", key="dense"
            )
        (self.fan_in,) = in_shape
        return (self.units,)

    def weights(self) -> dict[str, Shape]:
        return {"W": (self.units, self.fan_in)}

    def biases(self) -> dict[str, Shape]:
        return {"b": (self.units,)}

    def fans(self) -> tuple[int, int]:
        return self.fan_in, self.units

    def flops(self) -> int:
        return (2 * self.fan_in + 1) * self.units

    def forward(self, x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        self.x = x
        y = self.array("y", (self.units, x.shape[1]))
        np.matmul(self.params["W"], x, out=y)
        return np.add(y, self.params["b"][:, None], out=y)

    def backward(self, dy: np.ndarray, need_dx: bool = True) -> np.ndarray:
        np.matmul(dy, self.x.T, out=self.grads["W"])
        np.add.reduce(dy, axis=1, out=self.grads["b"])
        if not need_dx:
            return dy
        return np.matmul(self.params["W"].T, dy, out=self.array("dx", (self.fan_in, dy.shape[1])))


@dataclass
class Dropout(Layer):
    """Inverted dropout: y = x m / (1 - rate) with m ~ Bernoulli(1 - rate) in training, y = x at inference.

    ``rate`` is the probability of *dropping* a unit. Srivastava et al. 2014, but scaled in training, not at inference.
    """

    can_overwrite = True
    may_return_input = True
    element_wise = True

    rate: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("rate", self.rate, "the dropout rate")

    def forward(self, x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        if rng is None or self.rate == 0:
            self.mask = None
            return x
        keep = 1 - self.rate
        turned = x.T.flags.c_contiguous  # the pixels of a batch are, and go faster with a mask that lies alike
        mask = self.array("mask", x.shape[::-1] if turned else x.shape)
        rng.random(dtype=self.dtype, out=mask)
        np.add(mask, keep, out=mask)  # floor(u + keep) is 1 with probability keep: no boolean array, no cast
        np.floor(mask, out=mask)
        np.multiply(mask, 1 / keep, out=mask)
        self.mask = mask.T if turned else mask
        return np.multiply(x, self.mask, out=x if self.in_place else self.array("y", x.shape))

    def backward(self, dy: np.ndarray, need_dx: bool = True) -> np.ndarray:
        return dy if self.mask is None else np.multiply(dy, self.mask, out=dy)


@dataclass
class Flatten(Layer):
    """(channels, height, width, batch) -> (channels height width, batch): a view, nothing is copied."""

    may_return_input = True

    def build(self, in_shape: Shape) -> Shape:
        return (int(np.prod(in_shape)),)

    def forward(self, x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        self.in_shape = x.shape
        return x.reshape(-1, x.shape[-1])

    def backward(self, dy: np.ndarray, need_dx: bool = True) -> np.ndarray:
        return dy.reshape(self.in_shape)


def as_map(name: str, shape: Shape) -> tuple[int, int, int]:
    """Return channels, height and width of an input shape, or say that the layer takes a map."""
    if len(shape) != 3:
        raise RequestError(
            f"takes a map (channels x height x width), got a vector of {shape[0]:,}; "
            "put it before the flatten or globalavgpool that made one of it",
            key=name,
        )
    return shape[0], shape[1], shape[2]


def layer_name(cls: type[Layer]) -> str:
    """Return the name of a layer class in YAML: ``LeakyReLU`` is ``leaky_relu``."""
    return getattr(cls, "name", cls.__name__.lower())
