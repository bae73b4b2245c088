"""Counts per class: the confusion matrix and the class distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mnistlab.reporting.plots.style import (
    BLUE,
    GREY,
    INK,
    Picture,
    class_labels,
    empty,
    label,
    new_figure,
    place,
    plain,
    styled,
    width_of,
    write,
)

if TYPE_CHECKING:
    import pandas as pd

NUMBERED = 20  # the most classes for which cells and bars have numbers
NAMED = 100  # the most classes whose names are written; more are numbered from 0
SIDE = 14.0  # inches, the most of a side


@styled
def confusion(
    matrix: np.ndarray | Sequence[Sequence[int]], class_names: Sequence[str], normalised: bool = False, title: str = ""
) -> Picture:
    """Draw a confusion matrix of counts (k, k): rows are the truth, columns the prediction.

    ``normalised`` draws each cell in per cent of its row. Errors have their own colour scale, white to red, so that the
    diagonal, in blue by recall, does not wash them out. Empty cells are blank; for more than 20 classes there are only
    colours.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    counts = np.asarray(matrix)
    k = len(class_names)
    if not counts.sum():
        return empty("Confusion matrix: there are no images.")
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    values = share if normalised else counts
    errors = np.where(np.eye(k, dtype=bool), 0, values)
    scale = PowerNorm(0.7, 0, float(errors.max()) or 1.0)
    reds = LinearSegmentedColormap.from_list("errors", ["#FFFFFF", "#FBC9A9", "#E8743B", "#8F2D00"])
    blues = LinearSegmentedColormap.from_list("recall", ["#FFFFFF", "#8CBFE3"])
    shades = reds(scale(errors))
    shades[np.diag_indices(k)] = blues(np.diag(share) / 100)

    size = 8.0 if k <= NUMBERED else 6.5
    names = class_labels(class_names, 14)
    cell = max(3.4 / k, 0.46) if k <= NUMBERED else min(0.185, SIDE / k)
    if k > NAMED:
        names = [f"{k - 1}"]
    side, margin = cell * k, width_of(names, size) + 0.5
    upright = width_of(names, size) > cell
    below = margin if upright else 0.5
    figure = new_figure(margin + side + 0.95, below + side + 0.5, title or "Confusion matrix")
    axes = place(figure, margin, below, side, side)
    axes.imshow(shades)
    edges = np.arange(1, k if k <= NAMED else 1) - 0.5
    lines = [((e, -0.5), (e, k - 0.5)) for e in edges] + [((-0.5, e), (k - 0.5, e)) for e in edges]
    axes.add_collection(LineCollection(lines, colors="#E9E9E9", linewidths=0.5), autolim=False)
    if k <= NAMED:
        axes.set_xticks(range(k), names, rotation=90 if upright else 0, size=size)
        axes.set_yticks(range(k), names, size=size)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title("blue: correct, by recall; red: errors", size=8, color=GREY)
    if k <= NUMBERED:
        inks = np.where(scale(errors) > 0.66, "white", INK)
        places = zip(*np.nonzero(counts), strict=True)
        cells = [(j, i, f"{values[i, j]:.1f}" if normalised else f"{values[i, j]}", inks[i, j]) for i, j in places]
        write(axes, cells, size=7.5, ha="center", va="center")
    bar = figure.colorbar(ScalarMappable(scale, reds), cax=place(figure, margin + side + 0.12, below, 0.13, side))
    bar.set_label("errors: % of the true class" if normalised else "errors: images")
    bar.ax.tick_params(labelsize=7.5)

    return Picture(figure, _in_words(counts, share, class_names, normalised))


def _in_words(counts: np.ndarray, share: np.ndarray, class_names: Sequence[str], normalised: bool) -> str:
    """Return the matrix in words: the number of correct images, and the three most frequent errors."""
    k, total, right = len(class_names), int(counts.sum()), int(np.trace(counts))
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:3]
    pairs = [divmod(int(i), k) for i in order if wrong.flat[i]]
    worst = "; ".join(
        f"{plain(class_names[t])} predicted as {plain(class_names[q])}: {_amount(wrong, share, t, q, normalised)}"
        for t, q in pairs
    )
    accuracy = f"Confusion matrix of {k} classes: {right:,} of {total:,} correct ({100 * right / total:.2f} %)."
    return accuracy + (f" Most frequent errors: {worst}." if worst else "")


def _amount(wrong: np.ndarray, share: np.ndarray, truth: int, predicted: int, normalised: bool) -> str:
    count = int(wrong[truth, predicted])
    return f"{share[truth, predicted]:.1f} % ({count})" if normalised else f"{count:,} time{'s' if count != 1 else ''}"


@styled
def class_distribution(
    counts: pd.DataFrame | Mapping[str, Sequence[int] | np.ndarray], class_names: Sequence[str]
) -> Picture:
    """Draw the number of images of each class from set -> counts per class, with one panel and scale per set."""
    parts = {str(part): np.asarray(class_counts) for part, class_counts in counts.items()}
    if not parts:
        return empty("There are no images to count.")
    k = len(class_names)
    size = 8.5 if k <= NUMBERED else 7.0
    names = class_labels(class_names, 20)
    margin, height, panel = (
        width_of(names, size) + 0.25,
        max(k * (0.24 if k <= NUMBERED else min(0.155, SIDE / k)), 0.9),
        2.5,
    )
    figure = new_figure(margin + (panel + 0.3) * len(parts), height + 1.15, "Images per class")
    sentences = []
    for i, (part, class_counts) in enumerate(parts.items()):
        axes = place(figure, margin + (panel + 0.3) * i, 0.5, panel, height)
        axes.barh(range(k), class_counts, color=BLUE, height=0.75)
        axes.set_title(f"{label(part)}: {class_counts.sum():,} images")
        axes.set(xlabel="images", ylim=(k - 0.4, -0.6), xlim=(0, max(class_counts.max() * 1.22, 1)))
        if k <= NAMED:
            axes.set_yticks(range(k), names if i == 0 else [""] * k, size=size)
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=4, integer=True)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        if k <= NUMBERED:
            numbers = [(count, c, f" {count:,}", GREY) for c, count in enumerate(class_counts)]
            write(axes, numbers, size=7.5, va="center")
        low, high = int(class_counts.argmin()), int(class_counts.argmax())
        lowest = f"{class_counts[low]:,} ({plain(class_names[low])})"
        spread = f"from {lowest} to {class_counts[high]:,} ({plain(class_names[high])})"
        if class_counts[low] == class_counts[high]:
            spread = f"{class_counts[low]:,}"
        sentences.append(f"{plain(part)}: {class_counts.sum():,} images, {spread} per class")
    return Picture(figure, "Images per class. " + "; ".join(sentences) + ".")
