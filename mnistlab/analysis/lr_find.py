"""The learning-rate range test of an experiment: run it, find the suggestion, write the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.config import compose, schema
from mnistlab.config.schema import Experiment
from mnistlab.nn.architectures import Model
from mnistlab.reporting import plots
from mnistlab.runs import paths, pipeline
from mnistlab.runs.compute import choose
from mnistlab.system import directories, files
from mnistlab.system.errors import RequestError, RunError
from mnistlab.training.components import RandomStreams
from mnistlab.training.lr_range_test import Suggestion, losses, smoothed, suggest

LEAST, MOST, STEPS = 1e-6, 10.0, 200  # the first and the last rate, and the number of mini-batches


@dataclass(frozen=True)
class Request:
    """The options of the command line."""

    overrides: list[str]
    least: float
    most: float
    steps: int
    to: str | None


@dataclass(frozen=True)
class RangeTest:
    """The result of a range test: its folder, the losses, and the suggestion if there is one."""

    folder: Path
    rates: np.ndarray
    losses: np.ndarray  # up to the first that is not finite
    smoothed: np.ndarray
    suggestion: Suggestion | None
    about: Mapping[str, Any]  # the content of lr_find.json


def find(request: Request) -> RangeTest:
    """Run the range test of an experiment, and write its numbers and its picture; raises `RunError` without a loss."""
    experiment = schema.experiment(compose.compose(request.overrides))
    if not isinstance(experiment.model, Model):
        kind = type(experiment.model).__name__
        raise RequestError(f"model: {kind} is a scikit-learn model and has no learning rate; choose a network")
    rates = np.geomspace(request.least, request.most, request.steps)
    losses = _measure(experiment, rates)
    if not len(losses):
        raise RunError("the loss is not finite before the first step; try another init")
    smooth = smoothed(losses, request.steps)
    suggestion = suggest(rates, smooth)
    folder = _folder(request.to)
    about: dict[str, Any] = asdict(suggestion) if suggestion else {"lr": None}
    about |= {"optimizer": type(experiment.optimizer).__name__, "seed": experiment.seed}
    _write(folder, rates[: len(losses)], losses, smooth, about)
    return RangeTest(folder, rates, losses, smooth, suggestion, about)


def _measure(experiment: Experiment, rates: np.ndarray) -> np.ndarray:
    """Return the loss of every step up to the first that is not finite; the test set is not used."""
    dataset = pipeline.load_data(experiment).without_test()
    network = pipeline.build(experiment, dataset)
    streams = RandomStreams.from_seed(experiment.seed)
    compute = choose(experiment, network, len(dataset.train), quiet=True)
    compute.use(network, experiment.trainer.batch_of(len(dataset.train)))
    with compute.limits():
        return losses(network, dataset.train, experiment.components, streams, rates)


def _write(folder: Path, rates: np.ndarray, losses: np.ndarray, smooth: np.ndarray, about: Mapping[str, Any]) -> None:
    rows = [[i + 1, float(rates[i]), float(losses[i]), float(smooth[i])] for i in range(len(losses))]
    files.write(folder / paths.LR_FIND_TABLE, files.csv(("step", "lr", "loss", "smoothed_loss"), rows))
    files.write_json(folder / paths.LR_FIND, about)
    plots.save(plots.range_test(rates, losses, smooth, about["lr"]), folder / paths.LR_FIND_PLOT)


def _folder(to: str | None) -> Path:
    if to is None:
        return directories.by_time("outputs/lr-find")
    not_empty = "not empty; choose a new or an empty directory"
    return directories.named(Path(to), f"--to {to}", not_empty=not_empty)
