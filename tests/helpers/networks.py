"""Tiny networks and batches for the tests of the engine."""

import numpy as np

from mnistlab.nn.losses import LOSSES
from mnistlab.nn.network import Network

PAIRS = [(name, output) for name, loss in LOSSES.items() for output in loss.outputs]  # losses with their outputs


def network(
    layers,
    shape=(2, 2),
    classes=3,
    loss="cross_entropy",
    output="softmax",
    smoothing=0.0,
    dtype=np.float64,
    seed=0,
    shift=0.0,
    scale=1 / 255,
):
    """A network whose weights and biases are all drawn from N(0, 1)."""
    made = Network(layers, shape, LOSSES[loss](classes, output, smoothing, dtype), shift, scale, dtype)
    made.theta[:] = np.random.default_rng(seed).standard_normal(made.theta.size)
    return made


def scaled_batch(shape=(2, 2), classes=3, n=4, seed=1):
    """An input as the layers see it, (1, height, width, n), and labels that hold every class."""
    x = np.random.default_rng(seed).standard_normal((1, *shape, n))
    return x, np.arange(n) % classes


def images_and_labels(n=12, shape=(2, 2), classes=3, seed=2):
    """Images as the network sees them, (n, height, width) uint8, and labels."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, *shape), dtype=np.uint8), rng.integers(0, classes, n)
