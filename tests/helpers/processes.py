"""Other processes, none of which may outlast its bound: a hang is a failure that says what was waited for."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

LONGEST = 300.0  # seconds for one process of a test, on a busy machine
T = TypeVar("T")


def run(words: Sequence[Any], **options: Any) -> subprocess.CompletedProcess[Any]:
    """Return `subprocess.run` of these words; the process is killed, and the test fails, after LONGEST seconds."""
    return subprocess.run(words, **{"timeout": LONGEST, **options})


def wait_until(condition: Callable[[], T], seconds: float = 60, what: str = "") -> T:
    """Return the first value of ``condition`` that is true, asked every 20 ms; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or condition}: not within {seconds:g} s")
        time.sleep(0.02)
    return value
