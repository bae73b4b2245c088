"""Training in a run directory: progress, checkpoints, and resuming."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mnistlab.config import schema
from mnistlab.data.dataset import Dataset
from mnistlab.metrics.classification import LOWER_IS_BETTER, SCORES
from mnistlab.nn.network import Network
from mnistlab.runs import artifacts, paths
from mnistlab.system import files
from mnistlab.system.console import LOG
from mnistlab.system.errors import Pruned
from mnistlab.system.signals import Interrupted
from mnistlab.training import checkpoint
from mnistlab.training.checkpoint import Checkpoint, Origin
from mnistlab.training.components import RandomStreams
from mnistlab.training.early_stopping import Score
from mnistlab.training.loop import Diverged, History, TrainingLoop
from mnistlab.training.progress import Progress

Watch = Callable[[History], None]


def train(
    experiment: schema.Experiment,
    dataset: Dataset,
    network: Network,
    run: Path,
    origin: Origin,
    saved: Checkpoint | None = None,
    watch: Watch | None = None,
    pause_after: int | None = None,
) -> History:
    """Train to the end, from the start or from the checkpoint ``saved``; the history is written every epoch.

    A checkpoint is written at the interval ``trainer.checkpoint_every``, at the end, and when training is interrupted,
    which raises `Interrupted`. After the epoch ``pause_after`` it is written too, and `Pruned` is raised.
    """
    training = training_of(experiment, dataset, network)
    if saved:
        checkpoint.restore(saved, training, origin, schema.EPOCHS)
        LOG.info("resume  in epoch %d, after %d of %d steps", training.epoch, training.step, training.steps)
    if training.is_over:
        artifacts.write_history(run, training.history)  # interrupted after the last epoch
    watched, verbosity = len(dataset.validation) > 0, experiment.report.console.value
    progress = Progress(experiment.trainer.epochs, watched, verbosity, training.epoch - 1)
    keeper = _Keeper(training, run / paths.CHECKPOINT, origin)

    def on_step(step: int, steps: int, loss: float) -> None:
        if progress.on_step:
            progress.on_step(step, steps, loss)
        keeper.after_step()

    def on_epoch(history: History) -> None:
        progress.on_epoch(history)
        artifacts.write_history(run, history)
        keeper.after_epoch()
        if watch:
            watch(history)
        if len(history.epochs) == pause_after and not training.is_over:
            keeper.save()
            raise Pruned(f"paused after epoch {pause_after} of {experiment.trainer.epochs}")

    try:
        with _cured():
            history = training.run(on_step if progress.on_step or keeper.seconds else None, on_epoch)
    except KeyboardInterrupt:
        raise Interrupted(keeper.interrupted()) from None
    finally:
        progress.close()
    training.keep_best()
    if history.stopped_early:
        LOG.info(
            "stopped after epoch %d: validation %s has not improved for %s epochs",
            len(history.epochs),
            experiment.trainer.monitor,
            experiment.trainer.patience,
        )
    if history.kept_epoch != len(history.epochs):
        LOG.info("keeping the weights of epoch %d", history.kept_epoch)
    return history


def learn(experiment: schema.Experiment, dataset: Dataset, network: Network) -> None:
    """Train from start to end without writing files: for a fold of a grid search, or a panel of decision regions."""
    training = training_of(experiment, dataset, network)
    with _cured():
        training.run()
    training.keep_best()


@contextmanager
def _cured() -> Iterator[None]:
    """Add to the error of a diverged training which keys to change."""
    try:
        yield
    except Diverged as error:
        cure = f"try optimizer.lr={error.lr / 10:.2g}, schedule.warmup=1, trainer.clip_norm=1 or another init"
        raise Diverged(f"{error}; {cure}", error.where, error.lr) from None


def learned(network: Network, history: History) -> dict[str, Any]:
    """Return the entries of a training in metrics.json."""
    return {
        "parameters": int(network.theta.size),
        "epochs": len(history.epochs),
        "best_epoch": history.best_epoch,  # on the validation set, by trainer.monitor
        "kept_epoch": history.kept_epoch,
        "stopped_early": history.stopped_early,
    }


def training_of(experiment: schema.Experiment, dataset: Dataset, network: Network) -> TrainingLoop:
    """Return the training loop of an experiment before its first step, with the random streams of its seed."""
    monitor, score, validation = experiment.trainer.monitor, None, dataset.validation
    if monitor != "loss":
        score = Score(lambda probs: SCORES[monitor](validation.labels, probs), monitor not in LOWER_IS_BETTER)
    streams = RandomStreams.from_seed(experiment.seed)
    return TrainingLoop(network, dataset.train, validation, experiment.components, streams, score)


class _Keeper:
    """Writes the checkpoint of a training when it is due."""

    def __init__(self, training: TrainingLoop, path: Path, origin: Origin) -> None:
        self.training, self.path, self.origin = training, path, origin
        self.seconds = training.trainer.checkpoint_seconds
        self.saved_at = time.monotonic()

    def save(self) -> None:
        checkpoint.save(self.path, self.training, self.origin)
        self.saved_at = time.monotonic()

    def after_step(self) -> None:
        if self.seconds and time.monotonic() - self.saved_at > self.seconds:
            self.save()

    def after_epoch(self) -> None:
        every, done = self.training.trainer.checkpoint_every, self.training.epoch - 1
        if self.training.is_over or (isinstance(every, int) and done % every == 0):
            self.save()

    def interrupted(self) -> str:
        """Write the last state and return the message; within a step, the previous checkpoint is kept."""
        epoch, step, steps = self.training.epoch, self.training.step, self.training.steps
        try:
            if self.training.whole:
                self.save()
                return f"interrupted at epoch {epoch}, step {step} of {steps}"
            reason = "in the middle of a step"
        except OSError as error:
            reason = f"{files.shown(self.path)} could not be written, {error.strerror or error}"
        return (
            f"interrupted at epoch {epoch}, step {step} of {steps}; the checkpoint is from an earlier step ({reason})"
        )
