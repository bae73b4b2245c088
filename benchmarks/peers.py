"""The same training work in PyTorch and in scikit-learn, built from the composed experiment. Seconds per epoch.

That in JAX is in `jax_peer`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from mnistlab.config.schema import Experiment
from mnistlab.data.dataset import Dataset
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.layers import Dense, Dropout, Flatten, Layer
from mnistlab.nn.network import Network
from mnistlab.nn.normalization import BatchNorm


def torch(
    made: Experiment,
    dataset: Dataset,
    network: Network,
    threads: int,
    channels_last: bool = False,
    compiled: bool = False,
) -> list[float]:
    """Train in PyTorch, eager unless ``compiled``, in either memory layout: seconds of each epoch.

    Fused optimizer, images as float32 tensors in memory, no DataLoader, no denormals. Neither loss nor hits are read,
    which ours does. Weight decay covers biases too, so that the optimizer stays one fused call. A full batch is not
    gathered, as in ours. `torch.compile` (mode default) gets the model with its loss, and compiles them in the first
    epoch, also for the last and shorter batch.
    """
    import torch
    from torch.nn import Sequential
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(made.seed)
    x, y = torch.from_numpy(pixels(dataset)), torch.from_numpy(np.array(dataset.train.labels))
    n, batch = len(x), batch_size(made, dataset)
    if any(isinstance(layer, Conv2D) for layer in network.layers):
        x = x.reshape(n, 1, *network.image_shape)
    model = Sequential(*_torch_layers(network, x.shape[1:]))
    if channels_last:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = _torch_optimizer(made, model.parameters())

    def loss_of(images: Any, labels: Any) -> Any:
        return cross_entropy(model(images), labels)

    if compiled:
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no pool of processes, whose work would be that of others
        loss_of = torch.compile(loss_of, dynamic=False)

    def step(images: Any, labels: Any) -> None:
        loss = loss_of(images, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def epoch() -> None:
        if batch == n:
            return step(x, y)
        order = torch.randperm(n)
        for start in range(0, n, batch):
            rows = order[start : start + batch]
            step(x[rows], y[rows])
        return None

    return timed(epoch, made.trainer.epochs)


def compile_unavailable() -> str | None:
    """Return why `torch.compile` cannot be measured here, if so: it needs PyTorch and a C++ compiler."""
    if not importlib.util.find_spec("torch"):
        return "PyTorch is not installed"
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    return None if shutil.which(compiler) else f"there is no C++ compiler ({compiler})"


def sklearn(made: Experiment, dataset: Dataset, network: Network, threads: int) -> list[float]:
    """Train scikit-learn's `MLPClassifier`, one warm-started ``fit`` of one iteration an epoch."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore", ConvergenceWarning)
    activation, _ = sklearn_activation(network)
    model = MLPClassifier(
        hidden_layer_sizes=[layer.units for layer in network.layers if isinstance(layer, Dense)][:-1],
        activation=activation,
        solver=type(made.optimizer).__name__.lower(),
        learning_rate_init=made.optimizer.lr,
        momentum=0,
        alpha=made.regularization.l2,
        batch_size=batch_size(made, dataset),
        max_iter=1,
        warm_start=True,
        random_state=made.seed,
    )
    x, y = pixels(dataset), np.array(dataset.train.labels)
    return timed(lambda: model.fit(x, y), made.trainer.epochs)


def sklearn_activation(network: Network) -> tuple[str, str]:
    """Return the one activation that `MLPClassifier` uses in all hidden layers, and what of the network it leaves out.

    It is that of the widest layer, or the nearest to it.
    """
    known = {"sigmoid": "logistic", "tanh": "tanh", "relu": "relu", "leaky_relu": "relu", "identity": "identity"}
    widths = [layer.units for layer in network.layers if isinstance(layer, Dense)][:-1]
    names = [layer_name(layer) for layer in network.layers if not isinstance(layer, (Dense, Dropout, Flatten))]
    nearest = known[names[widths.index(max(widths))]]
    left_out = (
        []
        if {known[name] for name in names} == {nearest} and "leaky_relu" not in names
        else [f"{nearest} for {', '.join(names)}"]
    )
    left_out += ["no dropout"] * any(isinstance(layer, Dropout) for layer in network.layers)
    return nearest, "; ".join(left_out)


def timed(epoch: Callable[[], object], epochs: int) -> list[float]:
    """Return the seconds of each epoch."""
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        epoch()
        seconds.append(time.perf_counter() - started)
    return seconds


def _torch_layers(network: Network, in_shape: tuple[int, ...]) -> list[Any]:
    from torch import nn

    makers: dict[str, Callable[[Any], Any]] = {
        "dropout": lambda layer: nn.Dropout(layer.rate),
        "sigmoid": lambda layer: nn.Sigmoid(),
        "tanh": lambda layer: nn.Tanh(),
        "relu": lambda layer: nn.ReLU(),
        "leaky_relu": lambda layer: nn.LeakyReLU(layer.slope),
        "maxpool": lambda layer: nn.MaxPool2d(layer.size, layer.stride),
        "avgpool": lambda layer: nn.AvgPool2d(layer.size, layer.stride),
    }
    layers, shape = [], in_shape
    for layer, out_shape in zip(network.layers, network.shapes, strict=True):
        if isinstance(layer, Dense):
            layers.append(nn.Linear(shape[0], layer.units))
        elif isinstance(layer, Conv2D):
            layers.append(nn.Conv2d(shape[0], layer.filters, layer.kernel, layer.stride, layer.padding))
        elif isinstance(layer, BatchNorm):
            kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
            layers.append(kind(shape[0], layer.eps, 1 - layer.momentum))
        elif not isinstance(layer, Flatten):
            layers.append(makers[layer_name(layer)](layer))
        elif len(shape) > 1:
            layers.append(nn.Flatten())
        shape = out_shape
    return layers


def _torch_optimizer(made: Experiment, parameters: Any) -> Any:
    import torch

    rules = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}
    rule = rules[type(made.optimizer).__name__]
    return rule(parameters, lr=made.optimizer.lr, weight_decay=made.regularization.l2, fused=True)


def pixels(dataset: Dataset) -> np.ndarray:
    """Return the training images as float32 rows, scaled as the network scales them."""
    return dataset.train.images.reshape(len(dataset.train), -1).astype(np.float32) * np.float32(dataset.scale)


def batch_size(made: Experiment, dataset: Dataset) -> int:
    """Return the images of a batch."""
    return len(dataset.train) if made.trainer.batch_size == "full" else int(made.trainer.batch_size)


def layer_name(layer: Layer) -> str:
    """Return the name of a layer in YAML."""
    return next(iter(layer.spec()))
