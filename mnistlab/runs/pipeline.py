"""One experiment: config -> data -> fit -> predict -> evaluate -> report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import chdir, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.config import plugins, schema
from mnistlab.data.augmentation import NoAugment
from mnistlab.data.dataset import Dataset
from mnistlab.data.loading import load
from mnistlab.metrics.classification import SCORES
from mnistlab.models import model_file
from mnistlab.models.sklearn import Fitted, SklearnModel
from mnistlab.nn.architectures import Model
from mnistlab.nn.network import Network
from mnistlab.runs import artifacts, figures, html_report, paths, record, run_file, training_run
from mnistlab.runs.announcement import announce
from mnistlab.runs.compute import Compute, choose
from mnistlab.runs.context import RunContext, interrupted
from mnistlab.runs.environment import environment, resumed
from mnistlab.runs.status import Status
from mnistlab.runs.tracking import base, dispatcher
from mnistlab.system import console, files
from mnistlab.system.console import LOG, RESULT
from mnistlab.system.random import stream
from mnistlab.system.signals import deaf
from mnistlab.training import checkpoint
from mnistlab.training.loop import History

# Files of a run that a tracker may store in addition to its pictures
SHARED = (
    *(paths.METRICS, paths.HISTORY, paths.ENVIRONMENT, paths.CONFIG),
    *(paths.MODEL, paths.CONFUSION_MATRIX, paths.REPORT),
)

Predict = Callable[[np.ndarray], np.ndarray]  # images (n, height, width) -> probabilities (n, classes)


@dataclass(frozen=True)
class Prepared:
    """An experiment with its data and its untrained network, and the checkpoint of a resumed run."""

    experiment: schema.Experiment
    dataset: Dataset
    network: Network | None  # None: a scikit-learn model
    compute: Compute
    origin: checkpoint.Origin
    saved: checkpoint.Checkpoint | None


def run(experiment: schema.Experiment, deciding: dict[str, Any], context: RunContext, status: Status) -> None:
    """Run an experiment, from its data to its report, and write everything about it to its directory."""
    run = context.directory
    prepared = _prepare(experiment, deciding, context, status)
    _write_environment(prepared, context, status)
    network = prepared.network
    announce(experiment, prepared.dataset, network, prepared.compute)
    if network is None and (unused := schema.unused_by_sklearn(context.command[2:])):
        LOG.warning("%s: a scikit-learn model does not use this setting", ", ".join(unused))

    def abandon() -> None:
        message = interrupted(status, "interrupted", run)
        if context.cores is None:
            print(f"mnistlab {context.command[1]}: error: {message}", file=sys.stderr, flush=True)  # noqa: T201

    facts = _facts(experiment, context)
    with (
        prepared.compute.limits(),
        dispatcher.listening(experiment.tracking, facts) as listener,
        nullcontext() if network else deaf(abandon),
    ):
        with status.timed("train"):
            learned, predict = _learn(prepared, context, listener)
        with status.timed("evaluate"):
            metrics = _evaluate(prepared, run, predict, status.config_hash, learned)
        with status.timed("plots"):
            drawn = figures.draw(run, experiment.report.plots, experiment.report.format)
            html_report.write(run, status.seconds)
        listener.finish(metrics, [*(run / name for name in SHARED), *drawn])
    for path in drawn:
        LOG.debug("wrote %s", path)
    run_file.complete(run, metrics)
    status.write("completed")
    page = run / paths.REPORT
    LOG.log(RESULT, "%s", console.result_block(metrics, files.shown(run), files.shown(page) if page.exists() else None))


def _prepare(experiment: schema.Experiment, deciding: dict[str, Any], context: RunContext, status: Status) -> Prepared:
    """Return the experiment with its data and network; a resumed one keeps its number of threads."""
    dispatcher.check(experiment.tracking)
    saved = _saved_checkpoint(experiment, context.directory) if context.resumes else None
    with status.timed("load"), chdir(context.started_in):
        dataset = load_data(experiment)
        if context.watch:
            dataset = dataset.without_test()
        if isinstance(experiment.model, SklearnModel):
            import sklearn.base  # noqa: F401  # imported before the time of the training is measured
    network = None if isinstance(experiment.model, SklearnModel) else build(experiment, dataset)
    if saved:
        compute = Compute(saved.origin.threads, saved.origin.kernels)
    else:
        compute = context.compute or choose(experiment, network, len(dataset.train), context.cores)
    if network:
        compute.use(network, experiment.trainer.batch_of(len(dataset.train)))
    origin = checkpoint.Origin(deciding, dataset.provenance.get("sha256"), compute.threads, compute.kernels)
    return Prepared(experiment, dataset, network, compute, origin, saved)


def _saved_checkpoint(experiment: schema.Experiment, run: Path) -> checkpoint.Checkpoint | None:
    files.remove_unfinished(run)
    if (run / paths.CHECKPOINT).exists() and not isinstance(experiment.model, SklearnModel):
        return checkpoint.load(run / paths.CHECKPOINT)
    LOG.info("resume  no checkpoint: training starts from the beginning")
    return None


def _write_environment(prepared: Prepared, context: RunContext, status: Status) -> None:
    experiment, dataset = prepared.experiment, prepared.dataset
    data = {"name": dataset.name, **dataset.provenance}
    command, path = list(context.command), context.directory / paths.ENVIRONMENT
    compute = prepared.compute
    about = environment(experiment.seed, compute.threads, compute.kernels, data, command, status.config_hash)
    about |= {
        "directory": str(context.started_in),
        "schemas": schema.schemas(experiment),
        **plugins.record(_parts(prepared)),
    }
    for name, source in plugins.imported_files().items():
        (context.directory / paths.IMPORTS).mkdir(exist_ok=True)
        files.write(context.directory / paths.IMPORTS / name, source)
    files.write_json(path, resumed(path, about, prepared.saved is not None) if context.resumes else about)


def _parts(prepared: Prepared) -> list[Any]:
    """Return the classes and functions that an experiment uses, among which may be those of plug-ins."""
    experiment, network = prepared.experiment, prepared.network
    groups = [type(getattr(experiment, group)) for group in schema.GROUPS]
    layers = [type(layer) for layer in network.layers] if network else []
    steps = [type(step) for step in getattr(experiment.augment, "steps", ())]  # of a list of augmentations
    return [*groups, *layers, *steps, SCORES[experiment.trainer.monitor]]


def _learn(
    prepared: Prepared, context: RunContext, listener: dispatcher.TrackingDispatcher
) -> tuple[Mapping[str, Any], Predict]:
    """Fit the model or train the network; return its entries of metrics.json, and its ``predict``."""
    experiment, dataset, network = prepared.experiment, prepared.dataset, prepared.network
    if network is None:
        fit = context.rehearsal.fit if context.rehearsal else _fit
        fitted = fit(experiment, dataset, prepared.compute.threads)
        return fitted.learned, fitted.predict
    if context.rehearsal:
        rehearsed = context.rehearsal.train(experiment, dataset, network, context.directory)
        return training_run.learned(network, rehearsed), network.predict

    def on_epoch(history: History) -> None:
        listener.on_epoch(history)
        if context.watch:
            context.watch(history)

    origin, saved = prepared.origin, prepared.saved
    history = training_run.train(
        experiment, dataset, network, context.directory, origin, saved, on_epoch, context.pause_after
    )
    listener.on_epoch(history)  # for a run whose training was over when it was resumed
    return training_run.learned(network, history), network.predict


def _fit(experiment: schema.Experiment, dataset: Dataset, threads: int) -> Fitted:
    """Fit a scikit-learn model."""
    assert isinstance(experiment.model, SklearnModel)
    with schema.prefixed("model"):
        fitted = Fitted(experiment.model, dataset, experiment.seed, threads)
    for warning in fitted.warnings:
        LOG.warning("%s", warning)
    return fitted


def _evaluate(
    prepared: Prepared, run: Path, predict: Predict, identity: str, learned: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the model and its scores on each set; return the metrics."""
    experiment, dataset, network = prepared.experiment, prepared.dataset, prepared.network
    if network:
        model_file.save_model(run / paths.MODEL, network, dataset.class_names)
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    predictions = {name: predict(part.images) for name, part in parts.items()}
    summary = {
        "config_hash": identity,
        "data_sha256": dataset.provenance.get("sha256"),
        "seed": experiment.seed,
        "learner": "network" if network else "scikit-learn",
        **learned,
    }
    metrics = artifacts.write_results(run, dataset, predictions, summary, experiment.report.train_ranking)
    if network:
        _write_inside(run, experiment, dataset, network, predictions["test"])
    return metrics


