"""The epochs so far of a run that has not ended, from history.csv, to which every epoch adds a row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mnistlab.runs import paths
from mnistlab.runs.record import Record
from mnistlab.system.flatten import look_up
from mnistlab.system.readers import UnreadableError, read_rows

UNFINISHED = ("running", "interrupted", "killed")  # states whose epochs so far will be continued
PARTS = {"train": "train", "validation": "val"}  # and their columns
METRICS = ("loss", "accuracy")


@dataclass(frozen=True)
class Progress:
    """The epochs of a training so far, each with the metrics of a run (see `Record.value`)."""

    epochs: tuple[dict[str, Any], ...]
    planned: int | None

    @property
    def epoch(self) -> int:
        """Return the number of epochs so far."""
        return len(self.epochs)

    @property
    def text(self) -> str:
        """Return ``epoch 3 of 10``."""
        return f"epoch {self.epoch}" + (f" of {self.planned}" if self.planned else "")

    def value(self, metric: str, epoch: int = 0) -> float:
        """Return a metric of an epoch, the last by default; NaN if the training does not record it."""
        part, _, name = metric.partition(".")
        return float(self.epochs[epoch - 1].get(part, {}).get(name, math.nan))


def read(record: Record) -> Progress | None:
    """Return the progress of a run that is training or will be continued; None before its first epoch ends."""
    if record.state.state not in UNFINISHED:
        return None
    try:
        rows = read_rows(record.directory / paths.HISTORY)
        epochs = tuple(_metrics(row) for row in rows)
    except (UnreadableError, ValueError, TypeError):
        return None
    planned = look_up(record.settings, "trainer.epochs")
    return Progress(epochs, planned if isinstance(planned, int) else None) if epochs else None


def state_text(record: Record, progress: Progress | None) -> str:
    """Return the state of a run, with its epoch if it is unfinished."""
    return record.state.state + (f", {progress.text}" if progress else "")


def _metrics(row: dict[str, str]) -> dict[str, Any]:
    values = {
        part: {name: float(text) for name in METRICS if (text := row.get(f"{column}_{name}"))}
        for part, column in PARTS.items()
    }
    return {part: scores for part, scores in values.items() if scores}
