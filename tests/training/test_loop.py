"""The training loop: what an epoch is, when it stops, what it keeps, and how it fails."""

import math
import re
from dataclasses import dataclass, fields
from itertools import chain

import numpy as np
import pytest

from mnistlab.nn.architectures import MLP
from mnistlab.nn.initializers import Kaiming, Zeros
from mnistlab.nn.optimizers import SGD, Adam, Momentum
from mnistlab.nn.regularization import Regularization, SummedLossPenalty
from mnistlab.nn.schedules import Constant, Exponential, Plateau
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream
from mnistlab.training.components import Components, RandomStreams
from mnistlab.training.config import TrainerConfig, TrainMetrics
from mnistlab.training.early_stopping import Score, Select
from mnistlab.training.loop import Diverged, Epoch, TrainingLoop, batches, fit


@dataclass
class Split:
    images: np.ndarray
    labels: np.ndarray


def part(n, seed=0, shape=(4, 4), classes=3):
    """Images whose label is the third of the picture that is brightest."""
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 100, (n, *shape), dtype=np.uint8), rng.integers(0, classes, n)
    for image, label in zip(images, labels, strict=True):
        image.reshape(-1)[label * 5 : label * 5 + 5] += 100
    return Split(images, labels)


TRAIN, VALIDATION, NOTHING = part(50), part(20, seed=1), part(0)


def network(model=None, regularization=None, seed=0, shape=(4, 4), init=None, dtype=np.float32):
    made = (model or MLP(hidden=[8])).network(shape, 3, regularization or Regularization(), dtype=dtype)
    made.initialise(init or Kaiming(), stream(seed, "init"))
    return made


def train(made=None, trainer=None, optimizer=None, seed=0, validation=VALIDATION, on_step=None, on_epoch=None, **more):
    """Fit with small defaults; return the network and the history."""
    score = more.pop("score", None)
    trainer = trainer or TrainerConfig(epochs=3, batch_size=10)
    components = Components(optimizer or SGD(lr=0.1), trainer=trainer, **more)
    made = made or network(regularization=components.regularization)
    return made, fit(
        made, TRAIN, validation, components, RandomStreams.from_seed(seed), score, on_step=on_step, on_epoch=on_epoch
    )


def watch_rows(made, monkeypatch):
    """Return a list that receives the rows of every gradient of ``made``."""
    seen, gradient = [], made.gradient

    def watched(images, labels, rows=None, *others):
        seen.append(None if rows is None else rows.tolist())
        return gradient(images, labels, rows, *others)

    monkeypatch.setattr(made, "gradient", watched)
    return seen


def test_batches_are_a_permutation_cut_in_pieces():
    pieces = list(batches(10, 4, np.random.default_rng(0)))
    assert [len(piece) for piece in pieces] == [4, 4, 2]
    assert sorted(np.concatenate(pieces)) == list(range(10))
    assert np.concatenate(pieces).tolist() != list(range(10))


def test_batches_without_an_order_run_through():
    assert [piece.tolist() for piece in batches(5, 2, None)] == [[0, 1], [2, 3], [4]]


def test_a_full_batch_is_all_rows_and_draws_nothing():
    order = np.random.default_rng(0)
    before = order.bit_generator.state
    assert list(batches(10, 10, order)) == [None]
    assert order.bit_generator.state == before


@pytest.mark.parametrize(("batch_size", "steps"), [("full", 1), (50, 1), (49, 2), (10, 5), (1, 50)])
def test_steps_of_an_epoch(batch_size, steps, monkeypatch):
    made, heard = network(), []
    seen = watch_rows(made, monkeypatch)
    _, history = train(
        made,
        TrainerConfig(epochs=2, batch_size=batch_size),
        on_step=lambda i, n, loss: heard.append((i, n, type(loss))),
    )
    assert len(seen) == 2 * steps
    assert heard == [(i + 1, steps, float) for _ in range(2) for i in range(steps)]
    assert [row.step for row in history.epochs] == [steps, 2 * steps]
    if steps == 1:
        assert seen == [None, None]
    else:
        first, second = seen[:steps], seen[steps:]
        assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(50))
        assert first != second  # shuffled anew


