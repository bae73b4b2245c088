"""A search: start or resume it, run the trials, and test the chosen configuration."""

from __future__ import annotations

import logging
import math
import sys
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistlab.config import compose, schema
from mnistlab.runs import paths
from mnistlab.runs.environment import all_cores
from mnistlab.statistics.intervals import mean_of
from mnistlab.sweeps import records, runner
from mnistlab.sweeps.tune.search import METRICS, Search, counted, run, sound_study, state_of
from mnistlab.sweeps.tune.space import Dimension, parse
from mnistlab.system import console, directories, files, output
from mnistlab.system.console import HINT, RESULT
from mnistlab.system.errors import RequestError, RunError, needs
from mnistlab.system.locks import held
from mnistlab.system.readers import UnreadableError, read_json

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

LOG = logging.getLogger("mnistlab")


TRIALS, SEEDS = 40, 5  # the defaults


@dataclass(frozen=True)
class Request:
    """The options of the command line; None where not set."""

    overrides: tuple[str, ...]
    trials: int | None
    jobs: int | None
    seeds: int
    metric: str
    prune: bool
    quiet: bool
    to: Path | None
    resume: Path | None


def tune(request: Request) -> int:
    """Search, then test the chosen configuration; return the exit status."""
    if find_spec("optuna") is None:
        raise RequestError(needs("optuna", "tune"))
    search, seeds = _resumed(request, request.resume) if request.resume else (_new(request), request.seeds)
    with held(search.directory) as ours, sound_study(search.directory):
        if not ours:
            raise RequestError(
                f"{files.shown(search.directory)}: this search is already running; wait, or interrupt it"
            )
        _write(search, seeds)
        console.start("quiet" if request.quiet else "normal")
        try:
            study = _search(search, min(request.jobs or all_cores(), search.trials))
        except KeyboardInterrupt:
            LOG.log(HINT, "interrupted; `mnistlab tune --resume %s` continues it", files.shown(search.directory))
            raise
        finally:
            console.stop()
        return _finish(search, study, seeds, request.quiet)


def _new(request: Request) -> Search:
    fixed, space = parse(request.overrides)
    base = schema.experiment(compose.compose(fixed))
    if any(dimension.key == "seed" for dimension in space):
        raise RequestError(
            "seed: must not be searched; --seeds sets the number of seeds for testing the chosen configuration"
        )
    experiments = [base]
    for dimension in space:  # an invalid key or end of an interval is found before the first trial
        experiments += [
            schema.experiment(compose.compose([*fixed, f"{dimension.key}={end}"])) for end in dimension.ends()
        ]
    for experiment in experiments:
        if not experiment.data.validation:
            raise RequestError(
                f"data.validation={experiment.data.validation}: a search needs a validation set; set 0.1, for example"
            )
    trials = request.trials or TRIALS
    return Search(_place(request.to), tuple(fixed), tuple(space), trials, request.metric, request.prune, base.seed)


def _place(to: Path | None) -> Path:
    """Return the directory of a new search, created if necessary."""
    if to is None:
        return directories.by_time("outputs/tune").absolute()
    label = f"--to {files.shown(to)}"
    if (to / paths.TUNE).exists():
        raise RequestError(f"{label}: already contains a search; `mnistlab tune --resume` continues it")
    return directories.named(to, label, in_the_way=directories.IN_THE_WAY)


def _resumed(request: Request, directory: Path) -> tuple[Search, int]:
    path = directory / paths.TUNE
    if not (directory / paths.STUDY).exists() and path.exists():
        raise RequestError(
            f"{files.shown(directory / paths.STUDY)}: no such file; start a new search in another directory"
        )
    try:
        content = read_json(path)
        space = tuple(Dimension(**{**row, "choices": tuple(row["choices"])}) for row in content["space"])
        values = {name: content[name] for name in ("metric", "prune", "seed")}
        search = Search(
            directory,
            tuple(content["fixed"]),
            space,
            request.trials or int(content["trials"]),
            **values,
        )
        seeds = int(content["seeds"])
        if search.metric not in METRICS or not space:
            raise ValueError("the metric is unknown or the search space is empty")
    except UnreadableError as error:
        if error.missing:
            place = files.shown(directory)
            raise RequestError(f"--resume {place}: not a search directory (no {paths.TUNE})") from None
        raise RequestError(f"{files.shown(path)}: not readable ({error.cause}); start the search again") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{files.shown(path)}: not readable ({error}); start the search again") from None
    return search, seeds


def _write(search: Search, seeds: int) -> None:
    content = {name: value for name, value in asdict(search).items() if name != "directory"}
    files.write_json(search.directory / paths.TUNE, {**content, "seeds": seeds})


