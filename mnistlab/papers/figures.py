"""The papers' own figures, drawn from our runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mnistlab.analysis import compare
from mnistlab.config.report import Plots
from mnistlab.papers import external_rows
from mnistlab.papers.results import Result, comparable
from mnistlab.papers.spec import Paper, Row
from mnistlab.reporting import plots
from mnistlab.reporting.plots import Series
from mnistlab.runs import figures, paths
from mnistlab.runs.figures import Drawing
from mnistlab.statistics.intervals import mean_of
from mnistlab.sweeps.figures import choose
from mnistlab.system import files
from mnistlab.system.readers import read_bytes, read_json

TABLE = "confusion_table"  # the picture of a row that becomes a PDF


@dataclass(frozen=True)
class Drawn:
    """A picture file of the page, and its text equivalent."""

    path: Path
    alt: str


def draw(paper: Paper, results: Mapping[str, Result], folder: Path) -> list[Drawn]:
    """Draw the pictures of a paper for which there are runs; return them in order."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, make in _drawings(paper, results):
        picture = make()
        path = folder / f"{name}.{'pdf' if name.endswith(TABLE) else 'png'}"
        if path.suffix == ".pdf":
            plots.save_vector(picture, path)
        else:
            plots.save(picture, path)
            paths.alt_text(path).unlink()  # the text equivalent is on the page
        drawn.append(Drawn(path, picture.alt))
    return drawn + _copied(paper, results, folder)


def _copied(paper: Paper, results: Mapping[str, Result], folder: Path) -> list[Drawn]:
    """Copy the pictures of rows that are run by another command."""
    copied = []
    for row in paper.rows:
        if row.kind == "train" or not results[row.id].completed:
            continue
        there = external_rows.pictures(results[row.id].completed[0].directory)
        for name in row.pictures:
            if name in there:
                path, alt = there[name]
                copy = folder / f"{paper.name}_{row.name}_{name}.png"
                files.write(copy, read_bytes(path))
                copied.append(Drawn(copy, alt))
    return copied


def _drawings(paper: Paper, results: Mapping[str, Result]) -> Iterator[Drawing]:
    for picture in paper.pictures:
        yield from _of_rows(picture, results)
    for row in paper.rows:
        if row.kind == "train" and row.pictures and results[row.id].completed:
            yield from _of_run(row, results[row.id].completed[0].directory)


def _of_rows(picture: Mapping[str, Any], results: Mapping[str, Result]) -> Iterator[Drawing]:
    """Yield a picture of a swept row, over the epochs or against its setting, or a ranking of several rows."""
    kind = next(kind for kind in ("training", "against", "ranking") if kind in picture)
    if kind == "ranking":
        rows = [results[name] for name in picture["ranking"] if results[name].completed]
        if rows:
            name = f"{rows[0].row.paper}_{'_'.join(picture['metrics']).replace('.', '_')}"
            yield name, partial(_ranking, rows, picture["metrics"])
        return
    result = results[picture[kind]]
    if not result.completed:
        return
    chosen = choose(compare.compare(result.records, "test.accuracy"))
    for name, make in chosen:
        if name.startswith(kind):
            yield f"{result.row.paper}_{result.row.name}_{kind}", make


def _ranking(rows: Sequence[Result], metrics: Sequence[str]) -> plots.Picture:
    ranked = sorted(comparable(rows), key=lambda result: -result.mean(metrics[0]).mean)
    rows = [*ranked, *(result for result in rows if result not in ranked)]  # shortened rows are marked and come last
    series, share = [], "auc" not in metrics[0]  # areas are not in per cent
    for metric in metrics:
        runs = [[(100 if share else 1) * value for value in result.values(metric).values()] for result in rows]
        means = [mean_of(values) for values in runs]
        series.append(
            Series(metric.replace(".", " "), [mean.mean for mean in means], [mean.half for mean in means], runs)
        )
    quantity = metrics[0].partition(".")[2].replace("one_hot_auc", "AUC of one-hot predictions")
    unit = f"{quantity} (%)" if share else quantity
    return plots.ranking_of_settings([result.row.name + result.shortened for result in rows], series, unit)


def _of_run(row: Row, run: Path) -> Iterator[Drawing]:
    metrics = read_json(run / paths.METRICS)
    there = dict(figures.of_run(run, Plots.all))
    for name in row.pictures:
        title = f"{row.paper}_{row.name}_{name}"
        if name == TABLE:
            matrix, names = metrics["test"]["confusion_matrix"], metrics["class_names"]
            yield title, partial(plots.confusion_table, matrix, names, f"{row.id}, test set")
        elif name in there:
            yield title, there[name]
