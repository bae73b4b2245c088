"""Selection bias: how much better a figure appears on the images on which it was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mnistlab.runs import paths
from mnistlab.system.readers import read_arrays

HALVINGS = 1_000
LAST = 10  # epochs at the end of a curve


def of_models(right: np.ndarray, rng: np.random.Generator, halvings: int = HALVINGS) -> float:
    """Return how much better the best of several models appears on the images on which it was chosen than on others.

    ``right`` (models, images) is True where a model classifies an image correctly. The images are split into random
    halves; the model that is best on one half is measured on both, and the difference averaged over the halvings.
    Both halves have the same distribution, so the difference is due to the choice alone.
    """
    n = right.shape[1]
    gains = np.empty(halvings)
    for i in range(halvings):
        order = rng.permutation(n)
        first, second = right[:, order[: n // 2]].mean(axis=1), right[:, order[n // 2 :]].mean(axis=1)
        best = first.argmax()
        gains[i] = first[best] - second[best]
    return float(gains.mean())


def of_epochs(accuracy: Sequence[float] | np.ndarray, last: int = LAST) -> float:
    """Return the difference between the best epoch of a validation curve and the mean of its last epochs.

    It is an upper bound of the gain from choosing the epoch on the reported images.
    """
    values = np.asarray(accuracy, dtype=float)
    return float(values.max() - values[-last:].mean())


def right_of(runs: Sequence[Path]) -> np.ndarray | None:
    """Return which test images each run predicted correctly, or None if they were not tested on the same images."""
    correct, labels = [], []
    for run in runs:
        saved = read_arrays(run / paths.PREDICTIONS)
        labels.append(saved["labels"])
        correct.append(saved["probabilities"].argmax(axis=1) == saved["labels"])
    if len(correct) < 2 or any(not np.array_equal(labels[0], other) for other in labels):
        return None
    return np.array(correct)
