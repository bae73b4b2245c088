"""One experiment, in a straight line: config -> data -> fit -> predict -> evaluate -> report."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import chdir, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from threadpoolctl import threadpool_limits

from mnistlab.config import compose, report, schema
from mnistlab.data.augmentation import NoAugment
from mnistlab.data.dataset import Dataset
from mnistlab.data.loading import load
from mnistlab.models import model_file
from mnistlab.models.sklearn import Fitted, SklearnModel
from mnistlab.nn.architectures import Model
from mnistlab.nn.network import Network
from mnistlab.runs import artifacts, figures, html_report, paths, record, training_run
from mnistlab.runs.environment import all_cores, environment, resumed
from mnistlab.runs.status import Status
from mnistlab.runs.status import read as read_status
from mnistlab.runs.tracking import base, dispatcher
from mnistlab.runs.training_run import Watch
from mnistlab.system import console, files
from mnistlab.system.console import LOG, RESULT
from mnistlab.system.errors import Pruned, RequestError, RunError
from mnistlab.system.locks import held
from mnistlab.system.random import stream
from mnistlab.system.signals import UNDIVIDED, Interrupted, deaf, unmistaken
from mnistlab.training import checkpoint
from mnistlab.training.loop import History

# What a run that is resumed writes again before it trains
REWRITTEN = (paths.STATUS, paths.ENVIRONMENT, paths.CONFIG, paths.OVERRIDES, paths.HYDRA_CONFIG)
# What a tracker may store of a run beside its pictures
SHARED = (
    *(paths.METRICS, paths.HISTORY, paths.ENVIRONMENT, paths.CONFIG),
    *(paths.MODEL, paths.CONFUSION_MATRIX, paths.REPORT),
)


@dataclass
class Outcome:
    """How a run ended: its exit status, and the message where it failed."""

    status: int = 0
    message: str = ""
    directory: Path | None = None


@dataclass(frozen=True)
class RunContext:
    """Where and as what an experiment is carried out.

    ``cores`` is the share of a job of a sweep, which then says nothing on the terminal; a single run has them all.
    ``watch`` hears every epoch of a trial of a search, and may raise `Pruned`; a trial never sees the test part.
    ``resumes``: the directory holds an earlier attempt, which is gone on with. ``threads`` are those of a run that is
    repeated.
    """

    directory: Path
    command: tuple[str, ...]
    described: Mapping[str, str]  # the files of .hydra beside the configuration, by their paths in the directory
    started_in: Path  # from where relative paths of the data count
    cores: int | None = None
    watch: Watch | None = None
    resumes: bool = False
    threads: int | None = None


def task(cfg: DictConfig, cores: int | None = None, watch: Watch | None = None, resumes: bool = False) -> Outcome:
    """Carry out one experiment in the directory that Hydra made."""
    hydra = HydraConfig.get()
    words = OmegaConf.to_container(hydra.overrides.task, resolve=False)  # a word may be ${nonsense}
    assert isinstance(words, list)
    described = {
        paths.HYDRA_CONFIG: OmegaConf.to_yaml(OmegaConf.masked_copy(HydraConfig.instance().cfg, "hydra")),  # type: ignore[arg-type]
        paths.OVERRIDES: OmegaConf.to_yaml(hydra.overrides.task),
    }
    command = ("mnistlab", "train", *map(str, words))
    directory = Path(hydra.runtime.output_dir)
    return carry_out(cfg, RunContext(directory, command, described, Path.cwd(), cores, watch, resumes))


def carry_out(cfg: DictConfig, setting: RunContext) -> Outcome:
    """Run one experiment. Every failure is an `Outcome`, never an exception.

    A request that turns out wrong before training leaves nothing behind; a run that fails later keeps what it wrote.
    """
    run = setting.directory
    with held(run) as ours:
        if not ours and setting.resumes:
            return Outcome(2, f"{files.shown(run)}: this run is running; wait for its end, or interrupt it")
        if not ours or ((run / paths.STATUS).exists() and not setting.resumes):  # nothing of it may be touched
            return Outcome(2, f"hydra.run.dir={files.shown(run)}: it already holds a run; choose another directory")
        return _guarded(cfg, setting)


def _guarded(cfg: DictConfig, setting: RunContext) -> Outcome:
    run = setting.directory
    before = {path: path.read_bytes() for path in (run / name for name in REWRITTEN) if path.is_file()}
    status = Status(run / paths.STATUS, "", seconds=dict(read_status(run).seconds) if setting.resumes else {})
    silent = setting.cores is not None
    console.start("silent" if silent else "normal")
    try:
        with unmistaken():
            _describe(run, cfg, setting.described)
            made = schema.experiment(cfg)
            if silent:
                made.report.console = report.Console.quiet  # no bars either
            status.config_hash = schema.config_hash(cfg)
            status.write("running")
            console.start("silent" if silent else made.report.console.value, run / paths.LOG)
            _run(made, schema.deciding(cfg), setting, status)
    except RequestError as error:
        if setting.resumes and before and not silent:  # a wrong request to resume leaves the run as it was
            for path, content in before.items():
                files.write(path, content)
            return Outcome(2, str(error))
        if not silent and _forget(run):
            return Outcome(2, str(error))
        return Outcome(2, _failed(status, str(error), run).message)
    except Pruned as stop:
        status.write("pruned", str(stop))
    except (RunError, OSError, MemoryError) as error:
        return _failed(status, _message(error, run), run)
    except KeyboardInterrupt as stop:
        UNDIVIDED.waiting = False  # it has arrived
        raise Interrupted(_interrupted(status, str(stop) or "interrupted", run)) from None
    except Exception as error:
        LOG.debug("traceback", exc_info=True)
        shown = (
            f"is in {files.shown(run / paths.LOG)}" if (run / paths.LOG).exists() else "comes with HYDRA_FULL_ERROR=1"
        )
        message = f"{type(error).__name__}: {error}; the traceback {shown}"
        outcome = _failed(status, message, run)
        if os.environ.get("MNISTLAB_TRACEBACK") == "1":
            raise
        return outcome
    finally:
        console.stop()
    return Outcome(0, "", run)


def _describe(run: Path, cfg: DictConfig, others: Mapping[str, str]) -> None:
    """Write .hydra as Hydra does, but never half a file, and with nothing left to be resolved."""
    (run / paths.HYDRA).mkdir(exist_ok=True)
    try:
        content = OmegaConf.to_yaml(cfg, resolve=True)
    except OmegaConfBaseException:  # it is refused in a moment
        content = OmegaConf.to_yaml(cfg)
    for name, text in {**others, paths.CONFIG: content}.items():  # this last: with it the run can be resumed
        files.write(run / name, text)


def _run(made: schema.Experiment, deciding: dict[str, Any], setting: RunContext, status: Status) -> None:
    run, found = setting.directory, None
    dispatcher.check(made.tracking)
    if setting.resumes:
        files.remove_unfinished(run)
        if (run / paths.CHECKPOINT).exists() and not isinstance(made.model, SklearnModel):
            found = checkpoint.load(run / paths.CHECKPOINT)
        else:
            LOG.info("resume  there is no checkpoint, so it starts again")
    with status.timed("load"), chdir(setting.started_in):
        dataset = load_data(made)
        if setting.watch:
            dataset = dataset.without_test()
    network = None if isinstance(made.model, SklearnModel) else build(made, dataset)
    threads = setting.threads or choose_threads(made, network, len(dataset.train), setting.cores)
    origin = checkpoint.Origin(deciding, dataset.provenance.get("sha256"), found.origin.threads if found else threads)
    threads = origin.threads
    data = {"name": dataset.name, **dataset.provenance}
    now = environment(made.seed, threads, data, list(setting.command), status.config_hash)
    now |= {"directory": str(setting.started_in), "schemas": schema.schemas(made)}
    if setting.resumes:
        now = resumed(run / paths.ENVIRONMENT, now)
    files.write_json(run / paths.ENVIRONMENT, now)
    _announce(made, dataset, network, threads)
    if network is None and (unused := schema.unused_by_sklearn(setting.command[2:])):
        LOG.warning("%s: a model of scikit-learn does not use this; it has its own ways", ", ".join(unused))

    def abandon() -> None:
        message = _interrupted(status, "interrupted", run)
        if setting.cores is None:
            print(f"mnistlab {setting.command[1]}: error: {message}", file=sys.stderr, flush=True)  # noqa: T201

    facts = _facts(made, setting)
    with (
        threadpool_limits(threads),
        dispatcher.listening(made.tracking, facts) as listener,
        nullcontext() if network else deaf(abandon),
    ):
        with status.timed("train"):
            if network is None:
                fitted = _fit(made, dataset, threads)
                learned, predict = fitted.learned, fitted.predict
            else:
                learned = _train(made, dataset, network, setting, origin, found, listener)
                predict = network.predict
        with status.timed("evaluate"):
            if network:
                model_file.save_model(run / paths.MODEL, network, dataset.class_names)
            parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
            predictions = {name: predict(part.images) for name, part in parts.items()}
            summary = {
                "config_hash": status.config_hash,
                "data_sha256": dataset.provenance.get("sha256"),
                "seed": made.seed,
                "learner": "network" if network else "scikit-learn",
                **learned,
            }
            metrics = artifacts.write_results(run, dataset, predictions, summary)
            if network:
                _write_inside(run, made, dataset, network, predictions["test"])
        with status.timed("plots"):
            drawn = figures.draw(run, made.report.plots)
            html_report.write(run, status.seconds)
        listener.finish(metrics, [*(run / name for name in SHARED), *drawn])
    for path in drawn:
        LOG.debug("wrote %s", path)
    status.write("completed")
    LOG.log(RESULT, "%s", console.result_block(metrics, files.shown(run)))


def _train(
    made: schema.Experiment,
    dataset: Dataset,
    network: Network,
    setting: RunContext,
    origin: checkpoint.Origin,
    found: checkpoint.Checkpoint | None,
    listener: dispatcher.TrackingDispatcher,
) -> dict[str, Any]:
    """Train a network, from the checkpoint that was found if one was; return what metrics.json says."""

    def on_epoch(history: History) -> None:
        listener.on_epoch(history)
        if setting.watch:
            setting.watch(history)

    history = training_run.train(made, dataset, network, setting.directory, origin, found, on_epoch)
    listener.on_epoch(history)  # of a run that was over when it was resumed
    return training_run.learned(network, history)


def _fit(made: schema.Experiment, dataset: Dataset, threads: int) -> Fitted:
    """Fit a model of scikit-learn."""
    assert isinstance(made.model, SklearnModel)
    with schema.prefixed("model"):
        fitted = Fitted(made.model, dataset, made.seed, threads)
    for warning in fitted.warnings:
        LOG.warning("%s", warning)
    return fitted


def _write_inside(
    run: Path, made: schema.Experiment, dataset: Dataset, network: Network, predicted: np.ndarray
) -> None:
    """Write what the pictures of a network's inside are drawn from."""
    if not isinstance(made.augment, NoAugment):
        artifacts.write_augmented(run, dataset.train, made.augment, stream(made.seed, "augment"))
    artifacts.write_maps(run, network, dataset, predicted, made.report)


