"""The share of sign patterns: by enumeration, by hand, and at levels that 20,000 random patterns cannot reach."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistlab.statistics import policy
from mnistlab.statistics.corrections import holm
from mnistlab.statistics.power import fewest_pairs
from mnistlab.statistics.sign_patterns import share_above
from mnistlab.statistics.tests import paired, sign_flip

SIGNS = np.array(list(product((1, -1), repeat=16)))
LEVEL = 1e-4
rng = np.random.default_rng(0)


@given(st.lists(st.integers(-9, 9), min_size=16, max_size=16), st.sampled_from(["two-sided", "greater"]))
@settings(deadline=None, max_examples=40)
def test_every_pattern_is_counted_ties_included(d, alternative):
    sums, observed = SIGNS @ d, sum(d)
    wanted = np.mean(sums >= observed if alternative == "greater" else np.abs(sums) >= abs(observed))
    assert sign_flip(np.array(d) / 100, alternative, LEVEL) == wanted


@pytest.mark.parametrize("pairs", [15, 24, 33, 44])
def test_differences_of_one_sign_have_the_smallest_p(pairs):
    d = rng.uniform(0.001, 0.01, pairs)
    assert sign_flip(d, level=2 / 2**pairs) == 2 / 2**pairs
    assert sign_flip(-d, level=2 / 2**pairs) == 2 / 2**pairs
    assert sign_flip(d, "greater", 2 / 2**pairs) == 1 / 2**pairs
    assert sign_flip(-d, "greater", 2 / 2**pairs) == 1


@pytest.mark.parametrize("level", [0.05, 0.001])
def test_at_larger_levels_20_000_patterns_are_drawn(level):
    assert sign_flip(np.arange(1.0, 25), level=level) == 2 / 20_001


def test_of_more_patterns_than_suffice_some_are_drawn_and_come_close():
    d = rng.normal(0.3, 1, 40)
    limit = float(d.sum()) * 0.5
    drawn = share_above(d, limit, LEVEL)  # 200,000 of 2^40
    assert drawn != share_above(d, limit, 1e-9)  # all of them, in halves
    assert drawn == pytest.approx(share_above(d, limit, 1e-9), abs=4 * 0.5 / 200_000**0.5)
    assert share_above(d, limit, LEVEL) == drawn  # drawn from a stream of its own


def test_what_is_drawn_decides_at_the_level_too():
    p = sign_flip(np.arange(1.0, 61), level=LEVEL)
    assert p == 2 / 200_001  # of 20 / level patterns


@pytest.mark.parametrize("comparisons", [500, 528, 5000])
@pytest.mark.parametrize("more", [0, 8])
def test_pairs_that_all_agree_are_significant_with_as_many_seeds_as_the_policy_asks_for(comparisons, more):
    pairs = fewest_pairs(comparisons) + more
    groups = [{seed: [value + seed / 1000] for seed in range(pairs)} for value in (0.6, 0.5)]
    d = policy.difference(*groups, comparisons)
    assert d.test == "sign-flip"
    assert holm([d.p], comparisons) == [pytest.approx(comparisons * 2 / 2**pairs)]
    assert paired([1.0] * pairs, [0.0] * pairs).p * comparisons > 0.04  # what 20,000 patterns can say
