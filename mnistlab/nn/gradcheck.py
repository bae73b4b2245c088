"""Gradient check: backward against central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mnistlab.nn.network import Network
from mnistlab.nn.regularization import Regularization


def gradcheck(
    network: Network,
    x: np.ndarray,
    labels: np.ndarray,
    regularization: Regularization | None = None,
    step: float = 1e-5,
    most: int = 200,
    seed: int = 0,
) -> dict[str, float]:
    """Return the error of each parameter block and of the input, by name.

    The error of a block is max |a - n| / max(max |a|, max |n|) over the checked elements, with a the analytic
    gradient and n = (L(v + h) - L(v - h)) / 2h; a block whose gradient is zero on both sides has the error 0. Dropout
    is checked with the same mask in every evaluation (a new generator from ``seed`` each time). At most ``most``
    elements of a block are checked, drawn from ``seed``.

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
    names = list(network.tensors())
    errors = {
        name: _worst(network.theta[block.part], grad[block.part], loss, step, most, rng)
        for name, block in zip(names, network.blocks, strict=True)
    }
    return errors | {"input": _worst(x.reshape(-1), dx.reshape(-1), loss, step, most, rng)}


def _worst(v: np.ndarray, analytic: np.ndarray, loss: Callable[[], float], h: float, most: int, rng: Any) -> float:
    chosen = np.arange(v.size) if v.size <= most else rng.choice(v.size, most, replace=False)
    numeric = np.empty(len(chosen))
    for i, place in enumerate(chosen):
        old = v[place]
        v[place] = old + h
        above = loss()
        v[place] = old - h
        numeric[i] = (above - loss()) / (2 * h)
        v[place] = old
    size = max(np.abs(analytic[chosen]).max(), np.abs(numeric).max())
    return float(np.abs(analytic[chosen] - numeric).max() / size) if size > 1e-12 else 0.0
