"""The state of a fitted estimator, and how it is pickled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mnistlab.nn.architectures import network_from_spec
from mnistlab.nn.network import Network
from mnistlab.nn.optimizers import Optimizer
from mnistlab.system.random import stream
from mnistlab.training.components import RandomStreams


class EstimatorState:
    """A network with its optimizer and its random streams, in their state between two trainings.

    Its pickle contains the architecture, plain arrays and numbers, but no working memory; a restored estimator
    continues exactly where the original stopped.
    """

    def __init__(self, network: Network, seed: int) -> None:
        self.network, self.seed = network, seed
        self.streams = RandomStreams(stream(seed, "order"), stream(seed, "dropout"))
        self.optimizer: Optimizer | None = None

    def take_over(self, optimizer: Optimizer) -> None:
        """Keep an optimizer bound to the network, with the state of the previous one if that is of the same class."""
        before, self.optimizer = self.optimizer, optimizer
        if before is not None and type(before) is type(optimizer):
            optimizer.restore(before.steps, before.state)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "network": self.network.spec(),
            "dtype": np.dtype(self.network.dtype).name,
            "theta": self.network.theta.copy(),
            "statistics": self.network.buffers.copy(),
            "seed": self.seed,
            "streams": self.streams.state(),
        }
        if self.optimizer is not None:
            state["optimizer"] = replace(self.optimizer)
            state["steps"], state["slots"] = self.optimizer.steps, [slot.copy() for slot in self.optimizer.state]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        network = network_from_spec(state["network"], np.dtype(state["dtype"]))
        network.theta[:], network.buffers[:] = state["theta"], state["statistics"]
        self.__init__(network, state["seed"])  # type: ignore[misc]
        self.streams.restore(state["streams"])
        if "optimizer" in state:
            self.optimizer = state["optimizer"]
            self.optimizer.bind(network.theta, network.grad, network.n_weights)
            self.optimizer.restore(state["steps"], state["slots"])
