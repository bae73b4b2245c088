"""A search: start or resume it, run the trials, and test the chosen configuration."""

from __future__ import annotations

import logging
import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from mnistlab.config import compose, schema
from mnistlab.runs import paths
from mnistlab.runs.environment import all_cores
from mnistlab.runs.record import Record
from mnistlab.statistics.intervals import mean_of
from mnistlab.sweeps import manifest, records, runner
from mnistlab.sweeps.axes import axes_of
from mnistlab.sweeps.request import Request as SweepRequest
from mnistlab.sweeps.shape import Shape
from mnistlab.sweeps.tune.pruning import BY_EPOCHS, FEWEST_SEEDS, METRICS, PRUNERS
from mnistlab.sweeps.tune.search import Search, counted, run, sound_study, state_of
from mnistlab.sweeps.tune.space import Dimension, parse
from mnistlab.system import console, directories, files, output
from mnistlab.system.console import HINT, RESULT
from mnistlab.system.errors import RequestError, RunError, needs
from mnistlab.system.locks import held
from mnistlab.system.readers import UnreadableError, read_json
from mnistlab.system.wording import short_digest

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from optuna import Study
    from optuna.trial import FrozenTrial

LOG = logging.getLogger("mnistlab")


TRIALS, SEEDS = 40, 5  # the defaults
MOST_FRONT = 6  # trials of the front that are tested


@dataclass(frozen=True)
class Request:
    """The options of the command line; None where not set."""

    overrides: tuple[str, ...]
    trials: int | None
    jobs: int | None
    seeds: int
    metric: str
    pruner: str | None
    quiet: bool
    to: Path | None
    resume: Path | None
    trial_seeds: int = 1
    against_seconds: bool = False


def tune(request: Request) -> int:
    """Search, then test the chosen configuration; return the exit status."""
    if find_spec("optuna") is None:
        raise RequestError(needs("optuna", "tune"))
    console.start("quiet" if request.quiet else "normal")
    try:
        search, seeds = _resumed(request, request.resume) if request.resume else (_new(request), request.seeds)
        with held(search.directory) as ours, sound_study(search.directory):
            if not ours:
                raise RequestError(
                    f"{files.shown(search.directory)}: this search is already running; wait, or interrupt it"
                )
            _write(search, seeds)
            try:
                study = _search(search, min(request.jobs or all_cores(), search.trials))
            except KeyboardInterrupt:
                LOG.log(HINT, "interrupted; `mnistlab tune --resume %s` continues it", files.shown(search.directory))
                raise
            return _finish(search, study, seeds, request.quiet)
    finally:
        console.stop()


def _new(request: Request) -> Search:
    fixed, space = parse(request.overrides)
    composed = [compose.compose(fixed)]
    base = schema.experiment(composed[0])
    if any(dimension.key == "seed" for dimension in space):
        raise RequestError(
            "seed: must not be searched; --seeds sets the number of seeds for testing the chosen configuration"
        )
    composed += _ends(fixed, space)
    experiments = [schema.experiment(config) for config in composed]
    for experiment in experiments:
        if not experiment.data.validation:
            raise RequestError(
                f"data.validation={experiment.data.validation}: a search needs a validation set; set 0.1, for example"
            )
    trials, pruner, data_sha256 = request.trials or TRIALS, _pruner(request), _data_of(experiments)
    return Search(
        _place(request.to),
        tuple(fixed),
        tuple(space),
        trials,
        request.metric,
        pruner,
        base.seed,
        max(experiment.trainer.epochs for experiment in experiments),
        request.trial_seeds,
        request.against_seconds,
        tuple(map(schema.config_hash, composed)),
        data_sha256,
    )


def _ends(fixed: Sequence[str], space: Sequence[Dimension]) -> list[DictConfig]:
    """Return the configuration at every end of the space, so that an invalid key or value is found before a trial."""
    return [compose.compose([*fixed, f"{dimension.key}={end}"]) for dimension in space for end in dimension.ends()]


def _data_of(experiments: Sequence[schema.Experiment]) -> tuple[str | None, ...]:
    """Return the hash of the data of the experiments, each dataset once."""
    with schema.prefixed("data"):
        sources = {repr(experiment.data): experiment.data for experiment in experiments}
        return tuple(source.read().provenance.get("sha256") for source in sources.values())


