"""The launchers: jobs go in, and each comes out when it is over, with the reason if its process did not survive it.

A launcher knows nothing of what a job does. The status of a job is in its own directory; a launcher reports only what
the job itself could not write down. It is given jobs, its settings, and the number of jobs in the whole sweep.
"""

from __future__ import annotations

from collections.abc import Generator

from mnistlab.sweeps.job import Job
from mnistlab.system.errors import RunError

Ended = tuple[Job, str | None]  # a job that is over, and why its process was lost, if it was
Launcher = Generator[Ended, None, None]  # closing it stops what still runs


def one_line(error: BaseException) -> str:
    """Return the message of an error in one line, with its type unless it is one of ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, RunError) else f"{type(error).__name__}: {text}"
