"""Conditions on the settings of a point: their grammar, their values, and what is wrong with others."""

from __future__ import annotations

from typing import Any

import pytest

from mnistlab.sweeps.condition import ABSENT, parse
from mnistlab.system.errors import RequestError

POINT = {
    "optimizer": "adam", "optimizer.lr": 0.01, "trainer.batch_size": 32, "trainer.patience": None, "seed": 3,
    "model.hidden": [64, 32], "data.stratify": True, "experiment": "oxford/svm_rbf", "regularization": "[l2,dropout]",
}  # fmt: skip


def holds(text: str) -> bool:
    def look_up(key: str) -> Any:
        return POINT.get(key, ABSENT)

    return parse(text)(look_up)


@pytest.mark.parametrize(
    "text",
    [
        "optimizer=adam",
        "optimizer == adam",
        "optimizer='adam'",
        "optimizer!=sgd",
        "optimizer.lr>0.005",
        "optimizer.lr=1e-2",
        "optimizer.lr<=.01",
        "trainer.batch_size>=32.0",
        "seed in 1,2,3",
        "seed in (3, 4)",
        "optimizer in sgd,adam",
        "model.hidden=[64,32]",
        "model.hidden=[64, 32]",
        "data.stratify=true",
        "trainer.patience=null",
        "experiment=oxford/svm_rbf",
        "regularization=[l2,dropout]",
        "not optimizer=sgd",
        "optimizer=sgd or seed=3",
        "optimizer=sgd and seed=4 or seed=3",
        "(optimizer=sgd or optimizer=adam) and seed=3",
        "not (optimizer=sgd or seed=4)",
        "not not seed=3",
    ],
)
def test_what_holds(text: str) -> None:
    assert holds(text)
    assert not holds(f"not ({text})")


@pytest.mark.parametrize(
    "text",
    [
        "optimizer=sgd or optimizer=adam and seed=4",  # and binds more closely
        "trainer.patience>1",  # null is no number
        "optimizer>1",
        "optimizer.momentum=0.9",  # a key that the point does not have
        "optimizer.momentum!=0.9",
        "model.hidden=[64]",
    ],
)
def test_what_does_not_hold(text: str) -> None:
    assert not holds(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it ends where a key is expected"),
        ("optimizer", "it ends where a comparison is expected"),
        ("optimizer=", "it ends where a value is expected"),
        ("optimizer adam", "optimizer is not followed by one of <= >= != == = < > in"),
        ("optimizer=adam seed=1", "'seed' is one word too many"),
        ("optimizer=adam and", "it ends where a key is expected"),
        ("(seed=1", "a bracket is not closed"),
        ("optimizer.lr>high", "optimizer.lr>high compares with a name; > needs a number"),
        ("seed=and", "'and' is in place of a value"),
        ("3<seed", "'3' is not a key"),
        ("seed!1", "'!' is not understood"),
        ("seed=1 && init=random", "'&&' is one word too many"),
    ],
)
def test_what_is_wrong_is_said(text: str, reason: str) -> None:
    with pytest.raises(RequestError) as error:
        parse(text)
    cure = "must be a condition, for example 'optimizer=adam and optimizer.lr>0.01', in quotes"
    assert str(error.value) == f"--exclude {text}: {reason}; {cure}"