def test_without_shuffling_the_rows_run_through(monkeypatch):
    made = network()
    seen = watch_rows(made, monkeypatch)
    train(made, TrainerConfig(epochs=2, batch_size=20, shuffle=False))
    assert seen == [list(range(20)), list(range(20, 40)), list(range(40, 50))] * 2


@pytest.mark.parametrize(("stop", "epochs", "steps"), [("on_step", 1, 8), ("on_epoch", 2, 10)])
def test_a_callback_that_returns_true_ends_the_training(stop, epochs, steps):
    calls = {"on_step": [], "on_epoch": []}

    def on_step(i, n, loss):
        calls["on_step"].append(loss)
        return stop == "on_step" and len(calls["on_step"]) == steps

    def on_epoch(history):
        calls["on_epoch"].append(len(history.epochs))
        return stop == "on_epoch" and len(history.epochs) == epochs

    _, history = train(on_step=on_step, on_epoch=on_epoch)
    assert (len(history.epochs), len(calls["on_epoch"]), len(calls["on_step"])) == (epochs, epochs, steps)


@pytest.mark.parametrize("batch_size", [7, "full"])
def test_a_weight_of_two_is_the_image_twice_in_a_batch(batch_size):
    weights = np.random.default_rng(0).integers(1, 4, 50).astype(np.float64)
    regularization = SummedLossPenalty(l2=0.1, alpha=0.5)
    trainer = TrainerConfig(epochs=1, batch_size=batch_size, shuffle=False)
    components = Components(SGD(lr=0.1), regularization=regularization, trainer=trainer)
    made = network(dtype=np.float64)
    loop = TrainingLoop(made, TRAIN, None, components, RandomStreams.from_seed(0), weights=weights, records_norms=False)
    history = loop.run()

    by_hand = network(dtype=np.float64)
    loss_sum, n = 0.0, by_hand.n_weights
    for start in range(0, 50, 50 if batch_size == "full" else batch_size):
        rows = np.arange(50)[start : None if batch_size == "full" else start + batch_size]
        rows = rows.repeat(weights[rows].astype(int))
        loss, _ = by_hand.gradient(TRAIN.images, TRAIN.labels, rows)
        loss_sum += loss * len(rows)
        by_hand.grad[:n] += (0.1 + 0.5 / len(rows)) * by_hand.theta[:n]
        by_hand.theta -= 0.1 * by_hand.grad
    np.testing.assert_allclose(made.theta, by_hand.theta, rtol=1e-10, atol=1e-13)
    assert history.epochs[0].train_loss == pytest.approx(loss_sum / weights.sum())
    assert history.norms == []
    assert math.isnan(history.epochs[0].grad_norm)


def test_one_step_is_the_gradient_and_the_rule():
    made = network()
    made.gradient(TRAIN.images, TRAIN.labels)
    expected = made.theta - np.float32(0.1) * made.grad
    made, _ = train(network(), TrainerConfig(epochs=1, batch_size="full"))
    np.testing.assert_array_equal(made.theta, expected)


def test_it_learns():
    made, history = train(trainer=TrainerConfig(epochs=40, batch_size=5))
    assert history.epochs[-1].val_accuracy == 1
    assert history.epochs[-1].train_loss < history.epochs[0].train_loss / 5
    np.testing.assert_array_equal(made.predict(VALIDATION.images).argmax(axis=1), VALIDATION.labels)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not():
    def theta(seed):
        regularization = Regularization(dropout=0.2, l2=1e-3)
        made = network(regularization=regularization, seed=seed)
        return train(made, optimizer=Adam(), seed=seed, regularization=regularization)[0].theta.tobytes()

    assert theta(0) == theta(0)
    assert theta(0) != theta(1)


