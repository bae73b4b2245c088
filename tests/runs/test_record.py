"""Runs as records: what is read of their files, and which of them make one group."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from helpers.runs import group, record, write_manifest, write_run

from mnistlab.runs.record import grouped, metrics_of, read
from mnistlab.sweeps import records
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import look_up

SGD = ({"optimizer": {"lr": 0.1, "momentum": 0.0}}, {"optimizer": "sgd", "hydra/launcher": "basic"})
ADAM = ({"optimizer": {"lr": 0.001, "beta1": 0.9}}, {"optimizer": "adam", "hydra/launcher": "joblib"})


def names(found):
    return [one.name for one in grouped(found)]


def test_a_run_is_read():
    write_run(Path("run"), 0.9, config={"seed": 3, **SGD[0]}, choices=SGD[1], overrides=["optimizer=sgd", "+x.y=1"])
    found = read(Path("run"))
    assert (found.directory, found.state.state, found.seed) == (Path("run"), "completed", 3)
    assert found.settings == {"optimizer": "sgd", "optimizer.lr": 0.1, "optimizer.momentum": 0.0}
    assert found.overridden == ("optimizer", "x.y")
    assert found.value("validation.accuracy") == 0.9
    assert found.value("test.macro.f1") == 0.75


@pytest.mark.parametrize("metric", ["test.nothing", "nothing", "test", "test.accuracy.deeper", ""])
def test_a_metric_that_a_run_lacks_is_not_a_number(metric):
    assert math.isnan(record(0, 0.5).value(metric))


def test_a_metric_that_is_no_number_is_none():
    assert math.isnan(record(0, 0.5, stopped_early=True).value("stopped_early"))
    assert math.isnan(record(0, 0.5, word="high").value("word"))


def test_damaged_settings_are_no_settings():
    write_run(Path("run"))
    Path("run/.hydra/config.yaml").write_text("{")
    Path("run/.hydra/hydra.yaml").write_text("[1, 2]")
    Path("run/.hydra/overrides.yaml").unlink()
    found = read(Path("run"))
    assert (found.seed, found.settings, found.overridden) == (None, {}, ())


@pytest.mark.parametrize("seed", ["three", None, [1]])
def test_a_seed_is_a_number_or_unknown(seed):
    write_run(Path("run"), config={"seed": seed})
    assert read(Path("run")).seed is None


@pytest.mark.parametrize("content", ["", "{", "\x00", "[]", "{}", None])
def test_a_completed_run_with_damaged_metrics_has_failed_and_can_be_run_again(content):
    write_run(Path("run"))
    Path("run/metrics.json").unlink()
    if content is not None:
        Path("run/metrics.json").write_text(content)
    found = read(Path("run"))
    assert (found.state.state, found.metrics) == ("failed", {})
    assert found.state.error.startswith("metrics.json is damaged (")


def test_metrics_of_a_run_that_is_not_completed_are_not_read():
    write_run(Path("run"), state="failed", error="it diverged")
    Path("run/metrics.json").write_text("{")
    found = read(Path("run"))
    assert (found.state.state, found.state.error, found.metrics) == ("failed", "it diverged", {})


def test_of_a_job_that_has_not_begun_the_manifest_knows_settings_and_seed():
    write_manifest(Path("sweep"), [{"optimizer": "sgd", "seed": 5}])
    (found,) = records.of_sweep(Path("sweep"))
    assert (found.state.state, found.seed) == ("pending", 5)
    assert found.settings == {"optimizer": "sgd"}
    assert found.overridden == ("optimizer", "seed")


def test_runs_and_sweeps_are_read_each_run_once():
    write_manifest(Path("sweep"), [{"seed": 0}, {"seed": 1}])
    for i in (0, 1):
        write_run(Path(f"sweep/{i}"), config={"seed": i})
    write_run(Path("alone"), config={"seed": 7})
    found = records.of_paths(["sweep", "alone", "sweep/1", "./alone/"])
    assert [one.seed for one in found] == [0, 1, 7]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "nowhere: no such directory; name runs or sweeps"),
        ("file", "file: no such directory; name runs or sweeps"),
        ("empty", "empty: neither a run directory (status.json) nor a sweep directory (sweep.json)"),
    ],
)
def test_paths_without_runs_are_refused(path, message):
    Path("file").write_text("")
    Path("empty").mkdir()
    with pytest.raises(RequestError, match=f"^{re.escape(message)}$"):
        records.of_paths([path])


def test_runs_that_differ_by_their_seed_only_are_one_group():
    (one,) = grouped(group({"init": "kaiming"}, [0.9, 0.8, 0.7]))
    assert one.name == ""
    assert one.values("validation.accuracy") == {0: [0.9], 1: [0.8], 2: [0.7]}


def test_seed_report_tracking_threads_and_launcher_tell_no_runs_apart():
    for i, (threads, launcher) in enumerate([(1, "basic"), (4, "joblib")]):
        write_run(
            Path(f"{i}"),
            config={
                "seed": i,
                "report": {"plots": f"{i}"},
                "tracking": {"file": f"{i}"},
                "trainer": {"threads": threads},
            },
            choices={"hydra/launcher": launcher, "report": f"{i}", "tracking": f"{i}"},
            overrides=[
                f"seed={i}",
                f"report.plots={i}",
                f"trainer.threads={threads}",
                f"tracking={i}",
                f"hydra/launcher={launcher}",
            ],
        )
    assert names(records.of_paths(["0", "1"])) == [""]


def test_options_make_one_column_and_not_one_for_each_key_they_imply():
    for name, (config, choices) in {"a": SGD, "b": ADAM}.items():
        write_run(Path(name), config=config, choices=choices, overrides=[f"optimizer={choices['optimizer']}"])
    assert names(records.of_paths(["a", "b"])) == ["optimizer=sgd", "optimizer=adam"]


def test_an_option_that_was_not_typed_is_seen_all_the_same():
    write_run(Path("a"), config=SGD[0], choices=SGD[1], overrides=["optimizer=sgd"])
    write_run(Path("b"), config=ADAM[0], choices=ADAM[1])  # the default
    assert names(records.of_paths(["a", "b"])) == ["optimizer=sgd", "optimizer=adam"]


def test_runs_of_different_sweeps_are_grouped_by_what_differs_between_them():
    # one sweep over seeds with 0.1, one over two rates: 0.1 is the same group
    write_manifest(Path("first"), [{"seed": 0}, {"seed": 1}])
    write_manifest(Path("second"), [{"optimizer.lr": 0.1, "seed": 2}, {"optimizer.lr": 0.5, "seed": 2}])
    for path, seed, lr in [("first/0", 0, 0.1), ("first/1", 1, 0.1), ("second/0", 2, 0.1), ("second/1", 2, 0.5)]:
        write_run(Path(path), config={"seed": seed, "optimizer": {"lr": lr}}, choices={"optimizer": "sgd"})
    found = grouped(records.of_paths(["first", "second"]))
    assert [(one.name, [r.seed for r in one.records]) for one in found] == [
        ("optimizer.lr=0.1", [0, 1, 2]),
        ("optimizer.lr=0.5", [2]),
    ]


def test_lists_are_values():
    for i, hidden in enumerate([[64], [64, 32], [64]]):
        write_run(Path(str(i)), config={"seed": i, "model": {"hidden": hidden}})
    found = grouped(records.of_paths(["0", "1", "2"]))
    assert [(one.name, len(one.records)) for one in found] == [("model.hidden=[64]", 2), ("model.hidden=[64,32]", 1)]


def test_a_key_that_only_some_runs_have_is_null_in_the_others():
    write_run(Path("a"), config={"model": {"dropout": 0.5}})
    write_run(Path("b"), config={})
    assert names(records.of_paths(["a", "b"])) == ["model.dropout=0.5", "model.dropout=null"]


def test_values_leave_out_what_is_not_finite():
    infinite = record(2, math.inf, {})
    (one,) = grouped([record(0, 0.5), record(1, math.nan), infinite])
    assert one.values("validation.accuracy") == {0: [0.5]}


def test_a_seed_that_is_there_twice_counts_once_and_runs_without_a_seed_count_each():
    (one,) = grouped([record(0, 0.5), record(0, 0.25), record(None, 0.75), record(None, 0.5)])
    assert one.values("validation.accuracy") == {0: [0.375], None: [0.75, 0.5]}
    assert one.repeats == 1


def test_several_options_of_a_group_are_called_as_they_were_written():
    write_run(Path("run"), config={"regularization": {"l2": 1e-4, "l1": 0}}, overrides=["regularization=[l2,dropout]"])
    assert read(Path("run")).settings["regularization"] == "[l2,dropout]"


def test_metrics_are_the_numbers_of_the_parts_without_counts_and_classes():
    scores = {"n": 5, "correct": 4, "accuracy": 0.8, "roc_auc": {"macro": 0.9, "per_class": {"a": 1.0}}, "note": "x"}
    found = [record(0, 0.5, test=scores), record(1, 0.5, test={}, train={"loss": 1}, parameters=9)]
    assert metrics_of(found) == [
        "validation.accuracy",
        "test.accuracy",
        "test.roc_auc.macro",
        "train.loss",
        "parameters",
    ]


def test_a_setting_inside_a_list_is_found_there():
    write_manifest(Path("sweep"), [{"model.layers.0.conv.filters": 8}])
    write_run(Path("sweep/0"), config={"model": {"layers": [{"conv": {"filters": 8}}]}})
    (found,) = records.of_sweep(Path("sweep"))
    assert look_up(found.settings, "model.layers.0.conv.filters") == 8
    assert look_up(found.settings, "model.layers.0.conv.kernel") is None
    assert look_up(found.settings, "model.layers.1.conv.filters") is None
