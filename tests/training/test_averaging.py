"""Averages of the weights: by hand, what validation sees and a run keeps, and that a training can be cut anywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistlab.nn import kernels
from mnistlab.nn.architectures import MLP
from mnistlab.nn.initializers import Kaiming
from mnistlab.nn.layers import Dense, Flatten
from mnistlab.nn.losses import CrossEntropy
from mnistlab.nn.network import Network
from mnistlab.nn.normalization import BatchNorm
from mnistlab.nn.optimizers import SGD, Adam
from mnistlab.nn.regularization import Regularization
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream
from mnistlab.training import checkpoint
from mnistlab.training.averaging import ExponentialAverage, StochasticWeightAverage
from mnistlab.training.components import Components, RandomStreams
from mnistlab.training.config import TrainerConfig
from mnistlab.training.early_stopping import Select
from mnistlab.training.loop import History, TrainingLoop, fit

FOLDER = Path(__file__).resolve().parents[2] / "stress"


@dataclass
class Split:
    images: np.ndarray
    labels: np.ndarray


def part(n: int, seed: int) -> Split:
    """Images whose label is the third of the picture that is brightest."""
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 100, (n, 4, 4), dtype=np.uint8), rng.integers(0, 3, n)
    for image, label in zip(images, labels, strict=True):
        image.reshape(-1)[label * 5 : label * 5 + 5] += 100
    return Split(images, labels)


TRAIN, VALIDATION = part(50, 0), part(20, 1)


def network() -> Network:
    made = MLP(hidden=[8]).network((4, 4), 3, Regularization())
    made.initialise(Kaiming(), stream(0, "init"))
    return made


def train(made: Network, trainer: TrainerConfig) -> History:
    return fit(made, TRAIN, VALIDATION, Components(SGD(lr=0.1), trainer=trainer), RandomStreams.from_seed(0))


@pytest.fixture
def stress() -> Any:
    """What `make stress` does with every combination."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield import_module("resumption")


def weights_of_steps(average: Any, values: list[float]) -> list[float]:
    """Return the first element of the average after each step, whose weights are all of these values in turn."""
    averages = []
    for step, value in enumerate(values, 1):
        average.network.theta[:] = value
        average.take(step)
        averages.append(float(average.theta[0]))
    return averages


def test_the_exponential_average_by_hand() -> None:
    made = network()
    made.theta[:] = 1
    average = ExponentialAverage(made, 0.25)
    # decays min(1/4, (1 + t) / (10 + t)): 2/11, 1/4, 1/4 for t = 1, 2, 3
    # 2/11 . 1 + 9/11 . 12 = 10;  1/4 . 10 + 3/4 . 2 = 4;  1/4 . 4 + 3/4 . 8 = 7
    assert weights_of_steps(average, [12, 2, 8]) == pytest.approx([10, 4, 7])


def test_the_mean_of_the_ends_of_epochs_by_hand() -> None:
    made = network()
    made.theta[:] = 1
    average = StochasticWeightAverage(made, first=2, steps_per_epoch=2)
    # ends of epochs are steps 2, 4, 6, 8; from the second on: 40, (40 + 60) / 2, (40 + 60 + 80) / 3
    assert weights_of_steps(average, [10, 20, 30, 40, 50, 60, 70, 80]) == [1, 1, 1, 40, 40, 50, 50, 60]
    assert [average.taken(step) for step in range(9)] == [0, 0, 0, 0, 1, 1, 2, 2, 3]


def test_a_long_vector_is_averaged_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnistlab.training.averaging.CHUNK", 7)
    made = network()
    average = ExponentialAverage(made, 0.5)
    before = made.theta.copy()
    made.theta[:] = np.arange(made.theta.size)
    average.take(1)
    np.testing.assert_allclose(average.theta, 2 / 11 * before + 9 / 11 * made.theta, rtol=1e-6)


