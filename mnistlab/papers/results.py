"""The results of a row's runs, and whether the paper's figure is in their prediction interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mnistlab.analysis.verdict_text import points
from mnistlab.metrics.classification import wilson
from mnistlab.papers import external_rows, metrics, runner
from mnistlab.papers.spec import Row
from mnistlab.runs.record import Group, Record, grouped, metrics_of
from mnistlab.statistics import intervals
from mnistlab.statistics.intervals import Mean
from mnistlab.sweeps import records
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.flatten import as_text, look_up

AS_REPORTED, HIGHER, LOWER, REACHED, MISSED = "as reported", "higher", "lower", "reached", "not reached"
TOO_WIDE = "too wide to tell"
NOT_RUN, NO_FIGURE, NO_SPREAD, OPEN = "not run", "", "one run", "not distinguishable"
OTHERS = "not the row's runs"
NO_METRIC, NO_CLASS = "no such metric", "no such class"  # in the runs
WIDE = 0.10  # a prediction interval wider than this agrees with almost any figure


class LackingError(RequestError):
    """The runs lack what a figure or a claim is about; ``verdict`` says what."""

    def __init__(self, verdict: str, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict


@dataclass(frozen=True)
class Result:
    """The runs of a row, or of its near settings, with which it comes close to the paper's figure."""

    row: Row
    records: tuple[Record, ...] = field(repr=False)  # of all jobs, completed or not
    near: bool = False
    others: str = ""  # a note on runs in its directory that have other settings, and are not among the records

    @property
    def completed(self) -> list[Record]:
        """Return the completed runs."""
        return [record for record in self.records if record.state.state == "completed"]

    @property
    def epochs(self) -> tuple[int, int] | None:
        """Return the fewest epochs that a run was given and the epochs of the row, if those are more; else None.

        A run that stopped early by its own rule is not shortened.
        """
        if "trainer.epochs" in runner.grid(self.row):
            return None
        configured = [epochs for record in self.completed if (epochs := _epochs(record)) is not None]
        full = self._planned_epochs() if configured else None
        return (min(configured), full) if full is not None and min(configured) < full else None

    def _planned_epochs(self) -> int | None:
        own = [word for word in (self.row.near.overrides if self.near and self.row.near else ()) if "epochs=" in word]
        return int(own[0].partition("=")[2]) if own else runner.planned_epochs(self.row)

    @property
    def limit(self) -> int | None:
        """Return data.limit if the runs have fewer images than the row."""
        own = runner.experiment_setting(self.row, "data", "limit")
        runs = self.completed if self.row.kind == "train" else []
        limits = {look_up(record.settings, "data.limit") for record in runs} - {own, None}
        return min(limits) if limits else None

    @property
    def shortened(self) -> str:
        """Return a note in parentheses on how the runs were shortened: fewer epochs or images."""
        notes = [f"{self.epochs[0]} of {self.epochs[1]} epochs"] if self.epochs else []
        notes += [f"{self.limit:,} images"] if self.limit else []
        return f" ({', '.join(notes)})" if notes else ""

    @property
    def missing(self) -> int:
        """Return the number of the row's runs that are missing."""
        if self.row.kind == "runs":
            return len(self.records) - len(self.completed)
        planned = self.row.seeds["full"] * math.prod(runner.grid(self.row).values())
        return max(0, planned - len(self.completed))

    @property
    def is_swept(self) -> bool:
        """Whether the runs have several settings, so that the row has no single figure."""
        return bool(runner.grid(self.row)) or len(self._groups(self.completed)) > 1

    def selected(self, where: Mapping[str, str] | None = None) -> dict[int, list[Record]]:
        """Return the completed runs with these settings by seed; several of one seed repeat one experiment.

        Raises `RequestError` if they have several settings.
        """
        wanted = {key: as_text(yaml.safe_load(text)) for key, text in (where or {}).items()}

        def fits(record: Record) -> bool:
            return all(as_text(look_up(record.settings, key)) == text for key, text in wanted.items())

        groups = self._groups([record for record in self.completed if fits(record)])
        if len(groups) > 1:
            names = [group.name for group in groups]
            raise RequestError(
                f"{self.row.label}: its runs have several settings ({'; '.join(names[:4])}"
                f"{'; ...' if len(names) > 4 else ''}); name one, for example {self.row.label} {names[0]}"
            )
        by_seed: dict[int, list[Record]] = {}
        for record in groups[0].records if groups else ():
            if record.seed is not None:
                by_seed.setdefault(record.seed, []).append(record)
        return by_seed

    def values(self, metric: str, where: Mapping[str, str] | None = None) -> dict[int, float]:
        """Return the metric by seed for the runs with these settings that have it; repeats of a seed count once."""
        by_seed = {
            seed: [value for record in runs if math.isfinite(value := metrics.value(record, metric))]
            for seed, runs in self.selected(where).items()
        }
        return {seed: sum(values) / len(values) for seed, values in by_seed.items() if values}

    def _groups(self, runs: Sequence[Record]) -> list[Group]:
        """Return runs by their settings: those that the row sweeps, or all in which existing runs differ."""
        if self.row.kind == "runs":
            return grouped(runs) if runs else []
        keys = list(runner.grid(self.row))
        by_setting: dict[tuple[str, ...], list[Record]] = {}
        for record in runs:
            by_setting.setdefault(tuple(as_text(look_up(record.settings, key)) for key in keys), []).append(record)
        return [
            Group({key: look_up(same[0].settings, key) for key in keys}, tuple(same)) for same in by_setting.values()
        ]

    def require(self, metric: str, where: Mapping[str, str] | None = None) -> None:
        """Raise `LackingError` if there are runs with these settings, but none with the metric."""
        if self.row.kind in ("train", "runs") and self.selected(where) and not self.values(metric, where):
            names = metrics_of(self.completed)
            raise LackingError(
                NO_METRIC,
                f"{self.row.label}: its runs have no metric {metric}; they have {', '.join(names[:12])}"
                f"{', ...' if len(names) > 12 else ''}{did_you_mean(metric, names)}",
            )

    def mean(self, metric: str, where: Mapping[str, str] | None = None) -> Mean:
        """Return the mean over the seeds of the runs with these settings."""
        return intervals.mean_of(list(self.values(metric, where).values()))


