"""One step, gradient and update: it allocates no arrays, and clips the gradient that it takes."""

import tracemalloc

import numpy as np
import pytest
from tiny import images_and_labels

from mnistlab.nn import LOSSES, MLP, OPTIMIZERS, Regularization
from mnistlab.nn import network as network_module
from mnistlab.nn.init import Kaiming, Zeros
from mnistlab.nn.optimizer import SGD, Adam
from mnistlab.streams import stream
from mnistlab.train import Update

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
    "single samples": {"batch": 1},
    "full batch in chunks": {"batch": None, "chunk": 300},
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

    def steps(n):
        for _ in range(n):
            network.gradient(images, labels, rows, rng)
            update(1e-6)

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
    assert peak - before < ALLOWED


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
    Update(made, optimizer, regularization, largest)(1.0)
    taken = weights - made.theta
    np.testing.assert_allclose(taken, full * min(1, largest / norm), rtol=1e-9, atol=1e-12)
    assert np.linalg.norm(taken) <= largest * (1 + 1e-9)
