"""Intervals and tests by hand, against SciPy's where there is one, and by their properties."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from helpers.runs import KAIMING, RANDOM, group
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mnistlab.analysis.compare import compare
from mnistlab.statistics import equivalence, intervals, power
from mnistlab.statistics.corrections import holm
from mnistlab.statistics.intervals import mean_of
from mnistlab.statistics.power import fewest_pairs, seeds_needed
from mnistlab.statistics.tests import independent, mcnemar, paired, paired_t

rng = np.random.default_rng(0)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def enumerated(d):
    """The share of all sign patterns whose sum is at least as far from zero; of whole numbers, so that ties are."""
    sums = [abs(sum(sign * x for sign, x in zip(signs, d, strict=True))) for signs in product((1, -1), repeat=len(d))]
    return sum(s >= abs(sum(d)) for s in sums) / len(sums)


def test_mean_deviation_and_interval_by_hand():
    # 1 2 3 4 5 6: mean 3.5; squares 2 (6.25 + 2.25 + 0.25) = 17.5; 17.5 / 5 = 3.5; sd 1.870829
    # t(0.975, 5) = 2.570582; half 2.570582 * 1.870829 / sqrt(6) = 1.963314
    found = mean_of([1, 2, 3, 4, 5, 6])
    assert (found.n, found.mean) == (6, 3.5)
    assert found.sd == pytest.approx(1.870829, abs=1e-6)
    assert found.half == pytest.approx(1.963314, abs=1e-6)


@pytest.mark.parametrize("n", [2, 3, 6, 30])
def test_the_interval_is_scipys(n):
    x = rng.normal(0.97, 0.002, n)
    found = mean_of(x)
    low, high = stats.t.interval(0.95, n - 1, loc=x.mean(), scale=stats.sem(x))
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high), rel=1e-12)


def test_one_value_has_a_mean_and_no_interval():
    found = mean_of([0.5])
    assert (found.n, found.mean) == (1, 0.5)
    assert math.isnan(found.sd)
    assert math.isnan(found.half)


def test_no_value_has_not_even_a_mean():
    found = mean_of([])
    assert found.n == 0
    assert math.isnan(found.mean)


def test_equal_values_have_an_interval_of_no_width():
    assert mean_of([0.5, 0.5, 0.5]) == intervals.Mean(3, 0.5, 0.0, 0.0)


def test_a_value_that_is_not_a_number_spoils_the_mean_and_says_so():
    found = mean_of([0.5, math.nan])
    assert found.n == 2
    assert math.isnan(found.mean)
    assert math.isnan(found.half)


def test_six_differences_of_one_sign():
    # of 64 patterns of signs, only + + + + + + and - - - - - - lie as far out: 2 / 64
    found = paired(KAIMING, RANDOM)
    assert (found.test, found.n, found.p) == ("sign-flip", 6, 0.03125)
    # in points: .12 .14 .20 .14 .12 .18, mean .90 / 6 = .15; squares .0009 .0001 .0025 .0001 .0009 .0009
    # sd = sqrt(.0054 / 5) = .0328634; half = 2.570582 * .0328634 / sqrt(6) = .0344880; d_z = .15 / .0328634 = 4.56436
    assert 100 * found.value == pytest.approx(0.15)
    assert 100 * found.sd == pytest.approx(0.0328634, abs=1e-7)
    assert 100 * found.half == pytest.approx(0.0344880, abs=1e-7)
    assert found.effect == pytest.approx(4.56436, abs=1e-5)


def test_a_mixed_example_by_hand():
    # 5 4 3 2 1 -1: the sum is 14 of at most 16. A pattern loses twice what it turns: as far out are all plus,
    # and each of the two ones turned, and their mirror images: 6 / 64
    d = [5, 4, 3, 2, 1, -1]
    assert enumerated(d) == 6 / 64
    assert paired(d, [0] * 6).p == 6 / 64


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=9))
@settings(deadline=None, max_examples=60)
def test_every_pattern_is_counted(d):
    assert paired(d, [0] * len(d)).p == pytest.approx(enumerated(d), abs=1e-12)


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=9), st.sampled_from([1e-300, 1e-13, 1e13]))
@settings(deadline=None, max_examples=60)
def test_every_pattern_is_counted_whatever_the_unit(d, unit):
    assert paired([x * unit for x in d], [0] * len(d)).p == pytest.approx(enumerated(d), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=9))
@settings(deadline=None, max_examples=60)
def test_ties_of_accuracies_are_counted_though_their_differences_are_rounded(right):
    # of 50 images; 0.98 - 0.96 and 0.06 - 0.04 are not the same number
    a, b = ([k / 50 for k in of] for of in zip(*right, strict=True))
    assert paired(a, b).p == pytest.approx(enumerated([k - m for k, m in right]), abs=1e-12)


def test_small_losses_that_always_differ_are_told_apart():
    # .1, .3 and their like in units of 1e-12: less than the 12 decimals to which means were once rounded
    low, high = ([loss * 1e-13 for loss in of] for of in ((1, 1.1, 0.9, 1, 1.2, 1), (3, 3.2, 2.9, 3.1, 3, 3.3)))
    assert paired(low, high).p == 2 / 64
    assert equivalence.exact(low, high, 5e-13) == 1 / 64
    assert equivalence.by_t(paired_t(low[:4], high[:4]), 5e-13, 3) < 0.05


@pytest.mark.parametrize("n", [5, 8, 12])
def test_of_ranks_it_is_wilcoxons_signed_rank_test(n):
    d = rng.permutation(np.arange(1.0, n + 1)) * rng.choice([-1, 1], n)
    assert paired(d, np.zeros(n)).p == pytest.approx(stats.wilcoxon(d, method="exact").pvalue)


def test_many_pairs_are_sampled_and_come_close():
    # 15 pairs have 32,768 patterns, of which 20,000 are drawn: the standard error of p = 0.1 is 0.002
    d = rng.normal(0.4, 1, 15)
    exact = (abs(np.array(list(product((1, -1), repeat=15))) @ d) >= abs(d.sum()) - 1e-12).mean()
    assert 0.02 < exact < 0.5
    found = paired(d, np.zeros(15)).p
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000))
    assert paired(d, np.zeros(15)).p == found  # drawn from a stream of its own


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=7))
@settings(deadline=None, max_examples=40)
def test_the_other_way_round_only_the_sign_changes(d):
    forth, back = paired(d, [0] * len(d)), paired([0] * len(d), d)
    assert (forth.p, forth.value, forth.half) == (back.p, -back.value, back.half)


def test_equal_pairs_do_not_differ():
    found = paired([0.9, 0.8, 0.7], [0.9, 0.8, 0.7])
    assert (found.p, found.value, found.half) == (1.0, 0.0, 0.0)
    assert math.isnan(found.effect)


def test_pairs_that_all_differ_by_the_same_have_no_spread():
    found = paired([0.75] * 6, [0.5] * 6)
    assert (found.p, found.value, found.sd, found.half) == (2 / 64, 0.25, 0.0, 0.0)
    assert math.isnan(found.effect)  # 0.25 / 0
    assert seeds_needed(found) is None


def test_welch_by_hand():
    # means 2 and 4, variances 1 and 4; standard error sqrt(1/3 + 4/3) = 1.290994; t = -2 / 1.290994 = -1.549193
    # freedom (5/3)^2 / ((1/3)^2 / 2 + (4/3)^2 / 2) = 2.941176; pooled sd sqrt((2 + 8) / 4) = 1.581139; sds 1, 2
    # g = (1 - 3 / (4 * 6 - 9)) * -2 / 1.581139 = -1.011929
    found = independent([1, 2, 3], [2, 4, 6])
    assert (found.test, found.n, found.value) == ("Welch", 3, -2.0)
    assert found.p == pytest.approx(2 * stats.t.cdf(-1.549193, 2.941176), abs=1e-6)
    assert found.half == pytest.approx(stats.t.ppf(0.975, 2.941176) * 1.290994, abs=1e-5)
    assert (found.sd, *found.sds) == pytest.approx((1.581139, 1, 2), abs=1e-6)
    assert found.effect == pytest.approx(-1.011929, abs=1e-6)


@pytest.mark.parametrize(("n", "m", "spread"), [(2, 2, 1), (3, 4, 5), (6, 6, 1), (40, 25, 0.2)])
def test_welch_is_scipys(n, m, spread):
    x, y = rng.normal(0, 1, n), rng.normal(0.5, spread, m)
    oracle = stats.ttest_ind(x, y, equal_var=False)
    interval = oracle.confidence_interval(0.95)
    found = independent(x, y)
    assert found.p == pytest.approx(oracle.pvalue, rel=1e-9)
    assert (found.value - found.half, found.value + found.half) == pytest.approx(tuple(interval), rel=1e-9)
    assert found.n == min(n, m)


def test_without_any_spread_welch_has_no_answer_but_to_equal_values():
    assert independent([0.5, 0.5], [0.5, 0.5]).p == 1.0
    found = independent([0.75, 0.75], [0.5, 0.5])
    assert (found.value, found.sd) == (0.25, 0.0)
    assert math.isnan(found.p)
    assert math.isnan(found.half)
    assert seeds_needed(found) is None


def test_one_group_without_spread_is_compared():
    # variances 0 and 0.005; freedom 1; t = (1 - 0.05) / sqrt(0.005 / 2) = 19
    found = independent([1.0, 1.0, 1.0], [0.0, 0.1])
    assert found.p == pytest.approx(2 * stats.t.sf(19, 1))


def test_a_value_that_is_not_a_number_leaves_welch_without_p():
    assert math.isnan(independent([0.5, math.nan], [0.4, 0.3]).p)


def right(*runs):
    """right((3, True), (1, False)) is True True True False."""
    return np.array([value for count, value in runs for _ in range(count)])


def test_mcnemar_by_hand():
    # 100 images: 10 only the first has right, 2 only the second, 80 both, 8 neither.
    # P(at most 2 of 12) = (1 + 12 + 66) / 4096, doubled 158 / 4096; value (10 - 2) / 100
    # half = 1.959964 * sqrt((0.12 - 0.08^2) / 100) = 0.0660595
    first = right((10, True), (2, False), (80, True), (8, False))
    second = right((10, False), (2, True), (80, True), (8, False))
    found = mcnemar(first, second)
    assert (found.test, found.n, found.value) == ("McNemar", 12, 0.08)
    assert found.p == pytest.approx(158 / 4096)
    assert found.half == pytest.approx(0.0660595, abs=1e-6)
    assert found.effect == pytest.approx(8 / 12)


@pytest.mark.parametrize("agreement", [0.5, 0.9, 0.99])
def test_mcnemar_is_the_binomial_test_of_the_images_told_apart(agreement):
    first = rng.random(500) < 0.9
    second = np.where(rng.random(500) < agreement, first, ~first)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    oracle = stats.binomtest(only_first, only_first + only_second)
    assert mcnemar(first, second).p == pytest.approx(oracle.pvalue)
    assert mcnemar(second, first).p == pytest.approx(oracle.pvalue)
    assert mcnemar(first, second).value == pytest.approx(first.mean() - second.mean())


def test_models_with_the_same_mistakes_are_not_told_apart():
    same = right((90, True), (10, False))
    found = mcnemar(same, same)
    assert (found.n, found.p, found.value, found.half, found.effect) == (0, 1.0, 0.0, 0.0, 0.0)


def test_holm_by_hand():
    # 0.005 * 4 = 0.02; 0.01 * 3 = 0.03; 0.03 * 2 = 0.06; 0.04 * 1 = 0.04, which is raised to the 0.06 before it
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_one_alone_and_knows_of_none():
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_an_undefined_p_is_neither_corrected_nor_counted():
    first, undefined, last = holm([0.01, math.nan, 0.04])
    assert (first, last) == pytest.approx((0.02, 0.04))
    assert math.isnan(undefined)


@given(p_values)
@settings(deadline=None)
def test_holm_never_helps_keeps_the_order_and_ends_at_one(p):
    corrected = holm(p)
    assert all(before <= after <= 1 for before, after in zip(p, corrected, strict=True))
    in_order = [corrected[i] for i in np.argsort(p, kind="stable")]
    assert in_order == sorted(in_order)
    assert min(corrected) == min(1.0, len(p) * min(p))


@given(p_values, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_holm_does_not_mind_the_order(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    assert holm([p[i] for i in order]) == [holm(p)[i] for i in order]


@given(p_values)
@settings(deadline=None)
def test_holm_lies_between_none_and_bonferroni(p):
    assert all(c <= min(1.0, len(p) * one) for c, one in zip(holm(p), p, strict=True))


@pytest.mark.parametrize(("comparisons", "pairs"), [(0, 6), (1, 6), (3, 7), (6, 8), (21, 10)])
def test_the_fewest_pairs_that_can_be_found_different(comparisons, pairs):
    # 2 / 2^6 = 0.031; 3 * 2 / 2^7 = 0.047; 6 * 2 / 2^8 = 0.047; 21 * 2 / 2^10 = 0.041
    tests = max(1, comparisons)
    assert fewest_pairs(comparisons) == pairs
    assert tests * 2 / 2**pairs <= 0.05 < tests * 2 / 2 ** (pairs - 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "same_seeds", "repetitions"),
    [
        ((6, 6), True, 600),
        ((8, 8, 8, 8), True, 150),
        ((3, 4), False, 500),
        ((4, 3, 4, 3), False, 150),
    ],
    ids=["6 pairs", "4 groups of 8 pairs", "3 and 4 runs", "4 groups of 3 or 4 runs"],
)
def test_where_nothing_differs_at_most_one_verdict_in_twenty_says_otherwise(
    monkeypatch, sizes, same_seeds, repetitions
):
    monkeypatch.setattr(power, "seeds_needed", lambda *_: None)  # no part of the verdict, and slow
    stream = np.random.default_rng(1)

    def finds(shift):
        of_seeds = stream.normal(0, 0.002, max(sizes)) if same_seeds else np.zeros(max(sizes))
        records = []
        for i, size in enumerate(sizes):
            accuracies = 0.97 + shift * i + of_seeds[:size] + stream.normal(0, 0.001, size)
            records += group({"init": f"option {i}"}, accuracies, 0 if same_seeds else 100 * i)
        return any(verdict.distinguishable for verdict in compare(records).verdicts)

    wrong = sum(finds(0) for _ in range(repetitions))
    assert wrong <= 0.05 * repetitions + 3 * math.sqrt(0.05 * 0.95 * repetitions)
    assert sum(finds(0.02) for _ in range(20)) >= 19  # and it is not blind


def test_five_seeds_are_too_few_for_the_exact_test_and_are_compared_by_the_paired_t_test():
    # differences .10 .09 .08 .07 .06: mean .08, sd .015811, t = .08 / (.015811 / sqrt(5)) = 11.3137
    apart = [*group({"init": "a"}, [0.9] * 5), *group({"init": "b"}, [0.8, 0.81, 0.82, 0.83, 0.84])]
    (verdict,) = compare(apart).verdicts
    assert verdict.distinguishable  # the exact test would say 2 / 2^5 = 0.0625, however far they lie apart
    assert verdict.p == pytest.approx(2 * stats.t.sf(11.3137, 4), rel=1e-4)
    assert verdict.text == (
        "a beats b by 8.00 +/- 1.96 points of validation.accuracy (5 seeds, paired t test, assumes normal differences, "
        "p = 0.0003)"
    )
