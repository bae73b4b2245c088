"""Metrics of the papers that are not in metrics.json, computed from its content."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mnistlab.analysis.verdict_text import points, value_text
from mnistlab.runs.record import Record

GAP, ONE_HOT_AUC = "gap", "one_hot_auc"
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


def in_per_cent(metric: str) -> bool:
    """Return whether `amount` gives a metric in per cent."""
    return points(metric) and metric not in SETTINGS and "auc" not in metric


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
