"""Jobs as Ray tasks, on this machine or a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mnistlab.sweeps.job import Job, perform
from mnistlab.sweeps.launchers.base import Launcher, one_line
from mnistlab.system.errors import RequestError
from mnistlab.system.signals import GRACE


def ray(jobs: Sequence[Job], settings: Mapping[str, Any], of: int) -> Launcher:
    """Run the jobs as Ray tasks, on this machine or on the cluster at ``ray.init.address``.

    ``ray.init`` and ``ray.remote`` are passed on unchanged. A task has one core unless ``num_cpus`` is set, and is not
    retried when its process dies: its job counts as failed, and `mnistlab resume` runs it again.
    """
    import ray as library
    from ray.exceptions import RayError, RayTaskError

    options = settings.get("ray") or {}
    remote = {"num_cpus": 1, "max_retries": 0, **(options.get("remote") or {})}
    started = not library.is_initialized()
    if started:
        try:
            library.init(
                **{
                    "log_to_driver": False,
                    "include_dashboard": False,
                    "logging_level": "error",
                    **(options.get("init") or {}),
                }
            )
        except (ConnectionError, TypeError, ValueError, RuntimeError) as error:
            raise RequestError(f"hydra.launcher.ray.init: {' '.join(str(error).split())}") from None
    running: dict[Any, Job] = {}
    try:
        task = library.remote(**remote)(perform)
        running = {task.remote(job, max(1, int(remote["num_cpus"]))): job for job in jobs}
        while running:
            for done in library.wait(list(running))[0]:
                job, lost = running.pop(done), None
                try:
                    library.get(done)
                except RayError as error:
                    lost = f"the worker was lost ({type(error).__name__})"
                    if isinstance(error, RayTaskError):  # the job raised it
                        lost = one_line(error.cause)
                yield job, lost
    finally:
        for left in running:
            library.cancel(left)
        if running:
            library.wait(list(running), num_returns=len(running), timeout=GRACE)
        if started:
            library.shutdown()
