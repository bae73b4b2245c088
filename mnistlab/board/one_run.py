"""One run in full: its metrics, the images behind each number, calibration, prediction sets, the network's inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mnistlab.board import predictions as saved
from mnistlab.board.board import Board, check_files
from mnistlab.board.images import packed
from mnistlab.board.predictions import Predictions
from mnistlab.board.requests import whole
from mnistlab.board.table import Entry, as_json
from mnistlab.metrics import calibration, conformal
from mnistlab.reporting.html import readable
from mnistlab.runs import paths
from mnistlab.statistics import tests as statistics
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text
from mnistlab.system.readers import UnreadableError, read_columns, read_json_or_empty

MOST_IMAGES = 200  # of one answer
LEVELS = (0.2, 0.1, 0.05, 0.01)  # allowed fractions of sets without the truth
ORDERS = ("confident", "unsure", "row")
WHO = ("both", "this", "other", "neither")  # right
Values = Mapping[str, Any]


def overview(board: Board, values: Values) -> dict[str, Any]:
    """Return what is known of a run without its images: settings, scores, confusion matrix, ROC curves."""
    entry = _entry(board, values)
    run = entry.row.directory
    metrics = read_json_or_empty(run / paths.METRICS) if entry.row.state == "completed" else {}
    columns = list(entry.row.values)
    facts = {
        "run": as_json(entry, columns),
        "columns": columns,
        "settings": {readable(key): readable(as_text(value)) for key, value in entry.row.values.items()},
        "has_report": (run / paths.REPORT).is_file(),
        "has_model": (run / paths.MODEL).is_file(),
        "problem": None,
        "test": None,
    }
    try:
        predictions = saved.read(run)
    except (RequestError, UnreadableError) as error:
        return {**facts, "problem": str(error)}
    test = metrics.get("test")
    return {
        **facts,
        "test": _test(predictions, test if isinstance(test, dict) else {}),
        "roc": _roc(entry, predictions),
    }


def _test(predictions: Predictions, scores: Values) -> dict[str, Any]:
    k = len(predictions.class_names)
    confusion = np.bincount(predictions.labels * k + predictions.predicted, minlength=k * k).reshape(k, k)
    areas = scores.get("roc_auc")
    per_class = areas.get("per_class") if isinstance(areas, dict) else None
    return {
        "classes": [readable(name) for name in predictions.class_names],
        "n": len(predictions.labels),
        "accuracy": float((predictions.labels == predictions.predicted).mean()),
        "confusion": confusion,
        "auc": [per_class.get(name) for name in predictions.class_names] if isinstance(per_class, dict) else [],
    }


def _roc(entry: Entry, predictions: Predictions) -> list[dict[str, Any]]:
    """Return the ROC curve of each class as in roc.csv: false and true positive rates, and thresholds."""
    try:
        columns = read_columns(entry.row.directory / paths.ROC, text="curve")
        curves = []
        for name in predictions.class_names:
            rows = columns["curve"] == name
            points = {key: columns[key][rows].round(5) for key in ("fpr", "tpr", "threshold")}
            curves.append({"name": readable(name), **points})
        return curves
    except (UnreadableError, KeyError):
        return []


def images(board: Board, values: Values) -> dict[str, Any]:
    """Return test images of a run with their probabilities, and beside them those of another run.

    ``truth`` and ``predicted`` choose a cell of the confusion matrix, ``who`` who of the two runs is right, ``order``
    the order by the probability of the prediction.
    """
    entry = _entry(board, values)
    with board.lock:
        predictions = saved.read(entry.row.directory)
        pixels = board.datasets.test_images(entry.row.directory, predictions)
        other = _other(board, values, predictions, pixels)
    chosen = _chosen(values, predictions, other)
    start, count = whole(values, "start"), min(whole(values, "count", 60), MOST_IMAGES)
    rows = chosen[start : start + count]
    right = predictions.predicted == predictions.labels
    content = {
        "matching": len(chosen),
        "places": rows,
        "rows": rows if predictions.rows is None else predictions.rows[rows],
        "truths": predictions.labels[rows],
        "probabilities": predictions.probabilities[rows].astype(np.float64).round(4),
        "images": packed(pixels[rows]),
    }
    if other is not None:
        others_right = other.argmax(axis=1) == predictions.labels
        content["other"] = other[rows].astype(np.float64).round(4)
        content["who"] = {name: int(_who(name, right, others_right).sum()) for name in WHO}
        difference = statistics.mcnemar(right, others_right)
        content["p"] = None if difference is None else difference.p
    return content


def _other(board: Board, values: Values, predictions: Predictions, pixels: np.ndarray) -> np.ndarray | None:
    """Return another run's probabilities of the same images, from its file or else by its network."""
    if not values.get("beside"):
        return None
    entry = board.entry(whole(values, "beside"))
    run = entry.row.directory
    check_files(board.root, run)
    other = saved.read(run)
    if other.class_names != predictions.class_names:
        raise RequestError("the two runs have different classes, so that their predictions cannot be compared")
    same_data = other.data_sha256 is not None and other.data_sha256 == predictions.data_sha256
    if same_data and other.rows is not None and predictions.rows is not None:
        places = np.searchsorted(other.rows, predictions.rows)
        inside_of = places < len(other.rows)
        if inside_of.all() and np.array_equal(other.rows[places], predictions.rows):
            return other.probabilities[places]
    name = f"{predictions.data_sha256} {hash(predictions.labels.tobytes())} {hash(pixels.tobytes())}"
    return board.models.probabilities(run, pixels, name)


