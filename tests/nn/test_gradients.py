"""Backward against central differences in float64: every layer, activation, loss and penalty, inputs included."""

import itertools

import numpy as np
import pytest
from helpers.networks import PAIRS, network, scaled_batch

from mnistlab.nn.activations import ACTIVATIONS, ELU, GELU, Activation, Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from mnistlab.nn.architectures import LAYERS, layer
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.gradcheck import gradcheck
from mnistlab.nn.layers import Dense, Dropout, Flatten, Layer
from mnistlab.nn.losses import LOSSES
from mnistlab.nn.normalization import BatchNorm
from mnistlab.nn.pooling import AvgPool2D, GlobalAvgPool, MaxPool2D, Pool2D
from mnistlab.nn.regularization import Regularization

TOLERANCE = 1e-6


def errors(layers, regularization=None, **settings):
    x, labels = scaled_batch()
    return gradcheck(network(layers, **settings), x, labels, regularization)


def agrees(found):
    """Every block was reached by the gradient (an error of exactly 0 is a block of zeros) and is right."""
    return all(0 < error <= TOLERANCE for error in found.values())


# name: layers of a network from 2 x 2 pixels to 3 classes. Every layer of the engine stands in this table.
LAYER_TABLE = {
    "dense": lambda: [Flatten(), Dense(3)],
    "two dense": lambda: [Flatten(), Dense(4), Dense(3)],
    "dropout of the input": lambda: [Flatten(), Dropout(0.3), Dense(3)],
    "dropout of a map": lambda: [Dropout(0.3), Flatten(), Dense(3)],
    "dropout between dense layers": lambda: [Flatten(), Dense(5), Dropout(0.4), Dense(3)],
    "dropout after an activation": lambda: [Flatten(), Dense(5), Sigmoid(), Dropout(0.4), Dense(3)],
    "dropout before an activation": lambda: [Flatten(), Dense(5), Dropout(0.4), Tanh(), Dense(3)],
    "leaky_relu, steep": lambda: [Flatten(), Dense(5), LeakyReLU(0.3), Dense(3)],
    "elu, alpha 2": lambda: [Flatten(), Dense(5), ELU(2.0), Dense(3)],
    **{
        f"{name} {place}": lambda cls=cls, at=at: [*at(cls()), Dense(3)]
        for name, cls in ACTIVATIONS.items()
        for place, at in {
            "of dense": lambda f: [Flatten(), Dense(5), f],
            "of pixels": lambda f: [Flatten(), f],
            "of a map": lambda f: [f, Flatten(), Dense(5)],
        }.items()
    },
    # The array that a layer reads again in backward must not be overwritten by a later one, however it gets there.
    "tanh, handed on by identity": lambda: [Flatten(), Dense(5), Tanh(), Identity(), ReLU(), Dense(3)],
    "tanh, handed on by dropout at rate 0": lambda: [Flatten(), Dense(5), Tanh(), Dropout(0.0), ReLU(), Dense(3)],
    "tanh, handed on by flatten": lambda: [Tanh(), Flatten(), LeakyReLU(), Dense(3)],
    "tanh, handed on twice": lambda: [Flatten(), Dense(5), Tanh(), Identity(), Identity(), Dropout(0.3), Dense(3)],
    "tanh as logits": lambda: [Flatten(), Dense(3), Tanh()],
    "tanh as logits, handed on": lambda: [Flatten(), Dense(3), Tanh(), Identity()],
    "flatten as logits": lambda: [Flatten(), Dense(3), Flatten()],
}


