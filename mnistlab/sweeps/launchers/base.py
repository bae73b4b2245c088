"""The launchers: jobs go in, and each comes out when it is over, with the reason if its process did not survive it.

A launcher knows nothing of what a job does. How a job ended stands in its own directory; a launcher reports only what
the job itself could not write down. It is given jobs, its settings, and the number of jobs in the whole sweep.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from typing import Any

from mnistlab.runs.environment import all_cores
from mnistlab.sweeps.job import Job, in_worker, perform, start_worker
from mnistlab.system.errors import RequestError, RunError, whole
from mnistlab.system.signals import GRACE, end_with, quiet_start

Ended = tuple[Job, str | None]  # a job that is over, and why its process was lost, if it was
Launcher = Generator[Ended, None, None]  # closing it stops what still runs
POLL = 0.5  # seconds between two looks at jobs on other machines


def basic(jobs: Sequence[Job], settings: Mapping[str, Any], of: int) -> Launcher:
    """Run one job after the other in this process, each on all cores."""
    for job in jobs:
        try:
            perform(job, all_cores())
        except RunError as error:
            yield job, str(error)
        else:
            yield job, None


def joblib(jobs: Sequence[Job], settings: Mapping[str, Any], of: int) -> Launcher:
    """Run ``n_jobs`` at a time, each in a process of joblib's (loky), on an equal share of the cores.

    Every process is a pool of its own: in a common one, a job that is killed takes its neighbours with it and what
    had not begun is never run. A process is used again for the next job, so that imports are paid once.
    """
    n_jobs, cores = shares(settings, of)
    n_jobs = min(n_jobs, len(jobs))
    waiting, running = deque(jobs), dict[Future[None], tuple[Worker, Job]]()
    pool = [Worker() for _ in range(n_jobs)]
    try:
        for worker in pool[: len(waiting)]:
            job = waiting.popleft()
            running[worker.start(job, cores)] = worker, job
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                worker, job = running.pop(future)
                lost = worker.end_of(future)
                if waiting:
                    following = waiting.popleft()
                    running[worker.start(following, cores)] = worker, following
                yield job, lost
    finally:
        for worker, _ in running.values():
            worker.interrupt()
        wait(running, timeout=GRACE)
        for worker in pool:
            worker.close()


def shares(settings: Mapping[str, Any], jobs: int) -> tuple[int, int]:
    """Return how many of a sweep's jobs run at once, and the cores of each. ``n_jobs``: -1 all cores, -2 all but one.

    The share of a job is that of the whole sweep, also when only some of it is resumed: with other threads other last
    bits would come out.
    """
    asked = settings.get("n_jobs", -1)
    if isinstance(asked, bool) or not isinstance(asked, int) or asked == 0:
        raise RequestError(
            f"hydra.launcher.n_jobs={asked}: a whole number of 1 or more, or -1 for all cores, was expected"
        )
    at_once = min(jobs, asked if asked > 0 else max(1, all_cores() + 1 + asked))
    return at_once, max(1, all_cores() // at_once)


class Worker:
    """One process of joblib's, made again when it was killed."""

    def __init__(self) -> None:
        self._open()

    def _open(self) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        self.pool = ProcessPoolExecutor(max_workers=1, initializer=end_with, initargs=(os.getpid(),))
        self.broken = False
        with quiet_start():
            self.ready: Future[int] = self.pool.submit(start_worker)

    def start(self, job: Job, cores: int, watch: Callable[..., None] | None = None) -> Future[None]:
        """Give the process its next job."""
        if self.broken:
            self._open()
        future: Future[None] = self.pool.submit(in_worker, job, cores, watch)
        return future

    def end_of(self, future: Future[None]) -> str | None:
        """Return why the job's process was lost, or None."""
        from joblib.externals.loky.process_executor import BrokenProcessPool

        try:
            future.result()
        except BrokenProcessPool as error:
            self.broken = True
            self.pool.shutdown(wait=False, kill_workers=True)
            return _killed_by(str(error))
        except KeyboardInterrupt:
            return "it was interrupted"
        except Exception as error:
            return one_line(error)
        return None

    def interrupt(self) -> None:
        """Let the job write down that it was interrupted; a process that has not begun it simply ends."""
        if not self.ready.done() or self.ready.exception():
            self.close()
            return
        with suppress(ProcessLookupError):
            os.kill(self.ready.result(), signal.SIGTERM)

    def close(self) -> None:
        self.pool.shutdown(wait=True, kill_workers=True)


def one_line(error: BaseException) -> str:
    """Return what an error says, in one line; our own are written for people already."""
    text = " ".join(str(error).split())
    return text if isinstance(error, RunError) else f"{type(error).__name__}: {text}"


def _killed_by(message: str) -> str:
    found = re.search(r"exit codes of the workers are \{(\w+)\((-?\d+)\)", message)
    name = found[1] if found else "an unknown cause"
    hint = "; the system does so when memory runs out: try a smaller hydra.launcher.n_jobs" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{hint}"


def ray(jobs: Sequence[Job], settings: Mapping[str, Any], of: int) -> Launcher:
    """Run the jobs as Ray tasks: on this machine, or on the cluster that ``ray.init.address`` names.

    ``ray.init`` and ``ray.remote`` are passed on as they are. A task has one core unless ``num_cpus`` says otherwise,
    and is not run again when its process dies: the ledger says so, and `mnistlab resume` is there for it.
    """
    import ray as library
    from ray.exceptions import RayError, RayTaskError

    given = settings.get("ray") or {}
    remote = {"num_cpus": 1, "max_retries": 0, **(given.get("remote") or {})}
    started = not library.is_initialized()
    if started:
        try:
            library.init(
                **{
                    "log_to_driver": False,
                    "include_dashboard": False,
                    "logging_level": "error",
                    **(given.get("init") or {}),
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
                    lost = f"its process was lost ({type(error).__name__})"
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


def submitit(jobs: Sequence[Job], settings: Mapping[str, Any], of: int) -> Launcher:
    """Run each job as a submitit job: a process of this machine, or a job of Slurm.

    All settings but ``cluster`` and ``folder`` go to submitit's ``update_parameters``. Slurm queues for itself; on
    this machine as many run at once as there are cores for.
    """
    import submitit as library

    given = dict(settings)
    cluster, folder = given.pop("cluster", "local"), given.pop("folder")
    each = whole("hydra.launcher.cpus_per_task", given.get("cpus_per_task", 1), 1, "the number of cores of a job")
    executor = library.AutoExecutor(folder=folder, cluster=cluster)
    try:
        executor.update_parameters(**{key: value for key, value in given.items() if value is not None})
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


LAUNCHERS: dict[str, Callable[[Sequence[Job], Mapping[str, Any], int], Launcher]] = {
    "basic": basic,
    "joblib": joblib,
    "ray": ray,
    "submitit_local": submitit,
    "submitit_slurm": submitit,
}
