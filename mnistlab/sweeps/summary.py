"""The summary of a sweep: summary.csv with one row per job, summary.md with the verdicts, and pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnistlab.analysis import comparison_table
from mnistlab.analysis.compare import Comparison, compare
from mnistlab.reporting import tables
from mnistlab.runs import paths
from mnistlab.runs.record import Record
from mnistlab.sweeps.manifest import Entry, Manifest
from mnistlab.system import files
from mnistlab.system.flatten import as_text
from mnistlab.system.readers import read_text

COLUMNS = {  # the columns after the settings that vary, with their metrics
    "parameters": "parameters",
    "epochs": "epochs",
    "kept_epoch": "kept_epoch",
    "train_accuracy": "train.accuracy",
    "validation_loss": "validation.loss",
    "validation_accuracy": "validation.accuracy",
    "test_loss": "test.loss",
    "test_accuracy": "test.accuracy",
    "test_macro_f1": "test.macro.f1",
}
WHOLE = ("parameters", "epochs", "kept_epoch")


def write_table(manifest: Manifest, records: Sequence[Record]) -> None:
    """Write summary.csv: for each job the settings that vary, state, metrics, seconds, error and directory."""
    varied = keys(manifest)
    header = ["job", *varied, "state", *COLUMNS, "train_seconds", "seconds", "error", "directory"]
    rows = [
        [
            entry.number,
            *(setting(entry, record, key) for key in varied),
            record.state.state,
            *(_cell(name, record.value(metric)) for name, metric in COLUMNS.items()),
            float(record.state.seconds.get("train", math.nan)),
            float(sum(record.state.seconds.values())) if record.state.seconds else math.nan,
            record.state.error or "",
            entry.directory,
        ]
        for entry, record in zip(manifest.entries, records, strict=True)
    ]
    files.write(manifest.directory / paths.SUMMARY_TABLE, files.csv(header, rows))


def write(manifest: Manifest, records: Sequence[Record], with_pictures: bool = True) -> Comparison | None:
    """Write summary.csv, summary.md and the pictures; return the comparison, or None if no job is completed."""
    write_table(manifest, records)
    comparison = None
    drawn: list[Path] = []
    if any(record.state.state == "completed" for record in records):
        comparison = compare(records, design=manifest.design)
        if with_pictures:
            from mnistlab.runs.figures import save_pictures
            from mnistlab.sweeps.figures import choose

            drawn = save_pictures(manifest.directory, choose(comparison))
    files.write(manifest.directory / paths.SUMMARY_PAGE, _markdown(manifest, records, comparison, drawn))
    return comparison


def counts(records: Sequence[Record]) -> str:
    """Return ``10 completed, 1 failed, 1 killed``."""
    states = [record.state.state for record in records]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))


def _markdown(
    manifest: Manifest, records: Sequence[Record], comparison: Comparison | None, drawn: Sequence[Path]
) -> str:
    parts = [f"# Sweep {manifest.directory.name}", f"{len(records)} jobs: {counts(records)}."]
    parts.append(f"```\n{manifest.command}\n```")
    if comparison:
        parts += ["## Settings, best first", comparison_table.markdown(comparison).rstrip()]
    bad = [(entry, record) for entry, record in zip(manifest.entries, records, strict=True) if went_wrong(record)]
    if bad:
        lines = [f"- job {e.number}, {e.title}: {r.state.state}: {one_line(r.state.error)}" for e, r in bad]
        parts += ["## Not completed", "\n".join(lines)]
    parts.append("\n\n".join(_image(path) for path in drawn))
    varied = keys(manifest)
    names = ["state", "validation_accuracy", "test_accuracy"]
    header = ["job", *varied, *names, "seconds"]
    rows = []
    for entry, record in zip(manifest.entries, records, strict=True):
        accuracies = [record.value(COLUMNS[name]) for name in names[1:]]
        spent = sum(record.state.seconds.values())
        percentages = ["-" if math.isnan(value) else f"{100 * value:.2f} %" for value in accuracies]
        settings = [setting(entry, record, key) for key in varied]
        rows.append([str(entry.number), *settings, record.state.state, *percentages, f"{spent:.1f}" if spent else "-"])
    parts += ["## Jobs", tables.markdown((header, rows))]
    return "\n\n".join(part for part in parts if part) + "\n"


def keys(manifest: Manifest) -> list[str]:
    """Return the settings that vary in a sweep."""
    return list(dict.fromkeys(key for entry in manifest.entries for key in entry.settings))


def setting(entry: Entry, record: Record, key: str) -> str:
    """Return a setting of a job as text, empty if the job does not use it."""
    return as_text(entry.settings.get(key)) if record.uses(key) else ""


def _cell(name: str, value: float) -> Any:
    return int(value) if name in WHOLE and not math.isnan(value) else value


def went_wrong(record: Record) -> bool:
    """Return whether a job ended without completing."""
    return record.state.state in ("failed", "interrupted", "killed")


def one_line(text: str | None) -> str:
    """Return the reason for a failure as one line."""
    return " ".join((text or "unknown reason").split())


def _image(path: Path) -> str:
    alt = read_text(paths.alt_text(path)).strip().replace("[", "(").replace("]", ")")
    return f"![{alt}]({paths.PLOTS}/{path.name})"
