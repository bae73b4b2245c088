"""Curves over epochs, and the activation functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mnistlab.reporting.plots.style import (
    BLUE,
    COLOURS,
    DASHES,
    GREEN,
    GREY,
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
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MARKED = 30  # up to this number of epochs each has a dot, without which a single epoch would be invisible


@styled
def curves(history: pd.DataFrame | Mapping[str, np.ndarray], best_epoch: int | None = None) -> Picture:
    """Draw loss, accuracy and learning rate over the epochs, training against validation.

    ``history`` has the columns epoch, lr, train_loss, train_accuracy and, where there is a validation set, val_loss
    and val_accuracy. Values that are not finite are left out.
    """
    epoch = np.asarray(history["epoch"])
    if not len(epoch):
        return empty("No epoch was recorded.")
    figure = new_figure(10.5, 3.5)
    parts = (("train", "training", BLUE, "-"), ("val", "validation", VERMILION, "--"))
    sentences = [f"Training history of {len(epoch)} {'epoch' if len(epoch) == 1 else 'epochs'}."]
    for left, quantity, name, scale in (
        (0.65, "loss", "loss (mean per image)", 1),
        (4.35, "accuracy", "accuracy (%)", 100),
    ):
        axes = _over_epochs(place(figure, left, 0.5, 3.0, 2.35), epoch, name)
        drawn = []
        for key, part, colour, dash in parts:
            values = _finite(history, f"{key}_{quantity}") * scale
            if np.isnan(values).all():
                continue
            drawn.append(values)
            _line(axes, epoch, values, colour, dash, part)
            finite = values[~np.isnan(values)]
            unit = " %" if scale == 100 else ""
            sentences.append(f"{part.capitalize()} {quantity} from {finite[0]:.4g}{unit} to {finite[-1]:.4g}{unit}.")
        if quantity == "loss" and drawn and _spans(np.concatenate(drawn), 30):
            log_axis(axes)
        if best_epoch is not None:
            axes.axvline(best_epoch, color=GREY, lw=1, ls=":", label=f"best validation (epoch {best_epoch})")
        if quantity == "loss":
            lines = axes.get_legend_handles_labels()
    if best_epoch is not None:
        sentences.append(f"Validation is best in epoch {best_epoch}.")
    figure.legend(*lines, loc="upper left", bbox_to_anchor=(0.045, 1.01), ncols=3)
    rate = _finite(history, "lr")
    axes = _over_epochs(place(figure, 8.2, 0.5, 2.15, 2.35), epoch, "learning rate")
    if not np.isnan(rate).all():
        _line(axes, epoch, rate, GREEN, "-", "learning rate")
        if _spans(rate, 10):
            log_axis(axes)
        else:
            axes.set_ylim(0, np.nanmax(rate) * 1.1 or 1)
        sentences.append(f"Learning rate from {rate[0]:.4g} to {rate[-1]:.4g}.")
    return Picture(figure, " ".join(sentences))


@styled
def norms(table: pd.DataFrame) -> Picture:
    """Draw the norms of the weights and of the gradients of each layer over the epochs.

    ``table`` has the columns epoch, layer, weight_norm, grad_norm, one row per layer and epoch.
    """
    if not len(table):
        return empty("No norms were recorded.")
    figure = new_figure(10.4, 3.4)
    sentences = ["Euclidean norms per layer, first and last epoch."]
    for left, column, name in (
        (0.75, "weight_norm", "norm of the weights"),
        (4.75, "grad_norm", "norm of the gradient"),
    ):
        axes = _over_epochs(place(figure, left, 0.5, 3.2, 2.6), table["epoch"].to_numpy(), name)
        for i, (layer, rows) in enumerate(table.groupby("layer", sort=False)):
            values = _finite(rows, column)
            values[values <= 0] = np.nan  # not possible on a logarithmic axis
            colour, dash = COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]
            _line(axes, rows["epoch"].to_numpy(), values, colour, dash, label(layer, 24))
            first, last = rows[column].iloc[0], rows[column].iloc[-1]
            sentences.append(f"{plain(layer)}: {column.replace('_', ' ')} {first:.4g} to {last:.4g}.")
        if not all(np.isnan(line.get_ydata()).all() for line in axes.get_lines()):
            log_axis(axes)
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="upper left",
        bbox_to_anchor=(8.05 / 10.4, 0.98),
        title="layer",
        alignment="left",
    )
    return Picture(figure, " ".join(sentences))


@styled
def activations(names_and_values: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Picture:
    """Draw each activation function f and its derivative f' from name -> (x, f(x), f'(x))."""
    if not names_and_values:
        return empty("There are no activation functions to draw.")
    count = len(names_and_values)
    across = min(count, 3)
    down = -(-count // across)
    height = 2.05 * down + 0.4
    figure = new_figure(max(2.9 * across + 0.2, 3.1), height)
    descriptions = []
    for i, (name, (x, y, dy)) in enumerate(names_and_values.items()):
        row, column = divmod(i, across)
        axes = place(figure, 0.45 + 2.9 * column, height - 0.4 - 2.05 * (row + 1) + 0.35, 2.45, 1.45)
        axes.axhline(0, color=GREY, lw=0.6)
        axes.axvline(0, color=GREY, lw=0.6)
        axes.plot(x, y, color=BLUE, label="f(x)")
        axes.plot(x, dy, color=VERMILION, ls="--", label="f'(x)")
        axes.set_title(label(name, 30))
        descriptions.append(
            f"{plain(name)}: f from {np.min(y):.4g} to {np.max(y):.4g}, f' from {np.min(dy):.4g} to {np.max(dy):.4g}"
        )
    figure.legend(*axes.get_legend_handles_labels(), loc="upper left", ncols=2)
    return Picture(
        figure, f"Activation functions over x from {np.min(x):.4g} to {np.max(x):.4g}. " + "; ".join(descriptions) + "."
    )


def _over_epochs(axes: Axes, epoch: np.ndarray, quantity: str) -> Axes:
    axes.set_xlabel("epoch")
    axes.set_title(quantity)
    axes.grid(axis="y")
    whole_numbers(axes.xaxis)
    span = epoch.max() - epoch.min()
    margin = max(0.03 * span, 0.5 if span < 2 else 0)
    axes.set_xlim(epoch.min() - margin, epoch.max() + margin)
    return axes


def _line(axes: Axes, epoch: np.ndarray, values: np.ndarray, colour: str, dash: str, name: str) -> None:
    axes.plot(epoch, values, color=colour, ls=dash, marker="o" if len(epoch) <= MARKED else None, label=name)


def _finite(table: pd.DataFrame | Mapping[str, np.ndarray], column: str) -> np.ndarray:
    """Return a column as floats, NaN where it is missing or not finite."""
    if column not in table:
        return np.full(len(table["epoch"]), np.nan)
    values = np.array(table[column], dtype=float)
    values[~np.isfinite(values)] = np.nan
    return values


def _spans(values: np.ndarray, factor: float) -> bool:
    return bool(np.nanmin(values) > 0 and np.nanmax(values) > factor * np.nanmin(values))
