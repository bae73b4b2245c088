"""Slurm's own commands: the states of jobs (squeue), sending them back to the queue (scontrol), cancelling (scancel).

squeue answers from the memory of the scheduler, so that no accounting (sacct) is needed. A job that has ended stays
there for some minutes (MinJobAge of slurm.conf), with its last state.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mnistlab.system.errors import RunError

LOG = logging.getLogger("mnistlab")
PATIENCE = 60  # seconds for one command
MOST_IDS = 200  # of one command line
# States after which Slurm does nothing more for a job
OVER = frozenset(
    ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED")
) | {"TIMEOUT"}
TAKEN_AWAY = frozenset(("BOOT_FAIL", "NODE_FAIL", "PREEMPTED"))  # by the cluster, whatever the job did


@dataclass(frozen=True)
class Known:
    """What the scheduler says of a job: its state, and why it waits."""

    state: str
    reason: str

    @property
    def is_over(self) -> bool:
        """Return whether the job has ended for good."""
        return self.state in OVER


def known() -> Mapping[str, Known]:
    """Return the jobs of this user that the scheduler knows, by id; raises `RunError` if it does not answer."""
    words = ("--noheader", "--array", "--states=all", f"--user={os.getuid()}", "--format=%i|%T|%r")
    rows = [line.split("|", 2) for line in _output("squeue", *words).splitlines() if line.count("|") >= 2]
    return {number: Known(state, reason.strip()) for number, state, reason in rows}


def last_state(number: str) -> str | None:
    """Return the state of a job that the scheduler has forgotten, from accounting; None without accounting."""
    try:
        lines = _output("sacct", "--noheader", "--parsable2", "--format=State", f"--jobs={number}").split("\n")
    except RunError as error:
        LOG.debug("%s", error)
        return None
    return lines[0].partition(" ")[0] or None  # "CANCELLED by 1000"


def has_accounting() -> str | None:
    """Return None where accounting works, or why not."""
    try:
        _output("sacct", "--noheader", "--jobs=1", "--format=State")
    except RunError as error:
        return str(error)
    return None


def requeue(number: str) -> str | None:
    """Send a job back to the queue, under its number; return None, or why Slurm refuses that."""
    try:
        _output("scontrol", "requeue", number)
    except RunError as error:
        return str(error)
    return None


def cancel(numbers: Sequence[str]) -> None:
    """Cancel jobs; those that have ended are ignored."""
    for start in range(0, len(numbers), MOST_IDS):
        try:
            _output("scancel", "--quiet", *numbers[start : start + MOST_IDS])
        except RunError as error:
            LOG.debug("%s", error)


def most_of_an_array() -> int:
    """Return the largest number of jobs in one array."""
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", _output("scontrol", "show", "config"), re.MULTILINE)
    return max(1, int(match[1])) if match else 1000


def _output(*words: str) -> str:
    """Return what a command prints; raises `RunError` with the last line of its error."""
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(f"{words[0]}: {' '.join(str(error).split())}") from None
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise RunError(said[-1] if said else f"{words[0]}: exit status {done.returncode}")
    return done.stdout
