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
from mnistlab.runs.record import Record
from mnistlab.statistics import intervals
from mnistlab.statistics.intervals import Mean
from mnistlab.sweeps import records
from mnistlab.system.flatten import as_text, look_up

AS_REPORTED, HIGHER, LOWER, REACHED, MISSED = "as reported", "higher", "lower", "reached", "not reached"
TOO_WIDE = "too wide to tell"
NOT_RUN, NO_FIGURE, NO_SPREAD, OPEN = "not run", "", "one run", "not distinguishable"
WIDE = 0.10  # a prediction interval wider than this agrees with almost any figure


@dataclass(frozen=True)
class Result:
    """The runs of a row, or of its near settings, with which it comes close to the paper's figure."""

    row: Row
    records: tuple[Record, ...] = field(repr=False)  # of all jobs, completed or not
    near: bool = False

    @property
    def completed(self) -> list[Record]:
        """Return the completed runs."""
        return [record for record in self.records if record.state.state == "completed"]

    @property
    def epochs(self) -> tuple[int, int] | None:
        """Return the fewest epochs of a run and the epochs of the row, or None if they are the same."""
        overrides = [
            item for item in (self.row.near.overrides if self.near and self.row.near else ()) if "epochs=" in item
        ]
        full = int(overrides[0].partition("=")[2]) if overrides else runner.experiment_epochs(self.row)
        swept = "trainer.epochs" in runner.grid(self.row)
        trained = {
            int(value) for value in (record.value("epochs") for record in self.completed) if math.isfinite(value)
        }
        return None if full is None or swept or trained <= {full} else (min(trained - {full}), full)

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

    def values(self, metric: str, where: Mapping[str, str] | None = None) -> dict[int, float]:
        """Return the metric by seed for the runs with these settings."""
        return {seed: metrics.value(record, metric) for seed, record in self.runs(metric, where).items()}

    def runs(self, metric: str, where: Mapping[str, str] | None = None) -> dict[int, Record]:
        """Return the runs with these settings that have the metric, by seed."""
        by_setting = {}
        for record in self.completed:
            fits = all(
                as_text(look_up(record.settings, key)) == as_text(yaml.safe_load(text))
                for key, text in (where or {}).items()
            )
            if fits and record.seed is not None and math.isfinite(metrics.value(record, metric)):
                by_setting[record.seed] = record
        return by_setting

    def mean(self, metric: str) -> Mean:
        """Return the mean over the seeds."""
        return intervals.mean_of(list(self.values(metric).values()))


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


def spread_of_one(result: Result, metric: str) -> tuple[float, float] | None:
    """Return the prediction interval, in which 95 % of single runs, such as the paper's, are expected.

    For n seeds mean +/- t(0.975, n - 1) sd sqrt(1 + 1/n); for one run the Wilson interval of an accuracy, None for
    other metrics.
    """
    mean = result.mean(metric)
    if mean.n >= 2:
        half = mean.half * math.sqrt(mean.n + 1)  # half is t sd / sqrt(n)
        low, high = mean.mean - half, mean.mean + half
        return (max(low, 0.0), min(high, 1.0)) if points(metric) and metric not in metrics.SETTINGS else (low, high)
    part, _, name = metric.partition(".")
    if mean.n == 1 and name == "accuracy":
        (record,) = [candidate for candidate in result.completed if math.isfinite(candidate.value(metric))]
        scores = record.metrics[part]
        return wilson(scores["correct"], scores["n"]) if "correct" in scores else None
    return None


def judge(result: Result, metric: str) -> str:
    """Return whether the paper's figure is in the prediction interval, widened by its rounding, or on which side."""
    row, mean = result.row, result.mean(metric)
    if mean.n == 0:
        return NOT_RUN
    if metric not in row.reported or len({tuple(_setting(r, row)) for r in result.completed}) > 1:
        return NO_FIGURE
    figure = float(row.reported[metric])
    if metric == "parameters":
        return AS_REPORTED if mean.mean == figure else HIGHER if mean.mean > figure else LOWER
    interval = spread_of_one(result, metric)
    if row.kind == "explore":  # computed from all images, without randomness
        interval = mean.mean, mean.mean
    if interval is None:
        return NO_SPREAD
    low, high = interval
    if row.at_least:
        return REACHED if low > figure else MISSED if high < figure else OPEN
    half = row.rounding(metric)
    if low - half <= figure <= high + half:
        return TOO_WIDE if points(metric) and high - low > WIDE else AS_REPORTED
    alone = mean.n == 1 and row.kind == "train"  # the spread over seeds is unknown
    return NO_SPREAD if alone else HIGHER if mean.mean > figure else LOWER


def _setting(record: Record, row: Row) -> Sequence[str]:
    return [as_text(look_up(record.settings, key)) for key in runner.grid(row)]
