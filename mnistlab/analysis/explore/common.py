"""Shared code of `mnistlab explore`: the data, the points in a plot, and the output directory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mnistlab.analysis.explore.principal_components import Components, principal_components
from mnistlab.config import compose, schema
from mnistlab.config.schema import Experiment
from mnistlab.data import splitting
from mnistlab.data.dataset import Dataset, Split
from mnistlab.data.loading import load, load_all
from mnistlab.runs import artifacts, paths
from mnistlab.runs.environment import environment
from mnistlab.system import directories, files
from mnistlab.system.console import LOG
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream

POINTS = 1000
EPOCHS = 100


@dataclass(frozen=True)
class Request:
    """The options of the command line."""

    action: str
    overrides: list[str]
    models: list[str]
    points: int | None
    split: str
    to: str | None
    verbosity: str
    command: list[str]

    def sets(self, key: str) -> bool:
        """Return whether this key is set on the command line."""
        return any(override.partition("=")[0].lstrip("+") == key for override in self.overrides)

    def experiment(self, *more: str) -> Experiment:
        """Return the experiment of the overrides.

        By default nothing is held out for validation, and a network is trained for 100 epochs, since few points mean
        few steps per epoch.
        """
        composed = schema.experiment(compose.compose([*more, *self.overrides]))
        if not self.sets("data.validation"):
            composed = replace(composed, data=replace(composed.data, validation=0))
        if not any(map(self.sets, ("trainer", "trainer.epochs", "experiment"))):
            composed = replace(composed, trainer=replace(composed.trainer, epochs=EPOCHS))
        return composed


def read_data(experiment: Experiment, split: str) -> tuple[Dataset, Split]:
    """Return the dataset and the set to explore: ``train``, ``test`` or ``all``."""
    with schema.prefixed("data"):
        if split == "all":
            return load_all(experiment.data, stream(experiment.seed, "split"))
        dataset = load(experiment.data, stream(experiment.seed, "split"))
    return dataset, dataset.train if split == "train" else dataset.test


def draw_points(count: int | None, labels: np.ndarray, seed: int, otherwise: int) -> np.ndarray:
    """Return the rows of the points, with classes in proportion: ``count``, or by default at most ``otherwise``."""
    if count is not None:
        classes = len(np.unique(labels))
        if count > len(labels):
            raise RequestError(f"--points {count}: there are only {len(labels):,} images; use fewer")
        if count < classes:
            raise RequestError(f"--points {count}: there are {classes} classes, and each needs a point; use more")
    return splitting.draw(labels, min(count or otherwise, len(labels)), True, stream(seed, "points"))


def components_of(dataset: Dataset, part: Split, threads: int) -> Components:
    """Return the principal components of a set; an error contains the data option."""
    try:
        with threadpool_limits(threads):
            return principal_components(part.images)
    except RequestError as error:
        raise RequestError(f"data={dataset.name}: {error}") from None


def refuse_place(to: str | None) -> None:
    """Refuse a path that is neither new nor an empty directory: nothing is ever overwritten."""
    if to is not None:
        cure = "name a directory that is new or empty"
        not_empty, in_the_way = f"already contains files; {cure}", f"a file is in the way; {cure}"
        directories.refuse(Path(to), f"--to {to}", not_empty=not_empty, in_the_way=in_the_way)


def claim(request: Request, name: str) -> Path:
    """Create the directory of the results, ``--to`` or one named after the time, and return it."""
    refuse_place(request.to)
    if request.to is not None:
        return directories.named(Path(request.to), f"--to {request.to}")
    return directories.by_time("outputs/explore", compose.slug(name, 60))


def write_about(
    folder: Path, request: Request, experiment: Experiment, dataset: Dataset, threads: int, summary: dict[str, Any]
) -> None:
    """Write summary.json, which is the same for the same seed, and environment.json."""
    summary = {"action": request.action, "data": dataset.name, "seed": experiment.seed, **summary}
    files.write_json(folder / paths.SUMMARY, summary)
    identity = hashlib.sha256(json.dumps(summary, sort_keys=True).encode()).hexdigest()[:16]
    data = {"name": dataset.name, **dataset.provenance}
    about = environment(experiment.seed, threads, "numpy", data, request.command, identity)
    files.write_json(folder / paths.ENVIRONMENT, about)


def write_components(folder: Path, components: Components, most: int, scale: float, **more: np.ndarray) -> None:
    """Write components.npz: the scores of an image x, in pixels, are scale * (x - mean) @ axes.T."""
    arrays = {"mean": components.mean, "axes": components.axes[:most].astype(np.float32), "scale": np.array(scale)}
    files.write(folder / paths.COMPONENTS, artifacts.npz(**arrays, **more))


def announce(dataset: Dataset, images: np.ndarray, description: str) -> None:
    """Log the data and what is explored."""
    height, width = images.shape[1:]
    classes = len(dataset.class_names)
    LOG.info("data    %s, %d x %d pixels, %d classes: %s", dataset.name, height, width, classes, description)
    LOG.debug("data from %s", dataset.provenance)


def finish(folder: Path, drawn: Sequence[Path]) -> str:
    """Log the plots, and return the line with the directory."""
    for path in drawn:
        LOG.debug("wrote %s", path)
    return f"explore directory    {files.shown(folder)}"
