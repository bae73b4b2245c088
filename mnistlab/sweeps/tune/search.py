"""The search: a study in SQLite, and trials, which are runs without a test set, pruned by their validation metric."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnistlab.config.compose import quoted
from mnistlab.runs import paths, status
from mnistlab.sweeps.grid import plan
from mnistlab.sweeps.job import Job
from mnistlab.sweeps.launchers.joblib import Worker
from mnistlab.sweeps.tune.pruning import BY_EPOCHS, METRICS, PRUNERS, Unwatched, Watch, pruner_of
from mnistlab.sweeps.tune.space import Dimension
from mnistlab.system import files
from mnistlab.system.errors import RequestError
from mnistlab.system.readers import UnreadableError, read_json, read_rows
from mnistlab.system.signals import GRACE

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

NAME = "mnistlab"  # the name of the study in its database
LOST = "lost"  # marks the trial of a killed process, which does not count
CONTINUES = "continues"  # the number of the lost trial whose runs a trial takes over


@dataclass(frozen=True)
class Search:
    """A search: its space, its directory and its number of trials.

    A trial has ``trial_seeds`` runs, whose mean counts. With ``against_seconds`` there are two objectives, the metric
    and the training time. ``configurations`` are the hashes of the base configuration and of those at the ends of the
    space, and ``data_sha256`` those of their data; a search of version 0.1 has none.
    """

    directory: Path
    fixed: tuple[str, ...]
    space: tuple[Dimension, ...]
    trials: int
    metric: str
    pruner: str
    seed: int
    epochs: int = 0  # of a trial
    trial_seeds: int = 1
    against_seconds: bool = False
    configurations: tuple[str, ...] = ()
    data_sha256: tuple[str | None, ...] = ()

    def study(self) -> Study:
        """Return the study, created if necessary.

        Proposals: tree-structured Parzen estimator (Bergstra et al. 2011), all keys jointly; with two objectives its
        multi-objective variant (Ozaki et al. 2020). Its random numbers depend on the number of trials that the study
        already has: with the plain seed a resumed search would propose its first trials again.
        """
        import optuna
        from sqlalchemy import URL

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        directions = [METRICS[self.metric][1], *(["minimize"] if self.against_seconds else [])]
        study = optuna.create_study(
            storage=optuna.storages.RDBStorage(
                URL.create("sqlite", database=str(self.directory / paths.STUDY)).render_as_string(),
                engine_kwargs={"connect_args": {"timeout": 60}},
            ),
            pruner=pruner_of(self.pruner, self.epochs),
            study_name=NAME,
            directions=[optuna.study.StudyDirection[direction.upper()] for direction in directions],
            load_if_exists=True,
        )
        study.sampler = optuna.samplers.TPESampler(seed=_sampler_seed(self.seed, len(study.get_trials(deepcopy=False))))
        return study


def _sampler_seed(seed: int, trials: int) -> int:
    return int(np.random.SeedSequence([seed, trials]).generate_state(1)[0]) if trials else seed


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


def state_of(trial: FrozenTrial) -> str:
    """Return the state of a trial, as in status.json."""
    return {"COMPLETE": "completed", "FAIL": "failed"}.get(trial.state.name, trial.state.name.lower())


def counted(study: Study) -> list[FrozenTrial]:
    """Return the trials that count: those that have begun, except those whose process was killed."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if LOST not in trial.user_attrs and trial.state.name != "WAITING"]


def give_back(study: Study) -> int:
    """Enqueue the parameters of the trials of killed processes again; return their number.

    The new trials take over the runs of the lost ones, and go on from their checkpoints.
    """
    from optuna.trial import Trial, TrialState

    lost = [trial for trial in counted(study) if trial.state is TrialState.RUNNING]
    for trial in lost:
        Trial(study, trial._trial_id).set_user_attr(LOST, True)
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params, user_attrs={CONTINUES: trial.number})
    return len(lost)


@dataclass
class Runs:
    """The runs of a trial in one worker: the one that is running, those before it, and the seeds that are left."""

    worker: Worker
    trial: Trial
    seeds: list[int]
    values: list[float] = field(default_factory=list)
    seconds: float = 0.0
    epochs: int = 0
    job: Job | None = None


def run(search: Search, n_jobs: int, cores: int, say: Callable[[Study, FrozenTrial], None]) -> Study:
    """Run trials, ``n_jobs`` at a time, until the requested number is reached; return the study."""
    study = search.study()
    give_back(study)
    left = search.trials - len(counted(study))
    pool = [Worker() for _ in range(max(0, min(n_jobs, left)))]
    running: dict[Future[None], Runs] = {}

    def start(worker: Worker) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            runs = _new_trial(search, study, worker)
            if future := _next_run(search, study, runs, cores):
                running[future] = runs
                return
            say(study, study.get_trials(deepcopy=False)[runs.trial.number])  # all its runs had been completed before

    try:
        for worker in pool:
            start(worker)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                runs = running.pop(future)
                going_on = _take(search, study, runs, runs.worker.end_of(future))
                if going_on and (following := _next_run(search, study, runs, cores)):
                    running[following] = runs
                    continue
                say(study, study.get_trials(deepcopy=False)[runs.trial.number])
                start(runs.worker)
    finally:
        for runs in running.values():
            runs.worker.interrupt()
        wait(running, timeout=GRACE)
        for worker in pool:
            worker.close()
    return study


