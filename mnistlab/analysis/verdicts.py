"""The verdict on every pair of groups: which test is used, on which runs, and what it says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mnistlab.analysis.verdict_text import (
    Family,
    about_networks,
    about_settings,
    against_the_order,
    equivalent,
    higher_is_better,
    names_of,
    undecided,
)
from mnistlab.runs import paths
from mnistlab.runs.record import Group, Record
from mnistlab.statistics import corrections, policy, power
from mnistlab.statistics import tests as statistics
from mnistlab.statistics.sequential import Decision, Design, progress
from mnistlab.statistics.tests import LEVEL, Difference
from mnistlab.system.readers import read_arrays

MOST_COMPARISONS = 200  # of more pairs, only the best and each other one have a verdict


@dataclass(frozen=True)
class Verdict:
    """The comparison of one pair of groups. The p-values are corrected for the number of comparisons."""

    first: str
    second: str
    metric: str
    difference: Difference | None  # None if the runs cannot be compared
    p: float
    distinguishable: bool
    seeds_needed: int | None
    text: str
    margin: float | None = None  # the largest difference that does not matter
    p_equivalence: float = math.nan  # of a difference of the margin or more
    is_equivalent: bool = False

    @property
    def outcome(self) -> str | None:
        """Return better, equivalent or undecided; None where the runs were not compared as settings."""
        if self.difference is None or self.difference.test == "McNemar":
            return None
        if self.is_equivalent:
            return "equivalent"
        return "better" if self.distinguishable else "undecided"

    @property
    def is_decided(self) -> bool:
        """Whether the settings are shown to differ, or to be equivalent."""
        return self.distinguishable or self.is_equivalent


def values_of(group: Group, metric: str, seeds: Sequence[int] | None = None) -> list[float]:
    """Return the values of a metric, of all runs or of those with these seeds."""
    return [
        value for seed, values in group.values(metric).items() if seeds is None or seed in seeds for value in values
    ]


def verdicts_of(
    pairs: Sequence[tuple[Group, Group]],
    metric: str,
    order: Sequence[Group],
    seeds: Sequence[int] | None,
    margin: float | None = None,
    family: int = 0,
) -> tuple[Verdict, ...]:
    """Return the verdicts, each on the seeds of its pair; on those common to all groups where the order says otherwise.

    With the same seeds everywhere, the sign of a difference is that of the means, which order the table. If too few
    seeds are common to all groups, a pair whose common seeds contradict the table has no verdict. ``family`` is the
    number of comparisons to correct for, if the pairs are only some of them.
    """
    verdicts = _tested(pairs, metric, None, margin, family)
    contradicts = _contradict(pairs, verdicts, order)
    if any(contradicts) and seeds:
        return _tested(pairs, metric, seeds, margin, family)
    return _without(contradicts, pairs, verdicts)


def verdicts_by_design(
    pairs: Sequence[tuple[Group, Group]], order: Sequence[Group], design: Design, failed: Sequence[Record] = ()
) -> tuple[Verdict, ...]:
    """Return the verdicts of a sweep that adds seeds until they are decided, on the seeds of its looks.

    The settings of the ``failed`` runs are not tested at looks for which they lack values.
    """
    by_seed = [{seed: v[0] for seed, v in group.values(design.metric).items() if seed is not None} for group in order]
    of_failed = {i for i, group in enumerate(order) if any(group.includes(record) for record in failed)}
    found = progress(by_seed, design, of_failed)
    place = {id(group): i for i, group in enumerate(order)}
    family, verdicts = Family(design.pairs(len(order)), len(design.looks), design.alpha), []
    for a, b in pairs:
        pair = place[id(a)], place[id(b)]
        verdicts.append(_decided(a, b, found.decisions.get(pair), design, family, pair in found.untested))
    return _without(_contradict(pairs, verdicts, order), pairs, verdicts)


def _decided(a: Group, b: Group, decision: Decision | None, design: Design, family: Family, failed: bool) -> Verdict:
    metric, margin = design.metric, design.margin
    if decision is None:
        first, second, shared = names_of(a, b)
        cause = "not tested, since runs failed" if failed else "not decided yet"
        text = f"{first} against {second}{shared}: {cause}; the first look is at {design.looks[0]} seeds"
        return Verdict(a.name, b.name, metric, None, math.nan, False, None, text, margin)
    d, p, alike = decision.difference, decision.p, decision.p_equivalence
    better, worse = (a, b) if _first_is_better(d, metric) else (b, a)
    names = names_of(better, worse)
    if decision.is_equivalent:
        assert margin is not None
        text = equivalent(names, metric, d, p, decision.differs, family, margin, alike)
    elif decision.differs or margin is None:
        text = about_settings(names, metric, d, p, decision.differs, None, family)
    else:
        text = undecided(names, metric, d, p, family, margin, alike)
    return Verdict(a.name, b.name, metric, d, p, decision.differs, None, text, margin, alike, decision.is_equivalent)


def _contradict(
    pairs: Sequence[tuple[Group, Group]], verdicts: Sequence[Verdict], order: Sequence[Group]
) -> list[bool]:
    """Return which verdicts say that one setting is ahead while the order of the table says the opposite."""
    rank = {id(group): place for place, group in enumerate(order)}
    return [
        v.difference is not None
        and (v.distinguishable or math.isnan(v.p))  # the text says which of the two is ahead
        and _first_is_better(v.difference, v.metric) != (rank[id(a)] < rank[id(b)])
        for (a, b), v in zip(pairs, verdicts, strict=True)
    ]


def _without(
    contradicts: Sequence[bool], pairs: Sequence[tuple[Group, Group]], verdicts: Sequence[Verdict]
) -> tuple[Verdict, ...]:
    return tuple(
        _undecided(a, b, v) if wrong else v for (a, b), v, wrong in zip(pairs, verdicts, contradicts, strict=True)
    )


def _undecided(a: Group, b: Group, v: Verdict) -> Verdict:
    assert v.difference is not None
    names = names_of(a, b) if _first_is_better(v.difference, v.metric) else names_of(b, a)
    text = against_the_order(names, v.metric, v.difference, v.p)
    return replace(v, distinguishable=False, seeds_needed=None, is_equivalent=False, p_equivalence=math.nan, text=text)


def _tested(
    pairs: Sequence[tuple[Group, Group]],
    metric: str,
    seeds: Sequence[int] | None,
    margin: float | None,
    family: int = 0,
) -> tuple[Verdict, ...]:
    values = [tuple(_of_seeds(group, metric, seeds) for group in pair) for pair in pairs]
    single = [
        None if policy.is_comparable(x, y) else _of_single_runs(a, b, metric)
        for (a, b), (x, y) in zip(pairs, values, strict=True)
    ]
    tested = sum(one is not None or policy.is_comparable(x, y) for one, (x, y) in zip(single, values, strict=True))
    tests = max(tested, family)
    differences = [one or policy.difference(x, y, tests) for one, (x, y) in zip(single, values, strict=True)]
    corrected = policy.corrected(differences, family)
    # A pair cannot both be equal and differ by the margin, so that either family of hypotheses is corrected alone
    alike = [math.nan] * len(pairs)
    if margin is not None:
        uncorrected = [
            policy.equivalence(x, y, d, margin, tests) for (x, y), d in zip(values, differences, strict=True)
        ]
        alike = corrections.holm(uncorrected, tests)
    return tuple(
        _verdict(a, b, metric, d, p, tests, seeds, margin, p_alike)
        for (a, b), d, p, p_alike in zip(pairs, differences, corrected, alike, strict=True)
    )


def _first_is_better(d: Difference, metric: str) -> bool:
    return (d.value > 0) == higher_is_better(metric)


def _of_seeds(group: Group, metric: str, seeds: Sequence[int] | None) -> policy.Values:
    values = group.values(metric)
    return values if seeds is None else {seed: values[seed] for seed in seeds}


def _of_single_runs(a: Group, b: Group, metric: str) -> Difference | None:
    """Compare two single runs by the images that they classify correctly."""
    single = len(values_of(a, metric)) == len(values_of(b, metric)) == 1 and not a.averaged
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
    a: Group, b: Group, metric: str, d: Difference | None, p: float, tests: int, seeds: Sequence[int] | None,
    margin: float | None, p_equivalence: float,
) -> Verdict:  # fmt: skip
    x, y = a.values(metric), b.values(metric)
    if d is None:
        first, second, shared = names_of(a, b)
        without = [name for name, values in ((first, x), (second, y)) if not values]
        has = f"{' and '.join(without)} {'has' if len(without) == 1 else 'have'} no {metric}"
        text = f"{first} against {second}{shared.rstrip(',')}: {has if without else policy.missing(x, y)}"
        return Verdict(a.name, b.name, metric, None, p, False, None, text, margin)
    better, worse = (a, b) if _first_is_better(d, metric) else (b, a)
    names, family = names_of(better, worse), Family(tests)
    if d.test == "McNemar":
        text = about_networks(names, d, p, family)
        return Verdict(a.name, b.name, "test.accuracy", d, p, False, None, text, margin)
    distinguishable, is_equivalent = p <= LEVEL, p_equivalence <= LEVEL  # NaN is not
    needed = None if distinguishable else power.seeds_needed(d, tests)
    if margin is None or math.isnan(p):
        text = about_settings(names, metric, d, p, distinguishable, needed, family)
    elif is_equivalent:
        text = equivalent(names, metric, d, p, distinguishable, family, margin, p_equivalence)
    elif distinguishable:
        text = about_settings(names, metric, d, p, distinguishable, needed, family)
    else:
        alike = power.seeds_for_equivalence(d, margin, tests)
        text = undecided(names, metric, d, p, family, margin, p_equivalence, needed, alike)
    if unused := 0 if d.test == "Welch" else policy.count(x) + policy.count(y) - 2 * d.n:
        runs = f"{unused} run{'s' if unused > 1 else ''}"
        kept = seeds is not None and unused > policy.left_out(x, y)
        text += f"; {runs} left out, of seeds that not all groups have" if kept else f"; {runs} {policy.ALONE}"
    return Verdict(
        a.name, b.name, metric, d, p, distinguishable, needed, text, margin, p_equivalence, is_equivalent
    )  # fmt: skip
