"""Losses and outputs by hand, at logits of +-10,000, and how hits are counted."""

import math

import numpy as np
import pytest
from helpers.networks import PAIRS
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistlab.nn.losses import LOSSES, probabilities
from mnistlab.system.errors import RequestError

ln = math.log
LOGITS = {
    "softmax": [ln(1), ln(2), ln(5)],  # p = (1/8, 1/4, 5/8)
    "sigmoid": [0, ln(3), -ln(3)],  # p = (1/2, 3/4, 1/4)
}


def measure(name, output, z, labels, smoothing=0.0, dtype=np.float64, weights=None):
    """(loss, hits, dL/dz); z is a list of samples here."""
    z = np.array(z, dtype).T.copy()
    loss = LOSSES[name](len(z), output, smoothing, dtype)
    value, hits = loss.forward(z, np.array(labels), None if weights is None else np.array(weights, dtype))
    return value, hits, loss.backward().T.copy()


# loss, output: L and dL/dz of LOGITS with the label 1, so that t = (0, 1, 0)
BY_HAND = {
    # L = -ln 1/4;  p - t
    ("cross_entropy", "softmax"): (ln(4), [1 / 8, -3 / 4, 5 / 8]),
    # L = -ln(1 - 1/2) - ln 3/4 - ln(1 - 1/4);  p - t
    ("binary_cross_entropy", "sigmoid"): (ln(2) + 2 * ln(4 / 3), [1 / 2, -1 / 4, 1 / 4]),
    # L = -ln 7/8 - ln 1/4 - ln 3/8;  dL/dp = (8/7, -4, 8/3) and sum_j p_j dL/dp_j = 1/7 - 1 + 5/3 = 17/21, so that
    # dL/dz_k = p_k (dL/dp_k - 17/21) = (1/8 . 7/21, -1/4 . 101/21, 5/8 . 39/21)
    ("binary_cross_entropy", "softmax"): (ln(8 / 7) + ln(4) + ln(8 / 3), [1 / 24, -101 / 84, 65 / 56]),
    # d = (1/2, -1/4, 1/4), L = (1/4 + 1/16 + 1/16) / 2;  d p (1 - p) = (1/2 . 1/4, -1/4 . 3/16, 1/4 . 3/16)
    ("mean_squared_error", "sigmoid"): (3 / 16, [1 / 8, -3 / 64, 3 / 64]),
    # d = (1, -6, 5) / 8, L = (1 + 36 + 25) / 64 / 2;  sum_j d_j p_j = (1 - 12 + 25) / 64 = 7/32, so that
    # dL/dz_k = p_k (d_k - 7/32) = (1/8 . -3/32, 1/4 . -31/32, 5/8 . 13/32)
    ("mean_squared_error", "softmax"): (31 / 64, [-3 / 256, -31 / 128, 65 / 256]),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "output"), PAIRS)
def test_one_sample_by_hand(name, output, dtype):
    loss, gradient = BY_HAND[name, output]
    found = measure(name, output, [LOGITS[output]], [1], dtype=dtype)
    tolerance = 1e-6 if dtype is np.float32 else 1e-12
    assert found[0] == pytest.approx(loss, rel=tolerance)
    np.testing.assert_allclose(found[2], [gradient], rtol=tolerance)
    assert found[2].dtype == dtype


def test_loss_and_gradient_are_means_over_the_batch_and_hits_are_counted():
    # the second sample has p = (1/3, 1/3, 1/3) and the label 0: L = ln 3, p - t = (-2/3, 1/3, 1/3)
    loss, hits, gradient = measure("cross_entropy", "softmax", [LOGITS["softmax"], [7, 7, 7]], [1, 0])
    assert loss == pytest.approx((ln(4) + ln(3)) / 2)
    np.testing.assert_allclose(gradient, [[1 / 16, -3 / 8, 5 / 16], [-1 / 3, 1 / 6, 1 / 6]], rtol=1e-12)
    assert hits == 1  # the first sample's largest is 2, not 1; of three equals the first counts


def test_weights_make_the_mean_a_weighted_one():
    # as above, the first sample with weight 3 and the second with 1: L = (3 ln 4 + ln 3) / 4, each dL/dz times 3/4, 1/4
    loss, hits, gradient = measure("cross_entropy", "softmax", [LOGITS["softmax"], [7, 7, 7]], [1, 0], weights=[3, 1])
    assert loss == pytest.approx((3 * ln(4) + ln(3)) / 4)
    np.testing.assert_allclose(gradient, [[3 / 32, -9 / 16, 15 / 32], [-1 / 6, 1 / 12, 1 / 12]], rtol=1e-12)
    assert hits == 1  # hits are counted, not weighed


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("name", "output"), PAIRS)
def test_a_weight_of_three_is_the_sample_three_times(name, output, smoothing):
    rng = np.random.default_rng(4)
    z, labels, weights = rng.normal(0, 2, (5, 4)), rng.integers(0, 4, 5), np.array([3, 1, 2, 1, 4])
    loss, _, gradient = measure(name, output, z, labels, smoothing, weights=weights)
    repeated, _, each = measure(name, output, z.repeat(weights, axis=0), labels.repeat(weights), smoothing)
    assert loss == pytest.approx(repeated, rel=1e-12)
    starts = np.cumsum(weights) - weights
    np.testing.assert_allclose(gradient, np.add.reduceat(each, starts, axis=0), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("name", "output"), PAIRS)
