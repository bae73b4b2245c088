"""Jobs whose configuration has changed since their sweep was started, by an edit of an option or an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mnistlab.config import schema
from mnistlab.runs import saved_config, status
from mnistlab.sweeps import halving, until_decided
from mnistlab.sweeps.job import Job, task_part
from mnistlab.sweeps.manifest import Entry, Manifest
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text

KEPT = ("completed", "pruned", "running")  # states of a job whose result must not be lost


def accepted(saved: Manifest, jobs: Sequence[Job], added: tuple[str, ...], place: Path) -> Manifest:
    """Return the manifest with its jobs as they are composed now, and write it if they are not those it had.

    ``added`` are the words that add jobs, if any, and ``place`` is the directory as the user sees it. A job that has no
    result yet may have another configuration than before. Raises `RequestError` if a job with a result has, or any job
    of a sweep with a design, whose rungs or looks were planned for the configuration of its start.
    """
    for entry, job in zip(saved.entries, jobs, strict=False):  # added jobs come last
        planned = bool(saved.halving or saved.design) and entry.config_hash != job.entry.config_hash
        state = status.read(job.directory)
        if planned or (state.state in KEPT and state.config_hash != job.entry.config_hash):
            raise RequestError(_refusal(saved, entry, job, planned, place))
    entries = tuple(job.entry for job in jobs)
    if [entry.config_hash for entry in entries] == [entry.config_hash for entry in saved.entries]:
        return saved
    if len(entries) > len(saved.entries):
        saved = replace(saved, added=(*saved.added, added))
    saved = replace(saved, entries=entries)
    saved.write()
    return saved


def _refusal(saved: Manifest, entry: Entry, job: Job, planned: bool, place: Path) -> str:
    what = f"{place}: the configuration of job {entry.number}, {entry.title}, has changed{_difference(job)}"
    if planned:
        name = halving.NAME if saved.halving else until_decided.NAME
        return f"{what}, and {name} compares jobs of one configuration; undo the change, or start a new sweep"
    return f"{what}; undo the change, start a new sweep, or delete {place / entry.directory} to train it anew"


def _difference(job: Job) -> str:
    """Return the first key that differs from the configuration saved by an earlier attempt, if there is one."""
    from mnistlab.training import checkpoint  # imported here: it is needed for a message only

    try:
        before = schema.identifying(saved_config.read(job.directory))
    except RequestError:
        return ""
    for key, was, now in checkpoint.differences(before, schema.identifying(task_part(job.config))):
        return f" from {key}={as_text(was)} to {key}={as_text(now)}"
    return ""
