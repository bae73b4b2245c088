"""The page of a sweep: the main plot, the ranking, the significance tests, and every job."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from mnistlab.analysis import comparison_table
from mnistlab.analysis.compare import Comparison, compare
from mnistlab.analysis.verdict_text import points, value_text
from mnistlab.config import diff
from mnistlab.reporting import html
from mnistlab.runs import html_report, paths
from mnistlab.runs.html_report import Standing
from mnistlab.runs.record import Group, Record
from mnistlab.statistics.intervals import Mean
from mnistlab.sweeps import summary
from mnistlab.sweeps.figures import choose
from mnistlab.sweeps.manifest import Entry, Manifest
from mnistlab.sweeps.manifest import read as read_manifest
from mnistlab.sweeps.records import of_sweep
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text
from mnistlab.system.wording import counted

TITLES = {
    "ranking": "All settings",
    "heat_map": "Every pair of values",
    "training": "Training, side by side",
    "accuracy_over_time": "Accuracy against time",
    "p_values": "Significance of every pair",
}
EFFECTS = 5  # pairs of the values of one setting that are not distinguishable
VERDICTS = 20  # lines that are visible without opening the rest
ROWS = 1000  # of a table; summary.csv has all rows
PICTURES = 1_200_000  # bytes; tables of so many rows need the rest of two million


def write(
    manifest: Manifest, records: Sequence[Record], comparison: Comparison | None, with_pictures: bool = True
) -> None:
    """Write report.html of a sweep, with the pictures drawn by `summary.write`."""
    drawn = [name for name, _ in choose(comparison)] if comparison and with_pictures else []
    names = sorted(drawn, key=_by_question)
    titles = TITLES | {
        name: f"Against {name.removeprefix('against_')}" for name in names if name.startswith("against_")
    }
    figures = list(html.figures(manifest.directory / paths.PLOTS, names, titles, PICTURES).values())
    jobs = list(zip(manifest.entries, records, strict=True))
    verdicts = comparison_table.verdict_lines(comparison.verdicts) if comparison else []
    rows = [_job(manifest, e, r) for e, r in jobs[:ROWS]]
    columns = ["job", *summary.keys(manifest), "state", "validation accuracy (%)", "test accuracy (%)", "seconds"]
    cells = [[row["number"], *row["settings"], row["state_text"], *row["values"], row["seconds"]] for row in rows]
    numeric = [False] * (len(columns) - 3) + [True] * 3
    html.write(
        manifest.directory / paths.REPORT,
        "sweep.html.j2",
        name=manifest.directory.absolute().name,
        title=_title(manifest),
        counts=summary.counts(records),
        jobs_in_all=len(records),
        in_all=counted(len(records), "job"),
        answer=_answer(comparison) if comparison and not comparison.epoch else None,
        so_far=comparison.warnings[0].partition("; ")[2] if comparison and comparison.epoch else "",
        metric=comparison.metric if comparison else "",
        effects=comparison_table.effect_lines(comparison, EFFECTS) if comparison else [],
        figures=figures,
        ranking=_ranking(comparison) if comparison else None,
        legend=comparison_table.legend(comparison) if comparison else "",
        verdicts=verdicts,
        opened=VERDICTS,
        more_verdicts=counted(max(len(verdicts) - VERDICTS, 0), "more line"),
        warnings=comparison.warnings if comparison and not comparison.epoch else (),
        bad=[_bad(manifest, e, r) for e, r in jobs if summary.went_wrong(r)],
        rows=ROWS,
        waiting=sum(record.state.state in ("pending", "running") for record in records),
        keys=summary.keys(manifest),
        jobs=rows,
        jobs_width=html.width_class(columns, cells, numeric),
        changes=_shared(records),
        command=manifest.command,
        started_in=manifest.started_in,
        environment=_environment(records),
    )


def write_all(manifest: Manifest, records: Sequence[Record], comparison: Comparison | None) -> None:
    """Rewrite the pages of the completed jobs with their ranks, then write the page of the sweep."""
    for entry, record in zip(manifest.entries, records, strict=True):
        if comparison and record.state.state == "completed":
            html_report.write_quietly(record.directory, standing(entry, record, comparison))
    write(manifest, records, comparison)


def standing_of(run: Path) -> Standing | None:
    """Return the rank of a run in its sweep, or None if it is not part of a sweep or not completed."""
    run = run.absolute()
    for above in list(run.parents)[:4]:
        if (above / paths.SWEEP).is_file():
            manifest = read_manifest(above)
            entry = next((candidate for candidate in manifest.entries if manifest.place(candidate) == run), None)
            records = of_sweep(above)
            if entry is None or records[entry.number].state.state != "completed":
                return None
            return standing(entry, records[entry.number], compare(records, design=manifest.design))
    return None


def standing(entry: Entry, record: Record, comparison: Comparison) -> Standing | None:
    """Return the rank of a run's setting, and the verdict on it and the best other setting."""
    metric, groups = comparison.metric, comparison.groups
    mine = next(
        (
            i
            for i, group in enumerate(groups)
            if any(candidate.directory == record.directory for candidate in group.records)
        ),
        None,
    )
    if mine is None:
        return None
    link = html.href("/".join([".."] * len(PurePosixPath(entry.directory).parts) + [paths.REPORT]))
    mean = comparison.means[mine][metric]
    mean_over_runs = "" if math.isnan(mean.half) else f" +/- {value_text(metric, mean.half)} over {mean.n} runs"
    value = f"{metric} {value_text(metric, mean.mean)}{mean_over_runs}"
    if len(groups) == 1:
        return Standing(f"all jobs of the sweep have these settings, {value}", "", link)
    other = groups[1] if mine == 0 else groups[0]
    place = f"number {mine + 1} of {len(groups)} settings, {value}"
    return Standing(place, _verdict(comparison, groups[mine], other), link)


