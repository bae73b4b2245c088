"""One job of a sweep, and what a worker does with it. A job is composed once, and every launcher is given the same."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra.core.utils import run_job
from hydra.types import HydraContext
from omegaconf import DictConfig

from mnistlab import status
from mnistlab.errors import RequestError, RunError
from mnistlab.interrupt import interruptible
from mnistlab.ledger import Entry

if TYPE_CHECKING:
    from mnistlab.train import History


@dataclass(frozen=True)
class Job:
    """One point of the grid: its entry in the ledger, its place, and its configuration with Hydra's part."""

    entry: Entry
    directory: Path
    config: DictConfig = field(repr=False)


def perform(job: Job, cores: int, watch: Callable[[History], None] | None = None) -> None:
    """Run one job on so many cores, in its directory: on from the checkpoint of an earlier attempt, if there is one.

    How it ended is in its status.json. Raises `RunError` where not even that could be written. ``watch`` makes it a
    trial of a search, as `run.task` has it.
    """
    from mnistlab import run  # here: the process that only watches needs no engine

    version.setbase("1.3")
    try:
        resumes = watch is None and can_resume(job)
        if not resumes:
            clear(job.directory)
        context = HydraContext(config_loader=None, callbacks=Callbacks())  # type: ignore[arg-type]  # nothing to compose
        task = partial(run.task, cores=cores, watch=watch, resumes=resumes)
        done = run_job(task, job.config, "hydra.sweep.dir", "hydra.sweep.subdir", context, configure_logging=False)
        outcome = done.return_value  # raises what the task raised
    except OSError as error:
        raise RunError(f"{error.filename or job.directory}: {error.strerror or error}") from None
    if outcome.status and not (job.directory / "status.json").exists():
        raise RunError(outcome.message)


def in_worker(job: Job, cores: int, watch: Callable[[History], None] | None = None) -> None:
    """Run one job in a process that has nothing else to do."""
    with interruptible():
        perform(job, cores, watch)


def can_resume(job: Job) -> bool:
    """Return whether an earlier attempt at this very job has left a checkpoint that can be read."""
    from mnistlab import checkpoint

    state = status.read(job.directory)
    if not state.is_over or state.state == "completed" or state.config_hash != job.entry.config_hash:
        return False
    try:
        checkpoint.load(job.directory / checkpoint.NAME)
    except RequestError:
        return False
    return True


def clear(directory: Path) -> None:
    """Empty the directory of an earlier attempt: what that left would mix with what this one writes."""
    if (directory / "status.json").exists() or (directory / ".hydra").exists():
        for path in directory.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def start_worker() -> int:
    """Import in a new worker all that a job needs, before there is one, and return the worker's process number."""
    for name in ("mnistlab.run", "matplotlib.backends.backend_agg", "pandas", "sklearn.metrics", "jinja2"):
        import_module(name)
    return os.getpid()
