"""The network and batch of a gradient check, and its estimated duration."""

from __future__ import annotations

import time

import numpy as np

from mnistlab.data.loading import Outline
from mnistlab.nn.initializers import Kaiming
from mnistlab.nn.network import MOST, Network
from mnistlab.system.errors import RequestError


def noise_batch(network: Network, data: Outline, batch: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the parameters, and return images (1, height, width, batch) of noise with labels (batch,).

    Biases and images are random, so that no two values of a pooling window are equal.
    """
    if batch * network.per_image > MOST:
        possible = max(1, MOST // network.per_image)
        raise RequestError(
            f"--batch={batch}: all images are processed at once; with this network use at most {possible:,}"
        )
    rng = np.random.default_rng(seed)
    network.initialise(Kaiming(), rng)
    constants = network.theta[network.n_weights :]
    constants += 0.1 * rng.standard_normal(constants.size)
    x = rng.standard_normal((1, *data.image_shape, batch))
    return x, rng.integers(0, data.classes, batch)


def seconds_of(network: Network, x: np.ndarray, labels: np.ndarray, most: int) -> tuple[int, float]:
    """Return the number of losses for a check of at most ``most`` elements per block, and the estimated seconds."""
    network.forward(x.copy(), np.random.default_rng(0))
    started = time.perf_counter()
    network.loss.forward(network.forward(x.copy(), np.random.default_rng(0)), labels)
    seconds = time.perf_counter() - started
    evaluations = 2 * sum(min(most, size) for size in [x.size, *(int(np.prod(b.shape)) for b in network.blocks)])
    return evaluations, evaluations * seconds
