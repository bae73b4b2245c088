"""The images behind the predictions of a run: its data, loaded again and recognised by its hash."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.board.predictions import Predictions
from mnistlab.data.dataset import Dataset
from mnistlab.data.loading import load
from mnistlab.runs import paths
from mnistlab.runs.saved_run import data_of
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream
from mnistlab.system.readers import read_json_or_empty

KEPT = 3  # datasets in memory


class Datasets:
    """The datasets of runs; the last ones are kept. The caller holds the board's lock."""

    def __init__(self) -> None:
        self._kept: dict[str, Dataset] = {}

    def of(self, run: Path) -> Dataset:
        """Return the dataset of a run; raises `RequestError` if it is not there any more, or has changed."""
        environment = read_json_or_empty(run / paths.ENVIRONMENT)
        own = data_of(run, environment)
        key = json.dumps([own.option, own.settings, own.seed], sort_keys=True, default=str)
        if key not in self._kept:
            dataset = load(own.source(), stream(own.seed, "split"))
            while len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = dataset
        dataset = self._kept[key]
        about = environment.get("data")
        expected = about.get("sha256") if isinstance(about, dict) else None
        if expected is not None and dataset.provenance.get("sha256") != expected:
            raise RequestError(f"data={dataset.name}: the data has changed since this run was trained")
        return dataset

    def test_images(self, run: Path, predictions: Predictions) -> np.ndarray:
        """Return the images (n, height, width) to which the predictions belong."""
        dataset = self.of(run)
        if predictions.data_sha256 not in (None, dataset.provenance.get("sha256")):
            raise RequestError(f"data={dataset.name}: not the data of which {paths.PREDICTIONS} has the hash")
        places = places_of(predictions.rows, dataset)
        if len(places) != len(predictions.labels) or not np.array_equal(
            dataset.test.labels[places], predictions.labels
        ):
            raise RequestError(f"data={dataset.name}: its test labels are not those of {paths.PREDICTIONS}")
        images: np.ndarray = dataset.test.images[places]
        return images


def places_of(rows: np.ndarray | None, dataset: Dataset) -> np.ndarray:
    """Return where rows of the data's test part are in the test set of a run, whose rows are sorted."""
    if rows is None or dataset.test_rows is None:
        return np.arange(len(dataset.test))
    places = np.searchsorted(dataset.test_rows, rows)
    inside = places < len(dataset.test_rows)
    if not inside.all() or not np.array_equal(dataset.test_rows[places], rows):
        raise RequestError(f"data={dataset.name}: some rows of {paths.PREDICTIONS} are not in its test set")
    return places


def packed(images: np.ndarray) -> dict[str, Any]:
    """Return images (n, height, width) uint8 as values for JSON."""
    return {
        "height": images.shape[1],
        "width": images.shape[2],
        "pixels": base64.b64encode(np.ascontiguousarray(images).tobytes()).decode("ascii"),
    }
