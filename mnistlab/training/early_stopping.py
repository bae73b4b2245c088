"""Which epoch's weights a run keeps, and when it need not go on."""

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
    """The metric that selects: ``measure(probabilities)`` on the validation part, and its better direction."""

    measure: Callable[[np.ndarray], float]
    higher_is_better: bool


class Best:
    """The best epoch so far by the monitored metric, and its weights and statistics."""

    def __init__(self, score: Score | None, patience: int | None, min_delta: float) -> None:
        self.score, self.patience, self.min_delta = score, patience, min_delta
        self.epoch: int | None = None
        self.value = self.reference = -math.inf
        self.waiting_since = 0
        self.theta = self.buffers = np.empty(0)

    def measure(self, network: Network, val_loss: float, images: np.ndarray) -> float:
        """Return what the network is selected by, higher being better."""
        if self.score is None:
            return -val_loss
        return float(self.score.measure(network.predict(images))) * (1 if self.score.higher_is_better else -1)

    def take(self, epoch: int, value: float, network: Network) -> None:
        """Take this epoch's weights if they are better; an improvement below ``min_delta`` does not reset patience."""
        if self.epoch is None or value > self.value:
            if self.epoch is None or value > self.reference + self.min_delta:
                self.reference, self.waiting_since = value, epoch
            self.value, self.epoch = value, epoch
            self.theta, self.buffers = network.theta.copy(), network.buffers.copy()

    def state(self) -> dict[str, Any]:
        """Return what `restore` takes, beside the weights and statistics."""
        state: dict[str, Any] = {"epoch": self.epoch, "waiting_since": self.waiting_since}
        if self.epoch is not None:  # a metric may be undefined, and JSON has no NaN
            for name, value in (("value", self.value), ("reference", self.reference)):
                state[name] = value if math.isfinite(value) else None
        return state

    def restore(self, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Go back to what `state` returned; ``arrays`` holds best.theta and best.buffers if there is a best epoch."""
        self.epoch, self.waiting_since = state["epoch"], state["waiting_since"]
        if self.epoch is not None:
            value, reference = state["value"], state["reference"]
            self.value, self.reference = (math.nan if one is None else one for one in (value, reference))
            self.theta, self.buffers = arrays["best.theta"].copy(), arrays["best.buffers"].copy()

    def patience_is_over(self, epoch: int) -> bool:
        """Return whether ``patience`` epochs have passed without an improvement."""
        return self.patience is not None and epoch - self.waiting_since >= self.patience
