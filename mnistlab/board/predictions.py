"""The saved predictions of a run on its test set, checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnistlab.runs import paths
from mnistlab.system.errors import RequestError
from mnistlab.system.readers import read_arrays, read_json_or_empty


@dataclass(frozen=True)
class Predictions:
    """Labels (n,), probabilities (n, classes), and the rows of the images in the test part of the data."""

    labels: np.ndarray
    probabilities: np.ndarray
    rows: np.ndarray | None
    data_sha256: str | None
    class_names: tuple[str, ...]

    @property
    def predicted(self) -> np.ndarray:
        """Return the most probable classes."""
        classes: np.ndarray = self.probabilities.argmax(axis=1)
        return classes


def read(run: Path) -> Predictions:
    """Return the predictions of a run; raises `RequestError` or `UnreadableError` if they are missing or damaged."""
    path = run / paths.PREDICTIONS
    if not path.is_file():
        raise RequestError(f"this run has no {paths.PREDICTIONS}; it has not been completed")
    saved = read_arrays(path)
    metrics = read_json_or_empty(run / paths.METRICS)
    try:
        labels, probabilities = saved["labels"], saved["probabilities"]
    except KeyError as error:
        raise RequestError(f"{path.name}: damaged (no {error.args[0]} in it)") from None
    rows = saved.get("rows")
    numbers = probabilities.dtype.kind == "f" and labels.dtype.kind in "iu"
    if not numbers or probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise RequestError(f"{path.name}: damaged (labels and probabilities do not fit)")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1] or not np.isfinite(probabilities).all():
        raise RequestError(f"{path.name}: damaged (labels or probabilities are out of range)")
    if rows is not None and (rows.dtype.kind not in "iu" or rows.shape != labels.shape or rows.min() < 0):
        raise RequestError(f"{path.name}: damaged (rows do not fit)")
    digest = str(saved["data_sha256"]) if "data_sha256" in saved else metrics.get("data_sha256")
    names = metrics.get("class_names")
    if not isinstance(names, list) or len(names) != probabilities.shape[1]:
        names = list(range(probabilities.shape[1]))
    return Predictions(labels, probabilities, rows, digest, tuple(map(str, names)))
