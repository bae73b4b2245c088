"""The files of a search: trials.csv, tune.md, and pictures of its history and of the importance of its keys."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from mnistlab.reporting import plots, tables
from mnistlab.runs import paths
from mnistlab.runs.figures import Drawing, save_pictures
from mnistlab.sweeps.tune.pruning import METRICS, PRUNERS
from mnistlab.sweeps.tune.search import Search, counted, state_of
from mnistlab.system import files
from mnistlab.system.readers import read_text

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

MOST_ROWS = 10  # of the best trials, in tune.md
ENOUGH = 4  # completed trials required for an estimate of importance


def write(search: Search, study: Study) -> None:
    """Write the table of the trials, its summary and the pictures."""
    trials = counted(study)
    keys = [dimension.key for dimension in search.space]
    lines = rows(search, study)
    header = list(lines[0]) if lines else ["trial", *keys, "state", search.metric, "epochs", "seconds", "error"]
    files.write(search.directory / paths.TRIALS_TABLE, files.csv(header, [list(row.values()) for row in lines]))
    drawn = save_pictures(search.directory, _pictures(search, study, trials))
    ranked = sorted(_completed(trials), key=lambda t: t.values[0] * (-1 if _is_maximised(search) else 1))[:MOST_ROWS]
    table = [[str(t.number), *(str(_value(t, key)) for key in keys), *_results(search, study, t)] for t in ranked]
    objectives = [search.metric, *(["training seconds", "on the front"] if search.against_seconds else [])]
    parts = [
        f"# Search {search.directory.name}",
        f"{len(trials)} trials: {_counts(trials)}. No trial used the test set. {_about_epochs(search, lines)}",
        tables.markdown((["trial", *keys, *objectives], table)),
        *(f"![{read_text(paths.alt_text(path)).strip()}]({paths.PLOTS}/{path.name})" for path in drawn),
    ]
    files.write(search.directory / paths.TUNE_PAGE, "\n\n".join(parts) + "\n")


def rows(search: Search, study: Study) -> list[dict[str, Any]]:
    """Return the rows of trials.csv."""
    return [
        {
            "trial": trial.number,
            **{dimension.key: _value(trial, dimension.key) for dimension in search.space},
            "state": state_of(trial),
            search.metric: _metric(trial),
            **({"train_seconds": trial.values[1] if trial.values else math.nan} if search.against_seconds else {}),
            "epochs": trial.user_attrs.get("epochs", len(trial.intermediate_values)),
            "seconds": round(trial.duration.total_seconds(), 3) if trial.duration else math.nan,
            "error": trial.user_attrs.get("error", ""),
        }
        for trial in counted(study)
    ]


def _pictures(search: Search, study: Study, trials: list[FrozenTrial]) -> Iterator[Drawing]:
    completed = _completed(trials)
    points = [(t.number, _metric(t), state_of(t)) for t in trials if not math.isnan(_metric(t))]
    yield "history", partial(plots.search_history, points, search.metric, _is_maximised(search))
    if len(completed) >= ENOUGH and len(search.space) > 1:
        from optuna.importance import get_param_importances

        accuracy = (lambda trial: trial.values[0]) if len(study.directions) > 1 else None
        with warnings.catch_warnings():  # with a target, Optuna warns that trials with low values count too
            warnings.simplefilter("ignore")
            importance = get_param_importances(study, target=accuracy)
        yield "importance", partial(plots.importance, importance, search.metric)


def _is_maximised(search: Search) -> bool:
    return METRICS[search.metric][1] == "maximize"


def _metric(trial: FrozenTrial) -> float:
    """Return the metric of a trial: its value, that of its last report if it was stopped, or NaN."""
    if trial.values:
        return float(trial.values[0])
    return trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else math.nan


def _results(search: Search, study: Study, trial: FrozenTrial) -> list[str]:
    if not search.against_seconds:
        return [f"{trial.values[0]:.4f}"]
    is_best = trial.number in {best.number for best in study.best_trials}
    return [f"{trial.values[0]:.4f}", f"{trial.values[1]:.2f}", "yes" if is_best else ""]


def _about_epochs(search: Search, lines: list[dict[str, Any]]) -> str:
    """Return how trials were stopped, and how many epochs that saved."""
    if search.pruner == "none" or not search.epochs:
        return ""
    trained, full = sum(line["epochs"] for line in lines), search.epochs * search.trial_seeds * len(lines)
    rule = f"Trials that were {PRUNERS[search.pruner]} were stopped"
    return f"{rule}; {trained:,} of {full:,} epochs were trained ({100 * trained / full:.0f} %)."


def _completed(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state.name == "COMPLETE"]


def _value(trial: FrozenTrial, key: str) -> object:
    """Return the value of a key in a trial, as written in the override."""
    values = dict(text.partition("=")[::2] for text in trial.user_attrs.get("overrides", []))
    return values.get(key, "")


def _counts(trials: list[FrozenTrial]) -> str:
    states = [state_of(trial) for trial in trials]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))
