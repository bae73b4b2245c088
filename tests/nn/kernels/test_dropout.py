"""Dropout's masks: Philox's known answers, the rate, and one mask per key."""

import numba
import numpy as np
import pytest

from mnistlab.nn.kernels.transport import philox
from mnistlab.nn.layers import Dense, Dropout, Flatten
from mnistlab.nn.losses import LOSSES
from mnistlab.nn.network import Network


@numba.njit
def words(c0, c1, k0, k1):
    return philox(np.uint64(c0), np.uint64(c1), np.uint64(k0), np.uint64(k1))


def reference(counter, key):
    """Philox 4x32-10 in plain integers: Salmon et al. 2011, section 3.3."""
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(second >> 32) ^ c[1] ^ k[0], second & 0xFFFFFFFF, (first >> 32) ^ c[3] ^ k[1], first & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return tuple(c)


def test_the_known_answer_of_the_authors_library():
    assert reference((0, 0, 0, 0), (0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    assert words(0, 0, 0, 0) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)


def test_other_counters_and_keys():
    rng = np.random.default_rng(0)
    for c0, c1, k0, k1 in rng.integers(0, 2**32, (50, 4)).tolist():
        assert words(c0, c1, k0, k1) == reference((c0, c1, 0, 0), (k0, k1))


def mask_of(rate, seed, units=500, images=64):
    """The mask that one gradient draws, read from the hidden layer's values: without bias, all ones before it."""
    network = Network([Flatten(), Dense(units), Dropout(rate), Dense(3)], (1, 1), LOSSES["cross_entropy"](3))
    network.use_kernels(1)
    network.theta[:] = 1
    data = np.full((images, 1, 1), 255, np.uint8)
    network.gradient(data, np.zeros(images, np.int64), np.arange(images), np.random.default_rng(seed))
    (drop,) = next(iter(network.engine._plans.values())).drops
    return drop.mask[: drop.size].copy()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_rate_and_the_scale(rate):
    mask = mask_of(rate, 0)
    kept = mask != 0
    np.testing.assert_allclose(mask[kept], 1 / (1 - rate), rtol=1e-6)
    sd = np.sqrt(rate * (1 - rate) / mask.size)
    assert abs(kept.mean() - (1 - rate)) < 4 * sd


def test_neighbours_are_independent():
    kept = (mask_of(0.5, 3) != 0).astype(float) - 0.5
    for lag in (1, 2, 3, 4, 8, 16, 500):
        assert abs((kept[:-lag] * kept[lag:]).mean() * 4) < 4 / np.sqrt(kept.size)


def test_one_seed_is_one_mask_and_each_step_has_its_own():
    assert mask_of(0.5, 1).tobytes() == mask_of(0.5, 1).tobytes()
    assert mask_of(0.5, 1).tobytes() != mask_of(0.5, 2).tobytes()
