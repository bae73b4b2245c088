"""Averages of the weights along a training, which a run keeps instead of the last weights.

The optimizer never sees the average: training goes on from the weights themselves. Validation, the choice of the best
epoch and the saved model are those of the average.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from mnistlab.nn.network import Network
from mnistlab.system.signals import UNDIVIDED
from mnistlab.training.config import TrainerConfig

CHUNK = 65_536  # elements that stay in the cache, as in the optimizers


class WeightAverage:
    """A running mean of a network's weights: ``theta <- theta + w (weights - theta)``, with a weight w that depends
    only on how many have been taken, so that a checkpoint needs nothing but the vectors.

    ``buffers`` are the statistics of batch normalisation that belong to the average.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.theta, self.buffers = network.theta.copy(), network.buffers.copy()
        self._scratch = np.empty(min(CHUNK, network.theta.size), network.dtype)
        self._in_use = False

    def taken(self, steps: int) -> int:
        """Return how many weights are in the average after so many steps of the training."""
        raise NotImplementedError

    def weight(self, taken: int) -> float:
        """Return the weight w of the latest of ``taken`` weights."""
        raise NotImplementedError

    def take(self, steps: int) -> None:
        """Add the network's weights after its ``steps``-th step, if the average takes those of this step."""
        taken = self.taken(steps)
        if taken == self.taken(steps - 1):
            return
        w = self.weight(taken)
        for average, now in ((self.theta, self.network.theta), (self.buffers, self.network.buffers)):
            if w == 1:
                np.copyto(average, now)
                continue
            for start in range(0, len(average), CHUNK):
                part = average[start : start + CHUNK]
                difference = self._scratch[: len(part)]
                np.subtract(now[start : start + CHUNK], part, out=difference)
                np.multiply(difference, w, out=difference)
                np.add(part, difference, out=part)

    def measure(self, images: np.ndarray, steps: int) -> None:
        """Prepare the average for use after so many steps; ``images`` are those of training."""

    def put(self, steps: int) -> None:
        """Put the average into the network, if there is one yet; `put_back` undoes it."""
        with UNDIVIDED:
            if self.taken(steps) and not self._in_use:
                self._swap()

    def put_back(self) -> None:
        """Put the weights of the training back into the network, if the average is there."""
        with UNDIVIDED:
            if self._in_use:
                self._swap()

    @contextmanager
    def in_network(self, steps: int) -> Iterator[None]:
        """Have the average in the network for the duration of the block."""
        try:
            self.put(steps)
            yield
        finally:
            self.put_back()

    def keep(self, steps: int) -> None:
        """Copy the average into the network, if there is one, after which training must not continue."""
        if self.taken(steps):
            self.network.theta[:], self.network.buffers[:] = self.theta, self.buffers

    def _swap(self) -> None:
        for average, now in ((self.theta, self.network.theta), (self.buffers, self.network.buffers)):
            held = average.copy()
            np.copyto(average, now)
            np.copyto(now, held)
        self._in_use = not self._in_use


class ExponentialAverage(WeightAverage):
    """w = 1 - decay, after every step; at the beginning w = 9 / (10 + t), so that the first weights are soon forgotten.

    Polyak & Juditsky 1992 with exponential weights; the beginning is that of TensorFlow's ExponentialMovingAverage,
    decay_t = min(decay, (1 + t) / (10 + t)). The statistics of batch normalisation are averaged alike.
    """

    def __init__(self, network: Network, decay: float) -> None:
        super().__init__(network)
        self.decay = decay

    def taken(self, steps: int) -> int:
        return steps

    def weight(self, taken: int) -> float:
        return 1 - min(self.decay, (1 + taken) / (10 + taken))


class StochasticWeightAverage(WeightAverage):
    """The plain mean of the weights at the end of every epoch from ``first`` on. Izmailov et al. 2018, algorithm 1.

    Until the end of that epoch there is no average. The statistics of batch normalisation are measured for the average,
    on the training images without augmentation.
    """

    def __init__(self, network: Network, first: int, steps_per_epoch: int) -> None:
        super().__init__(network)
        self.first, self.steps_per_epoch = first, steps_per_epoch

    def taken(self, steps: int) -> int:
        return max(0, steps // self.steps_per_epoch - self.first + 1)

    def weight(self, taken: int) -> float:
        return 1 / taken

    def measure(self, images: np.ndarray, steps: int) -> None:
        if self.buffers.size and self.taken(steps):
            with self.in_network(steps):
                self.network.measure_statistics(images)


def average_of(trainer: TrainerConfig, network: Network, steps_per_epoch: int) -> WeightAverage | None:
    """Return the average that the settings ask for, or None."""
    if trainer.ema:
        return ExponentialAverage(network, trainer.ema)
    if trainer.swa is not None:
        return StochasticWeightAverage(network, trainer.swa, steps_per_epoch)
    return None