def run(trainer: TrainerConfig, stop: int | None = None, **more: Any) -> tuple[TrainingLoop, list[np.ndarray]]:
    """Train, and return the loop and the weights after every step."""
    made = network()
    components = Components(SGD(lr=0.1), trainer=trainer, **more)
    training = TrainingLoop(made, TRAIN, VALIDATION, components, RandomStreams.from_seed(0))
    steps: list[np.ndarray] = []

    def on_step(step: int, of: int, loss: float) -> bool:
        steps.append(made.theta.copy())
        return len(steps) == stop

    training.run(on_step)
    return training, steps


def test_the_average_never_touches_the_training() -> None:
    plain, without = run(TrainerConfig(epochs=3, batch_size=10))
    for settings in ({"ema": 0.9}, {"swa": 2}):
        averaged, steps = run(TrainerConfig(epochs=3, batch_size=10, **settings))
        np.testing.assert_array_equal(steps, without)
        for row, other in zip(averaged.history.epochs, plain.history.epochs, strict=True):
            assert row.train_loss == other.train_loss


def test_validation_and_the_kept_weights_are_those_of_the_average() -> None:
    training, steps = run(TrainerConfig(epochs=3, batch_size=10, ema=0.9))
    expected = network().theta.astype(np.float64)
    for t, theta in enumerate(steps, 1):
        decay = min(0.9, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * theta
    np.testing.assert_array_equal(training.network.theta, steps[-1])  # training could go on
    training.keep_best()
    np.testing.assert_allclose(training.network.theta, expected, rtol=1e-5, atol=1e-7)
    row = training.history.epochs[-1]
    assert (row.val_loss, row.val_accuracy) == training.network.score(VALIDATION.images, VALIDATION.labels)


def test_stochastic_weight_averaging_keeps_the_mean_of_the_last_epochs() -> None:
    training, steps = run(TrainerConfig(epochs=4, batch_size=10, swa=3))
    plain, _ = run(TrainerConfig(epochs=4, batch_size=10))
    assert training.history.epochs[1].val_loss == plain.history.epochs[1].val_loss  # no average yet
    assert training.history.epochs[2].val_loss == plain.history.epochs[2].val_loss  # of one epoch
    assert training.history.epochs[3].val_loss != plain.history.epochs[3].val_loss
    training.keep_best()
    np.testing.assert_allclose(training.network.theta, (steps[14] + steps[19]) / 2, rtol=1e-6)


def test_the_best_epoch_is_that_of_the_average_with_its_weights() -> None:
    made = network()
    history = train(made, TrainerConfig(epochs=6, batch_size=10, ema=0.95, select=Select.best))
    assert history.kept_epoch == history.best_epoch
    row = history.epochs[history.kept_epoch - 1]
    assert (row.val_loss, row.val_accuracy) == made.score(VALIDATION.images, VALIDATION.labels)


def normalised_network() -> Network:
    made = Network([Flatten(), Dense(6), BatchNorm(), Dense(3)], (4, 4), CrossEntropy(3))
    made.initialise(Kaiming(), np.random.default_rng(0))
    return made


def test_stochastic_weight_averaging_measures_the_statistics_of_batch_normalisation() -> None:
    made = normalised_network()
    train(made, TrainerConfig(epochs=3, batch_size=10, swa=2))
    dense, norm = made.layers[1], made.layers[2]
    x = TRAIN.images.reshape(50, 16).astype(np.float32) / 255
    inner = x @ dense.params["W"].T + dense.params["b"]
    np.testing.assert_allclose(norm.buffers["mean"], inner.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.buffers["variance"], inner.var(axis=0, ddof=1), rtol=1e-4)


def test_statistics_measured_in_chunks_are_weighted_by_their_images(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = normalised_network(), normalised_network()
    whole.measure_statistics(TRAIN.images)
    monkeypatch.setattr("mnistlab.nn.network.CHUNK", 20)  # of 20, 20 and 10 images
    cut.measure_statistics(TRAIN.images)
    np.testing.assert_allclose(cut.layers[2].buffers["mean"], whole.layers[2].buffers["mean"], rtol=1e-5)


def test_the_exponential_average_has_averaged_statistics() -> None:
    made, seen = normalised_network(), []
    components = Components(Adam(lr=0.01), trainer=TrainerConfig(epochs=2, batch_size=10, ema=0.5))
    training = TrainingLoop(made, TRAIN, VALIDATION, components, RandomStreams.from_seed(0))
    training.run(lambda *_: seen.append(made.buffers.copy()))
    expected = normalised_network().buffers
    for t, buffers in enumerate(seen, 1):
        decay = min(0.5, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * buffers
    training.keep_best()
    np.testing.assert_allclose(made.buffers, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(kernels.unavailable() is not None, reason="kernels cannot be used here")
def test_with_kernels_the_average_is_that_of_their_weights() -> None:
    made, other = network(), network()
    made.use_kernels(1)
    history, reference = (train(one, TrainerConfig(epochs=3, batch_size=10, ema=0.9)) for one in (made, other))
    np.testing.assert_allclose(made.theta, other.theta, rtol=1e-4, atol=1e-6)
    assert history.epochs[-1].val_loss == pytest.approx(reference.epochs[-1].val_loss, rel=1e-4)
    np.testing.assert_allclose(made.predict(VALIDATION.images), other.predict(VALIDATION.images), atol=1e-5)


# resuming


@pytest.mark.parametrize("average", ["ema", "swa"])
@pytest.mark.parametrize("stopping", [False, True])
@pytest.mark.parametrize("batchnorm", [False, True])
def test_a_training_cut_anywhere_comes_out_the_same(
    average: str, stopping: bool, batchnorm: bool, stress: Any, tmp_path: Path
) -> None:
    made = stress.Case("adam", "plateau", True, "combined", batchnorm, stopping, average)
    whole = stress.result(made.training())
    for stop in range(0, 20, 3):
        assert stress.resumed(made, [stop], tmp_path) == whole
    assert stress.resumed(made, [1] * 25, tmp_path) == whole


@pytest.mark.parametrize("average", ["ema", "swa"])
def test_an_interruption_while_the_average_is_validated_leaves_the_training_as_it_was(
    average: str, stress: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stress.Case("adam", "constant", True, "mixup", True, False, average)
    training = made.training()
    score, calls = training.network.score, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            training.average.put_back = lambda: None  # as if a second interruption came before it
            raise KeyboardInterrupt
        return score(*arguments)

    monkeypatch.setattr(training.network, "score", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.run()
    del training.average.put_back
    checkpoint.save(tmp_path / "c", training, made.origin)
    again = made.training()
    checkpoint.restore(checkpoint.load(tmp_path / "c"), again, made.origin)
    assert (again.epoch, again.step) == (3, 4)
    assert stress.result(again) == stress.result(made.training())


def test_a_checkpoint_has_both_the_weights_and_their_average(stress: Any, tmp_path: Path) -> None:
    made = stress.Case("adam", "constant", False, "none", True, False, "ema")
    training = made.training()
    stress.cut(training, 6, late=True)
    checkpoint.save(tmp_path / "c", training, made.origin)
    arrays = checkpoint.load(tmp_path / "c").arrays
    np.testing.assert_array_equal(arrays["theta"], training.network.theta)
    np.testing.assert_array_equal(arrays["average.theta"], training.average.theta)
    assert not np.array_equal(arrays["theta"], arrays["average.theta"])
    plain = stress.Case("adam", "constant", False, "none", True, False)
    with pytest.raises(RequestError, match=r"c: the array average\.\w+ is not part of a checkpoint"):
        checkpoint.restore(checkpoint.load(tmp_path / "c"), plain.training(), plain.origin)


# settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ema": 1.0}, "ema=1.0: the decay of the average must be at least 0 and below 1"),
        ({"ema": -0.1}, "ema=-0.1: the decay of the average must be at least 0 and below 1"),
        ({"swa": 0}, "swa=0: the first epoch of the average must be a whole number of 1 or more"),
        ({"swa": 11}, "swa=11: training ends after epoch 10; start the average earlier"),
        ({"swa": 2, "ema": 0.9}, "swa=2: ema=0.9 is another average of the weights; use one"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match="^" + re.escape(message)):
        TrainerConfig(**settings)
