"""Jobs in the queue of Slurm, submitted as arrays by submitit. They go on without the process that waits for them.

The numbers of the Slurm jobs are kept in a file beside their logs: another process, by `mnistlab resume`, waits for the
jobs that are still in the queue, and submits those that are not.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from mnistlab.runs import paths, status
from mnistlab.sweeps.job import Job
from mnistlab.sweeps.launchers import scheduler
from mnistlab.sweeps.launchers.base import Ended, Launcher
from mnistlab.sweeps.launchers.node import Site
from mnistlab.sweeps.launchers.submitit import Task, cores_of, executor, last_words, progress, why_lost
from mnistlab.system import files
from mnistlab.system.errors import RequestError, RunError, whole
from mnistlab.system.readers import read_json_or_empty
from mnistlab.system.signals import GRACE

LOG = logging.getLogger("mnistlab")
POLL = 1.0  # seconds between two looks for results, which are files
ASKS = 10.0  # seconds between two questions to the scheduler
SETTLES = 10.0  # seconds that the files of a job that has ended may need to appear on a shared file system
LIMIT = "slurm_array_parallelism"
ENDS = 60.0  # seconds for jobs that are ending to leave the queue, or to be back in it
MOST_LOST = 3  # times that a job may be taken away without a new checkpoint
ORDINARY = ("None", "Resources", "Priority", "BeginTime", "JobArrayTaskLimit", "Cleaning", "")  # reasons to wait


def slurm(jobs: Sequence[Job], settings: Mapping[str, Any], of: int) -> Launcher:
    """Submit the jobs that are not in the queue, and wait for all. Closing the launcher cancels them."""
    queue = Queue(settings)
    queue.take(jobs)
    try:
        queue.submit(jobs)
        while queue.waiting:
            yield from queue.ended()
            time.sleep(POLL)
    finally:
        queue.cancel()


def check(settings: Mapping[str, Any]) -> None:
    """Refuse invalid settings, and a machine without Slurm, or where it does not answer."""
    cores_of(settings)
    executor(settings, **{LIMIT: _limit(settings)})
    try:
        scheduler.most_of_an_array()
    except RunError as error:
        raise RequestError(f"hydra/launcher=submitit_slurm: Slurm does not answer ({error})") from None


def submit(jobs: Sequence[Job], settings: Mapping[str, Any]) -> list[str]:
    """Submit the jobs that are not in the queue, and return the Slurm numbers of all."""
    queue = Queue(settings)
    queue.take(jobs)
    queue.submit(jobs)
    return list(queue.waiting)


def queued(jobs: Sequence[Job], settings: Mapping[str, Any]) -> frozenset[int]:
    """Return the numbers of those jobs of a sweep that are in the queue, or running."""
    queue = Queue(settings)
    queue.take(jobs)
    return queue.numbers


def _limit(settings: Mapping[str, Any]) -> int | None:
    limit = settings.get(LIMIT)
    return None if limit is None else whole(f"hydra.launcher.{LIMIT}", limit, 1, "the number of jobs at once")


@dataclass
class _Lost:
    """A job that the scheduler has ended, or forgotten, without a result so far."""

    since: float
    state: str


class Queue:
    """The jobs of a sweep in the queue of Slurm."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)
        self.record = Path(settings["folder"]) / paths.QUEUE
        self.waiting: dict[str, Job] = {}  # by the number of the Slurm job
        self.handles: dict[str, Any] = {}  # of submitit
        self.lost: dict[str, _Lost] = {}
        self.taken_away = Counter[str]()
        self.progress: dict[str, int] = {}
        self.asks_at = 0.0
        self.said: set[str] = set()

    @property
    def numbers(self) -> frozenset[int]:
        """Return the numbers of the jobs in the sweep."""
        return frozenset(job.entry.number for job in self.waiting.values())

    def take(self, jobs: Sequence[Job]) -> None:
        """Take over those jobs that an earlier process submitted and that are still in the queue."""
        recorded = read_json_or_empty(self.record).get("jobs", {})
        if not recorded:
            return
        numbers = {number for number, _ in recorded.values()}
        until = time.monotonic() + ENDS
        while True:
            try:
                known = scheduler.known()
            except RunError as error:
                raise RequestError(f"hydra/launcher=submitit_slurm: {error}; try again when Slurm answers") from None
            ending = any(number in known and known[number].state == "COMPLETING" for number in numbers)
            if not ending or time.monotonic() > until:
                break
            time.sleep(POLL)
        for job in jobs:
            number, config_hash = recorded.get(str(job.entry.number), ("", ""))
            if number not in known or known[number].is_over:
                continue
            if config_hash == job.entry.config_hash:
                self._wait_for(number, job)
            else:
                scheduler.cancel([number])

    def submit(self, jobs: Sequence[Job]) -> None:
        """Submit the jobs that are not in the queue as arrays; raises `RequestError` if Slurm refuses them."""
        taken = self.numbers
        jobs = [job for job in jobs if job.entry.number not in taken]
        if not jobs:
            return
        site, each = Site.of(jobs), cores_of(self.settings)
        at_once = _limit(self.settings) or len(jobs)
        try:
            most = scheduler.most_of_an_array()
            arrays = [jobs[start : start + most] for start in range(0, len(jobs), most)]
            made = executor(self.settings, **{LIMIT: max(1, at_once // len(arrays))})
            for array in arrays:
                with redirect_stderr(StringIO()), made.batch():  # submitit prints an error that it also raises
                    handles = [made.submit(Task(), job, each, site) for job in array]
                for handle, job in zip(handles, array, strict=True):
                    self._wait_for(str(handle.job_id), job)
                self._write()
        except RequestError:
            raise
        except Exception as error:  # submitit passes on what sbatch says in errors of several types
            text = " ".join(str(error).split()).partition("sbatch: error: ")
            reason = (text[2] or text[0]).removeprefix("Batch job submission failed: ")
            raise RequestError(f"hydra/launcher=submitit_slurm: sbatch refuses the jobs: {reason[:200]}") from None

    def _wait_for(self, number: str, job: Job) -> None:
        import submitit as library

        self.waiting[number], self.progress[number] = job, progress(job)
        self.handles[number] = library.SlurmJob(folder=self.record.parent, job_id=number)

    def _write(self) -> None:
        recorded = read_json_or_empty(self.record).get("jobs", {})
        new = {str(job.entry.number): [number, job.entry.config_hash] for number, job in self.waiting.items()}
        files.write_json(self.record, {"jobs": {**recorded, **new}})

    def ended(self) -> Launcher:
        """Yield the jobs that have ended since the last call."""
        for number in list(self.waiting):
            if self.handles[number].paths.result_pickle.exists():
                yield self._end(number, why_lost(self.handles[number]))
        now = time.monotonic()
        if now >= self.asks_at:
            self.asks_at = now + ASKS
            self._ask(now)
        for number, lost in list(self.lost.items()):
            is_recorded = status.read(self.waiting[number].directory).is_over
            if is_recorded or now - lost.since >= SETTLES:
                text = f"Slurm job {number}: {lost.state}{last_words(self.handles[number].paths.stderr)}"
                if is_recorded:  # the reason is in addition to what the job has recorded
                    LOG.warning("job %d, %s", self.waiting[number].entry.number, text)
                yield self._end(number, text)

    def _ask(self, now: float) -> None:
        """Ask the scheduler for the jobs that have not left a result."""
        try:
            known = scheduler.known()
        except RunError as error:
            self._say(f"Slurm does not answer ({error}); waiting", "silent")
            return
        self.said.discard("silent")
        for number, job in self.waiting.items():
            of = known.get(number)
            if of is not None and not of.is_over:
                self.lost.pop(number, None)
                if of.state == "PENDING" and of.reason not in ORDINARY:
                    self._say(f"job {job.entry.number} (Slurm job {number}) waits: {of.reason}")
            elif number not in self.lost and not self._goes_on(number, job, of):
                self.lost[number] = _Lost(now, of.state if of else self._last_state(number))

    def _goes_on(self, number: str, job: Job, of: scheduler.Known | None) -> bool:
        """Send a job back to the queue that was ended by the cluster, and not by its user or itself."""
        if of is None or not (of.state in scheduler.TAKEN_AWAY or of.state == "TIMEOUT"):
            return False
        if progress(job) == self.progress[number]:
            self.taken_away[number] += 1
        most = MOST_LOST if of.state in scheduler.TAKEN_AWAY else 0
        if self.taken_away[number] > most:
            return False
        self.progress[number] = progress(job)
        refused = scheduler.requeue(number)
        if refused is None:
            self._say(f"job {job.entry.number} (Slurm job {number}): {of.state}; sent back to the queue")
        return refused is None

    def _last_state(self, number: str) -> str:
        missing = scheduler.has_accounting() if "accounting" not in self.said else None
        if missing:
            self.said.add("accounting")
            LOG.warning("no accounting (%s): how a job ended that Slurm has forgotten is not known", missing)
        state = None if "accounting" in self.said else scheduler.last_state(number)
        return state or "not known to Slurm any more"

    def _say(self, text: str, about: str | None = None) -> None:
        if (about or text) not in self.said:
            self.said.add(about or text)
            LOG.warning("%s", text)

    def _end(self, number: str, lost: str | None) -> Ended:
        self.lost.pop(number, None)
        del self.handles[number], self.progress[number]
        return self.waiting.pop(number), lost

    def cancel(self) -> None:
        """Cancel the jobs that have not ended, and give them time to record it."""
        if not self.waiting:
            return
        scheduler.cancel(list(self.waiting))
        until = time.monotonic() + GRACE
        while time.monotonic() < until:
            try:
                known = scheduler.known()
            except RunError:
                return
            if not any(number in known and not known[number].is_over for number in self.waiting):
                return
            time.sleep(POLL)
