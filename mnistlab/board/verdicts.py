"""The verdicts on the runs that are shown: those of `mnistlab compare`, by the same code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mnistlab.analysis.compare import Comparison, compare
from mnistlab.board.table import Entry
from mnistlab.reporting.html import readable
from mnistlab.runs import index, paths, record, run_file, status
from mnistlab.runs.record import Record
from mnistlab.statistics.sequential import Design
from mnistlab.sweeps import records
from mnistlab.system.readers import UnreadableError, read_json

KEPT = 32  # comparisons that are remembered

Question = tuple[Any, ...]


class Verdicts:
    """Comparisons of runs; a run is read once, and a question that was asked before is answered at once."""

    def __init__(self) -> None:
        self._records: dict[int, tuple[index.Record, Record]] = {}
        self._answers: dict[Question, dict[str, Any]] = {}

    def of(
        self,
        entries: Sequence[Entry],
        metric: str | None = None,
        baseline: str | None = None,
        margin: float | None = None,
    ) -> dict[str, Any]:
        """Return the comparison as plain values, with the numbers of the runs instead of their directories.

        ``against_best`` says that there are too many pairs, and each group is compared with the best one; ``untested``
        that nothing is said about several groups. Raises `RequestError` where `compare` does.
        """
        question = (*((entry.number, entry.record) for entry in entries), _epochs(entries), metric, baseline, margin)
        if question not in self._answers:
            shown = [self._record(entry) for entry in entries]
            design = _design(shown)
            comparison = records.cautioned(compare(shown, metric, baseline, margin, design), design)
            while len(self._answers) >= KEPT:
                del self._answers[next(iter(self._answers))]
            self._answers[question] = _plain(comparison, baseline, entries)
        return self._answers[question]

    def _record(self, entry: Entry) -> Record:
        before = self._records.get(entry.number)
        if before is None or before[0] != entry.record:
            self._records[entry.number] = before = entry.record, record_of(entry.row.directory)
        return before[1]


def _design(shown: Sequence[Record]) -> Design | None:
    """Return the design of a sweep that adds seeds until it is decided, if all of it is shown and nothing else."""
    places = {record.directory.resolve() for record in shown}
    sweeps = records.until_decided(places)
    whole = len(sweeps) == 1 and places == {sweeps[0].place(entry) for entry in sweeps[0].entries}
    return sweeps[0].design if whole else None


def _epochs(entries: Sequence[Entry]) -> Question:
    """Return the epochs of runs that are training, on which a comparison depends only if no run is completed."""
    if any(entry.row.state == "completed" for entry in entries):
        return ()
    return tuple(entry.progress and entry.progress["epoch"] for entry in entries)


def record_of(run: Path) -> Record:
    """Return what `record.read` returns, without reading YAML where run.json has the settings."""
    about, metrics = _object(run / paths.RUN), _object(run / paths.METRICS)
    state = status.of(_object(run / paths.STATUS))
    if (
        state is None
        or state.state == "running"
        or not run_file.is_whole(about)
        or (state.state == "completed" and not metrics)
    ):
        return record.read(run)
    seed = about["seed"]
    overridden = tuple(str(change).partition("=")[0] for change in about["changed"])
    full = Record(run, state, seed if isinstance(seed, int) else None, about["settings"], overridden, metrics)
    if state.state != "completed":
        full = replace(full, metrics={})
    return replace(full, settings={key: value for key, value in full.settings.items() if full.uses(key)})


def _object(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except UnreadableError:
        return {}
    return content if isinstance(content, dict) else {}


def _plain(comparison: Comparison, baseline: str | None, entries: Sequence[Entry]) -> dict[str, Any]:
    numbers = {entry.row.directory: entry.number for entry in entries}
    groups = len(comparison.groups)
    pairs, verdicts = groups * (groups - 1) // 2, len(comparison.verdicts)
    return {
        "metric": comparison.metric,
        "groups": [
            {
                "name": readable(group.name),
                "runs": [numbers[record.directory] for record in group.records],
                **{name: asdict(mean) for name, mean in means.items()},
            }
            for group, means in zip(comparison.groups, comparison.means, strict=True)
        ],
        "verdicts": [
            {
                **{key: readable(getattr(verdict, key)) for key in ("first", "second", "text")},
                "distinguishable": verdict.distinguishable,
            }
            for verdict in comparison.verdicts
        ],
        "warnings": [readable(text) for text in (*comparison.notes, *comparison.warnings)],
        "left_out": [numbers[record.directory] for record in comparison.left_out],
        "against_best": baseline is None and 0 < verdicts < pairs,
        "untested": groups > 1 and not verdicts,
    }
