"""``mnistlab rerun SWEEP``: repeat all jobs of a sweep in a new directory, and compare the two."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf, open_dict

from mnistlab.config.tracking import NoTracking
from mnistlab.runs import environment, paths, status
from mnistlab.runs.resume import compute_of
from mnistlab.sweeps import manifest
from mnistlab.sweeps.design import check_launcher
from mnistlab.sweeps.grid import plan, write_multirun
from mnistlab.sweeps.job import Job
from mnistlab.sweeps.manifest import Entry, Manifest
from mnistlab.sweeps.runner import Sweep
from mnistlab.system import directories, files, output
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text, flat
from mnistlab.system.locks import held
from mnistlab.system.readers import UnreadableError, read_bytes, read_json_or_empty, read_rows

MOST_JOBS = 20  # that differ, on the terminal
TIMES = ("seconds",)  # the columns of history.csv that differ from one time to the next


@dataclass(frozen=True)
class JobRepetition:
    """A job and its repetition: how both ended, and how many of its metrics differ."""

    entry: Entry
    before: str
    now: str
    changed: int
    identical: bool


@dataclass(frozen=True)
class SweepRepetition:
    """A sweep and its repetition, job by job; ``environment`` are the differences of the first job that differs."""

    sweep: str  # as the user named it
    directory: Path
    jobs: tuple[JobRepetition, ...]
    environment: Mapping[str, tuple[Any, Any]]

    @property
    def identical(self) -> bool:
        """Whether all jobs have the same results, byte for byte."""
        return all(job.identical for job in self.jobs)

    def as_json(self) -> dict[str, Any]:
        """Return the ``--json`` result."""
        jobs = [
            {
                "job": job.entry.number,
                "directory": self.directory / job.entry.directory,
                "state": [job.before, job.now],
                "changed": job.changed,
                "identical": job.identical,
            }
            for job in self.jobs
        ]
        return {
            "sweep": self.sweep,
            "directory": self.directory,
            "identical": self.identical,
            "jobs": jobs,
            "environment": self.environment,
        }

    def verdict(self) -> list[str]:
        """Return the lines of the comparison."""
        number = len(self.jobs)
        if self.identical:
            return [f"identical: all {number} jobs of {self.directory} have the same results as those of {self.sweep}"]
        different = [job for job in self.jobs if not job.identical]
        lines = [f"different: {len(different)} of {number} jobs differ from those of {self.sweep}"]
        lines += [f"  job {job.entry.number}, {job.entry.title}: {_reason(job)}" for job in different[:MOST_JOBS]]
        lines += [f"  and {len(different) - MOST_JOBS} more"] if len(different) > MOST_JOBS else []
        if not self.environment:
            return [*lines, "environment.json shows no difference"]
        changes = [f"  {key}: {as_text(before)} -> {as_text(now)}" for key, (before, now) in self.environment.items()]
        return [*lines, "the environment differs:", *changes]


def repeat(place: str, to: str | None, quiet: bool) -> SweepRepetition:
    """Repeat the sweep at ``place`` in the new directory ``to``, or in one named after the time."""
    directory = Path(place).absolute()
    saved = manifest.read(directory)
    new = _claim(to)
    shown = files.shown(new)
    if Path(saved.started_in).is_dir():
        os.chdir(saved.started_in)
    try:
        planned = plan(saved.overrides, saved.config_dir, replace(saved, directory=new))
        check_launcher(planned)
        _refuse_changed(saved, planned.jobs, place)
    except RequestError:
        directories.forget_empty(new)
        raise
    jobs = tuple(_as_before(job, saved.place(job.entry)) for job in planned.jobs)
    repeated = replace(saved, directory=new, entries=tuple(job.entry for job in jobs))
    with held(new), output.part_of_more():
        repeated.write()
        write_multirun(planned)
        Sweep(repeated, replace(planned, jobs=jobs), "rerun", quiet, shown).run(jobs, fail_fast=False)
    compared = tuple(_compared(entry, saved.place(entry), repeated.place(entry)) for entry in saved.entries)
    first = next((job.entry for job in compared if not job.identical), None)
    differences = _environment(saved.place(first), repeated.place(first)) if first else {}
    return SweepRepetition(place, shown, compared, differences)


def _refuse_changed(saved: Manifest, jobs: tuple[Job, ...], place: str) -> None:
    for entry, job in zip(saved.entries, jobs, strict=True):
        if entry.config_hash != job.entry.config_hash:
            raise RequestError(
                f"{place}: the options of job {entry.number} have changed, so that its configuration is another; "
                f"`mnistlab rerun {place}/{entry.directory}` repeats it from its saved configuration"
            )


def _as_before(job: Job, old: Path) -> Job:
    """Return the job with the threads and kernels of its first run; a repetition is a check and is not tracked."""
    config = job.config.copy()
    with open_dict(config):
        config.tracking = OmegaConf.structured(NoTracking)
    return replace(job, config=config, compute=compute_of(read_json_or_empty(old / paths.ENVIRONMENT)))


def _compared(entry: Entry, old: Path, new: Path) -> JobRepetition:
    before, now = status.read(old).state, status.read(new).state
    was, is_now = (dict(flat(read_json_or_empty(place / paths.METRICS))) for place in (old, new))
    changed = sum(was.get(key) != is_now.get(key) for key in {**was, **is_now})
    if before == now == "completed":
        identical = read_bytes(old / paths.METRICS) == read_bytes(new / paths.METRICS)
    else:  # stopped early, or failed both times
        identical = before == now and _history(old) == _history(new)
    return JobRepetition(entry, before, now, changed, identical)


def _history(directory: Path) -> list[dict[str, str]]:
    try:
        rows = read_rows(directory / paths.HISTORY)
    except UnreadableError:
        return []
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def _environment(old: Path, new: Path) -> dict[str, tuple[Any, Any]]:
    return environment.differences(*(read_json_or_empty(place / paths.ENVIRONMENT) for place in (old, new)))


def _reason(job: JobRepetition) -> str:
    if job.before != job.now:
        return f"was {job.before} and is now {job.now}"
    return f"{job.changed} metrics differ" if job.changed else "its bytes differ"


def _claim(to: str | None) -> Path:
    if to is None:
        return directories.by_time("outputs/multirun", "rerun").absolute()
    return directories.named(Path(to).absolute(), f"--to {to}", exists="already exists; name a new directory")
