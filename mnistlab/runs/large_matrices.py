"""Confusion matrices of many classes, kept in an NPZ file: metrics.json would be too large for its readers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.runs import paths
from mnistlab.system import files
from mnistlab.system.readers import read_arrays, read_json

MOST_IN_JSON = 200  # classes; more than 700 would make metrics.json longer than 16 MiB
MATRIX = "confusion_matrix"


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write metrics.json; for many classes the matrices are null there, and in confusion_matrices.npz by set."""
    if len(metrics["class_names"]) > MOST_IN_JSON:
        large = {part: np.array(scores[MATRIX], np.int32) for part, scores in _sets(metrics).items() if scores[MATRIX]}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **large)
        files.write(folder / paths.CONFUSION_MATRICES, buffer.getvalue())
        metrics = {key: {**value, MATRIX: None} if key in large else value for key, value in metrics.items()}
    files.write_json(folder / paths.METRICS, metrics)


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return metrics.json with its matrices, wherever they are."""
    metrics: dict[str, Any] = read_json(folder / paths.METRICS)
    if (folder / paths.CONFUSION_MATRICES).exists():
        for part, matrix in read_arrays(folder / paths.CONFUSION_MATRICES).items():
            metrics[part][MATRIX] = matrix
    return metrics


def _sets(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {key: value for key, value in metrics.items() if isinstance(value, dict) and MATRIX in value}
