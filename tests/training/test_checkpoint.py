"""A checkpoint: a training goes on from it bit by bit, wherever it was cut; no file does more than raise an error."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from mnistlab.data.augmentation import AUGMENTS
from mnistlab.nn.optimizers import OPTIMIZERS
from mnistlab.nn.schedules import SCHEDULES
from mnistlab.system import tensors
from mnistlab.system.errors import RequestError
from mnistlab.system.signals import UNDIVIDED, Terminated
from mnistlab.training import checkpoint
from mnistlab.training.checkpoint import Origin

Change = Callable[[dict[str, Any], dict[str, np.ndarray]], Any]
FOLDER = Path(__file__).resolve().parents[2] / "stress"


@pytest.fixture
def stress() -> Any:
    """What `make stress` does with every combination."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        return import_module("resumption")


@pytest.fixture
def handlers() -> Iterator[None]:
    """Put the handlers of signals back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    UNDIVIDED.waiting = False
    for number, handler in before.items():
        signal.signal(number, handler)


DRAWN = random.Random(0)
SAMPLE = [  # every pair of optimizer and schedule; the rest as it falls
    (
        optimizer,
        schedule,
        DRAWN.random() < 0.5,
        DRAWN.choice(list(AUGMENTS)),
        DRAWN.random() < 0.5,
        DRAWN.random() < 0.5,
    )
    for optimizer, schedule in product(OPTIMIZERS, SCHEDULES)
]


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: "-".join(map(str, case)))
def test_a_training_cut_at_random_steps_comes_out_the_same(case: tuple[Any, ...], stress: Any, tmp_path: Path) -> None:
    made = stress.Case(*case)
    stops = [DRAWN.randrange(9) for _ in range(3)]
    assert stress.resumed(made, stops, tmp_path) == stress.result(made.training())


@pytest.mark.parametrize("stop", range(20))
def test_it_may_be_cut_at_any_step(stop: int, stress: Any, tmp_path: Path) -> None:
    made = stress.Case("adam", "plateau", True, "elastic", True, False)  # five epochs of four steps
    assert stress.resumed(made, [stop], tmp_path) == stress.result(made.training())


def test_it_may_be_cut_before_every_step_of_its_own(stress: Any, tmp_path: Path) -> None:
    made = stress.Case("momentum", "one_cycle", True, "shift", True, True)
    assert stress.resumed(made, [1] * 25, tmp_path) == stress.result(made.training())


@pytest.mark.parametrize("method", ["_measure", "_end_epoch", "_take_step"])
def test_it_may_be_cut_where_nothing_is_computed_for_a_step(
    method: str, stress: Any, tmp_path: Path, handlers: None
) -> None:
    """Between the last step of an epoch and its row; while an epoch ends or a step is taken an interruption waits."""
    made = stress.Case("adam", "plateau", True, "affine", True, False)
    training = made.training()
    original = getattr(training, method)

    def cut(*arguments: Any) -> Any:
        if training.epoch == 2 and not sent:
            sent.append(method)
            signal.raise_signal(signal.SIGTERM)
        return original(*arguments)

    sent: list[str] = []
    setattr(training, method, cut)
    Terminated.listen()
    with pytest.raises(KeyboardInterrupt):
        training.run()
    UNDIVIDED.waiting = False
    assert training.whole
    checkpoint.save(tmp_path / "c", training, made.origin)
    again = made.training()
    checkpoint.restore(checkpoint.load(tmp_path / "c"), again, made.origin)
    assert stress.result(again) == stress.result(made.training())


@pytest.mark.parametrize("schedule", ["constant", "step", "exponential", "plateau"])
def test_more_epochs_give_what_they_had_given_from_the_start(schedule: str, stress: Any, tmp_path: Path) -> None:
    made = stress.Case("rmsprop", schedule, True, "shift", True, False)
    short = made.training(epochs=3)
    short.run()
    checkpoint.save(tmp_path / "c", short, made.origin)
    again = made.training(epochs=6)
    longer = Origin({"trainer": {"epochs": 6}}, made.origin.data_sha256, 1)
    checkpoint.restore(checkpoint.load(tmp_path / "c"), again, longer, epochs="trainer.epochs")
    assert stress.result(again) == stress.result(made.training(epochs=6))


# --- files that are damaged, of another run, or hostile ---------------------------------------------------------------


@pytest.fixture
def saved(stress: Any, tmp_path: Path) -> tuple[Any, Path]:
    """A training cut in the second step of its third epoch, and its checkpoint."""
    made = stress.Case("adam", "plateau", True, "shift", True, True)
    training = made.training()
    assert stress.cut(training, 9, late=True)
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, training, made.origin)
    return made, path


def edit(path: Path, change: Change) -> None:
    about, arrays = tensors.read(path)
    change(about, arrays)
    path.write_bytes(save({k: np.ascontiguousarray(v) for k, v in arrays.items()}, {"mnistlab": json.dumps(about)}))


def state(**changes: Any) -> Change:
    return lambda about, arrays: about["state"].update(changes)


def words(**changes: Any) -> Change:
    return lambda about, arrays: about["state"]["streams"]["order"].update(changes)


def put(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda about, arrays: arrays.update({name: change(arrays[name].copy())})


def with_first(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def changed(array: np.ndarray) -> np.ndarray:
        array.flat[0] = value
        return array

    return changed


HOSTILE: dict[str, tuple[Change, str]] = {
    "of an earlier version": (
        lambda about, arrays: about.update(format="mnistlab-checkpoint-1"),
        "its format is mnistlab-checkpoint-1, must be mnistlab-checkpoint-2",
    ),
    "no configuration": (lambda about, arrays: about.pop("config"), "its header has no configuration or data hash"),
    "no threads": (lambda about, arrays: about.update(threads=0), "threads=0 is not a number of threads"),
    "threads of text": (lambda about, arrays: about.update(threads="4"), "threads=4 is not a number of threads"),
    "another setting": (
        lambda about, arrays: about["config"].update(optimizer={"lr": 0.5}),
        "it was written with optimizer.lr=0.5, but the run now has optimizer.lr=null; restore the old value, or",
    ),
    "other images": (
        lambda about, arrays: about.update(data_sha256="f" * 64),
        "it was trained on other images (sha256 ffffffffffff...) than the current ones (000000000000...); restore",
    ),
    "another network": (
        lambda about, arrays: about["architecture"].update(scale=1.0),
        "its network differs from that of the configuration",
    ),
    "no state": (lambda about, arrays: about.pop("state"), "state: has missing or unknown entries"),
    "more state": (state(code="import os"), "state: has missing or unknown entries"),
    "no epoch": (state(epoch=None), "epoch=None: must be a whole number of 1 or more"),
    "a broken epoch": (state(epoch=1.5), "epoch=1.5: must be a whole number"),
    "epochs to come": (state(epoch=9), "epoch=9: trainer.epochs=5 is fewer than were trained"),
    "a step too many": (state(step=5), "step=5: an epoch has 4 steps"),
    "a huge step": (state(step=10**30), "step=1000000000000000000000000000000: an epoch has 4 steps"),
    "another count": (state(optimizer_steps=3), "optimizer_steps=3: must agree with epoch 3, step 1"),
    "too many hits": (state(hits=31), "hits or seconds: out of range"),
    "a loss of text": (state(loss_sum="1"), "loss_sum='1': must be a number"),
    "a loss that is none": (state(loss_sum=float("inf")), "loss_sum=inf: must be a number"),
    "a schedule of another kind": (state(schedule={}), "schedule: must hold current, best and waited"),
    "a factor below zero": (state(schedule={"current": -1.0, "best": 1.0, "waited": 0}), "schedule: current=-1.0"),
    "a patience exceeded": (state(schedule={"current": 1.0, "best": 1.0, "waited": 7}), "waited=7 is out of range"),
    "no schedule": (state(schedule=None), "schedule: must be a mapping"),
    "no best epoch": (state(best={"epoch": None, "waiting_since": 0}), "best: has missing or unknown entries"),
    "a best epoch to come": (
        state(best={"epoch": 4, "waiting_since": 1, "value": 0.0, "reference": 0.0}),
        "best: epoch 4 has not been trained",
    ),
    "a best value of text": (
        state(best={"epoch": 1, "waiting_since": 1, "value": "x", "reference": 0.0}),
        "best.value=x: must be a number",
    ),
    "no best at all": (state(best=7), "its state is malformed (TypeError: "),
    "no streams": (state(streams=[]), "streams: must hold order, dropout, augment"),
    "another generator": (words(bit_generator="MT19937"), "streams.order: must be the state of an SFC64 generator"),
    "three words": (words(state={"state": [1, 2, 3]}), "streams.order: must be the state of an SFC64 generator"),
    "a word too large": (words(state={"state": [1, 2, 3, 2**64]}), "18446744073709551616 is not a number of 64 bits"),
    "a negative word": (words(state={"state": [1, 2, 3, -1]}), "streams.order: -1 is not a number of 64 bits"),
    "a word of text": (words(state={"state": [1, 2, 3, "4"]}), "streams.order: 4 is not a number of 64 bits"),
    "half a word": (words(uinteger=2**32), "streams.order: 4294967296 is not a number of 32 bits"),
    "words that are none": (words(state=None), "its state is malformed (TypeError: "),
    "an array too many": (
        lambda about, arrays: arrays.update({"extra": np.zeros(3)}),
        "the array extra is not part of a checkpoint",
    ),
    "an array missing": (lambda about, arrays: arrays.pop("optimizer.1"), "the array optimizer.1 is missing"),
    "another shape": (
        put("theta", lambda a: a[:-1]),
        "the array theta is float32 (158,), must be float32 (159,)",
    ),
    "another type": (
        put("theta", lambda a: a.astype(np.float64)),
        "the array theta is float64 (159,), must be float32",
    ),
    "weights that are none": (put("theta", with_first(np.nan)), "the array theta contains values that are not finite"),
    "best weights that are none": (
        put("best.theta", with_first(np.inf)),
        "best.theta contains values that are not finite",
    ),
    "moments that are none": (
        put("optimizer.0", with_first(np.nan)),
        "optimizer.0 contains values that are not numbers",
    ),
    "a negative variance": (put("buffers", lambda a: -abs(a) - 1), "the array buffers contains a negative variance"),
    "a row too few": (put("history", lambda a: a[1:]), "the array history is float64 (1, 9), must be float64 (2, 9)"),
    "rows in disorder": (
        put("history", lambda a: a[::-1].copy()),
        "history: its rows are not consecutive epochs",
    ),
    "a row that is none": (
        put("history", lambda a: np.where(np.arange(9) == 3, np.nan, a)),
        "history: contains impossible values",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_checkpoint_that_is_not_of_this_run_is_one_error_and_changes_nothing(
    case: str, saved: tuple[Any, Path]
) -> None:
    made, path = saved
    change, message = HOSTILE[case]
    edit(path, change)
    training = made.training()
    theta, streams = training.network.theta.copy(), repr(training.stream_states)
    with pytest.raises(RequestError) as caught:
        checkpoint.restore(checkpoint.load(path), training, made.origin, epochs="trainer.epochs")
    assert str(caught.value).startswith("checkpoint.safetensors: ")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert np.array_equal(training.network.theta, theta)
    assert repr(training.stream_states) == streams
    assert (training.epoch, training.step, training.optimizer.steps) == (1, 0, 0)


def test_what_was_not_changed_is_accepted(saved: tuple[Any, Path]) -> None:
    made, path = saved
    edit(path, lambda about, arrays: None)
    training = made.training()
    checkpoint.restore(checkpoint.load(path), training, made.origin)
    assert (training.epoch, training.step) == (3, 1)


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_a_checkpoint_cut_short(length: int, saved: tuple[Any, Path]) -> None:
    _, path = saved
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(RequestError, match="not a readable safetensors file"):
        checkpoint.load(path)


def test_other_epochs_are_refused_where_the_schedule_is_spread_over_them(stress: Any, tmp_path: Path) -> None:
    made = stress.Case("sgd", "cosine", False, "none", False, False)
    checkpoint.save(tmp_path / "c", made.training(), made.origin)
    longer = Origin({"trainer": {"epochs": 6}}, made.origin.data_sha256, 1)
    with pytest.raises(RequestError, match=r"c: it was written with trainer\.epochs=5, but the run now has trainer\."):
        checkpoint.restore(checkpoint.load(tmp_path / "c"), made.training(epochs=6), longer, epochs="trainer.epochs")
