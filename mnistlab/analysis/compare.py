"""Runs -> a table of means with intervals, and a verdict on every difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.analysis.verdict_text import (
    about_networks,
    about_settings,
    against_the_order,
    higher_is_better,
    names_of,
)
from mnistlab.runs import paths
from mnistlab.runs.record import Group, Record, grouped, metrics_of
from mnistlab.statistics import intervals, policy, power
from mnistlab.statistics import tests as statistics
from mnistlab.statistics.intervals import Mean
from mnistlab.statistics.tests import LEVEL, Difference
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.flatten import as_text
from mnistlab.system.readers import read_arrays

METRICS = ("validation.accuracy", "test.accuracy")  # columns of every table
MOST_COMPARISONS = 200  # more verdicts would neither be read nor be significant after the correction


@dataclass(frozen=True)
class Verdict:
    """The comparison of one pair of groups. ``p`` is corrected for the number of comparisons."""

    first: str
    second: str
    metric: str
    difference: Difference | None  # None if the runs cannot be compared
    p: float
    distinguishable: bool
    seeds_needed: int | None
    text: str


@dataclass(frozen=True)
class Comparison:
    """The groups, best first, their means, and a verdict on each pair."""

    metric: str
    groups: tuple[Group, ...]
    means: tuple[dict[str, Mean], ...]
    verdicts: tuple[Verdict, ...]
    warnings: tuple[str, ...]
    left_out: tuple[Record, ...] = field(default=())


def compare(records: Sequence[Record], metric: str | None = None, baseline: str | None = None) -> Comparison:
    """Group the completed runs and compare every pair of groups, or each with the baseline.

    ``metric`` is validation.accuracy by default, or test.accuracy without a validation set. Raises `RequestError` if no
    run is completed, or the metric or the baseline does not exist.
    """
    completed = [record for record in records if record.state.state == "completed"]
    left_out = tuple(record for record in records if record.state.state != "completed")
    if not records:
        raise RequestError("there are no runs to compare; name runs, or sweeps that have jobs")
    if not completed:
        states = [record.state.state for record in records]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        cure = "wait for one to end" if "running" in states else "`mnistlab resume` runs a sweep's jobs again"
        raise RequestError(f"none of the {len(records)} runs is completed ({counts}); {cure}")
    metric = _metric(completed, metric)
    groups = grouped(completed)
    common = policy.common_seeds(*(group.values(metric) for group in groups))
    seeds = common if len(groups) > 1 and len(common) >= policy.FEWEST else None  # None: all runs
    groups = sorted(groups, key=lambda group: _rank(group, metric, seeds))
    columns = list(dict.fromkeys([metric, *METRICS]))
    means = tuple({name: intervals.mean_of(_values(group, name, seeds)) for name in columns} for group in groups)
    verdicts = _verdicts(_pairs(groups, baseline), metric, groups, seeds)
    warnings = tuple(_warnings(groups, metric, verdicts, seeds))
    return Comparison(metric, tuple(groups), means, verdicts, warnings, left_out)


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


def _values(group: Group, metric: str, seeds: Sequence[int] | None = None) -> list[float]:
    """Return the values of a metric, of all runs or of those with these seeds."""
    return [
        value for seed, values in group.values(metric).items() if seeds is None or seed in seeds for value in values
    ]


def _rank(group: Group, metric: str, seeds: Sequence[int] | None) -> float:
    values = _values(group, metric, seeds)
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


def _verdicts(
    pairs: Sequence[tuple[Group, Group]], metric: str, order: Sequence[Group], seeds: Sequence[int] | None
) -> tuple[Verdict, ...]:
    """Return the verdicts, each on the seeds of its pair; on those common to all groups where the order says otherwise.

    With the same seeds everywhere, the sign of a difference is that of the means, which order the table. If too few
    seeds are common to all groups, a pair whose common seeds contradict the table has no verdict.
    """
    if len(pairs) > MOST_COMPARISONS:
        return ()
    verdicts = _tested(pairs, metric, None)
    rank = {id(group): place for place, group in enumerate(order)}
    contradicts = [
        v.difference is not None
        and (v.distinguishable or math.isnan(v.p))  # the text says which of the two is ahead
        and _first_is_better(v.difference, metric) != (rank[id(a)] < rank[id(b)])
        for (a, b), v in zip(pairs, verdicts, strict=True)
    ]
    if any(contradicts) and seeds:
        return _tested(pairs, metric, seeds)
    return tuple(
        _undecided(a, b, v) if wrong else v for (a, b), v, wrong in zip(pairs, verdicts, contradicts, strict=True)
    )


def _undecided(a: Group, b: Group, v: Verdict) -> Verdict:
    assert v.difference is not None
    names = names_of(a, b) if _first_is_better(v.difference, v.metric) else names_of(b, a)
    return replace(
        v, distinguishable=False, seeds_needed=None, text=against_the_order(names, v.metric, v.difference, v.p)
    )


def _tested(pairs: Sequence[tuple[Group, Group]], metric: str, seeds: Sequence[int] | None) -> tuple[Verdict, ...]:
    values = [tuple(_of_seeds(group, metric, seeds) for group in pair) for pair in pairs]
    single = [
        None if policy.is_comparable(x, y) else _of_single_runs(a, b, metric)
        for (a, b), (x, y) in zip(pairs, values, strict=True)
    ]
    tests = sum(one is not None or policy.is_comparable(x, y) for one, (x, y) in zip(single, values, strict=True))
    differences = [one or policy.difference(x, y, tests) for one, (x, y) in zip(single, values, strict=True)]
    return tuple(
        _verdict(a, b, metric, d, p, tests, seeds)
        for (a, b), d, p in zip(pairs, differences, policy.corrected(differences), strict=True)
    )


def _first_is_better(d: Difference, metric: str) -> bool:
    return (d.value > 0) == higher_is_better(metric)


def _of_seeds(group: Group, metric: str, seeds: Sequence[int] | None) -> policy.Values:
    values = group.values(metric)
    return values if seeds is None else {seed: values[seed] for seed in seeds}


def _of_single_runs(a: Group, b: Group, metric: str) -> Difference | None:
    """Compare two single runs by the images that they classify correctly."""
    single = len(_values(a, metric)) == len(_values(b, metric)) == 1
    return _same_images(a.records, b.records, metric) if single and metric.endswith(".accuracy") else None


def _same_images(first: Sequence[Record], second: Sequence[Record], metric: str) -> Difference | None:
    # several runs of a group's only seed are the same experiment, so any of them will do
    a, b = (next(one for one in of if math.isfinite(one.value(metric))) for of in (first, second))
    if a.metrics.get("data_sha256") != b.metrics.get("data_sha256"):
        return None
    right = [_right(record.directory) for record in (a, b)]
    if right[0] is None or right[1] is None or not np.array_equal(right[0][0], right[1][0]) or not len(right[0][0]):
        return None
    return statistics.mcnemar(right[0][1], right[1][1])


def _right(run: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the test labels of a run, and which of them it predicted correctly."""
    try:
        saved = read_arrays(run / paths.PREDICTIONS)
        return saved["labels"], saved["probabilities"].argmax(axis=1) == saved["labels"]
    except (ValueError, KeyError):
        return None


