"""The loss against an increasing learning rate."""

from __future__ import annotations

import numpy as np

from mnistlab.reporting.plots.style import BLUE, GREY, VERMILION, Picture, empty, new_figure, place, styled


@styled
def range_test(rates: np.ndarray, losses: np.ndarray, smooth: np.ndarray, suggested: float | None) -> Picture:
    """Draw the loss of every mini-batch and the smoothed loss against the learning rate, and the suggested rate."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if not len(losses):
        return empty("No loss was measured.")
    figure = new_figure(6.6, 4.0, "Learning-rate range test")
    axes = place(figure, 0.75, 0.55, 5.6, 2.75)
    axes.plot(rates, losses, ".", color=GREY, alpha=0.45, markersize=4, label="mini-batch")
    axes.plot(rates, smooth, color=BLUE, label="smoothed")
    if suggested is not None:
        axes.axvline(suggested, color=VERMILION, ls="--", lw=1.4, label=f"suggested: {suggested:g}")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss (mean per image)")
    axes.grid(axis="y")
    high = float(smooth.max())
    # the exploding loss at the end is of no interest, and would flatten the curve
    axes.set_ylim(0, 1.5 * min(high, float(smooth[0])) or 1)
    figure.legend(*axes.get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(0.1, 0.925), ncols=3)
    suggestion = f" The suggested rate is {suggested:g}." if suggested is not None else " No rate is suggested."
    least = int(np.argmin(smooth))
    return Picture(
        figure,
        f"Loss against the learning rate, {len(losses)} mini-batches from {rates[0]:.3g} to {rates[-1]:.3g}: smoothed,"
        f" {smooth[0]:.4g} at first, with a minimum of {smooth[least]:.4g} at {rates[least]:.3g}.{suggestion}",
    )
