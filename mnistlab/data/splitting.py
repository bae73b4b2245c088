"""Selection of rows: rules on label vectors (n,) that return sorted row numbers."""

from __future__ import annotations

import numpy as np


def apportion(sizes: np.ndarray, total: int) -> np.ndarray:
    """Share ``total`` rows among classes of these sizes by the method of largest remainders (Hamilton's).

    Each class gets its exact share ``total * size / sum(sizes)`` rounded down or up; a tie goes to the lower class.
    """
    floors, remainders = np.divmod(sizes.astype(np.int64) * total, max(int(sizes.sum()), 1))
    largest = np.argsort(-remainders, kind="stable")[: total - int(floors.sum())]
    floors[largest] += 1
    return floors


def _ranked(labels: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of ``order`` grouped by class, the class of each, its rank in its class, and the class sizes."""
    rows = order[np.argsort(labels[order], kind="stable")]
    of = labels[rows]
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    return rows, of, np.arange(len(rows)) - starts[of], sizes


def draw(labels: np.ndarray, count: int, stratify: bool, rng: np.random.Generator) -> np.ndarray:
    """Return ``count`` rows at random, with the classes in proportion if ``stratify``."""
    order = rng.permutation(len(labels))
    if not stratify:
        return np.sort(order[:count])
    rows, of, rank, sizes = _ranked(labels, order)
    return np.sort(rows[rank < apportion(sizes, count)[of]])


def spread(labels: np.ndarray, count: int, stratify: bool) -> np.ndarray:
    """Return ``count`` evenly spaced rows, over each class in proportion if ``stratify``; nothing is random."""
    groups = labels if stratify else np.zeros_like(labels)
    rows, of, rank, sizes = _ranked(groups, np.arange(len(labels)))
    quota = apportion(sizes, count)[of]
    # q of c rows are kept: those before a step of floor(rank * q / c)
    return np.sort(rows[(rank + 1) * quota // sizes[of] > rank * quota // sizes[of]])


def last(labels: np.ndarray, count: int) -> np.ndarray:
    """Return the last rows of each class, ``count`` in total, with the classes in proportion."""
    rows, of, rank, sizes = _ranked(labels, np.arange(len(labels)))
    return np.sort(rows[rank >= (sizes - apportion(sizes, count))[of]])


def others(rows: np.ndarray, n: int) -> np.ndarray:
    """Return the numbers of [0, n) that are not in ``rows``."""
    left = np.ones(n, bool)
    left[rows] = False
    return np.flatnonzero(left)