def _chosen(values: Values, predictions: Predictions, other: np.ndarray | None) -> np.ndarray:
    classes = len(predictions.class_names)
    chosen = np.ones(len(predictions.labels), bool)
    for key, of in (("truth", predictions.labels), ("predicted", predictions.predicted)):
        if values.get(key, "") != "":
            chosen &= of == whole(values, key, most=classes - 1)
    right = predictions.predicted == predictions.labels
    if values.get("wrong"):
        chosen &= ~right
    if other is not None and values.get("who"):
        chosen &= _who(str(values["who"]), right, other.argmax(axis=1) == predictions.labels)
    rows = np.flatnonzero(chosen)
    order = values.get("order", ORDERS[0])
    if order not in ORDERS:
        raise RequestError(f"order={order}: choose one of {', '.join(ORDERS)}")
    confidence = predictions.probabilities[rows].max(axis=1)
    if order == "confident":
        return rows[np.argsort(-confidence, kind="stable")]
    return rows[np.argsort(confidence, kind="stable")] if order == "unsure" else rows


def _who(name: str, right: np.ndarray, others_right: np.ndarray) -> np.ndarray:
    if name not in WHO:
        raise RequestError(f"who={name}: choose one of {', '.join(WHO)}")
    of_this, of_other = name in ("both", "this"), name in ("both", "other")
    return np.asarray((right == of_this) & (others_right == of_other))


def calibrated(board: Board, values: Values) -> dict[str, Any]:
    """Return the reliability diagram of the test set, before and after scaling by a temperature, and prediction sets.

    Temperature and thresholds come from the validation set, whose probabilities are computed by the saved network.
    """
    entry = _entry(board, values)
    predictions = saved.read(entry.row.directory)
    labels, probabilities = predictions.labels, predictions.probabilities
    content: dict[str, Any] = {"test": _calibration(labels, probabilities), "scaled": None, "sets": [], "problem": None}
    try:
        with board.lock:
            validation = board.datasets.of(entry.row.directory).validation
            if not len(validation):
                raise RequestError("this run has no validation set, on which a temperature and sets could be fitted")
            of_validation = board.models.probabilities(entry.row.directory, validation.images, "validation")
    except (RequestError, UnreadableError) as error:
        return {**content, "problem": str(error)}
    temperature = calibration.temperature(validation.labels, of_validation)
    scaled = calibration.scaled(probabilities, temperature)
    return {
        **content,
        "temperature": temperature,
        "validation": len(validation),
        "scaled": _calibration(labels, scaled),
        "sets": [_sets(validation.labels, of_validation, labels, probabilities, level) for level in LEVELS],
    }


def _calibration(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    return {
        **calibration.reliability(labels, probabilities),
        "error": calibration.expected_error(labels, probabilities),
        "loss": calibration.log_loss(labels, probabilities),
    }


def _sets(
    held_out: np.ndarray, of_held_out: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, level: float
) -> dict[str, Any]:
    least = conformal.threshold(held_out, of_held_out, level)
    members = conformal.sets(probabilities, least)
    sizes = members.sum(axis=1)
    return {
        "level": level,
        "threshold": least,
        "coverage": conformal.coverage(labels, members),
        "mean_size": float(sizes.mean()),
        "sizes": np.bincount(sizes, minlength=probabilities.shape[1] + 1),
    }


def looked_into(board: Board, values: Values) -> dict[str, Any]:
    """Return the feature maps and the occlusion map of one test image, computed now."""
    entry = _entry(board, values)
    with board.lock:
        predictions = saved.read(entry.row.directory)
        pixels = board.datasets.test_images(entry.row.directory, predictions)
        place = whole(values, "place", most=len(pixels) - 1)
        fill = int(np.median(pixels[:1000]))  # as of the pictures of a run: for MNIST, the background
        content = board.models.inside(entry.row.directory, pixels[place], fill)
    return {**content, "image": packed(pixels[place][None]), "truth": int(predictions.labels[place])}


def _entry(board: Board, values: Values) -> Entry:
    entry = board.entry(whole(values, "run"))
    check_files(board.root, entry.row.directory)
    return entry


READS = {"run": overview, "images": images, "calibration": calibrated, "inside": looked_into}
