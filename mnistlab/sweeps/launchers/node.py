"""A job on a node of a cluster: what the node must have, and the signals that announce the end of its time."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mnistlab
from mnistlab.runs import paths, status
from mnistlab.sweeps.job import Job, perform
from mnistlab.system import locks
from mnistlab.system.errors import RunError
from mnistlab.system.signals import interruptible

DATA = "MNISTLAB_DATA"
SAME = ("numpy", "numba")  # packages whose version, or absence, changes the last bits of a result
EARLIER = 60.0  # seconds that an earlier attempt has to end: longer than schedulers wait before they kill it


@dataclass(frozen=True)
class Site:
    """What the machine that started a sweep has, and what its nodes must have as well."""

    sweep: Path  # the directory of the sweep
    started_in: Path  # the base of the data's relative paths
    versions: Mapping[str, str | None]
    data: str | None  # the folder of datasets

    @classmethod
    def of(cls, jobs: Sequence[Job]) -> Site:
        """Return the site of this machine for the jobs of a sweep."""
        return cls(Path(jobs[0].config.hydra.sweep.dir), Path.cwd(), _versions(), os.environ.get(DATA))

    def enter(self) -> None:
        """Prepare this process for a job; raise `RunError`, with the name of the node, for the first thing it lacks."""
        if not (self.sweep / paths.SWEEP).is_file():
            raise _lacks(f"{self.sweep} has no {paths.SWEEP}; the directory of a sweep must be shared by all nodes")
        for name, here in _versions().items():
            there = self.versions.get(name)
            if here != there:
                is_here = f"{name} is {here}" if here else f"{name} is not installed"
                was_there = f"{there} where" if there else "it is not installed where"
                raise _lacks(
                    f"{is_here}, but {was_there} the sweep was started; install the same packages on all nodes"
                )
        if self.started_in.is_dir():
            os.chdir(self.started_in)
        if self.data and os.environ.get(DATA, self.data) == self.data:  # a node may have a folder of its own
            if Path(self.data).expanduser().is_dir():
                os.environ[DATA] = self.data
            else:  # published datasets are then found in the cache of the node, or downloaded to it, and verified
                os.environ.pop(DATA, None)


def on_node(job: Job, cores: int, site: Site, warnings: Sequence[int] = ()) -> int | None:
    """Run one job on this node; return the number of the signal that interrupted it, or None.

    The scheduler runs a job only once at a time, so an earlier attempt is over, or is ending. ``warnings`` are the
    signals that announce the end of the job's time, in addition to SIGTERM. Raises `RunError` for what the node lacks.
    """
    site.enter()
    _wait_for_earlier(job.directory)
    state = status.read(job.directory)
    if state.state == "completed" and state.config_hash == job.entry.config_hash:
        return None  # it was sent back to the queue at its very end
    with interruptible(warnings) as stopped_by:
        try:
            perform(job, cores)
        except KeyboardInterrupt:
            return stopped_by.status - 128
    return None


def missing_module(text: str) -> str | None:
    """Return what a node lacks if an error says that it could not import a module."""
    _, found, rest = text.partition("No module named ")
    name = rest.partition("\n")[0].strip(" '\"") if found else ""
    return f"a node has no Python module {name}; install the same packages on all nodes" if name else None


def _versions() -> dict[str, str | None]:
    return {
        "mnistlab": mnistlab.__version__,
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **{name: _version(name) for name in SAME},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _lacks(text: str) -> RunError:
    return RunError(f"node {platform.node()}: {text}")


def _wait_for_earlier(directory: Path) -> None:
    until = time.monotonic() + EARLIER
    while locks.is_held(directory):
        if time.monotonic() > until:
            raise _lacks(f"an earlier attempt at {directory.name} is still running; end its process")
        time.sleep(0.2)
