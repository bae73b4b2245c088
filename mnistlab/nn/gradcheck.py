"""Gradient check: backward against central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnistlab.nn.network import Network
from mnistlab.nn.regularization import Regularization

TOLERANCE = 1e-6  # an error above it is a wrong gradient
ROUNDING = 1e-9  # central differences of a loss of order 1 are not exacter: a gradient below counts as zero
SMALL = 1e-5  # errors of smaller gradients are measured against this: at 1e-11 even large steps end in rounding
OTHER_STEPS = (10, 0.1, 100, 0.01, 0.001)  # times h, where an element disagrees


@dataclass(frozen=True)
class Checked:
    """What the check found of one parameter block, or of the input: how many of its elements, and the error."""

    name: str
    size: int
    checked: int
    error: float

    @property
    def agrees(self) -> bool:
        """Whether the gradient is right; one that is not a number is not."""
        return self.error <= TOLERANCE


def gradcheck(
    network: Network,
    x: np.ndarray,
    labels: np.ndarray,
    regularization: Regularization | None = None,
    step: float = 1e-5,
    most: int = 200,
    seed: int = 0,
) -> dict[str, float]:
    """Return the error of each parameter block and of the input, by name: `check`, all at once."""
    return {block.name: block.error for block in check(network, x, labels, regularization, step, most, seed)}


def check(
    network: Network,
    x: np.ndarray,
    labels: np.ndarray,
    regularization: Regularization | None = None,
    step: float = 1e-5,
    most: int = 200,
    seed: int = 0,
) -> Iterator[Checked]:
    """Check the parameters block by block, layer by layer, then the input.

    The error of a block is max |a - n| / max(max |a|, max |n|) over the checked elements, with a the analytic
    gradient and n = (L(v + h) - L(v - h)) / 2h; a block whose gradient is zero but for rounding has the error 0.
    Dropout is checked with the same mask in every evaluation (a new generator from ``seed`` each time). At most
    ``most`` elements of a block are checked, drawn from ``seed``.

    Where L bends between v - h and v + h (a ReLU at zero, two equal pixels of a pooling window, a weight of zero under
    L1), n is wrong though a is right; where L hardly changes, n drowns in rounding. An element that disagrees is
    therefore tried again with steps of h / 1000 to 100 h, and the nearest n counts: a wrong a is wrong at every step.

    Args:
        network: a network of dtype float64.
        x: the scaled input, (1, height, width, batch) float64.
        labels: (batch,) integers.
        regularization: adds its penalty to the loss and to the gradient.
        step: h.
        most: the largest number of elements checked in a block.
        seed: of dropout, and of the choice of elements.

    """
    weights = network.theta[: network.n_weights]
    penalty = regularization or Regularization()

    def loss() -> float:
        z = network.forward(x.copy(), np.random.default_rng(seed))
        return network.loss.forward(z, labels)[0] + penalty.penalty(weights)

    loss()
    dx = network.backward(network.loss.backward(), input_gradient=True).reshape(x.shape).copy()
    grad = network.grad.copy()
    penalty.add_gradient(weights, grad[: network.n_weights], np.empty_like(weights))
    rng = np.random.default_rng(seed)
    named = zip(network.tensors(), network.blocks, strict=False)  # statistics, which have no gradient, come last
    for name, block in sorted(named, key=lambda pair: pair[1].layer):
        yield _compare(name, network.theta[block.part], grad[block.part], loss, step, most, rng)
    yield _compare("input", x.reshape(-1), dx.reshape(-1), loss, step, most, rng)


def _compare(
    name: str, v: np.ndarray, analytic: np.ndarray, loss: Callable[[], float], h: float, most: int, rng: Any
) -> Checked:
    chosen = np.arange(v.size) if v.size <= most else rng.choice(v.size, most, replace=False)
    a = analytic[chosen]
    n = np.array([_slope(v, place, loss, h) for place in map(int, chosen)])
    size = _size(a, n)
    for i in np.flatnonzero(~(np.abs(a - n) <= TOLERANCE * size)):
        for factor in OTHER_STEPS:
            again = _slope(v, int(chosen[i]), loss, factor * h)
            if np.abs(a[i] - again) < np.abs(a[i] - n[i]):
                n[i] = again
            if np.abs(a[i] - n[i]) <= TOLERANCE * size:
                break
    largest = max(np.abs(a).max(), np.abs(n).max())
    error = 0.0 if largest <= ROUNDING else float(np.abs(a - n).max()) / _size(a, n)
    return Checked(name, v.size, len(chosen), error)


def _slope(v: np.ndarray, place: int, loss: Callable[[], float], h: float) -> float:
    old = v[place]
    v[place] = old + h
    above = loss()
    v[place] = old - h
    below = loss()
    v[place] = old
    return (above - below) / (2 * h)


def _size(a: np.ndarray, n: np.ndarray) -> float:
    return max(float(np.abs(a).max()), float(np.abs(n).max()), SMALL)
