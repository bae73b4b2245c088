"""Which settings tell runs apart: as few as a reader needs."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistlab.system.flatten import as_text, deciding_settings, flat, varying


def test_a_nested_configuration_is_flattened_and_lists_are_values():
    content = {"seed": 1, "model": {"hidden": [64, 32], "act": {"elu": {"alpha": 1.0}}}, "augment": {}}
    assert list(flat(content)) == [
        ("seed", 1),
        ("model.hidden", [64, 32]),
        ("model.act.elu.alpha", 1.0),
        ("augment", {}),
    ]


def test_what_a_run_is_told_is_its_choices_then_its_values_without_seed_report_threads_and_hydra():
    content = {
        "seed": 3,
        "report": {"plots": "none"},
        "trainer": {"epochs": 2, "threads": 4},
        "optimizer": {"lr": 0.1},
    }
    choices = {"optimizer": "sgd", "report": "default", "hydra/launcher": "joblib"}
    found = deciding_settings(content, choices)
    assert list(found.items()) == [
        *(("optimizer", "sgd"), ("trainer.epochs", 2), ("optimizer.lr", 0.1)),
        *(("trainer.ema", 0.0), ("trainer.swa", None)),  # keys that a run of the first release does not have
    ]


SGD = {"optimizer": "sgd", "optimizer.lr": 0.1, "optimizer.momentum": 0.0}
ADAM = {"optimizer": "adam", "optimizer.lr": 0.001, "optimizer.beta1": 0.9}


@pytest.mark.parametrize(
    ("settings", "overridden", "keys"),
    [
        ([SGD], [], []),
        ([SGD, SGD], ["optimizer.lr"], []),
        # an option stands for all that its YAML says
        ([SGD, ADAM], [], ["optimizer"]),
        ([SGD, ADAM], ["optimizer"], ["optimizer"]),
        # a value that says more than the option
        ([SGD, ADAM, {**ADAM, "optimizer.lr": 0.01}], [], ["optimizer", "optimizer.lr"]),
        # what was typed always stands, and first
        ([SGD, ADAM], ["optimizer.lr"], ["optimizer.lr"]),
        ([SGD, ADAM, {**ADAM, "optimizer.lr": 0.1}], ["optimizer.lr"], ["optimizer.lr", "optimizer"]),
        ([SGD, ADAM], ["optimizer.lr", "optimizer"], ["optimizer.lr", "optimizer"]),
        # of two keys that say the same, the first
        ([{"a.x": 1, "b.y": 1}, {"a.x": 2, "b.y": 2}], [], ["a.x"]),
        # a group goes before a value, wherever it stands
        ([{"a.x": 1, "b": "p"}, {"a.x": 2, "b": "q"}], [], ["b"]),
        # lists are compared as a whole; a key that one of them lacks differs
        ([{"model.hidden": [64]}, {"model.hidden": [64, 32]}], [], ["model.hidden"]),
        ([{"m.x": 1}, {}], [], ["m.x"]),
    ],
)
def test_the_fewest_keys_that_tell_settings_apart(settings, overridden, keys):
    assert varying(settings, overridden) == keys


cells = st.sampled_from([0, 1, 2.5, "a", [1, 2], None, True])
tables = st.lists(st.dictionaries(st.sampled_from(["g", "h", "g.x", "g.y", "h.z"]), cells), min_size=1, max_size=6)


@given(tables)
@settings(deadline=None)
def test_the_keys_tell_apart_all_that_differ(settings):
    def by(keys):
        return {tuple(as_text(one.get(key)) for key in keys) for one in settings}

    keys = varying(settings)
    assert len(by(keys)) == len(by(["g", "h", "g.x", "g.y", "h.z"]))
    assert all(len(by([key])) > 1 for key in keys)
    assert all(len(by(keys[:i])) < len(by(keys[: i + 1])) for i in range(len(keys)))  # none is in vain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("sgd", "sgd"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.3"),
        (1e-05, "1e-05"),
        (64, "64"),
        (True, "true"),
        (None, "null"),
        ([64, 32], "[64,32]"),
        ([], "[]"),
        ({"leaky_relu": {"slope": 0.1}}, "{leaky_relu:{slope:0.1}}"),
        ([["relu", None]], "[[relu,null]]"),
    ],
)
def test_values_are_written_as_one_would_type_them(value, text):
    assert as_text(value) == text


@given(st.floats(-1e6, 1e6).map(lambda x: float(f"{x:.9g}")) | st.booleans() | st.integers() | st.none())
@settings(deadline=None)
def test_what_is_written_reads_back_as_the_same_value(value):
    read = yaml.safe_load(as_text(value))
    assert (float(read) if isinstance(value, float) else read) == value


@given(st.recursive(st.integers(), lambda inner: st.lists(inner, max_size=3), max_leaves=8))
@settings(deadline=None)
def test_lists_are_written_as_json_without_spaces(value):
    assert as_text(value) == json.dumps(value, separators=(",", ":"))
