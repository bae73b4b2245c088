"""The significance of the difference of every pair of settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mnistlab.reporting.plots.style import BLUE, INK, PALE, Picture, label, new_figure, place, plain, styled, width_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

LEVELS = ((0.001, BLUE, "p \u2264 0.001"), (0.01, "#4E9FCF", "p \u2264 0.01"), (0.05, "#A9D3EC", "p \u2264 0.05"))
NUMBERED = 16  # settings; with more, the cells have no numbers


@styled
def p_values(names: Sequence[str], p: np.ndarray, of: str, pairs: int) -> Picture:
    """Draw the corrected p of every pair below the diagonal, the settings in the order of the table.

    ``of`` is the metric, ``pairs`` the number of pairs that p is corrected for. A pair without a test is empty.
    """
    count = len(names)
    numbers = [str(i + 1) for i in range(count)]
    labels = [f"{label(name or '(all runs)', 50)}  {number}" for name, number in zip(names, numbers, strict=True)]
    numbered = count <= NUMBERED
    cell = 0.5 if numbered else 0.24
    left, across, down = 0.2 + width_of(labels, 9), cell * (count - 1), cell * count
    title = f"p of the difference in {label(of, 40)}, Holm-corrected for {pairs:,} pairs"
    legend_width = 5.2
    figure = new_figure(max(left + across + 0.25, width_of([title], 10) + 0.4, legend_width), down + 1.05)
    axes = place(figure, left, 0.65, across, down)
    found = 0
    for i in range(1, count):
        for j in range(i):
            value = p[i, j]
            if np.isnan(value):
                continue
            colour = next((colour for most, colour, _ in LEVELS if value <= most), PALE)
            found += value <= LEVELS[-1][0]
            axes.add_patch(_square(j, i, colour))
            if numbered:
                dark = value <= LEVELS[0][0]
                text = "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
                axes.text(j, i, text, ha="center", va="center", size=7.5, color="white" if dark else INK)
    axes.set_xlim(-0.5, count - 1.5)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_yticks(range(count), labels)
    axes.set_xticks(range(count - 1), numbers[:-1])
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    figure.text(0.15 / figure.get_figwidth(), 1 - 0.12 / figure.get_figheight(), title, size=10, va="top")
    _legend(figure, has_gaps=bool(np.isnan(p[np.tril_indices(count, -1)]).any()))
    tested = int(np.isfinite(p[np.tril_indices(count, -1)]).sum())
    return Picture(
        figure,
        f"p of the difference in {plain(of)} of every pair of {count} settings, corrected for {pairs:,} pairs: "
        f"{found} of {tested} pairs that were tested differ at the level 0.05.",
    )


def _square(x: float, y: float, colour: str) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, color=colour, lw=0)


def _legend(figure: Figure, has_gaps: bool) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=text) for _, colour, text in (*LEVELS, (1, PALE, "not significant"))]
    if has_gaps:
        handles.append(Patch(facecolor="white", edgecolor=PALE, label="no test"))
    figure.legend(handles=handles, loc="lower left", ncols=5, columnspacing=1.0, handlelength=1.2)
