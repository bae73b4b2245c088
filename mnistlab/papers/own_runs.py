"""Which runs in a row's directory are the row's own, and not those of a trial or of another claims file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mnistlab.papers import row_settings, runner
from mnistlab.papers.results import Result
from mnistlab.papers.row_settings import Settings
from mnistlab.papers.spec import BUDGETS, Row
from mnistlab.runs import paths, record
from mnistlab.runs.record import Record
from mnistlab.sweeps import manifest
from mnistlab.system import files
from mnistlab.system.errors import RequestError

SHOWN = 3  # settings that are named


@dataclass(frozen=True)
class Asked:
    """What a command asks for: the rows, a budget, and overrides of these rows."""

    rows: Sequence[Row]
    budget: str = BUDGETS[0]
    extra: Sequence[str] = ()

    def requests(self, row: Row, near: bool) -> list[list[str]]:
        """Return the overrides with which a row's sweep may have been started, the likeliest first.

        A page shows runs of either budget, and those that the command does not ask for as well.
        """
        extras = [self.extra] if row in self.rows else [(), self.extra]
        budgets = sorted(BUDGETS, key=lambda budget: budget != self.budget)
        every = [runner.overrides(row, budget, 1, near, extra) for extra in extras for budget in budgets]
        return list({tuple(_deciding(request)): request for request in reversed(every)}.values())[::-1]


def only_own(result: Result, folder: Path, asked: Asked) -> Result:
    """Return the result without the completed runs that have other settings than the row, and with a note on those.

    Nothing is composed where sweep.json was written by one of the requests, and neither an experiment nor a run has
    changed since.
    """
    if result.row.kind != "train" or not result.completed:
        return result
    place = runner.directory(folder, result.row, result.near)
    requests = asked.requests(result.row, result.near)
    differing: dict[Path, list[str]] = {}
    doubtful = _doubtful(result, place, requests)
    for i, request in enumerate(requests):
        if not doubtful:
            break
        try:
            composed = [row_settings.of_job(job) for job in runner.planned(place, request).jobs]
        except RequestError:
            if i == 0:
                raise
            continue  # its overrides are not meant for this row
        now = {run.directory: _fewest(run, composed) for run in doubtful}
        doubtful = [run for run in doubtful if now[run.directory]]
        differing = {run.directory: differing.get(run.directory, now[run.directory]) for run in doubtful}
    return _without(result, place, differing, result.row in asked.rows) if differing else result


def _doubtful(result: Result, place: Path, requests: Iterable[Sequence[str]]) -> list[Record]:
    """Return the completed runs that were not started by one of these requests, as far as sweep.json tells."""
    sweep = manifest.read(place)
    started = (place / paths.SWEEP).stat().st_mtime
    edited = any(path.stat().st_mtime > started for path in runner.experiment_files(result.row))
    if edited or _deciding(sweep.overrides) not in [_deciding(request) for request in requests]:
        return result.completed
    hashes = {sweep.place(entry): entry.config_hash for entry in sweep.entries}
    return [run for run in result.completed if hashes.get(run.directory) != run.state.config_hash]


def _deciding(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that may affect results, except the seed."""
    return [word for word in overrides if record.decides(word.partition("=")[0].lstrip("+~"))]


def _fewest(run: Record, composed: Iterable[Settings]) -> list[str]:
    """Return the differences of a run from the most similar job of the row."""
    return min((row_settings.differences(run, settings) for settings in composed), key=len)


def _without(result: Result, place: Path, differing: Mapping[Path, list[str]], chosen: bool) -> Result:
    """Return the result without these runs, which differ in these settings."""
    named = list(dict.fromkeys(text for texts in differing.values() for text in texts))
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    many = len(differing) > 1
    runs = f"{len(differing) if many else 'a'} run{'s' * many} in {files.shown(place)} {'have' if many else 'has'}"
    command = result.row.command
    cure = f"`{command}`" if command and not chosen else "the command without --page"
    note = f"{runs} {', '.join(named[:SHOWN])}{more}; {cure} trains the row's"
    kept = tuple(run for run in result.records if run.directory not in differing)
    return replace(result, records=kept, others=note)
