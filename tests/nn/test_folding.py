"""Batch normalisation folded into the layer before it: the same function, with fewer layers."""

import numpy as np
import pytest

from mnistlab.nn.architectures import network_from_spec
from mnistlab.nn.folding import folded
from mnistlab.nn.initializers import Kaiming

CONV = {"conv": {"filters": 3, "kernel": 3, "padding": "same"}}
DENSE = {"dense": {"units": 7}}
ROWS = {
    "of maps": ([CONV, "batchnorm", "relu", "maxpool", "flatten"], [CONV, "relu", "maxpool", "flatten"]),
    "of units, other eps": (["flatten", DENSE, {"batchnorm": {"eps": 0.1}}, "tanh"], ["flatten", DENSE, "tanh"]),
    "behind dropout": (["flatten", DENSE, "dropout", "batchnorm"], ["flatten", DENSE, "dropout"]),
    "twice": (["flatten", DENSE, "batchnorm", "batchnorm"], ["flatten", DENSE]),
    "two layers": (
        [CONV, "batchnorm", "relu", CONV, "batchnorm", "flatten"],
        [CONV, "relu", CONV, "flatten"],
    ),
}
STAYING = {
    "of the pixels": ["batchnorm", "flatten", DENSE],
    "behind an activation": ["flatten", DENSE, "relu", "batchnorm"],
    "behind pooling": [CONV, "maxpool", "batchnorm", "flatten"],
    "none": ["flatten", DENSE, "relu"],
}


def network_of(layers, dtype=np.float32):
    spec = {"layers": [*layers, {"dense": {"units": 4}}], "loss": "cross_entropy", "output": "softmax"}
    about = {"image_shape": [6, 8], "classes": 4, "label_smoothing": 0.0, "shift": 33.3, "scale": 1 / 78.6}
    network, rng = network_from_spec({**spec, **about}, dtype), np.random.default_rng(1)
    network.initialise(Kaiming(), rng)
    biases = network.theta[network.n_weights :]
    biases += 0.3 * rng.standard_normal(biases.size)
    network.buffers[:] = rng.uniform(0.2, 1.5, network.buffers.size)
    return network


IMAGES = np.random.default_rng(2).integers(0, 256, (20, 6, 8), dtype=np.uint8)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-13)])
@pytest.mark.parametrize("name", ROWS)
def test_it_computes_the_same_without_the_layer(name, dtype, tolerance):
    layers, fewer = ROWS[name]
    network = network_of(layers, dtype)
    theta = network.theta.copy()
    small = folded(network)
    assert small.spec() == network_of(fewer, dtype).spec()
    assert small.dtype == dtype
    np.testing.assert_allclose(small.predict(IMAGES), network.predict(IMAGES), atol=tolerance)
    np.testing.assert_array_equal(network.theta, theta)  # the trained network stays as it is


@pytest.mark.parametrize("name", STAYING)
def test_what_follows_no_weights_directly_stays(name):
    network = network_of(STAYING[name])
    assert folded(network) is network


def test_one_unit_by_hand():
    network = network_of(["flatten", {"dense": {"units": 1}}, {"batchnorm": {"eps": 0.25}}], np.float64)
    dense, norm = network.layers[1], network.layers[2]
    dense.params["W"][...], dense.params["b"][...] = 3, 5
    norm.params["gamma"][...], norm.params["beta"][...] = 4, 7
    norm.buffers["mean"][...], norm.buffers["variance"][...] = 2, 3.75
    (_, layer, *_) = folded(network).layers
    # a = 4 / sqrt(3.75 + 0.25) = 2: W' = 2 . 3, b' = 2 (5 - 2) + 7
    assert layer.params["W"].tolist() == [[6.0] * 48]
    assert layer.params["b"].tolist() == [13.0]
