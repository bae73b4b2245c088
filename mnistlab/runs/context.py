"""Where and how an experiment is run; nothing here imports what runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mnistlab.system import files
from mnistlab.system.console import LOG

if TYPE_CHECKING:
    from mnistlab.config.schema import Experiment
    from mnistlab.data.dataset import Dataset
    from mnistlab.models.sklearn import Fitted
    from mnistlab.nn.network import Network
    from mnistlab.runs.compute import Compute
    from mnistlab.runs.status import Status
    from mnistlab.runs.training_run import Watch
    from mnistlab.training.loop import History


class Rehearsal(Protocol):
    """What is done in place of the training, to find out how long it would take."""

    def train(self, experiment: Experiment, dataset: Dataset, network: Network, run: Path) -> History:
        """Train for a moment, and return a history from which everything after the training can be written."""

    def fit(self, experiment: Experiment, dataset: Dataset, threads: int) -> Fitted:
        """Fit a scikit-learn model to a part of the data."""


@dataclass(frozen=True)
class RunContext:
    """Where and how an experiment is run.

    ``cores`` is the share of a sweep's job, which prints nothing on the terminal; None is a single run on all cores.
    ``watch`` is called after every epoch of a trial, and may raise `Pruned`; a trial never uses the test set.
    ``resumes``: the directory contains an earlier attempt, which is resumed. ``compute`` is that of the run that is
    repeated. After the epoch ``pause_after`` the run is paused with its checkpoint, which raises `Pruned`. A
    ``rehearsal`` takes the place of the training.
    """

    directory: Path
    command: tuple[str, ...]
    described: Mapping[str, str]  # the files of .hydra beside the configuration, by their paths in the directory
    started_in: Path  # the base of the data's relative paths
    cores: int | None = None
    watch: Watch | None = None
    resumes: bool = False
    compute: Compute | None = None
    pause_after: int | None = None
    rehearsal: Rehearsal | None = None
    model: str = ""  # the option of the group, where it was chosen on this command line


def interrupted(status: Status, how: str, run: Path) -> str:
    """Record the interruption of a run; return the message, with the command that continues it."""
    LOG.debug("%s", how)
    status.write_quietly("interrupted", how)
    return f"{how}; `mnistlab resume {files.shown(run)}` continues it"
