"""The files of an evaluation: tables of one set, members of an ensemble, accuracy on corrupted images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.config import report
from mnistlab.data.dataset import Split
from mnistlab.metrics import classification
from mnistlab.reporting import plots
from mnistlab.runs import artifacts, figures, large_matrices, paths
from mnistlab.system import files
from mnistlab.system.readers import read_arrays, read_table

TITLES = {"test": "test set", "validation": "validation set", "train": "training set", "all": "all images"}
SWEEPS = {"noise": "standard deviation; black is 0, white 1", "rotation": "degrees counterclockwise"}


def write_results(
    folder: Path, split: str, part: Split, probabilities: np.ndarray, names: Sequence[str], summary: Mapping[str, Any]
) -> dict[str, Any]:
    """Write metrics.json and the tables of a run for one set only; return its metrics."""
    scores = classification.evaluate(part.labels, probabilities, names)
    large_matrices.write_metrics(folder, {**summary, "class_names": list(names), split: scores})
    artifacts.write_predictions(folder, part, probabilities, names, scores)
    artifacts.write_images(folder, {split: part}, part, names)
    return scores


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the same columns as CSV; None is an empty cell."""
    cells = [["" if cell is None else cell for cell in row.values()] for row in rows]
    files.write(path, files.csv(list(rows[0]), cells))


def write_sweep(folder: Path, name: str, rows: Sequence[Mapping[str, Any]], examples: Sequence[np.ndarray]) -> None:
    """Write the rows of a sweep over levels, and one image at each level."""
    table, pictures = paths.ROBUSTNESS[name]
    write_rows(folder / table, rows)
    levels = np.array([row["level"] for row in rows])
    files.write(folder / pictures, artifacts.npz(levels=levels, images=np.stack(examples)))


def draw(folder: Path, level: report.Plots) -> list[Path]:
    """Draw the pictures of an evaluation from the files in its directory; return their paths."""
    return [] if level is report.Plots.none else figures.save_pictures(folder, _pictures(folder, level))


def _pictures(folder: Path, level: report.Plots) -> Iterator[figures.Drawing]:
    metrics = large_matrices.read_metrics(folder)
    names, split = metrics["class_names"], metrics["split"]
    scores, title = metrics[split], TITLES[split]
    yield from figures.pictures_of_predictions(folder, scores, names, title)
    for name in SWEEPS:
        if (folder / paths.ROBUSTNESS[name][0]).exists():
            yield name, partial(_sweep, folder, name)
    if level is report.Plots.core:
        return
    yield figures.normalised_confusion(scores, names, title)
    yield from figures.pictures_of_images(folder, names)


def _sweep(folder: Path, name: str) -> plots.Picture:
    table, pictures = paths.ROBUSTNESS[name]
    images = read_arrays(folder / pictures)["images"]
    return plots.robustness(read_table(folder / table), name, SWEEPS[name], images)