def _title(manifest: Manifest) -> str:
    """Return the keys that vary, and the number of seeds."""
    keys = [key for key in summary.keys(manifest) if key != "seed"]
    seeds = len({as_text(entry.settings["seed"]) for entry in manifest.entries if "seed" in entry.settings})
    if not keys:
        return counted(seeds, "seed")
    return " × ".join(keys) + (f", {seeds:,} seeds" if seeds > 1 else "")


def _answer(comparison: Comparison) -> dict[str, Any]:
    """Return the best setting, with the verdicts on it and the next, and on it and the best scikit-learn model."""
    metric, groups = comparison.metric, comparison.groups
    best = groups[0]
    against = []
    if len(groups) > 1:
        against.append(("Compared with the next best", groups[1].name, _verdict(comparison, best, groups[1])))
    classic = next((group for group in groups if not group.uses("optimizer")), None)
    if best.uses("optimizer") and classic and classic is not groups[1]:
        against.append(("Compared with the best scikit-learn model", classic.name, _verdict(comparison, best, classic)))
    others = {name: mean for name, mean in comparison.means[0].items() if name != metric and mean.n}
    return {
        "name": best.name or comparison_table.ONLY,
        "alone": len(groups) == 1,
        "metric": metric,
        "value": value_text(metric, comparison.means[0][metric].mean) + (" %" if points(metric) else ""),
        "interval": _interval(best, metric, comparison.means[0][metric]),
        "runs": len(best.records),
        "against": against,
        "others": [
            (name, comparison_table.with_interval(name, mean) + (" %" if points(name) else ""))
            for name, mean in others.items()
        ],
    }


def _interval(best: Group, metric: str, mean: Mean) -> str:
    """Return the interval of the mean over the seeds, or for a single run that of its accuracy on the images."""
    low, high = mean.mean - mean.half, mean.mean + mean.half
    over = f"over {mean.n} seeds"
    if math.isnan(mean.half):
        part = metric.removesuffix(".accuracy")
        scores = best.records[0].metrics.get(part, {}) if metric.endswith(".accuracy") else {}
        low, high = scores.get("accuracy_interval", (math.nan, math.nan))
        over = f"of one run on {scores.get('n', 0):,} images"
    if points(metric):  # with few seeds, an interval may exceed 0 to 100 %
        low, high = max(low, 0.0), min(high, 1.0)
    return (
        ""
        if math.isnan(low)
        else f"95 % confidence interval {value_text(metric, low)} to {value_text(metric, high)} {over}"
    )


def _verdict(comparison: Comparison, group: Group, other: Group) -> str:
    pair = {group.name, other.name}
    return next((verdict.text for verdict in comparison.verdicts if {verdict.first, verdict.second} == pair), "")


def _ranking(comparison: Comparison) -> dict[str, Any]:
    header, rows = comparison_table.table(comparison)
    return html.table(header, rows[:ROWS])


def _by_question(name: str) -> tuple[int, str]:
    """Return the sort key of pictures: against a number or over two settings, then the ranking, training and p."""
    order = ("against_", "heat_map", "ranking", "training", "accuracy_over_time", "p_values")
    return next((i for i, start in enumerate(order) if name.startswith(start)), len(order)), name


def _bad(manifest: Manifest, entry: Entry, record: Record) -> dict[str, Any]:
    reason = summary.one_line(record.state.error)
    return {
        "number": entry.number,
        "title": entry.title,
        "state": record.state.state,
        "reason": reason,
        "link": _link(manifest, entry),
    }


def _job(manifest: Manifest, entry: Entry, record: Record) -> dict[str, Any]:
    values, state = summary.accuracies_and_state(record)
    spent = sum(record.state.seconds.values())
    return {
        "number": entry.number,
        "settings": [summary.setting(entry, record, key) for key in summary.keys(manifest)],
        "state": record.state.state,
        "state_text": state,
        "values": ["-" if math.isnan(value) else f"{100 * value:.2f}" for value in values],
        "seconds": f"{spent:.1f}" if spent else "-",
        "link": _link(manifest, entry),
    }


def _link(manifest: Manifest, entry: Entry) -> str | None:
    place = PurePosixPath(entry.directory) / paths.REPORT
    return html.href(place) if (manifest.directory / place).is_file() else None


def _shared(records: Sequence[Record]) -> list[diff.Change]:
    """Return the settings of all jobs that differ from the defaults."""
    begun = [record for record in records if (record.directory / paths.CONFIG).exists()]  # others have no settings yet
    sources = [record for record in records if record.state.state == "completed"] or begun or records
    first, *others = [diff.changes(html_report.settings_of(record), record.seed) for record in sources]
    return [change for change in first if all(change in changes for changes in others)]


def _environment(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Return the environment of the first completed job."""
    for record in records:
        if record.state.state == "completed":
            with suppress(RequestError):  # if it is damaged, another job's is used
                return html_report.environment_rows(html_report.json_object(record.directory / paths.ENVIRONMENT), {})
    return []
