"""Kernels check no bounds, so these tests do: no byte around any array changes, whatever the shapes."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from nn.kernels.test_gradients import NETWORKS, build, data, layer_lists, pair

from mnistlab.nn.kernels import memory

GUARD, BYTE = 4096, 0xA5


class Guarded:
    """Stands in for `memory.aligned`: every array lies between guards."""

    def __init__(self):
        self.blocks = []

    def __call__(self, size, dtype=np.float32):
        width = np.dtype(dtype).itemsize
        raw = np.full(size * width + 2 * GUARD + 2 * memory.LINE, BYTE, np.uint8)
        start = GUARD + -(raw.ctypes.data + GUARD) % memory.LINE
        raw[start : start + size * width] = 0
        self.blocks.append((raw, start, start + size * width))
        return raw[start : start + size * width].view(dtype)

    def check(self):
        for raw, start, stop in self.blocks:
            assert (raw[:start] == BYTE).all()
            assert (raw[stop:] == BYTE).all()


def assert_guards_hold(make, shape, batches, patch):
    guarded = Guarded()
    patch.setattr(memory, "aligned", guarded)
    _, network = pair(make, shape)
    # gradients and parameters get guards too: kernels read and write them in place
    for name in ("theta", "grad"):
        fresh = guarded(network.theta.size)
        fresh[:] = getattr(network, name)
        setattr(network, name, fresh)
    for block in network.blocks:
        layer = network.layers[block.layer]
        layer.params[block.name] = network.theta[block.part].reshape(block.shape)
        layer.grads[block.name] = network.grad[block.part].reshape(block.shape)
    network.use_kernels(2)
    for batch in batches:
        images, labels, rows = data(shape, network.loss.classes, batch)
        network.gradient(images, labels, rows, np.random.default_rng(0))
        assert np.isfinite(network.grad).all()
        network.predict(images)
        guarded.check()


@pytest.mark.parametrize("name", NETWORKS)
def test_no_array_of_a_known_network_is_left(name, monkeypatch):
    make, shape = NETWORKS[name]
    assert_guards_hold(make, shape, (32, 1, 33), monkeypatch)


@settings(max_examples=8, deadline=None)
@given(layer_lists(normalised=True), st.lists(st.integers(1, 130), min_size=1, max_size=3))
def test_no_array_of_any_network_is_left(case, batches):
    shape, words = case
    with pytest.MonkeyPatch.context() as patch:
        assert_guards_hold(lambda: build(words), shape, batches, patch)


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(layer_lists(normalised=True), st.lists(st.integers(1, 130), min_size=1, max_size=3))
def test_no_array_of_any_network_is_left_at_length(case, batches):
    shape, words = case
    with pytest.MonkeyPatch.context() as patch:
        assert_guards_hold(lambda: build(words), shape, batches, patch)
