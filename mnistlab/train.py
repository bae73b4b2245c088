"""The training loop: mini-batches in, history out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np

from mnistlab.augment import Augment, NoAugment
from mnistlab.errors import RequestError, RunError, not_negative, positive, whole
from mnistlab.nn import Network, Optimizer, Regularization, Schedule

NORM_SAMPLES = 16  # steps of an epoch over which gradient norms are averaged


class Select(Enum):
    """Which epoch's weights a run keeps."""

    auto = "auto"  # best with early stopping, otherwise last
    best = "best"
    last = "last"


class TrainMetrics(Enum):
    """How the training columns of the history are measured."""

    running = "running"  # mean over the epoch's batches as they were trained, augmented and all: no extra cost
    exact = "exact"  # a pass over the training part after each epoch, without dropout or augmentation


@dataclass
class Trainer:
    """How a network is trained: length, batches, early stopping, clipping.

    ``batch_size`` is a number or ``full``. ``patience`` stops after so many epochs in a row in which ``monitor``, a
    metric of the validation part, did not improve by more than ``min_delta``. ``clip_norm`` bounds the Euclidean norm
    of the whole gradient, penalties included (Pascanu et al. 2013). ``threads`` of BLAS: ``auto`` is one for networks
    so small that two only wait for each other.
    """

    epochs: int = 10
    batch_size: int | str = 64
    shuffle: bool = True
    patience: int | None = None
    monitor: str = "loss"
    min_delta: float = 0.0
    select: Select = Select.auto
    clip_norm: float | None = None
    train_metrics: TrainMetrics = TrainMetrics.running
    threads: int | str = "auto"

    def __post_init__(self) -> None:
        whole("epochs", self.epochs, 1, "the number of epochs")
        if self.batch_size != "full":
            whole("batch_size", self.batch_size, 1, "the batch size, unless it is full,")
        if self.patience is not None:
            whole("patience", self.patience, 1, "the patience (epochs)")
        not_negative("min_delta", self.min_delta, "the least improvement")
        if self.clip_norm is not None:
            positive("clip_norm", self.clip_norm, "the largest norm")
        if self.threads != "auto":
            whole("threads", self.threads, 1, "the number of threads, unless it is auto,")

    def check(self, train_size: int, validation_size: int) -> None:
        """Refuse what does not go with the data."""
        if self.batch_of(train_size) > train_size:
            raise RequestError(
                f"batch_size={self.batch_size}: the training part has only {train_size:,} images; take fewer, or full"
            )
        if not validation_size:
            for name, asked in (("patience", self.patience is not None), ("select", self.select is Select.best)):
                if asked:
                    value = self.patience if name == "patience" else self.select.value
                    raise RequestError(
                        f"{name}={value}: there is no validation part to watch; set data.validation, 0.1 for instance"
                    )

    def check_network(self, network: Network, train_size: int) -> None:
        """Refuse batches that the network cannot learn from."""
        if layer := network.too_small_for(self.batch_of(train_size)):
            raise RequestError(
                f"batch_size={self.batch_size}: {layer} gets one value a channel or unit at a time, which is its own "
                "mean, and nothing would be learnt; take larger batches, or leave batchnorm out"
            )

    def batch_of(self, n: int) -> int:
        """Return the size of a batch when there are n training images."""
        return n if self.batch_size == "full" else int(self.batch_size)

    @property
    def keep_best(self) -> bool:
        """Whether the weights of the best epoch are restored at the end."""
        return self.select is Select.best or (self.select is Select.auto and self.patience is not None)


class Split(Protocol):
    """Images (n, height, width) uint8 and labels (n,) int64."""

    @property
    def images(self) -> np.ndarray: ...
    @property
    def labels(self) -> np.ndarray: ...


@dataclass
class Epoch:
    """One row of the history."""

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    grad_norm: float
    seconds: float


@dataclass
class History:
    """What happened: a row an epoch, norms per layer and epoch, and which epoch's weights were kept."""

    epochs: list[Epoch] = field(default_factory=list)
    norms: list[tuple[int, str, float, float]] = field(default_factory=list)  # epoch, layer, weights, gradient
    best_epoch: int | None = None
    kept_epoch: int = 0
    stopped_early: bool = False


