"""One step, gradient and update: it allocates no arrays, and clips the gradient that it takes."""

import tracemalloc

import numpy as np
import pytest
from helpers.networks import images_and_labels

from mnistlab.nn import network as network_module
from mnistlab.nn.architectures import MLP, LayerList
from mnistlab.nn.initializers import Kaiming, Zeros
from mnistlab.nn.losses import LOSSES
from mnistlab.nn.optimizers import OPTIMIZERS, SGD, Adam
from mnistlab.nn.regularization import Regularization
from mnistlab.system.random import stream
from mnistlab.training.step import Update

ALLOWED = 64 * 1024  # bytes; some of NumPy's operations take a buffer of up to 8,192 elements
# image shape, units of a hidden layer, classes, batch: with the first a copy of the weights or of the pixels would be
# larger than what is allowed, with the second also one of any activation, of the logits, or of the targets
SIZES = {"large images": ((28, 28), 64, 3, 64), "large batches": ((5, 5), 20, 20, 1000)}
# what differs from SGD without any regularisation on one hidden layer of ReLUs
STEPS = {
    **{name: {"optimizer": cls()} for name, cls in OPTIMIZERS.items()},
    **{f"{loss}, {output}": {"loss": loss, "output": output} for loss in LOSSES for output in LOSSES[loss].outputs},
    "adam, l1, l2": {"optimizer": Adam(), "regularization": Regularization(l1=1e-4, l2=1e-4)},
    "dropout": {"regularization": Regularization(dropout=[0.1, 0.5])},
    "max-norm": {"regularization": Regularization(max_norm=1.0)},
    "clipping": {"clip_norm": 1e-3, "regularization": Regularization(l2=1e-4)},
    "label smoothing": {"regularization": Regularization(label_smoothing=0.1)},
    "leaky_relu, tanh": {"activation": ["leaky_relu", "tanh"]},
    "sigmoid, hard_sigmoid": {"activation": ["sigmoid", "hard_sigmoid"]},
    "elu, softplus, gelu": {"activation": ["elu", "softplus", "gelu"]},
    "zeros": {"init": Zeros()},
    **{
        f"weights, {loss}, {output}": {"loss": loss, "output": output, "weights": True}
        for loss in LOSSES
        for output in LOSSES[loss].outputs
    },
    "single samples": {"batch": 1},
    "full batch in chunks": {"batch": None, "chunk": 300},
    "full batch in chunks, weights": {"batch": None, "chunk": 300, "weights": True},
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", STEPS)
def test_a_training_step_allocates_no_arrays(case, size, monkeypatch):
    case, (shape, units, classes, batch) = STEPS[case], SIZES[size]
    monkeypatch.setattr(network_module, "CHUNK", case.get("chunk", network_module.CHUNK))
    activation = case.get("activation", ["relu"])
    regularization = case.get("regularization", Regularization())
    output, loss = case.get("output", "softmax"), case.get("loss", "cross_entropy")
    network = MLP(output, loss, [units] * len(activation), activation).network(shape, classes, regularization)
    network.initialise(case.get("init", Kaiming()), stream(0, "init"))
    optimizer = case.get("optimizer", SGD())
    optimizer.bind(network.theta, network.grad, network.n_weights)
    update, rng = Update(network, optimizer, regularization, case.get("clip_norm")), stream(0, "dropout")

    images, labels = images_and_labels(1200, shape, classes)
    batch = case.get("batch", batch)
    rows = None if batch is None else np.random.default_rng(0).permutation(1200)[:batch]
    weights = np.linspace(1, 2, batch or 1200, dtype=np.float32) if case.get("weights") else None
    assert peak_of_steps(network, update, images, labels, rows, rng, weights) < ALLOWED


def conv(filters, kernel, **settings):
    return {"conv": {"filters": filters, "kernel": kernel, **settings}}


MAPS = {
    "first convolution, pooled": [conv(4, 5), "maxpool", "relu"],
    "second convolution": [conv(3, 3), "tanh", conv(4, 3), "relu"],
    "padding": [conv(3, 3, padding="same"), conv(4, 5, padding=2)],
    "second convolution, pooled": ["tanh", conv(3, 1), conv(4, 3), "avgpool"],
    "stride": [conv(3, 3, stride=2), "relu"],
    "pooling of windows that overlap": [{"maxpool": {"size": 3, "stride": 2}}, {"avgpool": {"size": 3, "stride": 1}}],
    "batchnorm": [conv(4, 3, padding="same"), "batchnorm", "relu", "maxpool", "globalavgpool"],
    "batchnorm after padding": [conv(4, 3), "batchnorm", conv(4, 3, padding=1)],
    "dropout": [conv(4, 3), {"dropout": {"rate": 0.5}}, "maxpool"],
}


@pytest.mark.parametrize("case", MAPS)
def test_a_training_step_on_maps_allocates_no_arrays(case):
    layers = MAPS[case] if case == "batchnorm" else [*MAPS[case], "flatten"]
    network = LayerList(layers=layers).network((20, 20), 3, Regularization())
    network.initialise(Kaiming(), stream(0, "init"))
    optimizer = Adam()
    optimizer.bind(network.theta, network.grad, network.n_weights)
    update, rng = Update(network, optimizer, Regularization(), None), stream(0, "dropout")
    images, labels = images_and_labels(200, (20, 20), 3)
    assert peak_of_steps(network, update, images, labels, np.arange(64), rng) < ALLOWED


def peak_of_steps(network, update, images, labels, rows, rng, weights=None):
    """Bytes allocated at once, at most, in a hundred steps."""

    def steps(n):
        for _ in range(n):
            network.gradient(images, labels, rows, rng, weights)
            update(1e-3, 1.0)

    steps(3)
    tracemalloc.start()
    try:
        steps(1)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        steps(100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before


@pytest.mark.parametrize("largest", [0.01, 1e6])
def test_clipping_bounds_the_norm_of_the_gradient_with_its_penalty(largest):
    regularization = Regularization(l1=0.01, l2=0.1)
    made = MLP(hidden=[8]).network((2, 2), 3, regularization, dtype=np.float64)
    made.initialise(Kaiming(), stream(0, "init"))
    made.gradient(*images_and_labels())
    weights, n = made.theta.copy(), made.n_weights
    full = made.grad.copy()
    full[:n] += 0.1 * weights[:n] + 0.01 * np.sign(weights[:n])
    norm = np.linalg.norm(full)
    optimizer = SGD(lr=1.0)
    optimizer.bind(made.theta, made.grad, n)
    Update(made, optimizer, regularization, largest)(1.0, 1.0)
    taken = weights - made.theta
    np.testing.assert_allclose(taken, full * min(1, largest / norm), rtol=1e-9, atol=1e-12)
    assert np.linalg.norm(taken) <= largest * (1 + 1e-9)