# name: layers of a network from 7 x 6 pixels to 3 classes
MAP_TABLE = {
    "conv": lambda: [Conv2D(2, 3), Flatten(), Dense(3)],
    "conv, even kernel": lambda: [Conv2D(2, 2), Flatten(), Dense(3)],
    "conv, stride": lambda: [Conv2D(2, 3, stride=2), Flatten(), Dense(3)],
    "conv, same": lambda: [Conv2D(2, 3, padding="same"), Flatten(), Dense(3)],
    "conv, same, even kernel and stride": lambda: [Conv2D(2, 4, stride=2, padding="same"), Flatten(), Dense(3)],
    "conv, padding": lambda: [Conv2D(2, 3, padding=2), Flatten(), Dense(3)],
    "conv, as large as the map": lambda: [Conv2D(3, 6), Flatten(), Dense(3)],
    "conv, one pixel": lambda: [Conv2D(3, 1), Flatten(), Dense(3)],
    "two conv": lambda: [Conv2D(2, 3), Tanh(), Conv2D(3, 2, padding=1), Flatten(), Dense(3)],
    "two conv, same": lambda: [Conv2D(2, 3, padding="same"), Tanh(), Conv2D(3, 3, padding="same"), Flatten(), Dense(3)],
    "two conv, strides": lambda: [Conv2D(2, 2, stride=2), Conv2D(2, 2, stride=2), Flatten(), Dense(3)],
    "maxpool": lambda: [MaxPool2D(), Flatten(), Dense(3)],
    "maxpool, overlapping": lambda: [MaxPool2D(3, stride=2), Flatten(), Dense(3)],
    "maxpool, gaps": lambda: [MaxPool2D(2, stride=3), Flatten(), Dense(3)],
    "maxpool, after an activation": lambda: [Conv2D(2, 2), Tanh(), MaxPool2D(), Flatten(), Dense(3)],
    "maxpool, before an activation": lambda: [Conv2D(2, 2), MaxPool2D(), Tanh(), Flatten(), Dense(3)],
    "maxpool of 3, before an activation": lambda: [Conv2D(2, 2), MaxPool2D(3), Tanh(), Flatten(), Dense(3)],
    "maxpool of 3, handed on": lambda: [Conv2D(2, 2), MaxPool2D(3), Identity(), ReLU(), Flatten(), Dense(3)],
    "maxpool, twice": lambda: [Conv2D(2, 2), MaxPool2D(), MaxPool2D(), Flatten(), Dense(3)],
    "avgpool": lambda: [AvgPool2D(), Flatten(), Dense(3)],
    "avgpool, overlapping": lambda: [AvgPool2D(3, stride=2), Flatten(), Dense(3)],
    "avgpool, after an activation": lambda: [Conv2D(2, 2), Tanh(), AvgPool2D(), Conv2D(2, 2), Flatten(), Dense(3)],
    "conv for pooling, one channel": lambda: [Conv2D(3, 3), MaxPool2D(), Conv2D(2, 2), Flatten(), Dense(3)],
    "conv for pooling, stride": lambda: [Conv2D(3, 2, stride=2, padding=1), AvgPool2D(), Flatten(), Dense(3)],
    "conv for pooling, channels": lambda: [
        Conv2D(2, 2),
        Conv2D(3, 3, padding="same"),
        MaxPool2D(),
        Flatten(),
        Dense(3),
    ],
    "globalavgpool": lambda: [Conv2D(4, 3), Tanh(), GlobalAvgPool(), Dense(3)],
    "globalavgpool as logits": lambda: [Conv2D(3, 3), GlobalAvgPool()],
    "batchnorm of units": lambda: [Flatten(), Dense(4), BatchNorm(), Tanh(), Dense(3)],
    "batchnorm of pixels": lambda: [BatchNorm(), Flatten(), Dense(3)],
    "batchnorm of maps": lambda: [Conv2D(2, 3), BatchNorm(), Tanh(), Flatten(), Dense(3)],
    "batchnorm, pooled, even": lambda: [Conv2D(2, 2), BatchNorm(), Tanh(), MaxPool2D(), Flatten(), Dense(3)],
    "batchnorm, pooled, odd": lambda: [Conv2D(2, 3, padding=1), BatchNorm(), Tanh(), MaxPool2D(), Flatten(), Dense(3)],
    "batchnorm after padding": lambda: [Conv2D(2, 1), BatchNorm(), Conv2D(2, 3, padding=1), Flatten(), Dense(3)],
    "batchnorm before relu in place": lambda: [
        Conv2D(2, 2),
        BatchNorm(),
        ReLU(),
        Flatten(),
        Dense(3),
    ],
    "dropout of maps": lambda: [Conv2D(2, 2), Dropout(0.3), MaxPool2D(), Flatten(), Dense(3)],
}


@pytest.mark.parametrize("layers", MAP_TABLE.values(), ids=MAP_TABLE)
def test_each_layer_of_maps(layers):
    x, labels = scaled_batch((7, 6), n=5)
    made = network(layers(), (7, 6))
    found = gradcheck(made, x, labels, most=60)
    before_norm = {f"{i}.conv.b" for i in range(9)} | {f"{i}.dense.b" for i in range(9)}
    normalised = any(isinstance(layer, BatchNorm) for layer in made.layers)
    assert all(error <= TOLERANCE for error in found.values())
    reached = {name for name, error in found.items() if error > 0}
    assert set(found) - reached <= (before_norm if normalised else set())  # normalisation takes a bias out again


@pytest.mark.parametrize("layers", LAYER_TABLE.values(), ids=LAYER_TABLE)
def test_each_layer(layers):
    assert agrees(errors(layers()))


def test_the_table_holds_every_layer_of_the_engine():
    def below(cls):
        return {cls}.union(*map(below, cls.__subclasses__()))

    engine = {cls for cls in below(Layer) if cls.__module__.startswith("mnistlab.")} - {Layer, Activation, Pool2D}
    assert {type(step) for make in [*LAYER_TABLE.values(), *MAP_TABLE.values()] for step in make()} == engine
    assert set(LAYERS.values()) == engine
    assert set(ACTIVATIONS.values()) == {cls for cls in engine if issubclass(cls, Activation)}


