"""The log lines before training: data, model and training settings."""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum
from typing import Any

from mnistlab.config import schema
from mnistlab.data.augmentation import NoAugment
from mnistlab.data.dataset import Dataset
from mnistlab.models.sklearn import SklearnModel
from mnistlab.nn.network import Network
from mnistlab.runs.compute import Compute, speedup
from mnistlab.system.console import LOG
from mnistlab.system.flatten import as_text


def announce(experiment: schema.Experiment, dataset: Dataset, network: Network | None, compute: Compute) -> None:
    """Log the data, the model and the training settings of an experiment."""
    height, width = dataset.train.images.shape[1:]
    sizes = " + ".join(
        f"{len(part):,} {name}"
        for name, part in (("training", dataset.train), ("validation", dataset.validation), ("test", dataset.test))
        if len(part)
    )
    LOG.info("data    %s, %d x %d pixels, %d classes: %s", dataset.name, height, width, len(dataset.class_names), sizes)
    LOG.debug("data from %s", dataset.provenance)
    if isinstance(experiment.model, SklearnModel) or network is None:
        settings = ", ".join(
            f"{name} {getattr(value, 'name', value)}" for name, value in asdict(experiment.model).items()
        )
        LOG.info("model   %s (scikit-learn), %s", type(experiment.model).__name__, settings)
        LOG.info("train   seed %d, %d threads", experiment.seed, compute.threads)
        if isinstance(experiment.model, SklearnModel) and (
            guess := experiment.model.guess(len(dataset.train), height * width)
        ):
            LOG.warning("%s", guess)
        return
    if not isinstance(experiment.augment, NoAugment):
        amounts = ", ".join(f"{name} {_shown(amount)}" for name, amount in asdict(experiment.augment).items())
        LOG.info("augment %s, %s", type(experiment.augment).__name__, amounts)
    shapes = [
        str(height * width),
        *(str(shape[0]) for layer, shape in zip(network.layers, network.shapes, strict=True) if layer.weights()),
    ]
    LOG.info("model   %s, %s parameters", " - ".join(shapes), f"{network.theta.size:,}")
    optimizer = type(experiment.optimizer).__name__
    batch = (
        experiment.trainer.batch_size
        if experiment.trainer.batch_size == "full"
        else f"of {experiment.trainer.batch_size}"
    )
    LOG.info(
        "train   %s, learning rate %g, batches %s, %d epochs, seed %d, %d %s threads",
        optimizer,
        experiment.optimizer.lr,
        batch,
        experiment.trainer.epochs,
        experiment.seed,
        compute.threads,
        "kernel" if compute.kernels == "numba" else "BLAS",
    )
    trainer = experiment.trainer
    if trainer.ema:
        LOG.info(
            "average exponential, decay %g: validation and the model are those of the averaged weights", trainer.ema
        )
    elif trainer.swa is not None:
        LOG.info(
            "average mean of epochs %d to %d: from then on, validation and the model are those of the averaged weights",
            *(trainer.swa, trainer.epochs),
        )
    if compute.kernels == "numba":
        LOG.info("kernels numba, %s faster than NumPy", speedup(network))


def _shown(amount: Any) -> str:
    """Return a setting of an augmentation: a number, the name of a choice, or the list of parts."""
    if isinstance(amount, Enum):
        return str(amount.value)
    return f"{amount:g}" if isinstance(amount, (int, float)) else as_text(amount)
