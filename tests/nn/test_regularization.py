"""Penalties, dropout rates and max-norm by hand."""

import math

import numpy as np
import pytest
from helpers.networks import network

from mnistlab.nn.activations import ReLU
from mnistlab.nn.layers import Dense, Flatten
from mnistlab.nn.optimizers import SGD
from mnistlab.nn.regularization import Regularization, SummedLossPenalty
from mnistlab.system.errors import RequestError
from mnistlab.training.step import Update

W = np.array([1.0, -2.0, 0.0, 4.0])


@pytest.mark.parametrize(
    ("regularization", "penalty", "gradient"),
    [
        (Regularization(), 0, [0, 0, 0, 0]),
        (Regularization(l2=0.1), 0.1 / 2 * (1 + 4 + 0 + 16), [0.1, -0.2, 0, 0.4]),
        (Regularization(l1=0.1), 0.1 * (1 + 2 + 0 + 4), [0.1, -0.1, 0, 0.1]),
        (Regularization(l1=0.1, l2=0.1), 1.05 + 0.7, [0.2, -0.3, 0, 0.5]),
    ],
)
def test_penalty_and_its_gradient(regularization, penalty, gradient):
    assert regularization.penalty(W) == pytest.approx(penalty)
    g = np.full(4, 10.0)
    regularization.add_gradient(W, g, np.empty(4))
    np.testing.assert_allclose(g, 10 + np.array(gradient))
    assert regularization.has_penalty == (penalty > 0)


def test_a_penalty_on_the_summed_loss_weighs_less_in_a_larger_batch():
    regularization = SummedLossPenalty(l1=0.1, l2=0.2, alpha=3.0)
    for batch_weight, l2 in ((10, 0.2 + 0.3), (100, 0.2 + 0.03), (1.5, 0.2 + 2)):
        g = np.zeros(4)
        regularization.start_step(batch_weight)
        regularization.add_gradient(W, g, np.empty(4))
        np.testing.assert_allclose(g, l2 * W + 0.1 * np.sign(W))
    assert SummedLossPenalty(alpha=1e-9).has_penalty
    assert not SummedLossPenalty().has_penalty


@pytest.mark.parametrize(
    ("dropout", "hidden", "rates"),
    [
        (0.0, 0, (0,)),
        (0.0, 2, (0, 0, 0)),
        (0.5, 2, (0, 0.5, 0.5)),  # one rate for every hidden layer, none for the input
        ([0.2, 0.5], 2, (0, 0.2, 0.5)),  # one a hidden layer
        ([0.1, 0.2, 0.5], 2, (0.1, 0.2, 0.5)),  # the input's first
        ((0.1, 0.2), 1, (0.1, 0.2)),
        ([0.1], 0, (0.1,)),
    ],
)
def test_dropout_rates_of_the_input_and_of_each_hidden_layer(dropout, hidden, rates):
    assert Regularization(dropout=dropout).dropout_rates(hidden) == rates


@pytest.mark.parametrize("max_norm", [0.5, 5.0])
def test_max_norm_shortens_long_rows_and_leaves_the_others(max_norm):
    # rows of norm 5, 0.5 and 0
    weights = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], np.float32)
    before = weights.copy()
    Regularization(max_norm=max_norm).project([weights], [np.empty_like(weights)])
    np.testing.assert_allclose(weights[0], before[0] * min(1, max_norm / 5), rtol=1e-6)
    np.testing.assert_array_equal(weights[1:], before[1:])
    assert np.linalg.norm(weights, axis=1).max() <= max_norm * (1 + 1e-6)


def test_max_norm_treats_a_map_of_weights_as_one_row_a_unit():
    weights = np.full((2, 1, 3, 3), 1.0)  # norm 3 each
    Regularization(max_norm=1.5).project([weights], [np.empty_like(weights)])
    np.testing.assert_allclose(weights, 0.5)


def test_max_norm_after_a_step_leaves_the_biases_alone():
    made = network([Flatten(), Dense(4), ReLU(), Dense(3)])
    made.theta[:] = 10
    made.grad[:] = 0
    optimizer, regularization = SGD(), Regularization(max_norm=1.0)
    optimizer.bind(made.theta, made.grad, made.n_weights)
    Update(made, optimizer, regularization, None)(1.0, 1.0)
    for layer in (made.layers[1], made.layers[3]):
        np.testing.assert_allclose(np.linalg.norm(layer.params["W"], axis=1), 1)
        np.testing.assert_array_equal(layer.params["b"], 10)


def test_without_max_norm_nothing_is_projected():
    weights = np.full((2, 3), 100.0)
    Regularization().project([weights], [np.empty_like(weights)])
    np.testing.assert_array_equal(weights, 100)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Regularization(l1=-1e-4), "l1=-0.0001: the factor of the L1 penalty must be zero or more"),
        (lambda: Regularization(l2=math.nan), "l2=nan: must be a number"),
        (lambda: Regularization(max_norm=0.0), "max_norm=0.0: the largest norm must be positive"),
        (
            lambda: Regularization(label_smoothing=1.0),
            "label_smoothing=1.0: label smoothing must be at least 0 and below 1",
        ),
        (lambda: Regularization(dropout=1.0), "dropout=1.0: a dropout rate must be at least 0 and below 1"),
        (lambda: Regularization(dropout=[0.2, -0.5]), "dropout=-0.5: a dropout rate must be at least 0 and below 1"),
        (lambda: Regularization(dropout="half"), "dropout=half: must be a number"),
        (lambda: Regularization(dropout=[0.2, "half"]), "dropout=half: must be a number"),
        (
            lambda: Regularization(dropout=0.2).dropout_rates(0),
            "dropout=0.2: this model has no hidden layer; give [0.2] to drop inputs",
        ),
        (
            lambda: Regularization(dropout=[0.1, 0.2, 0.3, 0.4]).dropout_rates(2),
            "dropout=[0.1, 0.2, 0.3, 0.4]: 4 rates for 2 hidden layer(s); "
            "give one number, 2 rates, or 3 with the input's first",
        ),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value) == message