def test_the_gradient_of_a_weighted_loss_is_that_of_central_differences(name, output):
    rng = np.random.default_rng(5)
    z, labels, weights, h = rng.normal(0, 2, (3, 4)), np.array([3, 0, 1]), [0.2, 1.7, 5.0], 1e-5
    _, _, gradient = measure(name, output, z, labels, 0.1, weights=weights)
    for place in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[place] = h
        above, below = (measure(name, output, z + s, labels, 0.1, weights=weights)[0] for s in (step, -step))
        assert gradient[place] == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-9)


# a mixture: second labels, and shares of the first


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("name", "output"), PAIRS)
def test_the_target_of_a_mixture_is_the_weighted_mean_of_two_targets(name, output, smoothing):
    z, labels = np.random.default_rng(0).normal(size=(3, 4)), np.array([0, 2, 1, 1])
    second, share = np.array([1, 2, 0, 2]), np.array([0.75, 0.5, 1.0, 0.6])
    loss = LOSSES[name](3, output, smoothing, np.float64)
    value, hits = loss.forward(z.copy(), labels, mixture=(second, share))
    gradient = loss.backward().copy()
    target = share * loss.target_table[:, labels] + (1 - share) * loss.target_table[:, second]
    if name == "cross_entropy":  # log sum_j exp z_j - sum_k t_k z_k;  p - t
        assert value == pytest.approx((np.log(np.exp(z).sum(axis=0)) - (target * z).sum(axis=0)).mean())
        np.testing.assert_allclose(gradient, (np.exp(z) / np.exp(z).sum(axis=0) - target) / 4)
    assert hits == (z.argmax(axis=0) == labels).sum()  # of the first labels
    for place in np.ndindex(z.shape):
        losses = []
        for step in (1e-6, -1e-6):
            moved = z.copy()
            moved[place] += step
            losses.append(loss.forward(moved, labels, mixture=(second, share))[0])
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(gradient[place], abs=1e-8)


def test_a_share_of_one_is_no_mixture():
    z, labels = np.random.default_rng(0).normal(size=(3, 4)), np.array([0, 2, 1, 1])
    loss = LOSSES["cross_entropy"](3, dtype=np.float64)
    plain = loss.forward(z.copy(), labels)
    assert loss.forward(z.copy(), labels, mixture=(np.zeros(4, int), np.ones(4))) == pytest.approx(plain)


def test_smoothed_targets():
    # e = 0.3 over three classes: 0.7 + 0.1 for the label, 0.1 for the others
    table = LOSSES["cross_entropy"](3, "softmax", 0.3, np.float64).target_table
    np.testing.assert_allclose(table, [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    loss, _, gradient = measure("cross_entropy", "softmax", [LOGITS["softmax"]], [1], smoothing=0.3)
    assert loss == pytest.approx(-0.1 * ln(1 / 8) - 0.8 * ln(1 / 4) - 0.1 * ln(5 / 8))
    np.testing.assert_allclose(gradient, [[1 / 8 - 0.1, 1 / 4 - 0.8, 5 / 8 - 0.1]])


def test_probabilities_by_hand():
    np.testing.assert_allclose(probabilities(np.array([LOGITS["softmax"]]).T, "softmax").T, [[1 / 8, 1 / 4, 5 / 8]])
    # (1/2, 3/4, 1/4) divided by their sum, 3/2
    np.testing.assert_allclose(probabilities(np.array([LOGITS["sigmoid"]]).T, "sigmoid").T, [[1 / 3, 1 / 2, 1 / 6]])


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_probabilities_of_extreme_logits(output):
    z = np.array([[1e4, -1e4, -1e4], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4]], np.float32).T
    p = probabilities(z, output)
    assert p.dtype == np.float64
    np.testing.assert_allclose(p.T, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [1 / 2, 1 / 2, 0]], atol=1e-12)


