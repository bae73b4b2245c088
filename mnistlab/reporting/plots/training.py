"""The training of several settings: loss and accuracy over the epochs, and accuracy over the seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mnistlab.reporting.plots.style import (
    COLOURS,
    DASHES,
    GREY,
    INK,
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
    from matplotlib.figure import Figure

LINES = len(COLOURS) * len(DASHES)  # number of lines that can be distinguished
BANDS = "bands: from the lowest to the highest seed"
STOPPED = "\u00d7: a run has stopped early; the line ends there"


class TrainingCurve(NamedTuple):
    """The training of one setting: means over its seeds, one value per epoch, until the first of its runs ends.

    The ranges are arrays of the lowest and of the highest seed; ``seconds`` is the time since the start. ``look`` is
    the place of its value among the values of the first and of the second of two settings.
    """

    name: str
    loss: np.ndarray
    accuracy: np.ndarray
    loss_range: tuple[np.ndarray, np.ndarray] | None = None
    accuracy_range: tuple[np.ndarray, np.ndarray] | None = None
    seconds: np.ndarray | None = None
    stopped: bool = False
    look: tuple[int, int] | None = None


class Factors(NamedTuple):
    """Two settings and their values: the first has a colour for each value, the second a dash."""

    first: str
    first_values: Sequence[str]
    second: str
    second_values: Sequence[str]


@styled
def side_by_side(
    trainings: Sequence[TrainingCurve], grouping: str, part: str, factors: Factors | None = None
) -> Picture:
    """Draw training loss and accuracy against the epoch, one line per setting (means over the seeds).

    With ``factors``, the value of one setting has a colour and that of the other a dash.
    """
    shown = [curve for curve in trainings if len(curve.loss)][:LINES]
    if not shown:
        return empty("No run was completed.")
    figure, start = _figure(shown, grouping, factors, panels=2)
    panels = [
        place(figure, left, 0.75, 3.1, figure.get_figheight() - 1.15)
        for left in (0.65, 4.45)
    ]  # fmt: skip
    for axes, quantity in zip(panels, ("training loss (mean per image)", f"{part} accuracy (%)"), strict=True):
        for curve, style in _styles(shown, factors):
            values, band = (
                (curve.loss, curve.loss_range)
                if axes is panels[0]
                else (100 * curve.accuracy, _in_per_cent(curve.accuracy_range))
            )
            _draw(axes, np.arange(1, len(values) + 1), values, band, style, curve.stopped)
        axes.set_xlabel("epoch")
        axes.set_title(quantity)
        axes.grid(axis="y")
        whole_numbers(axes.xaxis)
    losses = np.concatenate([curve.loss for curve in shown])
    positive = losses[np.isfinite(losses)]
    if len(positive) and positive.min() > 0 and positive.max() > 30 * positive.min():
        log_axis(panels[0])
    _legend(figure, start, shown, grouping, factors, len(trainings) - len(shown))
    sentences = [f"Training by {plain(grouping)}, last epoch."]
    sentences += [
        f"{plain(curve.name or '(all runs)')}: loss {curve.loss[-1]:.4g}, accuracy {100 * curve.accuracy[-1]:.4g} %"
        f"{_end(curve)}."
        for curve in shown[:8]
    ]
    return Picture(figure, " ".join(sentences))


@styled
def over_time(trainings: Sequence[TrainingCurve], grouping: str, part: str, factors: Factors | None = None) -> Picture:
    """Draw accuracy against the seconds of training, one line per setting (means over the seeds, epoch by epoch)."""
    shown = [curve for curve in trainings if len(curve.loss) and curve.seconds is not None][:LINES]
    if not shown:
        return empty("No time was recorded.")
    figure, start = _figure(shown, grouping, factors, panels=1)
    axes = place(figure, 0.65, 0.75, 5.4, figure.get_figheight() - 1.15)
    for curve, style in _styles(shown, factors):
        assert curve.seconds is not None
        _draw(axes, curve.seconds, 100 * curve.accuracy, _in_per_cent(curve.accuracy_range), style, curve.stopped)
    ends = np.array([curve.seconds[-1] for curve in shown if curve.seconds is not None])
    first = min(float(curve.seconds[0]) for curve in shown if curve.seconds is not None)
    if first > 0 and ends.max() > 20 * ends.min():  # on a linear axis the fastest would be a vertical line
        from matplotlib.ticker import FuncFormatter, NullFormatter

        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(left=0)
    axes.set_xlabel("seconds of training (mean over the seeds)")
    axes.set_title(f"{part} accuracy (%)")
    axes.grid(axis="y")
    _legend(figure, start, shown, grouping, factors, len(trainings) - len(shown))
    sentences = [f"{part.capitalize()} accuracy over time by {plain(grouping)}, last epoch."]
    sentences += [
        f"{plain(curve.name or '(all runs)')}: {100 * curve.accuracy[-1]:.4g} % after {curve.seconds[-1]:.3g} s"
        f"{_end(curve)}."
        for curve in shown[:8]
        if curve.seconds is not None
    ]
    return Picture(figure, " ".join(sentences))


def _figure(
    shown: Sequence[TrainingCurve], grouping: str, factors: Factors | None, panels: int
) -> tuple[Figure, float]:
    """Return a figure with room for the legend, and where the legend begins."""
    if factors:
        names, rows = [*factors.first_values, *factors.second_values, factors.first, factors.second], 2
        rows += len(factors.first_values) + len(factors.second_values) + 1
    else:
        names, rows = [*(curve.name or "(all runs)" for curve in shown), grouping], len(shown) + 1
    start = 7.65 if panels == 2 else 6.15
    width = max(1.2, width_of([label(name, 36) for name in names], 8.5) + 0.6)
    return new_figure(start + 0.1 + width, max(3.75, 0.21 * rows + 0.95)), start


def _styles(shown: Sequence[TrainingCurve], factors: Factors | None) -> Iterator[tuple[TrainingCurve, dict[str, Any]]]:
    for i, curve in enumerate(shown):
        colour, dash = i % len(COLOURS), i // len(COLOURS) % len(DASHES)
        if factors and curve.look:
            colour, dash = curve.look
        name = label(curve.name or "(all runs)", 36)
        yield curve, {"color": COLOURS[colour], "ls": DASHES[dash], "label": name}


def _draw(
    axes: Axes,
    x: np.ndarray,
    values: np.ndarray,
    band: tuple[np.ndarray, np.ndarray] | None,
    style: dict[str, Any],
    stopped: bool,
) -> None:
    axes.plot(x, values, marker="." if len(values) < 3 else None, **style)
    if band is not None:
        axes.fill_between(x, *band, color=style["color"], alpha=0.15, lw=0)
    if stopped:
        axes.plot(x[-1:], values[-1:], ls="", marker="x", ms=6.5, mew=1.6, color=style["color"])


def _legend(
    figure: Figure, start: float, shown: Sequence[TrainingCurve], grouping: str, factors: Factors | None, more: int
) -> None:
    """Draw what the colours, dashes, bands and crosses mean."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    at: Any = {"loc": "upper left", "alignment": "left", "borderaxespad": 0.0}
    colours, dashes = [{"color": colour} for colour in COLOURS], [{"color": INK, "ls": dash} for dash in DASHES]
    looks: tuple[Any, Any] = (colours, dashes)
    if factors:
        top = 1 - 0.08 / height
        for title, names, of_values in (
            (factors.first, factors.first_values, looks[0]),
            (factors.second, factors.second_values, looks[1]),
        ):
            handles = [
                Line2D([], [], label=label(name, 36), **style) for name, style in zip(names, of_values, strict=False)
            ]
            figure.legend(handles=handles, bbox_to_anchor=(start / width, top), title=label(title, 40), **at)
            top -= (0.21 * (len(names) + 1) + 0.15) / height
    else:
        handles = [Line2D([], [], **{**style, "marker": None}) for _, style in _styles(shown, None)]
        figure.legend(
            handles=handles, bbox_to_anchor=(start / width, 1 - 0.08 / height), title=label(grouping, 40), **at
        )
    notes = [BANDS] if any(curve.accuracy_range or curve.loss_range for curve in shown) else []
    notes += [STOPPED] if any(curve.stopped for curve in shown) else []
    figure.text(0.15 / width, 0.08 / height, "; ".join(notes), size=7.5, color=GREY)
    if more > 0:
        figure.text((start + 0.1) / width, 0.08 / height, f"{more} more not drawn", color=GREY, size=8)


def _end(curve: TrainingCurve) -> str:
    return f" (until a run stopped early in epoch {len(curve.loss)})" if curve.stopped else ""


def _in_per_cent(band: tuple[np.ndarray, np.ndarray] | None) -> tuple[np.ndarray, np.ndarray] | None:
    return (100 * band[0], 100 * band[1]) if band else None
