"""Rankings of images by a score -> ROC and precision-recall curves, and the areas below them.

NumPy only, with scikit-learn's definitions and, bit for bit, its results: importing scikit-learn takes longer than
evaluating a small network on all of MNIST.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Counts(NamedTuple):
    """The images at or above each threshold, the thresholds falling: how many are positive, and how many are not."""

    tp: np.ndarray
    fp: np.ndarray
    threshold: np.ndarray

    def at(self, kept: np.ndarray) -> Counts:
        """Return the counts at some of the thresholds."""
        return Counts(self.tp[kept], self.fp[kept], self.threshold[kept])


def counts(truth: np.ndarray, score: np.ndarray) -> Counts:
    """Return the counts at every score that occurs; ``truth`` (n,) is true for positive images."""
    order = np.argsort(score)[::-1]  # of equal scores only the last counts, so that their order does not matter
    truth, score = truth[order], score[order]
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    tp = np.cumsum(truth)[last].astype(float)
    return Counts(tp, last + 1 - tp, score[last])


def area_and_precision(totals: Counts) -> tuple[float | None, float | None]:
    """Return ROC AUC and average precision; None is a score that is not defined.

    With tp and fp the counts at each threshold: AP = sum over thresholds of (rise of recall) tp / (tp + fp).
    """
    positives, negatives = totals.tp[-1], totals.fp[-1]
    if positives == 0:
        return None, None
    if negatives == 0:
        return None, 1.0
    fpr, tpr = np.append(0, totals.fp / negatives), np.append(0, totals.tp / positives)
    tp, fp = tpr[1:] * positives, fpr[1:] * negatives
    area = (np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2).sum()
    return float(area), float(np.sum(np.diff(tpr) * tp / (tp + fp)))


def roc(totals: Counts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the corners (fpr, tpr, threshold) of the ROC curve, which starts at (0, 0); there are both classes."""
    if len(totals.tp) > 2:
        corner = (np.diff(totals.fp, 2) != 0) | (np.diff(totals.tp, 2) != 0)
        totals = totals.at(_with_ends(corner))
    fp, tp = np.append(0, totals.fp), np.append(0, totals.tp)
    return fp / fp[-1], tp / tp[-1], np.append(np.inf, totals.threshold)


def precision_recall(totals: Counts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (recall, precision, threshold) of the curve, recall rising from (0, 1); there are positive images.

    Of the points with equal recall only the first and the last are kept.
    """
    if len(totals.tp) > 2:
        totals = totals.at(_with_ends((np.diff(totals.tp[:-1]) != 0) | (np.diff(totals.tp[1:]) != 0)))
    precision = totals.tp / (totals.tp + totals.fp)
    recall = totals.tp / totals.tp[-1]
    return np.append(0, recall), np.append(1, precision), np.append(np.nan, totals.threshold)


def _with_ends(inner: np.ndarray) -> np.ndarray:
    return np.concatenate([[True], inner, [True]])
