"""A comparison as a table for the terminal, in Markdown, or as CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mnistlab.analysis.compare import Comparison
from mnistlab.analysis.verdict_text import points, value_text
from mnistlab.reporting import tables
from mnistlab.statistics.intervals import Mean
from mnistlab.system import files
from mnistlab.system.flatten import as_text

VERDICTS = 10  # most pairs on the terminal that are not distinguishable
ONLY = "(all runs)"  # the name of a single group, which no setting distinguishes


def table(comparison: Comparison) -> tables.Table:
    """Return the header and rows: the settings that differ, the number of runs, and each metric with its interval."""
    metrics = list(comparison.means[0])
    keys = list(comparison.groups[0].settings) or [ONLY]
    header = [*keys, "runs", *(f"{name}{' (%)' if points(name) else ''}" for name in metrics)]
    rows = []
    for group, means in zip(comparison.groups, comparison.means, strict=True):
        settings = [as_text(value) if group.uses(key) else "-" for key, value in group.settings.items()] or [""]
        rows.append([*settings, str(len(group.records)), *(with_interval(name, means[name]) for name in metrics)])
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


def text(comparison: Comparison, most: int = 40) -> str:
    """Return the table, verdicts and warnings for the terminal, with the significant verdicts first."""
    header, rows = table(comparison)
    more = f"... {len(rows) - most:,} more" if len(rows) > most else ""
    parts = [tables.text((header, rows[:most])) + ("\n" + more if more else ""), *_notes(comparison)]
    return "\n\n".join(part for part in parts if part)


def markdown(comparison: Comparison) -> str:
    """Return the table, verdicts and warnings in Markdown."""
    verdicts = "\n".join(f"- {v.text}" for v in comparison.verdicts)
    warnings = "\n".join(f"> {warning}" for warning in comparison.warnings)
    title = f"{legend(comparison)}."
    parts = (tables.markdown(table(comparison)), title if len(title) > 1 else "", verdicts, warnings)
    return "\n\n".join(part for part in parts if part) + "\n"


def csv(comparison: Comparison) -> str:
    """Return the groups as CSV with plain numbers: the mean, sd and half-width of each metric."""
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
    notes = [v.text for v in comparison.verdicts if v.distinguishable]
    others = [v.text for v in comparison.verdicts if not v.distinguishable]
    if len(others) > VERDICTS:
        others = [*others[:VERDICTS], f"... {len(others) - VERDICTS} more pairs are not distinguishable"]
    return "\n".join([*notes, *others]), "\n".join(f"note: {w}" for w in comparison.warnings), left_out
