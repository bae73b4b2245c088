"""The files of a run that the diagnostics read; missing ones are listed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.config import safe_yaml
from mnistlab.nn.network import Network
from mnistlab.runs import paths
from mnistlab.system.errors import RequestError
from mnistlab.system.readers import UnreadableError, read_json_or_empty, read_rows

IMAGES = 512  # of the training set, evenly spaced, for the activations

Row = dict[str, float]


@dataclass(frozen=True)
class RunSnapshot:
    """``history``: one row per epoch; ``norms``: one row per layer in the last epoch; ``unseen``: what is missing."""

    state: str
    error: str
    settings: Mapping[str, Any]
    history: list[Row]
    norms: dict[str, Row]
    metrics: Mapping[str, Any]
    classes: int
    counts: dict[str, int]  # training images of each class
    network: Network | None = None
    images: np.ndarray | None = None
    unseen: list[str] = field(default_factory=list)

    def setting(self, key: str) -> Any:
        """Return a setting, for example ``optimizer.lr``, or None."""
        value: Any = self.settings
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def last(self, key: str) -> float:
        """Return a column of the last epoch, NaN if there is none."""
        return self.history[-1].get(key, math.nan) if self.history else math.nan

    def column(self, key: str) -> np.ndarray:
        """Return a column over the epochs."""
        return np.array([row.get(key, math.nan) for row in self.history])


def read(argument: str) -> RunSnapshot:
    """Return the snapshot of a run directory, or of a model file alone."""
    from mnistlab.runs.saved_run import SavedRun, open_run

    path = Path(argument)
    directory = path if path.is_dir() else path.parent
    status = read_json_or_empty(directory / paths.STATUS)
    if not path.exists() or not (status or path.is_file() or (path / paths.MODEL).is_file()):
        open_run(argument)  # raises an error with the reason
    metrics = read_json_or_empty(directory / paths.METRICS)
    if metrics.get("learner") == "scikit-learn":
        raise RequestError(f"{argument}: this is a scikit-learn model; it has no history and no weights to examine")
    run: SavedRun | None = None
    unseen: list[str] = []
    if path.is_file() or (path / paths.MODEL).is_file():
        run = open_run(argument)
    else:
        unseen.append(f"weights: no {paths.MODEL}")
    history = _table(directory / paths.HISTORY)
    if not history:
        unseen.append(f"history: no {paths.HISTORY} with an epoch")
    norms = _table(directory / paths.NORMS, key="layer")
    final = max((row["epoch"] for row in norms.values()), default=0.0)
    names = metrics.get("class_names") or (run.class_names if run else ())
    images = None
    if run:
        try:
            images = _training_images(run)
        except (RequestError, OSError) as error:
            unseen.append(f"activations: the training images are missing ({error})")
    return RunSnapshot(
        state=str(status.get("state", "")),
        error=str(status.get("error") or ""),
        settings=safe_yaml.load_or_empty(directory / paths.CONFIG),
        history=history_rows(history),
        norms={name: row for name, row in norms.items() if row["epoch"] == final},
        metrics=metrics,
        classes=len(names) or 10,
        counts=_counts(directory / paths.CLASS_DISTRIBUTION),
        network=run.network if run else None,
        images=images,
        unseen=unseen,
    )


def history_rows(table: Mapping[str, Row]) -> list[Row]:
    """Return the epochs in order."""
    return sorted(table.values(), key=lambda row: row["epoch"])


def _training_images(run: Any) -> np.ndarray:
    from mnistlab.data.loading import load
    from mnistlab.runs.saved_run import own_data
    from mnistlab.system.random import stream

    own = own_data(run)
    images = load(own.source(), stream(own.seed, "split")).train.images
    if images.shape[1:] != run.network.image_shape:
        raise RequestError(f"the images now have {images.shape[1]} x {images.shape[2]} pixels")
    return np.ascontiguousarray(images[np.linspace(0, len(images) - 1, min(IMAGES, len(images))).astype(int)])


def _table(path: Path, key: str = "epoch") -> dict[str, Row]:
    """Return the rows of a table by key, the last one of those with the same key; numbers are floats."""
    if not path.is_file():
        return {}
    try:
        rows = {
            str(row[key]): {name: float(cell) if cell else math.nan for name, cell in row.items() if name != "layer"}
            for row in read_rows(path)
        }
        if any("epoch" not in row for row in rows.values()):
            raise KeyError("epoch")
    except (ValueError, KeyError, TypeError) as error:
        why = error.cause if isinstance(error, UnreadableError) else error
        raise RequestError(f"{path}: not a table written by mnistlab ({why}); train the run again") from None
    return rows


def _counts(path: Path) -> dict[str, int]:
    try:
        return {row["class"]: int(row["train"]) for row in read_rows(path)}
    except (ValueError, KeyError):
        return {}
