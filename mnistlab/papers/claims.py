"""Tests of a paper's claims on our runs: holds, does not hold, or not distinguishable, with the numbers.

A claim about several pairs holds if every pair differs significantly as claimed, and does not hold if one differs
significantly in the other direction. All p-values are corrected for the number of pairs by Holm's method.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.analysis.verdict_text import higher_is_better, p_in_words
from mnistlab.papers import by_design, metrics, selection_bias
from mnistlab.papers.metrics import amount, in_per_cent
from mnistlab.papers.results import NO_CLASS, OTHERS, LackingError, Result, comparable, wilson_of_one
from mnistlab.papers.spec import Claim
from mnistlab.runs import paths
from mnistlab.runs.record import Record
from mnistlab.statistics import corrections, policy
from mnistlab.statistics import tests as statistics
from mnistlab.statistics.tests import LEVEL, Difference
from mnistlab.system.errors import did_you_mean
from mnistlab.system.readers import read_table
from mnistlab.system.wording import counted

HOLDS, FAILS, OPEN, UNRUN = "holds", "does not hold", "not distinguishable", "not run"
UNEQUAL = "not judged"  # rows that were shortened differently
SINGLE = "not judged (one seed)"  # two seeds of one setting may differ as much as two settings
Results = Mapping[str, Result]


@dataclass(frozen=True)
class Finding:
    """The verdict on a claim, and the numbers behind it."""

    claim: Claim
    verdict: str
    numbers: str
    cut: bool = False  # some of its rows were shortened

    @property
    def label(self) -> str:
        """Return the verdict, with notes on its limitations."""
        return f"{self.verdict} (cut short)" if self.cut else self.verdict


@dataclass(frozen=True)
class Side:
    """The runs on one side of a comparison: those of a row, or of a swept row with one setting."""

    name: str
    values: dict[int, float]  # by seed
    runs: dict[int, Path]


def judge(claim: Claim, results: Results) -> Finding:
    """Return the verdict on one claim."""
    if missing := [row for row in claim.rows if row not in results or not results[row].completed]:
        if others := [results[row].others for row in missing if row in results and results[row].others]:
            return Finding(claim, OTHERS, "; ".join(others))
        return Finding(claim, UNRUN, f"no runs of {', '.join(missing)}")
    forms: dict[str, Callable[[Mapping[str, Any], Results], tuple[str, str]]] = {
        "beats": beats,
        "within": within,
        "above": above,
        "below": below,
        "weakest": weakest,
        "mistaken": mistaken,
        "falls": falls,
    }
    try:
        verdict, numbers = forms[claim.form](claim.settings, results)
    except LackingError as error:
        return Finding(claim, error.verdict, str(error))
    short = [f"{_name(row)}{results[row].shortened}" for row in claim.rows if results[row].shortened]
    note = f"; cut short: {', '.join(short)}" if short else ""
    if verdict != UNRUN and len(comparable(results[row] for row in claim.rows)) < len(claim.rows):
        verdict = UNEQUAL
    if verdict in (HOLDS, FAILS, OPEN) and _fewest(claim, results) == 1:
        verdict = SINGLE
    return Finding(claim, verdict, numbers + note, bool(short) and verdict != UNRUN)


def _fewest(claim: Claim, results: Results) -> int:
    """Return the smallest number of seeds on any side of a claim, of what has seeds."""
    chosen = [_chosen(text, results) for text in claim.sides]
    return min(len(result.selected(where)) for result, where in chosen if result.row.kind != "explore")


def beats(claim_settings: Mapping[str, Any], results: Results) -> tuple[str, str]:
    """Test whether the first of each pair has a higher metric than the second, or with ``lower`` a lower one.

    Without ``lower`` the better one is claimed to be first: for losses and errors, the lower one.
    """
    metric = claim_settings["metric"]
    sign = -1 if claim_settings.get("lower", not higher_is_better(metric)) else 1
    pairs = [(_side(a, metric, results), _side(b, metric, results)) for a, b in claim_settings["beats"]]
    differences = _differences(pairs, metric)
    corrected = policy.corrected(differences)
    if not all(a.values and b.values for a, b in pairs):
        return (
            UNRUN,
            f"no runs of {', '.join(dict.fromkeys(value.name for p in pairs for value in p if not value.values))}",
        )
    texts, signs = [], []
    for (a, b), d, p in zip(pairs, differences, corrected, strict=True):
        texts.append(_pair(a, b, metric, d, p))
        signs.append(0 if d is None or not p <= LEVEL else sign * int(np.sign(d.value)))
    note = by_design.caution(_runs(pairs))
    if decided := by_design.of_pairs(_runs(pairs), metric):
        texts, signs, note = [one.text for one in decided], [sign * one.sign for one in decided], ""
    verdict = HOLDS if all(value > 0 for value in signs) else FAILS if any(value < 0 for value in signs) else OPEN
    return verdict, f"{metric}: {'; '.join(texts)}{note}"


def within(claim_settings: Mapping[str, Any], results: Results) -> tuple[str, str]:
    """Test whether each pair is equivalent within the margin, or one differs by more."""
    metric, margin = claim_settings["metric"], float(claim_settings["margin"])
    pairs = [(_side(a, metric, results), _side(b, metric, results)) for a, b in claim_settings["within"]]
    if missing := [side.name for pair in pairs for side in pair if not side.values]:
        return UNRUN, f"no runs of {', '.join(dict.fromkeys(missing))}"
    if decided := by_design.of_pairs(_runs(pairs), metric, margin):
        verdict = HOLDS if all(one.verdict.is_equivalent for one in decided) else OPEN
        return verdict, f"{metric}: {'; '.join(one.text for one in decided)}"
    differences = _differences(pairs, metric)
    tests = sum(d is not None for d in differences)
    values = [(_by_seed(a), _by_seed(b), d) for (a, b), d in zip(pairs, differences, strict=True)]
    corrected = corrections.holm([policy.equivalence(*of_pair, margin, tests) for of_pair in values], tests)
    outside = corrections.holm([policy.beyond(*of_pair, margin, tests) for of_pair in values], tests)
    texts = [
        _pair(a, b, metric, d, p, "equivalence ") for (a, b), d, p in zip(pairs, differences, corrected, strict=True)
    ]
    verdict = HOLDS if all(p <= LEVEL for p in corrected) else FAILS if any(p <= LEVEL for p in outside) else OPEN
    unit = (" point" if round(margin, 9) == 0.01 else " points") if in_per_cent(metric) else ""
    return (
        verdict,
        f"{metric}: {'; '.join(texts)}; margin {amount(metric, margin)}{unit}{by_design.caution(_runs(pairs))}",
    )


def above(claim_settings: Mapping[str, Any], results: Results) -> tuple[str, str]:
    """Test whether the 95 % confidence interval of the mean, or Wilson's of a single run, is above the figure."""
    (result, where), metric = _chosen(claim_settings["row"], results), claim_settings["metric"]
    result.require(metric, where)
    mean, figure = result.mean(metric, where), float(claim_settings["above"])
    if not mean.n:
        return UNRUN, f"no runs of {_name(claim_settings['row'])}"
    low, high, sample = mean.mean - mean.half, mean.mean + mean.half, f"{mean.n} seeds"
    if mean.n == 1:
        part, _, name = metric.partition(".")
        interval = wilson_of_one(result, part, where) if name == "accuracy" else None
        if interval is None:
            return OPEN, f"{metric}: {amount(metric, mean.mean)} (one run: no interval)"
        low, high, sample = *interval, "one run: the sample of images alone"
    verdict = HOLDS if low > figure else FAILS if high < figure else OPEN
    return verdict, f"{metric}: {amount(metric, mean.mean)} ({amount(metric, low)} to {amount(metric, high)}; {sample})"