def _search(search: Search, n_jobs: int) -> Study:
    LOG.info("tune    %d trials over %s, by %s", search.trials, ", ".join(d.key for d in search.space), search.metric)
    cores = max(1, all_cores() // n_jobs)
    LOG.info("launch  joblib, %d at a time, at most %d BLAS thread%s each", n_jobs, cores, "s" * (cores > 1))
    LOG.info("output  %s", files.shown(search.directory))
    bar: Any = None
    if console.is_screen(sys.stderr) and LOG.isEnabledFor(logging.INFO):
        from tqdm import tqdm

        bar = tqdm(total=search.trials, unit="trial")

    def say(study: Study, trial: FrozenTrial) -> None:
        best = best_of(study)
        best_so_far = f"best {best.value:.4f}: {_settings(best)}" if best else ""
        if bar is not None:
            bar.n = sum(counted_trial.state.is_finished() for counted_trial in counted(study))
            bar.set_postfix_str(best_so_far)
            return
        value = "" if trial.value is None or trial.state.name != "COMPLETE" else f"  {search.metric} {trial.value:.4f}"
        error = f"  {trial.user_attrs['error']}" if "error" in trial.user_attrs else ""
        LOG.info(
            "trial %d  %-9s  %s%s%s  (%s)",
            trial.number,
            state_of(trial),
            _settings(trial),
            value,
            error,
            best_so_far,
        )

    try:
        return run(search, n_jobs, cores, say)
    finally:
        if bar is not None:
            bar.close()


def best_of(study: Study) -> FrozenTrial | None:
    """Return the completed trial with the best metric, of equals the first."""
    finished = [
        t for t in counted(study) if t.state.name == "COMPLETE" and t.value is not None and math.isfinite(t.value)
    ]
    sign = 1 if study.direction.name == "MINIMIZE" else -1
    return min(finished, key=lambda t: (sign * (t.value or 0.0), t.number)) if finished else None


def _settings(trial: FrozenTrial) -> str:
    return " ".join(trial.user_attrs.get("overrides", []))


def _finish(search: Search, study: Study, seeds: int, quiet: bool) -> int:
    from mnistlab.sweeps.tune import report

    report.write(search, study)
    best = best_of(study)
    place = files.shown(search.directory)
    if best is None:
        raise RunError(
            f"none of the {len(counted(study))} trials was completed; the reasons are in {place}/{paths.TRIALS_TABLE}"
        )
    final = search.directory / paths.FINAL
    fixed = [text for text in search.fixed if text.partition("=")[0] != "seed"]
    chosen = [*fixed, *best.user_attrs["overrides"]]
    overrides = [*chosen, f"seed=range({seeds})", f"hydra.sweep.dir={compose.quoted(final)}"]
    # after more trials the best configuration may be one that the old sweep did not test
    if (final / paths.SWEEP).exists() and _chosen_before(search) != chosen:
        final.rename(_free(final))
    choice = {"trial": best.number, "value": best.value, "overrides": chosen}
    files.write_json(search.directory / paths.CHOSEN, choice)
    with output.part_of_more():
        status = (
            runner.resume(final, quiet=True)
            if (final / paths.SWEEP).exists()
            else runner.train([*overrides, "report.console=quiet"], None, False)
        )
    console.start("quiet" if quiet else "normal")
    try:
        tested = [record.value("test.accuracy") for record in records.of_sweep(final)]
        mean = mean_of([value for value in tested if math.isfinite(value)])
        LOG.log(
            RESULT,
            "chosen               %s  (trial %d of %d, %s %.4f)",
            _settings(best),
            best.number,
            len(counted(study)),
            search.metric,
            best.value,
        )
        half = "" if math.isnan(mean.half) else f" +/- {100 * mean.half:.2f}"
        LOG.log(
            RESULT,
            "test accuracy        %.2f%s %%  (%d seeds; first use of the test set)",
            100 * mean.mean,
            half,
            mean.n,
        )
        LOG.log(RESULT, "search directory     %s", place)
        output.give(
            {
                "directory": place,
                "metric": search.metric,
                "trials": report.rows(search, study),
                "chosen": choice,
                "test": {"sweep": files.shown(final), "accuracy": asdict(mean)},
            }
        )
    finally:
        console.stop()
    return status


def _chosen_before(search: Search) -> list[str] | None:
    """Return the overrides chosen before, or None if there are none or the file is damaged."""
    try:
        chosen: list[str] = read_json(search.directory / paths.CHOSEN)["overrides"]
    except (UnreadableError, KeyError, TypeError):
        return None
    return chosen


def _free(path: Path) -> Path:
    return next(other for i in range(1, 1000) if not (other := path.with_name(f"{path.name}-{i}")).exists())
