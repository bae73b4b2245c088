"""One experiment, in a straight line: config -> data -> fit -> predict -> evaluate -> report."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from threadpoolctl import threadpool_limits

import mnistlab
from mnistlab import config, console, files, model_file, report
from mnistlab.console import LOG, RESULT
from mnistlab.data import Dataset, load
from mnistlab.environment import environment
from mnistlab.errors import RequestError, RunError
from mnistlab.evaluate import HIGHER_IS_BETTER, SCORES
from mnistlab.nn import Network
from mnistlab.streams import stream
from mnistlab.train import History, Score, fit

THREADS_PAY_FROM = 5_000_000  # multiply-adds of a layer: below, two BLAS threads mostly wait for each other


@dataclass
class Outcome:
    """How a run ended: its exit status, and the message where it failed."""

    status: int = 0
    message: str = ""
    directory: Path | None = None


@dataclass
class Status:
    """status.json: running, completed, failed or interrupted, with times and the error."""

    path: Path
    config_hash: str
    started: str = field(default_factory=lambda: _now())
    seconds: dict[str, float] = field(default_factory=dict)

    def write(self, state: str, error: str | None = None) -> None:
        """Write the state."""
        content = {
            "state": state,
            "config_hash": self.config_hash,
            "started": self.started,
            "finished": None if state == "running" else _now(),
            "seconds": {name: round(seconds, 4) for name, seconds in self.seconds.items()},
            "error": error,
            "pid": os.getpid(),
            "mnistlab": mnistlab.__version__,
        }
        files.write_json(self.path, content)

    def timed(self, name: str) -> _Timer:
        """Measure a phase."""
        return _Timer(self.seconds, name)


class _Timer:
    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self.seconds, self.name = seconds, name

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.name] = time.perf_counter() - self.started


def task(cfg: DictConfig) -> Outcome:
    """Run one experiment in the directory that Hydra made. Every failure is an `Outcome`, never an exception.

    A request that turns out wrong before training leaves nothing behind; a run that fails later keeps what it wrote.
    """
    run = Path(HydraConfig.get().runtime.output_dir)
    status = Status(run / "status.json", "")
    if status.path.exists():  # another run's: nothing of it may be touched
        return Outcome(2, f"hydra.run.dir={_shown(run)}: it already holds a run; choose another directory")
    console.start("normal")
    try:
        made = config.experiment(cfg)
        status.config_hash = config.config_hash(cfg)
        status.write("running")
        console.start(made.report.console.value, run / "train.log")
        _run(made, run, status)
    except RequestError as error:
        if HydraConfig.get().mode is RunMode.RUN and _forget(run):
            return Outcome(2, str(error))
        return Outcome(2, _failed(status, str(error), run).message)
    except (RunError, OSError, MemoryError) as error:
        return _failed(status, _message(error), run)
    except KeyboardInterrupt:
        _write_quietly(status, "interrupted", None)
        raise
    except Exception as error:
        LOG.debug("traceback", exc_info=True)
        shown = (
            f"is in {_shown(run / 'train.log')}" if (run / "train.log").exists() else "comes with HYDRA_FULL_ERROR=1"
        )
        message = f"{type(error).__name__}: {error}; the traceback {shown}"
        outcome = _failed(status, message, run)
        if os.environ.get("MNISTLAB_TRACEBACK") == "1":
            raise
        return outcome
    finally:
        console.stop()
    return Outcome(0, "", run)


def _run(made: config.Experiment, run: Path, status: Status) -> None:
    with status.timed("load"):
        dataset = load_data(made)
    network = build(made, dataset)
    threads = choose_threads(made, network, len(dataset.train))
    data = {"name": dataset.name, **dataset.provenance}
    command = ["mnistlab", "train", *HydraConfig.get().overrides.task]
    files.write_json(run / "environment.json", environment(made.seed, threads, data, command, status.config_hash))
    _announce(made, dataset, network, threads)

    with threadpool_limits(threads):
        with status.timed("train"):
            history = train(made, dataset, network, run)
        with status.timed("evaluate"):
            model_file.save_model(run / "model.safetensors", network, dataset.class_names)
            parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
            predictions = {name: network.predict(part.images) for name, part in parts.items()}
            summary = {
                "config_hash": status.config_hash,
                "data_sha256": dataset.provenance.get("sha256"),
                "seed": made.seed,
                "parameters": int(network.theta.size),
                "epochs": len(history.epochs),
                "best_epoch": history.best_epoch,  # on the validation part, by trainer.monitor
                "kept_epoch": history.kept_epoch,
                "stopped_early": history.stopped_early,
            }
            metrics = report.write_results(run, dataset, predictions, summary)
    with status.timed("plots"):
        drawn = report.draw(run, made.report.plots)
    for path in drawn:
        LOG.debug("wrote %s", path)
    status.write("completed")
    LOG.log(RESULT, "%s", console.result_block(metrics, _shown(run)))


def load_data(made: config.Experiment) -> Dataset:
    """Return the dataset of an experiment, and refuse a trainer that does not go with it."""
    with config.prefixed("data"):
        dataset = load(made.data, stream(made.seed, "split"))
    with config.prefixed("trainer"):
        made.trainer.check(len(dataset.train), len(dataset.validation))
    with config.prefixed("schedule"):
        made.schedule.start(made.trainer.epochs, 1)
    return dataset


def build(made: config.Experiment, dataset: Dataset) -> Network:
    """Return the initialised network of an experiment."""
    height, width = dataset.train.images.shape[1:]
    with config.prefixed("model"):
        network = made.model.network(
            (height, width), len(dataset.class_names), made.regularization, dataset.shift, dataset.scale
        )
    network.initialise(made.init, stream(made.seed, "init"))
    return network


def train(made: config.Experiment, dataset: Dataset, network: Network, run: Path) -> History:
    """Train, writing history after every epoch and a checkpoint every half minute and at the end."""
    streams = {name: stream(made.seed, name) for name in ("order", "dropout")}
    validation = dataset.validation
    progress = console.Progress(made.trainer.epochs, len(validation) > 0, made.report.console.value)
    monitor = made.trainer.monitor
    score = None
    if monitor != "loss":
        score = Score(lambda probs: SCORES[monitor](validation.labels, probs), monitor in HIGHER_IS_BETTER)
    saved_at = time.monotonic()

    def on_epoch(history: History) -> None:
        nonlocal saved_at
        progress.on_epoch(history)
        report.write_history(run, history)
        epoch = len(history.epochs)
        last = history.stopped_early or epoch == made.trainer.epochs  # before the best epoch's weights are restored
        if last or time.monotonic() - saved_at > 30:
            checkpoint(epoch)
            saved_at = time.monotonic()

    def checkpoint(epoch: int) -> None:
        model_file.save_checkpoint(run / "checkpoint.safetensors", network, made.optimizer, streams, epoch)

    try:
        history = fit(
            network,
            dataset.train,
            validation,
            made.optimizer,
            made.schedule,
            made.regularization,
            made.trainer,
            score=score,
            on_step=progress.on_step,
            on_epoch=on_epoch,
            **streams,
        )
    finally:
        progress.close()
    if history.stopped_early:
        LOG.info(
            "stopped after epoch %d: validation %s has not improved for %s epochs",
            len(history.epochs),
            monitor,
            made.trainer.patience,
        )
    if history.kept_epoch != len(history.epochs):
        LOG.info("kept the weights of epoch %d", history.kept_epoch)
    return history


def choose_threads(made: config.Experiment, network: Network, n: int) -> int:
    """Return the number of BLAS threads: what ``trainer.threads`` says, or for auto one unless the layers are large."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = made.trainer.threads
    if asked != "auto":
        return int(asked)
    batch = made.trainer.batch_of(n)
    largest = max((block.part.stop - block.part.start for block in network.blocks if block.is_weight), default=0)
    return cores if largest * batch >= THREADS_PAY_FROM else 1


