"""Several models as one: the arithmetic mean of their probabilities, and how far they agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def mean_probabilities(members: Sequence[np.ndarray]) -> np.ndarray:
    """Return p = (p_1 + ... + p_m) / m of m arrays (n, classes): summed in float64, kept in the members' type.

    The mean of one is that one, bit by bit.
    """
    total = np.zeros(members[0].shape, np.float64)
    for probabilities in members:
        total += probabilities
    return (total / len(members)).astype(members[0].dtype)


def disagreement(members: Sequence[np.ndarray]) -> np.ndarray:
    """Return (m, m): the share of images for which two members' most probable classes differ.

    Members that err alike gain nothing from one another, however many they are.
    """
    predicted = np.stack([probabilities.argmax(axis=1) for probabilities in members])
    return np.array([(predicted != row).mean(axis=1) for row in predicted])


def mean_disagreement(pairs: np.ndarray) -> tuple[list[float], float]:
    """Return, of `disagreement`'s matrix, each member's mean over the others, and the mean over all pairs."""
    others = len(pairs) - 1
    per_member = pairs.sum(axis=1) / others
    return per_member.tolist(), float(per_member.mean())
