"""A network that learns from weighted samples, an epoch at a time, and can be stored between two epochs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from mnistlab.data.weighted_samples import Samples
from mnistlab.nn.architectures import network_from_spec
from mnistlab.nn.network import Network
from mnistlab.nn.optimizers import Optimizer
from mnistlab.nn.regularization import Regularization
from mnistlab.nn.schedules import Schedule
from mnistlab.system.random import stream
from mnistlab.training.loop import Diverged, batches
from mnistlab.training.step import Update


class WeightedTraining:
    """A network with its optimizer and its random streams.

    Its pickle holds the architecture, plain arrays and numbers, no working memory; what comes back goes on exactly
    where it was.
    """

    def __init__(self, network: Network, seed: int) -> None:
        self.network, self.seed = network, seed
        self.order, self.dropout = stream(seed, "order"), stream(seed, "dropout")
        self.optimizer: Optimizer | None = None

    def use(self, optimizer: Optimizer) -> None:
        """Take an optimizer. It goes on with the state of the one before, if that followed the same rule."""
        before, network = self.optimizer, self.network
        optimizer.bind(network.theta, network.grad, network.n_weights)
        if type(before) is type(optimizer) and before is not None:
            _restore(optimizer, before.steps, before.state)
        self.optimizer = optimizer

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")  # a loss that is not finite is found, and said
    def epoch(
        self,
        samples: Samples,
        batch: int,
        shuffle: bool,
        regularization: Regularization,
        alpha: float,
        first_step: int,
        schedule: Schedule,
    ) -> float:
        """Learn from every sample once and return the mean loss of the batches as they were learnt from.

        ``alpha`` adds alpha / 2 sum w^2 to the *summed* loss of a batch, so that it weighs less beside more samples.
        ``first_step`` is where the epoch begins on the clock of the schedule. Raises `Diverged`.
        """
        assert self.optimizer is not None
        network, lr = self.network, self.optimizer.lr
        penalties = replace(regularization, l2=regularization.l2 + alpha)
        update = Update(network, self.optimizer, penalties, None)
        loss_sum, weight_sum = 0.0, 0.0
        order = self.order if shuffle else None
        for i, rows in enumerate(batches(len(samples), batch, order)):
            weights, size = samples.weights, float(len(samples) if rows is None else len(rows))
            if weights is not None:
                weights = weights if rows is None else weights[rows]
                size = float(weights.sum())
            loss, _ = network.gradient(samples.images, samples.labels, rows, self.dropout, weights)
            if not math.isfinite(loss):
                raise self._diverged(samples, rows)
            penalties.l2 = regularization.l2 + alpha / size
            update(lr * schedule.factor(first_step + i))
            loss_sum, weight_sum = loss_sum + loss * size, weight_sum + size
        if not np.isfinite(network.theta).all():
            raise self._diverged(samples, rows)
        return loss_sum / weight_sum

    def accuracy(self, samples: Samples) -> float:
        """Return the weighted share of samples that are put into their class."""
        hits = self.network.predict(samples.images).argmax(axis=1) == samples.labels
        return float(np.average(hits, weights=samples.weights))

    def _diverged(self, samples: Samples, rows: np.ndarray | None) -> Diverged:
        assert self.optimizer is not None
        where, lr = self.network.first_not_finite(samples.images, rows) or "the loss", self.optimizer.lr
        return Diverged(
            f"the loss is no longer finite: {where} overflowed first, with the learning rate at {lr:g}", where, lr
        )

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "network": self.network.spec(),
            "dtype": np.dtype(self.network.dtype).name,
            "theta": self.network.theta.copy(),
            "statistics": self.network.buffers.copy(),
            "seed": self.seed,
            "streams": {name: getattr(self, name).bit_generator.state for name in ("order", "dropout")},
        }
        if self.optimizer is not None:
            state["optimizer"] = replace(self.optimizer)
            state["steps"], state["slots"] = self.optimizer.steps, [slot.copy() for slot in self.optimizer.state]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        network = network_from_spec(state["network"], np.dtype(state["dtype"]))
        network.theta[:], network.buffers[:] = state["theta"], state["statistics"]
        self.__init__(network, state["seed"])  # type: ignore[misc]
        for name, position in state["streams"].items():
            getattr(self, name).bit_generator.state = position
        if "optimizer" in state:
            self.use(state["optimizer"])
            _restore(state["optimizer"], state["steps"], state["slots"])


def _restore(optimizer: Optimizer, steps: int, slots: list[np.ndarray]) -> None:
    optimizer.steps = steps
    for slot, stored in zip(optimizer.state, slots, strict=True):
        slot[:] = stored
