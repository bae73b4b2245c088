"""Plots of a sweep: a metric against a parameter, a heat map over two, a ranking of all, training side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mnistlab.reporting.plots.style import (
    BLUE,
    COLOURS,
    DASHES,
    GREY,
    INK,
    VERMILION,
    Picture,
    empty,
    label,
    log_axis,
    new_figure,
    place,
    plain,
    styled,
    whole_numbers,
    width_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = len(COLOURS) * len(DASHES)  # number of lines that can be distinguished
ROWS = 40  # of a ranking
CELLS, LARGEST = 16, 8.0  # with more rows or columns, a heat map has this many inches and no numbers
RUN: Any = {"ls": "", "marker": "o", "ms": 3, "mfc": "none", "mew": 0.7, "alpha": 0.6}
BARS = "dots: single runs; bars: 95 % confidence interval of the mean over the seeds"


class Series(NamedTuple):
    """Values of one quantity per x or row: mean, half-width of the 95 % confidence interval (NaN: one run), runs."""

    name: str
    means: Sequence[float]
    halves: Sequence[float]
    runs: Sequence[Sequence[float]]


class TrainingCurve(NamedTuple):
    """The training of one setting: means over its seeds, one value per epoch."""

    name: str
    loss: np.ndarray
    accuracy: np.ndarray


@styled
def against(
    parameter: str, x: Sequence[float], series: Sequence[Series], unit: str, geometric: bool, bars: str = BARS
) -> Picture:
    """Draw quantities against a parameter: runs as dots, means as a line, with error bars described by ``bars``."""
    figure = new_figure(6.4, 4.0)
    axes = place(figure, 0.75, 0.6, 5.4, 2.95)
    sentences = [f"{plain(unit)} against {plain(parameter)}."]
    shift = np.ptp(np.asarray(x, dtype=float)) * 0.004 * (not geometric)
    for i, (measure, colour, marker) in enumerate(zip(series, (BLUE, VERMILION), ("o", "s"), strict=False)):
        at = (
            np.asarray(x, dtype=float) * (1.02**i if geometric else 1) + i * shift
        )  # side by side, so that they do not overlap
        for place_x, runs in zip(at, measure.runs, strict=True):
            axes.plot([place_x] * len(runs), runs, color=colour, **RUN)
        halves = np.nan_to_num(np.asarray(measure.halves, dtype=float))
        axes.errorbar(
            at,
            measure.means,
            halves,
            color=colour,
            marker=marker,
            ms=4.5,
            capsize=3,
            ls=DASHES[i],
            label=label(measure.name, 40),
        )
        pairs = ", ".join(
            f"{value:g}: {_amount(m, h)}" for value, m, h in zip(x, measure.means, measure.halves, strict=True)
        )
        sentences.append(f"{plain(measure.name)} by {plain(parameter)}: {pairs}.")
    if geometric:
        from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(list(_apart(x))))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel=label(parameter, 40))
    axes.set_title(label(unit, 60))
    axes.grid(axis="y")
    axes.set_ylim(_within(unit, axes.get_ylim()))
    if _several(series):
        figure.text(0.99, 0.015, bars, ha="right", size=7.5, color=GREY)
    figure.legend(*axes.get_legend_handles_labels(), loc="upper right", ncols=2)
    return Picture(figure, " ".join(sentences))


@styled
def heat_map(
    rows: tuple[str, Sequence[str]],
    columns: tuple[str, Sequence[str]],
    means: np.ndarray,
    unit: str,
    better_high: bool,
    spreads: np.ndarray | None = None,
) -> Picture:
    """Draw the mean of a metric over two settings, with its value in every cell; a cell without runs is empty.

    ``spreads``, if any, are printed below the means as +/-.
    """
    (row_key, row_names), (column_key, column_names) = rows, columns
    row_labels, column_labels = [label(n, 20) for n in row_names], [label(n, 20) for n in column_names]
    if not np.isfinite(means).any():
        return empty("No run was completed.")
    left = 0.75 + width_of(row_labels, 9)
    crowded = max(means.shape) > CELLS
    cell = max(0.62, width_of(column_labels, 9) + 0.12)
    tall = 0.42 if spreads is None else 0.52
    width, height = (LARGEST, LARGEST) if crowded else (cell * len(column_names), tall * len(row_names))
    figure = new_figure(left + width + 1.1, height + 1.25)
    axes = place(figure, left, 0.6, width, height)
    image = axes.imshow(np.ma.masked_invalid(means), cmap="cividis" if better_high else "cividis_r", aspect="auto")
    across, down = (-(-count * crowded // 12) or 1 for count in (len(column_names), len(row_names)))
    axes.set_xticks(range(0, len(column_names), across), column_labels[::across])
    axes.set_yticks(range(0, len(row_names), down), row_labels[::down])
    axes.set(xlabel=label(column_key, 40), ylabel=label(row_key, 40))
    axes.set_title(label(unit, 60))
    axes.tick_params(length=0)
    low, high = np.nanmin(means), np.nanmax(means)
    for (i, j), value in np.ndenumerate(means):
        if np.isfinite(value) and not crowded:
            dark = (value - low < 0.55 * (high - low)) == better_high
            cell_text = f"{value:.4g}" if spreads is None else f"{value:.3f}\n\u00b1 {spreads[i, j]:.3f}"
            axes.text(j, i, cell_text, ha="center", va="center", size=8, color="white" if dark else INK)
    bar = figure.colorbar(image, cax=place(figure, left + width + 0.15, 0.6, 0.12, height))
    bar.outline.set_visible(False)
    best = tuple(int(i) for i in np.unravel_index(np.nanargmax(means if better_high else -means), means.shape))
    return Picture(
        figure,
        f"{plain(unit)} over {plain(row_key)} and {plain(column_key)}, from {low:.4g} to {high:.4g}. Best: "
        f"{plain(row_key)}={plain(row_names[best[0]])}, {plain(column_key)}={plain(column_names[best[1]])} "
        f"with {means[best]:.4g}.",
    )


@styled
def ranking(names: Sequence[str], series: Sequence[Series], unit: str, bars: str = BARS) -> Picture:
    """Draw one row per setting, the best first: runs as dots, the mean with error bars described by ``bars``."""
    if not names:
        return empty("No run was completed.")
    shown = names[:ROWS]
    labels = [label(name or "(all runs)", 60) for name in shown]
    left = 0.3 + width_of(labels, 9)
    height = 0.27 * len(shown) + 0.1
    figure = new_figure(left + 4.6, height + 1.15)
    axes = place(figure, left, 0.72, 4.35, height)
    by = f" by {plain(series[0].name)}" if len(series) > 1 else ""
    sentences = [f"{plain(unit)}, the best{by} first."]
    for i, (measure, colour, marker) in enumerate(zip(series, (BLUE, VERMILION), ("o", "s"), strict=False)):
        y = np.arange(len(shown)) + (0.16 * i if len(series) > 1 else 0)
        for at, runs in zip(y, measure.runs, strict=False):
            axes.plot(runs, [at] * len(runs), color=colour, **RUN)
        axes.errorbar(
            measure.means[:ROWS],
            y,
            xerr=np.nan_to_num(np.asarray(measure.halves[:ROWS], dtype=float)),
            ls="",
            marker=marker,
            ms=4.5,
            capsize=2.5,
            color=colour,
            label=label(measure.name, 40),
        )
    for i, name in enumerate(names[:5]):
        amounts = [
            (f"{plain(measure.name)} " if len(series) > 1 else "") + _amount(measure.means[i], measure.halves[i])
            for measure in series
        ]
        sentences.append(f"{plain(name or '(all runs)')}: {', '.join(amounts)}.")
    axes.set_yticks(range(len(shown)), labels)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="both")
    more = "" if len(shown) == len(names) else f", the best {len(shown)} of {len(names)}"
    axes.set_xlabel(label(unit + more, 70))
    axes.set_xlim(_within(unit, axes.get_xlim()))
    if _several(series):
        right, low = 1 - 0.25 / figure.get_figwidth(), 0.1 / figure.get_figheight()
        figure.text(right, low, bars, ha="right", size=7.5, color=GREY)
    figure.legend(*axes.get_legend_handles_labels(), loc="upper right", ncols=2)
    return Picture(figure, " ".join(sentences))


@styled
def side_by_side(trainings: Sequence[TrainingCurve], grouping: str, part: str) -> Picture:
    """Draw training loss and accuracy against the epoch, one line per setting (means over the seeds)."""
    shown = [curve for curve in trainings if len(curve.loss)][:LINES]
    if not shown:
        return empty("No run was completed.")
    labels = [label(curve.name or "(all runs)", 36) for curve in shown]
    figure = new_figure(7.75 + max(1.2, width_of([*labels, grouping], 8.5) + 0.6), max(3.5, 0.21 * len(shown) + 0.9))
    longest = max(len(curve.loss) for curve in shown)
    sentences = [f"Training by {plain(grouping)}, last epoch."]
    panels: list[Axes] = []
    for left, quantity in ((0.65, "training loss (mean per image)"), (4.45, f"{part} accuracy (%)")):
        axes = place(figure, left, 0.5, 3.1, figure.get_figheight() - 0.9)
        for i, (curve, name) in enumerate(zip(shown, labels, strict=True)):
            values = curve.loss if not panels else 100 * curve.accuracy
            epoch = np.arange(1, len(values) + 1)
            dash = DASHES[i // len(COLOURS) % len(DASHES)]
            axes.plot(
                epoch, values, color=COLOURS[i % len(COLOURS)], ls=dash, label=name, marker="." if longest < 3 else None
            )
        axes.set_xlabel("epoch")
        axes.set_title(quantity)
        axes.grid(axis="y")
        whole_numbers(axes.xaxis)
        panels.append(axes)
    losses = np.concatenate([curve.loss for curve in shown])
    positive = losses[np.isfinite(losses)]
    if len(positive) and positive.min() > 0 and positive.max() > 30 * positive.min():
        log_axis(panels[0])
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="upper left",
        bbox_to_anchor=(7.65 / figure.get_figwidth(), 0.99),
        title=label(grouping, 40),
        alignment="left",
    )
    sentences += [
        f"{plain(curve.name or '(all runs)')}: loss {curve.loss[-1]:.4g}, accuracy {100 * curve.accuracy[-1]:.4g} %."
        for curve in shown[:8]
    ]
    more = len(trainings) - len(shown)
    if more > 0:
        figure.text(7.75 / figure.get_figwidth(), 0.02, f"{more} more not drawn", color=GREY, size=8)
    return Picture(figure, " ".join(sentences))


def _several(series: Sequence[Series]) -> bool:
    """Return whether any setting has more than one run; otherwise there are no error bars to explain."""
    return any(len(runs) > 1 for measure in series for runs in measure.runs)


def _within(unit: str, limits: tuple[float, float]) -> tuple[float, float]:
    """Return the limits of an axis without the range below 0 % or above 100 %, which an interval may reach."""
    low, high = limits
    return (max(low, -1.0), min(high, 101.0)) if unit.endswith("(%)") else limits


def _apart(x: Sequence[float]) -> list[float]:
    """Return the values to label on a logarithmic axis, without those too close to their neighbours."""
    kept: list[float] = []
    span = np.log(max(x) / min(x)) or 1.0
    apart = (width_of([f"{value:g}" for value in x], 9) + 0.06) / 5.4
    for value in sorted(x):
        if not kept or np.log(value / kept[-1]) > apart * span:
            kept.append(value)
    return kept


def _amount(mean: float, half: float) -> str:
    return f"{mean:.4g}" + ("" if np.isnan(half) else f" +/- {half:.2g}")
