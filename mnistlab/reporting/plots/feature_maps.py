"""The inside of a network as images: filters, feature maps and occlusion sensitivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistlab.reporting.plots.image_grids import BLUE_TO_RED, gap_of, tiled
from mnistlab.reporting.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    PALE,
    VERMILION,
    Picture,
    class_label,
    empty,
    new_figure,
    place,
    plain,
    styled,
    width_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MOST_FILTERS = 64  # filters of one channel, as tiles of a grid
MOST_ROWS, MOST_CHANNELS = 16, 16  # filters of several channels: one row per filter, its channels side by side
MOST_LAYERS, ACROSS, MOST_ROWS_OF_MAPS = 10, 16, 4  # 64 maps per layer, or fewer if there are more than six layers
ROWS_OF_A_PAGE = 24
EDGE = "#C4C4C4"
PAGE = 8.0  # inches of a row of maps


@styled
def filters(w: np.ndarray, layer: str) -> Picture:
    """Draw the filters (n, height, width, channels) of a layer: blue is negative, white is zero, red is positive.

    Filters of one channel are tiles of a grid, at most 64. Filters of several channels are rows of channels, at most 16
    by 16. All have the same scale.
    """
    n, h, wide, channels = w.shape
    single = channels == 1
    kept = np.asarray(w[:MOST_FILTERS] if single else w[:MOST_ROWS, ..., :MOST_CHANNELS], dtype=float)
    rows, columns = len(kept), kept.shape[-1]
    title = f"Filters of {layer}, {h} x {wide} pixels: {_some(rows, n, 'filter')}"
    if single:
        down = -(-rows // 8)
        across = -(-rows // down)
        tile, left, head = 0.8, 0.15, 0.5
    else:
        title += f" x {_some(columns, channels, 'channel')}"
        down, across = rows, columns
        tile, left, head = 0.42, 0.5, 0.85
    tall, broad = tile * down * h / max(h, wide), tile * across * wide / max(h, wide)
    width = max(left + broad + 0.95, 0.35 + width_of([title], 11) * 1.12)
    height = max(tall, 1.3) + head + 0.15
    figure = new_figure(width, height, title)
    axes = place(figure, left, height - head - tall, broad, tall)
    images = kept[..., 0] if single else kept.transpose(0, 3, 1, 2).reshape(-1, h, wide)
    largest = float(np.abs(kept).max()) or 1.0
    images = _enlarged(images)
    drawn = _grid(axes, images, across, -largest, largest)
    axes.spines[:].set_visible(False)
    axes.set(xticks=[], yticks=[])
    if not single:
        down_by, right_by = (side + gap_of(*images.shape[1:]) for side in images.shape[1:])
        axes.tick_params(length=0, labeltop=True, labelbottom=False, labelsize=7)
        axes.set_xticks([(i + 0.45) * right_by for i in range(columns)], [str(i + 1) for i in range(columns)])
        axes.set_yticks([(i + 0.45) * down_by for i in range(rows)], [str(i + 1) for i in range(rows)])
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("input channel", size=8, loc="left")
        axes.set_ylabel("filter", size=8, loc="top")
    long = min(max(tall, 1.2), 3.0)
    _bar(figure, drawn, (left + broad + 0.2, height - head - long, 0.13, long), "weight")
    return Picture(figure, f"{title}. Weights from {kept.min():.4g} to {kept.max():.4g}.")


@styled
def feature_maps(
    image: np.ndarray,
    truth: int,
    prediction: int,
    probability: float,
    layers: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    name: str,
) -> Picture:
    """Draw an image and its maps (channels, height, width) in each layer.

    Each layer has its own scale, with white at zero, red above and blue below. At most the first 64 maps (fewer if
    there are more than 6 layers) of the first 10 layers are drawn.
    """
    if not layers:
        return empty("The network has no layer with feature maps.")
    shown = list(layers.items())[:MOST_LAYERS]
    most = ACROSS * min(MOST_ROWS_OF_MAPS, ROWS_OF_A_PAGE // len(shown))
    blocks = [_Block(title, maps, most) for title, maps in shown]
    heading, caption = 0.36, 0.3
    side, top = 1.2, 0.5
    down = top + side + 0.3 + sum(block.height + heading for block in blocks)
    title = f"Feature maps of {name}"
    if len(shown) < len(layers):
        title += f": {len(shown)} of {len(layers)} layers"
    figure = new_figure(PAGE + 1.0, down, title)
    h, w = image.shape
    axes = place(figure, 0.15, down - top - side, side * min(1, w / h), side)
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()
    axes.set_anchor("NW")
    right = f"prediction: {class_label(class_names, prediction, 30)}  {probability:.3f}"
    for i, (text, colour) in enumerate(((f"truth: {class_label(class_names, truth, 30)}", BLUE), (right, VERMILION))):
        figure.text((0.3 + side) / (PAGE + 1), 1 - (top + 0.1 + caption * i) / down, text, color=colour, va="top")
    figure.text(
        (0.3 + side) / (PAGE + 1),
        1 - (top + side) / down,
        f"{h} x {w} pixels. Below: the output of each layer; red is positive, white zero, blue negative.",
        color=GREY,
        size=8,
    )
    y, descriptions = down - top - side - 0.15, []
    for block in blocks:
        figure.text(0.15 / (PAGE + 1), (y - 0.28) / down, block.title, size=9)
        y -= heading + block.height
        axes = place(figure, 0.15, y, block.width, block.height)
        drawn = _grid(axes, _enlarged(block.maps), block.across, block.low, block.high)
        axes.set_axis_off()
        long = min(block.height, 1.0)
        _bar(figure, drawn, (PAGE + 0.3, y + block.height - long, 0.1, long), "")
        descriptions.append(f"{block.title}, from {block.maps.min():.4g} to {block.maps.max():.4g}")
    first = f"{title}: truth {plain(class_names[truth])}, prediction {plain(class_names[prediction])}"
    return Picture(figure, f"{first} ({probability:.3f}). {'; '.join(descriptions)}.")


class _Block:
    """The maps of one layer as a grid: their number, size and scale."""

    def __init__(self, title: str, maps: np.ndarray, most: int) -> None:
        n, h, w = maps.shape
        self.maps = np.asarray(maps[:most], dtype=float)
        self.across = ACROSS // 2 if len(self.maps) <= ACROSS // 2 else ACROSS
        tile = PAGE / self.across * min(1, 1.1 * w / h)
        self.width, self.height = tile * self.across, tile * h / w * -(-len(self.maps) // self.across)
        if len(self.maps) < self.across:
            self.across = len(self.maps)
            self.width = tile * self.across
        dead = int((np.abs(self.maps).max(axis=(1, 2)) == 0).sum())
        self.title = f"{plain(title)}: {_some(len(self.maps), n, 'map')} of {h} x {w}"
        self.title += f", {dead} of them zero everywhere" if dead else ""
        self.low, self.high = min(float(self.maps.min()), 0.0), max(float(self.maps.max()), 0.0)
        if self.low < 0:
            self.high = max(self.high, -self.low)
            self.low = -self.high
        self.high = self.high or 1.0


@styled
def occlusion(
    images: np.ndarray,
    truths: Sequence[int] | np.ndarray,
    predictions: Sequence[int] | np.ndarray,
    probabilities: Sequence[float] | np.ndarray,
    drops: np.ndarray,
    patch: int,
    class_names: Sequence[str],
) -> Picture:
    """Draw images (n, h, w) and, over each, how much a patch at each place lowers p(predicted class).

    ``drops`` are (n, rows, columns): the probability of the prediction without the patch minus that with it. Red places
    support the prediction, blue places count against it. All images have the same scale.
    """
    n = len(images)
    if n == 0:
        return empty("No mistakes: every prediction is correct.")
    h, w = images.shape[1:]
    across = min(n, 2)
    down = -(-n // across)
    tile, head, line, gap = 1.5, 0.85, 0.3, 0.35
    tall, wide = tile * min(1, h / w), tile * min(1, w / h)
    pair = 2 * wide + 0.1
    width, height = max(0.15 + across * (pair + gap) + 0.7, 6.2), head + down * (tall + line + 0.1) + 0.1
    largest = max(float(np.abs(drops).max()), 1e-3)
    figure = new_figure(width, height, "Occlusion sensitivity of misclassified images")
    for x, words, colour in ((0.15, "truth", BLUE), (0.58, "prediction and its probability", VERMILION)):
        figure.text(x / width, 1 - 0.38 / height, words, color=colour, size=8.5, va="top")
    about = f"red: covering this part with a patch of {patch} x {patch} pixels (square) lowers that probability"
    figure.text(0.15 / width, 1 - 0.56 / height, about, color=GREY, size=8, va="top")
    drawn: Any = None
    for i in range(n):
        row, column = divmod(i, across)
        x, y = 0.15 + column * (pair + gap), height - head - row * (tall + line + 0.1) - line - tall
        left, right = place(figure, x, y, wide, tall), place(figure, x + wide + 0.1, y, wide, tall)
        drawn = _covered(left, right, images[i], drops[i], patch, largest)
        figure.text(
            x / width, (y + tall + 0.06) / height, class_label(class_names, int(truths[i]), 14), color=BLUE, size=8
        )
        title = f"{class_label(class_names, int(predictions[i]), 14)}  {probabilities[i]:.3f}"
        figure.text((x + wide + 0.1) / width, (y + tall + 0.06) / height, title, color=VERMILION, size=8)
    x, long = 0.15 + across * (pair + gap) - gap + 0.15, min(height - head - line - 0.2, 3.0)
    _bar(figure, drawn, (x, height - head - line - long, 0.13, long), "drop")
    worst = [f"{plain(class_names[int(q)])} by up to {d.max():.3f}" for q, d in zip(predictions, drops, strict=True)]
    return Picture(
        figure,
        f"Occlusion of {_some(n, n, 'mistake')} with a patch of {patch} x {patch} pixels: covering part of the image "
        f"lowers the probability of the prediction {', '.join(worst)}.",
    )


def _covered(left: Axes, right: Axes, image: np.ndarray, drops: np.ndarray, patch: int, largest: float) -> AxesImage:
    """Draw an image with the patch, and beside it the drops over the image; return the latter for the colour bar."""
    from matplotlib.patches import Rectangle

    h, w = image.shape
    left.imshow(image, cmap="gray", vmin=0, vmax=255, aspect="auto")
    left.add_patch(Rectangle((-0.5, -0.5), patch, patch, fill=False, ec=ORANGE, lw=1.2, clip_on=False, zorder=3))
    right.imshow(image, cmap="gray_r", vmin=0, vmax=600, aspect="auto")
    for axes in (left, right):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color=PALE)
    return right.imshow(
        drops,
        cmap=_blue_to_red(),
        vmin=-largest,
        vmax=largest,
        alpha=np.minimum(0.15 + np.abs(drops) / largest, 0.8),
        extent=(-0.5, w - 0.5, h - 0.5, -0.5),
        aspect="auto",
    )


def _some(shown: int, of: int, noun: str) -> str:
    whole = f"{of} {noun}" + ("s" if of != 1 else "")
    return whole if shown == of else f"{shown} of {whole}"


def _enlarged(tiles: np.ndarray) -> np.ndarray:
    """Return small tiles with every pixel repeated, so that the gaps between them, in whole pixels, are thin."""
    times = max(1, 28 // max(tiles.shape[1:]))
    return tiles.repeat(times, axis=1).repeat(times, axis=2)


def _grid(axes: Axes, tiles: np.ndarray, across: int, low: float, high: float) -> AxesImage:
    """Draw tiles (n, h, w), ``across`` per row, with grey lines between them and none after the end of the last row."""
    from matplotlib.patches import Rectangle

    drawn = axes.imshow(tiled(tiles, across), cmap=_blue_to_red(low), vmin=low, vmax=high, aspect="auto")
    if missing := -len(tiles) % across:
        down, right = (side + gap_of(*tiles.shape[1:]) for side in tiles.shape[1:])
        corner = (across - missing) * right - gap_of(*tiles.shape[1:]) - 0.5, len(tiles) // across * down - 0.5
        axes.add_patch(Rectangle(corner, (missing + 1) * right, down, color="white"))
    return drawn


def _blue_to_red(low: float = -1.0) -> Colormap:
    """Return the colour map blue - white - red, or white - red if nothing is negative; gaps between tiles are grey."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = BLUE_TO_RED if low < 0 else BLUE_TO_RED[len(BLUE_TO_RED) // 2 :]
    return LinearSegmentedColormap.from_list("from zero", colours).with_extremes(bad=EDGE)


def _bar(figure: Figure, drawn: Any, at: tuple[float, float, float, float], unit: str) -> None:
    """Draw the colour bar at this place in inches, with a few ticks."""
    from matplotlib.ticker import MaxNLocator

    bar = figure.colorbar(drawn, cax=place(figure, *at), ticks=MaxNLocator(4 if at[3] < 1.2 else 6))
    bar.ax.tick_params(labelsize=7)
    bar.ax.set_title(unit, size=7.5, loc="left")
