"""The number of seeds that would be needed: against tables, and by simulation with the test that is then used."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mnistlab.statistics import policy, power
from mnistlab.statistics.power import fewest_pairs, seeds_needed
from mnistlab.statistics.tests import Difference, independent

rng = np.random.default_rng(0)


def difference(test, effect, n=6):
    return Difference(test, n, effect, 0.1, 0.5, effect, 1.0, (1.0, 1.0))


@pytest.mark.parametrize(
    ("test", "effect", "seeds"),
    [  # tables of Cohen 1988 and G*Power, two-sided, alpha 0.05, power 0.8
        ("sign-flip", 0.2, 199),
        ("sign-flip", 0.5, 34),
        ("sign-flip", 0.8, 15),
        ("Welch", 0.2, 394),
        ("Welch", 0.5, 64),
        ("Welch", 0.8, 26),
    ],
)
def test_the_number_of_seeds_is_that_of_the_tables(test, effect, seeds):
    assert seeds_needed(difference(test, effect)) == seeds
    assert seeds_needed(difference(test, -effect)) == seeds


def test_with_that_number_of_seeds_four_of_five_are_found():
    # 34 pairs, effect 0.5: the standard error of a share of 0.8 among 4,000 is 0.0063
    found = stats.ttest_1samp(rng.normal(0.5, 1, (4000, 34)), 0, axis=1).pvalue <= 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.025)


def test_more_comparisons_need_more_seeds():
    needed = [seeds_needed(difference("sign-flip", 0.5), comparisons) for comparisons in (1, 3, 21)]
    assert needed == sorted(needed)
    assert len(set(needed)) == 3


@pytest.mark.parametrize("test", ["sign-flip", "paired t", "Welch"])
@pytest.mark.parametrize("comparisons", [1, 21])
@pytest.mark.parametrize("n", [3, 6, 20])
def test_always_more_seeds_are_needed_than_there_are(test, comparisons, n):
    assert seeds_needed(difference(test, 50.0, n), comparisons) == n + 1
    assert n < seeds_needed(difference(test, 0.9, n), comparisons)


@pytest.mark.parametrize(
    ("effect", "comparisons", "seeds"),
    [
        (3.0, 1, 4),  # fewer than 6 seeds: the paired t-test
        (1.7, 1, 5),
        (1.5, 1, 7),  # the t-test would find it with 6 (0.83), but the exact test, which is used there, does not (0.68)
        (1.5, 3, 9),  # from 7 seeds on it is the exact test
    ],
)
def test_the_seeds_needed_are_those_of_the_test_that_would_be_used_with_so_many(effect, comparisons, seeds):
    assert seeds_needed(difference("paired t", effect, 3), comparisons) == seeds


@pytest.mark.slow
@pytest.mark.parametrize("comparisons", [1, 3])
@pytest.mark.parametrize("effect", [1.5, 0.8])
@pytest.mark.parametrize("welch", [False, True], ids=["pairs", "Welch"])
def test_with_the_seeds_that_are_named_three_to_four_and_a_half_of_five_differences_are_found(
    welch, effect, comparisons
):
    # 600 experiments: the standard error of a share of 0.8 is 0.016
    n = seeds_needed(difference("Welch" if welch else "paired t", effect, 3), comparisons)
    stream, found = np.random.default_rng(7), 0
    for _ in range(600):
        first, second = stream.normal(effect, 1, n), stream.normal(0, 1, n) if welch else np.zeros(n)
        groups = [
            {seed + 100 * welch * i: [value] for seed, value in enumerate(values)}
            for i, values in enumerate((first, second))
        ]
        tested = policy.difference(*groups, comparisons)
        exact = n >= fewest_pairs(comparisons)
        assert tested.test == ("Welch" if welch else "sign-flip" if exact else "paired t")
        found += tested.p <= 0.05 / comparisons
    assert 0.75 <= found / 600 <= 0.9


def test_welch_needs_so_many_seeds_each_that_the_smaller_of_two_unequal_groups_grows():
    few, many = rng.normal(0, 1, 3), rng.normal(0.1, 1, 30)
    tested = independent(few, many)
    needed = seeds_needed(tested)
    assert tested.n == 3
    assert needed is None or needed > 3
    assert seeds_needed(difference("Welch", 1.0, 3)) == 17  # Cohen's table for d = 1


@pytest.mark.parametrize(
    ("n", "m", "first_sd", "second_sd", "gap"),
    [(3, 20, 4, 1, 2), (3, 30, 3, 1, 1.5), (5, 50, 5, 1, 2), (3, 30, 1, 3, 0.8), (5, 5, 1, 1, 1)],
)
def test_the_seeds_of_welchs_test_have_the_power_where_groups_differ_in_spread_and_size(n, m, first_sd, second_sd, gap):
    # of 4,000 experiments with so many runs in each group; the standard error of a share of 0.8 is 0.006
    stream = np.random.default_rng(3)
    first, second = (stats.zscore(stream.normal(size=size), ddof=1) for size in (n, m))  # of exactly this spread
    tested = independent(first_sd * first + gap, second_sd * second)
    needed, for_equivalence = seeds_needed(tested), power.seeds_for_equivalence(tested, gap)
    a, b = stream.normal(gap, first_sd, (4000, needed)), stream.normal(0, second_sd, (4000, needed))
    found = stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue <= 0.05
    assert 0.77 <= found.mean() <= 0.84
    a, b = (stream.normal(0, sd, (4000, for_equivalence)) for sd in (first_sd, second_sd))
    above = stats.ttest_ind(a + gap, b, axis=1, equal_var=False, alternative="greater").pvalue <= 0.05
    below = stats.ttest_ind(a - gap, b, axis=1, equal_var=False, alternative="less").pvalue <= 0.05
    assert 0.77 <= (above & below).mean() <= 0.84


@pytest.mark.parametrize("test", ["sign-flip", "Welch"])
def test_no_number_is_named_where_there_is_none(test):
    assert seeds_needed(difference(test, 0.001)) is None  # more than 10,000
    assert seeds_needed(difference(test, 0.0)) is None
    assert seeds_needed(Difference(test, 2, 0.5, math.nan, 1.0, math.nan, math.nan)) is None
