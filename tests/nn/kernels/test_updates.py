"""A fused update is the optimizer's own rule: with penalties on the weights only, with clipping, without denormals."""

import numpy as np
import pytest

from mnistlab.nn.kernels.optimizer import RULES, FusedUpdate
from mnistlab.nn.layers import Dense, Flatten
from mnistlab.nn.losses import LOSSES
from mnistlab.nn.network import Network
from mnistlab.nn.optimizers import OPTIMIZERS, SGD, AdamW
from mnistlab.nn.regularization import Regularization
from mnistlab.training.step import Update

STEPS = 20


def updated(rule, penalty, clip_norm, threads=None):
    """The parameters after some steps with random gradients; by the optimizer itself without ``threads``."""
    network = Network([Flatten(), Dense(37), Dense(5)], (7, 9), LOSSES["cross_entropy"](5))
    rng = np.random.default_rng(0)
    network.theta[:] = rng.standard_normal(network.theta.size)
    if threads:
        network.use_kernels(threads)
    optimizer = rule()
    optimizer.bind(network.theta, network.grad, network.n_weights)
    update = Update(network, optimizer, Regularization(**penalty), clip_norm)
    assert isinstance(update.fused, FusedUpdate) == bool(threads)
    for step in range(STEPS):
        network.grad[:] = rng.standard_normal(network.grad.size) * 0.1
        update(0.5 if step % 3 else 1.0, 32)
    return network.theta, optimizer


@pytest.mark.parametrize("clip_norm", [None, 0.5, 100.0])
@pytest.mark.parametrize(
    "penalty", [{}, {"l2": 0.01}, {"l1": 0.01}, {"l1": 0.02, "l2": 0.03}, {"max_norm": 1.0}], ids=str
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_fused_update_is_the_rule_of_the_optimizer(name, penalty, clip_norm):
    expected, reference = updated(OPTIMIZERS[name], penalty, clip_norm)
    actual, optimizer = updated(OPTIMIZERS[name], penalty, clip_norm, threads=1)
    assert optimizer.steps == reference.steps == STEPS
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-6)
    for one, other in zip(optimizer.state, reference.state, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


def test_two_threads_give_the_bytes_of_one():
    for name in OPTIMIZERS:
        one, _ = updated(OPTIMIZERS[name], {"l2": 0.01}, 0.5, threads=1)
        two, _ = updated(OPTIMIZERS[name], {"l2": 0.01}, 0.5, threads=2)
        assert one.tobytes() == two.tobytes(), name


def test_every_optimizer_has_a_kernel():
    assert set(RULES) == set(OPTIMIZERS.values())


def test_an_optimizer_of_ones_own_uses_its_own_rule():
    class Halved(SGD):
        def update(self, p, g, slots, t, is_weight):
            super().update(p, g * 0.5, slots, t, is_weight)

    network = Network([Flatten(), Dense(5)], (2, 2), LOSSES["cross_entropy"](5))
    network.use_kernels(1)
    optimizer = Halved(lr=1.0)
    optimizer.bind(network.theta, network.grad, network.n_weights)
    network.grad[:] = 1
    Update(network, optimizer, Regularization(), None)(1.0, 1)
    np.testing.assert_array_equal(network.theta, -0.5)


def test_moments_that_decay_never_become_denormal():
    network = Network([Flatten(), Dense(5)], (4, 4), LOSSES["cross_entropy"](5))
    network.use_kernels(1)
    for name, rule in OPTIMIZERS.items():
        optimizer = rule()
        optimizer.bind(network.theta, network.grad, network.n_weights)
        update = Update(network, optimizer, Regularization(), None)
        network.grad[:] = 1e-12
        update(1.0, 1)
        network.grad[:] = 0
        for _ in range(1200):
            update(1.0, 1)
        for slot in optimizer.state:
            assert not ((slot != 0) & (np.abs(slot) < np.finfo(np.float32).tiny)).any(), name


def test_nan_in_a_gradient_reaches_the_parameters():
    for name in OPTIMIZERS:
        network = Network([Flatten(), Dense(5)], (4, 4), LOSSES["cross_entropy"](5))
        network.use_kernels(1)
        optimizer = OPTIMIZERS[name]()
        optimizer.bind(network.theta, network.grad, network.n_weights)
        network.grad[:] = 0
        network.grad[3] = np.nan
        update = Update(network, optimizer, Regularization(), None)
        update(1.0, 1)
        update(1.0, 1)
        assert np.isnan(network.theta[3]), name
        assert np.isfinite(np.delete(network.theta, 3)).all(), name


def test_adamw_decays_weights_and_not_biases():
    network = Network([Flatten(), Dense(5)], (4, 4), LOSSES["cross_entropy"](5))
    network.use_kernels(1)
    network.theta[:] = 1
    optimizer = AdamW(lr=0.1, weight_decay=0.5)
    optimizer.bind(network.theta, network.grad, network.n_weights)
    network.grad[:] = 0
    Update(network, optimizer, Regularization(), None)(1.0, 1)
    np.testing.assert_allclose(network.theta[: network.n_weights], 0.95, rtol=1e-6)
    np.testing.assert_array_equal(network.theta[network.n_weights :], 1)
