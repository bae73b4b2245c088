"""ROC and precision-recall curves, drawn by the same code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mnistlab.reporting.plots.style import (
    COLOURS,
    DASHES,
    GREY,
    INK,
    Picture,
    empty,
    label,
    new_figure,
    place,
    plain,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Curves = Mapping[str, np.ndarray]  # column -> values
Points = tuple[np.ndarray, np.ndarray]  # x and y
ALL = 12  # classes that can be distinguished in one figure
WORST = 8  # of more classes, this many are drawn
GOOD = 0.95  # above this score all curves are in one corner, which is enlarged


class _Kind(NamedTuple):
    name: str
    score: str
    x: str
    y: str
    x_label: str
    y_label: str
    corner: tuple[float, float, float, float]  # x and y limits of the inset
    drawstyle: str


ROC = _Kind("ROC curves", "AUC", "fpr", "tpr", "false positive rate", "true positive rate", (0, 0.1, 0.9, 1), "default")
# precision is constant up to the next recall; there is no interpolation in between
PR = _Kind("Precision-recall curves", "AP", "recall", "precision", "recall", "precision", (0.9, 1, 0.9, 1), "steps-pre")


@styled
def roc(curves: pd.DataFrame | Curves, auc: Mapping[str, float | None], ranked_by: str = "") -> Picture:
    """Draw the ROC curve of each class against the rest, with the micro and macro averages.

    ``curves`` has the columns curve, fpr, tpr; ``auc`` maps a curve to its area. Of more than 12 classes, the 8 with
    the lowest area are drawn. ``ranked_by`` is the score that ranks the images if it is not the model's probability.
    """
    return _draw(ROC, curves, auc, ranked_by)


@styled
def precision_recall(
    curves: pd.DataFrame | Curves, average_precision: Mapping[str, float | None], ranked_by: str = ""
) -> Picture:
    """Draw the precision-recall curve of each class against the rest, with the micro average.

    ``curves`` has the columns curve, recall, precision; ``average_precision`` maps a curve to its score, and may
    contain a macro average, which has no curve. Of more than 12 classes, the 8 with the lowest score are drawn.
    """
    return _draw(PR, curves, average_precision, ranked_by)


def _draw(kind: _Kind, curves: pd.DataFrame | Curves, scores: Mapping[str, float | None], ranked_by: str) -> Picture:
    points = _points(kind, curves)
    classes = [name for name in points if name not in ("micro", "macro")]
    if not points:
        return empty(f"{kind.name}: the labels hold one class only, so no curve is defined.")
    defined = {name: score for name in classes if (score := scores.get(name)) is not None}
    ranked = sorted(defined, key=lambda name: defined[name])
    shown = classes if len(classes) <= ALL else [name for name in classes if name in ranked[:WORST]]
    title = kind.name + ("" if shown == classes else f": the {len(shown)} worst of {len(classes)} classes")

    figure = new_figure(7.7, 5.0, title)
    if ranked_by:
        figure.text(0.99, 0.015, f"images ranked by {plain(ranked_by)}", ha="right", size=7.5, color=GREY)
    axes = place(figure, 0.65, 0.5, 4.1, 4.1)
    if kind is ROC:
        axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":", label="chance")
    _lines(axes, kind, points, shown, scores)
    axes.set(xlabel=kind.x_label, ylabel=kind.y_label, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.grid(True)
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.03, 1.0), borderaxespad=0, title=f"curve ({kind.score})", alignment="left"
    )
    if defined and min(defined.values()) > GOOD:
        left, right, bottom, top = kind.corner
        inset = axes.inset_axes((0.36 if kind is ROC else 0.1, 0.12, 0.58, 0.58))
        _lines(inset, kind, points, shown, scores)
        inset.set(xlim=(left, right), ylim=(bottom, top + 0.002))
        inset.set_title("the corner, enlarged", size=8)
        inset.tick_params(labelsize=7)
        inset.grid(True)
        for spine in inset.spines.values():
            spine.set_visible(True)

    averages = [f"{name} average {_score(scores[name])}" for name in ("micro", "macro") if scores.get(name) is not None]
    description = f"{kind.name}, each class against the rest; {kind.score}: " + ", ".join(averages) + "."
    description += f" Images are ranked by {plain(ranked_by)}." if ranked_by else ""
    if ranked:
        lowest = ", ".join(f"{plain(name)} {_score(defined[name])}" for name in ranked[:3])
        description += f" Lowest: {lowest}. Highest: {plain(ranked[-1])} {_score(defined[ranked[-1]])}."
    return Picture(figure, description)


def _lines(
    axes: Axes, kind: _Kind, points: Mapping[str, Points], shown: list[str], scores: Mapping[str, float | None]
) -> None:
    for name, dash in (("micro", "-"), ("macro", ":")):
        if name in points:
            _line(axes, kind, points[name], f"{name} average ({_score(scores.get(name))})", INK, dash, 2.2)
        elif scores.get(name) is not None:
            axes.plot([], [], " ", label=f"{name} average ({_score(scores.get(name))})")
    for i, name in enumerate(shown):
        colour, dash = COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]
        _line(axes, kind, points[name], f"{label(name, 22)} ({_score(scores.get(name))})", colour, dash, 1.3)


def _points(kind: _Kind, curves: pd.DataFrame | Curves) -> dict[str, Points]:
    """Return x and y of each curve, in the order of the table."""
    names = np.array([str(name) for name in curves["curve"]], dtype=object)
    x, y = np.asarray(curves[kind.x]), np.asarray(curves[kind.y])
    return {name: (x[names == name], y[names == name]) for name in dict.fromkeys(names)}


def _line(axes: Axes, kind: _Kind, points: Points, name: str, colour: str, dash: str, width: float) -> None:
    axes.plot(*points, color=colour, ls=dash, lw=width, drawstyle=kind.drawstyle, label=name)


def _score(score: float | None) -> str:
    return "undefined" if score is None else f"{score:.4f}"
