"""Confident learning: which labels are probably wrong, from probabilities of models that did not see the images.

Northcutt, Jiang & Chuang 2021, "Confident learning: estimating uncertainty in dataset labels", section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistlab.system.errors import RequestError


@dataclass(frozen=True)
class LabelErrors:
    """For every image: the quality of its label, the class that is suggested, and whether it counts as an error."""

    quality: np.ndarray  # p(label), the self-confidence: the lower, the more suspicious
    suggested: np.ndarray
    is_error: np.ndarray

    def ranked(self) -> np.ndarray:
        """Return the rows, the most suspicious first, of equals in their order."""
        return np.argsort(self.quality, kind="stable")


def find(labels: np.ndarray, probabilities: np.ndarray) -> LabelErrors:
    """Return the label errors among images with out-of-sample probabilities (n, classes).

    An image with the label i counts as an error if it is confidently of another class j: p_j is at least the mean of
    p_j over the images labelled j, and no other such class is more probable. It does not if its label is itself the
    most probable class.
    """
    if labels.shape != probabilities.shape[:1] or not len(labels):
        raise RequestError("one label is needed for each row of probabilities, and at least one row")
    p = probabilities.astype(np.float64)
    confident = p >= thresholds(labels, p)
    of_confident = np.where(confident, p, -1.0)
    guess = of_confident.argmax(axis=1)
    suggested = np.where(confident.any(axis=1), guess, p.argmax(axis=1))
    is_error = confident.any(axis=1) & (guess != labels) & (p.argmax(axis=1) != labels)
    return LabelErrors(p[np.arange(len(labels)), labels], suggested, is_error)


def thresholds(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return for each class the mean of its probability over the images that have its label; 2 if there are none."""
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, probabilities[np.arange(len(labels)), labels], classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 2.0)


def confident_joint(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return how many images with the label i are confidently of class j, (classes, classes)."""
    p = probabilities.astype(np.float64)
    confident = p >= thresholds(labels, p)
    rows = confident.any(axis=1)
    guess = np.where(confident, p, -1.0).argmax(axis=1)
    classes = p.shape[1]
    counted = np.bincount(labels[rows] * classes + guess[rows], minlength=classes * classes)
    return np.asarray(counted.reshape(classes, classes))
