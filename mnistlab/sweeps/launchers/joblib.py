"""Several jobs at a time on this machine, each in a joblib process (loky)."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from multiprocessing import Pipe
from typing import Any

from mnistlab.runs.environment import all_cores
from mnistlab.sweeps.job import Job, in_worker, start_worker
from mnistlab.sweeps.launchers.base import Launcher, one_line
from mnistlab.system.errors import RequestError
from mnistlab.system.signals import GRACE, end_with, quiet_start

LOG = logging.getLogger("mnistlab")
OUT_OF_MEMORY = "the worker was killed by SIGKILL"  # by the system, or by hand: nobody can tell


def joblib(jobs: Sequence[Job], settings: Mapping[str, Any], of: int) -> Launcher:
    """Run ``n_jobs`` jobs at a time, each in a joblib process (loky), on an equal share of the cores.

    Every process is a pool of its own: in a shared pool, a killed job would also end the other running jobs, and the
    waiting ones would never run. A process is reused for the next job, so that it imports everything only once.

    A job whose process is killed by SIGKILL, as the system does when memory runs out, is tried once more, from its
    checkpoint, and from then on half as many jobs run at a time.
    """
    n_jobs, cores = shares(settings, of)
    n_jobs = min(n_jobs, len(jobs))
    waiting, running = deque(jobs), dict[Future[None], tuple[Worker, Job]]()
    pool, retried = [Worker() for _ in range(n_jobs)], set[int]()
    idle = deque(pool)

    def start_next() -> None:
        while waiting and len(running) < n_jobs:
            worker, job = idle.popleft(), waiting.popleft()
            running[worker.start(job, cores)] = worker, job

    try:
        start_next()
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                worker, job = running.pop(future)
                lost = worker.end_of(future)
                idle.appendleft(worker)
                again = lost is not None and lost.startswith(OUT_OF_MEMORY) and job.entry.number not in retried
                if again:
                    retried.add(job.entry.number)
                    n_jobs = max(1, n_jobs // 2)
                    _warn_of_retry(job, n_jobs)
                    waiting.appendleft(job)
                    for surplus in idle:  # an idle process has memory too
                        surplus.close(wait=False)
                start_next()
                if not again:
                    yield job, lost
    finally:
        for worker, _ in running.values():
            worker.interrupt()
        wait(running, timeout=GRACE)
        for worker in pool:
            worker.close()


def _warn_of_retry(job: Job, at_once: int) -> None:
    LOG.warning(
        "job %d, %s: %s, perhaps because memory ran out; it is tried once more, and from now on %d job%s at a time",
        *(job.entry.number, job.entry.title, OUT_OF_MEMORY, at_once, " runs" if at_once == 1 else "s run"),
    )


def shares(settings: Mapping[str, Any], jobs: int) -> tuple[int, int]:
    """Return the number of jobs at a time and the cores of each. ``n_jobs``: -1 all cores, -2 all but one.

    The cores of a job depend on the whole sweep, even when only some jobs are resumed: with another number of threads,
    results would differ in their last bits.
    """
    n_jobs = settings.get("n_jobs", -1)
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0:
        raise RequestError(f"hydra.launcher.n_jobs={n_jobs}: must be a whole number of 1 or more, or -1 for all cores")
    at_once = min(jobs, n_jobs if n_jobs > 0 else max(1, all_cores() + 1 + n_jobs))
    return at_once, max(1, all_cores() // at_once)


class Worker:
    """One joblib process, restarted after it was killed."""

    def __init__(self) -> None:
        self._open()

    def _open(self) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        self.theirs, self.ours = Pipe(duplex=False)
        self.pool = ProcessPoolExecutor(max_workers=1, initializer=end_with, initargs=(self.theirs,))
        self.broken = False
        with quiet_start():
            self.ready: Future[None] = self.pool.submit(_begin)

    def start(self, job: Job, cores: int, watch: Callable[..., None] | None = None) -> Future[None]:
        """Give the process its next job."""
        return self.submit(in_worker, job, cores, watch)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Let the process call a function."""
        if self.broken:
            self._open()
        future: Future[Any] = self.pool.submit(function, *arguments)
        return future

    def end_of(self, future: Future[None]) -> str | None:
        """Return why the job's process was lost, or None."""
        from joblib.externals.loky.process_executor import BrokenProcessPool

        try:
            future.result()
        except BrokenProcessPool as error:
            self.close(wait=False)
            return _killed_by(str(error))
        except KeyboardInterrupt:
            return "interrupted"
        except Exception as error:
            return one_line(error)
        return None

    def interrupt(self) -> None:
        """Let the job record its interruption; a process that has not begun its job simply ends."""
        if not self.ready.done() or self.ready.exception():
            self.close()
            return
        self.ours.close()  # see `end_with`

    def close(self, wait: bool = True) -> None:
        """End the process, whatever it is doing. Its next job starts a new one."""
        self.broken = True
        self.pool.shutdown(wait=wait, kill_workers=True)
        self.ours.close()
        self.theirs.close()


def _begin() -> None:
    """Prepare a new process. With psutil, loky would end it after a job that keeps 300 MB, as a dataset does."""
    from joblib.externals.loky import process_executor

    process_executor._USE_PSUTIL = False
    start_worker()


def _killed_by(message: str) -> str:
    match = re.search(r"exit codes of the workers are \{(\w+)\((-?\d+)\)", message)
    name = match[1] if match else "an unknown cause"
    hint = ", perhaps because memory ran out; try a smaller hydra.launcher.n_jobs" if name == "SIGKILL" else ""
    return f"the worker was killed by {name}{hint}"