def _unchanged(search: Search) -> Search:
    """Return a resumed search with the hashes of what it uses now; raise `RequestError` if they are not those it had.

    Otherwise its trials would not be comparable, and the best of them could be one of the old ones.
    """
    composed = [compose.compose(search.fixed), *_ends(search.fixed, search.space)]
    configurations = tuple(map(schema.config_hash, composed))
    place, cure = files.shown(search.directory), "start a new search in another directory"
    if search.configurations not in ((), configurations):
        raise RequestError(
            f"--resume {place}: the configuration has changed since the search was started; undo the change, or {cure}"
        )
    data = _data_of([schema.experiment(config) for config in composed])
    if search.data_sha256 not in ((), data):
        before, now = (", ".join(short_digest(digest) for digest in each) for each in (search.data_sha256, data))
        raise RequestError(
            f"--resume {place}: its trials were trained on other images (sha256 {before}) than the current ones "
            f"({now}); restore the data, or {cure}"
        )
    return replace(search, configurations=configurations, data_sha256=data)


def _pruner(request: Request) -> str:
    """Return the rule that stops trials early: the one requested, or the one that goes with the other options."""
    seeds, name = request.trial_seeds, request.pruner
    if name is None:
        if request.against_seconds:
            return "none"
        return "median" if seeds == 1 else "wilcoxon" if seeds >= FEWEST_SEEDS else "none"
    if request.against_seconds and name != "none":
        raise RequestError(f"--pruner {name}: Optuna stops no trials early for two objectives; leave it out")
    if name == "wilcoxon" and seeds < FEWEST_SEEDS:
        raise RequestError(
            f"--pruner wilcoxon: compares trials over their seeds, and needs --trial-seeds {FEWEST_SEEDS} or more"
        )
    if name in BY_EPOCHS and seeds > 1:
        raise RequestError(f"--pruner {name}: compares single runs by their epochs; with --trial-seeds use wilcoxon")
    return name


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
        pruner = content["pruner"] if "pruner" in content else ("median" if content["prune"] else "none")
        search = Search(
            directory,
            tuple(content["fixed"]),
            space,
            request.trials or int(content["trials"]),
            content["metric"],
            pruner,
            content["seed"],
            int(content.get("epochs", 0)),
            int(content.get("trial_seeds", 1)),
            content.get("against_seconds") is True,
            tuple(map(str, content.get("configurations", ()))),
            tuple(digest and str(digest) for digest in content.get("data_sha256", ())),
        )
        seeds = int(content["seeds"])
        if search.metric not in METRICS or pruner not in PRUNERS or not space:
            raise ValueError("the metric or the pruner is unknown, or the search space is empty")
        if request.pruner is not None:
            again = replace(request, trial_seeds=search.trial_seeds, against_seconds=search.against_seconds)
            search = replace(search, pruner=_pruner(again))
    except RequestError:
        raise
    except UnreadableError as error:
        if error.missing:
            place = files.shown(directory)
            raise RequestError(f"--resume {place}: not a search directory (no {paths.TUNE})") from None
        raise RequestError(f"{files.shown(path)}: not readable ({error.cause}); start the search again") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{files.shown(path)}: not readable ({error}); start the search again") from None
    return _unchanged(search), seeds


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
        bar = console.progress_bar(total=search.trials, unit="trial")

    def say(study: Study, trial: FrozenTrial) -> None:
        best = best_of(study)
        best_so_far = f"best {best.values[0]:.4f}: {_settings(best)}" if best else ""
        if bar is not None:
            bar.n = sum(counted_trial.state.is_finished() for counted_trial in counted(study))
            bar.set_postfix_str(best_so_far)
            return
        value = f"  {search.metric} {trial.values[0]:.4f}" if trial.state.name == "COMPLETE" else ""
        value += f" in {trial.values[1]:.1f} s" if value and search.against_seconds else ""
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
    finished = [t for t in counted(study) if t.state.name == "COMPLETE" and t.values and math.isfinite(t.values[0])]
    sign = 1 if study.directions[0].name == "MINIMIZE" else -1
    return min(finished, key=lambda t: (sign * t.values[0], t.number)) if finished else None


