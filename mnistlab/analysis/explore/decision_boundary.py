"""``mnistlab explore boundary``: the decision regions of models in the plane of the first two components."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mnistlab.analysis.explore import common
from mnistlab.analysis.explore.common import Request
from mnistlab.analysis.explore.decision_grid import Predict, mesh_around, regions_of
from mnistlab.analysis.explore.principal_components import Components
from mnistlab.config import schema
from mnistlab.config.report import Plots
from mnistlab.config.schema import Experiment
from mnistlab.data.augmentation import NoAugment
from mnistlab.data.dataset import Dataset, Split
from mnistlab.metrics.classification import accuracy
from mnistlab.models.sklearn import Fitted, SklearnModel
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.pooling import Pool2D
from mnistlab.reporting import plots
from mnistlab.runs import artifacts, figures, paths, training_run
from mnistlab.runs.compute import choose
from mnistlab.runs.pipeline import build
from mnistlab.system import files
from mnistlab.system.console import LOG, RESULT
from mnistlab.system.errors import RequestError
from mnistlab.system.readers import read_arrays, read_json, read_table

MOST_MODELS = 9


def explore(request: Request) -> Path:
    """Fit the models on two components, write the numbers, draw the picture, and return the directory."""
    common.refuse_place(request.to)
    experiments = {name: request.experiment(f"model={name}") for name in request.models}
    experiment = experiments[request.models[0]]
    for name, other in experiments.items():
        _check(name, other)
    dataset, pool = common.read_data(experiment, "train")
    otherwise = len(pool) if request.sets("data.limit") else common.POINTS
    rows = common.draw_points(request.points, pool.labels, experiment.seed, otherwise)
    part = pool.take(rows)
    common.announce(dataset, part.images, f"{len(part):,} of {len(pool):,} training images")
    threads = choose(experiment, None, len(part)).threads
    components = common.components_of(dataset, part, threads)
    if len(components.variances) < 2:
        raise RequestError(f"data={dataset.name}: the images have only one component, but boundary needs two")
    plane = _in_the_plane(dataset, part, components)
    scores = plane.train.images[:, 0]
    mesh = mesh_around(scores)
    accuracies, columns, regions = [], {}, {}
    for name, other in experiments.items():
        predict = _learn(other, plane)
        probabilities = predict(scores)
        row: dict[str, Any] = {"points": len(scores), "training_accuracy": accuracy(plane.train.labels, probabilities)}
        if len(plane.validation):
            held_out = predict(plane.validation.images[:, 0])
            row |= {"validation_points": len(held_out)}
            row |= {"validation_accuracy": accuracy(plane.validation.labels, held_out)}
        accuracies.append({"model": name, **row})
        columns[name] = probabilities.argmax(axis=1)
        regions[name] = regions_of(predict, *mesh)
        LOG.info("%s", _line(accuracies[-1]))

    folder = common.claim(request, f"boundary_{'_'.join(request.models)}")
    summary = {
        "data_sha256": dataset.provenance.get("sha256"),
        "image_shape": list(part.images.shape[1:]),
        "class_names": list(dataset.class_names),
        "scale": dataset.scale,
        "shares": [float(share) for share in components.shares[:2]],
        "models": accuracies,
    }
    common.write_about(folder, request, experiment, dataset, threads, summary)
    files.write(folder / paths.ACCURACY, files.csv(list(accuracies[0]), [list(row.values()) for row in accuracies]))
    _write_points(folder, dataset, rows, plane.train, columns)
    common.write_components(folder, components, 2, dataset.scale)
    for name, region in regions.items():
        files.write(paths.boundary(folder, name), artifacts.npz(**vars(region)))
    level, form = experiment.report.plots, experiment.report.format
    drawn = [] if level is Plots.none else figures.save_pictures(folder, _pictures(folder), form)
    lines = [] if request.verbosity != "quiet" else map(_line, accuracies)
    LOG.log(RESULT, "%s", "\n".join([*lines, common.finish(folder, drawn)]))
    return folder


def _check(name: str, experiment: Experiment) -> None:
    """Refuse models and augmentation that need images rather than two numbers."""
    if isinstance(experiment.model, SklearnModel):
        return
    row = experiment.model.row(2, experiment.regularization)
    if layer := next((layer for layer in row if isinstance(layer, (Conv2D, Pool2D))), None):
        kind = next(iter(layer.spec()))
        raise RequestError(
            f"model={name}: two components are not an image, which its layer {kind} needs; choose a dense network"
            " (mlp_2hidden, mlp_1hidden, softmax) or a scikit-learn model"
        )
    if not isinstance(experiment.augment, NoAugment):
        kind = type(experiment.augment).__name__
        raise RequestError(f"augment: {kind} changes images, and two components are not an image; leave augment out")


def _in_the_plane(dataset: Dataset, part: Split, components: Components) -> Dataset:
    """Return the points as a dataset of float64 images of 1 x 2 pixels, without scaling."""
    train, validation = (
        Split(components.project(of.images, 2, dataset.scale)[:, None], of.labels) for of in (part, dataset.validation)
    )
    none = train.take(slice(0, 0))
    return replace(dataset, train=train, validation=validation, test=none, shift=0.0, scale=1.0)


def _learn(experiment: Experiment, plane: Dataset) -> Predict:
    """Return the prediction of the experiment's model, fitted on the points."""
    n = len(plane.train)
    if isinstance(experiment.model, SklearnModel):
        with schema.prefixed("model"):
            experiment.model.check(plane.train.labels, 2)
            if guess := experiment.model.guess(n, 2):
                LOG.warning("%s", guess)
            threads = choose(experiment, None, n).threads
            with threadpool_limits(threads):
                fitted = Fitted(experiment.model, plane, experiment.seed, threads)
            for warning in fitted.warnings:
                LOG.warning("%s", warning)
            return fitted.predict
    deviations = plane.train.images.std(axis=0)
    deviations = np.where(deviations > 0, deviations, 1.0)
    standardised = replace(
        plane,
        train=Split(plane.train.images / deviations, plane.train.labels),
        validation=Split(plane.validation.images / deviations, plane.validation.labels),
    )
    with schema.prefixed("trainer"):
        experiment.trainer.check(n, len(plane.validation))
    with schema.prefixed("schedule"):
        experiment.schedule.start(experiment.trainer.epochs, 1)
    network = build(experiment, standardised)
    compute = choose(experiment, network, n, quiet=True)
    compute.use(network, experiment.trainer.batch_of(n))
    with compute.limits():
        training_run.learn(experiment, standardised, network)
    return lambda points: network.predict((points / deviations[0])[:, None])


