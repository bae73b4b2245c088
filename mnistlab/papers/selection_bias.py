"""How much a figure gains when it is measured on the images that it was chosen on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mnistlab.runs import paths
from mnistlab.system.readers import read_arrays

HALVINGS = 1_000
LAST = 10  # epochs at the end of a curve


def of_models(right: np.ndarray, rng: np.random.Generator, halvings: int = HALVINGS) -> float:
    """Return by how much the best of several models looks better on the images it was chosen on than on others.

    ``right`` (models, images) is True where a model classifies an image correctly. The images are cut into random
    halves; the model that is best on one half is measured on both, and the difference averaged over the halvings.
    Both halves have the same distribution, so that the difference is due to the choice alone.
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
    """Return the difference of the best epoch of a validation curve and the mean of its last epochs.

    It is the most that choosing the epoch on the reported images can have gained over not choosing one.
    """
    values = np.asarray(accuracy, dtype=float)
    return float(values.max() - values[-last:].mean())


def right_of(runs: Sequence[Path]) -> np.ndarray | None:
    """Return which test images each run predicted rightly, or None where they were not tested on the same."""
    correct, labels = [], []
    for run in runs:
        saved = read_arrays(run / paths.PREDICTIONS)
        labels.append(saved["labels"])
        correct.append(saved["probabilities"].argmax(axis=1) == saved["labels"])
    if len(correct) < 2 or any(not np.array_equal(labels[0], other) for other in labels):
        return None
    return np.array(correct)
