"""The gradient check itself: where central differences fail though backward is right, and where they must not help."""

import numpy as np
import pytest
from helpers.networks import network, scaled_batch

from mnistlab.nn.activations import LeakyReLU, Sigmoid, Tanh
from mnistlab.nn.gradcheck import TOLERANCE, Checked, check, gradcheck
from mnistlab.nn.layers import Dense, Flatten
from mnistlab.nn.pooling import MaxPool2D
from mnistlab.nn.regularization import Regularization


def worst(found):
    return max(found.values())


@pytest.mark.parametrize("distance", [1e-7, 2e-7, 2e-6, 9e-6])
def test_a_kink_within_the_step_is_stepped_around(distance):
    made, (x, labels) = network([Flatten(), Dense(2), LeakyReLU(0.1), Dense(3)]), scaled_batch(n=1)
    dense = made.layers[1]
    dense.params["b"][0] = -float(dense.params["W"][0] @ x.reshape(-1)) + distance
    assert worst(gradcheck(made, x, labels)) <= TOLERANCE


@pytest.mark.parametrize("distance", [1e-7, 2e-7, 2e-6, 9e-6])
def test_two_nearly_equal_pixels_of_a_window_are_stepped_around(distance):
    made, (x, labels) = network([MaxPool2D(2), Flatten(), Dense(3)]), scaled_batch(n=2)
    x[0, 0, 0] = x[0].max() + 1
    x[0, 0, 1] = x[0, 0, 0] + distance
    assert worst(gradcheck(made, x, labels)) <= TOLERANCE


def test_a_weight_of_nearly_zero_under_l1_is_stepped_around():
    made, (x, labels) = network([Flatten(), Dense(3)]), scaled_batch()
    made.theta[0] = 1e-6
    assert worst(gradcheck(made, x, labels, Regularization(l1=0.5))) <= TOLERANCE


def test_gradients_that_nearly_vanish_are_not_drowned_by_rounding():
    layers = [Flatten(), *(step for _ in range(8) for step in (Dense(5), Sigmoid())), Dense(3)]
    found = gradcheck(network(layers), *scaled_batch())
    assert 0 < worst(found) <= TOLERANCE


@pytest.mark.parametrize("factor", [0, 0.5, 1 + 1e-4, -1])
def test_a_wrong_gradient_is_wrong_at_every_step(factor):
    class Wrong(Dense):
        def backward(self, dy, need_dx=True):
            dx = super().backward(dy, need_dx)
            self.grads["W"] *= factor
            return dx

    found = gradcheck(network([Flatten(), Wrong(4), Tanh(), Dense(3)]), *scaled_batch())
    (weights,) = (name for name in found if name.endswith("wrong.W"))
    assert {name for name, error in found.items() if error > TOLERANCE} == {weights}


def test_a_gradient_that_is_not_a_number_does_not_agree():
    class Wrong(Dense):
        def backward(self, dy, need_dx=True):
            dx = super().backward(dy, need_dx)
            self.grads["W"][0, 0] = np.nan
            return dx

    found = {block.name: block.agrees for block in check(network([Flatten(), Wrong(3)]), *scaled_batch())}
    assert found == {"2.wrong.W": False, "2.wrong.b": True, "input": True}


def test_blocks_come_layer_by_layer_with_what_was_checked_of_them():
    found = list(check(network([Flatten(), Dense(4), Tanh(), Dense(3)]), *scaled_batch(), most=5))
    assert [(block.name, block.size, block.checked) for block in found] == [
        ("2.dense.W", 16, 5),
        ("2.dense.b", 4, 4),
        ("4.dense.W", 12, 5),
        ("4.dense.b", 3, 3),
        ("input", 16, 5),
    ]


def test_a_block_agrees_up_to_the_tolerance():
    assert Checked("b", 1, 1, TOLERANCE).agrees
    assert not Checked("b", 1, 1, 1.01 * TOLERANCE).agrees