def below(claim_settings: Mapping[str, Any], results: Results) -> tuple[str, str]:
    """Test whether the 95 % confidence interval of the mean, or Wilson's of a single run, is below the figure."""
    verdict, numbers = above({**claim_settings, "above": claim_settings["below"]}, results)
    return {HOLDS: FAILS, FAILS: HOLDS}.get(verdict, verdict), numbers


def weakest(claim_settings: Mapping[str, Any], results: Results) -> tuple[str, str]:
    """Test whether each of these classes has a lower recall than each of the others, over the seeds."""
    records = _records(claim_settings["row"], results)
    if not records:
        return UNRUN, f"no runs of {_name(claim_settings['row'])}"
    runs = [metrics.recalls(record) for record in records]
    named = _classes(claim_settings, "weakest", runs[0])
    others = [name for name in runs[0] if name not in named]
    if not others:
        raise LackingError(NO_CLASS, "weakest: all classes are named; there is no other one to compare them with")
    means = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
    lowest = sorted(means, key=lambda name: means[name])[: len(named) + 1]
    numbers = "lowest recall: " + ", ".join(f"{name} {100 * means[name]:.1f}" for name in lowest)
    columns = {name: [run[name] for run in runs] for name in runs[0]}
    verdict, test = _each_above([(columns[other], columns[name]) for name in named for other in others])
    return verdict, f"{numbers} ({test})"