def _announce(made: config.Experiment, dataset: Dataset, network: Network, threads: int) -> None:
    height, width = network.image_shape
    sizes = " + ".join(
        f"{len(part):,} {name}"
        for name, part in (("training", dataset.train), ("validation", dataset.validation), ("test", dataset.test))
        if len(part)
    )
    LOG.info("data    %s, %d x %d pixels, %d classes: %s", dataset.name, height, width, len(dataset.class_names), sizes)
    shapes = [
        str(height * width),
        *(str(shape[0]) for layer, shape in zip(network.layers, network.shapes, strict=True) if layer.weights()),
    ]
    LOG.info("model   %s, %s parameters", " - ".join(shapes), f"{network.theta.size:,}")
    optimizer = type(made.optimizer).__name__
    batch = made.trainer.batch_size if made.trainer.batch_size == "full" else f"of {made.trainer.batch_size}"
    LOG.info(
        "train   %s, lr %g, batches %s, %d epochs, seed %d, BLAS threads %d",
        optimizer,
        made.optimizer.lr,
        batch,
        made.trainer.epochs,
        made.seed,
        threads,
    )
    LOG.debug("data from %s", dataset.provenance)


def _failed(status: Status, message: str, run: Path) -> Outcome:
    LOG.debug("failed: %s", message)
    _write_quietly(status, "failed", message)
    return Outcome(1, message, run)


def _write_quietly(status: Status, state: str, error: str | None) -> None:
    try:
        status.write(state, error)
    except OSError:
        LOG.debug("status.json could not be written", exc_info=True)


def _message(error: BaseException) -> str:
    if isinstance(error, OSError):
        place = _shown(Path(error.filename)) if error.filename else "a file of the run"
        return f"{place}: {error.strerror or error}; make room, or choose another place with hydra.run.dir=DIR"
    if isinstance(error, MemoryError):
        return f"out of memory ({error}); try a smaller trainer.batch_size or model"
    return str(error)


def _forget(run: Path) -> bool:
    """Remove a directory that was made for this run and in which nothing has happened, and then empty folders above."""
    nothing = {".hydra", "status.json", "train.log"}
    if run.absolute() not in config.CLAIMED or not {path.name for path in run.iterdir()} <= nothing:
        return False
    console.stop()
    shutil.rmtree(run, ignore_errors=True)
    for parent in run.parents:
        if not parent.is_relative_to(Path.cwd()) or parent == Path.cwd() or any(parent.iterdir()):
            break
        parent.rmdir()
    return True


def _shown(path: Path) -> Path:
    """Return the path as a user would type it from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _now() -> str:
    return datetime.now(UTC).astimezone().isoformat(timespec="milliseconds")
