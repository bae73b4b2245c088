"""Rows that are run by another command: principal components, decision regions, a grid. One directory per seed."""

from __future__ import annotations

import math
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnistlab.analysis.explore import decision_boundary, pca
from mnistlab.analysis.explore.common import Request
from mnistlab.papers.spec import Row
from mnistlab.runs import paths
from mnistlab.runs.environment import all_cores
from mnistlab.runs.record import Record
from mnistlab.runs.status import State
from mnistlab.sweeps.gridsearch import search
from mnistlab.system import console
from mnistlab.system.readers import read_json, read_rows, read_text

EXPLORE = {"pca": pca.explore, "boundary": decision_boundary.explore}


def run(row: Row, place: Path, budget: str, seeds: int | None, extra: Sequence[str], quiet: bool) -> int:
    """Run the row's command for every seed that has no result yet; return the exit status."""
    name, *words = shlex.split(row.command)[1:]
    arguments = [*words, *row.overrides[budget], *(word for word in extra if word.startswith("data"))]
    status = 0
    for seed in range(row.seeds[budget] if seeds is None else seeds):
        directory = place / f"seed={seed}"
        if _metrics(directory):
            continue
        if name == "explore" and directory.exists():  # incomplete; a grid search instead continues where it stopped
            shutil.rmtree(directory)
        words = [*arguments, f"seed={seed}"]
        status = max(
            status, _explore(words, directory, quiet) if name == "explore" else _search(words, directory, quiet)
        )
    return status


def _explore(words: Sequence[str], directory: Path, quiet: bool) -> int:
    action, *overrides = words
    models = [
        name for word in overrides if word.startswith("model=") for name in word.removeprefix("model=").split(",")
    ]
    others = [word for word in overrides if not word.startswith("model=")]
    verbosity = "quiet" if quiet else "normal"
    line = ["mnistlab", "explore", *words, "--to", str(directory), *(["--quiet"] if quiet else [])]
    console.start(verbosity)
    try:
        EXPLORE[action](Request(action, others, models, None, "train", str(directory), verbosity, line))
    finally:
        console.stop()
    return 0


def _search(words: Sequence[str], directory: Path, quiet: bool) -> int:
    at = words.index("--cv")
    overrides = (*words[:at], *words[at + 2 :])
    request = search.Request(overrides, int(words[at + 1]), "accuracy", all_cores(), directory.absolute(), quiet)
    return search.search(request)


def read(place: Path) -> list[Record]:
    """Return a record for every seed that has a result."""
    if not place.is_dir():
        return []
    numbered = sorted((int(path.name.removeprefix("seed=")), path) for path in place.glob("seed=*"))
    metrics_by_seed = [(seed, path, _metrics(path)) for seed, path in numbered]
    return [
        Record(path, State("completed"), seed, {}, (), {**metrics, "learner": "command"})
        for seed, path, metrics in metrics_by_seed
        if metrics
    ]


def pictures(directory: Path) -> dict[str, tuple[Path, str]]:
    """Return the pictures of a result by name, each with its text equivalent."""
    plots = sorted((directory / paths.PLOTS).glob("*.png"))
    return {path.stem: (path, read_text(paths.alt_text(path)).strip()) for path in plots}


def _metrics(directory: Path) -> dict[str, Any]:
    """Return the metrics of a result, empty if there is none or it is incomplete."""
    try:
        if (directory / paths.GRIDSEARCH).exists():
            return _of_grid(directory)
        summary = read_json(directory / paths.SUMMARY)
        if summary["action"] == "pca":
            return {"explained": _explained(directory / paths.VARIANCE)}
        return {row["model"]: {"training_accuracy": row["training_accuracy"]} for row in summary["models"]}
    except (ValueError, KeyError, TypeError, StopIteration):
        return {}


def _explained(path: Path) -> dict[str, float]:
    """Return the fraction of the variance of each component, and of the first n components together."""
    rows = read_rows(path)
    alone = {row["component"]: float(row["share"]) for row in rows}
    return alone | {f"{row['component']}_together": float(row["cumulative"]) for row in rows}


def _of_grid(directory: Path) -> dict[str, Any]:
    """Return the best cell, its settings by the last part of their keys, and the test scores of its refit."""
    tested = read_json(directory / paths.REFIT / paths.METRICS)
    best = next(row for row in read_rows(directory / paths.GRID_TABLE) if row["rank"] == "1")
    metric = read_json(directory / paths.GRIDSEARCH)["metric"]
    settings = {key.rpartition(".")[2]: _number(value) for key, value in best.items() if "." in key}
    return {"best": {metric: float(best["mean"]), **settings}, "test": tested["test"]}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
