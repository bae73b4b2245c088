"""The search: a study in SQLite, and trials, which are runs without a test set, pruned by their validation metric."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnistlab.config.compose import quoted
from mnistlab.runs import paths, status
from mnistlab.sweeps.grid import plan
from mnistlab.sweeps.launchers.joblib import Worker
from mnistlab.sweeps.tune.space import Dimension
from mnistlab.system import files
from mnistlab.system.errors import Pruned, RequestError
from mnistlab.system.readers import read_json, read_rows
from mnistlab.system.signals import GRACE

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

    from mnistlab.training.loop import History

NAME = "mnistlab"  # the name of the study in its database
METRICS = {"validation.accuracy": ("val_accuracy", "maximize"), "validation.loss": ("val_loss", "minimize")}
LOST = "lost"  # marks the trial of a killed process, which does not count


@dataclass(frozen=True)
class Search:
    """A search: its space, its directory and its number of trials."""

    directory: Path
    fixed: tuple[str, ...]
    space: tuple[Dimension, ...]
    trials: int
    metric: str
    prune: bool
    seed: int

    def study(self) -> Study:
        """Return the study, created if necessary.

        Proposals: tree-structured Parzen estimator (Bergstra et al. 2011), all keys jointly. Pruning: a trial
        stops if its metric is worse than the median of the others after as many epochs (Golovin et al. 2017).
        """
        import optuna
        from sqlalchemy import URL

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        return optuna.create_study(
            storage=optuna.storages.RDBStorage(
                URL.create("sqlite", database=str(self.directory / paths.STUDY)).render_as_string(),
                engine_kwargs={"connect_args": {"timeout": 60}},
            ),
            sampler=optuna.samplers.TPESampler(seed=self.seed),
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=2) if self.prune else optuna.pruners.NopPruner(),
            study_name=NAME,
            direction=optuna.study.StudyDirection[METRICS[self.metric][1].upper()],
            load_if_exists=True,
        )


@contextmanager
def sound_study(directory: Path) -> Iterator[None]:
    """Raise `RequestError` for a database that cannot be read or is not that of a search."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DatabaseError

    place = files.shown(directory / paths.STUDY)
    if (directory / paths.STUDY).exists() and not (directory / paths.STUDY).is_file():
        raise RequestError(f"{place}: not a file; must be the database of a search")
    try:
        yield
    except (DatabaseError, StorageInternalError) as error:
        cause = getattr(error.__cause__, "orig", None) or getattr(error, "orig", None) or error
        raise RequestError(f"{place}: not readable ({cause}); start a new search in another directory") from None


@dataclass
class Watch:
    """Reports every epoch of a trial from the worker process to the study, and stops the trial if it is pruned."""

    search: Search
    trial_id: int
    epochs: int  # of a trial; pruning after the last one would save nothing
    trial: Trial | None = None  # opened once, in the worker

    def __call__(self, history: History) -> None:
        """Report the metric of the last epoch; raise `Pruned` if it is worse than the median of the others."""
        import optuna

        trial = self.trial = self.trial or optuna.trial.Trial(self.search.study(), self.trial_id)
        epoch = history.epochs[-1]
        value = getattr(epoch, METRICS[self.search.metric][0])
        trial.report(value, epoch.epoch)
        if epoch.epoch < self.epochs and trial.should_prune():
            raise Pruned(
                f"{self.search.metric} {value:.4f} after epoch {epoch.epoch} is worse than the median of the others"
            )


def state_of(trial: FrozenTrial) -> str:
    """Return the state of a trial, as in status.json."""
    return {"COMPLETE": "completed", "FAIL": "failed"}.get(trial.state.name, trial.state.name.lower())


def counted(study: Study) -> list[FrozenTrial]:
    """Return the trials that count: those that have begun, except those whose process was killed."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if LOST not in trial.user_attrs and trial.state.name != "WAITING"]


def give_back(study: Study) -> int:
    """Enqueue the parameters of the trials of killed processes again; return their number."""
    from optuna.trial import Trial, TrialState

    lost = [trial for trial in counted(study) if trial.state is TrialState.RUNNING]
    for trial in lost:
        Trial(study, trial._trial_id).set_user_attr(LOST, True)
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)
    return len(lost)


def run(search: Search, n_jobs: int, cores: int, say: Callable[[Study, FrozenTrial], None]) -> Study:
    """Run trials, ``n_jobs`` at a time, until the requested number is reached; return the study."""
    study = search.study()
    give_back(study)
    left = search.trials - len(counted(study))
    pool = [Worker() for _ in range(max(0, min(n_jobs, left)))]
    running: dict[Future[None], tuple[Worker, Trial, Path]] = {}
    try:
        for worker in pool:
            left -= _start(search, study, worker, cores, running)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                worker, trial, directory = running.pop(future)
                _tell(search, study, trial, directory, worker.end_of(future))
                say(study, study.get_trials(deepcopy=False)[trial.number])
                if left > 0:
                    left -= _start(search, study, worker, cores, running)
    finally:
        for worker, _, _ in running.values():
            worker.interrupt()
        wait(running, timeout=GRACE)
        for worker in pool:
            worker.close()
    return study


def _start(
    search: Search, study: Study, worker: Worker, cores: int, running: dict[Future[None], tuple[Worker, Trial, Path]]
) -> int:
    """Start the next trial; return 1."""
    trial = study.ask()
    proposed = [f"{dimension.key}={dimension.propose(trial)}" for dimension in search.space]
    trial.set_user_attr("overrides", proposed)
    directory = search.directory / paths.TRIALS / str(trial.number)
    place = [f"hydra.sweep.dir={quoted(directory.parent)}", f"hydra.sweep.subdir='{trial.number}'"]
    (job,) = plan([*search.fixed, *proposed, *place]).jobs
    running[worker.start(job, cores, Watch(search, trial._trial_id, job.config.trainer.epochs))] = (
        worker,
        trial,
        directory,
    )
    return 1


def _tell(search: Search, study: Study, trial: Trial, directory: Path, lost: str | None) -> None:
    from optuna.trial import TrialState

    state = status.read(directory)
    if state.state == "completed":
        try:
            value = value_of(directory, search.metric)
        except (OSError, ValueError, KeyError) as error:
            trial.set_user_attr("error", f"no {search.metric} ({error})")
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, value)
    elif state.state == "pruned":
        study.tell(trial, state=TrialState.PRUNED)
    else:
        trial.set_user_attr("error", lost or state.error or state.state)
        study.tell(trial, state=TrialState.FAIL)


def value_of(directory: Path, metric: str) -> float:
    """Return the metric of the epoch whose weights a run kept."""
    metrics = read_json(directory / paths.METRICS)
    if "kept_epoch" not in metrics:  # a scikit-learn model has no epochs
        part, _, name = metric.partition(".")
        return float(metrics[part][name])
    kept_epoch = metrics["kept_epoch"]
    (row,) = (row for row in read_rows(directory / paths.HISTORY) if int(row["epoch"]) == kept_epoch)
    return float(row[METRICS[metric][0]])
