"""Out-of-sample probabilities of all images of a dataset: each from a model that was fitted on the other folds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mnistlab.config import schema
from mnistlab.data.dataset import Dataset, Pool, Split
from mnistlab.data.loading import scale_of
from mnistlab.runs.environment import all_cores
from mnistlab.sweeps.gridsearch import cross_validation
from mnistlab.system.console import LOG
from mnistlab.system.errors import RequestError


def probabilities(experiment: schema.Experiment, pool: Pool, images: Split, folds: int) -> np.ndarray:
    """Return the probabilities (n, classes) of the images by cross-validation of the experiment's model."""
    if experiment.data.limit is not None or experiment.data.test_limit is not None:
        raise RequestError("data.limit: an audit is of all images; leave data.limit and data.test_limit out")
    with schema.prefixed("data"):
        shift, scale = scale_of(experiment.data.scaling, images.images)
    nothing = images.take(slice(0, 0))
    dataset = Dataset(pool.name, images, nothing, nothing, pool.class_names, pool.provenance, shift, scale)
    held_out = cross_validation.cut(dataset, folds, experiment.data.stratify, experiment.seed, "--folds")
    found = np.empty((len(images), len(pool.class_names)), np.float64)
    for number, held in enumerate(held_out, 1):
        data = cross_validation.of_fold(replace(experiment), dataset, held)
        cross_validation.check(experiment, data)
        found[held] = cross_validation.learn(experiment, data, all_cores())(data.test.images)
        right = float((found[held].argmax(axis=1) == data.test.labels).mean())
        LOG.info("fold %d/%d  accuracy %.2f %%", number, folds, 100 * right)
    return found
