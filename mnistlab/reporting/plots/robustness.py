"""Accuracy against the level of corruption."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mnistlab.reporting.plots.style import BLUE, GREY, ORANGE, Picture, empty, new_figure, place, plain, styled

if TYPE_CHECKING:
    import pandas as pd

MEMBER = "accuracy_"  # the prefix of the columns of an ensemble's members
MOST_EXAMPLES = 8
MOST_IN_TEXT = 12


@styled
def robustness(table: pd.DataFrame, quantity: str, unit: str, examples: np.ndarray) -> Picture:
    """Draw accuracy against the level of ``quantity`` with a band of 95 % confidence intervals, and images at levels.

    ``table`` has the columns level (ascending), n, accuracy, low and high, and for an ensemble ``accuracy_<name>`` for
    each member, drawn as thin lines. ``examples`` are (levels, h, w) of uint8, the same image at every level; of more
    than 8 levels, 8 evenly spaced ones have an image.
    """
    if not len(table):
        return empty("No level was measured.")
    levels = table["level"].to_numpy(dtype=float)
    accuracy, low, high = (100 * table[column].to_numpy(dtype=float) for column in ("accuracy", "low", "high"))
    members = [column for column in table.columns if column.startswith(MEMBER)]
    alone = len(levels) == 1  # a line and a band would have no length
    figure = new_figure(6.6, 4.9, f"Accuracy against {quantity}")
    axes = place(figure, 0.7, 1.65, 5.7, 2.55)
    for i, column in enumerate(members):
        name = f"{len(members)} members" if i == 0 else None
        values = 100 * table[column].to_numpy(dtype=float)
        axes.plot(levels, values, color=ORANGE, lw=0.8, marker="_" if alone else None, label=name)
    if alone:
        axes.errorbar(levels, accuracy, [accuracy - low, high - accuracy], color=BLUE, capsize=4, label="95 % interval")
        axes.set_xticks(levels)
    else:
        axes.fill_between(levels, low, high, color=BLUE, alpha=0.2, lw=0, label="95 % interval")
    axes.plot(levels, accuracy, color=BLUE, marker="o", label=f"ensemble of {len(members)}" if members else "accuracy")
    axes.set(xlabel=f"{quantity} ({unit})", ylabel="accuracy (%)")
    axes.grid(axis="y")
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], names[::-1], loc="upper left", bbox_to_anchor=(0.085, 0.945), ncols=3)

    indices = np.unique(np.linspace(0, len(levels) - 1, min(len(levels), MOST_EXAMPLES)).round().astype(int))
    tile, step = 0.58, 5.7 / len(indices)
    for i, index in enumerate(indices):
        small = place(figure, 0.7 + step * (i + 0.5) - tile / 2, 0.32, tile, tile)
        small.imshow(examples[index], cmap="gray", vmin=0, vmax=255)
        small.set_axis_off()
        figure.text((0.7 + step * (i + 0.5)) / 6.6, 0.26 / 4.9, f"{levels[index]:g}", size=8, ha="center", va="top")
    which_levels = "each level" if len(indices) == len(levels) else "some of the levels"
    figure.text(0.7 / 6.6, 0.98 / 4.9, f"one image at {which_levels}:", size=8, color=GREY)

    sentences = [
        f"{accuracy[i]:.2f} % at {levels[i]:g} (95 % confidence interval {low[i]:.2f} to {high[i]:.2f})"
        for i in np.unique(np.linspace(0, len(levels) - 1, min(len(levels), MOST_IN_TEXT)).round().astype(int))
    ]
    text = f"Accuracy against {quantity} ({unit}), {int(table['n'].iloc[0]):,} images: " + "; ".join(sentences) + "."
    if members:
        last = ", ".join(
            f"{plain(column.removeprefix(MEMBER), 30)} {100 * table[column].iloc[-1]:.2f} %" for column in members[:6]
        )
        text += f" An ensemble of {len(members)}; at {levels[-1]:g} its members: {last}"
        text += "." if len(members) <= 6 else ", ..."
    return Picture(figure, text)
