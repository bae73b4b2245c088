"""Jobs run by submitit, as processes of this machine or as Slurm jobs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from mnistlab.runs.environment import all_cores
from mnistlab.sweeps.job import Job, perform
from mnistlab.sweeps.launchers.base import Launcher, one_line
from mnistlab.system.errors import RequestError, whole

POLL = 0.5  # seconds between two checks of the jobs


def submitit(jobs: Sequence[Job], settings: Mapping[str, Any], of: int) -> Launcher:
    """Run each job as a submitit job: a process of this machine, or a Slurm job.

    All settings except ``cluster`` and ``folder`` are passed to submitit's ``update_parameters``. Slurm has its own
    queue; on this machine, as many jobs run at a time as there are cores for.
    """
    import submitit as library

    options = dict(settings)
    cluster, folder = options.pop("cluster", "local"), options.pop("folder")
    each = whole("hydra.launcher.cpus_per_task", options.get("cpus_per_task", 1), 1, "the number of cores of a job")
    executor = library.AutoExecutor(folder=folder, cluster=cluster)
    try:
        executor.update_parameters(**{key: value for key, value in options.items() if value is not None})
    except (NameError, TypeError, ValueError, AssertionError) as error:
        raise RequestError(f"hydra.launcher: {' '.join(str(error).split())}") from None
    at_once = max(1, all_cores() // each) if cluster == "local" else len(jobs)
    waiting, running = deque(jobs), dict[Any, Job]()
    try:
        while waiting or running:
            chunk = [waiting.popleft() for _ in range(min(len(waiting), at_once - len(running)))]
            if chunk:
                with executor.batch():  # an array on Slurm
                    submitted = [executor.submit(perform, job, each) for job in chunk]
                running.update(zip(submitted, chunk, strict=True))
            done = [handle for handle in running if handle.done()]
            for handle in done:
                job, lost = running.pop(handle), None
                raised = handle.exception()
                if raised is not None:
                    lost = one_line(raised)[-300:]
                yield job, lost
            if not done:
                time.sleep(POLL)
    finally:
        for handle in running:
            handle.cancel(check=False)
