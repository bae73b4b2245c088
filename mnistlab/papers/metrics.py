"""Metrics of the papers that are not in metrics.json, computed from its content."""

from __future__ import annotations

import math
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.analysis.verdict_text import points, value_text
from mnistlab.metrics import classification
from mnistlab.runs.record import PARTS, Record, metrics_of
from mnistlab.runs.status import State

GAP, ONE_HOT_AUC = "gap", "one_hot_auc"
PER_CLASS = "per_class"  # of areas under curves and average precisions
SETTINGS = ("best.C", "best.gamma")  # chosen by a grid search


def value(record: Record, metric: str) -> float:
    """Return a metric of a run, or NaN: one of metrics.json, ``<part>.one_hot_auc``, or ``gap``.

    The gap is |training - test accuracy|, since a negative gap does not shrink by becoming more negative.
    """
    if metric == GAP:
        return abs(record.value("train.accuracy") - record.value("test.accuracy"))
    part, _, name = metric.partition(".")
    if name == ONE_HOT_AUC:
        matrix = record.metrics.get(part, {}).get("confusion_matrix")
        return one_hot_auc(np.asarray(matrix)) if matrix else math.nan
    return record.value(metric)


@cache
def names() -> tuple[str, ...]:
    """Return the names of the metrics that a run can have; those of its classes depend on the data."""
    scores = classification.evaluate(np.array([0, 1]), np.eye(2), ("0", "1"))
    run = Record(Path(), State("completed"), 0, {}, (), {**dict.fromkeys(PARTS, scores), "parameters": 1})
    return (*metrics_of([run]), *(f"{part}.{ONE_HOT_AUC}" for part in PARTS), GAP)


def is_known(metric: str) -> bool:
    """Return whether a run can have this metric."""
    score, of_class, _ = metric.partition(f".{PER_CLASS}.")
    return metric in names() or (bool(of_class) and f"{score}.macro" in names())


def is_proportion(metric: str) -> bool:
    """Return whether a metric is a number from 0 to 1."""
    return points(metric) and metric not in SETTINGS


def in_per_cent(metric: str) -> bool:
    """Return whether `amount` gives a metric in per cent."""
    return is_proportion(metric) and "auc" not in metric


def exponent(figure: str) -> int:
    """Return the power of ten of a printed figure's last digit: -2 for 0.94, -1 for 3e-1."""
    return int(Decimal(figure).as_tuple().exponent)


def amount(metric: str, amount: float) -> str:
    """Return a value as on the page: accuracies in per cent, areas under curves with four digits."""
    if metric in SETTINGS:
        return f"{amount:g}"
    return f"{amount:.4f}" if "auc" in metric else value_text(metric, amount)


def one_hot_auc(confusion: np.ndarray) -> float:
    """Return the macro AUC of one-hot predictions, from the confusion matrix (k, k), rows the truth.

    With scores of 0 and 1 the ROC curve has a single corner, (1 - specificity, recall), and the area below it is
    (recall + specificity) / 2; the macro average is over the classes that occur. It equals scikit-learn's
    ``roc_auc_score`` for one-hot truth and one-hot prediction.
    """
    counts = np.asarray(confusion, dtype=float)
    right, truth, predicted, n = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    present = (truth > 0) & (truth < n)
    recall = right[present] / truth[present]
    specificity = 1 - (predicted - right)[present] / (n - truth[present])
    return float(((recall + specificity) / 2).mean()) if present.any() else math.nan


def recalls(record: Record) -> dict[str, float]:
    """Return the recall of every class on the test set."""
    rows: list[dict[str, Any]] = record.metrics.get("test", {}).get("per_class", [])
    return {row["class"]: float(row["recall"]) for row in rows if row["recall"] is not None}


def mistakes(record: Record) -> dict[tuple[str, str], int]:
    """Return the counts of each confusion (truth, prediction) on the test set."""
    test = record.metrics.get("test", {})
    names = [row["class"] for row in test.get("per_class", [])]
    matrix: list[list[int]] = test.get("confusion_matrix") or []  # null for many classes
    if not matrix:
        return {}
    return {
        (truth, other): int(count)
        for truth, counts in zip(names, matrix, strict=True)
        for other, count in zip(names, counts, strict=True)
        if other != truth and count
    }
