"""What the page asks for, by name: a function of the board and of the values of the request."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mnistlab.board.board import Board
from mnistlab.board.table import Entry, as_json
from mnistlab.config.labels import checked_note, checked_tag
from mnistlab.reporting.html import readable
from mnistlab.runs import labels
from mnistlab.runs.filters import parse
from mnistlab.system.errors import RequestError

MOST_CURVES = 1000  # runs whose curves are sent at once
MOST_COMPARED = 2000
Values = Mapping[str, Any]


def runs(board: Board, values: Values) -> dict[str, Any]:
    """Return the runs that have changed since a version of this session, and what columns there are."""
    since = whole(values, "since") if values.get("session") == board.session else 0
    changes = board.table.changes(since)
    asked = [key for key in str(values.get("columns", "")).split(",") if key]
    columns = board.table.columns(asked)
    return {
        "session": board.session,
        "version": changes.version,
        "now": time.time(),
        "folder": readable(str(board.root)),
        "columns": columns,
        "keys": list(board.table.keys.values),
        "varying": list(board.table.keys.varying),
        "runs": [as_json(entry, columns) for entry in changes.entries],
        "gone": changes.gone,
    }


def matching(board: Board, values: Values) -> dict[str, Any]:
    """Return the numbers of the runs that match the filters of a text."""
    text = str(values.get("filter", "")).strip()
    parse([text] if text else [])
    return {"runs": board.table.matching([text] if text else [])}


def curves(board: Board, values: Values) -> dict[str, Any]:
    """Return the histories of some runs."""
    return board.curves.of(entries_of(board, values, MOST_CURVES))


def compare(board: Board, values: Values) -> dict[str, Any]:
    """Return the comparison of some runs, as `mnistlab compare` makes it."""
    margin = values.get("margin")
    if margin is not None and not (is_number(margin) and 0 < margin < math.inf):
        raise RequestError(f"margin {margin}: must be a number above 0")
    metric, baseline = (None if values.get(key) in (None, "") else str(values[key]) for key in ("metric", "baseline"))
    entries = entries_of(board, values, MOST_COMPARED)
    with board.lock:
        return board.verdicts.of(entries, metric, baseline, margin)


def label(board: Board, values: Values) -> dict[str, Any]:
    """Add and remove tags of some runs, or set the note of one; return the runs as they are now."""
    if unknown := sorted({*values} - {"runs", "add", "remove", "note"}):
        raise RequestError(f"{unknown[0]}: only tags and notes can be changed here")
    entries = entries_of(board, values, MOST_COMPARED)
    add, remove = (texts(values, key) for key in ("add", "remove"))
    for tag in add:
        checked_tag(tag)
    note = values.get("note")
    if note is not None and not isinstance(note, str):
        raise RequestError("note: must be a text")
    checked_note(note or "")
    for entry in entries:
        directory = board.entry(entry.number).row.directory
        now = labels.tagged(labels.read(directory), add, remove)
        labels.write(directory, now if note is None else labels.Labels(now.tags, note))
    columns = board.table.columns()
    return {"columns": columns, "runs": [as_json(board.table.settled(entry.number), columns) for entry in entries]}


def entries_of(board: Board, values: Values, most: int) -> list[Entry]:
    """Return the runs of a request, in the order of their numbers."""
    numbers = values.get("runs")
    if not isinstance(numbers, list) or not all(isinstance(one, int) and not isinstance(one, bool) for one in numbers):
        raise RequestError("runs: must be a list of the numbers of runs")
    if len(numbers) > most:
        raise RequestError(f"runs: {len(numbers):,} are too many; choose at most {most:,}")
    return [board.entry(number) for number in sorted(set(numbers))]


def texts(values: Values, key: str) -> Sequence[str]:
    """Return a list of texts of a request."""
    value = values.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise RequestError(f"{key}: must be a list of texts")
    return value


def whole(values: Values, key: str, default: int = 0, most: int = 2**53) -> int:
    """Return a whole number of a request."""
    text = str(values.get(key, default))
    if not (text.isascii() and text.isdecimal() and len(text) < 17 and int(text) <= most):
        raise RequestError(f"{key}={text}: must be a whole number from 0 to {most:,}")
    return int(text)


def is_number(value: Any) -> bool:
    """Return whether a value is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


READS = {"runs": runs}
QUESTIONS = {"matching": matching, "curves": curves, "compare": compare}
WRITES = {"label": label}
