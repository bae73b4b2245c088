"""``tracking=csv``: one table of all runs, which any number of processes can update."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from mnistlab.config.tracking import CsvTracking
from mnistlab.runs.tracking.base import PARTS, Facts
from mnistlab.system import files
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text
from mnistlab.system.readers import UnreadableError, read_rows

KEY = "directory"
FIRST = (KEY, "sweep", "state", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "grad_norm")
PATIENCE = 30.0  # seconds to wait for the other processes


class Table:
    """The row of one run in the table: facts, values of the last epoch, final metrics, settings.

    A run that is resumed or trained again in the same directory keeps its row. All its epochs are in its history.csv.
    The directory is relative to where the run was started only in a table that lies there too: one elsewhere may be
    shared by runs of several folders.
    """

    def __init__(self, tracking: CsvTracking, facts: Facts) -> None:
        base = facts.started_in.absolute()
        self.path = Path(os.path.abspath(base / tracking.file))  # noqa: PTH100  # without the .. in the name
        directory = facts.directory.absolute()
        is_here = self.path.is_relative_to(base) and directory.is_relative_to(base)
        key = directory.relative_to(base) if is_here else directory
        self.row = {KEY: str(key), "sweep": facts.sweep or "", "state": "running"}
        self.settings = {key: as_text(value) for key, value in facts.settings.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._write()

    def epoch(self, number: int, scalars: Mapping[str, float]) -> None:
        """Update the row."""
        self.row["epoch"] = str(number)
        self._take(scalars)

    def finish(self, scalars: Mapping[str, float], files: Sequence[Path]) -> None:
        """Add the final metrics; the files remain in the run directory, which is in the row."""
        self._take(scalars)

    def close(self, state: str) -> None:
        """Record how the run ended."""
        self.row["state"] = state
        self._write()

    def _take(self, scalars: Mapping[str, float]) -> None:
        self.row.update((name, repr(value)) for name, value in scalars.items() if name != "seconds")
        self._write()

    def _write(self) -> None:
        with FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=PATIENCE):
            rows = read(self.path)
            mine = {**self.row, **self.settings}
            for row in rows:
                if row[KEY] == self.row[KEY]:
                    row.update(mine)
                    break
            else:
                rows.append(mine)
            columns = sorted(dict.fromkeys(key for row in rows for key in row), key=_block)
            files.write(self.path, files.csv(columns, [[row.get(key, "") for key in columns] for row in rows]))


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table, none if there is no file; raise `RequestError` if it is not such a table."""
    try:
        rows = read_rows(path)
    except UnreadableError as error:
        if error.missing:
            return []
        raise RequestError(f"tracking.file={path}: not readable ({error.cause}); choose another file") from None
    if not rows or next(iter(rows[0])) != KEY or any(None in row for row in rows):
        raise RequestError(f"tracking.file={path}: not a table of runs; choose another file, or remove this one")
    return rows


def _block(column: str) -> tuple[int, int]:
    """Return the sort key of a column: facts of the run and its last epoch, final metrics, settings."""
    if column in FIRST:
        return 0, FIRST.index(column)
    return (1 if column.startswith(tuple(f"{part}." for part in PARTS)) or column == "parameters" else 2), 0
