"""A network layer by layer, as plain data: what each is, the shape of its output, what it holds and what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from mnistlab.nn.layers import Layer
from mnistlab.nn.network import Network

FLOAT32 = 4  # bytes


def rows(network: Network) -> list[dict[str, Any]]:
    """Return a row for the input and one a layer: kind, settings, output shape, parameters, operations, bytes.

    The operations are those of the forward pass of one image; a multiplication and an addition are two.
    """
    found = [_row("input", {}, [1, *network.image_shape], 0, 0)]
    for layer, shape in zip(network.layers, network.shapes, strict=True):
        ((kind, settings),) = layer.spec().items()
        found.append(_row(kind, settings, list(shape), _parameters(layer), layer.flops()))
    return [{"layer": i, **row} for i, row in enumerate(found)]


def settings_text(row: dict[str, Any]) -> str:
    """Return the settings of a layer as one reads them: ``filters 32, kernel 3``."""
    return ", ".join(f"{key} {_text(value)}" for key, value in row["settings"].items() if value is not None)


def shape_text(row: dict[str, Any]) -> str:
    """Return the shape of the output of a layer: ``32 x 13 x 13``."""
    return " x ".join(f"{side:,}" for side in row["output_shape"])


def _row(kind: str, settings: dict[str, Any], shape: list[int], parameters: int, flop: int) -> dict[str, Any]:
    size = FLOAT32 * int(np.prod(shape))
    named = {"kind": kind, "settings": settings, "output_shape": shape}
    return {**named, "parameters": parameters, "flop": int(flop), "output_bytes": size}


def _parameters(layer: Layer) -> int:
    return sum(int(np.prod(shape)) for shape in (layer.weights() | layer.biases()).values())


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " x ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
