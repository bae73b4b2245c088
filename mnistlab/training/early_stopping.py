"""Early stopping: which epoch's weights a run keeps, and when training ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from mnistlab.nn.network import Network


class Select(Enum):
    """Which epoch's weights a run keeps."""

    auto = "auto"  # best with early stopping, otherwise last
    best = "best"
    last = "last"


@dataclass(frozen=True)
class Score:
    """The metric for selection: ``measure(probabilities)`` on the validation set, and whether higher is better."""

    measure: Callable[[np.ndarray], float]
    higher_is_better: bool

    def value(self, network: Network, images: np.ndarray) -> float:
        """Return the metric of a network, negated where lower is better."""
        return float(self.measure(network.predict(images))) * (1 if self.higher_is_better else -1)


@dataclass(frozen=True)
class StoppingRule:
    """The stopping rule: ``patience`` consecutive epochs without an improvement of a value of which more is better.

    An epoch is an improvement if its value is above a reference by more than ``min_delta`` or, if ``inclusive``, by
    ``min_delta`` or more. The reference is the value of the last improvement, so that small gains can add up to one;
    with ``from_best`` it is the best value so far, as in scikit-learn, where they cannot. Without ``patience``,
    training never stops early.
    """

    patience: int | None
    min_delta: float = 0.0
    inclusive: bool = False
    from_best: bool = False

    def improves(self, value: float, reference: float) -> bool:
        """Return whether a value is an improvement over the reference."""
        if self.inclusive:
            return value - reference >= self.min_delta
        return value > reference + self.min_delta


class EarlyStopping:
    """The best epoch so far by the monitored value, its weights and statistics, and whether to stop."""

    def __init__(self, rule: StoppingRule) -> None:
        self.rule = rule
        self.epoch: int | None = None
        self.value = self.reference = -math.inf
        self.waiting_since = 0
        self.theta = self.buffers = np.empty(0)

    def take(self, epoch: int, value: float, network: Network | None) -> None:
        """Record the value of an epoch and, if it is the best so far, a copy of the network's weights, unless None."""
        first = self.epoch is None
        if first or self.rule.improves(value, self.reference):
            self.reference, self.waiting_since = value, epoch
        if first or value > self.value:
            self.value, self.epoch = value, epoch
            if network is not None:
                self.theta, self.buffers = network.theta.copy(), network.buffers.copy()
        if self.rule.from_best:
            self.reference = self.value

    def stops_after(self, epoch: int) -> bool:
        """Return whether ``patience`` epochs have passed without an improvement."""
        return self.rule.patience is not None and epoch - self.waiting_since >= self.rule.patience

    def restore_weights(self, network: Network) -> None:
        """Restore the weights and statistics of the best epoch in the network."""
        network.theta[:], network.buffers[:] = self.theta, self.buffers

    def state(self) -> dict[str, Any]:
        """Return the state for `restore`, without the weights and statistics."""
        state: dict[str, Any] = {"epoch": self.epoch, "waiting_since": self.waiting_since}
        if self.epoch is not None:  # a metric may be undefined, and JSON has no NaN
            for name, value in (("value", self.value), ("reference", self.reference)):
                state[name] = value if math.isfinite(value) else None
        return state

    def restore(self, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Restore the state that `state` returned, with best.theta and best.buffers if there is a best epoch."""
        self.epoch, self.waiting_since = state["epoch"], state["waiting_since"]
        if self.epoch is not None:
            value, reference = state["value"], state["reference"]
            self.value, self.reference = (math.nan if number is None else number for number in (value, reference))
            self.theta, self.buffers = arrays["best.theta"].copy(), arrays["best.buffers"].copy()
