"""Classified pictures: the picture, the network's input, and the most probable classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mnistlab.reporting.plots.style import (
    BLUE,
    GREY,
    INK,
    PALE,
    VERMILION,
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

PER_PAGE = 30
ACROSS, BARS = 3, 3


@dataclass(frozen=True)
class Classified:
    """One picture, or one digit of it: its name, the picture and the network's input, (h, w) uint8 of any size.

    ``top`` are the most probable classes with their probabilities, the most probable first. ``box`` is the digit's
    place in fractions of the picture (left, top, width, height), or None for the whole picture. ``mark`` is a warning.
    """

    name: str
    picture: np.ndarray
    network_input: np.ndarray
    top: Sequence[tuple[str, float]]
    box: tuple[float, float, float, float] | None = None
    mark: str = ""


def pages_of(cells: Sequence[Classified]) -> list[Sequence[Classified]]:
    """Return the cells page by page."""
    return [cells[start : start + PER_PAGE] for start in range(0, len(cells), PER_PAGE)]


@styled
def predicted(cells: Sequence[Classified], title: str = "Pictures and the network's input") -> Picture:
    """Draw one page of classified pictures: each with its name, the network's input and the most probable classes."""
    n = len(cells)
    if n == 0:
        return empty("No picture was predicted.")
    across = min(ACROSS, n)
    down = -(-n // across)
    cell, tile, head = (4.3, 1.5), 1.05, 0.62
    width, height = cell[0] * across + 0.1, cell[1] * down + head
    figure = new_figure(width, height, title)
    axes = place(figure, 0, 0, width, height)
    axes.set_axis_off()
    for i, one in enumerate(cells):
        row, column = divmod(i, across)
        left, bottom = 0.15 + cell[0] * column, height - head - cell[1] * (row + 1) + 0.12
        axes.text(left, bottom + tile + 0.09, label(one.name, 46), size=8.5, weight="bold", va="baseline")
        outline = _image(axes, one.picture, left + tile / 2, bottom + tile / 2, tile)
        _image(axes, one.network_input, left + 1.5 * tile + 0.12, bottom + tile / 2, tile)
        if one.box is not None:
            _mark(axes, outline, one.box)
        _bars(axes, one, left + 2 * tile + 0.27, bottom + tile - 0.06)
    axes.set(xlim=(0, width), ylim=(0, height))
    legend = "each row: the picture, the network's input, and the most probable classes"
    figure.text(0.15 / width, 1 - 0.36 / height, legend, color=GREY, size=8.5, va="top")
    listed = "; ".join(
        f"{plain(one.name)}: {plain(one.top[0][0])} ({one.top[0][1]:.3f}{', ' + one.mark if one.mark else ''})"
        for one in cells
    )
    return Picture(figure, f"{n} {'picture' if n == 1 else 'pictures'} as input to the network. {listed}.")


def _bars(axes: Axes, one: Classified, start: float, top: float) -> None:
    end = start + 1.43
    for k, (name, p) in enumerate(one.top[:BARS]):
        y = top - 0.34 * k
        axes.text(start, y, label(name, 14), size=8.5, va="top", color=INK)
        axes.text(end, y, f"{p:.3f}", size=8.5, va="top", ha="right", color=INK)
        if one.mark and k == 0:
            axes.text(start + 0.16, y, label(one.mark, 16), size=7, va="top", color=VERMILION)
        bar_y = y - 0.2
        axes.fill_between((start, end), bar_y, bar_y + 0.045, color=PALE, lw=0)
        axes.fill_between((start, start + (end - start) * p), bar_y, bar_y + 0.045, color=BLUE, lw=0)


def _mark(axes: Axes, outline: tuple[float, ...], box: tuple[float, float, float, float]) -> None:
    """Draw the box of a digit on its picture, whose outline is (left, right, bottom, top)."""
    left, right, bottom, top = outline
    x = [left + share * (right - left) for share in (box[0], box[0] + box[2])]
    y = [top - share * (top - bottom) for share in (box[1], box[1] + box[3])]
    axes.plot((x[0], x[1], x[1], x[0], x[0]), (y[0], y[0], y[1], y[1], y[0]), color=VERMILION, lw=1.2)


def _image(axes: Axes, image: np.ndarray, x: float, y: float, tile: float) -> tuple[float, ...]:
    """Draw an image of any size into a square, and return its outline: left, right, bottom, top."""
    h, w = image.shape
    half_w, half_h = tile / 2 * min(1, w / h), tile / 2 * min(1, h / w)
    box = (x - half_w, x + half_w, y - half_h, y + half_h)
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=box, aspect="auto")
    axes.plot((box[0], box[1], box[1], box[0], box[0]), (box[2], box[2], box[3], box[3], box[2]), color=GREY, lw=0.5)
    return box
