"""Comparing from the first epoch on: values of an epoch that all have reached, and no tests before the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.runs import group, write_run, write_status

from mnistlab.analysis import comparison_table
from mnistlab.analysis.compare import as_json, compare
from mnistlab.runs import progress
from mnistlab.runs.record import read
from mnistlab.system.errors import RequestError

COLUMNS = "epoch,step,lr,train_loss,train_accuracy,val_loss,val_accuracy,grad_norm,seconds\n"


def in_training(name: str, accuracies, *, validation: bool = True, state: str = "interrupted", init: str = ""):
    """Return a run of at most ten epochs that has these accuracies so far; the training accuracy is 0.1 higher."""
    place = Path(name)
    config = {"seed": 0, "trainer": {"epochs": 10}}
    write_run(place, config=config, choices={"init": init or name}, overrides=[f"init={init or name}"], state=state)
    rows = [
        f"{i},{i},0.1,0.5,{value + 0.1},{0.25 if validation else ''},{value if validation else ''},1.0,0.5\n"
        for i, value in enumerate(accuracies, 1)
    ]
    if rows:
        (place / "history.csv").write_text(COLUMNS + "".join(rows))
    return read(place)


def test_runs_are_compared_at_the_last_epoch_that_all_have_reached():
    found = compare([in_training("a", [0.5, 0.75, 0.9]), in_training("b", [0.6, 0.7]), in_training("c", [])])
    assert (found.epoch, found.metric) == (2, "validation.accuracy")
    assert [(one.name, one.values(found.metric)) for one in found.groups] == [
        ("init=a", {0: [0.75]}),
        ("init=b", {0: [0.7]}),
    ]
    assert found.verdicts == ()
    assert comparison_table.text(found) == (
        "init  runs  validation.accuracy (%)  train.accuracy (%)\n"
        "a     1     75.00                    85.00\n"
        "b     1     70.00                    80.00\n"
        "\n"
        "note: no run is completed; these are the values after epoch 2, which all 2 runs in training have reached, "
        "without tests\n"
        "\n"
        "not compared: 1 interrupted\n"
        "\n"
        "unfinished  state        epoch    validation.accuracy (%)\n"
        "a           interrupted  3 of 10  90.00\n"
        "b           interrupted  2 of 10  70.00"
    )


def test_the_first_epoch_of_a_single_run_is_enough():
    found = compare([in_training("a", [0.5])])
    assert found.warnings == (
        "no run is completed; these are the values after epoch 1, which the run in training has reached, without tests",
    )


def test_before_the_first_epoch_there_is_nothing_to_compare():
    with pytest.raises(RequestError, match=r"no run is completed \(1 interrupted\); `mnistlab resume` runs"):
        compare([in_training("a", [])])


def test_without_a_validation_set_it_is_the_training_accuracy():
    found = compare([in_training("a", [0.5], validation=False), in_training("b", [0.6], validation=False)])
    assert found.metric == "train.accuracy"
    assert found.groups[0].name == "init=b"


def test_beside_completed_runs_the_others_are_listed_with_their_epoch():
    found = compare([*group({"init": "x"}, [0.9, 0.91]), in_training("a", [0.5, 0.6])])
    assert [len(one.records) for one in found.groups] == [2]
    text = comparison_table.text(found)
    assert "not compared: 1 interrupted" in text
    assert text.endswith("a           interrupted  2 of 10  60.00")
    (training,) = as_json(found)["training"]
    assert training == {
        "run": str(Path("a")),
        "epoch": 2,
        "epochs": 10,
        "metrics": {"train": {"loss": 0.5, "accuracy": 0.7}, "validation": {"loss": 0.25, "accuracy": 0.6}},
    }


def test_test_results_of_unfinished_runs_do_not_exist():
    with pytest.raises(RequestError, match=r"--metric test.accuracy: must be train, validation or test with one of"):
        compare([in_training("a", [0.5])], "test.accuracy")
    with pytest.raises(RequestError, match=r"--best-over x: no run is completed; wait for test results"):
        compare([in_training("b", [0.5])], best_over=("x",))


@pytest.mark.parametrize("state", ["failed", "completed", "pending"])
def test_only_a_run_that_goes_on_has_a_progress(state):
    assert progress.read(in_training("a", [0.5], state=state)) is None


def test_a_history_that_is_damaged_is_no_progress():
    run = in_training("a", [0.5])
    Path("a/history.csv").write_text("epoch,val_accuracy\n1,many\n")
    assert progress.read(run) is None
    Path("a/history.csv").unlink()
    write_status(Path("a"), "interrupted")
    assert progress.read(read(Path("a"))) is None
