"""Initialisers: moments within five sigma, fans and gains taken from the right place, and nothing else touched."""

import math

import numpy as np
import pytest
from helpers.networks import network

from mnistlab.nn.activations import Identity, LeakyReLU, ReLU, Tanh
from mnistlab.nn.initializers import (
    INITS,
    Distribution,
    Init,
    Kaiming,
    Normal,
    Orthogonal,
    Scaled,
    Uniform,
    VarianceScaling,
    Xavier,
    Zeros,
)
from mnistlab.nn.layers import Dense, Dropout, Flatten
from mnistlab.system.errors import RequestError

NORMAL, UNIFORM = Distribution.normal, Distribution.uniform
UNITS, FAN_IN, GAIN = 300, 400, 1.7  # of the layer that is drawn below


def drawn(init, units=UNITS, fan_in=FAN_IN, gain=GAIN, seed=0):
    return init.sample(np.random.default_rng(seed), (units, fan_in), fan_in, units, gain)


# initialiser: its distribution, its mean and its variance for that layer
MOMENTS = [
    (Zeros(), UNIFORM, 0, 0),
    (Normal(std=1.0), NORMAL, 0, 1),
    (Normal(std=0.3, mean=-2.0), NORMAL, -2, 0.09),
    (Uniform(-0.05, 0.05), UNIFORM, 0, 0.1**2 / 12),
    (Uniform(1.0, 4.0), UNIFORM, 2.5, 3**2 / 12),
    (Scaled(NORMAL), NORMAL, 0, 1 / 400),
    (Scaled(UNIFORM), UNIFORM, 0, 1 / 400),
    (Scaled(NORMAL, gain=2.0), NORMAL, 0, 4 / 400),
    (Xavier(NORMAL), NORMAL, 0, 2 / (300 + 400)),
    (Xavier(UNIFORM), UNIFORM, 0, 2 / (300 + 400)),
    (Xavier(UNIFORM, gain=2.0), UNIFORM, 0, 4 * 2 / (300 + 400)),
    (Kaiming(NORMAL), NORMAL, 0, 1.7**2 / 400),
    (Kaiming(UNIFORM), UNIFORM, 0, 1.7**2 / 400),
    (Kaiming(NORMAL, gain=2.0), NORMAL, 0, 4 / 400),
    (Orthogonal(), NORMAL, 0, 1.7**2 / 400),  # 300 orthonormal rows of 400
    (Orthogonal(gain=2.0), NORMAL, 0, 4 / 400),
]


@pytest.mark.parametrize(("init", "distribution", "mean", "variance"), MOMENTS, ids=lambda value: str(value))
def test_mean_and_variance_are_within_five_sigma(init, distribution, mean, variance):
    W = drawn(init)
    kurtosis = 3 if distribution is NORMAL else 9 / 5
    assert abs(W.mean() - mean) <= 5 * math.sqrt(variance / W.size)
    assert abs(W.var() - variance) <= 5 * variance * math.sqrt((kurtosis - 1) / W.size)
    if not isinstance(init, Orthogonal):
        limit = math.sqrt(3 * variance)  # of a uniform distribution; a normal one goes beyond
        assert np.any(np.abs(W - mean) > limit * (1 + 1e-12)) == (distribution is NORMAL)


def test_every_initialiser_is_measured():
    assert {type(init) for init, *_ in MOMENTS} == set(INITS.values())


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6)])
def test_orthogonal_rows_or_columns_whichever_are_fewer(shape):
    W = drawn(Orthogonal(), *shape, gain=1.5)
    gram = W @ W.T if shape[0] <= shape[1] else W.T @ W
    np.testing.assert_allclose(gram, 1.5**2 * np.eye(min(shape)), atol=1e-12)


def test_orthogonal_matrices_favour_no_sign():
    # LAPACK's Q alone has diagonals of one sign; uniform over all orthogonal 3 x 3 matrices the variance of each is 1/3
    diagonals = [np.diag(drawn(Orthogonal(gain=1.0), 3, 3, seed=seed)) for seed in range(300)]
    assert np.all(np.abs(np.mean(diagonals, axis=0)) < 5 * math.sqrt(1 / 3 / 300))


class Spy(Init):
    """Returns 1, 2, ... for the first, second, ... array, and notes what it was asked for."""

    def __init__(self):
        self.asked = []

    def sample(self, rng, shape, fan_in, fan_out, gain):
        self.asked.append((shape, fan_in, fan_out, pytest.approx(gain)))
        return np.full(shape, len(self.asked))


def test_each_weight_array_is_drawn_once_with_its_fans_and_the_gain_of_its_activation():
    spy = Spy()
    layers = [
        *(Flatten(), Dropout(0.1)),
        *(Dense(5), Dropout(0.1), ReLU()),
        *(Dense(6), LeakyReLU(0.5), Tanh()),
        *(Dense(7), Dense(4), Identity()),
        Dense(3),
    ]
    made = network(layers, shape=(2, 4))
    made.initialise(spy, np.random.default_rng(0))
    assert spy.asked == [
        ((5, 8), 8, 5, math.sqrt(2)),  # dropout between does not hide the activation
        ((6, 5), 5, 6, math.sqrt(2 / 1.25)),  # the first activation that follows, slope included
        ((7, 6), 6, 7, 1),  # another layer with weights comes first
        ((4, 7), 7, 4, 1),
        ((3, 4), 4, 3, 1),  # no activation follows the output layer
    ]
    weights = [layer.params["W"] for layer in layers if layer.params]
    for i, W in enumerate(weights):
        np.testing.assert_array_equal(W, i + 1)  # each array got its own draw and nothing else wrote there
    np.testing.assert_array_equal(made.theta[made.n_weights :], 0)  # biases, which were not zero before


def test_the_rows_of_a_weight_array_are_the_units():
    made = network([Flatten(), Dense(20), ReLU(), Dense(10)], shape=(30, 30), classes=10)
    made.initialise(Scaled(), np.random.default_rng(0))
    W1, W2 = (layer.params["W"] for layer in made.layers if layer.params)
    assert W1.var() == pytest.approx(1 / 900, rel=5 * math.sqrt(2 / W1.size))  # fan_in, not 1/20
    assert W2.var() == pytest.approx(1 / 20, rel=5 * math.sqrt(2 / W2.size))


@pytest.mark.parametrize("name", INITS)
def test_the_same_stream_gives_the_same_weights_and_float32_is_their_rounding(name):
    def theta(dtype):
        made = network([Flatten(), Dense(5), ReLU(), Dense(3)], dtype=dtype)
        made.initialise(INITS[name](), np.random.default_rng(7))
        return made.theta

    np.testing.assert_array_equal(theta(np.float64), theta(np.float64))
    np.testing.assert_array_equal(theta(np.float32), theta(np.float64).astype(np.float32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(std=0.0), "std=0.0: the standard deviation must be positive"),
        (lambda: Normal(mean=math.nan), "mean=nan: must be a number"),
        (lambda: Uniform(0.1, 0.1), "low=0.1: must lie below high=0.1"),
        (lambda: Uniform(-math.inf, 0.1), "low=-inf: must be a number"),
        (lambda: VarianceScaling(gain=0.0), "gain=0.0: the gain must be positive"),
        (lambda: Kaiming(gain=-1.0), "gain=-1.0: the gain must be positive"),
        (lambda: Orthogonal(gain=-1.0), "gain=-1.0: the gain must be zero or more"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value) == message
