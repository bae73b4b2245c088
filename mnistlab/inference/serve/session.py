"""A drawing -> the input of a saved network, its probabilities, and the maps of its layers."""

from __future__ import annotations

import base64
import math
import threading
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mnistlab.inference.predict.image_io import Picture
from mnistlab.inference.predict.preprocessing import prepare_all, style_of_run
from mnistlab.metrics.feature_maps import feature_maps
from mnistlab.nn.activations import Activation
from mnistlab.nn.folding import folded
from mnistlab.nn.network import Network
from mnistlab.runs.saved_run import SavedRun
from mnistlab.system.errors import RequestError

SIDE = 140  # pixels of a drawing
MOST_MAPS = 32  # maps of one layer that are drawn


class Watched:
    """A saved network for drawings. Requests come in threads, but a network has one set of buffers: one at a time."""

    def __init__(self, run: SavedRun) -> None:
        self.network, self.class_names, self.threads = run.network, run.class_names, run.threads
        self.folded = folded(run.network)  # for the probabilities; the maps are those of the layers as they are
        self.name = run.directory.absolute().name
        self.style = style_of_run(run, "auto")
        self.lock = threading.Lock()

    def see(self, drawing: np.ndarray, chosen: int | None = None) -> dict[str, Any]:
        """Return the response for a drawing (SIDE, SIDE) uint8, light on dark, as plain values.

        ``chosen`` is the digit, counted from 0, whose input and layers are shown; by default, and where there are
        fewer, the last one. Raises `UnreadableError` if the drawing is blank.
        """
        digits = prepare_all(Picture(drawing, SIDE, SIDE), self.network.image_shape, self.style, dark=False)
        images = np.stack([digit.image for digit in digits])
        shown = len(digits) - 1 if chosen is None or chosen >= len(digits) else chosen
        image = images[shown : shown + 1]
        with self.lock, threadpool_limits(self.threads):
            probabilities = self.folded.predict(images)
            maps = layer_maps(self.network, image)
        if not np.isfinite(probabilities).all():
            raise RequestError("the network overflows on this drawing; the model cannot be used, train it again")
        return {
            "probabilities": [round(float(p), 6) for p in probabilities[shown]],
            "digits": [
                {"class": int(row.argmax()), "probability": round(float(row.max()), 6), "line": digit.line}
                for row, digit in zip(probabilities, digits, strict=True)
            ],
            "shown": shown,
            "seen": packed(image),
            "layers": [{"title": title, **packed(grey_levels(layer))} for title, layer in maps.items()],
        }


def layer_maps(network: Network, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return (channels, height, width) by title: feature maps, or if there are none, the hidden units as squares."""
    if maps_by_title := feature_maps(network, images):
        return {
            title if len(maps[0]) <= MOST_MAPS else f"{title}: {MOST_MAPS} of {len(maps[0])} maps": maps[0, :MOST_MAPS]
            for title, maps in maps_by_title.items()
        }
    units = {}
    for i, (layer, output) in enumerate(zip(network.layers, network.activations(images), strict=True)):
        if isinstance(layer, Activation) and output.ndim == 2:
            columns = math.isqrt(len(output) - 1) + 1
            rows = math.ceil(len(output) / columns)
            square = np.zeros(rows * columns, output.dtype)
            square[: len(output)] = output[:, 0]
            units[f"{network.title(i)}: {len(output)} units"] = square.reshape(1, rows, columns)
    return units


def grey_levels(maps: np.ndarray) -> np.ndarray:
    """Return maps as grey levels from 0, the smallest value of the layer, to 255, the largest."""
    maps = np.nan_to_num(maps.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = maps.min(), maps.max()
    return np.rint(255 * (maps - low) / (high - low or 1)).astype(np.uint8)


def packed(maps: np.ndarray) -> dict[str, Any]:
    """Return grey levels (n, height, width) uint8 as values for JSON."""
    return {"shape": list(maps.shape), "grey": base64.b64encode(np.ascontiguousarray(maps).tobytes()).decode()}
