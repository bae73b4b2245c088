"""A comparison as a table: for the terminal, in Markdown and LaTeX with the best marked, or as CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mnistlab.analysis.compare import Comparison, effects
from mnistlab.analysis.p_matrix import p_matrix
from mnistlab.analysis.verdict_text import higher_is_better, p_in_words, points, value_text
from mnistlab.analysis.verdicts import Verdict
from mnistlab.reporting import tables
from mnistlab.statistics import policy
from mnistlab.statistics.intervals import Mean
from mnistlab.system import files
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.flatten import as_text
from mnistlab.system.wording import counted

VERDICTS = 10  # most pairs on the terminal that are not distinguishable
EFFECTS = 3  # most pairs of the values of one setting that are not distinguishable
MATRIX = 24  # most rows of a matrix of p on the terminal
ALIKE = 3  # pairs of which the same is said; more of them share one line
TRAINING = 10  # most unfinished runs
ONLY = "(all runs)"  # the name of a single group, which no setting distinguishes


def table(comparison: Comparison) -> tables.Table:
    """Return the header and rows: the settings that differ, the number of runs, and each metric with its interval."""
    metrics = list(comparison.means[0])
    keys = list(comparison.groups[0].settings) or [ONLY]
    header = [*keys, "runs", *(f"{name}{' (%)' if points(name) else ''}" for name in metrics)]
    rows = []
    for group, means in zip(comparison.groups, comparison.means, strict=True):
        settings = [as_text(value) if group.uses(key) else "-" for key, value in group.settings.items()] or [""]
        runs, used = policy.count(group.values(comparison.metric)), means[comparison.metric].n
        shown = str(len(group.records)) if used == runs else f"{used} of {runs}"
        rows.append([*settings, shown, *(with_interval(name, means[name]) for name in metrics)])
    return header, rows


def with_interval(metric: str, mean: Mean) -> str:
    """Return ``97.71 +/- 0.08``: the mean and, if there is one, the half-width of its 95 % confidence interval."""
    if mean.n == 0:
        return "-"
    half = "" if math.isnan(mean.half) else f" +/- {value_text(metric, mean.half)}"
    return value_text(metric, mean.mean) + half


def legend(comparison: Comparison) -> str:
    """Return a description of the values of the table; empty if every setting has only one run."""
    several = any(mean.n > 1 for means in comparison.means for mean in means.values())
    return "Means over the seeds with 95 % confidence intervals" if several else ""


def text(comparison: Comparison, most: int = 40, by: str | None = None) -> str:
    """Return the table, or its pivot, with the effect of each setting, verdicts and warnings, for the terminal."""
    header, rows = table(comparison) if by is None else pivot(comparison, by)
    more = f"... {len(rows) - most:,} more" if len(rows) > most else ""
    parts = [tables.text((header, rows[:most])) + ("\n" + more if more else ""), *_notes(comparison)]
    return "\n\n".join(part for part in parts if part)


def effect_lines(comparison: Comparison, most: int | None = None) -> list[tuple[str, list[tuple[bool, str]]]]:
    """Return for every setting, where several vary, its name and the verdicts on its values over all the others.

    Those of which nothing was tested are left out.
    """
    lines = []
    for one in effects(comparison):
        if any(verdict.outcome for verdict in one.verdicts):
            notes = [(False, f"note: {note}") for note in one.notes]
            lines.append((str(one.question.factor), [*verdict_lines(one.verdicts, most), *notes]))
    return lines


def verdict_lines(verdicts: Sequence[Verdict], most: int | None = None) -> list[tuple[bool, str]]:
    """Return the verdicts as text, those that are decided first and marked True, at most ``most`` of the others.

    Several pairs with a p of 1.000, or too few runs for the same reason, share one line.
    """
    decided = [(True, v.text) for v in verdicts if v.is_decided]
    alike: dict[str, list[str]] = {}
    for i, v in enumerate(verdicts):
        if not v.is_decided:
            alike.setdefault(_common_part(v) or str(i), []).append(v.text)
    others = [(False, text) for texts in alike.values() if len(texts) <= ALIKE for text in texts]
    if most is not None and len(others) > most:
        count = len(others) - most
        word = "undecided" if any(v.margin is not None for v in verdicts) else "not distinguishable"
        others = [*others[:most], (False, f"... {counted(count, 'more pair')} {'is' if count == 1 else 'are'} {word}")]
    more = "more " if decided or others else ""
    shared = [(False, f"{len(texts)} {more}pairs{tail}") for tail, texts in alike.items() if len(texts) > ALIKE]
    return [*decided, *others, *shared]


def _common_part(verdict: Verdict) -> str:
    """Return what a verdict says that others may say too, as the end of ``28 pairs``; empty if it is its own."""
    if verdict.difference is None:
        return f": {verdict.text.rpartition(': ')[2]}"
    if verdict.margin is None and p_in_words(verdict.p) == "1.000":
        return " are not distinguishable, each with p = 1.000"
    return ""


def p_table(comparison: Comparison, most: int = MATRIX) -> str:
    """Return the matrix of p below the diagonal, its rows and columns in the order of the table."""
    matrix = p_matrix(comparison)
    if matrix is None:
        return ""
    shown = min(len(matrix), most)
    names = [group.name for group in comparison.groups[:shown]]
    width = len(str(shown))
    rows = [
        [f"{i + 1:>{width}}  {name}", *("" if j >= i else _p_cell(matrix[i, j]) for j in range(shown - 1))]
        for i, name in enumerate(names)
    ]
    header = [f"p, corrected for {comparison.pairs:,} pairs", *(str(j + 1) for j in range(shown - 1))]
    return tables.text((header, rows), right=range(1, shown))


def _p_cell(p: float) -> str:
    """Return ``.03``, ``<.01``, ``1`` or ``-``."""
    if math.isnan(p):
        return "-"
    return "<.01" if p < 0.005 else "1" if p > 0.995 else f"{p:.2f}".lstrip("0")


def pivot(comparison: Comparison, key: str) -> tables.Table:
    """Return the metric in a table with a column for each value of one setting, and a row for each of the others."""
    keys = list(comparison.groups[0].settings)
    if key not in keys:
        problem = (
            f"must be a setting that differs: {', '.join(keys)}" if keys else "no settings differ between these runs"
        )
        raise RequestError(f"--by {key}: {problem}{did_you_mean(key, keys)}")
    metric, others = comparison.metric, [name for name in keys if name != key]
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for group, means, mark in zip(comparison.groups, comparison.means, marks(comparison), strict=True):
        row = tuple(as_text(group.settings[name]) if group.uses(name) else "-" for name in others)
        cells.setdefault(row, {})[as_text(group.settings[key])] = mark.format(with_interval(metric, means[metric]))
    values = sorted({value for row in cells.values() for value in row}, key=_order)
    lines = [
        [*row, *(cells[row].get(value, "-") for value in values)]
        for row in sorted(cells, key=lambda r: [*map(_order, r)])
    ]
    return [*others, *(f"{key}={value}" for value in values)], lines


def marks(comparison: Comparison) -> list[str]:
    """Return a template for each group's value: the best is bold, and those that may be as good have a dagger.

    These are the groups that no test has shown to differ from the best, also if there are too few runs for a test. None
    has a dagger if the others are compared with a baseline that is not the best, instead of with the best. Single runs,
    which are compared as networks, and runs in training have no marks, and neither has a group without the metric.
    """
    best, *others = comparison.groups
    by_pair = {frozenset((v.first, v.second)): v for v in comparison.verdicts}
    runs = [means[comparison.metric].n for means in comparison.means]
    if not others or comparison.epoch or max(runs) <= 1:
        return ["{}"] * len(comparison.groups)
    against_best = [by_pair.get(frozenset((best.name, group.name))) for group in others]
    if None in against_best:
        return ["**{}**", *("{}" for _ in others)]
    is_plain = [bool(v and v.distinguishable) or not n for v, n in zip(against_best, runs[1:], strict=True)]
    return ["**{}**", *("{}" if plain else "{}\u2020" for plain in is_plain)]


def _order(value: str) -> tuple[int, float, str]:
    """Return the sort key of a setting: numbers by size, then words."""
    try:
        return 0, float(value), ""
    except ValueError:
        return 1, 0.0, value


def marked(comparison: Comparison, by: str | None = None) -> tables.Table:
    """Return the table, or its pivot, for a publication: with the best value marked, and those that may be as good."""
    if by is not None:
        return pivot(comparison, by)
    header, rows = table(comparison)
    column = len(header) - len(comparison.means[0]) + list(comparison.means[0]).index(comparison.metric)
    lines = [
        [*row[:column], mark.format(row[column]), *row[column + 1 :]]
        for row, mark in zip(rows, marks(comparison), strict=True)
    ]
    return header, lines


def caption(comparison: Comparison, by: str | None = None) -> str:
    """Return what the values and marks of a marked table mean."""
    what = f"{comparison.metric}{' in per cent' if points(comparison.metric) else ''}" if by is not None else ""
    parts = [part for part in (what, legend(comparison)) if part]
    templates = marks(comparison)
    if templates[0] != "{}":
        parts.append(f"Bold: the best by {comparison.metric}")
    if any("\u2020" in mark for mark in templates):
        parts.append("\u2020: not shown to be different from the best")
    return f"{'. '.join(parts)}." if parts else ""


def markdown(comparison: Comparison, by: str | None = None) -> str:
    """Return the table, or its pivot, with verdicts and warnings in Markdown."""
    effects = [
        f"{title}:\n\n" + "\n".join(f"- {line}" for _, line in lines)
        for title, lines in ((f"Effect of {key}", lines) for key, lines in effect_lines(comparison, EFFECTS))
    ]
    verdicts = "\n".join(f"- {line}" for _, line in verdict_lines(comparison.verdicts))
    warnings = "\n".join(f"> {warning}" for warning in (*comparison.notes, *comparison.warnings))
    parts = (tables.markdown(marked(comparison, by)), caption(comparison, by), *effects, verdicts, warnings)
    return "\n\n".join(part for part in parts if part) + "\n"


def latex(comparison: Comparison, by: str | None = None) -> str:
    """Return the table, or its pivot, in LaTeX, with the verdicts as comments."""
    header, rows = marked(comparison, by)
    settings = len(comparison.groups[0].settings) - (by is not None)
    verdicts = [line for _, line in verdict_lines(comparison.verdicts)]
    effects = [line for _, lines in effect_lines(comparison, EFFECTS) for _, line in lines]
    notes = [caption(comparison, by), *effects, *verdicts, *comparison.notes, *comparison.warnings]
    lines = ["\\usepackage{booktabs}", *(f"note: {note}" for note in notes if note)]
    comments = "\n".join(f"% {' '.join(line.split())}" for line in lines)
    return f"{comments}\n{tables.latex((header, rows), right=range(settings, len(header)))}\n"


def csv(comparison: Comparison, by: str | None = None) -> str:
    """Return the groups as CSV with plain numbers: mean, sd and half-width of each metric; a pivot as it is shown."""
    if by is not None:
        header, lines = pivot(comparison, by)
        return files.csv(header, [[cell.replace("*", "") for cell in line] for line in lines])
    keys = list(comparison.groups[0].settings)
    metrics = list(comparison.means[0])
    header = [*keys, "runs", *(f"{name}.{statistic}" for name in metrics for statistic in ("mean", "sd", "half"))]
    rows = [
        [
            *(as_text(value) if group.uses(key) else "" for key, value in group.settings.items()),
            len(group.records),
            *(value for name in metrics for value in (means[name].mean, means[name].sd, means[name].half)),
        ]
        for group, means in zip(comparison.groups, comparison.means, strict=True)
    ]
    return files.csv(header, rows)


def _notes(comparison: Comparison) -> Sequence[str]:
    left_out = ""
    if comparison.left_out:
        states = [record.state.state for record in comparison.left_out]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        left_out = f"not compared: {counts}"
    effects = [f"effect of {key}\n" + _lines(lines) for key, lines in effect_lines(comparison, EFFECTS)]
    verdicts = _lines(verdict_lines(comparison.verdicts, VERDICTS))
    if effects and verdicts:
        verdicts = f"pairs\n{verdicts}"
    matrix = p_table(comparison) if len(comparison.verdicts) < comparison.pairs else ""
    warnings = "\n".join(f"note: {warning}" for warning in (*comparison.notes, *comparison.warnings))
    return *effects, verdicts, matrix, warnings, left_out, _training(comparison)


def _lines(lines: Sequence[tuple[bool, str]]) -> str:
    return "\n".join(line for _, line in lines)


def _training(comparison: Comparison) -> str:
    """Return the unfinished runs with their epoch and the metric so far, the best first."""
    if not comparison.training:
        return ""
    metric = comparison.metric if comparison.epoch else "validation.accuracy"
    header = ["unfinished", "state", "epoch", f"{metric}{' (%)' if points(metric) else ''}"]
    sign = -1 if higher_is_better(metric) else 1
    order = sorted(comparison.training, key=lambda one: _last(sign * one[1].value(metric)))
    rows = [
        [
            str(files.shown(record.directory)),
            record.state.state,
            f"{latest.epoch}{f' of {latest.planned}' if latest.planned else ''}",
            value_text(metric, latest.value(metric)),
        ]
        for record, latest in order[:TRAINING]
    ]
    more = f"\n... {len(order) - TRAINING:,} more" if len(order) > TRAINING else ""
    return tables.text((header, rows)) + more


def _last(value: float) -> float:
    return math.inf if math.isnan(value) else value
