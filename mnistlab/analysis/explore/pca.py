"""``mnistlab explore pca``: the variance that principal components explain, and the components as images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.analysis.explore import common
from mnistlab.analysis.explore.common import Request
from mnistlab.analysis.explore.principal_components import Components
from mnistlab.config.report import Plots
from mnistlab.reporting import plots
from mnistlab.runs import figures, paths
from mnistlab.runs.compute import choose
from mnistlab.system import files
from mnistlab.system.console import LOG, RESULT
from mnistlab.system.readers import read_arrays, read_json, read_table

COUNTS = (2, 3, 10, 50, 100)  # numbers of components whose share of the variance is printed
SHARES = (0.8, 0.9, 0.95, 0.99)  # shares of the variance; the number of components that explain each is printed
MOST_AXES = 100  # axes in components.npz
MOST_SCORES = 3  # scores per point

WORDS = {"train": "training images", "test": "test images", "all": "images, training and test sets together"}


def explore(request: Request) -> Path:
    """Compute the components, write the numbers, draw the pictures, and return the directory."""
    common.refuse_place(request.to)
    experiment = request.experiment()
    dataset, part = common.read_data(experiment, request.split)
    rows = common.draw_points(request.points, part.labels, experiment.seed, common.POINTS)
    threads = choose(experiment, None, len(part)).threads
    common.announce(dataset, part.images, f"{len(part):,} {WORDS[request.split]}")
    components = common.components_of(dataset, part, threads)
    count = min(MOST_SCORES, len(components.variances))
    scores = components.project(part.images, count, dataset.scale)
    present = np.unique(part.labels)
    centres = np.stack([scores[part.labels == c].mean(axis=0) for c in present])
    summary = {
        "data_sha256": dataset.provenance.get("sha256"),
        "split": request.split,
        "images": len(part),
        "image_shape": list(part.images.shape[1:]),
        "class_names": list(dataset.class_names),
        "scale": dataset.scale,
        "explained": {str(n): float(components.cumulative[n - 1]) for n in COUNTS if n <= len(components.variances)},
        "components_needed": {str(share): components.needed(share) for share in SHARES},
    }

    folder = common.claim(request, f"pca_{dataset.name}")
    common.write_about(folder, request, experiment, dataset, threads, summary)
    table = zip(components.variances * dataset.scale**2, components.shares, components.cumulative, strict=True)
    lines = [[i, *map(float, row)] for i, row in enumerate(table, 1)]
    files.write(folder / paths.VARIANCE, files.csv(("component", "variance", "share", "cumulative"), lines))
    columns = ("row", "class", *(f"component_{i + 1}" for i in range(count)))
    names = dataset.class_names
    points = [[int(row), names[part.labels[row]], *map(float, scores[row])] for row in rows]
    files.write(folder / paths.POINTS, files.csv(columns, points))
    common.write_components(folder, components, MOST_AXES, dataset.scale, centres=centres, centre_classes=present)
    level, form = experiment.report.plots, experiment.report.format
    drawn = [] if level is Plots.none else figures.save_pictures(folder, _pictures(folder), form)
    LOG.log(RESULT, "%s", "\n".join([*_lines(components, summary), common.finish(folder, drawn)]))
    return folder


def _lines(components: Components, summary: Mapping[str, Any]) -> Iterator[str]:
    first = " + ".join(f"{100 * share:.6f}" for share in components.shares[:2])
    for count, share in summary["explained"].items():
        first_two = f"  ({first})" if count == "2" else ""
        yield f"{f'{count} components':20} {100 * share:.2f} % of the variance{first_two}"
    for share, count in summary["components_needed"].items():
        variance = f"{100 * float(share):.0f} % of the variance"
        yield f"{variance:20} {count:,} of {len(components.variances):,} components"


def _pictures(folder: Path) -> Iterator[figures.Drawing]:
    """Yield the name and drawing of each picture, from the files in the folder."""
    about = read_json(folder / paths.SUMMARY)
    variance = read_table(folder / paths.VARIANCE)
    points = read_table(folder / paths.POINTS, dtype={"class": str}, keep_default_na=False)
    saved = read_arrays(folder / paths.COMPONENTS)
    names, shares = about["class_names"], variance["share"].to_numpy()
    labels = np.array([names.index(name) for name in points["class"]], dtype=int)
    scores = points.iloc[:, 2:].to_numpy()
    needed = {float(share): count for share, count in about["components_needed"].items()}
    yield "scree", lambda: plots.scree(shares)
    yield "cumulative", lambda: plots.cumulative(variance["cumulative"].to_numpy(), needed)
    if scores.shape[1] >= 2:
        centres = dict(zip(map(int, saved["centre_classes"]), saved["centres"], strict=True))
        yield "scatter_2d", lambda: plots.scatter(scores, labels, centres, shares, names, about["images"])
    if scores.shape[1] >= 3:
        yield "scatter_3d", lambda: plots.scatter_3d(scores, labels, shares, names, about["images"])
    shape = about["image_shape"]
    mean, axes = saved["mean"].reshape(shape), saved["axes"].reshape(-1, *shape)
    yield "components", lambda: plots.eigenimages(mean, axes, shares)
