"""The running statistics of batch normalisation in kernels."""

import numpy as np
import pytest
from nn.kernels.test_gradients import data, pair

from mnistlab.nn.conv import Conv2D
from mnistlab.nn.layers import Dense, Flatten
from mnistlab.nn.normalization import BatchNorm
from mnistlab.nn.pooling import MaxPool2D


def networks(norm, image):
    return pair(lambda: [Conv2D(5, 2), norm(), MaxPool2D(), Flatten(), Dense(3)], image)


@pytest.mark.parametrize("norm", [BatchNorm, lambda: BatchNorm(0.5, 0.1)])
def test_they_are_those_of_the_numpy_layer(norm):
    reference, compiled = networks(norm, (8, 6))  # 7 x 5 pixels, of which 6 x 4 are pooled, but all count
    for batch in (33, 16, 33):
        images, labels, rows = data((8, 6), 3, batch, seed=batch)
        for network in (reference, compiled):
            network.gradient(images, labels, rows, np.random.default_rng(0))
        np.testing.assert_allclose(compiled.buffers, reference.buffers, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(compiled.predict(images), reference.predict(images), atol=1e-5)


def test_a_prediction_does_not_change_them():
    _, compiled = networks(BatchNorm, (8, 6))
    before = compiled.buffers.copy()
    compiled.predict(data((8, 6), 3, 33)[0])
    np.testing.assert_array_equal(compiled.buffers, before)


def test_one_map_of_one_pixel_has_no_variance_and_changes_nothing():
    _, compiled = pair(lambda: [Conv2D(5, 4), BatchNorm(), Flatten(), Dense(3)], (4, 4))
    before = compiled.buffers.copy()
    images, labels, rows = data((4, 4), 3, 1)
    compiled.gradient(images, labels, rows, np.random.default_rng(0))
    np.testing.assert_array_equal(compiled.buffers, before)
    (weights,) = (block for block in compiled.blocks if (block.layer, block.name) == (0, "W"))
    assert not compiled.grad[weights.part].any()


def test_a_mean_far_from_zero_does_not_hide_the_variance():
    """Sums of squares would lose a variance of 1 beside a mean of 1,000 if they were kept in float32."""
    reference, compiled = networks(BatchNorm, (8, 6))
    images, labels, rows = data((8, 6), 3, 33)
    for network in (reference, compiled):
        network.layers[0].params["b"][...] = 1000
        network.gradient(images, labels, rows, np.random.default_rng(0))
    variance = compiled.layers[1].buffers["variance"]
    np.testing.assert_allclose(variance, reference.layers[1].buffers["variance"], rtol=1e-3)
