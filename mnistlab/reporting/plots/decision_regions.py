"""Decision regions: the class that a model predicts in a plane, and the points on which it was fitted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistlab.reporting.plots.markers import are_characters, colour_of, height_of_legend, legend, width_of_legend
from mnistlab.reporting.plots.style import (
    GREY,
    INK,
    Picture,
    class_label,
    empty,
    label,
    new_figure,
    place,
    plain,
    styled,
    width_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCALE = 1.3  # inches of the probability scale
SIDE = 3.9  # inches of a panel; a single one is larger
PALEST, STRONGEST = 0.06, 0.62  # fraction of the class's colour at the probability of a guess, and at one
RIGHT, WRONG = "right", "wrong"


@dataclass(frozen=True)
class Panel:
    """One model: its regions on a mesh, places for the names of classes, and its predictions for the points.

    ``classes`` and ``probabilities`` are (len(y), len(x)); a row of ``named`` is a class and the place of its name.
    """

    title: str
    accuracy: float
    x: np.ndarray
    y: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray
    named: np.ndarray
    predicted: np.ndarray


@styled
def decision_regions(
    panels: Sequence[Panel],
    scores: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    shares: Sequence[float],
) -> Picture:
    """Draw one panel per model: the predicted class as colour, its probability as saturation, with points (n, 2).

    A point has the colour of its true class: a disc if the prediction is right, a cross if it is wrong. All panels have
    the same probability scale, from that of a guess, 1 / classes, to one.
    """
    from matplotlib.lines import Line2D

    if not panels:
        return empty("There is no model to draw.")
    across = math.ceil(math.sqrt(len(panels)))
    down = -(-len(panels) // across)
    side = 5.6 if len(panels) == 1 else SIDE
    wide, listed = 0.65 + across * (side + 0.3), height_of_legend(len(class_names) + 2)
    high = 1.15 + max(down * (side + 0.4), listed + SCALE + 0.4)
    marks = [
        Line2D([], [], ls="", marker="o", color=GREY, mec="white", mew=0.5, ms=6.5, label=RIGHT),
        Line2D([], [], ls="", marker="x", color=GREY, mew=1.2, ms=5.5, label=WRONG),
    ]
    figure = new_figure(
        wide + max(width_of_legend(class_names, [RIGHT, WRONG]), 1.1),
        high,
        "Decision regions in the plane of two components",
    )
    words = (
        f"background: predicted class, more saturated if more probable; {len(scores):,} points, coloured by true class"
    )
    figure.text(0.15 / figure.get_size_inches()[0], 1 - 0.38 / high, words, color=GREY, size=8.5, va="top")
    legend(figure, class_names, ["o"] * len(class_names), (wide - 0.05, high - 0.95), marks)
    _scale(figure, (wide - 0.03, high - 1.35 - listed - SCALE), 1 / len(class_names))
    for i, panel in enumerate(panels):
        row, column = divmod(i, across)
        axes = place(figure, 0.65 + column * (side + 0.3), high - 0.95 - side - row * (side + 0.4), side, side)
        extent = _edges(panel.x) + _edges(panel.y)
        axes.imshow(_shaded(panel, len(class_names)), extent=extent, origin="lower", aspect="auto", zorder=0)
        _borders(axes, panel)
        _points(axes, scores, labels, panel.predicted == labels, side)
        _names(axes, panel, class_names, side)
        axes.set_title(f"{label(panel.title, 24)}: training accuracy {100 * panel.accuracy:.1f} %", size=9, pad=4)
        axes.set(xlim=extent[:2], ylim=extent[2:])
        axes.tick_params(labelsize=7.5, labelleft=column == 0, labelbottom=i + across >= len(panels))
        if column == 0:
            axes.set_ylabel(f"component 2 ({100 * shares[1]:.1f} %)")
        if i + across >= len(panels):
            axes.set_xlabel(f"component 1 ({100 * shares[0]:.1f} %)")
    accuracies = ", ".join(f"{plain(panel.title)} {100 * panel.accuracy:.2f} %" for panel in panels)
    regions = [f"{len(np.unique(panel.classes))} of {len(class_names)} classes have a region" for panel in panels]
    return Picture(
        figure, f"Decision regions on {len(scores):,} points; training accuracy: {accuracies}. {'; '.join(regions)}."
    )


def _names(axes: Any, panel: Panel, class_names: Sequence[str], side: float) -> None:
    """Write the name of each class over its region, inside the panel."""
    from matplotlib.patheffects import withStroke

    left, right = _edges(panel.x)
    size = (15 if are_characters(class_names) else 9.5) * (1 if side > SIDE else 0.85)
    for c, x, y in panel.named:
        name = class_label(class_names, int(c), 12)
        half = (width_of([name], size) / 2 + 0.08) / side * (right - left)  # bold is wider
        text = axes.text(min(max(x, left + half), right - half), y, name, size=size, weight="bold", color=INK, zorder=4)
        text.set(ha="center", va="center", path_effects=[withStroke(linewidth=2.5, foreground="white")])


def _scale(figure: Figure, at: tuple[float, float], guess: float) -> None:
    """Draw the scale of saturation at this place in inches, from the probability of a guess to one."""
    axes = place(figure, *at, 0.16, SCALE)
    share = np.linspace(PALEST, STRONGEST, 64)[:, None, None]
    axes.imshow(1 - share * (1 - np.full(3, 0.25)), extent=(0, 1, guess, 1), origin="lower", aspect="auto")
    axes.set(xticks=[], yticks=[guess, 1], yticklabels=[f"{guess:.2g}", "1"])
    axes.yaxis.tick_right()
    axes.tick_params(labelsize=8, length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("probability", size=8.5, pad=5)


def _edges(centres: np.ndarray) -> tuple[float, float]:
    half = (centres[-1] - centres[0]) / (len(centres) - 1) / 2
    return float(centres[0] - half), float(centres[-1] + half)


def _shaded(panel: Panel, classes: int) -> np.ndarray:
    """Return the regions as colours (rows, columns, 3): white mixed with the class's colour by its probability."""
    from matplotlib.colors import to_rgb

    rgb = np.array([to_rgb(colour_of(c)) for c in range(classes)])[panel.classes]
    guess = 1 / classes
    certain = np.clip((panel.probabilities - guess) / (1 - guess), 0, 1)
    share = PALEST + (STRONGEST - PALEST) * certain[..., None]
    return 1 - share * (1 - rgb)


def _borders(axes: Any, panel: Panel) -> None:
    """Draw the borders of the regions."""
    classes = np.unique(panel.classes)
    for c in classes if len(classes) > 1 else ():
        axes.contour(panel.x, panel.y, panel.classes == c, levels=[0.5], colors=GREY, linewidths=0.7, zorder=1)


def _points(axes: Any, scores: np.ndarray, labels: np.ndarray, right: np.ndarray, side: float) -> None:
    colours = np.array([colour_of(int(c)) for c in labels])
    size = 20 if side > SIDE else 13
    axes.scatter(*scores[~right].T, s=size, c=colours[~right], marker="x", lw=0.9, zorder=2)
    axes.scatter(*scores[right].T, s=size, c=colours[right], marker="o", lw=0.5, edgecolors="white", zorder=3)
