"""Plots of a search: its history, and the importance of its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mnistlab.reporting.plots.style import (
    BLUE,
    GREY,
    VERMILION,
    Picture,
    empty,
    label,
    new_figure,
    place,
    plain,
    styled,
    whole_numbers,
    width_of,
)


@styled
def search_history(trials: Sequence[tuple[int, float, str]], metric: str, maximised: bool) -> Picture:
    """Draw the metric of each trial (number, value, completed or pruned) and the best completed trial so far."""
    finite = [(number, value, state) for number, value, state in trials if np.isfinite(value)]
    completed = [(number, value) for number, value, state in finite if state == "completed"]
    if not completed:
        return empty("No trial was completed.")
    figure = new_figure(6.6, 3.7)
    axes = place(figure, 0.75, 0.5, 5.6, 2.6)
    stopped = [(number, value) for number, value, state in finite if state != "completed"]
    if stopped:
        axes.plot(*zip(*stopped, strict=True), ls="", marker="x", ms=4, color=GREY, label="stopped early")
    numbers, values = (np.asarray(column) for column in zip(*completed, strict=True))
    axes.plot(numbers, values, ls="", marker="o", ms=4, color=BLUE, label="completed")
    best = np.maximum.accumulate(values) if maximised else np.minimum.accumulate(values)
    axes.step(
        np.append(numbers, finite[-1][0]), np.append(best, best[-1]), where="post", color=VERMILION, label="best so far"
    )
    axes.set(xlabel="trial")
    axes.set_title(label(metric.replace(".", " "), 40))
    axes.grid(axis="y")
    whole_numbers(axes.xaxis)
    figure.legend(*axes.get_legend_handles_labels(), loc="upper right", ncols=3)
    where = int(numbers[(values.argmax() if maximised else values.argmin())])
    return Picture(
        figure,
        f"{plain(metric)} of {len(completed)} completed trials and {len(stopped)} stopped early; the best is "
        f"{best[-1]:.4g}, of trial {where}.",
    )


@styled
def importance(shares: Mapping[str, float], metric: str) -> Picture:
    """Draw the fraction of the metric's variation that each setting explains (fANOVA, Hutter et al. 2014)."""
    if not shares:
        return empty("There are too few completed trials to estimate importance.")
    names = [label(name, 40) for name in shares]
    left = 0.3 + width_of(names, 9)
    height = 0.32 * len(names)
    figure = new_figure(left + 4.2, height + 1.2)
    axes = place(figure, left, 0.55, 3.6, height)
    values = list(shares.values())
    axes.barh(range(len(names)), values, height=0.6, color=BLUE)
    for i, value in enumerate(values):
        axes.text(value + 0.01, i, f"{value:.2f}", va="center", size=8)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set(xlabel="share of the variation explained (fANOVA)", xlim=(0, max(values) * 1.18))
    axes.tick_params(axis="y", length=0)
    axes.set_title(label(f"importance of settings for {metric.replace('.', ' ')}", 50))
    ranking = ", ".join(f"{plain(name)} {value:.2f}" for name, value in shares.items())
    return Picture(figure, f"Importance of settings for {plain(metric)}: {ranking}.")
