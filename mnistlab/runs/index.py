"""An index of all runs below a folder, so that ten thousand of them are listed and filtered at once.

The directories are the truth. The index is a SQLite file in the folder, made anew if it is missing, damaged or of
another version; where it is locked or cannot be written, it is made in memory. A directory is read again when its
modification time has changed: every file of a run is renamed into place, which changes it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mnistlab.runs import labels, paths, run_file, status
from mnistlab.runs.filters import holds
from mnistlab.system.flatten import as_text
from mnistlab.system.readers import MOST_TEXT

VERSION = 2
SETTLED = 2.0  # seconds: a directory changed more recently may change again within the clock's resolution
WAIT = 1.0  # seconds for another process to release the index
UNSTORABLE, STORED = range(0xDC80, 0xDD00), range(0x10FF80, 0x110000)  # for bytes of a name that are not UTF-8
TO_STORE = dict(zip(UNSTORABLE, STORED, strict=True))
FROM_STORE = dict(zip(STORED, UNSTORABLE, strict=True))
MARK = b"\xf4\x8f\xbe", b"\xf4\x8f\xbf"  # how the characters for them begin
SCHEMA = f"""
CREATE TABLE runs (path TEXT PRIMARY KEY, mtime INTEGER, state TEXT, started REAL, seconds REAL, data TEXT);
CREATE TABLE folders (path TEXT PRIMARY KEY, mtime INTEGER);
CREATE INDEX by_time ON runs (started DESC, path DESC);
PRAGMA user_version = {VERSION};
"""


Record = tuple[str, float | None, float | None, str]  # state, started, seconds, and what `Row.data` has


@dataclass(frozen=True)
class Row:
    """One run of the index; ``values`` are its settings and metrics by key, ``changed`` those unlike the defaults."""

    directory: Path
    state: str
    started: float | None  # seconds since 1970
    seconds: float | None
    seed: int | None
    changed: tuple[str, ...]
    tags: tuple[str, ...]
    note: str
    error: str | None
    values: Mapping[str, Any]

    @property
    def data(self) -> str:
        """Return what has no column of its own, as JSON."""
        return json.dumps({key: getattr(self, key) for key in ("seed", "changed", "tags", "note", "error", "values")})


class Index:
    """The runs below ``root``, up to date when it is opened."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._connection = self._opened()

    def rows(self, where: str = "1", parameters: Sequence[Any] = (), order: str = "", limit: int = -1) -> list[Row]:
        """Return the runs that match an SQL condition, in an SQL order: by default the newest first."""
        return self.rows_and_count(where, parameters, order, limit)[0]

    def rows_and_count(
        self, where: str = "1", parameters: Sequence[Any] = (), order: str = "", limit: int = -1
    ) -> tuple[list[Row], int]:
        """Return the runs that match, at most ``limit``, and how many match."""
        by = f"{order}, " if order else ""
        records = self._connection.execute(
            f"SELECT path, state, started, seconds, data FROM runs WHERE {where} "
            f"ORDER BY {by}started DESC, path DESC LIMIT ?",
            (*parameters, limit),
        ).fetchall()
        rows = [self._row(*record) for record in records]
        if limit < 0 or len(rows) < limit:
            return rows, len(rows)
        statement = f"SELECT COUNT(*) FROM runs WHERE {where}"
        return rows, int(self._connection.execute(statement, tuple(parameters)).fetchone()[0])

    def is_empty(self) -> bool:
        """Return whether there are no runs at all."""
        return self._connection.execute("SELECT 1 FROM runs LIMIT 1").fetchone() is None

    def has(self, key: str) -> bool:
        """Return whether any run has a setting or metric."""
        statement = f"SELECT 1 FROM runs WHERE {value_of(key)} IS NOT NULL LIMIT 1"
        return '"' not in key and self._connection.execute(statement).fetchone() is not None

    def keys(self, most: int = 200) -> list[str]:
        """Return the settings and metrics of the newest runs."""
        return list(dict.fromkeys(key for row in self.rows(limit=most) for key in row.values))

    def records(self) -> dict[str, Record]:
        """Return every run as it is stored, by its path: quick to compare with what was there before."""
        statement = "SELECT path, state, started, seconds, data FROM runs"
        return {
            path: (state, started, seconds, data)
            for path, state, started, seconds, data in self._connection.execute(statement)
        }

    def row(self, path: str, record: Record) -> Row:
        """Return the run of a record."""
        return self._row(path, *record)

    def paths(self, where: str, parameters: Sequence[Any]) -> list[str]:
        """Return the paths of the runs that match an SQL condition."""
        return [path for (path,) in self._connection.execute(f"SELECT path FROM runs WHERE {where}", tuple(parameters))]

    def refresh(self) -> None:
        """Bring the index up to date again."""
        _update(self._connection, self.root)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _row(self, path: str, state: str, started: float | None, seconds: float | None, data: str) -> Row:
        about = json.loads(data)
        changed, tags = tuple(about["changed"]), tuple(about["tags"])
        return Row(
            self.root / path, state, started, seconds, about["seed"], changed, tags, about["note"], about["error"],
            about["values"],
        )  # fmt: skip

    def _opened(self) -> sqlite3.Connection:
        for attempt in (1, 2):
            try:
                connection = self._connected(self.root / paths.INDEX)
                _update(connection, self.root)
                return connection
            except sqlite3.OperationalError:  # locked, or it cannot be written
                break
            except sqlite3.DatabaseError:  # damaged
                with suppress(OSError):
                    (self.root / paths.INDEX).unlink(missing_ok=True)
                if attempt == 2:
                    break
        connection = self._connected(":memory:")
        _update(connection, self.root)
        return connection

    def _connected(self, place: Path | str) -> sqlite3.Connection:
        connection = sqlite3.connect(place, timeout=WAIT, check_same_thread=False)  # the board has a lock of its own
        connection.text_factory = _text
        connection.create_function("holds", 3, holds)  # for the conditions of `query`
        try:
            connection.execute("PRAGMA synchronous = OFF")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version != VERSION:
                for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    connection.execute(f'DROP TABLE "{name}"')
                connection.executescript(SCHEMA)
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def value_of(key: str) -> str:
    """Return the SQL expression for a setting or metric, whose key has no double quotes."""
    quoted = key.replace("'", "''")
    return f"""json_extract(data, '$.values."{quoted}"')"""


