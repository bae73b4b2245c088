"""status.json: the state of a run or an evaluation, written atomically at every change."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mnistlab
from mnistlab.runs import paths
from mnistlab.system import files, locks
from mnistlab.system.readers import UnreadableError, read_json
from mnistlab.system.signals import UNDIVIDED

LOG = logging.getLogger("mnistlab")
STATES = ("pending", "running", "completed", "failed", "interrupted", "killed", "pruned")
SILENT = 600.0  # seconds without a changed file after which a run on another machine counts as killed


@dataclass
class Status:
    """One status.json: running, completed, failed or interrupted, with times and the error."""

    path: Path
    config_hash: str
    started: str = field(default_factory=lambda: _now())
    seconds: dict[str, float] = field(default_factory=dict)

    def write(self, state: str, error: str | None = None) -> None:
        """Write the state."""
        content = {
            "state": state,
            "config_hash": self.config_hash,
            "started": self.started,
            "finished": None if state == "running" else _now(),
            "seconds": {name: round(seconds, 4) for name, seconds in self.seconds.items()},
            "error": error,
            "host": platform.node(),
            "pid": os.getpid(),
            "mnistlab": mnistlab.__version__,
        }
        files.write_json(self.path, content)

    def write_quietly(self, state: str, error: str | None = None) -> None:
        """Write the state if possible: it must not hide an error that is being reported."""
        try:
            self.write(state, error)
        except OSError:
            LOG.debug("%s could not be written", self.path.name, exc_info=True)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the duration of a phase to that of earlier attempts."""
        started = time.perf_counter()
        try:
            yield
            with UNDIVIDED:  # raises an interruption that was lost
                pass
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


@dataclass(frozen=True)
class State:
    """The state of a run directory; ``pending`` if nothing has started.

    ``killed`` is a run recorded as running whose process no longer exists.
    """

    state: str
    config_hash: str = ""
    error: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    host: str = ""
    pid: int | None = None
    started: str = ""

    @property
    def is_over(self) -> bool:
        """Return whether the run has ended."""
        return self.state not in ("pending", "running")


def read(directory: Path) -> State:
    """Return the state of a run; with a damaged status.json, the run counts as failed, with the damage as its error."""
    state = _read(directory / paths.STATUS)
    if state.state != "running" or _lives(directory, state):
        return state
    again = _read(directory / paths.STATUS)  # it may have ended in the meantime
    return again if again.state != "running" else replace(again, state="killed", error="process not running")


def of(content: Any) -> State | None:
    """Return the state in the content of status.json; None if it is not such content."""
    try:
        return _state(content)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _state(content: Any) -> State:
    state, seconds = content["state"], content["seconds"]
    if state not in STATES or not all(isinstance(value, (int, float)) for value in seconds.values()):
        raise ValueError(f"state {state}")
    error, pid, host = content["error"], content["pid"], str(content.get("host", ""))
    problem = None if error is None else str(error)
    return State(state, str(content["config_hash"]), problem, seconds, host, pid, str(content.get("started", "")))


def _read(path: Path) -> State:
    try:
        return _state(read_json(path))
    except UnreadableError as error:
        return State("pending") if error.missing else State("failed", error=f"{path.name} is damaged ({error.reason})")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return State("failed", error=f"{path.name} is damaged ({type(error).__name__}: {error})")


def _lives(directory: Path, state: State) -> bool:
    if state.host in ("", platform.node()):
        return locks.is_held(directory)
    try:
        newest = max(path.stat().st_mtime for path in directory.iterdir() if path.name != locks.NAME)
    except (OSError, ValueError):
        return False
    return time.time() - newest < SILENT


def _now() -> str:
    return datetime.now(UTC).astimezone().isoformat(timespec="milliseconds")
