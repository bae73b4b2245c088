"""Which layers of a network kernels compute together: the layers in order, cut into groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnistlab.nn.activations import Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.kernels import functions, maps
from mnistlab.nn.kernels.conv_group import ConvGroup
from mnistlab.nn.kernels.memory import Memory
from mnistlab.nn.kernels.norm_group import NormGroup
from mnistlab.nn.kernels.vector_groups import DenseGroup, DropoutGroup, FlattenGroup
from mnistlab.nn.layers import Dense, Dropout, Flatten, Layer
from mnistlab.nn.normalization import BatchNorm
from mnistlab.nn.pooling import AvgPool2D, MaxPool2D, Pool2D

KINDS: dict[type[Layer], int] = {
    Identity: functions.IDENTITY,
    ReLU: functions.RELU,
    Sigmoid: functions.SIGMOID,
    Tanh: functions.TANH,
    LeakyReLU: functions.LEAKY_RELU,
}


def groups(
    layers: Sequence[Layer], shapes: Sequence[tuple[int, ...]], memory: Memory, training: bool, frozen: bool
) -> list[Any]:
    """Return the network as groups, and as plain layers where no kernel does them. ``shapes`` are those of the inputs.

    ``training`` means with a backward pass. If ``frozen``, dropout is left out and batch normalisation uses its running
    statistics, as in inference.
    """
    grouped: list[Any] = []
    i = 0
    while i < len(layers):
        group: Any = None
        layer, shape = layers[i], shapes[i]
        if isinstance(layer, Conv2D):
            group = _convolution(layers, i, memory)
        elif isinstance(layer, Dense):
            last, kind, slope = _activation(layers, i)
            group = DenseGroup(f"{i}", i, last, memory, layer=layer, units=layer.units, fan_in=layer.fan_in)
            group.kind, group.slope = kind, slope
        elif isinstance(layer, Flatten) and len(shape) == 3:
            group = FlattenGroup(f"{i}", i, i, memory, shape=(shape[0], shape[1], shape[2]))
        elif isinstance(layer, (Dropout, Flatten, Identity)) and len(shape) == 1:
            rate = layer.rate if isinstance(layer, Dropout) and not frozen else 0
            group = DropoutGroup(f"{i}", i, i, memory, units=shape[0], rate=rate) if rate else Nothing(i)
        elif isinstance(layer, BatchNorm) and len(shape) == 3 and i > 0 and training != frozen:
            last, mode = _following(layers, i)
            group = NormGroup(f"{i}", i, last, memory, norm=layer, mode=mode, frozen=frozen)
            group.shape = (shape[0], shape[1], shape[2])
        several = group if isinstance(group, list) else [group or layer]
        grouped.extend(each for each in several if not isinstance(each, Nothing))
        i = (group[-1].last if isinstance(group, list) else group.last if group else i) + 1
    return grouped


@dataclass
class Nothing:
    """A layer that changes nothing."""

    last: int


def _activation(layers: Sequence[Layer], i: int) -> tuple[int, int, float]:
    """Return the last layer of the group of dense layer i, and the kind and slope of its activation."""
    following = layers[i + 1] if i + 1 < len(layers) else None
    if following is not None and type(following) in KINDS:
        return i + 1, KINDS[type(following)], float(getattr(following, "slope", 0.0))
    return i, functions.IDENTITY, 0.0


def _convolution(layers: Sequence[Layer], i: int, memory: Memory) -> Any:
    conv = layers[i]
    assert isinstance(conv, Conv2D)
    if conv.stride != 1:
        return None
    if conv.out_shape[1:] == (1, 1) and conv.padded == conv.in_shape:
        last, kind, slope = _activation(layers, i)
        if last + 1 < len(layers) and isinstance(layers[last + 1], Flatten):
            flat = FlattenGroup(f"{i} flat", i, i, memory, shape=conv.in_shape, channels_last=True)
            size = int(np.prod(conv.in_shape))
            group = DenseGroup(f"{i}", i, last + 1, memory, layer=conv, units=conv.filters, fan_in=size)
            group.kind, group.slope = kind, slope
            return [flat, group]
    last, mode = _following(layers, i)
    return ConvGroup(f"{i}", i, last, memory, conv=conv, mode=mode, is_input=i == 0)


def _following(layers: Sequence[Layer], i: int) -> tuple[int, int]:
    """Return the last layer of the group of layer i on maps, and the mode: what follows it of ReLU and pooling."""
    last, relu_first, relu, pool = i, False, False, None
    for layer in layers[i + 1 : i + 3]:
        if isinstance(layer, ReLU) and not relu:
            relu, relu_first = True, pool is None
        elif isinstance(layer, (MaxPool2D, AvgPool2D)) and pool is None and layer.takes_phases:
            pool = layer
        else:
            break
        last += 1
    return last, _mode(relu, relu_first, pool)


def _mode(relu: bool, relu_first: bool, pool: Pool2D | None) -> int:
    if pool is None:
        return maps.RELU if relu else maps.PLAIN
    if isinstance(pool, MaxPool2D):
        return maps.RELU_MAX if relu else maps.MAX
    if not relu:
        return maps.MEAN
    return maps.RELU_MEAN if relu_first else maps.MEAN_RELU
