"""The same bytes from run to run and with any number of threads; and what is not finite stays so."""

import numpy as np
import pytest
from nn.kernels.test_gradients import NETWORKS, data, pair

from mnistlab.nn.layers import Dense, Flatten
from mnistlab.nn.losses import LOSSES
from mnistlab.nn.network import Network
from mnistlab.nn.optimizers import Adam
from mnistlab.nn.regularization import Regularization
from mnistlab.training.step import Update


def trained(name, threads, steps=6):
    make, shape = NETWORKS[name]
    _, network = pair(make, shape)
    network.use_kernels(threads)
    optimizer = Adam()
    optimizer.bind(network.theta, network.grad, network.n_weights)
    update, rng = Update(network, optimizer, Regularization(), None), np.random.default_rng(0)
    losses = []
    for step in range(steps):
        images, labels, rows = data(shape, network.loss.classes, 33 if step % 2 else 64, seed=step)
        losses.append(network.gradient(images, labels, rows, rng)[0])
        update(1.0, len(rows))
    return network.theta.tobytes(), losses, network.predict(images).tobytes()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_bytes_again_and_with_two_threads(name):
    first = trained(name, 1)
    assert trained(name, 1) == first
    assert trained(name, 2) == first


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["LeNet-5", "max pooling before ReLU", "Winograd", "sigmoid"])
def test_a_weight_that_is_not_finite_makes_the_loss_not_finite(name, value):
    make, shape = NETWORKS[name]
    _, network = pair(make, shape)
    last = [block for block in network.blocks if block.is_weight][-1]
    network.theta[last.part] = value
    images, labels, rows = data(shape, network.loss.classes, 32)
    loss, hits = network.gradient(images, labels, rows)
    assert not np.isfinite(loss)
    if np.isnan(value):
        assert hits == 0


@pytest.mark.parametrize("name", ["LeNet-5", "max pooling before ReLU", "Winograd", "sigmoid"])
def test_nan_in_the_first_weights_reaches_the_loss(name):
    make, shape = NETWORKS[name]
    _, network = pair(make, shape)
    network.theta[0] = np.nan
    images, labels, rows = data(shape, network.loss.classes, 32)
    assert np.isnan(network.gradient(images, labels, rows)[0])


def test_the_first_of_equal_logits_is_the_hit_as_in_argmax():
    network = Network([Flatten(), Dense(4)], (3, 3), LOSSES["cross_entropy"](4))
    network.use_kernels(1)
    images = np.zeros((8, 3, 3), np.uint8)
    loss, hits = network.gradient(images, np.arange(8) % 4, np.arange(8))
    assert (loss, hits) == (pytest.approx(np.log(4)), 2)
