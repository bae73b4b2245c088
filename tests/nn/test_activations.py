"""The activations at points worked out by hand, at the ends of the scale, and their gains."""

import math

import numpy as np
import pytest

from mnistlab.nn.activations import ACTIVATIONS, ELU, GELU, LeakyReLU, ReLU
from mnistlab.system.errors import RequestError

LN2, LN3 = math.log(2), math.log(3)


def evaluate(activation, x, dtype=np.float64, in_place=False):
    """f(x) and f'(x)."""
    activation.dtype, activation.in_place = dtype, in_place
    x = np.atleast_2d(np.array(x, dtype))
    y = activation.forward(x.copy())
    slope = activation.backward(np.ones_like(x))
    return y.copy().ravel(), slope.copy().ravel()


# activation: (x, f(x), f'(x)), ...
POINTS = {
    "identity": [(-2, -2, 1), (0, 0, 1), (3, 3, 1)],
    # 1 / (1 + e^-ln3) = 1 / (1 + 1/3) = 3/4, slope 3/4 . 1/4
    "sigmoid": [(0, 1 / 2, 1 / 4), (LN3, 3 / 4, 3 / 16), (-LN3, 1 / 4, 3 / 16), (1e4, 1, 0), (-1e4, 0, 0)],
    # 0.2 x + 0.5 between -2.5 and 2.5
    "hard_sigmoid": [(-4, 0, 0), (-1, 0.3, 0.2), (0, 0.5, 0.2), (2, 0.9, 0.2), (4, 1, 0), (1e4, 1, 0)],
    # (3 - 1) / (3 + 1) at x = ln(3) / 2, since tanh x = (e^2x - 1) / (e^2x + 1); slope 1 - 1/4
    "tanh": [(0, 0, 1), (LN3 / 2, 1 / 2, 3 / 4), (-LN3 / 2, -1 / 2, 3 / 4), (1e4, 1, 0), (-1e4, -1, 0)],
    "relu": [(-2, 0, 0), (0, 0, 0), (3, 3, 1), (1e4, 1e4, 1), (-1e4, 0, 0)],
    "leaky_relu": [(-2, -0.02, 0.01), (0, 0, 0.01), (3, 3, 1), (-1e4, -100, 0.01)],
    # e^-ln2 - 1 = -1/2, slope e^-ln2
    "elu": [(-LN2, -1 / 2, 1 / 2), (0, 0, 1), (3, 3, 1), (1e4, 1e4, 1), (-1e4, -1, 0)],
    # ln(1 + 3) at ln 3, slope sigmoid(ln 3)
    "softplus": [(0, LN2, 1 / 2), (LN3, 2 * LN2, 3 / 4), (-LN3, math.log(4 / 3), 1 / 4), (1e4, 1e4, 1), (-1e4, 0, 0)],
    # at 1: u = 0.79788456 . 1.044715 = 0.83356197, tanh u = 0.68238398, (1 + tanh u) / 2 = 0.84119199,
    # slope 0.84119199 + (1 - tanh^2 u) / 2 . 0.79788456 . 1.134145; f(-x) = f(x) - x and f'(-x) = 1 - f'(x)
    "gelu": [(0, 0, 1 / 2), (1, 0.84119199, 1.08296408), (-1, -0.15880801, -0.08296408), (1e4, 1e4, 1), (-1e4, 0, 0)],
}


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_slopes_by_hand(name, in_place):
    activation = ACTIVATIONS[name]()
    x, y, slope = np.array(POINTS[name], float).T
    found = evaluate(activation, x, in_place=in_place and activation.can_overwrite)
    np.testing.assert_allclose(found[0], y, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found[1], slope, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_float32_stays_float32_and_near_float64(name):
    x = np.linspace(-8, 8, 201)
    exact, single = evaluate(ACTIVATIONS[name](), x), evaluate(ACTIVATIONS[name](), x, np.float32)
    for wide, narrow in zip(exact, single, strict=True):
        assert narrow.dtype == np.float32
        np.testing.assert_allclose(narrow, wide, atol=2e-6)


def test_in_place_writes_over_the_input_and_otherwise_leaves_it():
    x = np.array([[-1.0, 2.0]])
    relu = ReLU()
    relu.dtype = np.float64
    assert relu.forward(x) is not x
    np.testing.assert_array_equal(x, [[-1, 2]])
    relu.in_place = True
    assert relu.forward(x) is x
    np.testing.assert_array_equal(x, [[0, 2]])


def test_slopes_and_alpha_are_used():
    y, slope = evaluate(LeakyReLU(0.2), [-5, 5])
    np.testing.assert_allclose(y, [-1, 5])
    np.testing.assert_allclose(slope, [0.2, 1])
    y, slope = evaluate(ELU(2.0), [-LN2, 5])
    np.testing.assert_allclose(y, [-1, 5])  # 2 (1/2 - 1)
    np.testing.assert_allclose(slope, [1, 1])  # -1 + 2


def test_gelu_is_within_0_0005_of_the_form_with_erf():
    x = np.linspace(-6, 6, 1201)
    exact = [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in x]
    assert np.abs(evaluate(GELU(), x)[0] - exact).max() < 5e-4


GAINS = {"tanh": 5 / 3, "relu": math.sqrt(2), "leaky_relu": math.sqrt(2 / 1.0001), "gelu": math.sqrt(2)}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gains(name):
    assert ACTIVATIONS[name]().gain == pytest.approx(GAINS.get(name, 1.0), rel=1e-12)


@pytest.mark.parametrize("activation", [ReLU(), LeakyReLU(), LeakyReLU(0.5)])
def test_the_gain_of_the_relus_keeps_the_variance(activation):
    # g^2 E[f(x)^2] = 1 for x ~ N(0, 1); Gauss-Hermite quadrature is exact for the two halves of a parabola
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    y, _ = evaluate(activation, nodes)
    assert activation.gain**2 * np.sum(weights * y**2) / np.sum(weights) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LeakyReLU(0.0), "slope=0.0: the slope of leaky_relu must lie between 0 and 1; for 0 use relu"),
        (lambda: LeakyReLU(1.0), "slope=1.0: the slope of leaky_relu must lie between 0 and 1; for 0 use relu"),
        (lambda: LeakyReLU(float("nan")), "slope=nan: must be a number"),
        (lambda: ELU(0.0), "alpha=0.0: alpha of elu must be positive"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value) == message
