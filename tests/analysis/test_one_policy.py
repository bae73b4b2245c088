"""One policy of tests: of the same runs, compare, the page of a sweep and reproduce say the same, never the opposite.

common seeds                                     test
as many as the exact test needs                  sign-flip
three or more                                    paired t
fewer, and three or more runs on either side     Welch
otherwise                                        none
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.pages import Page
from helpers.runs import record, write_manifest, write_run
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mnistlab.analysis import comparison_table
from mnistlab.analysis.compare import Comparison, Verdict, compare
from mnistlab.analysis.verdict_text import higher_is_better, p_in_words
from mnistlab.papers import claims
from mnistlab.papers.results import Result
from mnistlab.papers.spec import Claim, Row
from mnistlab.runs.record import Record
from mnistlab.statistics import policy, power
from mnistlab.sweeps import html_report, summary
from mnistlab.sweeps import records as sweep_records

Values = Mapping[int | None, float]  # by seed
METRICS = ("validation.accuracy", "test.loss")


def runs(name: str, values: Values) -> list[Record]:
    return [record(seed, value, {"init": name}, test={"loss": value}) for seed, value in values.items()]


def compared(*groups: Values, metric: str = METRICS[0], baseline: str | None = None) -> Comparison:
    records = [one for name, values in zip("abcd", groups, strict=False) for one in runs(name, values)]
    return compare(records, metric, baseline)


def of(comparison: Comparison, first: str, second: str) -> Verdict:
    names = {f"init={first}", f"init={second}"}
    return next(verdict for verdict in comparison.verdicts if {verdict.first, verdict.second} == names)


def claimed(*pairs: tuple[Values, Values], metric: str = METRICS[0]) -> claims.Finding:
    """Judge that the first of every pair has a higher value."""
    once: dict[str, Any] = {
        "seeds": {"full": 1},
        "overrides": {"full": ()},
        "near": None,
        "pictures": (),
        "command": "",
    }
    row = Row("lin", "simple_nn", "train", {}, also=(), about=False, at_least=False, minutes=1, **once)
    sides = {f"lin/{'ab'[k]}{i}": values for i, pair in enumerate(pairs) for k, values in enumerate(pair)}
    found = {name: Result(row, tuple(runs(name, values))) for name, values in sides.items()}
    sides_of_pairs = [[f"lin/a{i}", f"lin/b{i}"] for i in range(len(pairs))]
    given = {"metric": metric, "beats": sides_of_pairs, "lower": False}
    return claims.judge(Claim("lin", "a claim", "beats", given), found)


# the choice


@pytest.mark.parametrize(
    ("first", "second", "comparisons", "test"),
    [
        (range(6), range(6), 1, "sign-flip"),
        (range(5), range(5), 1, "paired t"),
        (range(6), range(6), 2, "paired t"),
        (range(7), range(7), 3, "sign-flip"),
        (range(7), range(7), 4, "paired t"),
        (range(3), range(10), 1, "paired t"),
        (range(2), range(2), 1, None),
        (range(2), range(10), 1, None),
        (range(4), range(2, 6), 1, "Welch"),
        (range(3), range(10, 13), 1, "Welch"),
        (range(3), range(10, 12), 1, None),
    ],
)
def test_the_test_is_chosen_by_common_seeds_and_comparisons(
    first: Sequence[int], second: Sequence[int], comparisons: int, test: str | None
) -> None:
    stream = np.random.default_rng(0)
    groups = [{seed: [float(stream.normal())] for seed in seeds} for seeds in (first, second)]
    found = policy.difference(groups[0], groups[1], comparisons)
    assert (found.test if found else None) == test
    assert policy.is_comparable(*groups) == (test is not None)


def test_runs_without_a_seed_are_no_partners() -> None:
    group = {None: [0.9, 0.8, 0.7], 0: [0.9], 1: [0.8]}
    assert policy.common_seeds(group, group) == [0, 1]
    found = policy.difference(group, {None: [0.5, 0.4, 0.45]})
    assert found is not None
    assert (found.test, found.n) == ("Welch", 3)


@pytest.mark.parametrize("comparisons", range(1, 60))
def test_a_difference_that_all_seeds_agree_on_is_significant_where_the_exact_test_is_used(comparisons: int) -> None:
    pairs = power.fewest_pairs(comparisons)
    assert comparisons * 2 / 2**pairs <= 0.05
    assert comparisons * 2 / 2 ** (pairs - 1) > 0.05


# the example: kaiming .95, random .35

KAIMING = (0.951, 0.949, 0.950, 0.952, 0.948, 0.950, 0.951, 0.949, 0.953, 0.947)
RANDOM = (0.36, 0.33, 0.36, 0.34, 0.35, 0.37, 0.33, 0.35, 0.36, 0.34)


def test_three_seeds_of_95_against_35_per_cent_are_a_finding_in_compare_and_in_reproduce() -> None:
    # differences .591 .619 .590: mean .6, sd .0164621; t = .6 / (.0164621 / sqrt(3)) = 63.13, 2 degrees of freedom
    kaiming, random = dict(enumerate(KAIMING[:3])), dict(enumerate(RANDOM[:3]))
    verdict = of(compared(kaiming, random), "a", "b")
    assert verdict.p == pytest.approx(2 * stats.t.sf(63.13, 2), rel=1e-3)
    assert verdict.text == (
        "a beats b by 60.00 +/- 4.09 points of validation.accuracy (3 seeds, paired t test, assumes normal "
        "differences, p = 0.0003)"
    )
    found = claimed((kaiming, random))
    assert found.label == "holds"
    assert found.numbers == ("validation.accuracy: a0 95.00, b0 35.00: +60.00 +/- 4.09 (3 seeds, paired t, p = 0.0003)")


def test_three_seeds_against_ten_are_three_pairs_and_seven_runs_are_said_to_be_left_out() -> None:
    kaiming, random = dict(enumerate(KAIMING[:3])), dict(enumerate(RANDOM))
    comparison = compared(kaiming, random)
    verdict = of(comparison, "a", "b")
    assert verdict.difference is not None
    assert (verdict.difference.test, verdict.difference.n) == ("paired t", 3)
    assert verdict.text == (
        "a beats b by 60.00 +/- 4.09 points of validation.accuracy (3 seeds, paired t test, assumes normal "
        "differences, p = 0.0003); 7 runs without a partner of the same seed left out"
    )
    assert comparison.warnings == ("the table shows the 3 seeds that all groups have; 7 other runs do not count there",)
    assert [means["validation.accuracy"].n for means in comparison.means] == [3, 3]
    assert comparison.means[1]["validation.accuracy"].mean == pytest.approx(0.35)
    assert claimed((kaiming, random)).numbers.endswith(
        "b0 35.00: +60.00 +/- 4.09 (3 seeds, paired t, p = 0.0003; 7 runs without a partner of the same seed left out)"
    )


def test_one_run_that_is_left_out_is_one_run() -> None:
    comparison = compared(dict(enumerate(KAIMING[:3])), dict(enumerate(RANDOM[:4])))
    assert comparison.warnings == (
        "the table shows the 3 seeds that all groups have; 1 other run does not count there",
    )
    assert of(comparison, "a", "b").text.endswith("; 1 run without a partner of the same seed left out")


def test_the_page_of_a_sweep_and_its_summary_have_the_same_verdict(tmp_path: Path) -> None:
    points = [("kaiming", s, KAIMING[s]) for s in range(3)] + [("random", s, RANDOM[s]) for s in range(10)]
    manifest = write_manifest(tmp_path / "s", [{"init": init, "seed": seed} for init, seed, _ in points])
    for entry, (init, seed, accuracy) in zip(manifest.entries, points, strict=True):
        config = {"seed": seed, "init": {"scale": len(init)}}
        overrides = [f"init={init}", f"seed={seed}"]
        write_run(manifest.place(entry), accuracy, config=config, choices={"init": init}, overrides=overrides)
    found = sweep_records.of_sweep(manifest.directory)
    comparison = compare(found)
    summary.write(manifest, found, False)
    html_report.write(manifest, found, comparison, False)
    text = comparison.verdicts[0].text
    assert text.startswith("kaiming beats random by 60.00 +/- 4.09 points")
    assert text in (manifest.directory / "summary.md").read_text()
    assert text in Page(manifest.directory / "report.html").text


# the order of the table


def test_where_the_seeds_of_a_pair_contradict_the_table_all_pairs_are_tested_on_the_common_seeds() -> None:
    # on seeds 0 to 2, which all have, a is ahead of b; on the ten of a and b, b beats a
    b = {s: 0.5 + s / 1000 for s in range(10)}
    a = {s: b[s] + (0.01 + s / 1000 if s < 3 else -0.05 - s / 1000) for s in range(10)}
    c = {s: 0.3 + s * s / 1000 for s in range(3)}
    comparison = compared(a, b, c)
    assert [group.name for group in comparison.groups] == ["init=a", "init=b", "init=c"]
    verdict = of(comparison, "a", "b")
    assert verdict.text.startswith("a beats b by 1.10 +/- 0.25 points of validation.accuracy (3 seeds, paired t test")
    assert verdict.text.endswith("; 14 runs left out, of seeds that not all groups have")
    assert comparison.warnings == (
        "the table shows the 3 seeds that all groups have; 14 other runs do not count there",
    )


def test_where_too_few_seeds_are_common_to_all_a_pair_that_contradicts_the_table_has_no_verdict() -> None:
    # on its six pairs with b, a is ahead, but over all its runs b is; c has other seeds, so that the table has all runs
    a = {s: 0.50 + s / 1000 for s in range(6)}
    b = {s: a[s] - 0.01 - s / 1000 for s in range(6)} | dict.fromkeys(range(6, 12), 0.9)
    c = {s: 0.2 + s / 1e5 for s in range(100, 103)}
    comparison = compared(a, b, c)
    assert [group.name for group in comparison.groups] == ["init=b", "init=a", "init=c"]
    verdict = of(comparison, "a", "b")
    assert (verdict.distinguishable, verdict.seeds_needed) == (False, None)
    assert verdict.text == (
        "a and b: no verdict; a is ahead by 1.25 +/- 0.20 points of validation.accuracy in the 6 common seeds "
        f"(p = {p_in_words(verdict.p)}) but behind in the mean of all runs; run both with the same seeds"
    )
    assert of(comparison, "a", "c").text.startswith("a beats c by ")


@pytest.mark.parametrize("metric", METRICS)
def test_a_baseline_may_stand_anywhere_in_the_order(metric: str) -> None:
    a, b, c = ({s: level + (s * k % 7) / 1000 for s in range(7)} for level, k in ((0.9, 1), (0.5, 3), (0.7, 2)))
    best, worst = ("a", "b") if higher_is_better(metric) else ("b", "a")
    said = {v.text.partition(" by ")[0] for v in compared(a, b, c, metric=metric, baseline="init=c").verdicts}
    assert said == {f"{best} beats c", f"c beats {worst}"}


def test_one_number_of_comparisons_chooses_the_test_and_corrects_p() -> None:
    # four groups: six comparisons, which need eight seeds; the differences of a, b and c do not vary
    a = {s: 0.9 + s / 1000 for s in range(7)}
    b, c = ({s: value - by for s, value in a.items()} for by in (0.25, 0.5))
    d = {s: 0.1 + s * s / 1000 for s in range(7)}
    comparison = compared(a, b, c, d)
    assert of(comparison, "a", "b").text.endswith(
        "in each of 7 seeds; the differences do not vary, so no t test applies; 8 common seeds allow the exact test"
    )
    varied = [verdict for verdict in comparison.verdicts if "init=d" in (verdict.first, verdict.second)]
    assert all(verdict.text.endswith(" after Holm for 6)") for verdict in varied)
    assert min(verdict.p for verdict in varied) == pytest.approx(
        6 * min(verdict.difference.p for verdict in varied if verdict.difference)
    )


# any runs

grid = st.integers(0, 12).map(lambda i: 0.5 + i / 40)  # values that are often equal
values = st.one_of(grid, st.floats(0.01, 0.99))
seeds = st.sets(st.integers(0, 9), min_size=1, max_size=10)
ordinary = seeds.flatmap(lambda s: st.fixed_dictionaries(dict.fromkeys(sorted(s), values)))
shifted = st.tuples(ordinary, st.floats(-0.3, 0.3)).map(lambda x: {s: v + x[1] for s, v in x[0].items()})
with_seed = st.one_of(ordinary, shifted)
some_without = st.tuples(with_seed, st.one_of(st.none(), values)).map(
    lambda x: x[0] if x[1] is None else {**x[0], None: x[1]}
)


@st.composite
def opposed(draw: Any) -> list[Values]:
    """Two groups that differ one way on common seeds and the other way over all, and a third with some of the seeds."""
    common, more, kept = draw(st.integers(3, 8)), draw(st.integers(1, 10)), draw(st.integers(0, 8))
    gap, jump = draw(st.sampled_from((-0.02, 0.02))), draw(st.sampled_from((-0.4, 0.4)))
    first = {s: 0.5 + (s * 3 % 7) / 500 for s in range(common)}
    second = {s: value + gap + (s * 2 % 5) / 1000 for s, value in first.items()}
    second |= dict.fromkeys(range(common, common + more), 0.5 + jump)
    third = {s: 0.1 + (s * 5 % 7) / 1000 for s in [*range(kept), 100, 101, 102]}
    return [first, second, third]


def check_order(comparison: Comparison) -> None:
    rank = {group.name: place for place, group in enumerate(comparison.groups)}
    table = comparison_table.markdown(comparison).splitlines()
    for verdict in comparison.verdicts:
        assert verdict.distinguishable == (" beats " in verdict.text)
        assert "undefined" not in verdict.text
        assert "p = 0)" not in verdict.text
        first, second = sorted((verdict.first, verdict.second), key=rank.__getitem__)
        better, worse = first.partition("=")[2], second.partition("=")[2]
        if verdict.distinguishable:
            assert verdict.text.startswith(f"{better} beats {worse} by ")
            lines = [
                next(i for i, line in enumerate(table) if line.startswith(f"| {name} |")) for name in (better, worse)
            ]
            assert lines == sorted(lines)
        d = verdict.difference
        assert verdict.seeds_needed is None or (d is not None and verdict.seeds_needed > d.n)
        assert f"{worse} is ahead of {better}" not in verdict.text


any_groups = st.one_of(st.lists(some_without, min_size=2, max_size=4), opposed())


@given(any_groups, st.sampled_from(METRICS), st.sampled_from([None, "init=a"]))
@settings(deadline=None, max_examples=200)
def test_no_verdict_contradicts_the_order_of_the_table(groups: list[Values], metric: str, baseline: str | None) -> None:
    check_order(compared(*groups, metric=metric, baseline=baseline))


@given(with_seed, with_seed, st.sampled_from(METRICS))
@settings(deadline=None, max_examples=120)
def test_compare_and_reproduce_use_the_same_test_and_have_the_same_p(a: Values, b: Values, metric: str) -> None:
    verdict = of(compared(a, b, metric=metric), "a", "b")
    found, d = claimed((a, b), metric=metric), verdict.difference
    if d is None:
        assert found.numbers.endswith(" (too few runs for a test)")
        assert found.label == ("not judged (one seed)" if min(len(a), len(b)) == 1 else "not distinguishable")
        return
    p = "no spread, so no t test applies" if math.isnan(verdict.p) else f"p = {p_in_words(verdict.p)}"
    assert f", {d.test}, {p}" in found.numbers
    assert found.label == (
        "not distinguishable" if not verdict.distinguishable else "holds" if _ahead(verdict) else "does not hold"
    )
    said = " left out" in verdict.text
    assert said == (" left out" in found.numbers) == (d.test != "Welch" and len(a) + len(b) > 2 * d.n)


def _ahead(verdict: Verdict) -> bool:
    assert verdict.difference is not None
    return (verdict.difference.value > 0) == (verdict.first == "init=a")


@given(st.lists(with_seed, min_size=3, max_size=4))
@settings(deadline=None, max_examples=60)
def test_of_several_pairs_too(groups: list[Values]) -> None:
    comparison = compared(*groups)
    by_name = {f"init={name}": group for name, group in zip("abcd", groups, strict=False)}
    numbers = claimed(*[(by_name[v.first], by_name[v.second]) for v in comparison.verdicts]).numbers
    texts: list[Any] = numbers.split("; a")
    if any(v.text.endswith("of seeds that not all groups have") for v in comparison.verdicts):
        return  # the order of a table, which reproduce does not have, has decided
    for verdict, text in zip(comparison.verdicts, texts, strict=True):
        if verdict.difference is None:
            assert text.endswith(" (too few runs for a test)")
        elif not math.isnan(verdict.p):
            assert f", {verdict.difference.test}, p = {p_in_words(verdict.p)}" in text
