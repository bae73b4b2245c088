"""Principal components: explained variance, the images in their plane and space, and the components as images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistlab.reporting.plots.image_grids import BLUE_TO_RED
from mnistlab.reporting.plots.markers import are_characters, colour_of, legend, markers, paths_of, width_of_legend
from mnistlab.reporting.plots.style import (
    BLUE,
    GREY,
    INK,
    PALE,
    VERMILION,
    Picture,
    class_label,
    empty,
    new_figure,
    place,
    plain,
    styled,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BARS, NUMBERED_BARS = 30, 5
MOST_IMAGES, ACROSS = 19, 5
MOST_CENTRES = 20  # classes whose mean is named in the plane
SLABS = 8  # groups of points by depth: nearer ones are drawn later
VIEWS = ((20, -60), (20, 30))  # elevation and azimuth in degrees: two sides of the same space


@styled
def scree(shares: np.ndarray) -> Picture:
    """Draw the fraction of the variance that each of the first 30 components explains."""
    first = 100 * np.asarray(shares[:MOST_BARS], dtype=float)
    n = len(first)
    if not n:
        return empty("There are no components.")
    figure = new_figure(6.6, 3.6, "Variance explained by each component")
    axes = place(figure, 0.7, 0.55, 5.7, 2.5)
    axes.bar(range(1, n + 1), first, color=BLUE, width=0.8)
    for i, share in enumerate(first[:NUMBERED_BARS], 1):
        axes.text(i, share, f"{share:.1f}", size=7.5, ha="center", va="bottom", color=INK)
    axes.set(xlabel=f"component ({_of(n, len(shares))})", ylabel="share of the variance (%)", xlim=(0.3, n + 0.7))
    axes.grid(axis="y")
    whole_numbers(axes.xaxis)
    percentages = ", ".join(f"{share:.2f}" for share in first[:NUMBERED_BARS])
    return Picture(
        figure, f"Share of the variance in per cent, component by component: {percentages}, to {first[-1]:.2f}."
    )


@styled
def cumulative(shares: np.ndarray, needed: Mapping[float, int]) -> Picture:
    """Draw the fraction of the variance that the first n components explain together, against n.

    ``needed`` are marked: fraction -> number of components that explain it.
    """
    n = len(shares)
    if not n:
        return empty("There are no components.")
    figure = new_figure(6.6, 3.8, "Cumulative explained variance")
    axes = place(figure, 0.7, 0.55, 5.7, 2.7)
    axes.plot(np.arange(n + 1), 100 * np.concatenate(([0.0], shares)), color=BLUE, marker="o" if n < 20 else None)
    for share, count in needed.items():
        reached = 100 * float(shares[count - 1])
        axes.plot([0, count, count], [100 * share, 100 * share, 0], color=GREY, lw=0.7, ls=":")
        axes.plot([count], [reached], marker="o", color=VERMILION, ls="")
    words = [f"{100 * share:.0f} %:  {count:,}" for share, count in needed.items()]
    if words:
        heading = "components needed for"
        axes.text(0.98, 0.08, "\n".join((heading, *words)), transform=axes.transAxes, ha="right", size=8.5)
    axes.set(xlabel="number of components", ylabel="variance explained (%)", xlim=(0, n * 1.01), ylim=(0, 103))
    whole_numbers(axes.xaxis)
    percentages = ", ".join(f"{100 * share:.0f} % by {count:,}" for share, count in needed.items())
    return Picture(figure, f"Cumulative explained variance of {n:,} components: {percentages}.")


@styled
def scatter(
    scores: np.ndarray,
    labels: np.ndarray,
    centres: Mapping[int, np.ndarray],
    shares: np.ndarray,
    class_names: Sequence[str],
    images: int,
) -> Picture:
    """Draw points (n, 2 or more) in the plane of the first two components, by class, and the mean of each class.

    If all class names are single characters, these are the markers; otherwise classes have a colour and a shape.
    ``centres`` are the means over all ``images``, of which the points are a sample.
    """
    from matplotlib.patheffects import withStroke

    if not len(scores):
        return empty("There are no points to draw.")
    characters, shapes = are_characters(class_names), markers(class_names)
    low, high = scores[:, :2].min(axis=0), scores[:, :2].max(axis=0)
    margin = 0.04 * float((high - low).max()) or 1.0
    wide, tall = high - low + 2 * margin
    side, up = 6.0, float(np.clip(6.0 * tall / wide, 3.5, 7.0))
    figure = _figure_with_legend(0.75 + side, 1.2 + up, "Images in the plane of two components", class_names, shapes)
    means = ", and the mean of each class in bold" if len(centres) <= MOST_CENTRES else ""
    _note(figure, f"{len(scores):,} of {images:,} images{means}")
    axes = place(figure, 0.65, 0.5, side, up)
    mixed = np.argsort(np.arange(len(scores)) * 0.6180339887 % 1)  # so that no class covers all others
    colours = [colour_of(int(c)) for c in labels[mixed]]
    x, y = scores[mixed, :2].T
    drawn: Any = axes.scatter(x, y, s=26 if characters else 16, c=colours, lw=0, alpha=0.8)
    drawn.set_paths([paths_of(shapes)[int(c)] for c in labels[mixed]])
    if len(centres) <= MOST_CENTRES:
        halo = [withStroke(linewidth=3.5, foreground="white")]
        for c, mean in centres.items():
            size = 19 if characters else 10
            at = axes.text(
                mean[0],
                mean[1],
                class_label(class_names, c, 14),
                size=size,
                weight="bold",
                color=colour_of(c),
                zorder=5,
            )
            at.set(ha="center", va="center", path_effects=halo)
    axes.set(xlabel=_axis(1, shares), ylabel=_axis(2, shares))
    axes.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin))
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid()
    description = f"{_caption(len(scores), images, 'plane', 2, shares)} Means of the classes: "
    listed = [f"{plain(class_names[c])} ({m[0]:.2f}, {m[1]:.2f})" for c, m in list(centres.items())[:MOST_CENTRES]]
    return Picture(figure, f"{description}{', '.join(listed)}{', ...' if len(centres) > MOST_CENTRES else ''}.")


@styled
def scatter_3d(
    scores: np.ndarray, labels: np.ndarray, shares: np.ndarray, class_names: Sequence[str], images: int
) -> Picture:
    """Draw points (n, 3) in the space of the first three components, by class, from two sides."""
    from mpl_toolkits.mplot3d import Axes3D

    if not len(scores):
        return empty("There are no points to draw.")
    side, up, shapes = 4.8, 4.3, markers(class_names)
    size = 26 if are_characters(class_names) else 14
    title = "Images in the space of three components"
    figure = _figure_with_legend(2 * side + 0.3, 0.35 + up, title, class_names, shapes)
    _note(figure, f"{len(scores):,} of {images:,} images, from two sides; nearer points are more opaque")
    width, height = figure.get_size_inches()
    for i, (elevation, azimuth) in enumerate(VIEWS):
        box = (((side + 0.4) * i - 0.15) / width, 0.05 / height, side / width, up / height)
        axes: Any = Axes3D(figure, rect=box, elev=elevation, azim=azimuth, computed_zorder=False)
        figure.add_axes(axes)
        axes.set_box_aspect(None, zoom=0.98)
        for alpha, near in zip(np.linspace(0.35, 0.95, SLABS), _slabs(scores, elevation, azimuth), strict=True):
            for c in np.unique(labels[near]):
                members = near[labels[near] == c]
                mark = {"marker": shapes[int(c)], "color": colour_of(int(c)), "s": size, "lw": 0}
                axes.scatter(*scores[members, :3].T, **mark, alpha=alpha, depthshade=False)
        axes.set_xlabel(_axis(1, shares), size=8.5, labelpad=-3)
        axes.set_ylabel(_axis(2, shares), size=8.5, labelpad=-3)
        axes.set_zlabel(_axis(3, shares), size=8.5, labelpad=-1)
        axes.tick_params(labelsize=7, pad=-2)
        for pane in (axes.xaxis, axes.yaxis, axes.zaxis):
            pane.set_pane_color((1, 1, 1, 0))
    return Picture(figure, _caption(len(scores), images, "space", 3, shares))


@styled
def eigenimages(mean: np.ndarray, axes: np.ndarray, shares: np.ndarray) -> Picture:
    """Draw the mean image (h, w) and the first 19 components (n, h, w) as images, with their shares of the variance.

    Each component has its own scale, with white at zero; its sign is arbitrary.
    """
    from matplotlib.colors import LinearSegmentedColormap

    shown = axes[:MOST_IMAGES]
    h, w = mean.shape
    tall, wide = 1.25 * min(1, h / w), 1.25 * min(1, w / h)
    across = min(ACROSS, len(shown) + 1)
    down = -(-(len(shown) + 1) // across)
    width, height = max(0.15 + (wide + 0.12) * across, 5.2), 0.75 + (tall + 0.3) * down
    figure = new_figure(width, height, f"Mean image and components ({_of(len(shown), len(shares))})")
    _note(figure, "blue: negative, white: zero, red: positive; the sign is arbitrary")
    blue_to_red = LinearSegmentedColormap.from_list("blue to red", BLUE_TO_RED)
    for i, image in enumerate([mean, *shown]):
        row, column = divmod(i, across)
        x, y = 0.15 + (wide + 0.12) * column, height - 0.9 - tall - (tall + 0.3) * row
        tile = place(figure, x, y, wide, tall)
        largest = float(np.abs(image).max()) or 1.0
        if i == 0:
            tile.imshow(image, aspect="auto", cmap="gray", vmin=0, vmax=255)
        else:
            tile.imshow(image, aspect="auto", cmap=blue_to_red, vmin=-largest, vmax=largest)
        tile.set(xticks=[], yticks=[])
        tile.spines[:].set(visible=True, color=PALE)
        tile.set_title("mean" if i == 0 else f"{i}:  {100 * shares[i - 1]:.1f} %", size=8, pad=3)
    percentages = ", ".join(f"{100 * share:.2f}" for share in shares[: len(shown)])
    return Picture(figure, f"Mean image and the first components as images. Their shares in per cent: {percentages}.")


def _figure_with_legend(
    wide: float, high: float, title: str, class_names: Sequence[str], shapes: Sequence[Any]
) -> Figure:
    """Return a figure with the legend of the classes to the right of ``wide`` inches."""
    figure = new_figure(wide + 0.3 + width_of_legend(class_names), high, title)
    markers = ["o"] * len(shapes) if are_characters(class_names) else shapes
    legend(figure, class_names, markers, (wide + 0.15, high - 0.75))
    return figure


def _note(figure: Figure, words: str) -> None:
    """Draw a grey line below the title."""
    width, height = figure.get_size_inches()
    figure.text(0.15 / width, 1 - 0.38 / height, words, color=GREY, size=8.5, va="top")


def _slabs(scores: np.ndarray, elevation: float, azimuth: float) -> list[np.ndarray]:
    """Return rows in groups of equal size from the farthest to the nearest, seen from these angles in degrees."""
    up, around = np.radians(elevation), np.radians(azimuth)
    towards = np.array([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)])
    span = np.ptp(scores[:, :3], axis=0)
    return np.array_split(np.argsort(scores[:, :3] / np.where(span > 0, span, 1) @ towards), SLABS)


def _axis(i: int, shares: np.ndarray) -> str:
    return f"component {i} ({100 * shares[i - 1]:.1f} %)"


def _of(shown: int, of: int) -> str:
    return f"{shown} of {of:,}" if shown < of else f"all {of:,}"


def _caption(points: int, images: int, space: str, count: int, shares: np.ndarray) -> str:
    explained = f"{100 * float(np.sum(shares[:count])):.2f} % of the variance"
    return f"{points:,} of {images:,} images in the {space} of the first {count} components, which explain {explained}."