def read(row: Row, folder: Path, near: bool = False) -> Result:
    """Return the result of a row, without runs if none was started."""
    place = runner.directory(folder, row, near)
    if row.kind == "runs":
        return Result(row, tuple(records.of_paths(row.existing)), near)
    if row.kind != "train":
        return Result(row, tuple(external_rows.read(place)), near)
    sweep_records = records.of_sweep(place) if runner.started(place) else []
    return Result(row, tuple(sweep_records), near)


def comparable(results: Iterable[Result]) -> list[Result]:
    """Return the results that can be compared: those of complete runs, or all if all were shortened alike."""
    ran = [result for result in results if result.completed]
    cut = {(result.epochs and result.epochs[0], result.limit) for result in ran if result.shortened}
    if len(cut) == 1 and all(result.shortened for result in ran):
        return ran
    return [result for result in ran if not result.shortened]


def _epochs(record: Record) -> int | None:
    """Return the epochs that a run was given; those that it took if that is not on record; None without epochs."""
    for key in ("trainer.epochs", "model.epochs"):
        if isinstance(configured := look_up(record.settings, key), int):
            return configured
    trained = record.value("epochs")
    return int(trained) if math.isfinite(trained) else None


def spread_of_one(result: Result, metric: str, where: Mapping[str, str] | None = None) -> tuple[float, float] | None:
    """Return the prediction interval, in which 95 % of single runs, such as the paper's, are expected.

    For n seeds mean +/- t(0.975, n - 1) sd sqrt(1 + 1/n); for one run the Wilson interval of an accuracy, None for
    other metrics.
    """
    mean = result.mean(metric, where)
    if mean.n >= 2:
        half = mean.half * math.sqrt(mean.n + 1)  # half is t sd / sqrt(n)
        low, high = mean.mean - half, mean.mean + half
        return (max(low, 0.0), min(high, 1.0)) if points(metric) and metric not in metrics.SETTINGS else (low, high)
    part, _, name = metric.partition(".")
    if mean.n == 1 and name == "accuracy":
        return wilson_of_one(result, part, where)
    return None


def wilson_of_one(result: Result, part: str, where: Mapping[str, str] | None = None) -> tuple[float, float] | None:
    """Return Wilson's interval of a single run's accuracy on a part; None if the images are not counted."""
    runs = [record for runs in result.selected(where).values() for record in runs]
    scores = next((record.metrics[part] for record in runs if "correct" in record.metrics.get(part, {})), None)
    return wilson(scores["correct"], scores["n"]) if scores else None


def judge(result: Result, metric: str) -> str:
    """Return whether the paper's figure is in the prediction interval, widened by its rounding, or on which side."""
    row = result.row
    if result.others and not result.completed:
        return OTHERS
    if metric not in row.reported:
        return NO_FIGURE if result.completed else NOT_RUN
    try:
        result.require(metric)
    except LackingError as error:
        return error.verdict
    mean = result.mean(metric)
    if mean.n == 0:
        return NOT_RUN
    figure = float(row.reported[metric])
    if metric == "parameters":
        return AS_REPORTED if mean.mean == figure else HIGHER if mean.mean > figure else LOWER
    interval = spread_of_one(result, metric)
    if row.kind == "explore":  # computed from all images, without randomness
        interval = mean.mean, mean.mean
    if interval is None:
        return NO_SPREAD
    low, high = interval
    alone = mean.n == 1 and row.kind in ("train", "runs")  # the spread over seeds is unknown
    if row.at_least:
        return NO_SPREAD if alone else REACHED if low > figure else MISSED if high < figure else OPEN
    half = row.rounding(metric)
    if low - half <= figure <= high + half:
        return TOO_WIDE if points(metric) and high - low > WIDE else AS_REPORTED
    return NO_SPREAD if alone else HIGHER if mean.mean > figure else LOWER