def _write_points(
    folder: Path, dataset: Dataset, rows: np.ndarray, points: Split, predictions: dict[str, np.ndarray]
) -> None:
    names = dataset.class_names
    header = ("row", "class", "component_1", "component_2", *(f"predicted_{name}" for name in predictions))
    lines = [
        [int(row), names[label], *map(float, place), *(names[classes[i]] for classes in predictions.values())]
        for i, (row, label, place) in enumerate(zip(rows, points.labels, points.images[:, 0], strict=True))
    ]
    files.write(folder / paths.POINTS, files.csv(header, lines))


def _line(row: dict[str, Any]) -> str:
    line = f"{row['model']:20} training accuracy {100 * row['training_accuracy']:.2f} %  ({row['points']:,} points)"
    if "validation_accuracy" in row:
        line += f"  validation accuracy {100 * row['validation_accuracy']:.2f} %  ({row['validation_points']:,} points)"
    return line


def _pictures(folder: Path) -> Iterator[figures.Drawing]:
    """Yield the name and drawing of the picture, from the files in the folder."""
    about = read_json(folder / paths.SUMMARY)
    names = about["class_names"]
    points = read_table(folder / paths.POINTS, dtype=str, keep_default_na=False)
    number = {name: i for i, name in enumerate(names)}
    labels = points["class"].map(number).to_numpy()
    scores = points[["component_1", "component_2"]].to_numpy(dtype=float)
    panels = []
    for row in about["models"]:
        saved = read_arrays(paths.boundary(folder, row["model"]))
        predicted = points[f"predicted_{row['model']}"].map(number).to_numpy()
        panels.append(plots.Panel(row["model"], row["training_accuracy"], predicted=predicted, **saved))
    yield "boundary", lambda: plots.decision_regions(panels, scores, labels, names, about["shares"])
