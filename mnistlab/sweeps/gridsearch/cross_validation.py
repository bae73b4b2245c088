"""The folds of a cross-validation, and the score of one cell on one of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mnistlab.config import schema
from mnistlab.data import splitting
from mnistlab.data.dataset import Dataset, rows_of_share
from mnistlab.data.loading import load, scale_of
from mnistlab.metrics.classification import SCORES
from mnistlab.models.sklearn import Fitted, SklearnModel
from mnistlab.runs import pipeline, training_run
from mnistlab.runs.compute import choose
from mnistlab.sweeps.gridsearch.cells import Cell
from mnistlab.system.errors import RequestError, RunError
from mnistlab.system.random import stream


@dataclass(frozen=True)
class Score:
    """The score of one cell on one fold; NaN with the reason if it failed."""

    cell: int
    fold: int
    value: float
    seconds: float
    error: str = ""


def read_pool(experiment: schema.Experiment) -> Dataset:
    """Return the data with the whole training pool as its training set, and without the test set."""
    with schema.prefixed("data"):
        return load(replace(experiment.data, validation=0), stream(experiment.seed, "split")).without_test()


def cut(dataset: Dataset, count: int, stratify: bool, seed: int, option: str = "--cv") -> list[np.ndarray]:
    """Return the rows of each fold: disjoint, of nearly equal size, with classes in proportion if ``stratify``.

    ``option`` is what sets the number of folds, for messages.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    labels = dataset.train.labels
    if count > len(labels):
        raise RequestError(f"{option} {count}: there are only {len(labels):,} images; use fewer folds")
    sizes = np.bincount(labels)
    if stratify and (rare := int(sizes[sizes > 0].min())) < count:
        name = dataset.class_names[int(np.flatnonzero(sizes == rare)[0])]
        raise RequestError(
            f"{option} {count}: class {name} has only {rare} images; use fewer folds, or data.stratify=false"
        )
    kind = StratifiedKFold if stratify else KFold
    shuffled = kind(count, shuffle=True, random_state=int(stream(seed, "folds").integers(2**31)))
    return [held for _, held in shuffled.split(labels, labels)]


def watches(experiment: schema.Experiment) -> bool:
    """Return whether a network needs a validation set for early stopping or for selecting an epoch."""
    trainer = experiment.trainer
    return not isinstance(experiment.model, SklearnModel) and (trainer.keep_best or trainer.patience is not None)


def of_fold(experiment: schema.Experiment, dataset: Dataset, held: np.ndarray) -> Dataset:
    """Return the data of one fold, with its ``held`` rows as the test set, which are used for nothing else.

    A network that needs a validation set gets its fraction of the remaining rows. Standardised pixels use the mean and
    deviation of the training rows.
    """
    rows = splitting.others(held, len(dataset.train))
    validation = dataset.train.take(slice(0, 0))
    if watches(experiment):
        labels = dataset.train.labels[rows]
        count = rows_of_share("data.validation", experiment.data.validation, len(labels), "the training part of a fold")
        apart = splitting.draw(labels, count, experiment.data.stratify, stream(experiment.seed, "split"))
        validation = dataset.train.take(rows[apart])
        rows = rows[splitting.others(apart, len(rows))]
    learnt = dataset.train.take(rows)
    shift, scale = scale_of(experiment.data.scaling, learnt.images)
    return replace(
        dataset, train=learnt, validation=validation, test=dataset.train.take(held), shift=shift, scale=scale
    )


def check(experiment: schema.Experiment, data: Dataset) -> None:
    """Refuse settings that do not fit the data of a fold."""
    if isinstance(experiment.model, SklearnModel):
        with schema.prefixed("model"):
            experiment.model.check(data.train.labels, int(np.prod(data.train.images.shape[1:])))
        return
    with schema.prefixed("augment"):
        experiment.augment.check(*data.train.images.shape[1:])
    with schema.prefixed("trainer"):
        experiment.trainer.check(len(data.train), len(data.validation))


def learn(experiment: schema.Experiment, data: Dataset, cores: int) -> Callable[[np.ndarray], np.ndarray]:
    """Fit the experiment's model on the training set and return its ``predict``; nothing is written."""
    network = None if isinstance(experiment.model, SklearnModel) else pipeline.build(experiment, data)
    compute = choose(experiment, network, len(data.train), cores, quiet=True)
    if network:
        compute.use(network, experiment.trainer.batch_of(len(data.train)))
    with compute.limits():
        if isinstance(experiment.model, SklearnModel):
            with schema.prefixed("model"):
                return Fitted(experiment.model, data, experiment.seed, compute.threads).predict
        assert network is not None
        training_run.learn(experiment, data, network)
        return network.predict


def score(cell: Cell, fold: int, pool: Dataset, held: np.ndarray, metric: str, cores: int) -> Score:
    """Fit one cell on one fold and score it; an error is recorded in the score, and the other cells continue."""
    import sklearn.metrics  # noqa: F401  # imported before the time is measured, in a new process

    started = time.perf_counter()
    value, error = math.nan, ""
    try:
        experiment = cell.experiment()
        data = of_fold(experiment, pool, held)
        check(experiment, data)
        value = SCORES[metric](data.test.labels, learn(experiment, data, cores)(data.test.images))
    except (RequestError, RunError) as problem:
        error = " ".join(str(problem).split())
    except Exception as problem:
        error = f"{type(problem).__name__}: {' '.join(str(problem).split())}"
    return Score(cell.number, fold, value, time.perf_counter() - started, error)
