"""The interface of launchers: they run jobs and yield each job when it ends, with the reason if its process was lost.

A launcher does not depend on what a job does. The status of a job is in its own directory; a launcher reports only
what the job itself could not record. Its arguments are jobs, its settings, and the number of jobs in the whole sweep.
"""

from __future__ import annotations

from collections.abc import Generator

from mnistlab.sweeps.job import Job
from mnistlab.system.errors import RunError

Ended = tuple[Job, str | None]  # a job that has ended, and why its process was lost, or None
Launcher = Generator[Ended, None, None]  # closing it stops the running jobs


def one_line(error: BaseException) -> str:
    """Return the message of an error as one line, with its type unless it is a `RunError`."""
    text = " ".join(str(error).split())
    return text if isinstance(error, RunError) else f"{type(error).__name__}: {text}"
