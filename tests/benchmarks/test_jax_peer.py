"""The peer in JAX does the same work as ours: from the same weights and batches it gets the same loss."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
pytestmark = pytest.mark.slow
pytest.importorskip("jax", reason="jax is not installed")


@pytest.fixture
def jax_peer():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield import_module("jax_peer")


def build(name, *more):
    from workloads import WORKLOADS, compose

    from mnistlab.runs import pipeline

    overrides = ["data=mnist5k", "data.limit=1000", "data.validation=0", *more]  # batches of 32 leave a shorter one
    made = compose(WORKLOADS[name], 1, overrides)
    dataset = pipeline.load_data(made)
    return made, dataset, pipeline.build(made, dataset)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("ghimire", ()),  # SGD, L2, leaky ReLU and tanh
        ("macalinao_full", ()),  # one batch of all
        ("fashion_dense", ()),  # Adam and L2
        ("lin_simple_cnn", ()),  # SGD, max pooling
        ("fashion_lenet5", ("optimizer=sgd", "optimizer.lr=0.1")),  # padding, average pooling
    ],
)
def test_after_an_epoch_the_loss_is_ours(name, more, jax_peer):
    from mnistlab.training.components import RandomStreams
    from mnistlab.training.loop import fit

    made, dataset, network = build(name, *more)
    peer = jax_peer.Training(made, dataset, network)
    before = network.score(dataset.train.images, dataset.train.labels)[0]
    assert peer.loss() == pytest.approx(before, abs=1e-4)
    peer.epoch(RandomStreams.from_seed(made.seed).order.permutation(peer.n))
    fit(network, dataset.train, dataset.validation, made.components, RandomStreams.from_seed(made.seed))
    after = network.score(dataset.train.images, dataset.train.labels)[0]
    assert peer.loss() == pytest.approx(after, abs=1e-3)
    assert after < before - 0.01


def test_dropout_is_random_in_training_and_off_in_inference(jax_peer):
    from jax import random

    made, dataset, network = build("oxford_cnn")
    peer = jax_peer.Training(made, dataset, network)
    parameters, x = peer.state[0], peer.x[:64]
    with_key = [np.asarray(peer.model(parameters, x, random.key(seed))) for seed in (0, 0, 1)]
    without = [np.asarray(peer.model(parameters, x, None)) for _ in range(2)]
    assert (with_key[0] == with_key[1]).all()
    assert (with_key[0] != with_key[2]).any()
    assert (without[0] == without[1]).all()
    layer = next(layer for layer in network.layers if hasattr(layer, "rate"))
    ones = np.ones((200, 500), np.float32)
    dropped = np.asarray(jax_peer.apply_of(layer)(None, ones, random.key(2)))
    assert dropped.mean() == pytest.approx(1, abs=0.02)  # inverted: what is kept is scaled
    assert (dropped == 0).mean() == pytest.approx(layer.rate, abs=0.01)


@pytest.mark.parametrize("kind", ["maxpool", "avgpool"])
def test_windows_side_by_side_and_windows_that_overlap_are_pooled_alike(kind, jax_peer):
    from mnistlab.nn.pooling import AvgPool2D, MaxPool2D

    layer_of = {"maxpool": MaxPool2D, "avgpool": AvgPool2D}[kind]
    x = np.random.default_rng(0).normal(size=(2, 7, 6, 3)).astype(np.float32)
    for stride in (2, 1):
        layer = layer_of(2, stride)
        layer.build((3, 7, 6))
        expected = layer.forward(np.ascontiguousarray(x.transpose(3, 1, 2, 0))).transpose(3, 1, 2, 0)
        np.testing.assert_allclose(jax_peer.apply_of(layer)(None, x, None), expected, rtol=1e-6, atol=1e-6)
