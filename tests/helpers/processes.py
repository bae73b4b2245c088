"""Other processes, none of which may outlast its bound: a hang is a failure that says what was waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
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


def having(name: str, value: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the processes that were started with a variable of this value, with their whole environment."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            pairs = (item.partition(b"=")[::2] for item in path.read_bytes().split(b"\0"))
            variables = {key.decode(errors="replace"): text.decode(errors="replace") for key, text in pairs}
            if variables.get(name) == value:
                yield int(path.parent.name), variables


def title(pid: int) -> str:
    """Return the command line of a process, empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def parent(pid: int) -> int:
    """Return the process that started another, 0 if that has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have started."""
    own = [int(path.name) for path in Path("/proc").glob("[0-9]*") if parent(int(path.name)) == pid]
    return [*own, *(below for child in own for below in children(child))]


def kill(pids: Iterable[int]) -> None:
    """Kill processes, some of which may have ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
