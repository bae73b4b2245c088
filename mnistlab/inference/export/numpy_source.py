"""A network as one Python file that needs NumPy but not this package.

The text contains only numbers and fixed names; class names are data in the file of weights.
"""

from __future__ import annotations

import inspect
from typing import Any

from mnistlab.inference.export import numpy_layers
from mnistlab.nn.activations import Activation, Identity
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.layers import Dropout, Layer, layer_name
from mnistlab.nn.network import Network
from mnistlab.nn.normalization import BatchNorm
from mnistlab.nn.pooling import Pool2D

TEMPLATE = '''\
"""Predict with a network trained by mnistlab: {shapes}.

    python predict.py images.npy

prints one line per image: the class and its probability. images.npy contains uint8 (height, width) or (n, height,
width), light on dark as in training. In Python: probabilities = predict(images). The weights are in weights.npz, in the
same folder.
"""

import json
import sys
from pathlib import Path

import numpy as np

with np.load(Path(__file__).with_name("weights.npz"), allow_pickle=False) as _file:
    ARRAYS = dict(_file.items())
CLASS_NAMES = json.loads(str(ARRAYS["class_names"]))
IMAGE_SHAPE = {image_shape}
BATCH = 256


def predict(images):
    """Return probabilities (n, classes) for images (n, height, width) of uint8."""
    images = np.asarray(images)
    if images.ndim != 3 or images.shape[1:] != IMAGE_SHAPE or images.dtype != np.uint8:
        raise ValueError(f"images must be uint8 of shape (n, {{IMAGE_SHAPE[0]}}, {{IMAGE_SHAPE[1]}}), "
                         f"not {{images.dtype}} of shape {{images.shape}}")
    probabilities = np.empty((len(images), len(CLASS_NAMES)), np.float32)
    for start in range(0, len(images), BATCH):
        probabilities[start : start + BATCH] = network(images[start : start + BATCH])
    return probabilities


def network(images):
    """Return the output of the network for images (n, height, width) of uint8."""
    x = (images[:, None].astype(np.float32) - np.float32({shift})) * np.float32({scale})
{calls}
    return {output}(x.astype(np.float64))


{functions}

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python predict.py images.npy [images.npy ...]")
    for name in sys.argv[1:]:
        loaded = np.load(name, allow_pickle=False)
        for row in predict(loaded[None] if loaded.ndim == 2 else loaded):
            print(CLASS_NAMES[int(row.argmax())], f"{{row.max():.4f}}")
'''


def source(network: Network) -> str:
    """Return the text of predict.py."""
    calls, used = [], []
    for i, (layer, shape) in enumerate(zip(network.layers, network.shapes, strict=True)):
        if isinstance(layer, (Dropout, Identity)):
            continue  # no effect in inference
        name = layer_name(type(layer))
        arrays = [f'ARRAYS["{i + 1}.{name}.{array}"]' for array in (*layer.params, *layer.buffers)]
        settings = [f"{key}={value!r}" for key, value in _settings(layer).items()]
        calls.append(f"    x = {name}({', '.join(['x', *arrays, *settings])})  # {_by(shape)}")
        used.append(name)
    output = "softmax" if network.loss.output == "softmax" else "sigmoid_share"
    needed = [*used, *([output] if output == "softmax" else [output, "softmax"])]
    functions = [
        inspect.getsource(getattr(numpy_layers, name)).replace("  # type: ignore[no-untyped-def]", "")
        for name in dict.fromkeys(needed)
    ]
    return TEMPLATE.format(
        shapes=f"{_by(network.image_shape)} pixels, {network.loss.classes} classes, {network.theta.size:,} parameters",
        image_shape=network.image_shape,
        shift=network.shift,
        scale=network.scale,
        calls="\n".join(calls),
        output=output,
        functions="\n\n".join(functions),
    )


def _settings(layer: Layer) -> dict[str, Any]:
    """Return the numeric arguments of a layer's function, after x and its arrays."""
    if isinstance(layer, Conv2D):
        (_, height, width), (_, padded_height, padded_width) = layer.in_shape, layer.padded
        pads = layer.top, padded_height - height - layer.top, layer.left, padded_width - width - layer.left
        return {"stride": int(layer.stride), "pads": tuple(map(int, pads))}
    if isinstance(layer, Pool2D):
        return {"size": int(layer.size), "stride": int(layer.step)}
    if isinstance(layer, BatchNorm):
        return {"eps": float(layer.eps)}
    if isinstance(layer, Activation):
        ((_, settings),) = layer.spec().items()
        return {key: float(value) for key, value in settings.items()}
    return {}


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
