"""Grids of images: mistakes, samples, augmentation, first-layer weights. A grid is one array, since axes are slow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mnistlab.reporting.plots.style import (
    BLUE,
    VERMILION,
    Picture,
    class_label,
    class_labels,
    empty,
    new_figure,
    place,
    plain,
    styled,
    width_of,
    write,
)

MOST_WEIGHTS = 64
BLOCK = 16  # classes per column; more classes need further columns
MOST_CLASSES = 112  # that are drawn
BLUE_TO_RED = ("#053061", "#4393C3", "#F7F7F7", "#D6604D", "#67001F")


@styled
def mistakes(
    images: np.ndarray,
    truths: Sequence[int] | np.ndarray,
    predictions: Sequence[int] | np.ndarray,
    probabilities: Sequence[float] | np.ndarray,
    class_names: Sequence[str],
) -> Picture:
    """Draw misclassified images (n, h, w) of uint8, in their order.

    The true class is above each image, the predicted class and its probability are below.
    """
    n = len(images)
    if n == 0:
        return empty("No mistakes: every prediction is correct.")
    across = min(n, 5)
    down = -(-n // across)
    cell, tile, head = (1.42, 1.55), 1.1, 0.62
    width, height = max(cell[0] * across + 0.2, 4.6), cell[1] * down + head + 0.05
    figure = new_figure(width, height, "Most confident mistakes")
    sub = 1 - 0.36 / height
    figure.text(0.15 / width, sub, "above: truth", color=BLUE, size=8.5, va="top")
    figure.text(1.05 / width, sub, "below: prediction and its probability", color=VERMILION, size=8.5, va="top")
    axes = place(figure, 0, 0, width, height)
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    h, w = images.shape[1:]
    half_w, half_h = tile / 2 * min(1, w / h), tile / 2 * min(1, h / w)
    texts = []
    for i in range(n):
        row, column = divmod(i, across)
        x, y = 0.1 + cell[0] * (column + 0.5), height - head - cell[1] * (row + 0.5)
        box = (x - half_w, x + half_w, y - half_h, y + half_h)
        axes.imshow(images[i], cmap="gray", vmin=0, vmax=255, extent=box, aspect="auto")
        prediction = f"{class_label(class_names, int(predictions[i]), 13)}  {probabilities[i]:.3f}"
        texts.append((x, y + tile / 2 + 0.05, class_label(class_names, int(truths[i]), 20), BLUE))
        texts.append((x, y - tile / 2 - 0.13, prediction, VERMILION))
    write(axes, texts, size=8, ha="center", va="baseline")
    axes.set(xlim=(0, width), ylim=(0, height))
    listed = "; ".join(
        f"{plain(class_names[int(t)])} predicted as {plain(class_names[int(q)])} ({p:.3f})"
        for t, q, p in list(zip(truths, predictions, probabilities, strict=True))[:5]
    )
    return Picture(figure, f"{n} most confident mistakes, with the probability of the prediction. First: {listed}.")


@styled
def weights(w: np.ndarray) -> Picture:
    """Draw first-layer weights (units, h, w) as images: blue is negative, white is zero, red is positive.

    All images have the same scale. Of more than 64 units, the first 64 are drawn.
    """
    from matplotlib.colors import LinearSegmentedColormap

    units = len(w)
    if units == 0:
        return empty("There are no first-layer weights to draw.")
    shown = np.asarray(w[:MOST_WEIGHTS], dtype=float)
    down = -(-len(shown) // 8)
    across = -(-len(shown) // down)
    largest = float(np.abs(shown).max()) or 1.0
    width, height = max(0.8 * across + 1.0, 4.2), max(0.8 * down, 1.6) + 0.6
    count = f"{len(shown)} of {units} units" if len(shown) < units else f"{units} units" if units > 1 else "1 unit"
    figure = new_figure(width, height, f"First-layer weights: {count}")
    axes = place(figure, 0.15, 0.1, width - 1.05, height - 0.55)
    colours = LinearSegmentedColormap.from_list("diverging", BLUE_TO_RED)
    drawn = axes.imshow(tiled(shown, across), cmap=colours, vmin=-largest, vmax=largest)
    axes.set_axis_off()
    axes.set_anchor("NW")
    bar = figure.colorbar(drawn, cax=place(figure, width - 0.78, 0.15, 0.13, height - 0.65))
    bar.ax.tick_params(labelsize=7.5)
    bar.ax.set_title("weight", size=7.5, loc="left")
    description = f"First-layer weights as images, {count}, from {shown.min():.4g} to {shown.max():.4g}."
    return Picture(figure, description)


@styled
def samples(images: np.ndarray, labels: np.ndarray, class_names: Sequence[str], per_class: int = 10) -> Picture:
    """Draw the first ``per_class`` images of each class, one row per class; for more than 16 classes at most 5 each."""
    if len(images) == 0:
        return empty("There are no images to draw.")
    total, count = len(class_names), min(len(class_names), MOST_CLASSES)
    class_names = class_names[:count]
    blocks = -(-count // BLOCK)
    rows = -(-count // blocks)
    each = min(per_class, 5) if blocks > 1 else per_class
    names = class_labels(class_names, 18)
    margin = 0.25 + width_of(names, 8)
    cell, head = 0.46, 0.5
    width, height = max(blocks * (margin + cell * each) + 0.15, 4.6), cell * rows + head + 0.1
    figure = new_figure(
        width, height, f"Samples: {each} per class, {count} classes" + (f" of {total:,}" if total > count else "")
    )
    h, w = images.shape[1:]
    for block in range(blocks):
        mine = range(block * rows, min((block + 1) * rows, count))
        grid = np.full((len(mine) * each, h, w), np.nan)
        for row, c in enumerate(mine):
            chosen = images[np.flatnonzero(labels == c)[:each]]
            grid[row * each : row * each + len(chosen)] = chosen
        left = block * (margin + cell * each) + margin
        bottom = height - head - cell * len(mine)
        axes = place(figure, left, bottom, cell * each, cell * len(mine))
        gap = gap_of(h, w)
        axes.imshow(tiled(grid, each), cmap="gray", vmin=0, vmax=255, aspect="auto" if h == w else "equal")
        axes.set_yticks([row * (h + gap) + (h - 1) / 2 for row in range(len(mine))], [names[c] for c in mine], size=8)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    counts = ", ".join(f"{plain(name)} {int((labels == c).sum())}" for c, name in enumerate(class_names))
    return Picture(figure, f"Sample images, up to {each} per class, one row per class. Images available: {counts}.")


@styled
def augmented(images: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> Picture:
    """Draw images (n, 1 + versions, h, w), one per row: the original on the left, then its augmented versions."""
    if len(images) == 0:
        return empty("There are no images to draw.")
    rows, across, h, w = images.shape
    names = [class_label(class_names, int(c), 18) for c in labels]
    margin, cell, head, apart = 0.25 + width_of(names, 8), 0.5, 0.62, 0.16
    width, height = max(margin + cell * across + apart + 0.15, 4.6), cell * rows + head + 0.1
    figure = new_figure(width, height, "Augmented training images")
    gap = gap_of(h, w)
    for left, columns, heading in (
        (margin, slice(0, 1), "original"),
        (margin + cell + apart, slice(1, None), "augmented"),
    ):
        shown = images[:, columns]
        count = shown.shape[1]
        axes = place(figure, left, 0.1, cell * count, cell * rows)
        page = tiled(shown.reshape(-1, h, w), count)
        axes.imshow(page, cmap="gray", vmin=0, vmax=255, aspect="auto" if h == w else "equal")
        axes.set_title(heading, size=8.5, pad=4)
        axes.set_yticks([])
        axes.set_xticks([])
        axes.spines[:].set_visible(False)
        if heading == "original":
            axes.set_yticks([row * (h + gap) + (h - 1) / 2 for row in range(rows)], names, size=8)
            axes.tick_params(length=0)
    listed = ", ".join(plain(class_names[int(c)]) for c in labels)
    return Picture(
        figure,
        f"{rows} training images, one per row: the original, then {across - 1} augmented versions. Rows: {listed}.",
    )


def gap_of(h: int, w: int) -> int:
    """Return the number of pixels between two tiles."""
    return max(1, round(max(h, w) / 14))


def tiled(images: np.ndarray, across: int) -> np.ndarray:
    """Return images (n, h, w) as one array, ``across`` per row, with gaps of NaN, which are not drawn."""
    n, h, w = images.shape
    gap, down = gap_of(h, w), -(-n // across)
    page = np.full((down, h + gap, across, w + gap), np.nan)
    whole = np.full((down * across, h, w), np.nan)
    whole[:n] = images
    page[:, :h, :, :w] = whole.reshape(down, across, h, w).transpose(0, 2, 1, 3)
    return page.reshape(down * (h + gap), across * (w + gap))[:-gap, :-gap]
