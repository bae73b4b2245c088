"""A `RequestError` knows its key: what it says, and how a caller that knows other names puts them in."""

import copy
import pickle

import pytest

from mnistlab.system import errors
from mnistlab.system.errors import Key, RequestError

LR = RequestError("the learning rate must be positive", key="lr", value=-0.1)
WARMUP = RequestError("must be shorter than ", Key("epochs"), "=5; see ", Key("floor"), key="warmup", value=9)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LR, "lr=-0.1: the learning rate must be positive"),
        (RequestError("it is needed", key="lr"), "lr: it is needed"),
        (RequestError("set size, e.g. size=28", key="size", value=None), "size=None: set size, e.g. size=28"),
        (RequestError("set it", key="path", value=""), "path=: set it"),
        (RequestError("--to here: name another directory"), "--to here: name another directory"),
        (WARMUP, "warmup=9: must be shorter than epochs=5; see floor"),
    ],
)
def test_the_text_is_the_key_the_value_and_the_message(error: RequestError, text: str) -> None:
    assert str(error) == text
    assert isinstance(error, ValueError)


def test_its_parts_can_be_asked_for() -> None:
    assert (LR.key, LR.value, LR.message) == ("lr", "-0.1", "the learning rate must be positive")
    plain = RequestError("nothing to do")
    assert (plain.key, plain.value, plain.message) == (None, None, "nothing to do")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LR.under("optimizer"), "optimizer.lr=-0.1: the learning rate must be positive"),
        (LR.under("dense").under("layers.0").under("model"), "model.layers.0.dense.lr=-0.1: the learning rate must be"),
        (
            RequestError("it is wrong", key="epochs").under("model", epochs="trainer.epochs"),
            "model.epochs: it is wrong",
        ),
        (RequestError("there is one class only").under("model"), "model: there is one class only"),
        (
            WARMUP.under("schedule", epochs="trainer.epochs"),
            "schedule.warmup=9: must be shorter than trainer.epochs=5; see schedule.floor",
        ),
        (RequestError("lr=0.1 is mentioned", key="lr").under("a"), "a.lr: lr=0.1 is mentioned"),
    ],
)
def test_under_a_group_all_keys_are_full_names(error: RequestError, text: str) -> None:
    assert str(error).startswith(text)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LR.renamed(lr="learning_rate_init"), "learning_rate_init=-0.1: the learning rate must be positive"),
        (LR.renamed(epochs="max_iter"), str(LR)),
        (WARMUP.renamed(epochs="max_iter"), "warmup=9: must be shorter than max_iter=5; see floor"),
        (RequestError("no", key="layer.units", value=0).renamed(layer="layers.2"), "layers.2.units=0: no"),
        (RequestError("layer is a word").renamed(layer="layers.2"), "layer is a word"),
    ],
)
def test_keys_can_have_other_names_elsewhere(error: RequestError, text: str) -> None:
    assert str(error) == text


def test_more_can_be_said_after_the_message() -> None:
    longer = LR.extended("; 0.1 is usual").under("optimizer")
    assert str(longer) == "optimizer.lr=-0.1: the learning rate must be positive; 0.1 is usual"
    assert (
        str(WARMUP.extended("!").renamed(epochs="max_iter")) == "warmup=9: must be shorter than max_iter=5; see floor!"
    )


def test_a_changed_error_is_a_new_one() -> None:
    text = str(WARMUP)
    WARMUP.under("schedule")
    WARMUP.renamed(epochs="max_iter")
    WARMUP.extended("; more")
    assert str(WARMUP) == text


def pickled(error: RequestError) -> RequestError:
    same: RequestError = pickle.loads(pickle.dumps(error))  # noqa: S301
    return same


@pytest.mark.parametrize("again", [pickled, copy.copy])
@pytest.mark.parametrize(
    "error", [LR, WARMUP, RequestError("no"), RequestError("no function", key="activation", value=lambda: None)]
)
def test_an_error_comes_whole_from_another_process(error: RequestError, again) -> None:  # type: ignore[no-untyped-def]
    same = again(error)
    assert (str(same), same.key, same.value, same.message) == (str(error), error.key, error.value, error.message)
    assert str(same.under("group", epochs="trainer.epochs")) == str(error.under("group", epochs="trainer.epochs"))


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (errors.number, "3", "must be a number"),
        (errors.number, float("nan"), "must be a number"),
        (errors.positive, 0, "must be positive"),
        (errors.not_negative, -1, "must be zero or more"),
        (errors.fraction, 1, "must be at least 0 and below 1"),
        (lambda key, value: errors.between(key, value, 0, 2), 3, "must be between 0 and 2"),
        (errors.whole, 0, "must be a whole number of 1 or more"),
        (errors.whole, 1.0, "must be a whole number of 1 or more"),
        (lambda key, value: errors.choice(key, value, ["adam", "sgd"]), "adm", "choose one of adam, sgd (did you mean"),
    ],
)
def test_every_check_names_the_key_and_the_value(check, value, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RequestError) as caught:
        check("size", value)
    assert caught.value.key == "size"
    assert caught.value.message.startswith(message)
    shown = repr(value) if value == "3" else f"{value}"
    assert caught.value.value == shown
    assert str(caught.value) == f"size={shown}: {caught.value.message}"


def test_a_near_miss_is_suggested_with_its_group() -> None:
    assert errors.did_you_mean("lrr", ["lr", "momentum"]) == " (did you mean lr?)"
    assert errors.did_you_mean("lrr", ["lr", "momentum"], "optimizer.") == " (did you mean optimizer.lr?)"
    assert errors.did_you_mean("dropout", ["lr", "momentum"], "optimizer.") == ""
