"""Ensembles: the arithmetic mean of probabilities, of several models or several shifts, and models' disagreement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from mnistlab.data.corruptions import shifted


def mean_probabilities(members: Sequence[np.ndarray]) -> np.ndarray:
    """Return p = (p_1 + ... + p_m) / m of m arrays (n, classes), summed in float64, in the members' type.

    The mean of one array is that array, bit for bit.
    """
    total = np.zeros(members[0].shape, np.float64)
    for probabilities in members:
        total += probabilities
    return (total / len(members)).astype(members[0].dtype)


def mean_over_shifts(predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, pixels: int) -> np.ndarray:
    """Return the mean of the probabilities over all (2 pixels + 1)^2 shifts of the images by up to so many pixels."""
    steps = range(-pixels, pixels + 1)
    return mean_probabilities([predict(shifted(images, down, right)) for down, right in product(steps, steps)])


def disagreement(members: Sequence[np.ndarray]) -> np.ndarray:
    """Return (m, m): the fraction of images for which two members predict different classes.

    Members that make the same errors do not improve the ensemble, however many there are.
    """
    predicted = np.stack([probabilities.argmax(axis=1) for probabilities in members])
    return np.array([(predicted != row).mean(axis=1) for row in predicted])


def mean_disagreement(pairs: np.ndarray) -> tuple[list[float], float]:
    """Return, from the matrix of `disagreement`, each member's mean over the others and the mean over all pairs."""
    others = len(pairs) - 1
    per_member = pairs.sum(axis=1) / others
    return per_member.tolist(), float(per_member.mean())
