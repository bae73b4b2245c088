"""Every optimizer x schedule x dropout x augmentation x batch normalisation x early stopping, cut and resumed.

The other augmentations with averages of the weights, batch normalisation and early stopping.

Tiny networks and images: what is tested is that nothing which decides the next step is missing from a checkpoint.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.data.augmentation import AUGMENTS
from mnistlab.nn.architectures import LayerList
from mnistlab.nn.initializers import Kaiming
from mnistlab.nn.optimizers import OPTIMIZERS
from mnistlab.nn.regularization import Regularization
from mnistlab.nn.schedules import SCHEDULES
from mnistlab.runs import paths
from mnistlab.system.random import stream
from mnistlab.training import checkpoint
from mnistlab.training.checkpoint import Origin
from mnistlab.training.components import Components, RandomStreams
from mnistlab.training.config import TrainerConfig
from mnistlab.training.early_stopping import Score
from mnistlab.training.loop import TrainingLoop

RATES = {"sgd": 0.1, "momentum": 0.02, "nesterov": 0.02, "adagrad": 0.05}
SETTINGS: dict[str, dict[str, Any]] = {
    "step": {"every": 2, "gamma": 0.5},
    "plateau": {"patience": 1, "gamma": 0.5},
    "cosine": {"warmup": 0.5},
}
WARPS = ("none", "shift", "affine", "elastic")  # with everything; the other augmentations with every average
AVERAGES: dict[str, dict[str, Any]] = {"none": {}, "ema": {"ema": 0.8}, "swa": {"swa": 2}}
EPOCHS, BATCH, IMAGES = 5, 8, 30  # four steps an epoch, the last one shorter


@dataclass
class Split:
    """Images and labels."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Case:
    """One combination."""

    optimizer: str
    schedule: str
    dropout: bool
    augment: str
    batchnorm: bool
    stopping: bool
    average: str = "none"

    def training(self, epochs: int = EPOCHS) -> TrainingLoop:
        """Return this training at its start; the same every time."""
        layers: list[Any] = [{"conv": {"filters": 2, "kernel": 3}}, "maxpool"]
        layers += ["batchnorm"] if self.batchnorm else []
        layers += ["relu", "flatten", {"dense": {"units": 6}}, "tanh"]
        regularization = Regularization(dropout=0.3 if self.dropout else 0.0, l2=1e-3)
        network = LayerList(layers=layers).network((8, 8), 3, regularization)
        network.initialise(Kaiming(), stream(1, "init"))
        optimizer = OPTIMIZERS[self.optimizer](lr=RATES.get(self.optimizer, 0.01))
        validation = part(12, 1)
        score = Score(lambda probs: float((probs.argmax(axis=1) == validation.labels).mean()), True)
        patience = 2 if self.stopping else None
        trainer = TrainerConfig(epochs=epochs, batch_size=BATCH, patience=patience, **AVERAGES[self.average])
        schedule = SCHEDULES[self.schedule](**SETTINGS.get(self.schedule, {}))
        components = Components(optimizer, schedule, regularization, trainer, AUGMENTS[self.augment]())
        train, streams = part(IMAGES, 0), RandomStreams.from_seed(1)
        return TrainingLoop(network, train, validation, components, streams, score if self.stopping else None)

    @property
    def origin(self) -> Origin:
        """Return what the checkpoints of this training belong to."""
        return Origin({"trainer": {"epochs": EPOCHS}}, "0" * 64, 1)


def part(n: int, seed: int) -> Split:
    """Return images of noise, brighter in the third that is their label."""
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 120, (n, 8, 8), dtype=np.uint8), rng.integers(0, 3, n)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] += 100
    return Split(images, labels)


def cases() -> Iterator[Case]:
    """Yield every combination."""
    for one in product(OPTIMIZERS, SCHEDULES, (False, True), WARPS, (False, True), (False, True)):
        yield Case(*one)
    others = [name for name in AUGMENTS if name not in WARPS]
    for average, augment, batchnorm, stopping in product(AVERAGES, others, (False, True), (False, True)):
        yield Case("adam", "plateau", True, augment, batchnorm, stopping, average)


def result(training: TrainingLoop) -> dict[str, Any]:
    """Train to the end, and return everything that came out but the times."""
    history = training.run()
    training.keep_best()
    return {
        "theta": training.network.theta.tobytes(),
        "statistics": training.network.buffers.tobytes(),
        "history": [repr(list(vars(row).values())[:-1]) for row in history.epochs],
        "norms": history.norms,
        "kept": (history.best_epoch, history.kept_epoch, history.stopped_early),
    }


def cut(training: TrainingLoop, after: int, late: bool) -> bool:
    """Run until the gradient of a later step is interrupted, when it begins or when it is done; False if none was."""
    gradient, calls = training.network.gradient, iter(range(after + 1))

    def interrupted(*arguments: Any) -> tuple[float, int]:
        if next(calls) < after:
            return gradient(*arguments)
        if late:  # statistics and random streams have moved on by then
            gradient(*arguments)
        raise KeyboardInterrupt

    training.network.gradient = interrupted  # type: ignore[method-assign]
    try:
        training.run()
    except KeyboardInterrupt:
        return True
    finally:
        training.network.gradient = gradient  # type: ignore[method-assign]
    return False


def resumed(case: Case, stops: Sequence[int], folder: Path) -> dict[str, Any]:
    """Return the result of a training that was interrupted after so many more steps, again and again."""
    training = case.training()
    for i, after in enumerate(stops):
        if not cut(training, after, late=bool(i % 2)):
            break
        checkpoint.save(folder / paths.CHECKPOINT, training, case.origin)
        training = case.training()
        checkpoint.restore(checkpoint.load(folder / paths.CHECKPOINT), training, case.origin)
    return result(training)


def main(seed: int, short: bool) -> tuple[list[tuple[str, Any]], list[str]]:
    """Cut every combination at three random steps; return what was counted, and the faults."""
    rng, faults, count = random.Random(seed), [], 0
    with tempfile.TemporaryDirectory() as folder:
        for case in cases():
            if short and rng.random() > 0.03:
                continue
            stops = [rng.randrange(0, 9) for _ in range(3)]
            count += 1
            expected, found = result(case.training()), resumed(case, stops, Path(folder))
            faults += [f"{case}, stopped after {stops}: other {key}" for key in expected if expected[key] != found[key]]
    return [("combinations, each interrupted three times", count), ("not bit-identical", len(faults))], faults
