"""The same training work in JAX, compiled by XLA. Seconds per epoch.

Written without a library of layers or optimizers. Maps are (batch, height, width, channels), which XLA convolves
fastest on a CPU; weights start as ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import peers

from mnistlab.config.schema import Experiment
from mnistlab.data.dataset import Dataset
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.layers import Dense, Dropout, Flatten, Layer
from mnistlab.nn.network import Network
from mnistlab.nn.optimizers import Adam
from mnistlab.nn.pooling import Pool2D

Apply = Callable[[Any, Any, Any], Any]  # parameters of a layer, x, key of its random numbers -> y


def jax(made: Experiment, dataset: Dataset, network: Network, threads: int) -> list[float]:
    """Train in JAX: images as float32 on the device, and neither loss nor hits are read.

    The steps of an epoch are one compiled loop (`lax.scan`), or with convolutions one call each, which takes less than
    half the time: XLA computes a convolution inside a loop by a slower way.
    """
    use_threads(threads)
    training = Training(made, dataset, network)
    rng = np.random.default_rng(made.seed)
    return peers.timed(lambda: training.epoch(rng.permutation(training.n)), made.trainer.epochs)


def use_threads(threads: int) -> None:
    """Let XLA start so many threads; it reads this once, when JAX is first used."""
    os.environ["NPROC"] = os.environ["PJRT_NPROC"] = str(threads)


class Training:
    """Parameters, the optimizer's state and the compiled epoch of one experiment."""

    def __init__(self, made: Experiment, dataset: Dataset, network: Network) -> None:
        import jax.numpy as jnp
        from jax import jit, random

        pixels = peers.pixels(dataset)
        self.n, self.batch = len(pixels), peers.batch_size(made, dataset)
        self.scanned = not any(isinstance(layer, Conv2D) for layer in network.layers)
        if not self.scanned:
            pixels = pixels.reshape(self.n, *network.image_shape, 1)
        self.x, self.y = jnp.asarray(pixels), jnp.asarray(np.array(dataset.train.labels, np.int32))
        parameters = initial(network)
        self.state = (parameters, slots(made, parameters), jnp.zeros((), jnp.int32))
        self.key = random.key(made.seed)
        self.model = model(network)
        take = step(made, self.model)
        self._step = jit(take, donate_argnums=0)
        self._steps = jit(scan(take), donate_argnums=0)
        self._loss = jit(lambda parameters, x, y: cross_entropy(self.model(parameters, x, None), y))

    def epoch(self, order: np.ndarray) -> Any:
        """Take the steps of one epoch in this order; the last batch may be shorter."""
        from jax import block_until_ready

        if self.batch == self.n:
            self.state = self._step(self.state, self.x, self.y, self.key)
            return block_until_ready(self.state)
        order = order.astype(np.int32)
        whole = self.n - self.n % self.batch
        batches = order[:whole].reshape(-1, self.batch)
        if self.scanned:
            self.state = self._steps(self.state, self.x, self.y, self.key, batches)
        else:
            for rows in batches:
                self.state = self._step(self.state, self.x, self.y, self.key, rows)
        if whole < self.n:
            self.state = self._step(self.state, self.x, self.y, self.key, order[whole:])
        return block_until_ready(self.state)

    def loss(self) -> float:
        """Return the mean loss of the training images in inference."""
        return float(self._loss(self.state[0], self.x, self.y))


def step(made: Experiment, model: Callable[..., Any]) -> Callable[..., Any]:
    """Return (state, x, y, key, rows) -> state: one step with the experiment's optimizer and L2 penalty."""
    import jax
    import jax.numpy as jnp

    lr, l2 = made.optimizer.lr, made.regularization.l2

    def loss(parameters: Any, x: Any, y: Any, key: Any) -> Any:
        return cross_entropy(model(parameters, x, key), y)

    def penalised(gradient: Any, parameters: Any) -> Any:
        return [(dw + l2 * w, db) for (dw, db), (w, _) in zip(gradient, parameters, strict=True)] if l2 else gradient

    def take(state: Any, x: Any, y: Any, key: Any, rows: Any = None) -> Any:
        parameters, moments, t = state
        if rows is not None:
            x, y = x[rows], y[rows]
        gradient = penalised(jax.grad(loss)(parameters, x, y, jax.random.fold_in(key, t)), parameters)
        if not isinstance(made.optimizer, Adam):
            return jax.tree.map(lambda p, g: p - lr * g, parameters, gradient), moments, t + 1
        b1, b2, eps = made.optimizer.beta1, made.optimizer.beta2, made.optimizer.eps
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, moments[0], gradient)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, moments[1], gradient)
        first, second = 1 - b1 ** (t + 1.0), 1 - b2 ** (t + 1.0)
        parameters = jax.tree.map(lambda p, m, v: p - lr * (m / first) / (jnp.sqrt(v / second) + eps), parameters, m, v)
        return parameters, (m, v), t + 1

    return take


