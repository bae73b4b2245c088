"""Labels and probabilities -> metrics of the predictions of any model.

Labels are whole numbers ``0 .. k-1`` of shape (n,); probabilities are (n, k), one row per image, each row summing to
one. They are converted to float64 and normalised again before use, since float32 rows sum to one only within 1e-6 or
so. The predicted class is the most probable one; of equally probable classes, the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from mnistlab.metrics import ranking
from mnistlab.system.errors import RequestError, RunError

BINS = 15  # of the expected calibration error
POINTS = 500  # the maximum for a saved curve
AVERAGES = ("micro", "macro")

Table = dict[str, Sequence[Any]]  # column -> values


def evaluate(
    labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str], ranked: bool = True
) -> dict[str, Any]:
    """Return every metric as plain numbers, lists and None, in a fixed order, ready for JSON.

    - ``loss``: mean of -ln p(truth), in nats; p is held above 2.2e-16 (scikit-learn's ``log_loss``).
    - ``accuracy_interval``: Wilson, 95 %.
    - ``top2_accuracy``: the truth is one of the two most probable classes; of equally probable ones, the first count.
    - ``precision`` of a class that is never predicted is 0. ``weighted`` averages weight a class by its support.
    - ``roc_auc``, ``average_precision``: one class against the rest; micro pools all n k decisions. They are left out
      unless ``ranked``, since sorting all decisions takes longer than everything else here.
    - ``expected_calibration_error``: sum over 15 equal-width bins of confidence of
      (images in the bin / n) |accuracy - mean confidence| (Guo et al. 2017).
    - ``confusion_matrix``: rows are the truth, columns the prediction.

    A class without images has support 0 and None for everything else, and is left out of the macro averages. If all
    labels are of one class, there is nothing to rank it against, and its AUC is None too.
    Without any images the result is ``{"n": 0}``.
    Raises `RequestError` if the shapes or labels do not fit, and `RunError` if the rows are not probabilities.
    """
    names = _distinct(class_names)
    y, p = _checked(labels, probabilities, len(names))
    if len(y) == 0:
        return {"n": 0}
    n, k = p.shape
    predicted = p.argmax(axis=1)
    confusion = _confusion(y, predicted, k)
    support, correct = confusion.sum(axis=1), int(np.trace(confusion))
    precision, recall, f1 = _class_scores(confusion)
    scores = [
        dict(zip(("precision", "recall", "f1"), map(float, row), strict=True))
        for row in zip(precision, recall, f1, strict=True)
    ]
    present = [c for c in range(k) if support[c]]
    return {
        "n": n,
        "accuracy": correct / n,
        "correct": correct,
        "accuracy_interval": list(wilson(correct, n)),
        "loss": _log_loss(y, p),
        "top2_accuracy": top2_accuracy(y, p),
        "per_class": [
            {"class": names[c]} | (scores[c] if support[c] else dict.fromkeys(scores[c])) | {"support": int(support[c])}
            for c in range(k)
        ],
        "macro": {key: _mean([scores[c][key] for c in present]) for key in scores[0]},
        "weighted": {key: float(sum(scores[c][key] * support[c] for c in present) / n) for key in scores[0]},
        **(_ranking_scores(y, p, names) if ranked else {}),
        "expected_calibration_error": _calibration_error(p.max(axis=1), predicted == y),
        "confusion_matrix": confusion.tolist(),
        "most_confused": _most_confused(confusion, names),
    }


def brief(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Return a few metrics for a row of a comparison, as computed by `evaluate`."""
    y, p = _checked(labels, probabilities)
    correct = int((p.argmax(axis=1) == y).sum())
    low, high = wilson(correct, len(y))
    mean_loss = loss(labels, probabilities)
    return {"n": len(y), "accuracy": correct / len(y), "low": low, "high": high, "loss": mean_loss}


def wilson(correct: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion ``a = correct / n``.

    With z the normal quantile of (1 + confidence) / 2 (Wilson 1927; no continuity correction)::

        (a + z^2/2n -+ z sqrt(a (1-a)/n + z^2/4n^2)) / (1 + z^2/n)
    """
    if not 0 <= correct <= n or n < 1:
        raise RequestError(f"must be between 0 and n={n}, with n at least 1", key="correct", value=correct)
    if not 0 < confidence < 1:
        raise RequestError("must be a number between 0 and 1", key="confidence", value=confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    a = correct / n
    centre, half = a + z * z / (2 * n), z * math.sqrt(a * (1 - a) / n + z * z / (4 * n * n))
    shrink = 1 + z * z / n
    # at the ends the formula gives exactly 0 and 1, except for rounding
    return 0.0 if correct == 0 else (centre - half) / shrink, 1.0 if correct == n else (centre + half) / shrink


def curves(labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]) -> tuple[Table, Table]:
    """Return `roc_curves` and `precision_recall_curves`, from one ranking of the images."""
    names = _distinct(class_names)
    y, p = _checked(labels, probabilities, len(names))
    counts = {name: ranking.counts(truth, score) for name, truth, score in _decisions(y, p, names) if truth.any()}
    return _roc_table(counts, names), _precision_recall_table(counts)


def roc_curves(labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]) -> Table:
    """Return the ROC curves as one table: curve, fpr, tpr, threshold.

    ``curve`` is a class (against the rest), ``micro`` (all n k decisions pooled) or ``macro`` (the mean of the class
    curves at equal false positive rate, so that its area is the macro AUC; it has no threshold). Curves without both
    positive and negative images are left out. Each curve has only its corners, at most 500, densest at the upper left.
    """
    return curves(labels, probabilities, class_names)[0]


def precision_recall_curves(labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]) -> Table:
    """Return the precision-recall curves as one table: curve, recall, precision, threshold.

    ``curve`` is a class (against the rest) or ``micro`` (all n k decisions pooled). Recall rises along a curve, from
    (0, 1), which has no threshold. A class without images has no curve. Each curve has at most 500 points.
    """
    return curves(labels, probabilities, class_names)[1]


def _roc_table(counts: Mapping[str, ranking.Counts], names: list[str]) -> Table:
    curve_of = {name: ranking.roc(each) for name, each in counts.items() if each.fp[-1]}
    class_curves = [curve_of[name] for name in names if name in curve_of]
    if class_curves:
        fpr, tpr = _mean_curve([(fpr, tpr) for fpr, tpr, _ in class_curves])
        curve_of["macro"] = fpr, tpr, np.full(len(fpr), np.nan)
    return _table(curve_of, ("fpr", "tpr", "threshold"), lambda fpr, tpr: (np.sqrt(fpr), np.sqrt(1 - tpr)))


def _precision_recall_table(counts: Mapping[str, ranking.Counts]) -> Table:
    curve_of = {name: ranking.precision_recall(each) for name, each in counts.items()}
    # spaced by recall alone: at low recall, precision is noise and would take most of the points
    return _table(curve_of, ("recall", "precision", "threshold"), lambda r, _: (np.sqrt(r), np.sqrt(1 - r)))


def classification_report(metrics: dict[str, Any]) -> Table:
    """Return scikit-learn's report as a table: class, precision, recall, f1, support, then the averages.

    The row ``accuracy`` has its value in the column f1, as in scikit-learn. Without images the table is empty.
    """
    rows = []
    if metrics["n"]:
        rows = [
            *metrics["per_class"],
            {"class": "accuracy", "f1": metrics["accuracy"], "support": metrics["n"]},
            {"class": "macro avg", **metrics["macro"], "support": metrics["n"]},
            {"class": "weighted avg", **metrics["weighted"], "support": metrics["n"]},
        ]
    scores = {name: [_or_nan(row.get(name)) for row in rows] for name in ("precision", "recall", "f1")}
    return {"class": [row["class"] for row in rows], **scores, "support": [row["support"] for row in rows]}


def worst_mistakes(labels: np.ndarray, probabilities: np.ndarray, count: int = 25) -> np.ndarray:
    """Return the rows of at most ``count`` wrong predictions, the most confident first, of equals in their order."""
    y, p = _checked(labels, probabilities)
    wrong = np.flatnonzero(p.argmax(axis=1) != y)
    return wrong[np.argsort(-p[wrong].max(axis=1), kind="stable")][:count]


def accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the fraction of images whose most probable class is the truth."""
    y, p = _checked(labels, probabilities)
    return float((p.argmax(axis=1) == y).mean())


def top2_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the fraction of images whose truth is among the two most probable classes, of equals the first.

    scikit-learn's ``top_k_accuracy_score`` uses the last of equals, and so could be below the accuracy.
    """
    y, p = _checked(labels, probabilities)
    true_probabilities = p[np.arange(len(y)), y][:, None]
    before = (p > true_probabilities) | ((p == true_probabilities) & (np.arange(p.shape[1]) < y[:, None]))
    return float((before.sum(axis=1) < 2).mean())


def loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean of -ln p(truth), as in `evaluate`."""
    return _log_loss(*_checked(labels, probabilities))


def f1_macro(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean F1 of the classes that occur in the labels."""
    y, p = _checked(labels, probabilities)
    confusion = _confusion(y, p.argmax(axis=1), p.shape[1])
    return float(_class_scores(confusion)[2][confusion.any(axis=1)].mean())


def roc_auc_macro(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean one-against-rest AUC of the classes that occur; `RunError` for fewer than two."""
    y, p = _checked(labels, probabilities)
    mean = _mean([_area_and_precision(y == c, p[:, c])[0] for c in np.unique(y)])
    if mean is None:
        raise RunError("score=roc_auc_macro: the labels contain only one class; use two or more, or another score")
    return mean


SCORES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "loss": loss,
    "accuracy": accuracy,
    "f1_macro": f1_macro,
    "roc_auc_macro": roc_auc_macro,
    "top2_accuracy": top2_accuracy,
}
LOWER_IS_BETTER = frozenset({"loss"})  # of the scores; plug-ins may add others


def _checked(labels: np.ndarray, probabilities: np.ndarray, k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return labels as integers and probabilities as float64 rows that sum to one, or raise."""
    y, p = np.asarray(labels), np.asarray(probabilities)
    if p.ndim != 2 or p.shape[1] < 1 or (k is not None and p.shape[1] != k):
        raise RequestError(f"must have the shape (images, {k or 'classes'})", key="probabilities", value=p.shape)
    if y.shape != p.shape[:1]:
        raise RequestError(f"must be one label per row of the probabilities {p.shape}", key="labels", value=y.shape)
    if len(y) == 0:
        return y.astype(np.intp), p.astype(np.float64)
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= p.shape[1]:
        raise RequestError(f"labels={y.min()}..{y.max()}: must be whole numbers from 0 to {p.shape[1] - 1}")
    p = p.astype(np.float64)
    total = p.sum(axis=1, keepdims=True)
    bad = ~(np.isfinite(total[:, 0]) & (p.min(axis=1) >= 0) & (np.abs(total[:, 0] - 1) < 1e-3))
    if bad.any():
        row = int(bad.argmax())
        raise RunError(
            f"probabilities[{row}]={np.array2string(p[row], precision=3, threshold=4, edgeitems=2)}: "
            f"must be finite numbers of zero or more that sum to 1 ({int(bad.sum())} of {len(bad)} rows are not)"
        )
    return y.astype(np.intp), p / total


def _distinct(class_names: Sequence[str]) -> list[str]:
    """Return unique names: the class number is added to a name that is repeated or that of an average."""
    names: list[str] = []
    for c, name in enumerate(map(str, class_names)):
        names.append(f"{name} (class {c})" if name in (*names, *AVERAGES) else name)
    return names


def _one_hot(y: np.ndarray, k: int) -> np.ndarray:
    return y[:, None] == np.arange(k)


def _decisions(y: np.ndarray, p: np.ndarray, names: list[str]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (curve, truth, score) of every class against the rest, and of all these decisions pooled."""
    truth = _one_hot(y, p.shape[1])
    return [(name, truth[:, c], p[:, c]) for c, name in enumerate(names)] + [("micro", truth.ravel(), p.ravel())]


def _confusion(y: np.ndarray, predicted: np.ndarray, k: int) -> np.ndarray:
    return np.bincount(y * k + predicted, minlength=k * k).reshape(k, k)


def _class_scores(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision, recall and F1 of each class; what would be 0 / 0 is 0."""
    right, truth, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return right / np.maximum(predicted, 1), right / np.maximum(truth, 1), 2 * right / np.maximum(truth + predicted, 1)


def _log_loss(y: np.ndarray, p: np.ndarray) -> float:
    """Return the mean of -ln p(truth), with p held above 2.2e-16; of a single class it is 0."""
    if p.shape[1] == 1:
        return 0.0
    tiny = np.finfo(float).eps
    true_probabilities = np.clip(p[np.arange(len(y)), y], tiny, 1 - tiny)
    # math.log and not np.log, whose last bit depends on the processor
    return float(np.fromiter(map(math.log, true_probabilities.tolist()), float, len(y)).mean() * -1)


def _ranking_scores(y: np.ndarray, p: np.ndarray, names: list[str]) -> dict[str, Any]:
    scores = [_area_and_precision(truth, score) for _, truth, score in _decisions(y, p, names)]
    areas, precisions = zip(*scores, strict=True)
    return {
        "roc_auc": _ranked(areas[:-1], areas[-1], names),
        "average_precision": _ranked(precisions[:-1], precisions[-1], names),
    }


def _area_and_precision(truth: np.ndarray, score: np.ndarray) -> tuple[float | None, float | None]:
    """Return ROC AUC and average precision, both from one ranking, since sorting takes most of the time."""
    return ranking.area_and_precision(ranking.counts(truth, score)) if truth.any() else (None, None)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return math.fsum(defined) / len(defined) if defined else None


def _ranked(values: Sequence[float | None], micro: float | None, names: list[str]) -> dict[str, Any]:
    return {"macro": _mean(values), "micro": micro, "per_class": dict(zip(names, values, strict=True))}


def _calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    edges = np.linspace(0, 1, BINS + 1)[1:-1]
    bins = np.digitize(confidence, edges, right=True)  # bins (lower, upper]
    gaps = np.bincount(bins, correct, BINS) - np.bincount(bins, confidence, BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def _most_confused(confusion: np.ndarray, names: list[str], most: int = 5) -> list[dict[str, Any]]:
    errors = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-errors, axis=None, kind="stable")[:most]
    pairs = [divmod(int(i), len(names)) for i in order]
    return [
        {"truth": names[t], "predicted": names[q], "count": int(errors[t, q])} for t, q in pairs if errors[t, q] > 0
    ]


def _mean_curve(curves: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of step-like curves; both ends of each vertical step are kept."""
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    # np.interp uses the last of points with equal x, the upper end; mirrored, it uses the lower end
    upper = np.mean([np.interp(grid, x, y) for x, y in curves], axis=0)
    lower = np.mean([np.interp(-grid, -x[::-1], y[::-1]) for x, y in curves], axis=0)
    return np.repeat(grid, 2), np.stack([lower, upper], axis=1).ravel()


def _table(
    curves: Mapping[str, tuple[np.ndarray, ...]], columns: tuple[str, ...], scale: Callable[..., tuple[np.ndarray, ...]]
) -> Table:
    """Return thinned curves in one table, with rates to six digits and thresholds as float32 to keep the file small.

    Points are chosen at equal steps along the curve, with lengths measured after ``scale``.
    """
    table: dict[str, list[Any]] = {"curve": [], **{name: [] for name in columns}}
    for name, (x, y, threshold) in curves.items():
        keep = _thinned(*scale(x, y))
        short = [float(str(value)) for value in threshold[keep].astype(np.float32)]  # 0.7, not 0.699999988079071
        table["curve"] += [name] * len(keep)
        for column, values in zip(columns, (x[keep].round(6).tolist(), y[keep].round(6).tolist(), short), strict=True):
            table[column] += values
    return {**table}


def _thinned(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return at most `POINTS` indices at equal steps of the length |dx| + |dy|, including both ends."""
    if len(x) <= POINTS:
        return np.arange(len(x))
    length = np.append(0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    steps = np.linspace(0, length[-1], POINTS - 1)
    return np.unique(np.append(np.searchsorted(length, steps), len(x) - 1))