def _write_inside(
    run: Path, experiment: schema.Experiment, dataset: Dataset, network: Network, predicted: np.ndarray
) -> None:
    """Write the data for plots of the network's inside."""
    if not isinstance(experiment.augment, NoAugment):
        artifacts.write_augmented(run, dataset.train, experiment.augment, stream(experiment.seed, "augment"))
    artifacts.write_maps(run, network, dataset, predicted, experiment.report)


def _facts(experiment: schema.Experiment, context: RunContext) -> base.Facts:
    """Return the facts of a run that a tracker logs before training."""
    run = context.directory.absolute()
    settings = {**record.read(run).settings, "seed": experiment.seed}
    if isinstance(experiment.model, SklearnModel):
        settings = {key: value for key, value in settings.items() if key.partition(".")[0] in schema.USED_BY_SKLEARN}
    sweep = run.parent.name if (run.parent / paths.SWEEP).exists() else None
    return base.Facts(run, context.started_in, settings, sweep, context.resumes)


def load_data(experiment: schema.Experiment) -> Dataset:
    """Return the dataset of an experiment, and refuse settings that do not fit it."""
    with schema.prefixed("data"):
        dataset = load(experiment.data, stream(experiment.seed, "split"))
    height, width = dataset.train.images.shape[1:]
    with schema.prefixed("report"):
        experiment.report.check(len(dataset.test))
    if isinstance(experiment.model, SklearnModel):
        with schema.prefixed("model"):
            experiment.model.check(dataset.train.labels, height * width)
        return dataset
    with schema.prefixed("augment"):
        experiment.augment.check(height, width)
    with schema.prefixed("trainer"):
        experiment.trainer.check(len(dataset.train), len(dataset.validation))
    with schema.prefixed("schedule"):
        experiment.schedule.start(experiment.trainer.epochs, 1)
    return dataset


def build(experiment: schema.Experiment, dataset: Dataset) -> Network:
    """Return the initialised network of an experiment."""
    assert isinstance(experiment.model, Model)
    height, width = dataset.train.images.shape[1:]
    with schema.prefixed("regularization"):
        experiment.model.check(experiment.regularization)
    with schema.prefixed("model"):
        network = experiment.model.network(
            (height, width), len(dataset.class_names), experiment.regularization, dataset.shift, dataset.scale
        )
    with schema.prefixed("trainer"):
        experiment.trainer.check_network(network, len(dataset.train))
    network.initialise(experiment.init, stream(experiment.seed, "init"))
    return network
