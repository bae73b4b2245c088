"""One job of a sweep, and how a worker runs it. Jobs are composed once and are the same for all launchers."""

from __future__ import annotations

import gc
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import version
from hydra.core.utils import run_job
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from mnistlab.config import plugins
from mnistlab.config.hydra_guard import Callbacks
from mnistlab.runs import paths, status
from mnistlab.sweeps.manifest import Entry
from mnistlab.system import files, locks
from mnistlab.system.errors import RequestError, RunError
from mnistlab.system.signals import interruptible

if TYPE_CHECKING:
    from mnistlab.runs.compute import Compute
    from mnistlab.runs.context import Rehearsal
    from mnistlab.training.checkpoint import Checkpoint
    from mnistlab.training.loop import History


@dataclass(frozen=True)
class Job:
    """One point of the grid: its entry in the manifest, its directory, and its configuration including Hydra's."""

    entry: Entry
    directory: Path
    config: DictConfig = field(repr=False)
    pause_after: int | None = None  # an epoch, after which the job is paused with its checkpoint
    compute: Compute | None = None  # of the run that it repeats

    def __reduce__(self) -> tuple[Any, ...]:
        """Take the files of --import along to a worker, which needs their classes to read the configuration."""
        more = self.pause_after, self.compute
        return _unpacked, (self.entry, self.directory, plugins.imported_files(), pickle.dumps(self.config), more)


def _unpacked(entry: Entry, directory: Path, imported: dict[str, bytes], config: bytes, more: tuple[Any, Any]) -> Job:
    plugins.load_installed()
    for name, source in imported.items():
        plugins.import_source(name, source, name)
    return Job(entry, directory, pickle.loads(config), *more)  # noqa: S301  # from the process that started this one


def perform(
    job: Job,
    cores: int,
    watch: Callable[[History], None] | None = None,
    rehearsal: Rehearsal | None = None,
) -> None:
    """Run one job on so many cores, from the checkpoint of an earlier attempt in its directory if there is one.

    Its final state is in its status.json. Raises `RunError` if not even that could be written. With ``watch`` the job
    is a trial of a search, and with ``rehearsal`` a rehearsal (see `context.RunContext`).
    """
    from mnistlab.runs import lifecycle  # imported here: the process that only waits for jobs does not need the engine

    version.setbase("1.3")
    try:
        resumes = _prepare(job)
        context = HydraContext(config_loader=None, callbacks=Callbacks())  # type: ignore[arg-type]  # nothing to compose
        more: dict[str, Any] = {"pause_after": job.pause_after, "compute": job.compute, "rehearsal": rehearsal}
        task = partial(lifecycle.task, cores=cores, watch=watch, resumes=resumes, **more)
        done = run_job(task, job.config, "hydra.sweep.dir", "hydra.sweep.subdir", context, configure_logging=False)
        outcome = done.return_value  # raises what the task raised
    except OSError as error:
        raise RunError(f"{error.filename or job.directory}: {error.strerror or error}") from None
    if outcome.status and not (job.directory / paths.STATUS).exists():
        raise RunError(outcome.message)


def _prepare(job: Job) -> bool:
    """Return whether the job goes on from a checkpoint; if not, empty its directory.

    Another process may have begun to run it since the sweep was started, as `mnistlab resume SWEEP/JOB` does.
    """
    if not job.directory.exists():
        return False
    with locks.held(job.directory) as ours:
        if not ours:
            place = files.shown(job.directory)
            raise RunError(f"{place}: this run is running in another process; wait for it, then resume the sweep")
        resumes = _can_resume(job)
        if not resumes:
            clear(job.directory)
        return resumes


def in_worker(job: Job, cores: int, watch: Callable[[History], None] | None = None) -> None:
    """Run one job in a worker process."""
    with interruptible():
        perform(job, cores, watch)


def _can_resume(job: Job) -> bool:
    """Return whether an earlier attempt at this job has a checkpoint to resume from.

    The attempt must have the same configuration, or differ only in the number of epochs and have trained fewer. We hold
    its lock, so that it has ended even if it is recorded as running, as one that was killed, or whose node was lost.
    """
    from mnistlab.training import checkpoint

    state = status.read(job.directory)
    same = state.config_hash == job.entry.config_hash
    if state.state == "pending" or (same and state.state == "completed"):
        return False
    try:
        saved = checkpoint.load(job.directory / paths.CHECKPOINT)
        return same or _goes_on(saved, job, state.state == "completed")
    except RequestError:
        return False


def _goes_on(saved: Checkpoint, job: Job, completed: bool) -> bool:
    """Return whether training on from a checkpoint gives the same result as this job from the start."""
    from mnistlab.config import schema
    from mnistlab.training import checkpoint

    task = task_part(job.config)
    changed = checkpoint.differences(saved.origin.config, schema.deciding(task))
    epoch = saved.values.get("epoch") if isinstance(saved.values, dict) else None
    if [key for key, _, _ in changed] != [schema.EPOCHS] or not isinstance(epoch, int):
        return False
    ((_, planned, requested),) = changed
    stopped_early = completed and epoch - 1 < planned
    return epoch - 1 < requested and not stopped_early and not schema.experiment(task).schedule.by_total


def settle(job: Job, lost: str | None, before: bytes | None) -> bool:
    """Write the status of a job that has ended, if it could not do so itself; ``lost`` is why.

    ``before`` is its status.json from before this attempt: if it is unchanged, it is that of an earlier one. Return
    False, and write nothing, if another process is running it.
    """
    if locks.is_held(job.directory):
        return False
    state = status.read(job.directory)
    is_done = state.state == "completed" and state.config_hash == job.entry.config_hash
    if state.state in ("pending", "running", "killed") or (lost and not is_done and status_bytes(job) == before):
        job.directory.mkdir(parents=True, exist_ok=True)
        config_hash = state.config_hash or job.entry.config_hash  # that of the files that are there
        left = status.Status(job.directory / paths.STATUS, config_hash, seconds=dict(state.seconds))
        left.write_quietly("failed", lost or "worker exited without a status")
    return True


def status_bytes(job: Job) -> bytes | None:
    """Return the content of a job's status.json, or None if there is none."""
    try:
        return (job.directory / paths.STATUS).read_bytes()
    except OSError:
        return None


def task_part(config: DictConfig) -> DictConfig:
    """Return the configuration without Hydra's own part."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def clear(directory: Path) -> None:
    """Empty the directory of an earlier attempt, so that its files do not mix with those of this one.

    Tags and notes are people's, and remain.
    """
    if (directory / paths.STATUS).exists() or (directory / paths.HYDRA).exists():
        for path in {*directory.iterdir()} - {directory / name for name in (locks.NAME, paths.LABELS)}:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def start_worker() -> None:
    """Import everything that a job needs into a new worker before its first job."""
    for name in (
        "mnistlab.runs.lifecycle",
        "mnistlab.runs.pipeline",
        "matplotlib.backends.backend_agg",
        "pandas",
        "jinja2",
    ):
        import_module(name)
    gc.set_threshold(100_000, 20, 20)  # as in `cli.main`; pictures consist of many objects that refer to each other
    gc.freeze()
