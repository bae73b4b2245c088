"""The training loop: mini-batches in, history out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import astuple, dataclass, field
from itertools import islice
from typing import Any, Protocol

import numpy as np

from mnistlab.data.augmentation import Batch
from mnistlab.nn.network import Network
from mnistlab.system.errors import RunError
from mnistlab.system.signals import UNDIVIDED
from mnistlab.training.averaging import average_of
from mnistlab.training.components import Components, RandomStreams
from mnistlab.training.config import TrainMetrics
from mnistlab.training.early_stopping import EarlyStopping, Score, StoppingRule
from mnistlab.training.step import Norms, Update

OnStep = Callable[[int, int, float], bool | None]
OnEpoch = Callable[["History"], bool | None]


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
    """The history of a training: one row per epoch, norms per layer and epoch, and the epoch of the kept weights."""

    epochs: list[Epoch] = field(default_factory=list)
    norms: list[tuple[int, str, float, float]] = field(default_factory=list)  # epoch, layer, weights, gradient
    best_epoch: int | None = None
    kept_epoch: int = 0
    stopped_early: bool = False


class Diverged(RunError):
    """The loss is no longer finite: ``where`` overflowed first, at the learning rate ``lr``.

    The caller, which has the key of the learning rate, adds what to try.
    """

    def __init__(self, message: str, where: str = "", lr: float = math.nan) -> None:
        super().__init__(message)
        self.where, self.lr = where, lr


class TrainingLoop:
    """A network in training: its complete state, and the training loop.

    ``epoch`` and ``step`` are those of the next step. The state between two steps is consistent: a step is either
    completed or, if an interruption (KeyboardInterrupt) cuts its gradient short, not begun, and `state` then still
    returns the state before the step. The order of an epoch and the random numbers of augmentation are drawn again from
    the streams in their state at its start, so a checkpoint within an epoch contains neither.

    Augmentation changes the images of every batch: running metrics are those of the changed images, exact and
    validation metrics those of the original images. With an average of the weights (``ema`` or ``swa``), exact
    and validation metrics and the kept weights are those of the average, once there is one. Without ``validation``, or
    if it is empty, nothing is measured after an epoch, and the weights of the last one are kept. ``score`` replaces the
    validation loss as the metric for selection. ``weights`` (n,) are the weights of the training images. Without
    ``records_norms``, the history has no norms.
    """

    step: int
    loss_sum: float
    weight_sum: float
    hits: int
    seconds: float
    since: float  # start of the epoch, minus the seconds spent on it before
    norms: Norms
    buffers: np.ndarray
    stream_states: dict[str, Any]

    def __init__(
        self,
        network: Network,
        train: LabelledImages,
        validation: LabelledImages | None,
        components: Components,
        streams: RandomStreams,
        score: Score | None = None,
        weights: np.ndarray | None = None,
        records_norms: bool = True,
    ) -> None:
        self.network, self.train, self.weights = network, train, weights
        self.validation = validation if validation is not None and len(validation.images) else None
        self.optimizer, self.schedule, self.trainer = components.optimizer, components.schedule, components.trainer
        self.augmentation, self.streams, self.score = components.augmentation, streams, score
        self.records_norms = records_norms
        self.n = len(train.images)
        self.batch = self.trainer.batch_of(self.n)
        self.steps = math.ceil(self.n / self.batch)
        self.trainer.check(self.n, 0 if self.validation is None else len(self.validation.images))
        self.trainer.check_network(network, self.n)
        self.schedule.start(self.trainer.epochs, self.steps)
        self.optimizer.bind(network.theta, network.grad, network.n_weights)
        self.update = Update(network, self.optimizer, components.regularization, self.trainer.clip_norm)
        self.average = average_of(self.trainer, network, self.steps)
        self.history = History()
        self.best = EarlyStopping(StoppingRule(self.trainer.patience, self.trainer.min_delta))
        self.epoch, self.whole = 1, True
        self._begin_epoch()

    @property
    def is_over(self) -> bool:
        """Whether training has no steps left."""
        done = self.epoch - 1
        return done >= self.trainer.epochs or self.best.stops_after(done)

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")  # values that are not finite are detected below
    def run(self, on_step: OnStep | None = None, on_epoch: OnEpoch | None = None) -> History:
        """Train to the end and return the history. Raises `Diverged` at the first step whose loss is not finite.

        ``on_step(step, steps, loss)`` is called after every step of an epoch, ``on_epoch(history)`` after every epoch;
        training ends early if one of them returns True.
        """
        network, train, weights = self.network, self.train, self.weights
        self._rewind()
        while not self.is_over:
            self.since = time.perf_counter() - self.seconds
            self.augmentation.start_epoch(train.images, self.streams.augment)
            all_rows = batches(self.n, self.batch, self.streams.order if self.trainer.shuffle else None)
            for rows in islice(all_rows, self.step, None):
                batch = Batch(*self.augmentation.step(train.images, train.labels, rows))
                batch_weights = weights if weights is None or rows is None else weights[rows]
                loss, hits = network.gradient(*batch[:3], self.streams.dropout, batch_weights, batch.mixture)
                if not math.isfinite(loss):
                    raise self._diverged(batch.images, batch.rows, self.step)
                size = self.n if rows is None else len(rows)
                with UNDIVIDED:
                    self._take_step(loss, hits, size if batch_weights is None else float(batch_weights.sum()))
                if on_step and on_step(self.step, self.steps, loss):
                    return self.history

            row, value = self._measure()
            with UNDIVIDED:
                self._end_epoch(row, value)
            if on_epoch and on_epoch(self.history):
                break
        return self.history

    def keep_best(self) -> None:
        """Put the kept weights into the network, after which training must not continue.

        They are those of the best epoch if that is selected, otherwise the average if there is one.
        """
        if self.trainer.keep_best and self.best.epoch is not None:
            self.best.restore_weights(self.network)
            self.history.kept_epoch = self.best.epoch
        elif self.average:
            self.average.keep(self.optimizer.steps)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the state between two steps: plain values, and arrays (views, not copies)."""
        if self.average:
            self.average.put_back()
        values = {
            "epoch": self.epoch,
            "step": self.step,
            "loss_sum": self.loss_sum,
            "hits": self.hits,
            "seconds": time.perf_counter() - self.since if self.step else 0.0,
            "optimizer_steps": self.optimizer.steps,
            "schedule": self.schedule.state(),
            "best": self.best.state(),
            "streams": self.stream_states,
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
        if self.average:
            arrays |= {"average.theta": self.average.theta, "average.buffers": self.average.buffers}
        if self.best.epoch is not None:
            arrays |= {"best.theta": self.best.theta, "best.buffers": self.best.buffers}
        return values, arrays

    def restore(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Restore the state that `state` returned for this network and data; the caller must have checked it."""
        np.copyto(self.network.theta, arrays["theta"])
        np.copyto(self.buffers, arrays["buffers"])
        slots = [arrays[f"optimizer.{i}"] for i in range(self.optimizer.slots)]
        self.optimizer.restore(values["optimizer_steps"], slots)
        self.schedule.restore(values["schedule"])
        if self.average:
            np.copyto(self.average.theta, arrays["average.theta"])
            np.copyto(self.average.buffers, arrays["average.buffers"])
        self.best.restore(values["best"], arrays)
        self.stream_states = dict(values["streams"])
        self.epoch, self.step = values["epoch"], values["step"]
        self.loss_sum, self.hits, self.seconds = values["loss_sum"], values["hits"], values["seconds"]
        self.weight_sum = float(min(self.step * self.batch, self.n))
        self.norms.samples, self.norms.totals = arrays["norm_samples"].tolist(), arrays["norm_totals"].tolist()
        history = History([Epoch(int(epoch), int(step), *row) for epoch, step, *row in arrays["history"].tolist()])
        names = [name for name, *_ in self.network.norms()]
        keys = [(row.epoch, name) for row in history.epochs for name in names]
        history.norms = [(*key, *norms) for key, norms in zip(keys, arrays["norms"].tolist(), strict=True)]
        self.history = history
        self._note()
        self._rewind()

    def _begin_epoch(self) -> None:
        self.step, self.loss_sum, self.weight_sum, self.hits, self.seconds = 0, 0.0, 0.0, 0, 0.0
        self.since = time.perf_counter()
        self.norms = Norms(self.network, self.steps)
        self.buffers = self.network.buffers.copy()  # their values before the next step
        self.stream_states = self.streams.state()

    def _factor(self, step: int) -> float:
        """Return the schedule's factor for a step of this epoch, counted from 0."""
        return self.schedule.factor((self.epoch - 1) * self.steps + step)

    def _take_step(self, loss: float, hits: int, batch_weight: float) -> None:
        self.whole = False
        if self.records_norms:
            self.norms.look(self.step)
        self.update(self._factor(self.step), batch_weight)
        self.loss_sum, self.weight_sum = self.loss_sum + loss * batch_weight, self.weight_sum + batch_weight
        self.hits, self.step = self.hits + hits, self.step + 1
        self.stream_states["dropout"] = self.streams.dropout.bit_generator.state
        np.copyto(self.buffers, self.network.buffers)
        if self.average:
            self.average.take(self.optimizer.steps)
        self.whole = True

    def _measure(self) -> tuple[Epoch, float]:
        """Return the history row of the completed epoch, and its value for selection, of the weights to be kept."""
        if self.average is None:
            return self._measure_network()
        self.average.measure(self.train.images, self.optimizer.steps)
        with self.average.in_network(self.optimizer.steps):
            return self._measure_network()

    def _measure_network(self) -> tuple[Epoch, float]:
        network, train, validation, nothing = self.network, self.train, self.validation, math.nan
        step, lr = self.epoch * self.steps, self.optimizer.rate(self._factor(self.steps - 1))
        loss, accuracy = self.loss_sum / self.weight_sum, self.hits / self.n
        row = Epoch(self.epoch, step, lr, loss, accuracy, nothing, nothing, self.norms.total, nothing)
        if self.trainer.train_metrics is TrainMetrics.exact:
            row.train_loss, row.train_accuracy = network.score(train.images, train.labels)
        if validation is not None:
            row.val_loss, row.val_accuracy = network.score(validation.images, validation.labels)
        val_is_finite = validation is None or math.isfinite(row.val_loss)
        if not (math.isfinite(row.train_loss) and val_is_finite and np.isfinite(network.theta).all()):
            raise self._diverged(train.images, None, self.steps - 1)
        value = -row.val_loss
        if validation is not None and self.score is not None:
            value = self.score.value(network, validation.images)
        row.seconds = time.perf_counter() - self.since
        return row, value

    def _end_epoch(self, row: Epoch, value: float) -> None:
        self.whole = False
        if self.validation is not None:
            with self.average.in_network(self.optimizer.steps) if self.average else nullcontext():
                self.best.take(self.epoch, value, self.network)
        self.schedule.end_epoch(row.train_loss if self.validation is None else row.val_loss)
        self.history.epochs.append(row)
        self.history.norms += self.norms.rows(self.epoch)
        self.epoch += 1
        self._note()
        self._begin_epoch()
        self.whole = True

    def _note(self) -> None:
        done, history = self.epoch - 1, self.history
        history.best_epoch, history.kept_epoch = self.best.epoch, done
        history.stopped_early = self.best.stops_after(done) and done < self.trainer.epochs

    def _rewind(self) -> None:
        """Reset statistics and random streams to their state before the next step."""
        if self.average:
            self.average.put_back()
        np.copyto(self.network.buffers, self.buffers)
        self.streams.restore(self.stream_states)

    def _diverged(self, images: np.ndarray, rows: np.ndarray | None, step: int) -> Diverged:
        """Return the error, with the layer and the learning rate."""
        where = self.network.first_not_finite(images, rows) or "the loss"
        lr = self.optimizer.rate(self._factor(step))
        return Diverged(
            f"the loss is no longer finite at step {(self.epoch - 1) * self.steps + step + 1:,} (epoch {self.epoch}): "
            f"{where} overflowed first, with the learning rate at {lr:.6g}",
            where,
            lr,
        )


def fit(
    network: Network,
    train: LabelledImages,
    validation: LabelledImages | None,
    components: Components,
    streams: RandomStreams,
    score: Score | None = None,
    on_step: OnStep | None = None,
    on_epoch: OnEpoch | None = None,
) -> History:
    """Train ``network`` in place from start to end with a `TrainingLoop` and return the history.

    ``on_step`` and ``on_epoch`` are those of `TrainingLoop.run`. Losses do not include the L1 and L2
    penalties. Raises `Diverged` at the first step whose loss is not finite.
    """
    training = TrainingLoop(network, train, validation, components, streams, score)
    training.run(on_step, on_epoch)
    training.keep_best()
    return training.history


def batches(n: int, batch: int, order: np.random.Generator | None) -> Iterator[np.ndarray | None]:
    """Yield the rows of each mini-batch of one epoch: pieces of a permutation, of which the last may be shorter.

    ``None`` means all rows: a full batch needs no order.
    """
    if batch == n:
        yield None
        return
    rows = np.arange(n) if order is None else order.permutation(n)
    for start in range(0, n, batch):
        yield rows[start : start + batch]
