"""A grid search: score every cell on the same folds, then fit the best one again and test it once."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.config import compose, schema
from mnistlab.data.dataset import Dataset
from mnistlab.models.sklearn import SklearnModel
from mnistlab.runs import paths, record, status
from mnistlab.runs.environment import all_cores
from mnistlab.sweeps.grid import plan
from mnistlab.sweeps.gridsearch import cross_validation, result
from mnistlab.sweeps.gridsearch.cells import Cell, Grid, grid
from mnistlab.sweeps.gridsearch.cross_validation import Score
from mnistlab.sweeps.job import perform
from mnistlab.system import console, directories, files, output
from mnistlab.system.console import HINT, RESULT
from mnistlab.system.errors import RequestError, RunError
from mnistlab.system.locks import held
from mnistlab.system.readers import UnreadableError, read_json, read_json_or_empty
from mnistlab.system.wording import counted, short_digest

LOG = logging.getLogger("mnistlab")
DATA, CELLS = "data_sha256", "cells"  # in the request; versions up to 0.1 did not write them


@dataclass(frozen=True)
class Request:
    """The options of the command line."""

    overrides: tuple[str, ...]
    cv: int
    metric: str
    jobs: int
    to: Path | None
    quiet: bool

    def settings(self) -> dict[str, Any]:
        """Return the options that affect the scores."""
        return {"overrides": list(self.overrides), "cv": self.cv, "metric": self.metric}


def search(request: Request) -> int:
    """Run the search; return the exit status."""
    console.start("quiet" if request.quiet else "normal")
    try:
        cells = grid(request.overrides)
        first = cells.cells[0].experiment()
        pool = cross_validation.read_pool(first)
        cut = cross_validation.cut(pool, request.cv, first.data.stratify, first.seed)
        for cell in cells.cells:  # settings that do not fit the data are found before the first fit
            experiment = cell.experiment()
            cross_validation.check(experiment, cross_validation.of_fold(experiment, pool, cut[0]))
        directory = _place(request, cells, pool)
        with held(directory) as ours:
            if not ours:
                raise RequestError(
                    f"--to {files.shown(directory)}: this search is already running; wait, or interrupt it"
                )
            return _search(request, cells, pool, cut, directory)
    finally:
        console.stop()


def _place(request: Request, cells: Grid, pool: Dataset) -> Path:
    """Return the directory of the search, created if needed, with the request in it."""
    if request.to is None:
        directory = directories.by_time("outputs/gridsearch").absolute()
    else:
        label, cure = f"--to {files.shown(request.to)}", "choose another directory"
        directory = directories.named(request.to, label, in_the_way=directories.IN_THE_WAY, otherwise=cure)
    place = files.shown(directory)
    path = directory / paths.GRIDSEARCH
    if not path.exists() and any(directory.iterdir()):
        raise RequestError(f"--to {place}: not empty; choose a new directory")
    origin = {DATA: pool.provenance.get("sha256"), CELLS: [schema.config_hash(cell.composed) for cell in cells.cells]}
    if path.exists():
        earlier = read_json_or_empty(path)
        if {name: earlier.get(name) for name in request.settings()} != request.settings():
            raise RequestError(f"--to {place}: contains another search; choose another directory, or remove this one")
        if (directory / paths.REFIT / paths.STATUS).exists() and status.read(
            directory / paths.REFIT
        ).state == "completed":
            raise RequestError(
                f"--to {place}: this search is complete; the result is in {place}/{paths.GRIDSEARCH_PAGE}"
            )
        _refuse_changed({**origin, **earlier}, origin, cells, place)
    files.write_json(path, {**request.settings(), **origin})
    return directory


def _refuse_changed(earlier: Mapping[str, Any], now: Mapping[str, Any], cells: Grid, place: Path) -> None:
    """Refuse to continue a search with other data or cells: its scores would not be comparable."""
    if earlier[DATA] != now[DATA]:
        raise RequestError(
            f"--to {place}: its folds are of other images (sha256 {short_digest(str(earlier[DATA]))}) than the current "
            f"ones ({short_digest(now[DATA])}); restore the data, or choose another directory"
        )
    if (before := earlier[CELLS]) != now[CELLS]:
        pairs = zip(cells.cells, before if isinstance(before, list) else [], now[CELLS], strict=False)
        names = [cell.name for cell, was, is_now in pairs if was != is_now]
        raise RequestError(
            f"--to {place}: the configuration of {names[0] if names else 'the cells'} has changed since the search was "
            "started; undo the change, or choose another directory"
        )


def _search(request: Request, cells: Grid, pool: Dataset, cut: list[np.ndarray], directory: Path) -> int:
    try:
        earlier = [
            score for score in result.read_folds(directory) if score.cell < len(cells.cells) and score.fold < request.cv
        ]
        earlier = [score for score in earlier if not score.error.startswith("MemoryError")]
    except (ValueError, KeyError) as error:
        why = error.cause if isinstance(error, UnreadableError) else error
        raise RequestError(f"{files.shown(directory / paths.FOLDS_TABLE)}: not readable ({why}); remove it") from None
    counted = {(score.cell, score.fold) for score in earlier}
    tasks = [(cell, i) for cell in cells.cells for i in range(request.cv) if (cell.number, i) not in counted]
    n_jobs = max(1, min(request.jobs, len(tasks)))
    _announce(cells, pool, request, n_jobs, directory)
    scores = list(earlier)
    left = {cell.number: sum(task is cell for task, _ in tasks) for cell in cells.cells}
    progress = _Progress(len(cells.cells), len(cells.cells) - sum(map(bool, left.values())))
    try:
        for score in _run_tasks(tasks, pool, cut, request.metric, n_jobs):
            scores.append(score)
            left[score.cell] -= 1
            if not left[score.cell]:
                result.write_folds(directory, scores)
                progress.say(result.rows(cells, scores)[score.cell], request.metric)
    except KeyboardInterrupt:
        result.write_folds(directory, scores)
        LOG.log(HINT, "interrupted; the same command with --to %s continues it", files.shown(directory))
        raise
    finally:
        progress.close()
    return _finish(request, cells, result.rows(cells, scores), directory)


def _run_tasks(
    tasks: Sequence[tuple[Cell, int]], pool: Dataset, cut: list[np.ndarray], metric: str, n_jobs: int
) -> Iterator[Score]:
    cores = max(1, all_cores() // n_jobs)
    if n_jobs == 1:
        return (cross_validation.score(cell, i, pool, cut[i], metric, cores) for cell, i in tasks)
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    work = (delayed(cross_validation.score)(cell, i, pool, cut[i], metric, cores) for cell, i in tasks)
    running: Iterator[Score] = Parallel(n_jobs, return_as="generator_unordered")(work)

    def guarded() -> Iterator[Score]:
        try:
            yield from running
        except TerminatedWorkerError:
            raise RunError(
                "a process was killed, perhaps because memory ran out; try --jobs 1 (the same command with "
                "--to DIR continues the search)"
            ) from None

    return guarded()


class _Progress:
    """One line per cell, or a progress bar on a terminal."""

    def __init__(self, cells: int, done: int) -> None:
        self.cells, self.done = cells, done
        self.bar: Any = None
        if console.is_screen(sys.stderr) and LOG.isEnabledFor(logging.INFO):
            self.bar = console.progress_bar(total=cells, initial=done, unit="cell")

    def say(self, row: result.Row, metric: str) -> None:
        """Log a cell after its last fold."""
        self.done += 1
        if self.bar is not None:
            self.bar.update(1)
            return
        outcome = f"failed: {row.error}" if row.error else f"{metric} {result.spread(metric, row)}"
        LOG.info("cell %d of %d  %s  %s  (%.2f s per fold)", self.done, self.cells, row.cell.name, outcome, row.seconds)

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()


def _announce(cells: Grid, pool: Dataset, request: Request, n_jobs: int, directory: Path) -> None:
    LOG.info("data    %s: %s images in %d folds", pool.name, f"{len(pool.train):,}", request.cv)
    points = len(cells.cells) + cells.repeated
    twice = f"; {cells.repeated:,} of {points:,} points are given twice; each is run once" if cells.repeated else ""
    LOG.info("grid    %s over %s%s", counted(len(cells.cells), "cell"), ", ".join(cells.axes), twice)
    LOG.info("launch  %d at a time, writing to %s", n_jobs, files.shown(directory))
    learnt, width = len(pool.train) * (request.cv - 1) // request.cv, int(np.prod(pool.train.images.shape[1:]))
    models = (cell.experiment().model for cell in cells.cells)
    guesses = (model.guess(learnt, width) for model in models if isinstance(model, SklearnModel))
    if guess := next(filter(None, guesses), ""):
        LOG.warning("%s; there are %d fits", guess, len(cells.cells) * request.cv)


def _finish(request: Request, cells: Grid, table: list[result.Row], directory: Path) -> int:
    order = result.ranked(table, request.metric)
    form = cells.cells[0].experiment().report.format
    result.write(directory, cells, table, request.metric, form)
    place = files.shown(directory)
    if not order:
        raise RunError(f"all {len(table)} cells failed: {table[0].error}; all errors are in {place}/{paths.GRID_TABLE}")
    best = order[0]
    failed = sum(1 for row in table if row.error)
    if failed:
        LOG.warning("%d of %d cells failed; the reasons are in %s/%s", failed, len(table), place, paths.GRID_TABLE)
    LOG.log(RESULT, "best                 %s", best.cell.name)
    LOG.log(
        RESULT,
        "cross-validated      %s %s (mean +/- two standard deviations over %d folds)",
        request.metric,
        result.spread(request.metric, best),
        request.cv,
    )
    if near := result.as_good(order):
        LOG.info("about as good        %d other cell%s within that interval", len(near), "s" * (len(near) > 1))
    refitted = _refit(request, cells, best.cell, directory)
    output.give(
        {
            "directory": place,
            "metric": request.metric,
            "folds": request.cv,
            "cells": result.as_json(table, request.metric),
            "best": best.cell.number,
            "refit": record.as_json(record.read(refitted), files.shown(refitted)),
        }
    )
    return 0


def _refit(request: Request, cells: Grid, best: Cell, directory: Path) -> Path:
    """Fit the best cell to the whole pool, as an ordinary run, print its test accuracy, and return the run."""
    all_of_it = [] if cross_validation.watches(best.experiment()) else ["data.validation=0"]
    fixed = [text for text in cells.fixed if not (all_of_it and text.startswith("data.validation="))]
    where = [f"hydra.sweep.dir={compose.quoted(directory)}", f"hydra.sweep.subdir={paths.REFIT}"]
    chosen = [*fixed, *_values(cells, best), *all_of_it]
    (job,) = plan([*chosen, "report.console=quiet", *where]).jobs
    perform(job, all_cores())
    console.start("quiet" if request.quiet else "normal")
    state = status.read(job.directory)
    if state.state != "completed":
        raise RunError(f"the refit failed: {state.error or state.state}; its files are in {files.shown(job.directory)}")
    metrics = read_json(job.directory / paths.METRICS)
    LOG.log(RESULT, "%s", "\n".join(console.score_lines("test accuracy", metrics["test"])))
    LOG.log(RESULT, "search directory     %s (the refitted model is in %s)", files.shown(directory), paths.REFIT)
    return job.directory


def _values(cells: Grid, best: Cell) -> list[str]:
    """Return the overrides of a cell, including axes with one value, which are not among those that Hydra varied."""
    keys = {text.partition("=")[0] for text in best.overrides}
    return [*best.overrides, *(f"{key}={values[0]}" for key, values in cells.axes.items() if key not in keys)]