# Samples of logits +-10,000 with the label 0, and each loss: right and sure, wrong and sure, undecided
EXTREME = [[1e4, -1e4, -1e4], [-1e4, 1e4, -1e4], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]]
EXTREME_LOSSES = {
    ("cross_entropy", "softmax"): [0, 2e4, ln(3), ln(3)],
    # sure and right: three times ln 1; sure and wrong: 1e4 for the label missed and 1e4 for the other claimed
    ("binary_cross_entropy", "sigmoid"): [0, 2e4, 2e4, 1e4],
    # wrong and sure: -ln p_0 = 2e4 and -ln(1 - p_1) = -ln(p_0 + p_2) = 2e4 - ln 2; undecided: -ln 1/3 - 2 ln 2/3
    ("binary_cross_entropy", "softmax"): [0, 4e4 - ln(2), ln(3) + 2 * ln(1.5), ln(3) + 2 * ln(1.5)],
    ("mean_squared_error", "sigmoid"): [0, 1, 1, 1 / 2],
    ("mean_squared_error", "softmax"): [0, 1, 1 / 3, 1 / 3],  # undecided: (4/9 + 1/9 + 1/9) / 2
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "output"), PAIRS)
def test_extreme_logits_give_the_right_loss_and_a_finite_gradient(name, output, dtype):
    for z, expected in zip(EXTREME, EXTREME_LOSSES[name, output], strict=True):
        loss, _, gradient = measure(name, output, [z], [0], dtype=dtype)
        assert loss == pytest.approx(expected, rel=1e-6, abs=1e-6)
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() <= 2 + 1e-6  # no derivative by a logit of these losses is larger
    loss, _, gradient = measure(name, output, EXTREME, [2, 2, 2, 2], smoothing=0.1, dtype=dtype)
    assert math.isfinite(loss)
    assert np.isfinite(gradient).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(1, 5), st.sampled_from([0.0, 0.2]), st.sampled_from(PAIRS), st.integers(0, 99))
def test_every_loss_is_its_definition_in_probabilities(classes, n, smoothing, pair, seed):
    name, output = pair
    rng = np.random.default_rng(seed)
    z, labels = rng.normal(0, 3, (n, classes)), rng.integers(0, classes, n)
    t = (1 - smoothing) * np.eye(classes)[labels] + smoothing / classes
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) if output == "softmax" else 1 / (1 + np.exp(-z))
    expected = {
        "cross_entropy": -np.sum(t * np.log(p)),
        "binary_cross_entropy": -np.sum(t * np.log(p) + (1 - t) * np.log(1 - p)),
        "mean_squared_error": np.sum((p - t) ** 2) / 2,
    }[name]
    assert measure(name, output, z, labels, smoothing)[0] == pytest.approx(expected / n, rel=1e-9)


def test_with_two_classes_binary_cross_entropy_of_softmax_is_twice_cross_entropy():
    z, labels = [[0.3, -1.2], [1e4, -1e4], [-1e4, 1e4], [30, -30]], [0, 0, 0, 1]
    binary, categorical = (measure(name, "softmax", z, labels) for name in ("binary_cross_entropy", "cross_entropy"))
    assert binary[0] == pytest.approx(2 * categorical[0])
    np.testing.assert_allclose(binary[2], 2 * categorical[2], atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_hits_are_counted_as_argmax_does(data):
    classes, n = data.draw(st.integers(2, 5)), data.draw(st.integers(1, 6))
    logits = st.integers(-1, 1)  # few values: ties are common
    z = data.draw(st.lists(st.lists(logits, min_size=classes, max_size=classes), min_size=n, max_size=n))
    labels = data.draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n))
    for name, output in PAIRS:
        assert measure(name, output, z, labels)[1] == np.sum(np.argmax(z, axis=1) == labels)


@pytest.mark.parametrize(("name", "output"), PAIRS)
def test_logits_that_are_not_numbers_are_never_hits(name, output):
    nan = math.nan
    for label in range(3):
        with np.errstate(invalid="ignore"):
            loss, hits, _ = measure(name, output, [[nan, nan, nan], [nan, 1, 2], [0, 1, nan]], [label] * 3)
        assert math.isnan(loss)
        assert hits == 0


def test_every_batch_size_has_its_own_arrays_and_they_do_not_pile_up():
    loss = LOSSES["cross_entropy"](3, dtype=np.float64)
    for n in [*range(1, 30), 4, 1]:
        value, _ = loss.forward(np.zeros((3, n)), np.zeros(n, np.int64))
        assert value == pytest.approx(ln(3))
        assert loss.backward().shape == (3, n)
    assert len(loss._arrays) <= 8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: LOSSES["cross_entropy"](3, "sigmoid"),
            "loss=cross_entropy: not with output=sigmoid; use loss=binary_cross_entropy or output=softmax",
        ),
        (
            lambda: LOSSES["cross_entropy"](3, "sigmod"),
            "output=sigmod: choose one of softmax, sigmoid (did you mean sigmoid?)",
        ),
        (
            lambda: LOSSES["mean_squared_error"](3, "softmax", 1.0),
            "label_smoothing=1.0: label smoothing must be at least 0 and below 1",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value) == message