def is_run(directory: Path) -> bool:
    """Return whether this is a run directory."""
    return (directory / paths.HYDRA).is_dir()


def find(folder: Path) -> Iterator[Path]:
    """Yield the run directories in a folder and below, without an index."""
    inner, holds_run = _listed(folder)
    if holds_run:
        yield folder
        return
    for name in sorted(inner):
        yield from find(folder / name)


def _listed(folder: Path | str) -> tuple[list[str], bool]:
    """Return the names of the folders in a folder that may contain runs, and whether it is itself a run."""
    inner, holds_run = [], False
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name == paths.HYDRA:
                holds_run = True
            elif not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                inner.append(entry.name)
    return inner, holds_run


def _update(connection: sqlite3.Connection, root: Path) -> None:
    """Read what is new or has changed, and forget what is gone."""
    base, now = str(root), time.time_ns()
    runs = dict(connection.execute("SELECT path, mtime FROM runs"))
    folders = dict(connection.execute("SELECT path, mtime FROM folders"))
    running = {path for (path,) in connection.execute("SELECT path FROM runs WHERE state = 'running'")}
    changed: list[tuple[str, int]] = []
    listed: dict[str, int] = {}
    queue = [""] if "" not in folders else []
    for path, before in folders.items():
        mtime = _mtime(f"{base}/{path}")
        if mtime is None:
            connection.execute("DELETE FROM folders WHERE path = ?", (_stored(path),))
        elif mtime != before:
            queue.append(path)
    gone = []
    for path, before in runs.items():
        mtime = _mtime(f"{base}/{path}")
        if mtime is None:
            gone.append(path)
        elif mtime != before or path in running:
            if is_run(root / path):
                changed.append((path, mtime))
            else:  # a folder now, into which the run may have been moved
                gone.append(path)
                queue.append(path)
    known = runs.keys() - {*gone}
    while queue:
        path = queue.pop()
        mtime = _mtime(f"{base}/{path}")
        if mtime is None:
            continue
        inner, holds_run = _listed(f"{base}/{path}")
        if holds_run and path:
            if path not in known:
                changed.append((path, mtime))
                known.add(path)
            continue
        listed[path] = 0 if now - mtime < SETTLED * 1e9 else mtime
        below = (f"{path}/{name}" if path else name for name in inner)
        queue += [each for each in below if each not in folders and each not in known and each not in listed]
    _save(connection, root, changed, gone, listed, now)


