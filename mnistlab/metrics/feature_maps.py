"""Feature maps: the outputs of the convolution and pooling layers of a network for an image."""

from __future__ import annotations

import numpy as np

from mnistlab.nn.activations import Activation
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.network import Network
from mnistlab.nn.normalization import BatchNorm
from mnistlab.nn.pooling import Pool2D


def feature_maps(network: Network, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the maps (n, channels, height, width) of every convolution and pooling layer, by title.

    An activation or a batch normalisation that follows directly belongs to the layer, ``layer 1 conv, relu``: the maps
    are the input of the next layer.
    """
    places = [i for i, layer in enumerate(network.layers) if isinstance(layer, (Conv2D, Pool2D))]
    if not places:
        return {}
    outputs = network.activations(images)
    maps = {}
    for i in places:
        last = i
        while last + 1 < len(outputs) and isinstance(network.layers[last + 1], (Activation, BatchNorm)):
            last += 1
        followers = [next(iter(layer.spec())) for layer in network.layers[i + 1 : last + 1]]
        maps[", ".join((network.title(i), *followers))] = outputs[last].transpose(3, 0, 1, 2)
    return maps