@pytest.mark.parametrize(("first", "second"), list(itertools.product(ACTIVATIONS, repeat=2)))
def test_two_activations_in_a_row_leave_each_other_alone(first, second):
    assert agrees(errors([Flatten(), Dense(5), layer(first), layer(second), Dense(3)], seed=3))


# l1, l2 and label smoothing act on the loss, dropout on the layers; max-norm is a projection and has no gradient
REGULARIZERS = {
    "none": {},
    "l1": {"l1": 0.03},
    "l2": {"l2": 0.2},
    "dropout": {"dropout": [0.2, 0.3]},
    "label smoothing": {"label_smoothing": 0.1},
    "all": {"l1": 0.03, "l2": 0.2, "dropout": [0.2, 0.3], "label_smoothing": 0.1},
}


@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize(("loss", "output"), PAIRS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_each_activation_with_each_loss_and_regularizer(activation, loss, output, regularizer):
    regularization = Regularization(**REGULARIZERS[regularizer])
    of_input, of_hidden = regularization.dropout_rates(1)
    layers = [Flatten(), Dropout(of_input), Dense(4), layer(activation), Dropout(of_hidden), Dense(3)]
    settings = {"loss": loss, "output": output, "smoothing": regularization.label_smoothing}
    assert agrees(errors(layers, regularization, **settings))


def test_the_losses_stand_in_the_product_with_every_output_they_take():
    assert {name for name, _ in PAIRS} == set(LOSSES)
    assert set(itertools.product(LOSSES, ("softmax", "sigmoid"))) - set(PAIRS) == {("cross_entropy", "sigmoid")}


@pytest.mark.parametrize("classes", [2, 10, 47])
@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_each_loss_with_few_and_many_classes(loss, output, classes):
    x, labels = scaled_batch(classes=classes, n=3)
    made = network([Flatten(), Dense(classes)], classes=classes, loss=loss, output=output)
    assert agrees(gradcheck(made, x, labels, most=20))


class _ForgetsTheSquare(Tanh):
    def scale_by_derivative(self, dy, y):
        np.multiply(dy, 1 - y, out=dy)


class _ForgetsTheBias(Dense):
    def backward(self, dy, need_dx=True):
        dx = super().backward(dy, need_dx)
        self.grads["b"][:] = 0
        return dx


class _TakesTheFirstSampleTwice(Dense):
    def backward(self, dy, need_dx=True):
        dx = super().backward(dy, need_dx)
        self.grads["W"] += np.outer(dy[:, 0], self.x[:, 0])
        return dx


class _LosesTheSign(Dense):
    def backward(self, dy, need_dx=True):
        return -super().backward(dy, need_dx)


class _OverwritesItsInput(GELU):
    can_overwrite = True


@pytest.mark.parametrize(
    ("layers", "wrong"),
    [
        ([Flatten(), Dense(4), _ForgetsTheSquare(), Dense(3)], {"2.dense.W", "2.dense.b", "input"}),
        ([Flatten(), Dense(4), _OverwritesItsInput(), Dense(3)], {"2.dense.W", "2.dense.b", "input"}),
        ([Flatten(), _ForgetsTheBias(3)], {"2._forgetsthebias.b"}),
        ([Flatten(), _TakesTheFirstSampleTwice(3)], {"2._takesthefirstsampletwice.W"}),
        ([Flatten(), _LosesTheSign(3)], {"input"}),
    ],
    ids=["activation", "in place", "bias", "weights", "input"],
)
def test_a_wrong_backward_is_found_where_it_is(layers, wrong):
    found = errors(layers)
    assert {name for name, error in found.items() if error > 1e-3} == wrong
    assert all(error <= TOLERANCE for name, error in found.items() if name not in wrong)


def test_a_wrong_penalty_is_found():
    class HalvesL2(Regularization):
        def penalty(self, w):
            return super().penalty(w) / 2

    found = errors([Flatten(), Dense(3)], HalvesL2(l2=0.5))
    assert found["2.dense.W"] > 1e-3
    assert found["2.dense.b"] <= TOLERANCE  # biases are not regularised


def test_the_check_leaves_the_network_as_it_was():
    made, (x, labels) = network([Flatten(), Dense(4), Tanh(), Dense(3)]), scaled_batch()
    theta, pixels = made.theta.copy(), x.copy()
    gradcheck(made, x, labels)
    np.testing.assert_array_equal(made.theta, theta)
    np.testing.assert_array_equal(x, pixels)