def _facts(made: schema.Experiment, setting: RunContext) -> base.Facts:
    """Return what a tracker is told of a run before it trains."""
    run = setting.directory.absolute()
    told = {**record.read(run).settings, "seed": made.seed}
    if isinstance(made.model, SklearnModel):
        told = {key: value for key, value in told.items() if key.partition(".")[0] in schema.USED_BY_SKLEARN}
    sweep = run.parent.name if (run.parent / paths.SWEEP).exists() else None
    return base.Facts(run, setting.started_in, told, sweep, setting.resumes)


def load_data(made: schema.Experiment) -> Dataset:
    """Return the dataset of an experiment, and refuse what does not go with it."""
    with schema.prefixed("data"):
        dataset = load(made.data, stream(made.seed, "split"))
    height, width = dataset.train.images.shape[1:]
    with schema.prefixed("report"):
        made.report.check(len(dataset.test))
    if isinstance(made.model, SklearnModel):
        with schema.prefixed("model"):
            made.model.check(dataset.train.labels, height * width)
        return dataset
    with schema.prefixed("augment"):
        made.augment.check(height, width)
    with schema.prefixed("trainer"):
        made.trainer.check(len(dataset.train), len(dataset.validation))
    with schema.prefixed("schedule"):
        made.schedule.start(made.trainer.epochs, 1)
    return dataset


