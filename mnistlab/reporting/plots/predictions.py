"""Classified pictures: the picture, the network's input, and the most probable classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mnistlab.reporting.plots.style import (
    BLUE,
    GREY,
    INK,
    PALE,
    Picture,
    empty,
    label,
    new_figure,
    place,
    plain,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DETAILED = 30  # the most pictures that are drawn with bars; more are drawn as tiles
MOST = 400
ACROSS, BARS = 3, 3

Top = Sequence[tuple[str, float]]


@styled
def predicted(
    names: Sequence[str], inputs: Sequence[np.ndarray], network_inputs: np.ndarray, tops: Sequence[Top]
) -> Picture:
    """Draw ``inputs`` (h, w) uint8 of any size, ``network_inputs`` (n, h, w), and the most probable classes.

    ``tops`` are the classes of each with their probabilities, the most probable first. More than 30 pictures become a
    grid of network inputs with their most probable classes; of more than 400, the first 400 are drawn.
    """
    n = len(names)
    if n == 0:
        return empty("No picture was predicted.")
    figure = _detailed(names, inputs, network_inputs, tops) if n <= DETAILED else _grid(network_inputs, tops)
    listed = "; ".join(
        f"{plain(name)}: {plain(top[0][0])} ({top[0][1]:.3f})" for name, top in zip(names, tops, strict=True)
    )
    return Picture(figure, f"{n} {'picture' if n == 1 else 'pictures'} as input to the network. {listed}.")


def _detailed(
    names: Sequence[str], inputs: Sequence[np.ndarray], network_inputs: np.ndarray, tops: Sequence[Top]
) -> Figure:
    n = len(names)
    across = min(ACROSS, n)
    down = -(-n // across)
    cell, tile, head = (4.3, 1.5), 1.05, 0.62
    width, height = cell[0] * across + 0.1, cell[1] * down + head
    figure = new_figure(width, height, "Pictures and the network's input")
    axes = place(figure, 0, 0, width, height)
    axes.set_axis_off()
    for i in range(n):
        row, column = divmod(i, across)
        left, bottom = 0.15 + cell[0] * column, height - head - cell[1] * (row + 1) + 0.12
        axes.text(left, bottom + tile + 0.09, label(names[i], 46), size=8.5, weight="bold", va="baseline")
        for image, at in ((inputs[i], left), (network_inputs[i], left + tile + 0.12)):
            _image(axes, image, at + tile / 2, bottom + tile / 2, tile)
        start, long = left + 2 * tile + 0.27, 1.05
        for k, (name, p) in enumerate(tops[i][:BARS]):
            y = bottom + tile - 0.06 - 0.34 * k
            axes.text(start, y, label(name, 14), size=8.5, va="top", color=INK)
            axes.text(start + long + 0.38, y, f"{p:.3f}", size=8.5, va="top", ha="right", color=INK)
            bar_y = y - 0.2
            axes.fill_between((start, start + long + 0.38), bar_y, bar_y + 0.045, color=PALE, lw=0)
            axes.fill_between((start, start + (long + 0.38) * p), bar_y, bar_y + 0.045, color=BLUE, lw=0)
    axes.set(xlim=(0, width), ylim=(0, height))
    legend = "each row: the picture, the network's input, and the most probable classes"
    figure.text(0.15 / width, 1 - 0.36 / height, legend, color=GREY, size=8.5, va="top")
    return figure


def _grid(network_inputs: np.ndarray, tops: Sequence[Top]) -> Figure:
    shown = min(len(network_inputs), MOST)
    across = 10 if shown <= 100 else 20
    down = -(-shown // across)
    cell, tile, head = (0.78, 0.82), 0.56, 0.62
    width, height = cell[0] * across + 0.2, cell[1] * down + head
    count = f"{shown} of {len(network_inputs)}" if shown < len(network_inputs) else f"{shown}"
    figure = new_figure(width, height, f"The network's input: {count} pictures")
    legend = "below each: the most probable class and its probability, in the order of the files"
    figure.text(0.15 / width, 1 - 0.36 / height, legend, color=GREY, size=8.5, va="top")
    axes = place(figure, 0, 0, width, height)
    axes.set_axis_off()
    for i in range(shown):
        row, column = divmod(i, across)
        x, y = 0.1 + cell[0] * (column + 0.5), height - head - cell[1] * (row + 0.5) + 0.08
        _image(axes, network_inputs[i], x, y, tile)
        name, p = tops[i][0]
        axes.text(x, y - tile / 2 - 0.13, f"{label(name, 7)}  {p:.2f}", size=7.5, ha="center", va="baseline")
    axes.set(xlim=(0, width), ylim=(0, height))
    return figure


def _image(axes: Axes, image: np.ndarray, x: float, y: float, tile: float) -> None:
    h, w = image.shape
    half_w, half_h = tile / 2 * min(1, w / h), tile / 2 * min(1, h / w)
    box = (x - half_w, x + half_w, y - half_h, y + half_h)
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=box, aspect="auto")
    axes.plot((box[0], box[1], box[1], box[0], box[0]), (box[2], box[2], box[3], box[3], box[2]), color=GREY, lw=0.5)
