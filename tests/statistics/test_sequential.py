"""Seeds until decided: looks, corrections, what stops, and how often it is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistlab.statistics import sequential, tests
from mnistlab.statistics.sequential import Design, default_looks, fewest_seeds, progress


def design(looks=(8, 12, 16, 24), margin=None, alpha=0.05, first_seed=0):
    return Design("validation.accuracy", looks, alpha, margin, first_seed)


def settings_of(*groups, first_seed=0):
    return [dict(enumerate(map(float, values), first_seed)) for values in groups]


RISE = np.arange(30) / 1000


@pytest.mark.parametrize(
    ("settings", "looks"), [(2, (8, 12, 16, 24)), (3, (12, 16, 24)), (5, (12, 16, 24)), (12, (16, 24))]
)
def test_usual_looks_at_which_nothing_can_be_decided_are_left_out(settings, looks):
    # 2 settings: 2 / 2^8 <= .05 / 4; 3 settings, 4 looks: 2 / 2^9 <= .05 / 12, so 8 seeds are too few
    assert default_looks(settings) == looks
    assert looks[0] >= fewest_seeds(len(looks), settings)


def test_the_first_look_waits_for_its_seeds():
    found = progress(settings_of(RISE[:8] + 0.5, RISE[:7]), design())
    assert (found.look, found.settings, found.decisions) == (8, (0, 1), {})


def test_two_settings_that_always_differ_are_decided_at_the_first_look():
    found = progress(settings_of(RISE[:8] + 0.5, RISE[:8]), design())
    assert (found.look, found.settings) == (None, ())
    decision = found.decisions[0, 1]
    assert (decision.look, decision.differs) == (8, True)
    assert decision.p == pytest.approx(4 * 2 / 2**8)  # four looks


def test_three_settings_are_corrected_for_three_pairs_and_three_looks():
    found = progress(settings_of(RISE[:12] + 1, RISE[:12] * 2 + 0.5, RISE[:12] * 3), design(looks=(12, 16, 24)))
    assert [decision.p for decision in found.decisions.values()] == pytest.approx([3 * 3 * 2 / 2**12] * 3)


def test_a_setting_whose_pairs_are_decided_gets_no_further_seeds():
    wobble = np.tile((0.001, -0.001), 15)
    a, b, c = RISE + 0.9, RISE + 0.9 + wobble, RISE * 2
    found = progress(settings_of(a[:12], b[:12], c[:12]), design(looks=(12, 16, 24)))
    assert (found.look, found.settings) == (16, (0, 1))
    assert [pair for pair, decision in found.decisions.items() if decision.is_final] == [(0, 2), (1, 2)]
    further = progress(settings_of(a[:24], b[:24], c[:12]), design(looks=(12, 16, 24)))
    assert further.look is None
    assert (further.decisions[0, 1].look, further.decisions[0, 1].is_final) == (24, False)
    assert further.decisions[0, 2].look == 12


@pytest.mark.parametrize(("groups", "alpha"), [(2, 1e-6), (24, 0.05)])
def test_settings_that_always_differ_are_decided_at_any_level_that_the_design_allows(groups, alpha):
    # 276 pairs in two looks need p <= 9e-5, less than 20,000 random patterns can give
    values = settings_of(*(RISE[:24] * (1 + k) + k for k in range(groups)))
    looks = (24,) if groups == 2 else (16, 24)
    assert looks[0] >= fewest_seeds(len(looks), groups, alpha)
    found = progress(values, design(looks, alpha=alpha))
    assert all(decision.differs and decision.look == looks[0] for decision in found.decisions.values())
    alike = progress(settings_of(*[RISE[:24]] * groups), design(looks, 0.01, alpha))
    assert all(decision.is_equivalent for decision in alike.decisions.values())


def test_the_others_go_on_without_a_setting_of_which_a_run_has_failed_but_are_corrected_for_its_pairs():
    wobble = np.tile((0.001, -0.001), 15)
    a, b, c = RISE + 0.9, RISE + 0.9 + wobble, RISE * 2
    values = settings_of(a[:12], b[:12], c[:12])
    del values[2][5]  # needed from the first look on
    found = progress(values, design(looks=(12, 16)), failed={2})
    assert (found.look, found.settings, found.untested) == (16, (0, 1), ((0, 2), (1, 2)))
    assert progress(values, design(looks=(12, 16))).look == 12  # is waited for if it has not failed
    last = progress(settings_of(a, b, c[:14]), design(looks=(12, 16)), failed={2})
    assert (last.look, last.untested) == (None, ())  # its pairs were decided before
    apart = settings_of(a, c)
    (two,), (of_three,) = (
        progress(values, Design("validation.accuracy", (12, 16), 0.05, None, 0, planned)).decisions.values()
        for planned in (0, 3)
        for values in [apart]
    )
    assert (two.p, of_three.p) == (pytest.approx(2 * 2 / 2**12), pytest.approx(3 * 2 * 2 / 2**12))


def test_equal_settings_are_decided_by_a_margin():
    wobble = np.tile((0.001, -0.001), 4)
    found = progress(settings_of(RISE[:8], RISE[:8] + wobble), design(margin=0.01))
    assert found.look is None
    assert found.decisions[0, 1].is_equivalent
    assert not found.decisions[0, 1].differs


def test_seeds_beyond_those_of_the_look_change_nothing():
    a, b = RISE + 0.5, RISE.copy()
    b[8:] = 9.0
    assert progress(settings_of(a, b), design()).decisions[0, 1].look == 8


def test_the_seeds_count_from_the_first():
    found = progress(settings_of(RISE[:8] + 0.5, RISE[:8], first_seed=100), design(first_seed=100))
    assert found.look is None


accuracies = st.lists(st.floats(0.5, 1), min_size=24, max_size=24)


@given(st.lists(accuracies, min_size=2, max_size=3), st.sampled_from([None, 0.01, 0.2]))
@settings(deadline=None, max_examples=10)
def test_every_sweep_ends_and_each_decision_is_significant(groups, margin):
    looks = (9, 12)
    found = progress(settings_of(*groups), design(looks, margin))
    assert found.look is None
    for decision in found.decisions.values():
        assert decision.differs == (decision.p <= 0.05)
        assert decision.is_final or decision.look == looks[-1]
        assert decision.p >= min(1, len(looks) * decision.difference.p) - 1e-12


@pytest.mark.slow
def test_of_a_thousand_sweeps_without_any_difference_at_most_five_per_cent_find_one(monkeypatch):
    # the exact test has the same p for all permutations of a look; a table of signs is faster than SciPy's loop
    monkeypatch.setattr(tests, "sign_flip", _fast_sign_flip)
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(1000):
        found = progress(settings_of(*rng.normal(0, 1, (3, 24))), design(looks=(12, 16, 24)))
        wrong += any(decision.differs for decision in found.decisions.values())
    assert wrong <= 50


SIGNS = {n: np.random.default_rng(0).choice((-1.0, 1.0), (4000, n)) for n in (12, 16, 24)}


def _fast_sign_flip(d, alternative="two-sided", level=0.05, scale=1):
    sums = SIGNS[len(d)] @ d
    as_far = np.abs(sums) >= abs(d.sum()) if alternative == "two-sided" else sums >= d.sum()
    return float((as_far.sum() + 1) / (len(sums) + 1))


def test_the_looks_are_those_of_the_documentation():
    assert sequential.LOOKS == (8, 12, 16, 24)
