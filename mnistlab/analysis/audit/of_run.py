"""The images that a run was not trained on, with its probabilities of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mnistlab.config import schema
from mnistlab.data.dataset import Dataset, Pool, Source
from mnistlab.data.loading import load
from mnistlab.runs import paths
from mnistlab.runs.saved_run import data_of, open_run
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream
from mnistlab.system.readers import read_arrays, read_json_or_empty


@dataclass(frozen=True)
class OutOfSample:
    """The source of a run, all its data, and the probabilities of the rows ``scored``, training part first."""

    run: str
    source: Source
    pool: Pool
    seed: int
    scored: np.ndarray
    probabilities: np.ndarray


def read(run: str) -> OutOfSample:
    """Return the validation and test images of a run with its probabilities; without a saved model, the test images."""
    directory = Path(run)
    if not directory.is_dir():
        raise RequestError(f"{run}: no such run directory; name a run, or overrides such as data=mnist5k")
    environment = read_json_or_empty(directory / paths.ENVIRONMENT)
    own = data_of(directory, environment)
    source = own.source()
    with schema.prefixed("data"):
        dataset = load(source, stream(own.seed, "split"))
        pool = replace(source, limit=None, test_limit=None).read()
    about = environment.get("data")
    if isinstance(about, dict) and about.get("sha256") not in (None, dataset.provenance.get("sha256")):
        raise RequestError(f"{run}: the data has changed since this run was trained; audit the data by itself")
    validation, test = dataset.validation_rows, dataset.test_rows
    assert validation is not None
    assert test is not None
    if pool.validation is not None:  # a part of its own, after the training part
        validation, test = validation + len(pool.train), test + len(pool.validation)
    scored, probabilities = _probabilities(run, directory, dataset, validation, test + len(pool.train))
    return OutOfSample(run, source, pool, own.seed, scored, probabilities)


def _probabilities(
    run: str, directory: Path, dataset: Dataset, validation: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if (directory / paths.MODEL).exists():
        saved = open_run(run)
        images = np.concatenate([dataset.validation.images, dataset.test.images])
        with saved.compute.limits():
            return np.concatenate([validation, test]), saved.network.predict(images)
    if not (directory / paths.PREDICTIONS).exists():
        raise RequestError(f"{run}: neither a model nor predictions; name a completed run")
    probabilities = read_arrays(directory / paths.PREDICTIONS)["probabilities"]
    if len(probabilities) != len(test):
        raise RequestError(f"{run}: {paths.PREDICTIONS} is not of this data; train the run again")
    return test, probabilities
