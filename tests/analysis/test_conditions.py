"""``--where``: runs by their settings and never by their results."""

from __future__ import annotations

import re

import pytest
from helpers.runs import group

from mnistlab.analysis.compare import compare
from mnistlab.analysis.conditions import meeting
from mnistlab.system.errors import RequestError

RUNS = [
    one
    for init in ("kaiming", "random", "random_normal")
    for lr in (0.01, 0.1, 1.0)
    for one in group({"init": init, "o.lr": lr, "m.hidden": [64, 32]}, [0.5, 0.6])
]


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("init=kaiming", 6),
        ("init=kaiming,random", 12),
        ("init=random*", 12),
        ("init!=random", 12),
        ("init~NORMAL", 6),
        ("o.lr=0.1", 6),
        ("o.lr=1e-1", 6),
        ("o.lr<=0.1", 12),
        ("o.lr>0.1", 6),
        ("o.lr<0.1 init=kaiming", 2),
        ("seed=1", 9),
        ("seed>=0", 18),
        ("m.hidden=[64,32]", 18),
        ("m.hidden=[64,32],[8]", 18),
        ("init=kaiming o.lr=0.01,0.1 seed=0", 2),
    ],
)
def test_runs_are_chosen_by_settings(where, count):
    assert len(meeting(RUNS, where)) == count


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("init", "--where init: not a filter; must be a key, one of"),
        ("init=", "--where init=: the value is missing"),
        ("intt=kaiming", "--where intt=kaiming: no run has this setting (did you mean init?)"),
        ("o.lr<a", "--where o.lr<a: must be compared with a number"),
        ("o.lr=0.5", "--where o.lr=0.5: no run meets it; o.lr is 0.01, 0.1, 1"),
        ("test.accuracy>0.5", "--where test.accuracy>0.5: must be a setting; choosing by results biases tests"),
        ("validation.loss<1", "--where validation.loss<1: must be a setting; choosing by results biases tests"),
    ],
)
def test_a_wrong_condition_is_one_line(where, message):
    with pytest.raises(RequestError, match="^" + re.escape(message)):
        meeting(RUNS, where)


def test_what_is_not_chosen_is_not_compared():
    found = compare(RUNS, where="init=kaiming,random o.lr=0.1")
    assert [one.name for one in found.groups] == ["init=kaiming", "init=random"]
    assert found.left_out == ()
