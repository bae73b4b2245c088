"""A list of runs as a table, as CSV and as JSON, and one run in full."""

from __future__ import annotations

import math
import shutil
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mnistlab.runs import paths
from mnistlab.runs.index import Index, Row
from mnistlab.system import files
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.flatten import as_text

WIDEST = 60  # characters of a cell on the terminal
NARROW = 24  # the least width of the column that is cut to fit the terminal


def check_columns(names: Sequence[str], always: Collection[str], index: Index) -> None:
    """Raise `RequestError` for a column that no run has."""
    known = [*sorted(always), *index.keys()]
    for name in names:
        if name not in known and not index.has(name):
            raise RequestError(f"--columns {name}: no run has this setting or metric{did_you_mean(name, known)}")


def text(rows: Sequence[Row], names: Sequence[str], root: Path, matching: int) -> str:
    """Return the table for the terminal, the widest column cut to its width."""
    from mnistlab.reporting import tables

    if not rows:
        return "no run matches" if matching == 0 else ""
    cells = [[_shown(row, name, root) for name in names] for row in rows]
    room = shutil.get_terminal_size((160, 40)).columns
    table = tables.text((_header(names), _fitted(cells, names, room)), right=_numeric(rows, names))
    more = f"\n... {matching - len(rows):,} more; --limit 0 lists all" if matching > len(rows) else ""
    return table + more


def csv(rows: Sequence[Row], names: Sequence[str], root: Path) -> str:
    """Return the table as CSV, with plain numbers."""
    return files.csv(list(names), [[_plain(row, name, root) for name in names] for row in rows])


def as_json(row: Row) -> dict[str, Any]:
    """Return a run as plain values."""
    return {
        "directory": row.directory,
        "state": row.state,
        "started": _time(row.started, "seconds"),
        "seconds": row.seconds,
        "seed": row.seed,
        "changed": row.changed,
        "tags": row.tags,
        "note": row.note,
        "error": row.error,
        "values": row.values,
    }


def about(row: Row) -> str:
    """Return what is known of one run, one fact a line."""
    facts = {
        "run": str(files.shown(row.directory.absolute())),
        "state": row.state + (f": {row.error}" if row.error else ""),
        "started": _time(row.started, "seconds"),
        "seconds": "" if row.seconds is None else f"{row.seconds:.1f}",
        "changed": " ".join(row.changed) or "nothing: the defaults",
        "seed": "" if row.seed is None else str(row.seed),
        **{name: f"{100 * row.values[name]:.2f} %" for name in _accuracies(row)},
        "tags": " ".join(row.tags),
        "note": row.note,
    }
    if (row.directory / paths.REPORT).exists():
        facts["report"] = str(files.shown((row.directory / paths.REPORT).absolute()))
    width = max(map(len, facts))
    return "\n".join(f"{name:{width}}  {value}" for name, value in facts.items() if value)


def _accuracies(row: Row) -> list[str]:
    return [f"{part}.accuracy" for part in ("train", "validation", "test") if f"{part}.accuracy" in row.values]


def _header(names: Sequence[str]) -> list[str]:
    return [f"{name} (%)" if name.endswith("accuracy") else "started" if name == "when" else name for name in names]


def _numeric(rows: Sequence[Row], names: Sequence[str]) -> list[int]:
    return [
        i for i, name in enumerate(names) if name == "seconds" or isinstance(rows[0].values.get(name), (int, float))
    ]


def _plain(row: Row, name: str, root: Path) -> Any:
    match name:
        case "when":
            return _time(row.started, "seconds")
        case "what":
            return " ".join(row.changed)
        case "run" | "path":
            return str(row.directory.relative_to(root))
        case "state" | "note":
            return getattr(row, name)
        case "error":
            return row.error or ""
        case "seed":
            return "" if row.seed is None else row.seed
        case "seconds":
            return math.nan if row.seconds is None else row.seconds
        case "tags":
            return " ".join(row.tags)
    value = row.values.get(name)
    return "" if value is None else value


def _shown(row: Row, name: str, root: Path) -> str:
    value = _plain(row, name, root)
    if name == "when":
        return _time(row.started, "minutes").replace("T", " ")
    if name == "seconds":
        return "-" if math.isnan(value) else f"{value:.1f}"
    if isinstance(value, float):
        return f"{100 * value:.2f}" if name.endswith("accuracy") else f"{value:.6g}"
    return " ".join(as_text(value).split()) or "-"


def _fitted(cells: Sequence[Sequence[str]], names: Sequence[str], room: int) -> list[list[str]]:
    """Cut the widest columns of text, so that the table fits the terminal."""
    widths = [max(len(name), *(len(row[i]) for row in cells)) for i, name in enumerate(names)]
    widths = [min(width, WIDEST) for width in widths]
    while sum(widths) + 2 * len(widths) > room and max(widths) > NARROW:
        widths[widths.index(max(widths))] -= 1
    return [[_cut(cell, width, name) for cell, width, name in zip(row, widths, names, strict=True)] for row in cells]


def _cut(cell: str, width: int, name: str) -> str:
    if len(cell) <= width:
        return cell
    return "..." + cell[len(cell) - width + 3 :] if name in ("run", "path") else cell[: width - 3] + "..."


def _time(started: float | None, precision: str) -> str:
    return "" if started is None else datetime.fromtimestamp(started).isoformat(timespec=precision)