def _save(
    connection: sqlite3.Connection,
    root: Path,
    changed: Sequence[tuple[str, int]],
    gone: Sequence[str],
    listed: Mapping[str, int],
    now: int,
) -> None:
    if not (changed or gone or listed):
        connection.rollback()
        return
    rows = ((path, mtime, read(root / path)) for path, mtime in changed)
    fresh = (
        (_stored(path), 0 if now - mtime < SETTLED * 1e9 else mtime, row.state, row.started, row.seconds, row.data)
        for path, mtime, row in rows
    )
    connection.executemany("DELETE FROM runs WHERE path = ?", [(_stored(path),) for path in gone])
    connection.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)", fresh)
    runs = [(_stored(path),) for path, _ in changed]
    connection.executemany("DELETE FROM folders WHERE path = ?", runs)
    connection.executemany("INSERT OR REPLACE INTO folders VALUES (?, ?)", [(_stored(p), m) for p, m in listed.items()])
    connection.commit()


def _stored(path: str) -> str:
    """Return a path as SQLite can hold it: bytes of a name that are not UTF-8 as characters of private use."""
    return path.translate(TO_STORE)


def _text(content: bytes) -> str:
    """Return a text of the index, with such characters as Python's paths have them."""
    text = content.decode()
    return text.translate(FROM_STORE) if any(mark in content for mark in MARK) else text


def _mtime(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116  # ten thousand times
    except OSError:
        return None


def read(run: Path) -> Row:
    """Return one run, read from its directory."""
    state, about, labelled = _state(run), _settings(run), labels.read(run)
    values = {key: _value(value) for key, value in about["settings"].items()}
    if state.state == "completed":
        values |= about.get("metrics") or dict(run_file.numbers(_json(run / paths.METRICS)))
    if about["seed"] is not None:
        values["seed"] = about["seed"]
    seconds = sum(state.seconds.values()) if state.seconds else None
    started, changed = _started(run, state.started), tuple(about["changed"])
    return Row(
        run, state.state, started, seconds, about["seed"], changed, labelled.tags, labelled.note, state.error, values
    )  # fmt: skip


def _json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file, quickly; an empty one where it is missing or damaged."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return {}
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_size > MOST_TEXT:
            return {}
        content = json.loads(os.read(descriptor, about.st_size + 1))
    except (OSError, ValueError, RecursionError):
        return {}
    finally:
        os.close(descriptor)
    return content if isinstance(content, dict) else {}


def _state(run: Path) -> status.State:
    state = status.of(_json(run / paths.STATUS))
    return status.read(run) if state is None or state.state == "running" else state


def _settings(run: Path) -> Mapping[str, Any]:
    about = _json(run / paths.RUN)
    return about if run_file.is_whole(about) else run_file.read(run)


def _value(value: Any) -> Any:
    """Return a setting for SQL: a number, or text as in an override."""
    if value is None or isinstance(value, str):
        return value
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number else as_text(value)


def _started(run: Path, text: str) -> float | None:
    with suppress(ValueError):
        return datetime.fromisoformat(text).timestamp()
    with suppress(OSError):
        return run.stat().st_mtime
    return None