def front_of(study: Study) -> list[FrozenTrial]:
    """Return the trials that no other beats in both objectives, the fastest first; at most `MOST_FRONT`, spread."""
    front = [t for t in counted(study) if t.number in {best.number for best in study.best_trials}]
    front.sort(key=lambda t: (t.values[1], t.number))
    if len(front) <= MOST_FRONT:
        return front
    return [front[round(i * (len(front) - 1) / (MOST_FRONT - 1))] for i in range(MOST_FRONT)]


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
    tested = front_of(study) if search.against_seconds else [best]
    status = _test(search, tested, seeds)
    console.start("quiet" if quiet else "normal")  # the sweep has ended it
    _conclude(search, study, tested, place)
    return status


def _test(search: Search, trials: list[FrozenTrial], seeds: int) -> int:
    """Train the chosen configuration, or all of the front, with several seeds; return the exit status."""
    final = search.directory / paths.FINAL
    fixed = [text for text in search.fixed if text.partition("=")[0] != "seed"]
    chosen = [[*fixed, *trial.user_attrs["overrides"]] for trial in trials]
    choices: list[dict[str, Any]] = [
        {"trial": trial.number, "value": trial.values[0], "overrides": overrides}
        for trial, overrides in zip(trials, chosen, strict=True)
    ]
    if search.against_seconds:
        choices = [{**choice, "seconds": trial.values[1]} for choice, trial in zip(choices, trials, strict=True)]
    content = {"front": choices} if search.against_seconds else choices[0]
    # after more trials the best configuration may be one that the old sweep did not test
    if (final / paths.SWEEP).exists() and _chosen_before(search) != content:
        final.rename(_free(final))
    files.write_json(search.directory / paths.CHOSEN, content)
    common = [f"seed=range({seeds})", f"hydra.sweep.dir={compose.quoted(final)}", "report.console=quiet"]
    with output.part_of_more():
        if (final / paths.SWEEP).exists():
            return runner.resume(final, quiet=True)
        if not search.against_seconds:
            return runner.train([*chosen[0], *common], None, False)
        sets = tuple(shlex.join(trial.user_attrs["overrides"]) for trial in trials)
        return runner.train([*fixed, *common], None, False, SweepRequest(Shape(sets=sets)))


def _conclude(search: Search, study: Study, tested: list[FrozenTrial], place: Path) -> None:
    from mnistlab.sweeps.tune import report

    final, trials = search.directory / paths.FINAL, counted(study)
    means = []
    for trial in tested:
        values = [record.value("test.accuracy") for record in runs_of(trial, final)]
        means.append(mean := mean_of([value for value in values if math.isfinite(value)]))
        half = "" if math.isnan(mean.half) else f" +/- {100 * mean.half:.2f}"
        seconds = f" in {trial.values[1]:.1f} s" if search.against_seconds else ""
        found = f"(trial {trial.number} of {len(trials)}, {search.metric} {trial.values[0]:.4f}{seconds})"
        LOG.log(RESULT, "%-20s %s  %s", "on the front" if search.against_seconds else "chosen", _settings(trial), found)
        test = f"{100 * mean.mean:.2f}{half} %  ({mean.n} seeds; first use of the test set)"
        LOG.log(RESULT, "test accuracy        %s", test)
    LOG.log(RESULT, "search directory     %s", place)
    accuracies = [asdict(mean) for mean in means]
    output.give(
        {
            "directory": place,
            "metric": search.metric,
            "trials": report.rows(search, study),
            "chosen": read_json(search.directory / paths.CHOSEN),
            "test": {
                "sweep": files.shown(final),
                "accuracy": accuracies if search.against_seconds else accuracies[0],
            },
        }
    )


def runs_of(trial: FrozenTrial, final: Path) -> list[Record]:
    """Return the final runs of a trial. Trials with the same overrides share theirs, since each point is run once."""
    ((point,),) = axes_of([], Shape(sets=(shlex.join(trial.user_attrs["overrides"]),)), OverridesParser.create())
    entries = manifest.read(final).entries
    of_final = zip(entries, records.of_sweep(final), strict=True)
    return [record for entry, record in of_final if set(point) <= set(entry.overrides)]


def _chosen_before(search: Search) -> Any:
    """Return what was chosen before, or None if nothing was or the file is damaged."""
    try:
        return read_json(search.directory / paths.CHOSEN)
    except UnreadableError:
        return None


def _free(path: Path) -> Path:
    return next(other for i in range(1, 1000) if not (other := path.with_name(f"{path.name}-{i}")).exists())
