"""The same steps in scikit-learn and, where it is installed, in PyTorch: equal to 1e-10."""

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from mnistlab.nn.architectures import MLP
from mnistlab.nn.optimizers import OPTIMIZERS, SGD, Adam, Momentum, Nesterov
from mnistlab.nn.regularization import Regularization

BATCH, STEPS, CLASSES = 32, 20, 5


def as_in_scikit_learn(optimizer, activation, alpha, **settings):
    """Train both on the same 20 mini-batches; return our (W, b) and theirs, layer by layer."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (STEPS, BATCH, 4, 4), dtype=np.uint8)
    labels = rng.integers(0, CLASSES, (STEPS, BATCH))
    theirs_by_rate = [
        MLPClassifier(
            (7, 6),
            activation={"sigmoid": "logistic"}.get(activation, activation),
            alpha=alpha,
            learning_rate_init=rate,
            random_state=3,
            **settings,
        )
        for rate in (1e-300, optimizer.lr)
    ]
    unmoved, theirs = theirs_by_rate
    # a step with the learning rate 1e-300 leaves the initial weights that random_state gives both
    unmoved.partial_fit(images[0].reshape(BATCH, -1) * (1 / 255), labels[0], classes=range(CLASSES))

    regularization = Regularization(l2=alpha / BATCH)
    model = MLP(hidden=[7, 6], activation=activation)
    network = model.network((4, 4), CLASSES, regularization, dtype=np.float64)
    dense = [layer.params for layer in network.layers if layer.params]
    for params, W, b in zip(dense, unmoved.coefs_, unmoved.intercepts_, strict=True):
        params["W"][...], params["b"][...] = W.T, b  # ours is (units, fan_in)
    optimizer.bind(network.theta, network.grad, network.n_weights)

    for batch, truth in zip(images, labels, strict=True):
        theirs.partial_fit(batch.reshape(BATCH, -1) * (1 / 255), truth, classes=range(CLASSES))
        network.gradient(batch, truth)
        optimizer.step(penalty=regularization.add_gradient)
    assert not np.allclose(theirs.coefs_[0], unmoved.coefs_[0], atol=1e-3)  # the steps went somewhere
    ours = [(params["W"].T, params["b"]) for params in dense]
    return ours, zip(theirs.coefs_, theirs.intercepts_, strict=True)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity"])
@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [
        (SGD(lr=0.5), {"solver": "sgd", "momentum": 0.0}),
        (Momentum(lr=0.2, momentum=0.8), {"solver": "sgd", "momentum": 0.8, "nesterovs_momentum": False}),
        (Nesterov(lr=0.2, momentum=0.8), {"solver": "sgd", "momentum": 0.8, "nesterovs_momentum": True}),
        # their eps stands before the bias correction: a tiny one makes no difference
        (Adam(lr=0.01, eps=1e-30), {"solver": "adam", "epsilon": 1e-30}),
    ],
    ids=["sgd", "momentum", "nesterov", "adam"],
)
def test_twenty_steps_are_those_of_scikit_learn(optimizer, settings, activation):
    ours, theirs = as_in_scikit_learn(optimizer, activation, alpha=0.5, **settings)
    for (W, b), (their_W, their_b) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(W, their_W, rtol=0, atol=1e-10)
        np.testing.assert_allclose(b, their_b, rtol=0, atol=1e-10)


# our optimizer's settings, the class in torch.optim and its settings
IN_TORCH = {
    "sgd": ({"lr": 0.1}, "SGD", {"lr": 0.1}),
    "momentum": ({"lr": 0.1, "momentum": 0.8}, "SGD", {"lr": 0.1, "momentum": 0.8}),
    "nesterov": ({"lr": 0.1, "momentum": 0.8}, "SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True}),
    "adagrad": ({"lr": 0.1, "eps": 1e-4}, "Adagrad", {"lr": 0.1, "eps": 1e-4}),
    "rmsprop": ({"lr": 0.01, "rho": 0.7, "eps": 1e-4}, "RMSprop", {"lr": 0.01, "alpha": 0.7, "eps": 1e-4}),
    "adam": (
        {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3},
        "Adam",
        {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3},
    ),
    "adamw": ({"lr": 0.01, "eps": 1e-3, "weight_decay": 0.3}, "AdamW", {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.3}),
}


@pytest.mark.parametrize(
    ("name", "l2"),
    # torch.optim.AdamW has one weight decay, and it is used
    [(name, l2) for name in OPTIMIZERS for l2 in (0.0, 0.1) if not (name == "adamw" and l2)],
)
def test_fifty_steps_are_those_of_pytorch(name, l2):
    torch = pytest.importorskip("torch", reason="PyTorch, an oracle of the optimizers, is not installed (extra: bench)")
    settings, twin, its_settings = IN_TORCH[name]
    if l2:
        its_settings = its_settings | {"weight_decay": l2}
    rng = np.random.default_rng(1)
    theta, grad = rng.standard_normal(40), np.empty(40)
    param = torch.tensor(theta, requires_grad=True)
    theirs = getattr(torch.optim, twin)([param], **its_settings)
    ours = OPTIMIZERS[name](**settings)
    ours.bind(theta, grad, theta.size)
    for gradient in rng.standard_normal((50, 40)):
        grad[:] = gradient
        ours.step(penalty=Regularization(l2=l2).add_gradient)
        param.grad = torch.tensor(gradient)
        theirs.step()
        np.testing.assert_allclose(theta, param.detach().numpy(), rtol=0, atol=1e-10)
