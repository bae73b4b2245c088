"""Batch normalisation folded into the layer before it, for inference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mnistlab.nn.architectures import network_from_spec
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.layers import Dense, Dropout, Layer
from mnistlab.nn.network import Network
from mnistlab.nn.normalization import BatchNorm


def folded(network: Network) -> Network:
    """Return a network that computes the same in inference without the batch normalisation that can be folded.

    At inference, batch normalisation is y = a (W x + b - mean) + beta with a = gamma / sqrt(variance + eps), one a for
    each channel or unit. So after a dense layer or a convolution it disappears into W' = a W and
    b' = a (b - mean) + beta. Dropout in between changes nothing at inference. The results differ in the last bits. A
    network without such a layer is returned as it is.
    """
    into = _foldable(network.layers)
    if not into:
        return network
    about = network.spec()
    about["layers"] = [layer for i, layer in enumerate(about["layers"]) if i not in into]
    smaller = network_from_spec(about, network.dtype)
    kept = [i for i in range(len(network.layers)) if i not in into]
    for i, layer in zip(kept, smaller.layers, strict=True):
        for name, array in (layer.params | layer.buffers).items():
            old = network.layers[i]
            array[...] = (old.params | old.buffers)[name]
    for i, target in into.items():
        norm, layer = network.layers[i], smaller.layers[kept.index(target)]
        assert isinstance(norm, BatchNorm)
        _fold(norm, layer)
    return smaller


def _foldable(layers: Sequence[Layer]) -> dict[int, int]:
    """Return the place of every batch normalisation that can be folded, with that of the layer before it."""
    into: dict[int, int] = {}
    target: int | None = None
    for i, layer in enumerate(layers):
        if isinstance(layer, (Dense, Conv2D)):
            target = i
        elif isinstance(layer, BatchNorm) and target is not None:
            into[i] = target
        elif not isinstance(layer, Dropout):
            target = None
    return into


def _fold(norm: BatchNorm, layer: Layer) -> None:
    arrays = {name: array.astype(np.float64) for name, array in (norm.params | norm.buffers).items()}
    a = arrays["gamma"] / np.sqrt(arrays["variance"] + norm.eps)
    W, b = layer.params["W"], layer.params["b"]
    W[...] = W * a.reshape(-1, *[1] * (W.ndim - 1))
    b[...] = (b - arrays["mean"]) * a + arrays["beta"]
