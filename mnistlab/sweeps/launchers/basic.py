"""One job after the other, in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mnistlab.runs.environment import all_cores
from mnistlab.sweeps.job import Job, perform
from mnistlab.sweeps.launchers.base import Launcher
from mnistlab.system.errors import RunError


def basic(jobs: Sequence[Job], settings: Mapping[str, Any], of: int) -> Launcher:
    """Run one job after the other in this process, each on all cores."""
    for job in jobs:
        try:
            perform(job, all_cores())
        except RunError as error:
            yield job, str(error)
        else:
            yield job, None
