"""A rehearsal of a run: everything that a run does, with a training of about a second, to find out what it costs."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mnistlab.config import schema
from mnistlab.data.dataset import Dataset
from mnistlab.models.sklearn import KNN, SVM, Fitted
from mnistlab.nn.network import Network
from mnistlab.runs import artifacts, paths
from mnistlab.runs.training_run import training_of
from mnistlab.training import checkpoint
from mnistlab.training.config import TrainMetrics
from mnistlab.training.loop import Epoch, History, TrainingLoop

SECONDS = 1.0  # of training
SCORED = 1000  # images that are scored to measure how long it takes
SAFE_LR = 1e-6  # the time of a step does not depend on the learning rate, and training must not diverge
FEWEST_ROWS = 250  # of the first part that a scikit-learn model is fitted to
STEEPEST = 3.0  # power of the number of images with which its time may grow
SUPPORT = 0.7  # power of the number of images with which the number of support vectors grows


@dataclass
class TimedTraining:
    """Trains for about a second. Then ``epoch`` is the time of an epoch, or of the whole fit of a scikit-learn model.

    ``predict_factor`` is how many times longer the full model takes to predict than the rehearsed one.
    """

    seconds: float = SECONDS
    epoch: float = math.nan
    predict_factor: float = 1.0

    def train(self, experiment: schema.Experiment, dataset: Dataset, network: Network, run: Path) -> History:
        """Train for a moment, measure an epoch, and return a history of at least one epoch."""
        experiment.optimizer.lr = SAFE_LR
        training = training_of(experiment, dataset, network)
        clock = _Clock(self.seconds)
        training.run(clock.on_step, clock.on_epoch)
        self.epoch = clock.epoch(training)
        history = training.history if training.history.epochs else _first_epoch(training)
        artifacts.write_history(run, history)
        checkpoint.save(run / paths.CHECKPOINT, training, checkpoint.Origin({}, None, 1))
        return history

    def fit(self, experiment: schema.Experiment, dataset: Dataset, threads: int) -> Fitted:
        """Fit to larger and larger parts of the images, and extrapolate the time of the last two."""
        train, model = dataset.train, experiment.model
        rows, times = min(FEWEST_ROWS, len(train)), list[tuple[int, float]]()
        mixed = np.random.default_rng(0).permutation(len(train))  # so that every part has all classes
        started = time.perf_counter()
        while True:
            part = replace(dataset, train=train.take(np.sort(mixed[:rows])))
            began = time.perf_counter()
            fitted = Fitted(model, part, experiment.seed, threads)  # type: ignore[arg-type]
            times.append((rows, time.perf_counter() - began))
            if rows == len(train) or time.perf_counter() - started > self.seconds:
                break
            rows = min(2 * rows, len(train))
        self.epoch = extrapolated(times, len(train))
        growth = len(train) / rows
        if isinstance(model, KNN):
            self.predict_factor = growth
        elif isinstance(model, SVM):
            self.predict_factor = growth**SUPPORT
        return fitted


class _Clock:
    """The times at which steps and epochs end."""

    def __init__(self, seconds: float) -> None:
        self.limit = seconds
        self.steps: list[float] = []  # ends of the steps of the current epoch
        self.lengths: list[float] = []  # of steps, without the first one, which prepares everything
        self.ends: list[float] = []  # of the epochs
        self.tail = math.nan  # from the last step of an epoch to its end

    def on_step(self, step: int, steps: int, loss: float) -> bool:
        """Take the time; return whether there has been enough of it."""
        now = time.perf_counter()
        if self.steps:
            self.lengths.append(now - self.steps[-1])
        elif self.ends and step == 1:
            self.lengths.append(now - self.ends[-1])
        self.steps.append(now)
        started = self.ends[0] if self.ends else self.steps[0]
        return len(self.lengths) > 1 and now - started > self.limit

    def on_epoch(self, history: History) -> bool:
        """Take the time; return whether there has been enough of it."""
        now = time.perf_counter()
        self.tail = now - self.steps[-1]
        self.steps = []
        self.ends.append(now)
        return len(self.ends) > 1 and now - self.ends[0] > self.limit

    def epoch(self, training: TrainingLoop) -> float:
        """Return the time of an epoch."""
        if len(self.ends) > 1:
            return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)
        step = sum(self.lengths) / len(self.lengths) if self.lengths else 0.0
        if self.ends:
            return training.steps * step + self.tail
        return training.steps * step + _scoring(training)


def _scoring(training: TrainingLoop) -> float:
    """Return the time to score what is scored after an epoch."""
    images = 0 if training.validation is None else len(training.validation.images)
    if training.trainer.train_metrics is TrainMetrics.exact:
        images += training.n
    if not images:
        return 0.0
    part = slice(0, min(SCORED, training.n))
    began = time.perf_counter()
    training.network.score(training.train.images[part], training.train.labels[part])
    return (time.perf_counter() - began) * images / part.stop


def _first_epoch(training: TrainingLoop) -> History:
    """Return a history as if the epoch that was cut short had been completed, so that everything can be drawn."""
    loss = training.loss_sum / training.weight_sum
    watched = training.validation is not None
    validation = (loss, 0.1) if watched else (math.nan, math.nan)
    row = Epoch(1, training.steps, SAFE_LR, loss, training.hits / training.n, *validation, training.norms.total, 1.0)
    return History([row], training.norms.rows(1), 1 if watched else None, 1)


def extrapolated(times: list[tuple[int, float]], rows: int) -> float:
    """Return the time for ``rows`` by the power law through the last two of (rows, time)."""
    (last, seconds), power = times[-1], 1.0
    if len(times) > 1:
        before, earlier = times[-2]
        power = math.log(seconds / earlier) / math.log(last / before)
    return float(seconds * (rows / last) ** min(max(power, 0.0), STEEPEST))


def reset_peak() -> None:
    """Let `peak_memory` count from now on, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory() -> int:
    """Return the most memory (bytes) that this process has had since `reset_peak`, or since its start."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