def build(made: schema.Experiment, dataset: Dataset) -> Network:
    """Return the initialised network of an experiment."""
    assert isinstance(made.model, Model)
    height, width = dataset.train.images.shape[1:]
    with schema.prefixed("model"):
        network = made.model.network(
            (height, width), len(dataset.class_names), made.regularization, dataset.shift, dataset.scale
        )
    with schema.prefixed("trainer"):
        made.trainer.check_network(network, len(dataset.train))
    network.initialise(made.init, stream(made.seed, "init"))
    return network


def choose_threads(made: schema.Experiment, network: Network | None, n: int, cores: int | None = None) -> int:
    """Return the number of BLAS threads: what ``trainer.threads`` says, or for auto one unless the layers are large.

    Large layers get as many as there are ``cores``: those of the machine, or a job's share of them.
    """
    cores = cores or all_cores()
    asked = made.trainer.threads
    if asked != "auto":
        return int(asked)
    if network is None:
        return cores
    return cores if network.gains_from_threads(made.trainer.batch_of(n)) else 1


def _announce(made: schema.Experiment, dataset: Dataset, network: Network | None, threads: int) -> None:
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
    html_report.write_quietly(run)
    return Outcome(1, message, run)


def _interrupted(status: Status, how: str, run: Path) -> str:
    LOG.debug("%s", how)
    status.write_quietly("interrupted", how)
    return f"{how}; `mnistlab resume {files.shown(run)}` goes on"


def _message(error: BaseException, run: Path) -> str:
    if isinstance(error, OSError):
        place = files.shown(Path(error.filename)) if error.filename else "standard output, or a file of the run"
        again = ", then go on with `mnistlab resume {}`" if (run / paths.CHECKPOINT).exists() else ""
        cure = f"make room{again.format(files.shown(run))}, or choose another place with hydra.run.dir=DIR"
        return f"{place}: {error.strerror or error}; {cure}"
    if isinstance(error, MemoryError):
        return f"out of memory ({error}); try a smaller trainer.batch_size or model"
    return str(error)


def _forget(run: Path) -> bool:
    """Remove a directory that was made for this run and in which nothing has happened, and then empty folders above."""
    nothing = {paths.HYDRA, paths.STATUS, paths.LOG}
    if run.absolute() not in compose.CLAIMED or not {path.name for path in run.iterdir()} <= nothing:
        return False
    console.stop()
    shutil.rmtree(run, ignore_errors=True)
    for parent in run.parents:
        if not parent.is_relative_to(Path.cwd()) or parent == Path.cwd() or any(parent.iterdir()):
            break
        parent.rmdir()
    return True
