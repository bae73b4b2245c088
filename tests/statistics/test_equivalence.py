"""Equivalence by two one-sided tests: by hand, by enumeration, against SciPy, and in the policy."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from helpers.runs import record
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mnistlab.analysis.compare import compare
from mnistlab.statistics import equivalence, policy, power
from mnistlab.statistics.tests import paired, paired_t

whole = st.lists(st.integers(-9, 9), min_size=3, max_size=9)


def equivalence_of(first, second, margin):
    """Return p of the policy for two groups."""
    return policy.equivalence(first, second, policy.difference(first, second), margin)


def by_seed(values):
    return {seed: [float(value)] for seed, value in enumerate(values)}


@given(whole, st.integers(1, 12))
@settings(deadline=None, max_examples=60)
def test_the_exact_test_is_the_larger_share_of_sign_patterns(d, margin):
    def share(x):  # of patterns whose sum is as large or larger
        sums = [sum(sign * v for sign, v in zip(signs, x, strict=True)) for signs in product((1, -1), repeat=len(x))]
        return sum(s >= sum(x) for s in sums) / len(sums)

    wanted = max(share([v + margin for v in d]), share([margin - v for v in d]))
    assert equivalence.exact(d, [0] * len(d), margin) == pytest.approx(wanted)


@given(whole, st.integers(1, 12))
@settings(deadline=None, max_examples=60)
def test_beyond_the_margin_is_the_share_of_sign_patterns_on_the_side_of_the_mean(d, margin):
    shifted = [(v if sum(d) >= 0 else -v) - margin for v in d]
    sums = [sum(s * v for s, v in zip(signs, shifted, strict=True)) for signs in product((1, -1), repeat=len(d))]
    wanted = sum(s >= sum(shifted) for s in sums) / len(sums)
    assert equivalence.exact_beyond(d, [0] * len(d), margin) == pytest.approx(wanted)


@given(st.lists(st.integers(-99, 99).map(lambda i: i / 100), min_size=3, max_size=20), st.floats(0.05, 2))
@settings(deadline=None, max_examples=60)
def test_the_paired_t_tests_are_scipys_on_shifted_differences(d, margin):
    found = paired_t(d, [0.0] * len(d))
    p = equivalence.by_t(found, margin, len(d) - 1)
    if not found.sd:
        assert math.isnan(p)
        return
    above = stats.ttest_1samp(np.array(d) + margin, 0, alternative="greater").pvalue
    below = stats.ttest_1samp(np.array(d) - margin, 0, alternative="less").pvalue
    assert p == pytest.approx(max(above, below), rel=1e-6, abs=1e-12)
    beyond = equivalence.beyond_by_t(found, margin, len(d) - 1)
    over = stats.ttest_1samp(np.array(d) - margin, 0, alternative="greater").pvalue
    under = stats.ttest_1samp(np.array(d) + margin, 0, alternative="less").pvalue
    assert beyond == pytest.approx(min(over, under), rel=1e-6, abs=1e-12)


def test_welchs_tests_are_scipys_on_shifted_groups():
    rng = np.random.default_rng(1)
    a, b, margin = rng.normal(0, 1, 7), rng.normal(0.2, 2, 5), 1.5
    found = equivalence_of(dict(enumerate([[x] for x in a])), {s + 50: [x] for s, x in enumerate(b)}, margin)
    above = stats.ttest_ind(a + margin, b, equal_var=False, alternative="greater").pvalue
    below = stats.ttest_ind(a - margin, b, equal_var=False, alternative="less").pvalue
    assert found == pytest.approx(max(above, below), rel=1e-9)


def test_six_equal_pairs_are_equivalent_by_the_exact_test():
    # all shifted differences have one sign: p = 1 / 2^6
    assert equivalence_of(by_seed([0.9] * 6), by_seed([0.9] * 6), 0.001) == 1 / 64


def test_differences_that_do_not_vary_have_no_t_test():
    assert math.isnan(equivalence_of(by_seed([0.9] * 3), by_seed([0.8] * 3), 0.2))


def test_unpaired_groups_without_any_spread_have_no_test():
    equal, other = {seed: [0.9] for seed in range(3)}, {seed: [0.8] for seed in range(10, 13)}
    assert math.isnan(equivalence_of(equal, other, 0.2))
    assert math.isnan(equivalence_of(equal, {seed: [0.9] for seed in range(10, 13)}, 0.2))
    runs = [
        record(seed, value, {"init": name})
        for name, group in zip("ab", (equal, other), strict=True)
        for seed, (value,) in group.items()
    ]
    (verdict,) = compare(runs, margin=0.2).verdicts
    assert (verdict.outcome, verdict.difference.test) == ("undecided", "Welch")


def test_below_the_level_that_random_patterns_reach_it_is_exact():
    # equal pairs: all shifted differences have one sign, p = 1 / 2^24; 20,000 patterns would say 5e-5
    d, first = np.zeros(24), np.ones(24)
    assert equivalence.exact(d, d, 0.001, 1e-4) == 2**-24
    assert equivalence.exact(d, d, 0.001) == 1 / 20_001
    groups = by_seed(first), by_seed(first)
    assert policy.equivalence(*groups, policy.difference(*groups, 528), 0.001, 528) == 2**-24


def test_two_runs_each_have_no_test():
    assert math.isnan(equivalence_of(by_seed([0.9, 0.8]), by_seed([0.9, 0.8]), 0.1))


@given(whole, st.floats(0.1, 5), st.floats(1.01, 3))
@settings(deadline=None, max_examples=60)
def test_a_wider_margin_never_has_a_larger_p(d, margin, factor):
    zeros = by_seed([0] * len(d))
    narrow, wide = (equivalence_of(by_seed(d), zeros, m) for m in (margin, margin * factor))
    assert math.isnan(narrow) or wide <= narrow + 1e-12


@given(whole, st.floats(0.1, 5))
@settings(deadline=None, max_examples=60)
def test_a_margin_below_the_difference_is_never_equivalent(d, margin):
    if abs(np.mean(d)) >= margin:
        p = equivalence_of(by_seed(d), by_seed([0] * len(d)), margin)
        assert math.isnan(p) or p >= 0.5


def test_false_equivalence_is_as_rare_as_the_level():
    # the true difference is the margin: of 2,000 samples of 8 pairs about 5 % are called equivalent, never many more
    rng = np.random.default_rng(0)
    found = sum(equivalence.exact(rng.normal(1, 0.5, 8), np.zeros(8), 1.0) <= 0.05 for _ in range(400))
    assert found <= 400 * (0.05 + 3 * math.sqrt(0.05 * 0.95 / 400))


@pytest.mark.parametrize(("sd", "margin"), [(1.0, 1.0), (1.0, 0.5), (0.3, 0.4)])
def test_the_seeds_for_equivalence_have_the_power(sd, margin):
    found = paired([sd, -sd, sd, -sd, 0.0], [0.0] * 5)
    n = power.seeds_for_equivalence(found, margin)
    rng = np.random.default_rng(2)
    d = rng.normal(0, found.sd, (4000, n))
    error = d.std(axis=1, ddof=1) / math.sqrt(n)
    shown = np.abs(d.mean(axis=1)) + stats.t.ppf(0.95, n - 1) * error <= margin
    assert 0.75 <= shown.mean() <= 0.93


@pytest.mark.parametrize(("margin", "comparisons", "seeds"), [(1.6, 1, 6), (1.6, 3, 8), (1.5, 15, 12)])
def test_the_seeds_for_equivalence_are_those_of_the_exact_test_where_it_is_used(margin, comparisons, seeds):
    found = paired_t([1, -1, 0], [0, 0, 0])
    assert found.sd == 1
    assert power.seeds_for_equivalence(found, margin, comparisons) == seeds
    assert policy.test_of(seeds, comparisons) == "sign-flip"
    signs = np.array(list(product((1, -1), repeat=seeds)))
    d = np.random.default_rng(2).normal(0, 1, (1000, seeds))

    def is_above(x):
        return ((x @ signs.T >= x.sum(axis=1, keepdims=True) - 1e-9).mean(axis=1)) <= 0.05 / comparisons

    assert (is_above(margin + d) & is_above(margin - d)).mean() >= 0.76  # its standard error is 0.013
