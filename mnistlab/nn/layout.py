"""Where the parameters of each layer lie in the flat vector of a network: weights first, then biases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnistlab.nn.layers import Layer, Shape


@dataclass(frozen=True)
class Block:
    """One parameter array: its place in the flat vector, and the layer it belongs to."""

    layer: int
    name: str
    shape: Shape
    part: slice
    is_weight: bool


def blocks_of(layers: Sequence[Layer]) -> list[Block]:
    """Return the arrays of these layers in their order in the flat vector."""
    blocks, start = [], 0
    for is_weight in (True, False):
        for i, layer in enumerate(layers):
            for name, shape in (layer.weights() if is_weight else layer.biases()).items():
                size = int(np.prod(shape))
                blocks.append(Block(i, name, shape, slice(start, start + size), is_weight))
                start += size
    return blocks
