"""Runs -> a table of means with intervals, and a verdict on every difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from mnistlab.analysis import best_over as tuning
from mnistlab.analysis import factors, p_matrix
from mnistlab.analysis.cautions import about_failed, cautions
from mnistlab.analysis.conditions import meeting
from mnistlab.analysis.verdict_text import check_margin, higher_is_better, points
from mnistlab.analysis.verdicts import MOST_COMPARISONS, Verdict, values_of, verdicts_by_design, verdicts_of
from mnistlab.runs import progress
from mnistlab.runs.progress import Progress
from mnistlab.runs.record import Group, Record, grouped, metrics_of
from mnistlab.statistics import intervals, policy
from mnistlab.statistics.intervals import Mean
from mnistlab.statistics.sequential import Design
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.flatten import as_text

METRICS = ("validation.accuracy", "test.accuracy")  # columns of every table
SO_FAR = ("validation.accuracy", "train.accuracy")  # those of runs that are still training


@dataclass(frozen=True)
class Question:
    """What is asked of runs; by default, how all groups of runs with the same settings differ.

    ``metric`` is validation.accuracy by default, or test.accuracy without a validation set or with ``best_over``.
    Every group is compared with the ``baseline``, if any. With a ``margin``, in points for a proportion, the settings
    are also tested for equivalence. ``factor`` is a setting whose values are compared, each averaged over the other
    settings; ``best_over`` are settings of which every group has its own best values; ``where`` are conditions on
    settings.
    """

    metric: str | None = None
    baseline: str | None = None
    margin: float | None = None
    factor: str | None = None
    best_over: tuple[str, ...] = ()
    where: str | None = None

    @property
    def within(self) -> float | None:
        """Return the margin in the unit of the metric."""
        if self.margin is None or self.metric is None:
            return None
        return self.margin / 100 if points(self.metric) else self.margin


@dataclass(frozen=True)
class Comparison:
    """The groups, best first, their means, and a verdict on each pair, or on the best and each other group."""

    metric: str
    groups: tuple[Group, ...]
    means: tuple[dict[str, Mean], ...]
    verdicts: tuple[Verdict, ...]
    warnings: tuple[str, ...]
    left_out: tuple[Record, ...] = field(default=())
    question: Question = field(default=Question())
    notes: tuple[str, ...] = ()  # how the values of the groups came about
    training: tuple[tuple[Record, Progress], ...] = ()  # unfinished runs that have completed an epoch
    epoch: int | None = None  # if no run is completed: the epoch whose values these are
    by_design: bool = False  # whether the verdicts are those of a sweep that adds seeds until they are decided

    @property
    def pairs(self) -> int:
        """Return the number of pairs of groups."""
        return len(self.groups) * (len(self.groups) - 1) // 2


def compare(
    records: Sequence[Record],
    metric: str | None = None,
    baseline: str | None = None,
    margin: float | None = None,
    design: Design | None = None,
    **more: Any,
) -> Comparison:
    """Group the completed runs and compare every pair of groups, or answer another `Question`.

    ``design`` is that of a sweep that adds seeds until its verdicts are decided, and is followed unless something else
    is asked for. If no run is completed, the runs that are training are compared at the last epoch that all of them
    have reached, without tests. Raises `RequestError` if there is nothing to compare, or what is asked for does not
    exist.
    """
    question = Question(metric, baseline, margin, **more)
    if not records:
        raise RequestError("there are no runs to compare; name runs, or sweeps that have jobs")
    if question.where:
        records = meeting(records, question.where)
    completed = [record for record in records if record.state.state == "completed"]
    left_out = tuple(record for record in records if record.state.state != "completed")
    training = tuple((record, latest) for record in left_out if (latest := progress.read(record)))
    if not completed:
        return _so_far(records, training, question)
    follows = design is not None and question in (Question(), Question(design.metric))
    followed = design if follows else None
    groups, notes, question = _groups(completed, left_out, question, followed)
    failed = [record for record in records if followed and record.is_over_without(followed.metric)]
    comparison = _compared(groups, question, followed, failed)
    warnings = (*comparison.warnings, *about_failed(records, failed))
    if design and not followed:
        warnings += (
            f"this sweep added seeds until {design.metric} was decided; these tests, of something else, do not allow "
            "for that",
        )
    return replace(comparison, warnings=warnings, left_out=left_out, notes=notes, training=training)


def effect(comparison: Comparison, factor: str) -> Comparison | None:
    """Return the comparison of the values of one of several settings that vary; None if no two can be compared."""
    try:
        groups, notes = factors.levels(comparison.groups, factor, comparison.metric)
    except RequestError:
        return None
    question = replace(comparison.question, metric=comparison.metric, factor=factor, baseline=None)
    return replace(_compared(groups, question, None), notes=tuple(notes))


def effects(comparison: Comparison) -> list[Comparison]:
    """Return the effect of every setting, where several vary; none for verdicts that came from a design, or so far."""
    keys = list(comparison.groups[0].settings)
    if len(keys) < 2 or comparison.epoch or comparison.by_design or comparison.question.factor:
        return []
    return [one for key in keys if (one := effect(comparison, key))]


def _groups(
    completed: Sequence[Record], left_out: Sequence[Record], question: Question, design: Design | None
) -> tuple[list[Group], tuple[str, ...], Question]:
    """Return the groups to compare, how they came about, and the question with its metric."""
    groups: Sequence[Group] = grouped(completed, left_out)
    notes: list[str] = []
    metric = design.metric if design else question.metric
    if question.best_over:
        metric = _metric(completed, metric or tuning.METRIC)
        groups, notes = tuning.best_over(groups, question.best_over, metric, left_out)
    else:
        metric = _metric(completed, metric)
    check_margin(question.margin, metric)
    is_all_that_is_left = question.best_over and list(groups[0].settings) == [question.factor]
    if question.factor and not is_all_that_is_left:
        groups, more = factors.levels(groups, question.factor, metric)
        notes += more
    return list(groups), tuple(notes), replace(question, metric=metric)


def _compared(
    groups: Sequence[Group], question: Question, design: Design | None, failed: Sequence[Record] = ()
) -> Comparison:
    assert question.metric is not None
    metric = question.metric
    common = policy.common_seeds(*(group.values(metric) for group in groups))
    seeds = common if len(groups) > 1 and len(common) >= policy.FEWEST else None  # None: all runs
    groups = sorted(groups, key=lambda group: _rank(group, metric, seeds))
    columns = list(dict.fromkeys([metric, *METRICS]))
    means = tuple({name: intervals.mean_of(values_of(group, name, seeds)) for name in columns} for group in groups)
    pairs, family = _pairs(groups, question.baseline), 0
    if design:
        verdicts = verdicts_by_design(pairs, groups, design, failed)
    else:
        if question.baseline is None and len(pairs) > MOST_COMPARISONS:
            pairs, family = pairs[: min(len(groups) - 1, MOST_COMPARISONS)], len(pairs)  # those of the best come first
        verdicts = verdicts_of(pairs, metric, groups, seeds, question.within, family)
        verdicts = tuple(factors.with_reversals(verdicts, pairs, metric))
    warnings = tuple(cautions(groups, metric, verdicts, seeds, family))
    return Comparison(metric, tuple(groups), means, verdicts, warnings, question=question, by_design=design is not None)


def _so_far(records: Sequence[Record], training: Sequence[tuple[Record, Progress]], question: Question) -> Comparison:
    """Compare runs that are training at the last epoch that all of them have reached."""
    if not training:
        states = [record.state.state for record in records]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        cure = "wait for its first epoch" if "running" in states else "`mnistlab resume` runs a sweep's jobs again"
        raise RequestError(f"no run is completed ({counts}); {cure}")
    if question.best_over:
        raise RequestError(f"--best-over {','.join(question.best_over)}: no run is completed; wait for test results")
    epoch = min(latest.epoch for _, latest in training)
    at_epoch = [replace(record, metrics=latest.epochs[epoch - 1]) for record, latest in training]
    default = next((name for name in SO_FAR if all(math.isfinite(one.value(name)) for one in at_epoch)), SO_FAR[1])
    metric = _metric(at_epoch, question.metric or default)
    check_margin(question.margin, metric)
    groups: Sequence[Group] = grouped(at_epoch, records)
    notes: list[str] = []
    if question.factor:
        groups, notes = factors.levels(groups, question.factor, metric)
    question = replace(question, metric=metric)
    groups = sorted(groups, key=lambda group: _rank(group, metric, None))
    columns = list(dict.fromkeys([metric, *SO_FAR]))
    means = tuple({name: intervals.mean_of(values_of(group, name)) for name in columns} for group in groups)
    runs = f"all {len(training)} runs in training have" if len(training) > 1 else "the run in training has"
    warning = f"no run is completed; these are the values after epoch {epoch}, which {runs} reached, without tests"
    started = {record.directory for record, _ in training}
    left_out = tuple(record for record in records if record.directory not in started)
    return Comparison(
        metric, tuple(groups), means, (), (warning,), left_out, question, tuple(notes), tuple(training), epoch
    )


def _metric(records: Sequence[Record], metric: str | None) -> str:
    available = metrics_of(records)
    if metric is None:
        return METRICS[0] if all(math.isfinite(record.value(METRICS[0])) for record in records) else METRICS[1]
    if metric not in available:
        names = dict.fromkeys(name.partition(".")[2] for name in available if "." in name)
        raise RequestError(
            f"--metric {metric}: must be train, validation or test with one of {', '.join(names)}, as in "
            f"test.accuracy; or parameters{did_you_mean(metric, available)}"
        )
    return metric


def _rank(group: Group, metric: str, seeds: Sequence[int] | None) -> float:
    values = values_of(group, metric, seeds)
    if not values:
        return math.inf
    return float(np.mean(values)) * (-1 if higher_is_better(metric) else 1)


def _pairs(groups: Sequence[Group], baseline: str | None) -> list[tuple[Group, Group]]:
    if baseline is None:
        return list(combinations(groups, 2))
    wanted = set(baseline.split())
    matching = [g for g in groups if wanted <= set(g.name.split()) | {as_text(value) for value in g.settings.values()}]
    if len(matching) != 1:
        names = "; ".join(group.name for group in groups[:8]) + ("; ..." if len(groups) > 8 else "")
        fits = "no group matches" if not matching else f"{len(matching)} groups match"
        raise RequestError(f"--baseline {baseline}: {fits}; name the settings of one group: {names}")
    return [(group, matching[0]) for group in groups if group is not matching[0]]


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values, NaN as null."""
    return {
        "metric": comparison.metric,
        "groups": [
            {
                "name": group.name,
                "settings": dict(group.settings),
                "runs": [str(record.directory) for record in group.records],
                "seeds": [record.seed for record in group.records],
                **{
                    name: {key: _number(getattr(mean, key)) for key in ("n", "mean", "sd", "half")}
                    for name, mean in means.items()
                },
            }
            for group, means in zip(comparison.groups, comparison.means, strict=True)
        ],
        "verdicts": [
            {
                "first": v.first,
                "second": v.second,
                "test": v.difference.test if v.difference else None,
                "n": v.difference.n if v.difference else None,
                "difference": _number(v.difference.value) if v.difference else None,
                "half": _number(v.difference.half) if v.difference else None,
                "p": _number(v.difference.p) if v.difference else None,
                "p_holm": _number(v.p),
                "effect_size": _number(v.difference.effect) if v.difference else None,
                "distinguishable": v.distinguishable,
                "outcome": v.outcome,
                "margin": v.margin,
                "p_equivalence": _number(v.p_equivalence),
                "seeds_needed": v.seeds_needed,
                "text": v.text,
            }
            for v in comparison.verdicts
        ],
        "effects": [
            {"factor": one.question.factor, **{key: as_json(one)[key] for key in ("groups", "verdicts", "warnings")}}
            for one in effects(comparison)
        ],
        "p_values": p_matrix.as_json(comparison),
        "warnings": [*comparison.notes, *comparison.warnings],
        "training": [
            {
                "run": str(record.directory),
                "epoch": latest.epoch,
                "epochs": latest.planned,
                "metrics": latest.epochs[-1],
            }
            for record, latest in comparison.training
        ],
        "left_out": [
            {"run": str(r.directory), "state": r.state.state, "error": r.state.error} for r in comparison.left_out
        ],
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