@pytest.mark.parametrize(
    "changed",
    [
        {"model": MLP(hidden=[30, 20])},
        {"init": Zeros()},
        {"regularization": Regularization(dropout=[0.2, 0.5])},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_model_init_and_dropout_leave_the_order_of_the_data_alone(changed, monkeypatch):
    orders = []
    for settings in ({}, changed):
        made = network(**settings)
        orders.append(watch_rows(made, monkeypatch))
        train(made, **({"regularization": settings["regularization"]} if "regularization" in settings else {}))
    assert orders[0] == orders[1]


def test_the_columns_of_the_history():
    columns = "epoch step lr train_loss train_accuracy val_loss val_accuracy grad_norm seconds"
    assert " ".join(field.name for field in fields(Epoch)) == columns


def test_a_row_an_epoch_and_norms_a_layer():
    heard = []
    made, history = train(
        schedule=Exponential(gamma=0.25),
        on_epoch=lambda history: heard.append((len(history.epochs), len(history.norms), history.kept_epoch)),
    )
    assert heard == [(1, 2, 1), (2, 4, 2), (3, 6, 3)]
    rows = history.epochs
    assert [row.epoch for row in rows] == [1, 2, 3]
    assert [row.step for row in rows] == [5, 10, 15]
    assert [row.lr for row in rows] == pytest.approx(
        [0.1 * 0.25 ** (step / 5) for step in (4, 9, 14)]
    )  # of the last step
    assert (rows[-1].val_loss, rows[-1].val_accuracy) == made.score(VALIDATION.images, VALIDATION.labels)
    assert all(row.seconds > 0 and row.grad_norm > 0 for row in rows)
    assert [(epoch, layer) for epoch, layer, *_ in history.norms] == [
        (epoch, layer) for epoch in (1, 2, 3) for layer in ("layer 2 dense", "layer 4 dense")
    ]
    last = [weight for epoch, _, weight, _ in history.norms if epoch == 3]
    assert last == pytest.approx([np.linalg.norm(layer.params["W"]) for layer in made.layers if layer.params])
    assert (history.kept_epoch, history.stopped_early) == (3, False)


def test_running_metrics_weigh_each_batch_by_its_size():
    losses = []
    _, history = train(
        trainer=TrainerConfig(epochs=1, batch_size=20, shuffle=False), on_step=lambda i, n, loss: losses.append(loss)
    )
    assert history.epochs[0].train_loss == pytest.approx((20 * losses[0] + 20 * losses[1] + 10 * losses[2]) / 50)


def test_exact_metrics_are_measured_after_the_epoch_without_dropout():
    regularization = Regularization(dropout=0.5, l2=1.0)
    trainer = TrainerConfig(epochs=1, batch_size=20, train_metrics=TrainMetrics.exact)
    made, history = train(trainer=trainer, regularization=regularization)
    row = history.epochs[0]
    assert (row.train_loss, row.train_accuracy) == made.score(TRAIN.images, TRAIN.labels)  # without the penalty, too


def test_without_validation_its_columns_are_empty_and_the_last_epoch_is_kept():
    _, history = train(validation=NOTHING)
    assert all(math.isnan(row.val_loss) and math.isnan(row.val_accuracy) for row in history.epochs)
    assert (history.best_epoch, history.kept_epoch) == (None, 3)


@pytest.mark.parametrize(("validation", "column"), [(VALIDATION, "val_loss"), (NOTHING, "train_loss")])
def test_the_schedule_hears_the_validation_loss_or_without_one_the_training_loss(validation, column):
    heard = []

    class Listening(Plateau):
        def end_epoch(self, loss):
            heard.append(loss)

    _, history = train(schedule=Listening(), validation=validation)
    assert heard == [getattr(row, column) for row in history.epochs]


def scripted(values, higher_is_better=True, **settings):
    """Train one epoch for each of ``values`` of the monitored metric; return history, the kept theta and all thetas."""
    script, thetas = iter(values), []
    made = network()
    _, history = train(
        made,
        TrainerConfig(epochs=len(values), batch_size=25, **settings),
        score=Score(lambda probs: next(script), higher_is_better),
        on_epoch=lambda history: thetas.append(made.theta.copy()),
    )
    return history, made.theta, thetas


# monitored values, settings: epochs run, the epoch kept, the best epoch
STOPS = [
    ([0.5, 0.6, 0.7, 0.8], {"patience": 1}, 4, 4, 4),
    ([0.5, 0.6, 0.6, 0.9], {"patience": 1}, 3, 2, 2),  # equal is no improvement
    ([0.5, 0.6, 0.5, 0.9, 0.1], {"patience": 2}, 5, 4, 4),
    ([0.5, 0.6, 0.5, 0.4, 0.9], {"patience": 2}, 4, 2, 2),  # two epochs without improvement: the fifth never runs
    ([0.9, 0.1, 0.1, 0.1], {"patience": 3}, 4, 1, 1),  # patience that ends with the last epoch stops nothing early
    # each gain is below 0.05, but by the third epoch there are 0.06 in all: the patience starts again
    ([0.50, 0.53, 0.56, 0.57, 0.58, 0.99], {"patience": 2, "min_delta": 0.05}, 5, 5, 5),
    # a gain below min_delta does not stop the clock, and yet is kept
    ([0.50, 0.51, 0.52, 0.99], {"patience": 2, "min_delta": 0.05}, 3, 3, 3),
    ([0.9, 0.5, 0.6], {}, 3, 3, 1),  # no early stopping: the last epoch
    ([0.9, 0.5, 0.6], {"select": Select.best}, 3, 1, 1),
    ([0.9, 0.5, 0.6], {"patience": 1, "select": Select.last}, 2, 2, 1),
]


@pytest.mark.parametrize(("values", "settings", "run", "kept", "best"), STOPS)
def test_early_stopping_and_selection(values, settings, run, kept, best):
    history, theta, thetas = scripted(values, **settings)
    assert (len(history.epochs), history.kept_epoch, history.best_epoch) == (run, kept, best)
    assert history.stopped_early == (run < len(values))
    np.testing.assert_array_equal(theta, thetas[kept - 1])


def test_a_metric_that_is_better_lower():
    history, theta, thetas = scripted([0.5, 0.4, 0.6, 0.3], higher_is_better=False, patience=1)
    assert (len(history.epochs), history.kept_epoch, history.stopped_early) == (3, 2, True)
    np.testing.assert_array_equal(theta, thetas[1])


def test_the_validation_loss_selects_if_nothing_else_is_named():
    # labels of the validation set are shuffled, so that its loss rises as the training set is learnt
    validation = Split(VALIDATION.images, np.random.default_rng(0).permutation(VALIDATION.labels))
    _, history = train(validation=validation, trainer=TrainerConfig(epochs=30, batch_size=5, patience=3))
    losses = [row.val_loss for row in history.epochs]
    assert history.stopped_early
    assert history.kept_epoch == history.best_epoch == int(np.argmin(losses)) + 1 == len(losses) - 3


def test_clipping_that_never_bites_changes_nothing():
    regularization = Regularization(l2=0.1)
    plain, _ = train(regularization=regularization)
    clipped, _ = train(regularization=regularization, trainer=TrainerConfig(epochs=3, batch_size=10, clip_norm=1e6))
    np.testing.assert_array_equal(clipped.theta, plain.theta)


def test_max_norm_holds_after_every_step():
    made = network()
    norms = []

    def look(i, n, loss):
        norms.append(max(np.linalg.norm(layer.params["W"], axis=1).max() for layer in made.layers if layer.params))

    train(made, optimizer=SGD(lr=1.0), regularization=Regularization(max_norm=0.5), on_step=look)
    assert max(norms) <= 0.5 * (1 + 1e-6)


def test_a_learning_rate_far_too_large_is_named_with_layer_and_step():
    kept = []
    with pytest.raises(Diverged) as error:
        train(optimizer=SGD(lr=1e30), on_epoch=lambda history: kept.append(history))
    assert re.fullmatch(
        r"the loss is no longer finite at step 2 \(epoch 1\): layer 4 dense overflowed first, with the "
        r"learning rate at 1e\+30",
        str(error.value),
    )
    assert (error.value.where, error.value.lr) == ("layer 4 dense", 1e30)
    assert not kept


@pytest.mark.parametrize(("layer", "title"), [(1, "layer 2 dense"), (3, "layer 4 dense")])
def test_not_a_number_in_the_middle_is_named_at_the_next_step(layer, title):
    made, kept = network(), []
    calls = []

    def spoil(i, n, loss):
        calls.append(i)
        if len(calls) == 7:  # the second step of the second epoch
            made.layers[layer].params["W"][0, 0] = np.nan

    with pytest.raises(Diverged, match=rf"at step 8 \(epoch 2\): {title} overflowed first"):
        train(made, on_step=spoil, on_epoch=lambda history: kept.append(len(history.epochs)))
    assert kept == [1]  # what was reported before stays


@pytest.mark.parametrize("validation", [VALIDATION, NOTHING], ids=["validation", "no validation"])
def test_the_last_update_of_an_epoch_may_diverge_too(validation):
    def measure(probs):
        raise AssertionError("no metric of a network that has diverged")

    made, kept = network(), []

    def spoil(i, n, loss):
        if i == n:
            made.theta[:] = np.inf

    with pytest.raises(Diverged, match=r"at step 5 \(epoch 1\): layer 2 dense overflowed first"):
        train(
            made,
            TrainerConfig(epochs=1, batch_size=10),
            validation=validation,
            on_step=spoil,
            on_epoch=kept.append,
            score=Score(measure, True),
        )
    assert not kept


@pytest.mark.parametrize(
    ("trainer", "sizes", "message"),
    [
        (
            TrainerConfig(batch_size=64),
            (50, 10),
            "batch_size=64: the training set has only 50 images; use fewer, or full",
        ),
        (
            TrainerConfig(patience=3),
            (100, 0),
            "patience=3: there is no validation set to watch; set validation, for example to 0.1",
        ),
        (
            TrainerConfig(select=Select.best),
            (100, 0),
            "select=best: there is no validation set to watch; set validation, for example to 0.1",
        ),
    ],
)
def test_what_does_not_go_with_the_data_is_refused(trainer, sizes, message):
    with pytest.raises(RequestError) as error:
        trainer.check(*sizes)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("trainer", "sizes"),
    [
        (TrainerConfig(batch_size=64), (64, 0)),
        (TrainerConfig(batch_size="full"), (1, 0)),
        (TrainerConfig(patience=3), (100, 1)),
    ],
)
def test_what_goes_with_the_data_is_let_through(trainer, sizes):
    trainer.check(*sizes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs=0: the number of epochs must be a whole number of 1 or more"),
        ({"batch_size": 0}, "batch_size=0: the batch size, unless it is full, must be a whole number of 1 or more"),
        ({"batch_size": "ful"}, "batch_size=ful: the batch size, unless it is full, must be a whole number"),
        ({"patience": 0}, "patience=0: the patience (epochs) must be a whole number of 1 or more"),
        ({"min_delta": -0.1}, "min_delta=-0.1: the least improvement must be zero or more"),
        ({"min_delta": math.nan}, "min_delta=nan: must be a number"),
        ({"clip_norm": 0.0}, "clip_norm=0.0: the largest norm must be positive"),
        ({"checkpoint_every": 0}, "checkpoint_every=0: must be a number of epochs, or a time such as 30s, 5min or 1h"),
        ({"checkpoint_every": True}, "checkpoint_every=True: must be a number of epochs, or a time such as"),
        ({"checkpoint_every": "0s"}, "checkpoint_every=0s: must be a number of epochs, or a time such as"),
        ({"checkpoint_every": "5 min"}, "checkpoint_every=5 min: must be a number of epochs, or a time such as"),
        ({"checkpoint_every": "often"}, "checkpoint_every=often: must be a number of epochs, or a time such as"),
        ({"threads": 0}, "threads=0: the number of threads, unless it is auto, must be a whole number of 1 or more"),
        ({"threads": 4097}, "threads=4097: must be at most 4,096; use fewer, or auto"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(RequestError) as error:
        TrainerConfig(**settings)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("every", "seconds"), [(1, None), (20, None), ("30s", 30), ("0.5s", 0.5), ("5min", 300), ("1.5h", 5400)]
)
def test_checkpoints_are_written_every_so_many_epochs_or_seconds(every, seconds):
    assert TrainerConfig(checkpoint_every=every).checkpoint_seconds == seconds


def test_a_warm_up_as_long_as_the_training_is_refused():
    with pytest.raises(RequestError, match=r"warmup=3: the warm-up must be shorter than epochs=3"):
        train(schedule=Constant(warmup=3), optimizer=Momentum())
