"""The disk space that runs take, by kind of file, and what can be freed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnistlab.runs import index, paths, status
from mnistlab.system import files

KINDS = {
    paths.CHECKPOINT: "checkpoints", paths.MODEL: "models", paths.PREDICTIONS: "predictions", paths.PLOTS: "plots",
    paths.REPORT: "reports",
}  # fmt: skip
LARGEST = 10  # runs on the terminal


@dataclass(frozen=True)
class Usage:
    """Bytes by kind of file, and by run."""

    kinds: dict[str, int]
    runs: dict[Path, int]

    @property
    def total(self) -> int:
        """Return all bytes."""
        return sum(self.kinds.values())

    def as_json(self) -> dict[str, Any]:
        """Return the usage as plain values."""
        runs = [{"directory": run, "bytes": size} for run, size in self.runs.items()]
        return {"bytes": self.total, "kinds": self.kinds, "runs": runs}

    def text(self) -> str:
        """Return the usage for the terminal, the largest first."""
        from mnistlab.reporting import tables

        kinds = sorted(self.kinds.items(), key=lambda item: -item[1])
        largest = sorted(self.runs.items(), key=lambda item: -item[1])[:LARGEST]
        rows = [[name, megabytes(size)] for name, size in [*kinds, ("all", self.total)]]
        runs = [[str(files.shown(run.absolute())), megabytes(size)] for run, size in largest]
        parts = [tables.text((["files", "size"], rows), right=[1])]
        if runs:
            parts.append(tables.text((["largest runs", "size"], runs), right=[1]))
        return "\n\n".join(parts)


def of(folders: Sequence[Path]) -> Usage:
    """Return the usage of everything in these folders."""
    kinds: dict[str, int] = {}
    runs = dict.fromkeys((run for folder in folders for run in index.find(folder)), 0)
    for folder in folders:
        for path, size in _files(folder):
            kind = _kind(path.relative_to(folder))
            kinds[kind] = kinds.get(kind, 0) + size
            if run := next((above for above in path.parents if above in runs), None):
                runs[run] += size
    return Usage(kinds, runs)


def prune_checkpoints(runs: Sequence[Path]) -> tuple[int, list[Path]]:
    """Delete the checkpoints of completed runs; return the bytes that this frees, and the runs."""
    freed, pruned = 0, []
    for run in runs:
        path = run / paths.CHECKPOINT
        if path.is_file() and status.read(run).state == "completed":
            freed += path.stat().st_size
            path.unlink()
            pruned.append(run)
    return freed, pruned


def megabytes(size: float) -> str:
    """Return a size as text."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _files(folder: Path) -> list[tuple[Path, int]]:
    sizes = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            with suppress(OSError):  # it has just been removed
                sizes.append((path, path.lstat().st_size))
    return sizes


def _kind(path: Path) -> str:
    if path.parts[0] == paths.TRASH:
        return "trash"
    return next((KINDS[part] for part in reversed(path.parts) if part in KINDS), "other files")
