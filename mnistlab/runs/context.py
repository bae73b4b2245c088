"""Where and how an experiment is run; nothing here imports what runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnistlab.system import files
from mnistlab.system.console import LOG

if TYPE_CHECKING:
    from mnistlab.runs.compute import Compute
    from mnistlab.runs.status import Status
    from mnistlab.runs.training_run import Watch


@dataclass(frozen=True)
class RunContext:
    """Where and how an experiment is run.

    ``cores`` is the share of a sweep's job, which prints nothing on the terminal; None is a single run on all cores.
    ``watch`` is called after every epoch of a trial, and may raise `Pruned`; a trial never uses the test set.
    ``resumes``: the directory contains an earlier attempt, which is resumed. ``compute`` is that of the run that is
    repeated.
    """

    directory: Path
    command: tuple[str, ...]
    described: Mapping[str, str]  # the files of .hydra beside the configuration, by their paths in the directory
    started_in: Path  # the base of the data's relative paths
    cores: int | None = None
    watch: Watch | None = None
    resumes: bool = False
    compute: Compute | None = None
    model: str = ""  # the option of the group, where it was chosen on this command line


def interrupted(status: Status, how: str, run: Path) -> str:
    """Record the interruption of a run; return the message, with the command that continues it."""
    LOG.debug("%s", how)
    status.write_quietly("interrupted", how)
    return f"{how}; `mnistlab resume {files.shown(run)}` continues it"
