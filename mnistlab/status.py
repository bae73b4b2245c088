"""status.json: how far a run or an evaluation is, written atomically at every change."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import mnistlab
from mnistlab import files

LOG = logging.getLogger("mnistlab")


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
            "pid": os.getpid(),
            "mnistlab": mnistlab.__version__,
        }
        files.write_json(self.path, content)

    def write_quietly(self, state: str, error: str | None = None) -> None:
        """Write the state if it can be written: an error that is being reported must not be hidden by another."""
        try:
            self.write(state, error)
        except OSError:
            LOG.debug("status.json could not be written", exc_info=True)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Measure a phase."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = time.perf_counter() - started


def _now() -> str:
    return datetime.now(UTC).astimezone().isoformat(timespec="milliseconds")
