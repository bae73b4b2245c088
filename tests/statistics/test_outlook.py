"""What the tests will be able to see, before anything is trained."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from mnistlab.statistics.outlook import outlook


@pytest.mark.parametrize(
    ("settings", "seeds", "start"),
    [
        (6, 3, "3 seeds: paired t only; the exact test needs 10 seeds for 15 pairs; finds differences of "),
        (6, 10, "10 seeds: the exact test for 15 pairs, which needs 10; finds differences of "),
        (2, 5, "5 seeds: paired t only; the exact test needs 6 seeds for 1 pair; "),
        (2, 1, "1 seed: no test; 3 seeds allow a paired t-test, and 6 the exact test for 1 pair"),
        (1, 4, "4 seeds of one setting: a mean with its interval, and nothing to compare"),
    ],
)
def test_the_text_names_the_test_and_what_it_needs(settings: int, seeds: int, start: str) -> None:
    assert outlook(settings, seeds).text.startswith(start)


def test_the_effect_is_found_in_four_of_five_samples_by_the_t_test() -> None:
    effect = outlook(2, 5).effect
    samples = np.random.default_rng(0).normal(effect, 1, (4000, 5))
    found = stats.ttest_1samp(samples, 0, axis=1).pvalue <= 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(("settings", "seeds"), [(2, 6), (2, 8), (4, 9)])
def test_the_effect_is_found_in_four_of_five_samples_by_the_exact_test(settings: int, seeds: int) -> None:
    found = outlook(settings, seeds)
    signs = np.array(list(product((1, -1), repeat=seeds)))
    sums = np.abs(np.random.default_rng(1).normal(found.effect, 1, (2000, seeds)) @ signs.T)
    p = (sums >= sums[:, :1] - 1e-9).mean(axis=1)  # the first pattern is the observed one
    assert (p <= 0.05 / found.pairs).mean() == pytest.approx(0.8, abs=0.03)


def test_the_effect_of_six_seeds_by_hand() -> None:
    # p is 2 / 64 only if all six differences have one sign: Phi(effect)^6 = .8, Phi(effect) = .9635, effect = 1.793
    assert outlook(2, 6).effect == pytest.approx(1.793, abs=0.03)


def test_without_a_test_there_is_no_effect() -> None:
    assert math.isnan(outlook(3, 2).effect)
    assert outlook(3, 2).test is None


def test_more_pairs_need_larger_effects_and_more_seeds_smaller_ones() -> None:
    assert outlook(6, 5).effect > outlook(2, 5).effect > outlook(2, 9).effect
