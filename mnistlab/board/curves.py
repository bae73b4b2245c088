"""history.csv of many runs as vectors of float32, which the page decodes without parsing a number."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.board.table import Entry
from mnistlab.runs import paths
from mnistlab.system.readers import UnreadableError, read_columns

COLUMNS = ("epoch", "step", "seconds", "train_loss", "val_loss", "train_accuracy", "val_accuracy")
MOST_EPOCHS = 1000  # points of a curve; a longer one is thinned

Cached = tuple[tuple[int, int], np.ndarray]


class Curves:
    """The histories of runs, read again only when their files have changed."""

    def __init__(self) -> None:
        self._read: dict[Path, Cached] = {}

    def of(self, entries: Sequence[Entry], most: int = MOST_EPOCHS) -> dict[str, Any]:
        """Return the columns' names, and by number of the run the epochs and the columns, float32 after one another.

        Runs without a history, or with a damaged one, are left out.
        """
        runs = {}
        for entry in entries:
            values = self.history(entry.row.directory)
            if values is not None and values.shape[1]:
                kept = thinned(values, most)
                runs[entry.number] = [kept.shape[1], base64.b64encode(kept.tobytes()).decode("ascii")]
        return {"columns": COLUMNS, "runs": runs}

    def history(self, run: Path) -> np.ndarray | None:
        """Return the columns (7, epochs) float32 of a run, with the seconds added up; None if there are none."""
        path = run / paths.HISTORY
        try:
            about = path.stat()
            version = about.st_mtime_ns, about.st_size
            before = self._read.get(path)
            if before is not None and before[0] == version:
                return before[1]
            columns = read_columns(path)
            epochs = len(columns["epoch"])
            missing = np.full(epochs, np.nan)
            values = np.array([columns.get(name, missing) for name in COLUMNS], dtype=np.float32)
            values[COLUMNS.index("seconds")] = np.cumsum(columns.get("seconds", missing))
        except (UnreadableError, OSError, KeyError, ValueError):
            return None
        self._read[path] = version, values
        return values


def thinned(values: np.ndarray, most: int) -> np.ndarray:
    """Return at most ``most`` of the columns, at equal steps, with the first and the last."""
    count = values.shape[1]
    if count <= most:
        return values
    rows = np.unique(np.linspace(0, count - 1, most).round().astype(int))
    return np.ascontiguousarray(values[:, rows])
