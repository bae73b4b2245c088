"""Predictions as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistlab.inference.predict.preprocessing import Prepared, Style
from mnistlab.reporting import tables

if TYPE_CHECKING:
    from mnistlab.runs.saved_run import SavedRun


@dataclass(frozen=True)
class Predicted:
    """One picture: its probabilities (classes,), the network's input, and its size (height, width)."""

    file: str
    probabilities: np.ndarray
    prepared: Prepared
    size: tuple[int, int]
    thumbnail: np.ndarray

    def ranked(self, most: int) -> list[tuple[int, float]]:
        """Return the most probable classes with their probabilities, the most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")[:most]
        return [(int(k), float(self.probabilities[k])) for k in order]


@dataclass(frozen=True)
class Failed:
    """A picture that could not be classified, and the reason."""

    file: str
    reason: str


def table(predictions: Sequence[Predicted], class_names: Sequence[str]) -> str:
    """Return a table with one row per picture: the two most probable classes, and the preprocessing."""
    if not predictions:
        return ""
    rows = []
    for prediction in predictions:
        (first, p), *others = prediction.ranked(2)
        second, q = (plain(class_names[others[0][0]]), f"{others[0][1]:.4f}") if others else ("", "")
        rows.append(
            (plain(prediction.file), plain(class_names[first]), f"{p:.4f}", second, q, prediction.prepared.done)
        )
    return tables.text((("file", "class", "probability", "second", "probability", "read as"), rows), right=(2, 4))


def as_json(run: SavedRun, style: Style, predictions: Sequence[Predicted], failed: Sequence[Failed]) -> dict[str, Any]:
    """Return all results as plain values."""
    rows = []
    for prediction in predictions:
        ((first, p),) = prediction.ranked(1)
        probabilities = {name: float(q) for name, q in zip(run.class_names, prediction.probabilities, strict=True)}
        about = {"height": prediction.size[0], "width": prediction.size[1], "taken": prediction.prepared.done}
        named = {"file": prediction.file, "class": run.class_names[first], "probability": p}
        rows.append({**named, "probabilities": probabilities, **about})
    return {
        "run": run.given,
        "model_sha256": run.model_sha256,
        "classes": list(run.class_names),
        "as": style.way.value,
        "predictions": rows,
        "failed": [{"file": prediction.file, "reason": prediction.reason} for prediction in failed],
    }


def plain(name: str) -> str:
    """Return a name on one line, without unprintable characters."""
    return "".join(c if c.isprintable() else "?" for c in name)
