"""Tables of the results: for the terminal, for the page, and papers.csv."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mnistlab.papers import results
from mnistlab.papers.claims import Finding
from mnistlab.papers.metrics import amount, exponent
from mnistlab.papers.results import Result
from mnistlab.papers.spec import Figures, Paper, Row
from mnistlab.reporting import tables
from mnistlab.statistics.intervals import Mean, mean_of
from mnistlab.system import files

HEADER = ["row", "metric", "paper", "ours", "95 % prediction interval", "runs", "verdict"]
CSV = [
    "paper",
    "row",
    "settings",
    "metric",
    "reported",
    "mean",
    "sd",
    "half",
    "low",
    "high",
    "runs",
    "epochs",
    "verdict",
]


def rows_of(paper: Paper, results_by_row: Mapping[str, Result], near: Mapping[str, Result]) -> tables.Table:
    """Return the table of a paper: one line per row and metric, followed by those of the row's near settings."""
    lines = []
    header = [name.replace("paper", "reported") if any(row.is_own for row in paper.rows) else name for name in HEADER]
    for row in paper.rows:
        for result in (results_by_row[row.id], near.get(row.id)):
            if result is None or (result.near and not result.completed):
                continue
            for i, metric in enumerate(row.metrics):
                lines.append(_line(row, result, metric, first=i == 0))
    return header, lines


def notes(paper: Paper, results_by_row: Mapping[str, Result], near: Mapping[str, Result]) -> list[str]:
    """Return a line on every row of a paper whose directory has runs with other settings."""
    both = [result for row in paper.rows for result in (results_by_row[row.id], near.get(row.id)) if result]
    return [f"{result.row.name}: {result.others}" for result in both if result.others]


def _line(row: Row, result: Result, metric: str, first: bool) -> list[str]:
    name = f"{row.name}, {' '.join(row.near.overrides)}" if result.near and row.near else row.name
    figure = reported(row, metric)
    if result.is_swept and result.completed and metric not in row.reported:
        return [name, metric, figure, "see below", "", _runs(result), ""]
    verdict, mean = results.judge(result, metric), result.mean(metric)
    interval = results.spread_of_one(result, metric) if metric != "parameters" else None
    spread = " to ".join(amount(metric, end) for end in interval) if interval else ""
    runs = f"{_runs(result)}{result.shortened}" if first and mean.n else str(mean.n)
    ours = amount(metric, mean.mean) if metric == "parameters" else with_interval(metric, mean)
    cut = " (cut short)" if verdict and result.shortened and metric != "parameters" else ""
    return [name, metric, figure, ours, spread, runs, verdict + cut]


def _runs(result: Result) -> str:
    """Return the number of runs, as in "2 of 6" if some are missing."""
    n = len(result.completed)
    return f"{n} of {n + result.missing}" if result.missing else str(n)


def reported(row: Row, metric: str) -> str:
    """Return the paper's figure as printed, with accuracies in per cent."""
    if metric not in row.reported:
        return ""
    figure = row.reported[metric]
    words = "about " if row.about else "above " if row.at_least else ""
    if metric == "parameters":
        return f"{int(figure):,}"
    if amount(metric, 0.5) != "50.00":  # not in per cent
        return words + figure
    return f"{words}{100 * float(figure):.{max(0, -exponent(figure) - 2)}f}"


def with_interval(metric: str, mean: Mean) -> str:
    """Return the mean and, for several runs, the half-width of its 95 % confidence interval."""
    half = "" if math.isnan(mean.half) else f" +/- {amount(metric, mean.half)}"
    return amount(metric, mean.mean) + half if mean.n else "-"


def as_text(
    figures: Figures, results_by_row: Mapping[str, Result], near: Mapping[str, Result], claims: Sequence[Finding]
) -> str:
    """Return the tables and verdicts of these papers for the terminal."""
    parts = []
    for paper in figures.papers:
        header, lines = rows_of(paper, results_by_row, near)
        parts.append(f"{paper.title}\n\n" + tables.text((header, lines)))
        parts.append("\n".join(notes(paper, results_by_row, near)))
        parts += [
            "\n".join(f"{f.label:20} {f.claim.text}\n{'':21}{f.numbers}" for f in claims if f.claim.paper == paper.name)
        ]
    return "\n\n".join(part for part in parts if part)


def latex(
    figures: Figures, results_by_row: Mapping[str, Result], near: Mapping[str, Result], claims: Sequence[Finding]
) -> str:
    """Return the tables of figures and claims in LaTeX, for a document with the package booktabs."""
    parts = ["% \\usepackage{booktabs}"]
    for paper in figures.papers:
        parts += [f"% {' '.join(paper.title.split())}", tables.latex(rows_of(paper, results_by_row, near))]
        lines = [[f.claim.text, f.label, f.numbers] for f in claims if f.claim.paper == paper.name]
        if lines:
            columns = r"p{0.3\linewidth}lp{0.45\linewidth}"
            parts.append(tables.latex((["claim", "verdict", "numbers"], lines), columns=columns))
    return "\n\n".join(parts) + "\n"


def csv(figures: Figures, results_by_row: Mapping[str, Result], near: Mapping[str, Result]) -> str:
    """Return papers.csv: one line for every row, metric and kind of settings, with plain numbers."""
    return files.csv(CSV, lines_of(figures.rows.values(), results_by_row, near))


def lines_of(rows: Iterable[Row], results_by_row: Mapping[str, Result], near: Mapping[str, Result]) -> list[list[Any]]:
    """Return the cells of papers.csv that belong to these rows, in the order of `CSV`."""
    lines: list[list[Any]] = []
    for row in rows:
        for result in (results_by_row[row.id], near.get(row.id)):
            if result is None:
                continue
            settings = " ".join(row.near.overrides) if result.near and row.near else ""
            for metric in row.metrics:
                swept = result.is_swept and metric not in row.reported
                mean = mean_of([]) if swept else result.mean(metric)
                interval = None if swept else results.spread_of_one(result, metric)
                low, high = interval or (math.nan, math.nan)
                epochs = sorted({int(r.value("epochs")) for r in result.completed if math.isfinite(r.value("epochs"))})
                verdict = results.judge(result, metric)
                numbers = [mean.mean, mean.sd, mean.half, low, high, len(result.completed)]
                shown_epochs = " ".join(map(str, epochs))
                lines.append(
                    [
                        row.paper,
                        row.name,
                        settings,
                        metric,
                        row.reported.get(metric, ""),
                        *numbers,
                        shown_epochs,
                        verdict,
                    ]
                )
    return lines
