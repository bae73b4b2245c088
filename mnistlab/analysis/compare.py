"""Runs -> a table of means with intervals, and a verdict on every difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.runs import paths
from mnistlab.runs.record import Group, Record, grouped, metrics_of
from mnistlab.statistics import corrections, intervals, policy, power
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
    groups = sorted(grouped(completed), key=lambda group: _rank(group, metric))
    columns = list(dict.fromkeys([metric, *METRICS]))
    means = tuple({name: intervals.mean_of(_all(group, name)) for name in columns} for group in groups)
    pairs = _pairs(groups, baseline)
    verdicts = _verdicts(pairs, metric)
    return Comparison(metric, tuple(groups), means, verdicts, tuple(_warnings(groups, metric, verdicts)), left_out)


def points(metric: str) -> bool:
    """Return whether a metric is a proportion, which is printed in per cent."""
    return higher_is_better(metric) or metric.endswith("expected_calibration_error")


def higher_is_better(metric: str) -> bool:
    """Return whether higher values of a metric are better: not for losses, errors and numbers of parameters."""
    return not metric.endswith(("loss", "error", "parameters"))


def value_text(metric: str, value: float, digits: int = 2) -> str:
    """Return a value as text: proportions in per cent without the sign, others with four digits."""
    if math.isnan(value):
        return "-"
    if metric == "parameters":
        return f"{value:,.0f}"
    return f"{100 * value:.{digits}f}" if points(metric) else f"{value:.4g}"


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


def _all(group: Group, metric: str) -> list[float]:
    return [value for values in group.values(metric).values() for value in values]


def _rank(group: Group, metric: str) -> float:
    values = _all(group, metric)
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


def _verdicts(pairs: Sequence[tuple[Group, Group]], metric: str) -> tuple[Verdict, ...]:
    if len(pairs) > MOST_COMPARISONS:
        return ()
    differences = [_difference(a, b, metric) for a, b in pairs]
    corrected = iter(corrections.holm([d.p for d in differences if d]))
    tests = sum(d is not None and not math.isnan(d.p) for d in differences)
    return tuple(
        _verdict(a, b, metric, d, next(corrected) if d else math.nan, tests)
        for (a, b), d in zip(pairs, differences, strict=True)
    )


def _difference(a: Group, b: Group, metric: str) -> Difference | None:
    """Compare two groups by their seeds, or two single runs by the images that they classify correctly."""
    x, y = a.values(metric), b.values(metric)
    if difference := policy.difference(x, y):
        return difference
    single = len(_all(a, metric)) == len(_all(b, metric)) == 1
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


def _verdict(a: Group, b: Group, metric: str, d: Difference | None, p: float, tests: int) -> Verdict:
    if d is None:
        first, second, shared = _names(a, b)
        cure = "too few runs to compare; run each with at least 6 seeds, seed='range(6)'"
        text = f"{first} against {second}{shared}: {cure}"
        return Verdict(a.name, b.name, metric, None, p, False, None, text)
    metric = "test.accuracy" if d.test == "McNemar" else metric
    needed = None if d.test == "McNemar" else power.seeds_needed(d, tests)
    better, worse = (a, b) if (d.value > 0) == higher_is_better(metric) else (b, a)
    distinguishable = p <= LEVEL  # NaN is not
    text = _text(_names(better, worse), metric, d, p, distinguishable, needed, tests)
    return Verdict(a.name, b.name, metric, d, p, distinguishable, needed, text)


def _names(a: Group, b: Group) -> tuple[str, str, str]:
    """Return names for two groups, from the settings in which they differ, and a note on those that they share.

    An option needs no key: kaiming, lenet5. A value has its key, optimizer.lr=0.1, and so has the option none.
    """
    differ = [key for key in a.settings if as_text(a.settings[key]) != as_text(b.settings.get(key))]
    shared = [f"{key}={as_text(a.settings[key])}" for key in a.settings if key not in differ and a.uses(key)]
    first, second = (
        " ".join(_name(key, group.settings[key]) for key in differ if group.uses(key)) or "the default"
        for group in (a, b)
    )
    return first, second, f" (at {' '.join(shared)})" if shared else ""


def _name(key: str, value: Any) -> str:
    text = as_text(value)
    unclear = text in ("none", "null", "true", "false")  # "none beats dropout" would mean the opposite
    return f"{key}={text}" if "." in key or unclear else text


def _text(
    names: tuple[str, str, str],
    metric: str,
    d: Difference,
    p: float,
    distinguishable: bool,
    needed: int | None,
    tests: int,
) -> str:
    better, worse, shared = names
    images = d.test == "McNemar"
    unit = " points" if points(metric) else ""
    half = "" if math.isnan(d.half) else f" +/- {value_text(metric, d.half)}"
    amount = f"{value_text(metric, abs(d.value))}{half}{unit}"
    alike = {"McNemar": f"{d.n:,} discordant image{'s' if d.n != 1 else ''}", "sign-flip": f"{d.n} seeds"}
    runs = alike.get(d.test, f"{d.n} runs or more each")
    p_value = f"p = {p_in_words(p)}" + (f" after Holm for {tests}" if tests > 1 else "")
    if distinguishable:
        return f"{better} beats {worse}{shared} by {amount} of {metric} ({runs}, {p_value})"
    text = f"{better} and {worse}{shared} are not distinguishable with {runs}: {amount} of {metric} ({p_value})"
    fewest = power.fewest_pairs(tests)
    if d.test == "sign-flip" and d.n < fewest:
        text += f"; the exact test needs at least {fewest} seeds"
        if needed is not None and needed > fewest:
            text += f", and about {needed} to detect {value_text(metric, abs(d.value))}"
    elif needed is not None and d.value and not images:
        text += f"; about {needed:,} seeds would be needed to detect {value_text(metric, abs(d.value))}"
    return text


def p_in_words(p: float) -> str:
    """Return a p value as text."""
    if p == 0:
        return "0 (below 1e-300)"
    return "undefined" if math.isnan(p) else f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"


def _warnings(groups: Sequence[Group], metric: str, verdicts: Sequence[Verdict]) -> list[str]:
    warnings = []
    if any(v.difference and v.difference.test == "McNemar" for v in verdicts):
        ordered = "" if metric.startswith("test.") else ", while the table is ordered by the validation set"
        warnings.append(
            f"single runs are compared by their test predictions{ordered}; such a verdict is about these trained "
            "models only, and another seed may reverse it; to compare settings, run seed='range(6)'"
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
