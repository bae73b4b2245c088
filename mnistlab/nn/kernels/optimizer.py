"""An update of all parameters in one compiled pass: the penalties, clipping and the rule of the optimizer."""

from __future__ import annotations

import math

import numpy as np

from mnistlab.nn.kernels import updates
from mnistlab.nn.kernels.jit import PARTS, Kernel, bits
from mnistlab.nn.kernels.memory import address
from mnistlab.nn.kernels.program import Program
from mnistlab.nn.optimizers import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, Optimizer, RMSprop
from mnistlab.nn.regularization import Regularization

RULES: dict[type[Optimizer], Kernel] = {
    SGD: updates.sgd,
    Momentum: updates.momentum,
    Nesterov: updates.nesterov,
    AdaGrad: updates.rmsprop,
    RMSprop: updates.rmsprop,
    Adam: updates.adam,
    AdamW: updates.adam,
}
PENALTIES, FACTOR, LR, OWN = 5, 7, 8, 11  # columns of a row: l1 and l2, the factor of clipping, lr, the rule's own


class FusedUpdate:
    """Updates the parameters of an optimizer by its kernel. Raises KeyError where there is none for it."""

    def __init__(self, optimizer: Optimizer, theta: np.ndarray, grad: np.ndarray, n_weights: int, threads: int) -> None:
        self.optimizer, self.threads = optimizer, threads
        self.squares = np.zeros(PARTS)
        vectors = address(theta), address(grad), n_weights, theta.size
        slots = [address(slot) for slot in optimizer.state]
        slots += [0] * (2 - len(slots))
        self.rule, self.norm = Program(), Program()
        self.rule.add(RULES[type(optimizer)], *vectors, 0, 0, 0, 0, *slots)
        self.norm.add(updates.squares, *vectors, 0, 0, 0, 0, address(self.squares))

    def __call__(self, factor: float, regularization: Regularization, clip_norm: float | None) -> None:
        """Do what `Update` does up to the projection to max-norm, at the learning rate lr x ``factor``."""
        optimizer, (row,) = self.optimizer, self.rule.table
        optimizer.steps += 1
        optimizer.prepare(optimizer.rate(factor))
        row[PENALTIES : PENALTIES + 2] = bits(regularization.l1), bits(regularization.l2)
        row[FACTOR] = bits(self._clip(regularization, clip_norm))
        lr, *own = _numbers(optimizer)
        row[LR] = bits(lr)
        row[OWN : OWN + len(own)] = [bits(number) for number in own]
        self.rule.run(self.threads)

    def _clip(self, regularization: Regularization, clip_norm: float | None) -> float:
        if clip_norm is None:
            return 1.0
        (row,) = self.norm.table
        row[PENALTIES : PENALTIES + 2] = bits(regularization.l1), bits(regularization.l2)
        self.norm.run(self.threads)
        norm = math.sqrt(float(self.squares.sum()))
        return clip_norm / norm if norm > clip_norm else 1.0


def _numbers(optimizer: Optimizer) -> tuple[float, ...]:
    """Return the learning rate of a step as the kernel takes it, and the numbers of the rule."""
    match optimizer:
        case AdamW():
            kept = 1 - optimizer.step_lr * optimizer.weight_decay
            return optimizer.step_size, optimizer.beta1, optimizer.beta2, optimizer.step_eps, kept
        case Adam():
            return optimizer.step_size, optimizer.beta1, optimizer.beta2, optimizer.step_eps, 1.0
        case AdaGrad():
            return optimizer.step_lr, 1.0, 1.0, optimizer.eps
        case RMSprop():
            return optimizer.step_lr, optimizer.rho, 1 - optimizer.rho, optimizer.eps
        case Momentum():
            return optimizer.step_lr, optimizer.momentum
        case _:
            return (optimizer.step_lr,)
