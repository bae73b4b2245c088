"""How far a running run is: its epoch, its losses, and when it will have ended."""

from __future__ import annotations

import math
from typing import Any

from mnistlab.runs import paths
from mnistlab.runs.index import Row
from mnistlab.system.readers import UnreadableError, read_columns

RECENT = 5  # epochs from whose duration the rest is estimated


def changed(row: Row) -> int | None:
    """Return when the history of a run was written, in nanoseconds; None if there is none."""
    try:
        return (row.directory / paths.HISTORY).stat().st_mtime_ns
    except OSError:
        return None


def of(row: Row) -> dict[str, Any] | None:
    """Return ``epoch``, ``epochs``, the last losses, and ``ends`` (seconds since 1970); None before the first epoch."""
    path = row.directory / paths.HISTORY
    try:
        columns = read_columns(path)
        written = path.stat().st_mtime
        epoch = int(columns["epoch"][-1])
        seconds = columns["seconds"][-RECENT:]
        losses = {name: float(columns[name][-1]) for name in ("train_loss", "val_loss", "val_accuracy")}
    except (UnreadableError, OSError, KeyError, IndexError, ValueError):
        return None
    epochs = row.values.get("trainer.epochs")
    ends = None
    if isinstance(epochs, int) and math.isfinite(mean := float(seconds.mean())):
        ends = round(written + mean * max(0, epochs - epoch), 1)
    return {
        "epoch": epoch,
        "epochs": epochs if isinstance(epochs, int) else None,
        "ends": ends,
        **{name: value if math.isfinite(value) else None for name, value in losses.items()},
    }
