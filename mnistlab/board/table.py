"""All runs below a folder as rows with numbers, and which of them have changed since a version.

The page asks again and again, and gets only what is new. It names runs by their numbers, so that no request contains a
path.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mnistlab.board import progress
from mnistlab.reporting.html import readable
from mnistlab.runs import index, query, record
from mnistlab.runs.index import Index, Row
from mnistlab.system import output
from mnistlab.system.errors import RequestError

PERIOD = 0.25  # seconds between two looks at the files, however many pages ask
MEASURED = ("train.", "validation.", "test.")  # the starts of the metrics' names
COUNTED = ("parameters", "epochs", "best_epoch", "kept_epoch", "support_vectors", "components")
MAIN = (
    *("validation.accuracy", "test.accuracy", "train.accuracy", "validation.loss", "test.loss", "train.loss"),
    *("test.macro.f1", "parameters", "trainer.epochs"),
)  # columns that are always sent
MOST_COLUMNS = 40  # columns that are sent if they are not asked for


@dataclass
class Entry:
    """One run: its number, its group of equal settings, and the version in which it last changed."""

    number: int
    path: str
    record: index.Record
    row: Row
    group: int
    version: int
    progress: dict[str, Any] | None = None
    seen: int | None = None  # the modification time of the history with this progress


@dataclass(frozen=True)
class Changes:
    """What has changed since a version: entries, and the numbers of runs that are gone."""

    version: int
    entries: Sequence[Entry]
    gone: Sequence[int]


@dataclass
class Keys:
    """The settings and metrics of all runs: which there are, and which differ."""

    values: dict[str, Any] = field(default_factory=dict)  # the first value seen
    varying: dict[str, None] = field(default_factory=dict)

    def add(self, values: Mapping[str, Any]) -> None:
        """Add those of a run."""
        for key, value in values.items():
            if key not in self.values:
                self.values[key] = value
            elif key not in self.varying and self.values[key] != value:
                self.varying[key] = None


class Table:
    """The runs below ``root``. Requests come in threads: every method takes the lock."""

    def __init__(self, root: Path) -> None:
        self.root, self._resolved = root, root.resolve()
        self.keys = Keys()
        self._lock = threading.RLock()
        self._index: Index | None = None
        self._entries: dict[str, Entry] = {}
        self._by_number: dict[int, Entry] = {}
        self._groups: dict[tuple[tuple[str, Any], ...], int] = {}
        self._gone: list[tuple[int, int]] = []  # version, number
        self._next, self._version, self._looked = 1, 0, 0.0

    def changes(self, since: int) -> Changes:
        """Return what has changed since a version; 0 is before everything, and so is a version that never was."""
        with self._lock:
            self._look()
            since = since if since <= self._version else 0
            entries = [entry for entry in self._by_number.values() if entry.version > since]
            return Changes(self._version, entries, [number for version, number in self._gone if version > since])

    def entry(self, number: int) -> Entry:
        """Return a run; raises `RequestError` if there is none of this number."""
        with self._lock:
            if number not in self._by_number:
                self._look()
            if number not in self._by_number:
                raise RequestError(f"run {number}: there is no such run; it may have been deleted")
            return self._by_number[number]

    def matching(self, words: Sequence[str]) -> list[int]:
        """Return the numbers of the runs that match all filters; raises `RequestError` for a wrong one."""
        with self._lock:
            self._look()
            if self._index is None:
                return []
            condition = query.condition(words, self._index)
            paths = self._index.paths(condition.sql, condition.parameters)
            return [self._entries[path].number for path in paths if path in self._entries]

    def settled(self, number: int) -> Entry:
        """Return a run as it is now, after its labels were changed."""
        with self._lock:
            entry = self.entry(number)
            self._version += 1
            row = index.read(entry.row.directory)
            self._put(entry.path, (row.state, row.started, row.seconds, row.data), row)
            return self._by_number[number]

    def columns(self, asked: Sequence[str] = ()) -> list[str]:
        """Return the settings and metrics sent of every run: the main ones, those that differ, those asked for."""
        with self._lock:
            known = self.keys.values
            differing = [key for key in self.keys.varying if is_setting(key)]
            columns = [key for key in (*MAIN, *differing) if key in known][:MOST_COLUMNS]
            return list(dict.fromkeys([*columns, *(key for key in asked if key in known)]))

    def close(self) -> None:
        """Close the index."""
        with self._lock:
            if self._index is not None:
                self._index.close()
                self._index = None

    def _look(self) -> None:
        """Read what is new or has changed."""
        if time.monotonic() - self._looked < PERIOD:
            return
        try:
            if self._index is None:
                self._index = Index(self.root)
            else:
                self._index.refresh()
            records = self._index.records()
        except sqlite3.Error:  # another process has it, or has replaced it: it is opened again at the next look
            with suppress(sqlite3.Error):
                self.close()
            self._index = None
            return
        self._version += 1
        for path in self._entries.keys() - records.keys():
            entry = self._entries.pop(path)
            del self._by_number[entry.number]
            self._gone.append((self._version, entry.number))
        for path, one in records.items():
            entry_before = self._entries.get(path)
            if entry_before is None or entry_before.record != one:
                self._put(path, one, self._index.row(path, one))
            elif one[0] == "running":
                self._advance(entry_before)
        self._looked = time.monotonic()

    def _put(self, path: str, one: index.Record, row: Row) -> None:
        if not row.directory.resolve().is_relative_to(self._resolved):
            return  # what was a run is now a link to elsewhere
        before = self._entries.get(path)
        number = before.number if before else self._next
        self._next += before is None
        row = _with_damage(row)
        self.keys.add(row.values)
        same = tuple(sorted((key, value) for key, value in row.values.items() if is_setting(key) and value is not None))
        group = self._groups.setdefault(same, len(self._groups) + 1)
        entry = Entry(number, path, one, row, group, self._version)
        if row.state == "running":
            entry.seen, entry.progress = progress.changed(row), progress.of(row)
        self._entries[path] = self._by_number[number] = entry

    def _advance(self, entry: Entry) -> None:
        seen = progress.changed(entry.row)
        if seen != entry.seen:
            entry.seen, entry.progress, entry.version = seen, progress.of(entry.row), self._version


def is_setting(key: str) -> bool:
    """Return whether a key is a setting that may affect the numbers, rather than a metric or the seed."""
    return not key.startswith(MEASURED) and key not in COUNTED and record.decides(key)


def as_json(entry: Entry, columns: Sequence[str]) -> list[Any]:
    """Return a run as plain values: facts, progress, and the values of the columns; all text can be printed."""
    row = entry.row
    facts = [
        *(entry.number, readable(entry.path), row.state, row.started, row.seconds, row.seed, entry.group),
        *([readable(tag) for tag in row.tags], readable(row.note), readable(row.error or "")),
        *([readable(change) for change in row.changed], entry.progress),
    ]
    values = [readable(value) if isinstance(value, str) else value for value in map(row.values.get, columns)]
    plain: list[Any] = output.plain([*facts, values])
    return plain


def _with_damage(row: Row) -> Row:
    """Return the row of a completed run whose metrics cannot be read as that of a failed one."""
    if row.state != "completed" or any(key.startswith(MEASURED) for key in row.values):
        return row
    state = record.read(row.directory).state
    return replace(row, state=state.state, error=state.error)
