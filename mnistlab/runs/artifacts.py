"""Results -> the files of one run directory, from which `figures` draws afterwards."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.config.report import Plots, Report
from mnistlab.data.augmentation import Augment
from mnistlab.data.dataset import Dataset, Split
from mnistlab.metrics import classification
from mnistlab.metrics.feature_maps import feature_maps
from mnistlab.metrics.occlusion import occlude, patch_side
from mnistlab.nn.network import Network
from mnistlab.runs import large_matrices, paths
from mnistlab.system import files
from mnistlab.system.readers import read_arrays
from mnistlab.training.loop import Epoch, History

LOG = logging.getLogger("mnistlab")
SAMPLES_PER_CLASS = 10
MISTAKES = 25
AUGMENTED_CLASSES, VERSIONS = 10, 9
COVERED = 6  # mistakes in the occlusion picture


def write_history(run: Path, history: History) -> None:
    """Write history.csv and norms.csv, complete after every epoch."""
    files.write(
        run / paths.HISTORY, files.csv(list(Epoch.__dataclass_fields__), [astuple(row) for row in history.epochs])
    )
    files.write(run / paths.NORMS, files.csv(("epoch", "layer", "weight_norm", "grad_norm"), history.norms))


def write_results(
    run: Path, dataset: Dataset, predictions: dict[str, np.ndarray], summary: dict[str, Any], train_ranking: bool
) -> dict[str, Any]:
    """Write metrics.json and every table; return the metrics.

    ``predictions`` are the probabilities of each set; for ``train_ranking`` see `Report`.
    """
    names = dataset.class_names
    parts = {part: getattr(dataset, part) for part in ("train", "validation", "test")}
    scores = {
        name: classification.evaluate(part.labels, predictions[name], names, name != "train" or train_ranking)
        for name, part in parts.items()
    }
    metrics = {**summary, "class_names": list(names), **scores}
    large_matrices.write_metrics(run, metrics)
    if len(dataset.test):
        origin = {"rows": dataset.test_rows, "data_sha256": dataset.provenance.get("sha256")}
        write_predictions(run, dataset.test, predictions["test"], names, scores["test"], origin)
    write_images(run, parts, dataset.train, names)
    return metrics


def write_predictions(
    folder: Path,
    part: Split,
    probabilities: np.ndarray,
    names: Sequence[str],
    scores: dict[str, Any],
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Write the tables of the predictions on one set, and its worst mistakes; ``scores`` are its metrics.

    ``origin`` says where the images are: ``rows`` of the test part of the data with the hash ``data_sha256``.
    """
    known = {name: np.asarray(value) for name, value in (origin or {}).items() if value is not None}
    files.write(folder / paths.PREDICTIONS, npz(labels=part.labels, probabilities=probabilities, **known))
    _table(folder / paths.CLASSIFICATION_REPORT, classification.classification_report(scores))
    if len(names) <= large_matrices.MOST_IN_JSON:
        files.write(folder / paths.CONFUSION_MATRIX, _confusion_csv(scores, names))
    roc, precision_recall = classification.curves(part.labels, probabilities, names)
    _table(folder / paths.ROC, roc)
    _table(folder / paths.PRECISION_RECALL, precision_recall)
    worst = classification.worst_mistakes(part.labels, probabilities, MISTAKES)
    predicted = probabilities[worst].argmax(axis=1)
    files.write(
        folder / paths.MISTAKES,
        npz(
            rows=worst,
            images=part.images[worst],
            truths=part.labels[worst],
            predictions=predicted,
            probabilities=probabilities[worst].max(axis=1),
        ),
    )


def write_images(folder: Path, parts: Mapping[str, Split], shown: Split, names: Sequence[str]) -> None:
    """Write the number of images of each class in each set, and the first images of each class of ``shown``."""
    counts = [[name, *(int((part.labels == i).sum()) for part in parts.values())] for i, name in enumerate(names)]
    files.write(folder / paths.CLASS_DISTRIBUTION, files.csv(("class", *parts), counts))
    rows = _first_of_each_class(shown.labels, len(names))
    files.write(folder / paths.SAMPLES, npz(images=shown.images[rows], labels=shown.labels[rows]))


def write_maps(run: Path, network: Network, dataset: Dataset, probabilities: np.ndarray, shown: Report) -> None:
    """Write the data for plots of the network's inside: feature_maps.npz, and with ``all`` occlusion.npz.

    ``probabilities`` are those of the test set; mistakes.npz must exist already.
    """
    test = dataset.test
    if shown.plots is Plots.none or not len(test):
        return
    rows = list(dict.fromkeys(shown.images)) or ([0] if shown.plots is Plots.all and len(test) else [])
    maps = feature_maps(network, test.images[rows]) if rows else {}
    if maps:
        arrays = {f"maps_{i}": array for i, array in enumerate(maps.values())}
        predicted = probabilities[rows].argmax(axis=1)
        files.write(
            run / paths.FEATURE_MAPS,
            npz(
                rows=np.array(rows),
                images=test.images[rows],
                truths=test.labels[rows],
                predictions=predicted,
                probabilities=probabilities[rows, predicted],
                layers=np.array(list(maps)),
                **arrays,
            ),
        )
    elif shown.images:
        LOG.warning(
            "report.images: this network has no convolution or pooling layer, so there are no feature maps to draw"
        )
    if shown.plots is not Plots.all:
        return
    kept = {name: array[:COVERED] for name, array in read_arrays(run / paths.MISTAKES).items()}
    fill = int(np.median(test.images[:1000])) if len(test) else 0  # for MNIST, the background
    drops = occlude(network.predict, kept["images"], kept["predictions"], fill)
    side = patch_side(*network.image_shape)
    files.write(run / paths.OCCLUSION, npz(**kept, drops=drops, patch=np.array(side), fill=np.array(fill)))


def write_augmented(folder: Path, part: Split, augment: Augment, rng: np.random.Generator) -> None:
    """Write augmented.npz: an image of each of the first classes, followed by augmented versions as in training."""
    _, first = np.unique(part.labels, return_index=True)
    rows = first[:AUGMENTED_CLASSES]
    images = np.repeat(part.images[rows, None], 1 + VERSIONS, axis=1)
    versions = images[:, 1:].reshape(-1, *part.images.shape[1:])
    augment.start_epoch(versions, rng)
    images[:, 1:] = augment.batch(versions).reshape(images[:, 1:].shape)
    files.write(folder / paths.AUGMENTED, npz(images=images, labels=part.labels[rows]))


def _first_of_each_class(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.concatenate([np.flatnonzero(labels == c)[:SAMPLES_PER_CLASS] for c in range(classes)])


def _confusion_csv(metrics: dict[str, Any], names: Sequence[str]) -> str:
    return files.csv(
        ("truth", *map(str, names)),
        [[name, *row] for name, row in zip(names, metrics["confusion_matrix"], strict=True)],
    )


def _table(path: Path, table: classification.Table) -> None:
    files.write(path, files.csv(list(table), list(zip(*table.values(), strict=True))))


def npz(**arrays: np.ndarray) -> bytes:
    """Return arrays as the bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