def _new_trial(search: Search, study: Study, worker: Worker) -> Runs:
    trial = study.ask()
    proposed = [f"{dimension.key}={dimension.propose(trial)}" for dimension in search.space]
    trial.set_user_attr("overrides", proposed)
    earlier = trial.user_attrs.get(CONTINUES)
    place = search.directory / paths.TRIALS
    if isinstance(earlier, int) and (place / str(earlier)).is_dir() and not (place / str(trial.number)).exists():
        (place / str(earlier)).rename(place / str(trial.number))
    return Runs(worker, trial, [search.seed + i for i in range(search.trial_seeds)])


def _next_run(search: Search, study: Study, runs: Runs, cores: int) -> Future[None] | None:
    """Start the next run of a trial; None if the trial is over. A run that was completed before is not repeated."""
    while runs.seeds:
        job = runs.job = _job(search, runs)
        state = status.read(job.directory)
        if state.state == "completed" and state.config_hash == job.entry.config_hash:
            if not _take(search, study, runs, None):
                return None
            continue
        by_epochs = search.pruner in BY_EPOCHS and not search.against_seconds
        watch = Watch(search, runs.trial._trial_id, job.config.trainer.epochs) if by_epochs else Unwatched()
        return runs.worker.start(job, cores, watch)
    return None


def _job(search: Search, runs: Runs) -> Job:
    """Return the job of the first seed that is left; a trial of one run is in its own directory."""
    number, fixed, seed = str(runs.trial.number), list(search.fixed), runs.seeds[0]
    folder, name = search.directory / paths.TRIALS, number
    if search.trial_seeds > 1:
        fixed = [text for text in fixed if text.partition("=")[0] != "seed"] + [f"seed={seed}"]
        folder, name = folder / number, str(seed)
    place = [f"hydra.sweep.dir={quoted(folder)}", f"hydra.sweep.subdir='{name}'"]
    (job,) = plan([*fixed, *runs.trial.user_attrs["overrides"], *place]).jobs
    return job


def _take(search: Search, study: Study, runs: Runs, lost: str | None) -> bool:
    """Take the result of a run that has ended, and tell the study that of a trial; return whether it has more runs."""
    from optuna.trial import TrialState

    assert runs.job is not None
    trial, directory = runs.trial, runs.job.directory
    state = status.read(directory)
    runs.epochs += _epochs_of(directory)
    trial.set_user_attr("epochs", runs.epochs)
    if state.state == "pruned":
        study.tell(trial, state=TrialState.PRUNED)
        return False
    if state.state != "completed":
        trial.set_user_attr("error", lost or state.error or state.state)
        study.tell(trial, state=TrialState.FAIL)
        return False
    try:
        runs.values.append(value_of(directory, search.metric))
    except (OSError, ValueError, KeyError) as error:
        trial.set_user_attr("error", f"no {search.metric} ({error})")
        study.tell(trial, state=TrialState.FAIL)
        return False
    seed, runs.seconds = runs.seeds.pop(0), runs.seconds + state.seconds.get("train", 0.0)
    if search.pruner == "wilcoxon":
        trial.report(runs.values[-1], seed)
        if runs.seeds and trial.should_prune():
            trial.set_user_attr("error", f"after {len(runs.values)} seeds {PRUNERS['wilcoxon']}")
            study.tell(trial, state=TrialState.PRUNED)
            return False
    if not runs.seeds:
        mean = sum(runs.values) / len(runs.values)
        study.tell(trial, [mean, runs.seconds] if search.against_seconds else mean)
    return bool(runs.seeds)


def _epochs_of(directory: Path) -> int:
    try:
        return len(list(read_rows(directory / paths.HISTORY)))
    except (UnreadableError, OSError):
        return 0


def value_of(directory: Path, metric: str) -> float:
    """Return the metric of the epoch whose weights a run kept."""
    metrics = read_json(directory / paths.METRICS)
    if "kept_epoch" not in metrics:  # a scikit-learn model has no epochs
        part, _, name = metric.partition(".")
        return float(metrics[part][name])
    kept_epoch = metrics["kept_epoch"]
    (row,) = (row for row in read_rows(directory / paths.HISTORY) if int(row["epoch"]) == kept_epoch)
    return float(row[METRICS[metric][0]])
