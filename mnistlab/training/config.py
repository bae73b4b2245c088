"""The settings of training: length, batches, early stopping, clipping, checkpoints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from mnistlab.nn.network import Network
from mnistlab.system.errors import Key, RequestError, fraction, not_negative, positive, whole
from mnistlab.training.early_stopping import Select

MOST_THREADS = 4096  # of BLAS


class TrainMetrics(Enum):
    """How the training columns of the history are measured."""

    running = "running"  # the mean over the training batches, with augmentation and dropout, at no extra cost
    exact = "exact"  # a pass over the training set after each epoch, without dropout or augmentation


class Kernels(Enum):
    """What computes a training step."""

    auto = "auto"  # numba for trainings that take the NumPy layers more than about ten seconds, where it is installed
    numpy = "numpy"  # the NumPy layers
    numba = "numba"  # compiled kernels; the extra `fast`


@dataclass
class TrainerConfig:
    """How a network is trained: length, batches, early stopping, clipping.

    ``batch_size`` is a number or ``full``; ``shuffle`` draws a new order of the images in every epoch. With
    ``patience``, training stops after this many epochs in a row in which ``monitor``, a metric of the validation set,
    has not improved by more than ``min_delta``. ``clip_norm`` limits the Euclidean norm of the whole gradient,
    penalties included (Pascanu et al. 2013). ``ema`` is the decay of an exponential moving average of the weights,
    which is kept, validated and saved instead of the last weights (0: none). ``swa`` is the first epoch of stochastic
    weight averaging, whose model is the mean of the weights at the end of this and every later epoch. ``threads`` is
    the number of BLAS threads (``auto``: 1 for networks so small that threads would only wait for each other, otherwise
    the number of cores of the job). ``checkpoint_every`` is a number of epochs, or a time such as 30s, 5min or 1h.
    """

    epochs: int = 10
    batch_size: int | str = 64
    shuffle: bool = True
    patience: int | None = None
    monitor: str = "loss"
    min_delta: float = 0.0
    select: Select = Select.auto
    clip_norm: float | None = None
    ema: float = 0.0
    swa: int | None = None
    train_metrics: TrainMetrics = TrainMetrics.running
    threads: int | str = "auto"
    kernels: Kernels = Kernels.auto
    checkpoint_every: int | str = "30s"

    def __post_init__(self) -> None:
        whole("epochs", self.epochs, 1, "the number of epochs")
        if self.batch_size != "full":
            whole("batch_size", self.batch_size, 1, "the batch size, unless it is full,")
        if self.patience is not None:
            whole("patience", self.patience, 1, "the patience (epochs)")
        not_negative("min_delta", self.min_delta, "the least improvement")
        if self.clip_norm is not None:
            positive("clip_norm", self.clip_norm, "the largest norm")
        self._check_average()
        if self.threads != "auto":
            threads = whole("threads", self.threads, 1, "the number of threads, unless it is auto,")
            if threads > MOST_THREADS:
                raise RequestError(
                    f"must be at most {MOST_THREADS:,}; use fewer, or auto", key="threads", value=threads
                )
        _ = self.checkpoint_seconds

    def _check_average(self) -> None:
        fraction("ema", self.ema, "the decay of the average")
        if self.swa is None:
            return
        if whole("swa", self.swa, 1, "the first epoch of the average") > self.epochs:
            raise RequestError(
                f"training ends after epoch {self.epochs}; start the average earlier", key="swa", value=self.swa
            )
        if self.ema:
            raise RequestError(f"ema={self.ema} is another average of the weights; use one", key="swa", value=self.swa)

    def check(self, train_size: int, validation_size: int) -> None:
        """Refuse settings that do not fit the data."""
        if self.batch_of(train_size) > train_size:
            raise RequestError(
                f"the training set has only {train_size:,} images; use fewer, or full",
                key="batch_size",
                value=self.batch_size,
            )
        if not validation_size:
            for name, is_set in (("patience", self.patience is not None), ("select", self.select is Select.best)):
                if is_set:
                    value = self.patience if name == "patience" else self.select.value
                    raise RequestError(
                        "there is no validation set to watch; set ",
                        Key("validation"),
                        ", for example to 0.1",
                        key=name,
                        value=value,
                    )

    def check_network(self, network: Network, train_size: int) -> None:
        """Refuse batches that the network cannot learn from."""
        if layer := network.too_small_for(self.batch_of(train_size)):
            raise RequestError(
                f"{layer} would normalise one value per channel or unit at a time, which equals its own "
                "mean, so nothing would be learnt; use larger batches, or leave out batchnorm",
                key="batch_size",
                value=self.batch_size,
            )

    def batch_of(self, n: int) -> int:
        """Return the size of a batch when there are n training images."""
        return n if self.batch_size == "full" else int(self.batch_size)

    @property
    def checkpoint_seconds(self) -> float | None:
        """The seconds between two checkpoints, or None if ``checkpoint_every`` is a number of epochs."""
        every = self.checkpoint_every
        if isinstance(every, int) and not isinstance(every, bool) and every >= 1:
            return None
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|min|h)", every) if isinstance(every, str) else None
        if not match or not float(match[1]):
            raise RequestError(
                "must be a number of epochs, or a time such as 30s, 5min or 1h",
                key="checkpoint_every",
                value=every,
            )
        return float(match[1]) * {"s": 1, "min": 60, "h": 3600}[match[2]]

    @property
    def keep_best(self) -> bool:
        """Whether the weights of the best epoch are restored at the end."""
        return self.select is Select.best or (self.select is Select.auto and self.patience is not None)
