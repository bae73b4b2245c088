"""Split-conformal prediction: sets of classes that contain the truth with a chosen probability."""

from __future__ import annotations

import math

import numpy as np


def threshold(labels: np.ndarray, probabilities: np.ndarray, level: float) -> float:
    """Return the least probability of a class in the prediction sets, from images apart from training.

    The score of an image is 1 - p(truth). With q the ceil((n + 1) (1 - level))-th smallest of n scores, the set of an
    image is {c : 1 - p(c) <= q}. If the images and those to be predicted are exchangeable, it contains the truth with
    probability 1 - level or more. With too few images, n + 1 < 1 / level, every class is in every set: 0 is returned.
    Vovk, Gammerman & Shafer 2005; Sadinle, Lei & Wasserman 2019.
    """
    scores = np.sort(1 - probabilities[np.arange(len(labels)), labels].astype(np.float64))
    rank = math.ceil((len(scores) + 1) * (1 - level) - 1e-9)  # 0.9 * 10 is 9, and not a little more
    return float(1 - scores[rank - 1]) if rank <= len(scores) else 0.0


def sets(probabilities: np.ndarray, least: float) -> np.ndarray:
    """Return which classes are in the set of each image, (n, classes) bool."""
    return probabilities.astype(np.float64) >= least - 1e-12


def coverage(labels: np.ndarray, members: np.ndarray) -> float:
    """Return the fraction of images whose set contains the truth."""
    return float(members[np.arange(len(labels)), labels].mean())
