"""How much of the machine others use while something is measured, and how much memory we do."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

STAT = Path("/proc/stat")
STATUS = Path("/proc/self/status")


class Watch:
    """The share of all cores' time that went to anything but us since the watch was made.

    ``own`` returns the seconds of processor time that we have used so far: by default those of this process.
    """

    def __init__(self, own: Callable[[], float] = time.process_time) -> None:
        self.own = own
        self.started, self.busy, self.used = time.perf_counter(), busy_seconds(), own()

    def foreign(self) -> float | None:
        """Return the share of others, from 0 to 1; None where the system does not tell."""
        busy = busy_seconds()
        if busy is None or self.busy is None:
            return None
        available = (time.perf_counter() - self.started) * (os.cpu_count() or 1)
        return max(0.0, busy - self.busy - (self.own() - self.used)) / available


def busy_seconds() -> float | None:
    """Return the time that all cores together were not idle since boot, stolen time included (proc_stat(5))."""
    try:
        user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(
            int, STAT.read_text().split("\n")[0].split()[1:]
        )
    except (OSError, ValueError, IndexError):
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def peak_memory() -> float | None:
    """Return the most memory that this process ever had, in MiB; None where the system does not tell.

    Linux counts in ru_maxrss also the process that started this one, but not in VmHWM (proc_pid_status(5)).
    """
    try:
        return (
            next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith("VmHWM")) / 2**10
        )
    except (OSError, StopIteration):
        pass
    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:
        return None
    return getrusage(RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
