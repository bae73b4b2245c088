"""Jobs submitted by submitit: what it runs on a node, and the jobs of its local executor, processes of this machine."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnistlab.runs import paths
from mnistlab.runs.environment import all_cores
from mnistlab.sweeps.job import Job
from mnistlab.sweeps.launchers import scheduler
from mnistlab.sweeps.launchers.base import Launcher
from mnistlab.sweeps.launchers.node import Site, missing_module, on_node
from mnistlab.system.errors import RequestError, RunError, whole

POLL = 0.5  # seconds between two checks of the jobs
LONGEST = 300  # characters of a reason


class Task:
    """What submitit runs on a node: one job, sent back to the queue when its time ends before its training.

    submitit itself ignores SIGTERM. Its signal for the end of the time limit, SIGUSR2, which the scheduler sends
    ``signal_delay_s`` early, reaches submitit only before and after the job, and `checkpoint` then submits it again.
    """

    def __call__(self, job: Job, cores: int, site: Site) -> str | None:
        """Run the job; return None, or why it could not run. An interruption ends the process."""
        import submitit as library

        limit = getattr(signal, f"SIG{library.JobEnvironment.USR_SIG}")
        before = progress(job)
        try:
            number = on_node(job, cores, site, (limit,))
        except RunError as error:
            return str(error)
        if number is None:
            return None
        if number == limit and progress(job) == before:
            sys.stderr.write("not sent back to the queue: there is no new checkpoint\n")  # in the log beside this job
        elif os.environ.get("SUBMITIT_EXECUTOR") == "slurm":
            _requeue_on_slurm()
        elif number == limit:
            from submitit.local.local import LOCAL_REQUEUE_RETURN_CODE

            sys.exit(LOCAL_REQUEUE_RETURN_CODE)
        sys.exit(128 + number)

    def checkpoint(self, job: Job, cores: int, site: Site) -> Any:
        """Return what submitit submits again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job, cores, site)


def _requeue_on_slurm() -> None:
    """Send this job back to the queue, unless Slurm has ended it already.

    A job that is still recorded as running has been warned: of its time limit, or of its preemption. One that is
    completing was requeued by Slurm itself, or cancelled by its user.
    """
    number = own_number()
    try:
        job = scheduler.known().get(number)
        refused = scheduler.requeue(number) if job and job.state == "RUNNING" else None
    except RunError as error:
        refused = str(error)
    if refused:
        sys.stderr.write(f"not sent back to the queue: {refused}\n")


def own_number() -> str:
    """Return the number of this process's own Slurm job, as squeue shows it."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def progress(job: Job) -> int:
    """Return a number that changes with every checkpoint of a job."""
    try:
        return (job.directory / paths.CHECKPOINT).stat().st_mtime_ns
    except OSError:
        return 0


def executor(settings: Mapping[str, Any], **changed: Any) -> Any:
    """Return submitit's executor with these settings; raises `RequestError` for those it does not accept."""
    import submitit as library

    options = {**settings, **changed}
    cluster, folder = options.pop("cluster", "local"), options.pop("folder")
    if extra := options.get("slurm_additional_parameters"):
        options["slurm_additional_parameters"] = {key: value for key, value in extra.items() if value is not False}
    try:
        made = library.AutoExecutor(folder=folder, cluster=cluster)
        made.update_parameters(**{key: value for key, value in options.items() if value is not None})
    except RuntimeError:
        raise RequestError(
            "hydra/launcher=submitit_slurm: srun is not installed; use a login node of the cluster, or submitit_local"
        ) from None
    except (NameError, TypeError, ValueError, AssertionError) as error:
        raise RequestError(f"hydra.launcher: {' '.join(str(error).split())}") from None
    return made


def cores_of(settings: Mapping[str, Any]) -> int:
    """Return the number of cores of a job."""
    return whole("hydra.launcher.cpus_per_task", settings.get("cpus_per_task", 1), 1, "the number of cores of a job")


def why_lost(handle: Any) -> str | None:
    """Return why a submitit job that has ended did not run, or None; its own status says how it ran."""
    if not handle.paths.result_pickle.exists():
        return f"process {handle.job_id} ended without a result{last_words(handle.paths.stderr)}"
    raised = handle.exception()
    if raised is None:
        reason: str | None = handle.result()  # see `Task`
        return reason
    trace = str(raised)
    lines = [line for line in trace.partition("\nYou can check full logs")[0].splitlines() if line.strip("- ")]
    return (missing_module(trace) or lines[-1])[-LONGEST:]


def last_words(path: Path) -> str:
    """Return the last line of a log, with a colon before it, or nothing."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    text = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {text[-LONGEST:]}" if text else ""


def local(jobs: Sequence[Job], settings: Mapping[str, Any], of: int) -> Launcher:
    """Run each job as a process of this machine, as many at a time as there are cores for."""
    each = cores_of(settings)
    made, site = executor(settings), Site.of(jobs)
    at_once = max(1, all_cores() // each)
    waiting, running = deque(jobs), dict[Any, Job]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.popleft()
                running[made.submit(Task(), job, each, site)] = job
            done = [handle for handle in running if handle.done()]
            for handle in done:
                yield running.pop(handle), why_lost(handle)
            if not done:
                time.sleep(POLL)
    finally:
        for handle in running:
            handle.cancel(check=False)
