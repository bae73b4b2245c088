"""The summary of a sweep: summary.csv with one row per job, summary.md with the verdicts, and pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnistlab.analysis import comparison_table
from mnistlab.analysis.compare import Comparison, compare
from mnistlab.config import safe_yaml
from mnistlab.config.report import Format
from mnistlab.reporting import tables
from mnistlab.runs import paths, progress
from mnistlab.runs.record import Record, read
from mnistlab.sweeps.manifest import Entry, Manifest
from mnistlab.system import files
from mnistlab.system.flatten import as_text, look_up
from mnistlab.system.readers import read_text
from mnistlab.system.wording import counted

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


def write_table(manifest: Manifest, records: Sequence[Record], all_settings: bool = False) -> None:
    """Write summary.csv: for each job the settings that vary, state, metrics, seconds, error and directory.

    An unfinished job has its epoch and the metrics so far. With ``all_settings`` there is a column for every setting,
    so that the tables of several sweeps can be concatenated.
    """
    records = [_now(manifest, entry, record) for entry, record in zip(manifest.entries, records, strict=True)]
    varied = _columns(manifest, records) if all_settings else keys(manifest)
    header = ["job", *varied, "state", *COLUMNS, "train_seconds", "seconds", "error", "directory"]
    rows = [
        [
            entry.number,
            *(_setting(entry, record, key) if all_settings else setting(entry, record, key) for key in varied),
            record.state.state,
            *(_cell(name, value) for name, value in zip(COLUMNS, _values(record), strict=True)),
            float(record.state.seconds.get("train", math.nan)),
            float(sum(record.state.seconds.values())) if record.state.seconds else math.nan,
            record.state.error or "",
            entry.directory,
        ]
        for entry, record in zip(manifest.entries, records, strict=True)
    ]
    files.write(manifest.directory / paths.SUMMARY_TABLE, files.csv(header, rows))


def write(
    manifest: Manifest,
    records: Sequence[Record],
    with_pictures: bool = True,
    form: Format | None = None,
    all_settings: bool = False,
) -> Comparison | None:
    """Write summary.csv, summary.md and the pictures; return the comparison, or None if no job has ended an epoch.

    The pictures have the format that the jobs have, unless ``form`` is another one.
    """
    write_table(manifest, records, all_settings)
    comparison = None
    drawn: list[Path] = []
    if any(record.state.state == "completed" or progress.read(record) for record in records):
        comparison = compare(records, design=manifest.design)
        if with_pictures:
            from mnistlab.runs.figures import save_pictures
            from mnistlab.sweeps.figures import choose

            drawn = save_pictures(manifest.directory, choose(comparison), form or _format(records))
    files.write(manifest.directory / paths.SUMMARY_PAGE, _markdown(manifest, records, comparison, drawn))
    return comparison


def counts(records: Sequence[Record]) -> str:
    """Return ``10 completed, 1 failed, 1 killed``."""
    states = [record.state.state for record in records]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))


def _markdown(
    manifest: Manifest, records: Sequence[Record], comparison: Comparison | None, drawn: Sequence[Path]
) -> str:
    parts = [f"# Sweep {manifest.directory.name}", f"{counted(len(records), 'job')}: {counts(records)}."]
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
        accuracies, state = accuracies_and_state(record)
        spent = sum(record.state.seconds.values())
        percentages = ["-" if math.isnan(value) else f"{100 * value:.2f} %" for value in accuracies]
        settings = [setting(entry, record, key) for key in varied]
        rows.append([str(entry.number), *settings, state, *percentages, f"{spent:.1f}" if spent else "-"])
    parts += ["## Jobs", tables.markdown((header, rows))]
    return "\n\n".join(part for part in parts if part) + "\n"


def keys(manifest: Manifest) -> list[str]:
    """Return the settings that vary in a sweep."""
    return list(dict.fromkeys(key for entry in manifest.entries for key in entry.settings))


def setting(entry: Entry, record: Record, key: str) -> str:
    """Return a setting of a job as text, empty if the job does not use it."""
    return as_text(entry.settings.get(key)) if record.uses(key) else ""


def accuracies_and_state(record: Record) -> tuple[list[float], str]:
    """Return the accuracies on the validation and the test set, so far if the job is unfinished, and its state."""
    so_far = progress.read(record)
    if so_far is None:
        return [record.value("validation.accuracy"), record.value("test.accuracy")], record.state.state
    return [so_far.value("validation.accuracy"), math.nan], progress.state_text(record, so_far)


def _values(record: Record) -> list[float]:
    so_far = progress.read(record)
    if so_far is None:
        return [record.value(metric) for metric in COLUMNS.values()]
    return [so_far.epoch if name == "epochs" else so_far.value(metric) for name, metric in COLUMNS.items()]


def _now(manifest: Manifest, entry: Entry, record: Record) -> Record:
    """Return the record of a job as it is now, if it has begun since it was read."""
    begun = not record.state.is_over and (record.directory / paths.HISTORY).exists()
    return read(manifest.place(entry), entry.settings) if begun else record


def _columns(manifest: Manifest, records: Sequence[Record]) -> list[str]:
    """Return the settings that vary, and then all others of any job, and the seed."""
    others = sorted({key for record in records for key in record.settings} | {"seed"})
    return list(dict.fromkeys([*keys(manifest), *others]))


def _setting(entry: Entry, record: Record, key: str) -> str:
    """Return any setting of a job as text, empty if it has none or does not use it."""
    value = record.seed if key == "seed" else look_up(record.settings, key)
    return setting(entry, record, key) if value is None and key in entry.settings else _text(value)


def _text(value: Any) -> str:
    return "" if value is None else as_text(value)


def _format(records: Sequence[Record]) -> Format:
    """Return the format of pictures of the first job that has a configuration."""
    for record in records:
        report = safe_yaml.load_or_empty(record.directory / paths.CONFIG).get("report")
        if isinstance(report, dict) and report.get("format") in Format.__members__:
            return Format[report["format"]]
    return Format.png


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