def _verdict(
    a: Group, b: Group, metric: str, d: Difference | None, p: float, tests: int, seeds: Sequence[int] | None
) -> Verdict:
    x, y = a.values(metric), b.values(metric)
    if d is None:
        first, second, shared = names_of(a, b)
        text = f"{first} against {second}{shared}: {policy.missing(x, y)}"
        return Verdict(a.name, b.name, metric, None, p, False, None, text)
    better, worse = (a, b) if _first_is_better(d, metric) else (b, a)
    if d.test == "McNemar":
        text = about_networks(names_of(better, worse), d, p, tests)
        return Verdict(a.name, b.name, "test.accuracy", d, p, False, None, text)
    distinguishable = p <= LEVEL  # NaN is not
    needed = None if distinguishable else power.seeds_needed(d, tests)
    text = about_settings(names_of(better, worse), metric, d, p, distinguishable, needed, tests)
    if unused := 0 if d.test == "Welch" else policy.count(x) + policy.count(y) - 2 * d.n:
        runs = f"{unused} run{'s' if unused > 1 else ''}"
        kept = seeds is not None and unused > policy.left_out(x, y)
        text += f"; {runs} left out, of seeds that not all groups have" if kept else f"; {runs} {policy.ALONE}"
    return Verdict(a.name, b.name, metric, d, p, distinguishable, needed, text)


def _warnings(
    groups: Sequence[Group], metric: str, verdicts: Sequence[Verdict], seeds: Sequence[int] | None
) -> list[str]:
    warnings = []
    unused = sum(policy.count(group.values(metric)) - len(seeds) for group in groups) if seeds else 0
    if unused:
        warnings.append(
            f"the table shows the {len(seeds or ())} seeds that all groups have; {unused} other "
            f"run{'s do' if unused > 1 else ' does'} not count there"
        )
    if any(v.difference and v.difference.test == "McNemar" for v in verdicts):
        ordered = "" if metric.startswith("test.") else ", while the table is ordered by the validation set"
        warnings.append(
            f"single runs are compared by their test predictions{ordered}; to compare settings, run at least "
            f"{policy.FEWEST} seeds, seed='range({policy.FEWEST})'"
        )
    if repeats := sum(group.repeats for group in groups):
        warnings.append(
            f"{repeats} runs repeat the seed and the settings of another run; each such set counts as one run"
        )
    if metric.startswith("test.") and len(groups) > 1:
        warnings.append(
            f"the table is ordered by {metric}; choosing its first row means selecting on the test set; select by "
            "validation.accuracy, and report the test accuracy of the selected settings"
        )
    records = [record for group in groups for record in group.records]
    if len({record.metrics.get("data_sha256") for record in records}) > 1:
        warnings.append("the runs used different data (data_sha256 differs), which may explain a difference")
    splits = {
        as_text({k: v for k, v in record.settings.items() if k.startswith("data.") and _splits(k)})
        for record in records
    }
    if len(splits) > 1:
        warnings.append(
            "the runs split the data differently (data.* differs), so they were trained on different images"
        )
    if any(group.values(metric).get(None) for group in groups):
        warnings.append("some runs have no recorded seed and cannot be paired")
    if len(groups) * (len(groups) - 1) // 2 > MOST_COMPARISONS:
        warnings.append(f"{len(groups)} groups are too many to test every pair; choose one with --baseline")
    return warnings


def _splits(key: str) -> bool:
    return any(word in key for word in ("validation", "limit", "stratif"))


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
                "seeds_needed": v.seeds_needed,
                "text": v.text,
            }
            for v in comparison.verdicts
        ],
        "warnings": list(comparison.warnings),
        "left_out": [
            {"run": str(r.directory), "state": r.state.state, "error": r.state.error} for r in comparison.left_out
        ],
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
