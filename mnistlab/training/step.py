"""The update of the parameters after a gradient, and the norms of both."""

from __future__ import annotations

import math

import numpy as np

from mnistlab.nn.network import Network
from mnistlab.nn.optimizers import Optimizer
from mnistlab.nn.regularization import Regularization

NORM_SAMPLES = 16  # steps of an epoch over which gradient norms are averaged


class Update:
    """One update of the parameters after a gradient: penalties, clipping, the optimizer's rule, max-norm."""

    def __init__(
        self, network: Network, optimizer: Optimizer, regularization: Regularization, clip_norm: float | None
    ) -> None:
        self.network, self.optimizer = network, optimizer
        self.regularization, self.clip_norm = regularization, clip_norm
        self.penalty = regularization.add_gradient if regularization.has_penalty else None
        self.scratch = np.empty(network.n_weights if clip_norm else 0, network.dtype)
        weights = [block for block in network.blocks if block.is_weight]
        self.weights = [network.theta[block.part].reshape(block.shape) for block in weights]
        self.grads = [network.grad[block.part].reshape(block.shape) for block in weights]
        self.fused = network.engine.update(optimizer) if network.engine else None

    def __call__(self, factor: float, batch_weight: float) -> None:
        """Update with the optimizer's learning rate times ``factor``, after the gradient of a batch of this weight."""
        self.regularization.start_step(batch_weight)
        if self.fused:
            self.fused(factor, self.regularization, self.clip_norm)
        elif self.clip_norm is None:
            # the penalty is added chunk by chunk while each chunk is in the cache
            self.optimizer.step(factor, self.penalty)
        else:
            self._clip(self.clip_norm)
            self.optimizer.step(factor)
        self.regularization.project(self.weights, self.grads)

    def _clip(self, largest: float) -> None:
        theta, grad, n = self.network.theta, self.network.grad, self.network.n_weights
        if self.penalty:
            self.penalty(theta[:n], grad[:n], self.scratch)
        norm = math.sqrt(float(np.vdot(grad, grad)))
        if norm > largest:
            np.multiply(grad, largest / norm, out=grad)


class Norms:
    """Gradient norms of an epoch, averaged over some of its steps, and the weight norms at its end."""

    def __init__(self, network: Network, steps: int) -> None:
        self.network, self.every = network, max(1, steps // NORM_SAMPLES)
        self.layers = sum(block.is_weight for block in network.blocks)
        self.samples: list[list[float]] = []
        self.totals: list[float] = []

    def look(self, i: int) -> None:
        """Measure the gradient of step i, if it is one of the sampled steps."""
        if i % self.every == 0:
            self.samples.append([grad for _, _, grad in self.network.norms()])
            self.totals.append(float(np.sqrt(np.vdot(self.network.grad, self.network.grad))))

    @property
    def total(self) -> float:
        """Return the mean norm of the whole gradient; NaN if none was measured."""
        return float(np.mean(self.totals)) if self.totals else math.nan

    def rows(self, epoch: int) -> list[tuple[int, str, float, float]]:
        """Return (epoch, layer, weight norm, mean gradient norm) rows; none if no gradient was measured."""
        if not self.samples:
            return []
        means = np.mean(self.samples, axis=0)
        return [
            (epoch, name, weight, float(mean))
            for (name, weight, _), mean in zip(self.network.norms(), means, strict=True)
        ]
