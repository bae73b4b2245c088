"""Reliability, temperature and prediction sets: values by hand, oracles, and what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnistlab.metrics import calibration, classification, conformal

# confidences .9 .6 .7 .9; right, wrong, right, right
P = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.1, 0.9]])
LABELS = np.array([0, 1, 1, 1])


def drawn(seed: int, n: int = 400, classes: int = 5, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels drawn from probabilities, which are then sharpened by a power."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.6), n)
    labels = np.array([rng.choice(classes, p=row) for row in p])
    q = p**sharpness
    return labels, q / q.sum(axis=1, keepdims=True)


def test_bins_by_hand() -> None:
    # of five bins (.4, .6] has one wrong image, (.6, .8] one right, (.8, 1] two right
    table = calibration.reliability(LABELS, P, bins=5)
    assert table["count"].tolist() == [0, 0, 1, 1, 2]
    np.testing.assert_allclose(table["confidence"], [np.nan, np.nan, 0.6, 0.7, 0.9])
    np.testing.assert_allclose(table["accuracy"], [np.nan, np.nan, 0, 1, 1])
    # (|0 - .6| + |1 - .7| + 2 |1 - .9|) / 4
    assert calibration.expected_error(LABELS, P, bins=5) == pytest.approx(1.1 / 4)


def test_the_error_is_that_of_the_metrics() -> None:
    labels, p = drawn(0)
    expected = classification.evaluate(labels, p, list("abcde"))["expected_calibration_error"]
    assert calibration.expected_error(labels, p) == pytest.approx(expected)


def test_a_temperature_by_hand() -> None:
    # one logit 2 against 0; three of four images right: the best p is 3/4, and 2 / T = ln 3
    p = np.tile(1 / (1 + np.exp([-2.0, 2.0])), (4, 1))
    assert calibration.temperature(np.array([0, 0, 0, 1]), p) == pytest.approx(2 / np.log(3))


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_a_power(sharpness: float) -> None:
    labels, p = drawn(1, 20_000, sharpness=sharpness)
    assert calibration.temperature(labels, p) == pytest.approx(sharpness, rel=0.05)


@given(st.integers(0, 1000))
def test_no_other_temperature_has_a_lower_loss(seed: int) -> None:
    labels, p = drawn(seed, 60)
    best = calibration.temperature(labels, p)
    loss = calibration.log_loss(labels, calibration.scaled(p, best))
    for other in (0.5 * best, 0.95 * best, 1.05 * best, 2 * best):
        assert loss <= calibration.log_loss(labels, calibration.scaled(p, other)) + 1e-9


def test_temperatures_have_limits() -> None:
    assert calibration.temperature(np.array([0, 1]), np.array([[0.6, 0.4], [0.2, 0.8]])) == 0.01  # all are right
    assert calibration.temperature(np.array([1, 0]), np.array([[0.6, 0.4], [0.2, 0.8]])) == 100  # all are wrong
    _, p = drawn(2)
    np.testing.assert_allclose(calibration.scaled(p, 1.0), p)
    zero = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert np.isfinite(calibration.temperature(np.array([0, 1, 1]), zero))
    assert np.isfinite(calibration.scaled(zero, 0.01)).all()


def test_a_threshold_by_hand() -> None:
    # scores 1 - p(truth): .1 .6 .3 .1, sorted .1 .1 .3 .6; of n = 4 at the level .4 the 3rd: ceil(5 * .6)
    assert conformal.threshold(LABELS, P, 0.4) == pytest.approx(0.7)
    assert conformal.threshold(LABELS, P, 0.2) == pytest.approx(0.4)  # the 4th
    assert conformal.threshold(LABELS, P, 0.1) == 0.0  # the 5th of 4: every class is in every set
    members = conformal.sets(P, 0.4)
    assert members.tolist() == [[True, False], [True, True], [False, True], [False, True]]
    assert conformal.coverage(LABELS, members) == 1


@pytest.mark.parametrize("level", [0.2, 0.1, 0.05])
def test_sets_contain_the_truth_as_often_as_promised(level: float) -> None:
    """Over many draws the mean coverage is in [1 - level, 1 - level + 1 / (n + 1)], within five standard errors."""
    covered = []
    for seed in range(200):
        labels, p = drawn(seed, 400, sharpness=2.5)  # whatever the probabilities are worth
        least = conformal.threshold(labels[:99], p[:99], level)
        covered.append(conformal.coverage(labels[99:], conformal.sets(p[99:], least)))
    error = 5 * np.std(covered) / np.sqrt(len(covered))
    assert 1 - level - error <= np.mean(covered) <= 1 - level + 1 / 100 + error
