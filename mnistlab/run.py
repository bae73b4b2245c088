"""One experiment, in a straight line: config -> data -> fit -> predict -> evaluate -> report."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from threadpoolctl import threadpool_limits

from mnistlab import config, console, files, model_file, pictures, report, run_page
from mnistlab.augment import NoAugment
from mnistlab.console import LOG, RESULT
from mnistlab.data import Dataset, load
from mnistlab.environment import all_cores, environment
from mnistlab.errors import Pruned, RequestError, RunError
from mnistlab.evaluate import HIGHER_IS_BETTER, SCORES
from mnistlab.interrupt import held
from mnistlab.nn import Model, Network
from mnistlab.sklearn_models import Fitted, SklearnModel
from mnistlab.status import Status
from mnistlab.streams import stream
from mnistlab.train import History, Score, fit

THREADS_PAY_FROM = 5_000_000  # multiply-adds of a layer: below, two BLAS threads mostly wait for each other


@dataclass
class Outcome:
    """How a run ended: its exit status, and the message where it failed."""

    status: int = 0
    message: str = ""
    directory: Path | None = None


Watch = Callable[[History], None]


def task(cfg: DictConfig, cores: int | None = None, watch: Watch | None = None) -> Outcome:
    """Run one experiment in the directory that Hydra made. Every failure is an `Outcome`, never an exception.

    A request that turns out wrong before training leaves nothing behind; a run that fails later keeps what it wrote.
    ``cores`` is the share of a job of a sweep, which then says nothing on the terminal; a single run has them all.
    ``watch`` hears every epoch of a trial of a search, and may raise `Pruned`; a trial never sees the test part.
    """
    run = Path(HydraConfig.get().runtime.output_dir)
    with held(run) as ours:
        if not ours or (run / "status.json").exists():  # another run's: nothing of it may be touched
            return Outcome(2, f"hydra.run.dir={files.shown(run)}: it already holds a run; choose another directory")
        return _guarded(cfg, run, cores, watch)


def _guarded(cfg: DictConfig, run: Path, cores: int | None, watch: Watch | None) -> Outcome:
    status = Status(run / "status.json", "")
    silent = cores is not None
    console.start("silent" if silent else "normal")
    try:
        made = config.experiment(cfg)
        if silent:
            made.report.console = report.Console.quiet  # no bars either
        status.config_hash = config.config_hash(cfg)
        status.write("running")
        console.start("silent" if silent else made.report.console.value, run / "train.log")
        _run(made, run, status, cores, watch)
    except RequestError as error:
        if HydraConfig.get().mode is RunMode.RUN and _forget(run):
            return Outcome(2, str(error))
        return Outcome(2, _failed(status, str(error), run).message)
    except Pruned as stop:
        status.write("pruned", str(stop))
    except (RunError, OSError, MemoryError) as error:
        return _failed(status, _message(error), run)
    except KeyboardInterrupt:
        status.write_quietly("interrupted")
        raise
    except Exception as error:
        LOG.debug("traceback", exc_info=True)
        shown = (
            f"is in {files.shown(run / 'train.log')}"
            if (run / "train.log").exists()
            else "comes with HYDRA_FULL_ERROR=1"
        )
        message = f"{type(error).__name__}: {error}; the traceback {shown}"
        outcome = _failed(status, message, run)
        if os.environ.get("MNISTLAB_TRACEBACK") == "1":
            raise
        return outcome
    finally:
        console.stop()
    return Outcome(0, "", run)


def _run(made: config.Experiment, run: Path, status: Status, cores: int | None, watch: Watch | None) -> None:
    with status.timed("load"):
        dataset = load_data(made)
        if watch:
            dataset = dataset.without_test()
    network = None if isinstance(made.model, SklearnModel) else build(made, dataset)
    threads = choose_threads(made, network, len(dataset.train), cores)
    data = {"name": dataset.name, **dataset.provenance}
    command = ["mnistlab", "train", *HydraConfig.get().overrides.task]
    files.write_json(run / "environment.json", environment(made.seed, threads, data, command, status.config_hash))
    _announce(made, dataset, network, threads)

    with threadpool_limits(threads):
        with status.timed("train"):
            if isinstance(made.model, SklearnModel):
                with config.prefixed("model"):
                    fitted = Fitted(made.model, dataset, made.seed, threads)
                learned, predict = fitted.learned, fitted.predict
            else:
                assert network is not None
                learned, predict = _learned(network, train(made, dataset, network, run, watch)), network.predict
        with status.timed("evaluate"):
            if network:
                model_file.save_model(run / "model.safetensors", network, dataset.class_names)
            parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
            predictions = {name: predict(part.images) for name, part in parts.items()}
            summary = {
                "config_hash": status.config_hash,
                "data_sha256": dataset.provenance.get("sha256"),
                "seed": made.seed,
                "learner": "network" if network else "scikit-learn",
                **learned,
            }
            metrics = report.write_results(run, dataset, predictions, summary)
            if network and not isinstance(made.augment, NoAugment):
                report.write_augmented(run, dataset.train, made.augment, stream(made.seed, "augment"))
            if network:
                report.write_maps(run, network, dataset, predictions["test"], made.report)
    with status.timed("plots"):
        drawn = pictures.draw(run, made.report.plots)
        run_page.write(run, status.seconds)
    for path in drawn:
        LOG.debug("wrote %s", path)
    status.write("completed")
    LOG.log(RESULT, "%s", console.result_block(metrics, files.shown(run)))


def _learned(network: Network, history: History) -> dict[str, Any]:
    return {
        "parameters": int(network.theta.size),
        "epochs": len(history.epochs),
        "best_epoch": history.best_epoch,  # on the validation part, by trainer.monitor
        "kept_epoch": history.kept_epoch,
        "stopped_early": history.stopped_early,
    }


def load_data(made: config.Experiment) -> Dataset:
    """Return the dataset of an experiment, and refuse what does not go with it."""
    with config.prefixed("data"):
        dataset = load(made.data, stream(made.seed, "split"))
    height, width = dataset.train.images.shape[1:]
    with config.prefixed("report"):
        made.report.check(len(dataset.test))
    if isinstance(made.model, SklearnModel):
        with config.prefixed("model"):
            made.model.check(len(dataset.train), height * width)
        return dataset
    with config.prefixed("augment"):
        made.augment.check(height, width)
    with config.prefixed("trainer"):
        made.trainer.check(len(dataset.train), len(dataset.validation))
    with config.prefixed("schedule"):
        made.schedule.start(made.trainer.epochs, 1)
    return dataset


def build(made: config.Experiment, dataset: Dataset) -> Network:
    """Return the initialised network of an experiment."""
    assert isinstance(made.model, Model)
    height, width = dataset.train.images.shape[1:]
    with config.prefixed("model"):
        network = made.model.network(
            (height, width), len(dataset.class_names), made.regularization, dataset.shift, dataset.scale
        )
    with config.prefixed("trainer"):
        made.trainer.check_network(network, len(dataset.train))
    network.initialise(made.init, stream(made.seed, "init"))
    return network


def train(
    made: config.Experiment, dataset: Dataset, network: Network, run: Path, watch: Watch | None = None
) -> History:
    """Train, writing history after every epoch and a checkpoint every half minute and at the end."""
    streams = {name: stream(made.seed, name) for name in ("order", "dropout", "augment")}
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
        if watch:
            watch(history)

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
            augmentation=made.augment,
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


def choose_threads(made: config.Experiment, network: Network | None, n: int, cores: int | None = None) -> int:
    """Return the number of BLAS threads: what ``trainer.threads`` says, or for auto one unless the layers are large.

    Large layers get as many as there are ``cores``: those of the machine, or a job's share of them.
    """
    cores = cores or all_cores()
    asked = made.trainer.threads
    if asked != "auto":
        return int(asked)
    if network is None:
        return cores
    batch = made.trainer.batch_of(n)
    largest = max((layer.flops() for layer in network.layers), default=0) // 2
    return cores if largest * batch >= THREADS_PAY_FROM else 1


def _announce(made: config.Experiment, dataset: Dataset, network: Network | None, threads: int) -> None:
    height, width = dataset.train.images.shape[1:]
    sizes = " + ".join(
        f"{len(part):,} {name}"
        for name, part in (("training", dataset.train), ("validation", dataset.validation), ("test", dataset.test))
        if len(part)
    )
    LOG.info("data    %s, %d x %d pixels, %d classes: %s", dataset.name, height, width, len(dataset.class_names), sizes)
    LOG.debug("data from %s", dataset.provenance)
    if isinstance(made.model, SklearnModel) or network is None:
        settings = ", ".join(f"{name} {getattr(value, 'name', value)}" for name, value in asdict(made.model).items())
        LOG.info("model   %s of scikit-learn, %s", type(made.model).__name__, settings)
        LOG.info("train   seed %d, threads %d", made.seed, threads)
        if isinstance(made.model, SklearnModel) and (guess := made.model.guess(len(dataset.train), height * width)):
            LOG.warning("%s", guess)
        return
    if not isinstance(made.augment, NoAugment):
        amounts = ", ".join(f"{name} {amount:g}" for name, amount in asdict(made.augment).items())
        LOG.info("augment %s, %s", type(made.augment).__name__, amounts)
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


def _failed(status: Status, message: str, run: Path) -> Outcome:
    LOG.debug("failed: %s", message)
    status.write_quietly("failed", message)
    run_page.write_quietly(run)
    return Outcome(1, message, run)


def _message(error: BaseException) -> str:
    if isinstance(error, OSError):
        place = files.shown(Path(error.filename)) if error.filename else "a file of the run"
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
