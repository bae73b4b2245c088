"""The confusion matrix as a table, for a PDF."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mnistlab.reporting.plots.style import (
    Picture,
    class_labels,
    empty,
    new_figure,
    place,
    plain,
    styled,
    width_of,
)


@styled
def confusion_table(matrix: np.ndarray | Sequence[Sequence[int]], class_names: Sequence[str], title: str) -> Picture:
    """Draw a confusion matrix (k, k) as a table of numbers: rows are the truth, columns the prediction."""
    from matplotlib.transforms import Bbox

    counts = np.asarray(matrix)
    if not counts.sum():
        return empty("Confusion matrix: there are no images.")
    names, size = class_labels(class_names, 14), 8.0
    left, cell = width_of(names, size) + 0.35, max(0.55, width_of(names, size) + 0.12)
    width, height = left + cell * len(names), 0.26 * (len(names) + 1)
    figure = new_figure(width + 0.2, height + 0.75, title)
    axes = place(figure, left, 0.25, cell * len(names), height)
    axes.set_axis_off()
    table = axes.table(
        cellText=[[f"{count:,}" for count in row] for row in counts],
        rowLabels=names,
        colLabels=names,
        cellLoc="right",
        rowLoc="right",
        bbox=Bbox.unit(),
    )
    table.auto_set_font_size(False)
    table.set_fontsize(size)
    for (row, column), table_cell in table.get_celld().items():
        table_cell.set(edgecolor="#D0D0D0", linewidth=0.5)
        if row == column + 1:
            table_cell.set_facecolor("#DCEBF7")
    figure.text(0.15 / (width + 0.2), 0.06 / (height + 0.75), "rows: truth; columns: prediction", size=7.5)
    errors = np.where(np.eye(len(names), dtype=bool), 0, counts)
    truth, taken = np.unravel_index(int(errors.argmax()), errors.shape)
    return Picture(
        figure,
        f"{plain(title)}: {int(np.trace(counts)):,} of {int(counts.sum()):,} images correct; most often "
        f"{plain(class_names[int(truth)])} is predicted as {plain(class_names[int(taken)])}, {errors.max():,} times.",
    )
