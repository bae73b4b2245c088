"""The scores of all cells -> their means, their ranking, and the files of a grid search."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.config.compose import slug
from mnistlab.config.report import Format
from mnistlab.metrics.classification import LOWER_IS_BETTER
from mnistlab.reporting import plots, tables
from mnistlab.reporting.plots import Series
from mnistlab.runs import paths
from mnistlab.runs.figures import Drawing, save_pictures
from mnistlab.sweeps.figures import is_geometric
from mnistlab.sweeps.gridsearch.cells import Cell, Grid
from mnistlab.sweeps.gridsearch.cross_validation import Score
from mnistlab.system import files
from mnistlab.system.flatten import as_text
from mnistlab.system.readers import read_rows, read_text
from mnistlab.system.wording import counted

MOST_ROWS = 10  # of the best cells
SPREAD = "colour and number: mean over the folds; \u00b1: two standard deviations over the folds"
BARS = "dots: single folds; bars: mean +/- 2 standard deviations over the folds"


@dataclass(frozen=True)
class Row:
    """A cell with the scores of its folds; ``sd`` is over the folds, divided by their number."""

    cell: Cell
    scores: tuple[Score, ...]

    @property
    def error(self) -> str:
        """Return the error of the first fold that failed, or an empty text."""
        return next((score.error for score in self.scores if score.error), "")

    @property
    def values(self) -> list[float]:
        """Return the metric of every fold."""
        return [score.value for score in self.scores]

    @property
    def mean(self) -> float:
        """Return the mean over the folds."""
        return float(np.mean(self.values))

    @property
    def sd(self) -> float:
        """Return the standard deviation over the folds, divided by their number."""
        return float(np.std(self.values))

    @property
    def seconds(self) -> float:
        """Return the mean time of a fold."""
        return float(np.mean([score.seconds for score in self.scores]))


def rows(grid: Grid, scores: Sequence[Score]) -> list[Row]:
    """Return one row per cell, in the order of the grid."""
    scores_by_cell: dict[int, list[Score]] = {cell.number: [] for cell in grid.cells}
    for score in sorted(scores, key=lambda score: score.fold):
        scores_by_cell[score.cell].append(score)
    return [Row(cell, tuple(scores_by_cell[cell.number])) for cell in grid.cells]


def ranked(table: Sequence[Row], metric: str) -> list[Row]:
    """Return the rows with a mean, the best first; of equal means that with the smallest sd, then the first."""
    sign = 1 if metric in LOWER_IS_BETTER else -1
    scored = [row for row in table if math.isfinite(row.mean)]
    # rounded, since means of the same hits may differ in their last bit
    return sorted(scored, key=lambda row: (round(sign * row.mean, 12), round(row.sd, 12), row.cell.number))


def as_good(order: Sequence[Row]) -> list[Row]:
    """Return the other cells whose mean is within two standard deviations of the best."""
    best = order[0]
    return [row for row in order[1:] if abs(row.mean - best.mean) <= 2 * best.sd]


def spread(metric: str, row: Row) -> str:
    """Return ``0.880 +/- 0.061``: mean and two standard deviations over the folds."""
    digits = 4 if metric == "loss" else 3
    return f"{row.mean:.{digits}f} +/- {2 * row.sd:.{digits}f}"


def write_folds(directory: Path, scores: Sequence[Score]) -> None:
    """Write the scores of all folds so far, from which an interrupted search resumes."""
    ordered = sorted(scores, key=lambda score: (score.cell, score.fold))
    lines = [[score.cell, score.fold, score.value, round(score.seconds, 6), score.error] for score in ordered]
    files.write(directory / paths.FOLDS_TABLE, files.csv(("cell", "fold", "score", "seconds", "error"), lines))


def read_folds(directory: Path) -> list[Score]:
    """Return the scores of an interrupted search; raises `ValueError` if the file is damaged."""
    if not (directory / paths.FOLDS_TABLE).exists():
        return []
    return [
        Score(
            int(line["cell"]),
            int(line["fold"]),
            float(line["score"] or math.nan),
            float(line["seconds"]),
            line["error"],
        )
        for line in read_rows(directory / paths.FOLDS_TABLE)
    ]


def write(directory: Path, grid: Grid, table: Sequence[Row], metric: str, form: Format = Format.png) -> None:
    """Write grid.csv, gridsearch.md and the pictures."""
    order = ranked(table, metric)
    ranks = {row.cell.number: rank for rank, row in enumerate(order, 1)}
    folds = max((len(row.scores) for row in table), default=0)
    header = ["cell", *grid.axes, "mean", "sd", "plus_minus", "rank", "seconds", "error"]
    header += [f"fold_{i + 1}" for i in range(folds)]
    lines = [
        [
            row.cell.number,
            *(as_text(value) for value in row.cell.settings.values()),
            *(row.mean, row.sd, 2 * row.sd),
            ranks.get(row.cell.number, math.nan),
            round(row.seconds, 6),
            row.error,
            *row.values,
        ]
        for row in table
    ]
    files.write(directory / paths.GRID_TABLE, files.csv(header, lines))
    drawn = save_pictures(directory, _pictures(grid, order, metric), form) if order else []
    best = [[*_cells(row), spread(metric, row)] for row in order[:MOST_ROWS]]
    failed = [row for row in table if row.error]
    parts = [
        f"# Grid {directory.name}",
        f"{counted(len(table), 'cell')}, {folds} folds of the training pool; the test set was not used. {metric}: mean "
        "+/- two standard deviations over the folds, best first.",
        tables.markdown(([*grid.axes, metric], best)),
        "\n".join(f"- {row.cell.name} failed: {row.error}" for row in failed),
        *(f"![{read_text(paths.alt_text(path)).strip()}]({paths.PLOTS}/{path.name})" for path in drawn),
    ]
    files.write(directory / paths.GRIDSEARCH_PAGE, "\n\n".join(part for part in parts if part) + "\n")


def as_json(table: Sequence[Row], metric: str) -> list[dict[str, Any]]:
    """Return the rows of grid.csv, with the scores of the folds as a list."""
    ranks = {row.cell.number: rank for rank, row in enumerate(ranked(table, metric), 1)}
    return [
        {
            "cell": row.cell.number,
            "settings": row.cell.settings,
            "mean": row.mean,
            "sd": row.sd,
            "rank": ranks.get(row.cell.number),
            "seconds": row.seconds,
            "scores": row.values,
            "error": row.error or None,
        }
        for row in table
    ]


def _cells(row: Row) -> list[str]:
    return [as_text(value) for value in row.cell.settings.values()]


def _pictures(grid: Grid, order: Sequence[Row], metric: str) -> Iterator[Drawing]:
    unit = f"{metric.replace('_', ' ')}, mean over the folds"
    axes = [key for key, values in grid.axes.items() if len(values) > 1]
    if len(axes) == 2:
        yield "heat_map", partial(_heat_map, axes, order, metric, unit)
    if len(axes) == 1 and all(_is_number(row.cell.settings[axes[0]]) for row in order):
        in_order = sorted(order, key=lambda row: row.cell.settings[axes[0]])
        x = [float(row.cell.settings[axes[0]]) for row in in_order]
        series = [_series(in_order, metric)]
        yield f"against_{slug(axes[0])}", partial(plots.against, axes[0], x, series, unit, is_geometric(x), BARS)
    names = [row.cell.name for row in order]
    yield "ranking", partial(plots.ranking_of_settings, names, [_series(order, metric)], unit, BARS)


def _series(order: Sequence[Row], metric: str) -> Series:
    return Series(metric, [row.mean for row in order], [2 * row.sd for row in order], [row.values for row in order])


def _heat_map(axes: Sequence[str], order: Sequence[Row], metric: str, unit: str) -> plots.Picture:
    names = [_values(order, key) for key in axes]
    if len(names[0]) > len(names[1]):  # the longer one across
        names, axes = names[::-1], axes[::-1]
    means, spreads = (np.full((len(names[0]), len(names[1])), np.nan) for _ in range(2))
    for row in order:
        place = tuple(of.index(as_text(row.cell.settings[key])) for of, key in zip(names, axes, strict=True))
        means[place], spreads[place] = row.mean, 2 * row.sd
    better_high = metric not in LOWER_IS_BETTER
    rows, columns = (axes[0], names[0]), (axes[1], names[1])
    return plots.heat_map(rows, columns, means, unit, better_high, spreads, SPREAD)


def _values(order: Sequence[Row], key: str) -> list[str]:
    values = [row.cell.settings[key] for row in order]
    numbers = sorted(value for value in values if _is_number(value))
    words = sorted(as_text(value) for value in values if not _is_number(value))
    return list(dict.fromkeys([*map(as_text, numbers), *words]))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
