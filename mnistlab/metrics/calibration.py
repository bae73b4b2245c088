"""Calibration: do images predicted with probability p belong to the class in a fraction p of cases?"""

from __future__ import annotations

import numpy as np

BINS = 15  # as many as of the expected calibration error in metrics.json
HOTTEST = 100.0  # the temperatures between which the best one is looked for are 1 / HOTTEST and HOTTEST
TINY = float(np.finfo(np.float64).tiny)


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> dict[str, np.ndarray]:
    """Return ``count``, mean ``confidence`` and ``accuracy`` of each bin of the confidence, NaN in an empty one.

    The confidence of an image is its largest probability; bin i of n has the confidences in (i / n, (i + 1) / n].
    Guo, Pleiss, Sun & Weinberger 2017, section 2.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    place = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return {
            "count": count,
            "confidence": np.bincount(place, confidence, bins) / count,
            "accuracy": np.bincount(place, correct, bins) / count,
        }


def expected_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error: the mean over images of |accuracy - confidence| of their bin."""
    table = reliability(labels, probabilities, bins)
    gaps = np.abs(np.nan_to_num(table["accuracy"] - table["confidence"]))
    return float((gaps * table["count"]).sum() / max(1, table["count"].sum()))


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean of -ln p(truth)."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], TINY)).mean())


def scaled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(z / T) for z = ln p: above 1, a temperature T makes probabilities more equal."""
    z = np.log(np.maximum(probabilities.astype(np.float64), TINY)) / temperature
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the temperature T with the least log loss of softmax(ln p / T), held between 0.01 and 100.

    The loss is convex in b = 1 / T, with the derivative mean(sum_j p_j(b) z_j - z_truth), z = ln p: its root is found.
    Guo, Pleiss, Sun & Weinberger 2017, section 4.2.
    """
    from scipy.optimize import brentq

    z = np.log(np.maximum(probabilities.astype(np.float64), TINY))
    of_truth = z[np.arange(len(labels)), labels].mean()

    def slope(b: float) -> float:
        return float((scaled(probabilities, 1 / b) * z).sum(axis=1).mean() - of_truth)

    if slope(HOTTEST) <= 0:  # every truth is the most probable class: the loss falls for ever as T goes to 0
        return 1 / HOTTEST
    if slope(1 / HOTTEST) >= 0:
        return HOTTEST
    return 1 / float(brentq(slope, 1 / HOTTEST, HOTTEST, xtol=1e-9))