@dataclass(frozen=True)
class Score:
    """The metric that selects: ``measure(probabilities)`` on the validation part, and its better direction."""

    measure: Callable[[np.ndarray], float]
    higher_is_better: bool


class Diverged(RunError):
    """The loss is no longer a finite number."""


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # a loss that is not finite is found, and said, below
def fit(
    network: Network,
    train: Split,
    validation: Split,
    optimizer: Optimizer,
    schedule: Schedule,
    regularization: Regularization,
    trainer: Trainer,
    order: np.random.Generator,
    dropout: np.random.Generator,
    augment: np.random.Generator | None = None,
    augmentation: Augment | None = None,
    score: Score | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
    on_epoch: Callable[[History], None] | None = None,
) -> History:
    """Train ``network`` in place and return the history.

    ``order``, ``dropout`` and ``augment`` are random streams, the last one that of ``augmentation``, which warps the
    images of every batch: running metrics are those of the warped images, exact and validation metrics those of the
    images as they are. ``score`` replaces the validation loss as the metric to select by.
    ``on_step(step, steps, loss)`` hears every step of an epoch, ``on_epoch(history)`` every epoch. Losses are those of
    the data, without the L1 and L2 penalties. Raises `Diverged` at the step whose loss is not finite.
    """
    n = len(train.images)
    batch = trainer.batch_of(n)
    steps = math.ceil(n / batch)
    trainer.check(n, len(validation.images))
    trainer.check_network(network, n)
    augmentation = augmentation or NoAugment()
    schedule.start(trainer.epochs, steps)
    optimizer.bind(network.theta, network.grad, network.n_weights)
    update = Update(network, optimizer, regularization, trainer.clip_norm)
    history, best = History(), Best(trainer, score)

    for epoch in range(1, trainer.epochs + 1):
        started = time.perf_counter()
        loss_sum, hits, norms = 0.0, 0, Norms(network, steps)
        augmentation.start_epoch(train.images, augment)
        for i, rows in enumerate(batches(n, batch, order if trainer.shuffle else None)):
            step = (epoch - 1) * steps + i
            lr = optimizer.lr * schedule.factor(step)
            images, labels, chosen = augmentation.step(train.images, train.labels, rows)
            loss, right = network.gradient(images, labels, chosen, dropout)
            if not math.isfinite(loss):
                raise diverged(network, images, chosen, epoch, step + 1, lr)
            norms.look(i)
            update(lr)
            loss_sum, hits = loss_sum + loss * (n if rows is None else len(rows)), hits + right
            if on_step:
                on_step(i + 1, steps, loss)

        row = Epoch(epoch, epoch * steps, lr, loss_sum / n, hits / n, math.nan, math.nan, norms.total, 0.0)
        if trainer.train_metrics is TrainMetrics.exact:
            row.train_loss, row.train_accuracy = network.score(train.images, train.labels)
        if len(validation.images):
            row.val_loss, row.val_accuracy = network.score(validation.images, validation.labels)
        val_is_finite = math.isfinite(row.val_loss) or not len(validation.images)
        if not (math.isfinite(row.train_loss) and val_is_finite and np.isfinite(network.theta).all()):
            raise diverged(network, images, chosen, epoch, step + 1, lr)
        if len(validation.images):
            best.consider(epoch, network, row.val_loss, validation.images)
        schedule.end_epoch(row.val_loss if len(validation.images) else row.train_loss)
        row.seconds = time.perf_counter() - started
        history.epochs.append(row)
        history.norms += norms.rows(epoch)
        history.best_epoch, history.kept_epoch = best.epoch, epoch
        history.stopped_early = best.patience_is_over(epoch) and epoch < trainer.epochs
        if on_epoch:
            on_epoch(history)
        if history.stopped_early:
            break

    if trainer.keep_best and best.epoch is not None:
        network.theta[:], network.buffers[:] = best.theta, best.buffers
        history.kept_epoch = best.epoch
    return history


