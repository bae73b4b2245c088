"""Plots of a sweep: a metric against a parameter, with a line for each other setting, and a ranking of all settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mnistlab.reporting.plots.style import (
    BLUE,
    COLOURS,
    DASHES,
    GREY,
    VERMILION,
    Picture,
    empty,
    label,
    new_figure,
    place,
    plain,
    styled,
    width_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS = 40  # of a ranking
RUN: Any = {"ls": "", "marker": "o", "ms": 3, "mfc": "none", "mew": 0.7, "alpha": 0.6}
BARS = "dots: single runs; bars: 95 % confidence interval of the mean over the seeds"


class Series(NamedTuple):
    """Values of one quantity per x or row: mean, half-width of the 95 % confidence interval (NaN: one run), runs."""

    name: str
    means: Sequence[float]
    halves: Sequence[float]
    runs: Sequence[Sequence[float]]


class Line(NamedTuple):
    """One line of a plot against a parameter: the values of the parameter, the metric there, and a label for each."""

    x: Sequence[float]
    series: Series
    labels: Sequence[str] = ()


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
        axes.errorbar(
            at,
            measure.means,
            _bars(measure, unit),
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
        _log_x(axes, x)
    axes.set(xlabel=label(parameter, 40))
    axes.set_title(label(unit, 60))
    axes.grid(axis="y")
    axes.set_ylim(_within(unit, axes.get_ylim()))
    if _several(series):
        figure.text(0.99, 0.015, bars, ha="right", size=7.5, color=GREY)
    figure.legend(*axes.get_legend_handles_labels(), loc="upper right", ncols=2)
    return Picture(figure, " ".join(sentences))


@styled
def lines(
    parameter: str, drawn: Sequence[Line], unit: str, geometric: bool, grouping: str = "", bars: str = BARS
) -> Picture:
    """Draw one quantity against a parameter, with a line for each of several settings.

    ``grouping`` is what they differ in. Points with labels have them beside them.
    """
    shown = [line for line in drawn if len(line.x)][: len(COLOURS) * len(DASHES)]
    if not shown:
        return empty("No run was completed.")
    names = [label(line.series.name, 30) for line in shown]
    several = len(shown) > 1
    margin = width_of([*names, label(grouping, 30)], 8.5) + 0.75 if several else 0.25
    figure = new_figure(6.15 + margin, max(4.0, 0.21 * len(shown) + 1.0))
    axes = place(figure, 0.75, 0.6, 5.4, figure.get_figheight() - 1.05)
    sentences = [f"{plain(unit)} against {plain(parameter)}."]
    values = [value for line in shown for value in line.x]
    span = max(values) - min(values)
    for i, (line, name) in enumerate(zip(shown, names, strict=True)):
        colour, dash = COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS)]
        x = np.asarray(line.x, dtype=float)
        x = x * 1.015**i if geometric else x + i * span * 0.004  # side by side, so that they do not overlap
        for at, runs in zip(x, line.series.runs, strict=True):
            axes.plot([at] * len(runs), runs, color=colour, **RUN)
        axes.errorbar(
            x, line.series.means, _bars(line.series, unit), color=colour, ls=dash, marker="o", ms=4.5, capsize=3,
            label=name,
        )  # fmt: skip
        for at, mean, text in zip(line.x, line.series.means, line.labels, strict=False):
            axes.annotate(label(text, 20), (at, mean), (4, -9), textcoords="offset points", size=7.5, color=GREY)
        pairs = ", ".join(
            f"{value:g}: {_amount(mean, half)}"
            for value, mean, half in zip(line.x, line.series.means, line.series.halves, strict=True)
        )
        sentences.append(f"{plain(line.series.name)}: {pairs}." if several else f"{pairs}.")
    if geometric:
        _log_x(axes, sorted({*values}))
    axes.set(xlabel=label(parameter, 40))
    axes.set_title(label(unit, 60))
    axes.grid(axis="y")
    axes.set_ylim(_within(unit, axes.get_ylim()))
    if any(line.labels for line in shown):  # room for the label of the last point
        axes.margins(x=0.12)
    if _several([line.series for line in shown]):
        figure.text(6.15 / figure.get_figwidth(), 0.015, bars, ha="right", size=7.5, color=GREY)
    if several:
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="upper left",
            bbox_to_anchor=(6.2 / figure.get_figwidth(), 0.99),
            title=label(grouping, 30),
            alignment="left",
        )
    return Picture(figure, " ".join(sentences))


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
            xerr=_bars(measure, unit)[:, :ROWS],
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


def _bars(series: Series, unit: str) -> np.ndarray:
    """Return the lengths of error bars below and above the means; a share has none below 0 and above 100 %."""
    means, halves = np.asarray(series.means, dtype=float), np.nan_to_num(np.asarray(series.halves, dtype=float))
    if not unit.endswith("(%)"):
        return np.array([halves, halves])
    return np.array([np.clip(halves, 0, np.fmax(means, 0)), np.clip(halves, 0, np.fmax(100 - means, 0))])


def _log_x(axes: Axes, x: Sequence[float]) -> None:
    """Make the x axis logarithmic, with ticks at the values."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(_apart(x))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1e4 else f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


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
