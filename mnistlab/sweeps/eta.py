"""How long a sweep still takes, from what its jobs were expected to take and what the first of them took."""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping, Sequence

from mnistlab.system.units import duration

SHORT = 5.0  # seconds that are not worth a word


def makespan(durations: Sequence[float], at_once: int) -> float:
    """Return when the last job ends if so many run at a time, each started as soon as another ends."""
    ends = [0.0] * max(1, min(at_once, len(durations)))
    for seconds in durations:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)


class Eta:
    """The time that is left of a batch of jobs; ``expected`` are the seconds of some jobs, by their numbers."""

    def __init__(self, expected: Mapping[int, float], at_once: int) -> None:
        self.expected, self.at_once = expected, at_once
        self.numbers: list[int] = []
        self.took: dict[int, float] = {}
        self.started = time.monotonic()

    def begin(self, numbers: Sequence[int]) -> None:
        """Start the clock for these jobs."""
        self.numbers, self.took, self.started = list(numbers), {}, time.monotonic()

    def ended(self, number: int, seconds: float) -> None:
        """Take the time of a job."""
        self.took[number] = seconds

    def left(self, now: float | None = None) -> float | None:
        """Return the seconds left, or None before the first job has ended or after the last one."""
        if not self.took or len(self.took) == len(self.numbers):
            return None
        took = sum(self.took.values())
        known = all(number in self.expected for number in self.numbers)
        if known:
            ratio = took / (sum(self.expected[number] for number in self.took) or 1.0)
            durations = [self.took.get(number, ratio * self.expected[number]) for number in self.numbers]
        else:
            durations = [self.took.get(number, took / len(self.took)) for number in self.numbers]
        passed = (time.monotonic() if now is None else now) - self.started
        return max(0.0, makespan(durations, self.at_once) - passed)

    def text(self) -> str:
        """Return ``about 4 min left``, or nothing if it is a few seconds."""
        left = self.left()
        return "" if left is None or left < SHORT else f"about {duration(left)} left"
