"""Runs -> a table of means with intervals, and a verdict on every difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from mnistlab.analysis.verdict_text import higher_is_better, points
from mnistlab.analysis.verdicts import MOST_COMPARISONS, Verdict, values_of, verdicts_by_design, verdicts_of
from mnistlab.runs.record import Group, Record, grouped, metrics_of
from mnistlab.statistics import intervals, policy
from mnistlab.statistics.intervals import Mean
from mnistlab.statistics.sequential import Design
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.flatten import as_text

METRICS = ("validation.accuracy", "test.accuracy")  # columns of every table


@dataclass(frozen=True)
class Comparison:
    """The groups, best first, their means, and a verdict on each pair."""

    metric: str
    groups: tuple[Group, ...]
    means: tuple[dict[str, Mean], ...]
    verdicts: tuple[Verdict, ...]
    warnings: tuple[str, ...]
    left_out: tuple[Record, ...] = field(default=())


def compare(
    records: Sequence[Record],
    metric: str | None = None,
    baseline: str | None = None,
    margin: float | None = None,
    design: Design | None = None,
) -> Comparison:
    """Group the completed runs and compare every pair of groups, or each with the baseline.

    ``metric`` is validation.accuracy by default, or test.accuracy without a validation set. With a ``margin``, in
    points for a proportion, the settings are also tested for equivalence. ``design`` is that of a sweep that adds seeds
    until its verdicts are decided, and is followed unless another metric, a baseline or a margin is asked for. Raises
    `RequestError` if no run is completed, or the metric or the baseline does not exist.
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
    follows = design is not None and metric in (None, design.metric) and baseline is None and margin is None
    followed = design if follows else None
    metric = followed.metric if followed else _metric(completed, metric)
    groups = grouped(completed)
    common = policy.common_seeds(*(group.values(metric) for group in groups))
    seeds = common if len(groups) > 1 and len(common) >= policy.FEWEST else None  # None: all runs
    groups = sorted(groups, key=lambda group: _rank(group, metric, seeds))
    columns = list(dict.fromkeys([metric, *METRICS]))
    means = tuple({name: intervals.mean_of(values_of(group, name, seeds)) for name in columns} for group in groups)
    within = None if margin is None else margin / 100 if points(metric) else margin
    pairs = _pairs(groups, baseline)
    if followed:
        verdicts = verdicts_by_design(pairs, groups, followed)
    else:
        verdicts = verdicts_of(pairs, metric, groups, seeds, within)
    warnings = tuple(_warnings(groups, metric, verdicts, seeds))
    if design and not followed:
        warnings += (
            f"this sweep added seeds until {design.metric} was decided; these tests, of something else, do not allow "
            "for that",
        )
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
                "outcome": v.outcome,
                "margin": v.margin,
                "p_equivalence": _number(v.p_equivalence),
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
