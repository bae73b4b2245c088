"""A metric over two settings, one cell for each pair of values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mnistlab.reporting.plots.style import INK, Picture, empty, label, new_figure, place, plain, styled, width_of

CELLS, LARGEST = 16, 8.0  # with more rows or columns, a heat map has this many inches and no numbers
SPREAD = "colour and number: mean over the seeds; \u00b1: half-width of its 95 % confidence interval"


@styled
def heat_map(
    rows: tuple[str, Sequence[str]],
    columns: tuple[str, Sequence[str]],
    means: np.ndarray,
    unit: str,
    better_high: bool,
    spreads: np.ndarray | None = None,
    spread: str = SPREAD,
) -> Picture:
    """Draw the mean of a metric over two settings, with its value in every cell; a cell without runs is empty.

    All numbers have the same number of digits. ``spreads``, if any is a number, are printed below the means; ``spread``
    says what they are. The colours are those of the bar beside the map, which has the ``unit``.
    """
    (row_key, row_names), (column_key, column_names) = rows, columns
    row_labels, column_labels = [label(n, 20) for n in row_names], [label(n, 20) for n in column_names]
    if not np.isfinite(means).any():
        return empty("No run was completed.")
    spreads = np.full(means.shape, math.nan) if spreads is None else np.asarray(spreads, dtype=float)
    has_spread = bool(np.isfinite(spreads).any())
    low, high = np.nanmin(means), np.nanmax(means)
    digits = _digits(max(abs(low), abs(high)), unit)
    texts = {
        where: _cell(float(mean), float(spreads[where]), digits)
        for where, mean in np.ndenumerate(means)
        if np.isfinite(mean)
    }
    left = 0.75 + width_of(row_labels, 9)
    crowded = max(means.shape) > CELLS
    widest = width_of([line for text in texts.values() for line in text.split("\n")], 8)
    cell = max(0.62, width_of(column_labels, 9) + 0.12, widest + 0.14)
    tall = 0.52 if has_spread else 0.42
    width, height = (LARGEST, LARGEST) if crowded else (cell * len(column_names), tall * len(row_names))
    title, note = label(unit, 60), spread if has_spread and not crowded else ""
    under = 0.95 if note else 0.6
    right = 0.27 + width_of([f"{value:.{digits}f}" for value in (low, high)], 9) + 0.45
    across = max(left + width + right, left + width_of([title], 10) + 0.2, width_of([note], 7.5) + 0.3)
    figure = new_figure(across, height + under + 0.65)
    axes = place(figure, left, under, width, height)
    image = axes.imshow(np.ma.masked_invalid(means), cmap="cividis" if better_high else "cividis_r", aspect="auto")
    every, down = (-(-count * crowded // 12) or 1 for count in (len(column_names), len(row_names)))
    axes.set_xticks(range(0, len(column_names), every), column_labels[::every])
    axes.set_yticks(range(0, len(row_names), down), row_labels[::down])
    axes.set(xlabel=label(column_key, 40), ylabel=label(row_key, 40), title=title)
    axes.tick_params(length=0)
    for (i, j), text in texts.items() if not crowded else ():
        dark = (means[i, j] - low < 0.55 * (high - low)) == better_high
        axes.text(j, i, text, ha="center", va="center", size=8, color="white" if dark else INK)
    bar = figure.colorbar(image, cax=place(figure, left + width + 0.15, under, 0.12, height))
    bar.outline.set_visible(False)
    bar.set_label(_colours(unit, height), size=8)
    if note:
        figure.text(0.15 / across, 0.12 / figure.get_figheight(), note, size=7.5, color=INK)
    best = tuple(int(i) for i in np.unravel_index(np.nanargmax(means if better_high else -means), means.shape))
    return Picture(
        figure,
        f"{plain(unit)} over {plain(row_key)} and {plain(column_key)}, from {low:.{digits}f} to {high:.{digits}f}. "
        f"Best: {plain(row_key)}={plain(row_names[best[0]])}, {plain(column_key)}={plain(column_names[best[1]])} with "
        f"{texts[best].replace(chr(10), ' ')}.{f' {spread}.' if has_spread else ''}",
    )


def _digits(largest: float, unit: str) -> int:
    """Return the number of decimals for all cells: two of a percentage, otherwise four significant digits at most."""
    if unit.endswith("(%)"):
        return 2
    return min(6, max(0, 3 - math.floor(math.log10(largest)))) if largest > 0 else 2


def _cell(mean: float, spread: float, digits: int) -> str:
    return f"{mean:.{digits}f}" + (f"\n\u00b1 {spread:.{digits}f}" if np.isfinite(spread) else "")


def _colours(unit: str, height: float) -> str:
    """Return the quantity as long as it fits beside the bar, otherwise ``%`` or its last word."""
    quantity = unit.partition(",")[0]
    if width_of([label(quantity, 40)], 8) < height:
        return label(quantity, 40)
    return label(quantity.rpartition("(")[2].rstrip(")") if quantity.endswith(")") else quantity.rpartition(" ")[2], 12)