def mistaken(claim_settings: Mapping[str, Any], results: Results) -> tuple[str, str]:
    """Test whether the first class is predicted as the second more often than each other confusion on the test set."""
    records = _records(claim_settings["row"], results)
    if not records:
        return UNRUN, f"no runs of {_name(claim_settings['row'])}"
    runs = [metrics.mistakes(record) for record in records]
    truth, prediction = _classes(claim_settings, "mistaken", metrics.recalls(records[0]))
    claimed = truth, prediction
    means = {pair: float(np.mean([run.get(pair, 0) for run in runs])) for pair in {claimed}.union(*runs)}
    worst = sorted(means, key=lambda pair: -means[pair])
    pairs = dict.fromkeys([*worst[:3], claimed])
    numbers = "mean number of images: " + ", ".join(f"{a} for {b} {means[a, b]:.0f}" for a, b in pairs)
    counts = {pair: [float(run.get(pair, 0)) for run in runs] for pair in means}
    verdict, test = _each_above([(counts[claimed], counts[pair]) for pair in worst if pair != claimed])
    return verdict, f"{numbers} ({test})"


def _each_above(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> tuple[str, str]:
    """Test whether the first of each pair is above the second, over the seeds; p-values are corrected by Holm.

    The means of the seeds are compared pairwise. The extreme of each single run would be biased: the lowest of nine
    other classes in a run is lower than the class with the lowest mean.
    """
    differences = [_tested(a, b, len(pairs)) for a, b in pairs]
    seeds = len(pairs[0][0]) if pairs else 0
    if not pairs or any(d is None for d in differences):
        return OPEN, f"{counted(seeds, 'seed')}: too few for a test"
    tested = [d for d in differences if d is not None]
    corrected = policy.corrected(tested)
    above = [d.value > 0 and p <= LEVEL for d, p in zip(tested, corrected, strict=True)]
    below = [d.value < 0 and p <= LEVEL for d, p in zip(tested, corrected, strict=True)]
    verdict = HOLDS if all(above) else FAILS if any(below) else OPEN
    defined = [p for p in corrected if not math.isnan(p)]
    test = f"{seeds} seeds, {tested[0].test}, {sum(above)} of {len(tested)} comparisons significant"
    test += f", largest p = {p_in_words(max(defined))} after Holm" if defined else ""
    if alike := len(tested) - len(defined):
        test += f"; {alike} difference{'s do' if alike > 1 else ' does'} not vary, so no t test applies"
    return verdict, test


def falls(claim_settings: Mapping[str, Any], results: Results) -> tuple[str, str]:
    """Test whether the validation accuracy of the ten epochs up to ``after`` is higher than that of the last ten."""
    after, early, late = int(claim_settings["after"]), [], []
    for record in _records(claim_settings["falls"], results):
        column = read_table(record.directory / paths.HISTORY)["val_accuracy"].to_numpy(dtype=float)
        if len(column) >= after + 10:
            early.append(float(column[after - 10 : after].mean()))
            late.append(float(column[-10:].mean()))
    if not early:
        return UNRUN, f"no run has {after + 10} epochs"
    numbers = f"{100 * np.mean(early):.2f} in epochs {after - 9} to {after}, {100 * np.mean(late):.2f} in the last ten"
    d = _tested(early, late)
    if d is None:
        return OPEN, f"{numbers} ({counted(len(early), 'seed')}: too few for a test)"
    verdict = OPEN if not d.p <= LEVEL else HOLDS if d.value > 0 else FAILS
    return verdict, f"{numbers} ({len(early)} seeds, {d.test}, {_p_text(d.p)})"


def _chosen(text: str, results: Results) -> tuple[Result, dict[str, str]]:
    """Return the result of the row that a claim names, and the settings with which it names it."""
    row, *settings = text.split()
    return results[row], dict(setting.split("=", 1) for setting in settings)


def _name(text: str) -> str:
    return text.partition("/")[2]


def _records(text: str, results: Results) -> list[Record]:
    """Return one run of every seed of the row and settings that a claim names."""
    result, where = _chosen(text, results)
    return [runs[0] for runs in result.selected(where).values()]


def _classes(claim_settings: Mapping[str, Any], form: str, known: Collection[str]) -> list[str]:
    """Return the names of the classes of a claim; raises `LackingError` if the data have no such class."""
    names = [str(name) for name in claim_settings[form]]
    for name in names:
        if name not in known:
            raise LackingError(
                NO_CLASS,
                f"{form}: {_name(claim_settings['row'])} has no class {name}; its classes are "
                f"{', '.join(sorted(known)[:20])}{did_you_mean(name, known)}",
            )
    return names


def _side(text: str, metric: str, results: Results) -> Side:
    result, where = _chosen(text, results)
    result.require(metric, where)
    values = result.values(metric, where)
    runs = {seed: records[0].directory for seed, records in result.selected(where).items() if seed in values}
    return Side(_name(text), values, runs)


def _runs(pairs: Sequence[tuple[Side, Side]]) -> list[tuple[list[Path], list[Path]]]:
    return [([*a.runs.values()], [*b.runs.values()]) for a, b in pairs]


def _differences(pairs: Sequence[tuple[Side, Side]], metric: str) -> list[Difference | None]:
    """Compare the pairs of a claim by the policy of all comparisons, or single runs on the same images."""
    values = [(_by_seed(a), _by_seed(b)) for a, b in pairs]
    single = [_of_single_runs(a, b, metric) for a, b in pairs]
    tests = sum(one is not None or policy.is_comparable(x, y) for one, (x, y) in zip(single, values, strict=True))
    return [one or policy.difference(x, y, tests) for one, (x, y) in zip(single, values, strict=True)]


def _of_single_runs(a: Side, b: Side, metric: str) -> Difference | None:
    if not len(a.runs) == len(b.runs) == 1 or metric != "test.accuracy":
        return None
    right = selection_bias.right_of([*a.runs.values(), *b.runs.values()])
    return None if right is None else statistics.mcnemar(right[0], right[1])


def _by_seed(side: Side) -> dict[int, list[float]]:
    return {seed: [value] for seed, value in side.values.items()}


def _tested(a: Sequence[float], b: Sequence[float], comparisons: int = 1) -> Difference | None:
    """Compare values of the same runs by the policy of all comparisons."""
    first, second = ({seed: [x] for seed, x in enumerate(values)} for values in (a, b))
    return policy.difference(first, second, comparisons)


def _pair(a: Side, b: Side, metric: str, d: Difference | None, p: float, of: str = "") -> str:
    seeds = policy.common_seeds(_by_seed(a), _by_seed(b))
    paired = d is not None and d.test in ("sign-flip", "paired t")  # then the means are those of the pairs
    first, second = (
        float(np.mean([value for seed, value in side.values.items() if not paired or seed in seeds])) for side in (a, b)
    )
    text = f"{a.name} {amount(metric, first)}, {b.name} {amount(metric, second)}"
    if d is None:
        return f"{text} (too few runs for a test)"
    half = "" if math.isnan(d.half) else f" +/- {amount(metric, d.half)}"
    n, m = len(a.values), len(b.values)
    each = f"{n} seeds each" if n == m else f"{n} and {m} seeds"
    runs = "one run each" if d.test == "McNemar" else f"{d.n} seeds" if paired else each
    unused = policy.left_out(_by_seed(a), _by_seed(b))
    alone = f"; {unused} run{'s' if unused > 1 else ''} {policy.ALONE}" if unused else ""
    return f"{text}: {_signed(metric, d.value)}{half} ({runs}, {d.test}, {of}{_p_text(p)}{alone})"


def _p_text(p: float) -> str:
    return "no spread, so no t test applies" if math.isnan(p) else f"p = {p_in_words(p)}"


def _signed(metric: str, value: float) -> str:
    return f"{'+' if value >= 0 else '-'}{amount(metric, abs(value))}"