def batches(n: int, batch: int, order: np.random.Generator | None) -> Iterator[np.ndarray | None]:
    """Yield the rows of each mini-batch of one epoch: a permutation cut in pieces, the last one shorter.

    ``None`` stands for all rows: a full batch needs no order.
    """
    if batch == n:
        yield None
        return
    rows = np.arange(n) if order is None else order.permutation(n)
    for start in range(0, n, batch):
        yield rows[start : start + batch]


class Update:
    """One update of the parameters after a gradient: penalties, clipping, the optimizer's rule, max-norm."""

    def __init__(
        self, network: Network, optimizer: Optimizer, regularization: Regularization, clip_norm: float | None
    ) -> None:
        self.network, self.optimizer, self.regularization, self.clip_norm = (
            network,
            optimizer,
            regularization,
            clip_norm,
        )
        self.penalty = regularization.add_gradient if regularization.has_penalty else None
        self.scratch = np.empty(network.n_weights if clip_norm else 0, network.dtype)
        weights = [block for block in network.blocks if block.is_weight]
        self.weights = [network.theta[block.part].reshape(block.shape) for block in weights]
        self.grads = [network.grad[block.part].reshape(block.shape) for block in weights]

    def __call__(self, lr: float) -> None:
        """Update with learning rate ``lr``."""
        if self.clip_norm is None:
            self.optimizer.step(
                lr, self.penalty
            )  # the penalty is added chunk by chunk, while the chunk is in the cache
        else:
            self._clip(self.clip_norm)
            self.optimizer.step(lr)
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
        self.samples: list[list[float]] = []
        self.totals: list[float] = []

    def look(self, i: int) -> None:
        """Measure the gradient of step i if its turn has come."""
        if i % self.every == 0:
            self.samples.append([grad for _, _, grad in self.network.norms()])
            self.totals.append(float(np.sqrt(np.vdot(self.network.grad, self.network.grad))))

    @property
    def total(self) -> float:
        """Return the mean norm of the whole gradient."""
        return float(np.mean(self.totals))

    def rows(self, epoch: int) -> list[tuple[int, str, float, float]]:
        """Return (epoch, layer, weight norm, mean gradient norm) rows."""
        means = np.mean(self.samples, axis=0)
        return [
            (epoch, name, weight, float(mean))
            for (name, weight, _), mean in zip(self.network.norms(), means, strict=True)
        ]


class Best:
    """The best epoch so far by the monitored metric, and its weights and statistics."""

    def __init__(self, trainer: Trainer, score: Score | None) -> None:
        self.trainer, self.score = trainer, score
        self.epoch: int | None = None
        self.value = self.reference = -math.inf
        self.waiting_since = 0
        self.theta = self.buffers = np.empty(0)

    def consider(self, epoch: int, network: Network, val_loss: float, images: np.ndarray) -> None:
        """Take this epoch's weights if they are better; an improvement below ``min_delta`` does not reset patience."""
        if self.score is None:
            value = -val_loss
        else:
            value = self.score.measure(network.predict(images)) * (1 if self.score.higher_is_better else -1)
        if self.epoch is None or value > self.value:
            if self.epoch is None or value > self.reference + self.trainer.min_delta:
                self.reference, self.waiting_since = value, epoch
            self.value, self.epoch = value, epoch
            if self.trainer.keep_best:
                self.theta, self.buffers = network.theta.copy(), network.buffers.copy()

    def patience_is_over(self, epoch: int) -> bool:
        """Return whether ``patience`` epochs have passed without an improvement."""
        return self.trainer.patience is not None and epoch - self.waiting_since >= self.trainer.patience


def diverged(
    network: Network, images: np.ndarray, rows: np.ndarray | None, epoch: int, step: int, lr: float
) -> Diverged:
    """Return the error that says where, at which rate, and what to try."""
    where = network.first_not_finite(images, rows) or "the loss"
    return Diverged(
        f"the loss is no longer finite at step {step:,} (epoch {epoch}): {where} overflowed first, with the learning "
        f"rate at {lr:.6g}; try optimizer.lr={lr / 10:.2g}, schedule.warmup=1, trainer.clip_norm=1 or another init"
    )