def scan(take: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that takes one step for each row of ``batches`` in a compiled loop."""
    from jax import lax

    def steps(state: Any, x: Any, y: Any, key: Any, batches: Any) -> Any:
        return lax.scan(lambda state, rows: (take(state, x, y, key, rows), None), state, batches)[0]

    return steps


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Return the mean cross-entropy of softmax outputs."""
    import jax.numpy as jnp
    from jax import nn

    return -jnp.take_along_axis(nn.log_softmax(logits), labels[:, None], axis=1).mean()


def initial(network: Network) -> list[tuple[Any, Any]]:
    """Return the network's weights and biases in JAX's layout, one pair for each layer that has some.

    A dense layer after maps reads (height, width, channels) where ours reads (channels, height, width).
    """
    import jax.numpy as jnp

    found, shape, flat_from = [], (1, *network.image_shape), None
    for layer, out_shape in zip(network.layers, network.shapes, strict=True):
        if isinstance(layer, Flatten):
            flat_from = shape
        if isinstance(layer, Conv2D):
            found.append((layer.params["W"].transpose(1, 2, 3, 0), layer.params["b"]))
        elif isinstance(layer, Dense):
            W = layer.params["W"]
            if flat_from:
                W = W.reshape(-1, *flat_from).transpose(0, 2, 3, 1).reshape(W.shape)
            found.append((W.T, layer.params["b"]))
            flat_from = None
        shape = out_shape
    return [(jnp.array(W), jnp.array(b)) for W, b in found]


def slots(made: Experiment, parameters: list[tuple[Any, Any]]) -> tuple[Any, ...]:
    """Return the optimizer's state before the first step: Adam's two moments, or nothing."""
    import jax

    if type(made.optimizer).__name__ not in ("SGD", "Adam"):
        raise ValueError(f"no {type(made.optimizer).__name__} in JAX here")
    count = 2 if isinstance(made.optimizer, Adam) else 0
    return tuple(jax.tree.map(lambda p: p * 0, parameters) for _ in range(count))


def model(network: Network) -> Callable[[Any, Any, Any], Any]:
    """Return (parameters, x, key) -> logits; without a key, dropout is off."""
    import jax

    layers = [(layer, apply_of(layer)) for layer in network.layers]

    def forward(parameters: Any, x: Any, key: Any) -> Any:
        remaining = iter(parameters)
        for i, (layer, apply) in enumerate(layers):
            its = next(remaining) if isinstance(layer, (Dense, Conv2D)) else None
            noise = jax.random.fold_in(key, i) if isinstance(layer, Dropout) and key is not None else None
            x = apply(its, x, noise)
        return x

    return forward


def apply_of(layer: Layer) -> Apply:
    """Return what a layer computes: (its parameters, x, key) -> y."""
    import jax
    import jax.numpy as jnp

    if isinstance(layer, Dense):
        return lambda its, x, key: x @ its[0] + its[1]
    if isinstance(layer, Conv2D):
        return convolution(layer)
    if isinstance(layer, Pool2D):
        return pooling(layer)
    if isinstance(layer, Flatten):
        return lambda its, x, key: x.reshape(len(x), -1)
    if isinstance(layer, Dropout):
        keep = 1 - layer.rate
        return lambda its, x, key: (
            x if key is None else jnp.where(jax.random.bernoulli(key, keep, x.shape), x / keep, 0)
        )
    functions: dict[str, Callable[[Any], Any]] = {
        "sigmoid": jax.nn.sigmoid,
        "tanh": jnp.tanh,
        "relu": jax.nn.relu,
        "leaky_relu": lambda x: jax.nn.leaky_relu(x, layer.slope),
    }
    function = functions[peers.layer_name(layer)]
    return lambda its, x, key: function(x)


def convolution(layer: Conv2D) -> Apply:
    """Return the cross-correlation of a layer on (batch, height, width, channels)."""
    from jax import lax

    padding = layer.padding.upper() if isinstance(layer.padding, str) else [(layer.padding, layer.padding)] * 2
    names = ("NHWC", "HWIO", "NHWC")
    return lambda its, x, key: (
        lax.conv_general_dilated(x, its[0], [layer.stride] * 2, padding, dimension_numbers=names) + its[1]
    )


def pooling(layer: Pool2D) -> Apply:
    """Return max or average pooling. Windows side by side are an axis, which XLA differentiates faster."""
    import jax.numpy as jnp
    from jax import lax

    largest, size, apart = peers.layer_name(layer) == "maxpool", layer.size, layer.step

    def by_axes(its: Any, x: Any, key: Any) -> Any:
        n, height, width, channels = x.shape
        x = x[:, : height // size * size, : width // size * size]
        x = x.reshape(n, height // size, size, width // size, size, channels)
        return x.max((2, 4)) if largest else x.mean((2, 4))

    def by_windows(its: Any, x: Any, key: Any) -> Any:
        window, strides = (1, size, size, 1), (1, apart, apart, 1)
        if largest:
            return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, "VALID")
        return lax.reduce_window(x, 0.0, lax.add, window, strides, "VALID") / size**2

    return by_axes if size == apart else by_windows
