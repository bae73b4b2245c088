"""``mnistlab train -m --halving``: train all settings a little, and only the best of them to the end.

A job that has reached a rung is paused with its checkpoint; if its setting is among the best, it goes on from there, to
the very results of an undisturbed run. Settings are compared by validation accuracy, averaged over their seeds. Jobs
that are stopped are never evaluated on the test set.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from mnistlab.config import schema
from mnistlab.reporting import tables
from mnistlab.runs import paths, status
from mnistlab.sweeps import rungs
from mnistlab.sweeps.axes import SEED, key_of
from mnistlab.sweeps.grid import Plan
from mnistlab.sweeps.job import Job
from mnistlab.sweeps.manifest import Entry, Manifest
from mnistlab.sweeps.rungs import NAME, Halving, Request
from mnistlab.system import files
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text, look_up
from mnistlab.system.readers import UnreadableError, read_json, read_json_or_empty, read_rows

LOG = logging.getLogger("mnistlab")
METRIC = "validation accuracy"


def start(request: Request, planned: Plan) -> Halving:
    """Return the design for the settings of a planned sweep."""
    epochs = set()
    for job in planned.jobs:
        config, title = job.config, job.entry.title
        if not look_up(config, "data.validation"):
            raise RequestError(f"{NAME}: {title} has no validation set to choose by; set data.validation=0.1")
        if schema.is_sklearn(config):
            model = config.hydra.runtime.choices.get("model")
            raise RequestError(f"{NAME}: model={model} is fitted in one step and has no epochs; leave it out")
        epochs.add(config.trainer.epochs)
    if len(epochs) > 1:
        numbers = ",".join(map(str, sorted(epochs)))
        raise RequestError(f"{NAME}: trainer.epochs={numbers} differs between jobs; give one number, the largest")
    settings = {_setting(job.entry) for job in planned.jobs}
    return rungs.design(len(settings), epochs.pop(), request.reduction, request.first_rung)


class Race:
    """The state of successive halving in the directory of a sweep, always read from the files of its jobs."""

    def __init__(self, manifest: Manifest) -> None:
        assert manifest.halving is not None
        self.manifest, self.halving = manifest, manifest.halving
        self.settings: dict[tuple[str, ...], list[Entry]] = {}
        for entry in manifest.entries:
            self.settings.setdefault(_setting(entry), []).append(entry)
        self.tried: set[tuple[int, int]] = set()  # job and epochs

    def batches(self, jobs: Sequence[Job]) -> Iterator[list[Job]]:
        """Yield the jobs to run next, until the best settings are trained to the end; of ``jobs`` alone."""
        allowed = {job.entry.number: job for job in jobs}
        while (progress := self.progress()).rung is not None:
            epochs = self.halving.rungs[progress.rung]
            numbers = [entry.number for entry in self.left() if (entry.number, epochs) not in self.tried]
            batch = [allowed[number] for number in numbers if number in allowed]
            if not batch:
                return
            self.tried |= {(job.entry.number, epochs) for job in batch}
            self._announce(progress, epochs)
            is_last = epochs == self.halving.rungs[-1]
            yield [replace(job, pause_after=None if is_last else epochs) for job in batch]

    def left(self) -> list[Entry]:
        """Return the jobs that have not reached the rung at which the race stands; none if it is over."""
        progress = self.progress()
        if progress.rung is None:
            return []
        epochs = self.halving.rungs[progress.rung]
        return [entry for entry in self._entries(progress.going_on) if not self._has_reached(entry, epochs)]

    def progress(self) -> rungs.Progress:
        """Return which settings go on, as far as their jobs have come."""
        return rungs.progress(self.halving, [self._values(entries) for entries in self.settings.values()])

    def write(self) -> list[list[str]]:
        """Write halving.csv, and in the status of each stopped job why; return the rows."""
        progress = self.progress()
        rows: list[list[Any]] = []
        for i, entries in enumerate(self.settings.values()):
            stop = progress.stopped.get(i)
            values = self._values(entries)
            accuracies = [values.get(epochs, math.nan) for epochs in self.halving.rungs]
            after = stop.epochs if stop else self.halving.rungs[-1]
            rows.append([_title(entries[0]), "stopped" if stop else "trained to the end", after, *accuracies])
            for entry in entries if stop else ():
                self._note(entry, stop)
        header = ["setting", "outcome", "epochs", *(f"validation_accuracy_{n}" for n in self.halving.rungs)]
        files.write(self.manifest.directory / paths.HALVING_TABLE, files.csv(header, rows))
        shown = [[*map(str, row[:3]), *("-" if math.isnan(v) else f"{100 * v:.2f}" for v in row[3:])] for row in rows]
        columns = ["setting", "outcome", "epochs", *(f"after {n}" for n in self.halving.rungs)]
        page = f"# Successive halving\n\n{self.summary()}\n\n{tables.markdown((columns, shown))}"
        files.write(self.manifest.directory / paths.HALVING_PAGE, page.rstrip() + "\n")
        return shown

    def chosen(self) -> str:
        """Return the best of the settings that were trained to the end, with its validation accuracy."""
        progress, of_all = self.progress(), list(self.settings.values())
        last = self.halving.rungs[-1]
        values = {i: self._values(of_all[i]).get(last, math.nan) for i in progress.going_on}
        finite = [i for i, value in values.items() if math.isfinite(value)]
        if not finite:
            return "no setting was trained to the end"
        best = max(finite, key=lambda i: values[i])
        return f"{_title(of_all[best][0])}  ({METRIC} {100 * values[best]:.2f} %)"

    def summary(self) -> str:
        """Return how the choice was made, in a sentence."""
        progress, seeds = self.progress(), max(map(len, self.settings.values()))
        by = METRIC + (f", the mean of {seeds} seeds" if seeds > 1 else "")
        ends = [
            f"{sum(stop.epochs == epochs for stop in progress.stopped.values())} after {epochs}"
            for epochs in self.halving.rungs[:-1]
        ]
        trained, full = self.epochs(), self.halving.rungs[-1] * len(self.manifest.entries)
        return (
            f"Settings stopped by {by} (the best so far, never the test set), of {len(self.settings)}: "
            f"{', '.join(ends)} epochs; {trained:,} of {full:,} epochs were trained ({100 * trained / full:.0f} %)."
        )

    def epochs(self) -> int:
        """Return the number of epochs that were trained in all."""
        return sum(len(self._history(entry)) for entry in self.manifest.entries)

    def _entries(self, settings: Sequence[int]) -> list[Entry]:
        of_all = list(self.settings.values())
        return [entry for setting in settings for entry in of_all[setting]]

    def _values(self, entries: Sequence[Entry]) -> dict[int, float]:
        """Return the mean accuracy of a setting at each rung that all its jobs have reached, or tried to reach."""
        values = {}
        for epochs in self.halving.rungs:
            reached = [self._has_reached(entry, epochs) for entry in entries]
            failed = [not r and (e.number, epochs) in self.tried for e, r in zip(entries, reached, strict=True)]
            if all(reached):
                each = [self._value(entry, epochs) for entry in entries]
                values[epochs] = sum(each) / len(each)
            elif all(r or f for r, f in zip(reached, failed, strict=True)):
                values[epochs] = math.nan
            else:
                break
        return values

    def _value(self, entry: Entry, epochs: int) -> float:
        """Return the best accuracy up to an epoch, or at the end that of the weights that were kept."""
        if epochs == self.halving.rungs[-1]:
            metrics = read_json_or_empty(self.manifest.place(entry) / paths.METRICS)
            return float(metrics.get("validation", {}).get("accuracy", math.nan))
        return max(self._history(entry)[:epochs], default=math.nan)

    def _has_reached(self, entry: Entry, epochs: int) -> bool:
        state = status.read(self.manifest.place(entry))
        if state.config_hash != entry.config_hash:
            return False
        if epochs == self.halving.rungs[-1] or state.state == "completed":
            return state.state == "completed"  # perhaps early, by trainer.patience
        return state.is_over and len(self._history(entry)) >= epochs

    def _history(self, entry: Entry) -> list[float]:
        """Return the validation accuracy after each epoch."""
        try:
            return [float(row["val_accuracy"]) for row in read_rows(self.manifest.place(entry) / paths.HISTORY)]
        except (UnreadableError, KeyError, ValueError):
            return []

    def _announce(self, progress: rungs.Progress, epochs: int) -> None:
        number = len(progress.going_on)
        last = epochs == self.halving.rungs[-1]
        best = rungs.kept(number, self.halving.reduction)
        then = "" if last else "; the best one goes on" if best == 1 else f"; the best {best} go on"
        rung = f"rung    {(progress.rung or 0) + 1} of {len(self.halving.rungs)}"
        LOG.info("%s: %d setting%s to epoch %d%s", rung, number, "s" * (number != 1), epochs, then)

    def _note(self, entry: Entry, stop: rungs.Stop | None) -> None:
        path = self.manifest.place(entry) / paths.STATUS
        if stop is None or status.read(path.parent).state != "pruned":
            return
        value = "no result" if math.isnan(stop.value) else f"{METRIC} {100 * stop.value:.2f} %"
        reason = (
            f"stopped after epoch {stop.epochs} of {self.halving.rungs[-1]}: {value}, rank {stop.rank} of {stop.of}"
        )
        content = read_json(path)
        if content.get("error") != reason:
            files.write_json(path, {**content, "error": reason})


def _title(entry: Entry) -> str:
    return " ".join(f"{key}={as_text(value)}" for key, value in entry.settings.items() if key != SEED)


def _setting(entry: Entry) -> tuple[str, ...]:
    return tuple(text for text in entry.overrides if key_of(text) != SEED)
