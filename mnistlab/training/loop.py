"""The training loop: mini-batches in, history out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from itertools import islice
from typing import Any, Protocol

import numpy as np

from mnistlab.data.augmentation import Augment, NoAugment
from mnistlab.nn.network import Network
from mnistlab.nn.optimizers import Optimizer
from mnistlab.nn.regularization import Regularization
from mnistlab.nn.schedules import Schedule
from mnistlab.system.errors import RunError
from mnistlab.system.signals import UNDIVIDED
from mnistlab.training.config import TrainerConfig, TrainMetrics
from mnistlab.training.early_stopping import Best, Score
from mnistlab.training.step import Norms, Update


class LabelledImages(Protocol):
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


class Diverged(RunError):
    """The loss is no longer a finite number: ``where`` overflowed first, with the learning rate at ``lr``.

    The message says so; the caller, who knows what the rate is called, adds what to try.
    """

    def __init__(self, message: str, where: str = "", lr: float = math.nan) -> None:
        super().__init__(message)
        self.where, self.lr = where, lr


class TrainingLoop:
    """A network in training: all that decides how it goes on, and the loop that moves it on.

    ``epoch`` and ``step`` name the step that comes next. The state between two steps is whole, and the way from one to
    the next is either gone to its end or, where an interruption (KeyboardInterrupt) cuts the gradient short, not begun:
    `state` then still says where the step set out. The order of an epoch and what augmentation draws for it are drawn
    again from the streams as they were when it began, so a checkpoint inside an epoch holds neither.

    ``order``, ``dropout`` and ``augment`` are random streams, the last one that of ``augmentation``, which warps the
    images of every batch: running metrics are those of the warped images, exact and validation metrics those of the
    images as they are. ``score`` replaces the validation loss as the metric to select by.
    """

    step: int
    loss_sum: float
    hits: int
    seconds: float
    since: float  # when the epoch began, less the seconds it had taken before
    norms: Norms
    buffers: np.ndarray
    streams: dict[str, Any]

    def __init__(
        self,
        network: Network,
        train: LabelledImages,
        validation: LabelledImages,
        optimizer: Optimizer,
        schedule: Schedule,
        regularization: Regularization,
        trainer: TrainerConfig,
        order: np.random.Generator,
        dropout: np.random.Generator,
        augment: np.random.Generator | None = None,
        augmentation: Augment | None = None,
        score: Score | None = None,
    ) -> None:
        self.network, self.train, self.validation, self.trainer = network, train, validation, trainer
        self.optimizer, self.schedule, self.augmentation = optimizer, schedule, augmentation or NoAugment()
        self.order, self.dropout, self.augment = order, dropout, augment
        self.n = len(train.images)
        self.batch = trainer.batch_of(self.n)
        self.steps = math.ceil(self.n / self.batch)
        trainer.check(self.n, len(validation.images))
        trainer.check_network(network, self.n)
        schedule.start(trainer.epochs, self.steps)
        optimizer.bind(network.theta, network.grad, network.n_weights)
        self.update = Update(network, optimizer, regularization, trainer.clip_norm)
        self.history, self.best = History(), Best(score, trainer.patience, trainer.min_delta)
        self.epoch, self.whole = 1, True
        self._begin_epoch()

    @property
    def is_over(self) -> bool:
        """Whether no step is left."""
        done = self.epoch - 1
        return done >= self.trainer.epochs or self.best.patience_is_over(done)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step of this epoch, counted from 0."""
        return self.optimizer.lr * self.schedule.factor((self.epoch - 1) * self.steps + step)

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what is not finite is found, and said, below
    def run(
        self,
        on_step: Callable[[int, int, float], None] | None = None,
        on_epoch: Callable[[History], None] | None = None,
    ) -> History:
        """Train to the end. Raises `Diverged` at the step whose loss is not finite.

        ``on_step(step, steps, loss)`` hears every step of an epoch, ``on_epoch(history)`` every epoch.
        """
        network, train = self.network, self.train
        self._rewind()
        while not self.is_over:
            self.since = time.perf_counter() - self.seconds
            self.augmentation.start_epoch(train.images, self.augment)
            all_rows = batches(self.n, self.batch, self.order if self.trainer.shuffle else None)
            for rows in islice(all_rows, self.step, None):
                lr = self.rate(self.step)
                images, labels, chosen = self.augmentation.step(train.images, train.labels, rows)
                loss, right = network.gradient(images, labels, chosen, self.dropout)
                if not math.isfinite(loss):
                    raise self._diverged(images, chosen, self.step)
                with UNDIVIDED:
                    self._take_step(lr, loss * (self.n if rows is None else len(rows)), right)
                if on_step:
                    on_step(self.step, self.steps, loss)

            row, value = self._measure()
            with UNDIVIDED:
                self._end_epoch(row, value)
            if on_epoch:
                on_epoch(self.history)
        return self.history

    def keep_best(self) -> None:
        """Give the network the weights of the best epoch, if that is the one to be kept; the training is then over."""
        if self.trainer.keep_best and self.best.epoch is not None:
            self.network.theta[:], self.network.buffers[:] = self.best.theta, self.best.buffers
            self.history.kept_epoch = self.best.epoch

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the state between two steps: plain values, and arrays (views, not copies)."""
        values = {
            "epoch": self.epoch,
            "step": self.step,
            "loss_sum": self.loss_sum,
            "hits": self.hits,
            "seconds": time.perf_counter() - self.since if self.step else 0.0,
            "optimizer_steps": self.optimizer.steps,
            "schedule": self.schedule.state(),
            "best": self.best.state(),
            "streams": self.streams,
        }
        rows = np.array([astuple(row) for row in self.history.epochs]).reshape(-1, len(Epoch.__dataclass_fields__))
        arrays = {
            "theta": self.network.theta,
            "buffers": self.buffers,
            **{f"optimizer.{i}": slot for i, slot in enumerate(self.optimizer.state)},
            "history": rows,
            "norms": np.array([norms for _, _, *norms in self.history.norms]).reshape(-1, 2),
            "norm_samples": np.array(self.norms.samples).reshape(-1, self.norms.layers),
            "norm_totals": np.array(self.norms.totals),
        }
        if self.best.epoch is not None:
            arrays |= {"best.theta": self.best.theta, "best.buffers": self.best.buffers}
        return values, arrays

    def restore(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Go back to what `state` returned, of this network and this data; the caller has checked it."""
        np.copyto(self.network.theta, arrays["theta"])
        np.copyto(self.buffers, arrays["buffers"])
        for i, slot in enumerate(self.optimizer.state):
            np.copyto(slot, arrays[f"optimizer.{i}"])
        self.optimizer.steps = values["optimizer_steps"]
        self.schedule.restore(values["schedule"])
        self.best.restore(values["best"], arrays)
        self.streams = dict(values["streams"])
        self.epoch, self.step = values["epoch"], values["step"]
        self.loss_sum, self.hits, self.seconds = values["loss_sum"], values["hits"], values["seconds"]
        self.norms.samples, self.norms.totals = arrays["norm_samples"].tolist(), arrays["norm_totals"].tolist()
        history = History([Epoch(int(epoch), int(step), *row) for epoch, step, *row in arrays["history"].tolist()])
        names = [name for name, *_ in self.network.norms()]
        keys = [(row.epoch, name) for row in history.epochs for name in names]
        history.norms = [(*key, *norms) for key, norms in zip(keys, arrays["norms"].tolist(), strict=True)]
        self.history = history
        self._note()
        self._rewind()

    def _begin_epoch(self) -> None:
        self.step, self.loss_sum, self.hits, self.seconds = 0, 0.0, 0, 0.0
        self.since = time.perf_counter()
        self.norms = Norms(self.network, self.steps)
        self.buffers = self.network.buffers.copy()  # as they were before the step that comes next
        named = {"order": self.order, "dropout": self.dropout, "augment": self.augment}
        self.streams = {name: rng.bit_generator.state for name, rng in named.items() if rng is not None}

    def _take_step(self, lr: float, loss: float, right: int) -> None:
        self.whole = False
        self.norms.look(self.step)
        self.update(lr)
        self.loss_sum, self.hits, self.step = self.loss_sum + loss, self.hits + right, self.step + 1
        self.streams["dropout"] = self.dropout.bit_generator.state
        np.copyto(self.buffers, self.network.buffers)
        self.whole = True

    def _measure(self) -> tuple[Epoch, float]:
        """Return the row of the epoch whose steps are done, and the value that selects."""
        network, train, validation = self.network, self.train, self.validation
        nothing, step, lr = math.nan, self.epoch * self.steps, self.rate(self.steps - 1)
        loss, accuracy = self.loss_sum / self.n, self.hits / self.n
        row = Epoch(self.epoch, step, lr, loss, accuracy, nothing, nothing, self.norms.total, nothing)
        if self.trainer.train_metrics is TrainMetrics.exact:
            row.train_loss, row.train_accuracy = network.score(train.images, train.labels)
        if len(validation.images):
            row.val_loss, row.val_accuracy = network.score(validation.images, validation.labels)
        val_is_finite = math.isfinite(row.val_loss) or not len(validation.images)
        if not (math.isfinite(row.train_loss) and val_is_finite and np.isfinite(network.theta).all()):
            raise self._diverged(train.images, None, self.steps - 1)
        value = self.best.measure(network, row.val_loss, validation.images) if len(validation.images) else nothing
        row.seconds = time.perf_counter() - self.since
        return row, value

    def _end_epoch(self, row: Epoch, value: float) -> None:
        self.whole = False
        if len(self.validation.images):
            self.best.take(self.epoch, value, self.network)
        self.schedule.end_epoch(row.val_loss if len(self.validation.images) else row.train_loss)
        self.history.epochs.append(row)
        self.history.norms += self.norms.rows(self.epoch)
        self.epoch += 1
        self._note()
        self._begin_epoch()
        self.whole = True

    def _note(self) -> None:
        done, history = self.epoch - 1, self.history
        history.best_epoch, history.kept_epoch = self.best.epoch, done
        history.stopped_early = self.best.patience_is_over(done) and done < self.trainer.epochs

    def _rewind(self) -> None:
        """Put statistics and random streams back to where the step that comes next sets out."""
        np.copyto(self.network.buffers, self.buffers)
        for name, state in self.streams.items():
            getattr(self, name).bit_generator.state = state

    def _diverged(self, images: np.ndarray, rows: np.ndarray | None, step: int) -> Diverged:
        """Return the error that says where, and at which rate."""
        where, lr = self.network.first_not_finite(images, rows) or "the loss", self.rate(step)
        return Diverged(
            f"the loss is no longer finite at step {(self.epoch - 1) * self.steps + step + 1:,} (epoch {self.epoch}): "
            f"{where} overflowed first, with the learning rate at {lr:.6g}",
            where,
            lr,
        )


def fit(
    network: Network,
    train: LabelledImages,
    validation: LabelledImages,
    optimizer: Optimizer,
    schedule: Schedule,
    regularization: Regularization,
    trainer: TrainerConfig,
    order: np.random.Generator,
    dropout: np.random.Generator,
    augment: np.random.Generator | None = None,
    augmentation: Augment | None = None,
    score: Score | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
    on_epoch: Callable[[History], None] | None = None,
) -> History:
    """Train ``network`` in place from start to end and return the history: a `TrainingLoop` that nothing interrupts.

    ``on_step(step, steps, loss)`` hears every step of an epoch, ``on_epoch(history)`` every epoch. Losses are those of
    the data, without the L1 and L2 penalties. Raises `Diverged` at the step whose loss is not finite.
    """
    training = TrainingLoop(
        network,
        train,
        validation,
        optimizer,
        schedule,
        regularization,
        trainer,
        order,
        dropout,
        augment,
        augmentation,
        score,
    )
    training.run(on_step, on_epoch)
    training.keep_best()
    return training.history


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
