"""Whole processes: what a command costs from start to exit."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from load import Watch

PROGRAM = Path(sys.executable).parent / "mnistlab"


@dataclass(frozen=True)
class Command:
    """One row: arguments of `mnistlab`, the seconds it may take, its exit status, and whether training is left out."""

    arguments: tuple[str, ...]
    bar: float
    status: int = 0
    without_training: bool = False


def commands(data: list[str]) -> list[Command]:
    """Return the rows; ``data`` are the overrides that name the full dataset."""
    return [
        Command(("--help",), 0.1),
        Command(("train", "optimzer.lr=1"), 0.5, status=2),
        Command(("train", "experiment=smoke"), 5.0),
        Command(("train", *data, "trainer.epochs=1"), 3.0, without_training=True),
    ]


def measure(command: Command, times: int) -> dict[str, object]:
    """Run a command so often, each time in an empty folder, and return its row of the table."""
    watch = Watch(own=_seconds_of_children)
    seconds = [_once(command) for _ in range(times)]
    named = [a for a in command.arguments if not a.startswith(("data.path=", "data.root="))]
    return {
        "command": " ".join(["mnistlab", *named]),
        "counted": "all but training" if command.without_training else "all",
        "seconds": statistics.median(seconds),
        "min": min(seconds),
        "max": max(seconds),
        "bar": command.bar,
        "holds": statistics.median(seconds) <= command.bar,
        "foreign": watch.foreign(),
    }


def _once(command: Command) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        done = subprocess.run([PROGRAM, *command.arguments], cwd=folder, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
        if done.returncode != command.status:
            said = (done.stderr.strip() or "nothing on stderr").splitlines()[-1]
            raise RuntimeError(f"mnistlab {' '.join(command.arguments)}: exit status {done.returncode}: {said}")
        if command.without_training:
            (status,) = Path(folder).glob("outputs/*/*/status.json")
            seconds -= json.loads(status.read_text())["seconds"]["train"]
        return seconds


def _seconds_of_children() -> float:
    return sum(os.times()[:4])  # of this process and of its children, user and system
