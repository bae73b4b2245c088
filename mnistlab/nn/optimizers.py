"""Optimizers: rules on the flat parameter vector theta and its gradient g.

The vector is walked in chunks that stay in the cache; a rule is a few vector operations on one chunk. ``lr`` below is
the learning rate of the step: the optimizer's own, times the factor of the schedule. Slots (momentum, second moments)
are flat vectors too, so that a checkpoint is a few vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mnistlab.system.errors import fraction, not_negative, positive

CHUNK = 65_536  # elements: few calls a step, and theta, g, two slots and scratch still lie in the shared cache
FLUSH_EVERY = 128  # steps between the flushes of denormal slots
TINY = 1e-30

Penalty = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


@dataclass
class Optimizer:
    """The base: `bind` to a parameter vector once, then `step` after every gradient. ``grad`` is used up by a step."""

    slots: ClassVar[int] = 0  # state vectors, each as long as theta

    lr: float = 0.01

    def __post_init__(self) -> None:
        positive("lr", self.lr, "the learning rate")

    def bind(self, theta: np.ndarray, grad: np.ndarray, n_weights: int) -> None:
        """Take the vectors to work on; the first ``n_weights`` elements are weights, the others biases."""
        self.steps = 0
        self.state = [np.zeros_like(theta) for _ in range(self.slots)]
        scratch = np.empty(min(CHUNK, theta.size), theta.dtype)
        small = np.empty(scratch.size, bool)
        self._chunks: list[tuple[bool, np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]] = []
        self._flushes: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for start, stop in ((0, n_weights), (n_weights, theta.size)):
            for low in range(start, stop, CHUNK):
                part = slice(low, min(low + CHUNK, stop))
                size = part.stop - low
                slots = [slot[part] for slot in self.state]
                self._chunks.append((low < n_weights, theta[part], grad[part], slots, scratch[:size]))
                self._flushes += [(slot, scratch[:size], small[:size]) for slot in slots]

    def restore(self, steps: int, state: Sequence[np.ndarray]) -> None:
        """Go on from the ``steps`` and ``state`` of an optimizer of this class, bound to a vector of this length."""
        self.steps = steps
        for slot, stored in zip(self.state, state, strict=True):
            np.copyto(slot, stored)

    def rate(self, factor: float) -> float:
        """Return the learning rate of a step with this factor."""
        return self.lr * factor

    def step(self, factor: float = 1.0, penalty: Penalty | None = None) -> None:
        """Update theta at the learning rate lr x ``factor`` with the gradient in ``grad``.

        ``penalty(p, g, t)`` adds its own gradient to g, on weights only.
        """
        self.steps += 1
        self.prepare(self.rate(factor))
        update = self.update
        for is_weight, p, g, slots, t in self._chunks:
            if penalty is not None and is_weight:
                penalty(p, g, t)
            update(p, g, slots, t, is_weight)
        if self.slots and self.steps % FLUSH_EVERY == 0:
            self._flush_denormals()

    def prepare(self, lr: float) -> None:
        """Compute the scalars of a step at the learning rate ``lr``."""
        self.step_lr = lr

    def update(self, p: np.ndarray, g: np.ndarray, slots: list[np.ndarray], t: np.ndarray, is_weight: bool) -> None:
        """Apply the rule to one chunk: parameters p, gradient g (may be overwritten), slots, scratch t."""
        raise NotImplementedError

    def _flush_denormals(self) -> None:
        # A moment that decays below 1e-38 becomes denormal, and arithmetic on it some twenty times slower.
        for slot, t, small in self._flushes:
            np.abs(slot, out=t)
            np.less(t, TINY, out=small)
            np.copyto(slot, 0, where=small)


@dataclass
class SGD(Optimizer):
    """theta <- theta - lr g. Gradient descent: full-batch, mini-batch or single-sample, depending on the batch size."""

    lr: float = 0.1

    def update(self, p: np.ndarray, g: np.ndarray, slots: list[np.ndarray], t: np.ndarray, is_weight: bool) -> None:
        np.multiply(g, self.step_lr, out=g)
        np.subtract(p, g, out=p)


@dataclass
class Momentum(Optimizer):
    """v <- momentum v - lr g;  theta <- theta + v. Polyak 1964, with lr inside v as in scikit-learn and Keras.

    (PyTorch keeps lr outside; the two are the same for a constant lr.)
    """

    slots = 1

    lr: float = 0.05
    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("momentum", self.momentum, "the momentum")

    def update(self, p: np.ndarray, g: np.ndarray, slots: list[np.ndarray], t: np.ndarray, is_weight: bool) -> None:
        (v,) = slots
        np.multiply(v, self.momentum, out=v)
        np.multiply(g, self.step_lr, out=g)
        np.subtract(v, g, out=v)
        np.add(p, v, out=p)


@dataclass
class Nesterov(Momentum):
    """v <- momentum v - lr g;  theta <- theta + momentum v - lr g. Sutskever et al. 2013, rewritten at the look-ahead
    point as in scikit-learn and Keras."""

    def update(self, p: np.ndarray, g: np.ndarray, slots: list[np.ndarray], t: np.ndarray, is_weight: bool) -> None:
        (v,) = slots
        np.multiply(v, self.momentum, out=v)
        np.multiply(g, self.step_lr, out=g)
        np.subtract(v, g, out=v)
        np.multiply(v, self.momentum, out=t)
        np.subtract(t, g, out=t)
        np.add(p, t, out=p)


def _descend_scaled(p: np.ndarray, g: np.ndarray, s: np.ndarray, t: np.ndarray, lr: float, eps: float) -> None:
    """p <- p - lr g / (sqrt(s) + eps), with t as scratch; g is overwritten."""
    np.sqrt(s, out=t)
    np.add(t, eps, out=t)
    np.multiply(g, lr, out=g)
    np.divide(g, t, out=g)
    np.subtract(p, g, out=p)


@dataclass
class AdaGrad(Optimizer):
    """s <- s + g^2;  theta <- theta - lr g / (sqrt(s) + eps). Duchi et al. 2011; s starts at zero as in PyTorch.

    ``eps`` avoids a division by zero.
    """

    slots = 1

    eps: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("eps", self.eps, "eps")

    def update(self, p: np.ndarray, g: np.ndarray, slots: list[np.ndarray], t: np.ndarray, is_weight: bool) -> None:
        (s,) = slots
        np.multiply(g, g, out=t)
        np.add(s, t, out=s)
        _descend_scaled(p, g, s, t, self.step_lr, self.eps)


@dataclass
class RMSprop(Optimizer):
    """s <- rho s + (1 - rho) g^2;  theta <- theta - lr g / (sqrt(s) + eps). Hinton 2012, lecture 6.

    ``rho`` is the decay rate of s. ``eps`` avoids a division by zero; it is added outside the root as in
    PyTorch (Keras adds it inside).
    """

    slots = 1

    lr: float = 1e-3
    rho: float = 0.9
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("rho", self.rho, "rho")
        positive("eps", self.eps, "eps")

    def update(self, p: np.ndarray, g: np.ndarray, slots: list[np.ndarray], t: np.ndarray, is_weight: bool) -> None:
        (s,) = slots
        np.multiply(s, self.rho, out=s)
        np.multiply(g, g, out=t)
        np.multiply(t, 1 - self.rho, out=t)
        np.add(s, t, out=s)
        _descend_scaled(p, g, s, t, self.step_lr, self.eps)


@dataclass
class Adam(Optimizer):
    """m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  theta <- theta - lr m^ / (sqrt(v^) + eps), m^ = m / (1 - b1^t),
    v^ = v / (1 - b2^t). Kingma & Ba 2015, algorithm 1.

    ``beta1`` (b1) is the decay rate of m, ``beta2`` (b2) that of v. ``eps`` avoids a division by zero; it is added
    after the bias correction (scikit-learn adds it before).

    The slots hold m / (1-b1) and v / (1-b2), and the corrections are folded into two scalars, which saves four
    passes over the vectors: theta <- theta - a m' / (sqrt(v') + e).
    """

    slots = 2

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("beta1", self.beta1, "beta1")
        fraction("beta2", self.beta2, "beta2")
        positive("eps", self.eps, "eps")

    def prepare(self, lr: float) -> None:
        self.step_lr = lr
        first = (1 - self.beta1) / (1 - self.beta1**self.steps)
        second = math.sqrt((1 - self.beta2) / (1 - self.beta2**self.steps))
        self.step_size, self.step_eps = lr * first / second, self.eps / second

    def update(self, p: np.ndarray, g: np.ndarray, slots: list[np.ndarray], t: np.ndarray, is_weight: bool) -> None:
        m, v = slots
        np.multiply(m, self.beta1, out=m)
        np.add(m, g, out=m)
        np.multiply(v, self.beta2, out=v)
        np.multiply(g, g, out=g)
        np.add(v, g, out=v)
        np.sqrt(v, out=t)
        np.add(t, self.step_eps, out=t)
        np.divide(m, t, out=t)
        np.multiply(t, self.step_size, out=t)
        np.subtract(p, t, out=p)


@dataclass
class AdamW(Adam):
    """Adam, and theta <- theta - lr weight_decay theta for the weights, decoupled from the gradient. Loshchilov &
    Hutter 2019, algorithm 2, with the decay multiplied by lr as in PyTorch. Biases do not decay."""

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        not_negative("weight_decay", self.weight_decay, "the weight decay")

    def update(self, p: np.ndarray, g: np.ndarray, slots: list[np.ndarray], t: np.ndarray, is_weight: bool) -> None:
        if is_weight:
            np.multiply(p, 1 - self.step_lr * self.weight_decay, out=p)
        super().update(p, g, slots, t, is_weight)


OPTIMIZERS: dict[str, type[Any]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": AdaGrad,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}
