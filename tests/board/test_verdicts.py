"""The verdicts under a chart are those of `mnistlab compare`, and no two groups are drawn without one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.runs import KAIMING, RANDOM, write_run, write_status, write_until_decided

from mnistlab.analysis.compare import as_json, compare
from mnistlab.board.board import Board
from mnistlab.board.curves import COLUMNS, Curves, thinned
from mnistlab.board.verdicts import record_of
from mnistlab.runs import index, record
from mnistlab.runs.run_file import write as write_run_file
from mnistlab.statistics.sequential import Design
from mnistlab.sweeps import records
from mnistlab.system import locks
from mnistlab.system.errors import RequestError


@pytest.fixture
def board(trained: Path) -> Iterator[Board]:
    one = Board(trained)
    yield one
    one.close()


def test_what_is_read_of_a_run_is_what_compare_reads(trained: Path) -> None:
    runs = list(index.find(trained))
    assert len(runs) == 8
    for run in runs:
        expected = record.read(run)
        deciding = tuple(key for key in expected.overridden if record.decides(key))
        assert record_of(run) == replace(expected, overridden=deciding)


def test_a_run_without_run_json_is_read_from_its_configuration(lab: Path) -> None:
    for name in ("run.json", "status.json", "metrics.json"):
        (lab / "cnn" / name).write_text("{")
        assert record_of(lab / "cnn") == record.read(lab / "cnn")


def test_the_verdicts_are_those_of_compare(board: Board, trained: Path) -> None:
    entries = [entry for entry in board.table.changes(0).entries if entry.path.startswith("lr/")]
    found = board.verdicts.of(entries)
    expected = as_json(compare(records.of_paths([str(trained / entry.path) for entry in entries])))
    assert [verdict["text"] for verdict in found["verdicts"]] == [verdict["text"] for verdict in expected["verdicts"]]
    assert len(found["verdicts"]) == 1
    assert "paired t" in found["verdicts"][0]["text"]
    names = [group["name"] for group in found["groups"]]
    assert names == [group["name"] for group in expected["groups"]]
    assert set(names) == {"optimizer.lr=0.01", "optimizer.lr=0.1"}
    of_group = {board.table.entry(number).path for number in found["groups"][names.index("optimizer.lr=0.1")]["runs"]}
    assert of_group == {"lr/0.1_0", "lr/0.1_1", "lr/0.1_2"}
    assert str(trained) not in json.dumps(found)


def test_metric_baseline_and_margin_are_those_of_the_command(board: Board) -> None:
    entries = [entry for entry in board.table.changes(0).entries if entry.path.startswith("lr/")]
    question = "test.loss", "optimizer.lr=0.1", 5.0
    found = board.verdicts.of(entries, *question)
    expected = compare([record_of(entry.row.directory) for entry in entries], *question)
    assert found["metric"] == "test.loss"
    assert [verdict["text"] for verdict in found["verdicts"]] == [verdict.text for verdict in expected.verdicts]
    assert "within 5" in found["verdicts"][0]["text"]
    with pytest.raises(RequestError, match=r"--metric test\.lost: must be"):
        board.verdicts.of(entries, "test.lost")


def many(folder: Path, groups: int) -> Board:
    for i in range(groups):
        for seed in range(3):
            config = {"seed": seed, "optimizer": {"lr": i + 1}}
            run = write_run(
                folder / f"g{i}s{seed}", 0.5 + i / 1000 + seed / 5000, config=config, overrides=["optimizer.lr=1"]
            )
            write_run_file(run)
    return Board(folder)


def test_too_many_groups_are_compared_with_the_best(tmp_path: Path) -> None:
    board = many(tmp_path, 22)  # 231 pairs
    found = board.verdicts.of(board.table.changes(0).entries)
    assert (len(found["groups"]), len(found["verdicts"])) == (22, 21)
    assert all("optimizer.lr=22" in (verdict["first"], verdict["second"]) for verdict in found["verdicts"])
    assert (found["against_best"], found["untested"]) == (True, False)
    board.close()


def test_a_sweep_that_added_seeds_is_judged_by_its_design_and_a_part_of_it_with_a_warning(tmp_path: Path) -> None:
    design = Design("validation.accuracy", (3, 6), 0.05, None, 0)
    sweep = write_until_decided(tmp_path / "ud", {"a": KAIMING, "b": RANDOM}, design)
    for entry in sweep.entries:
        write_run_file(sweep.place(entry))
    board = Board(tmp_path)
    entries = board.table.changes(0).entries
    found = board.verdicts.of(entries)
    assert "p = 0.062 after Bonferroni for 2 looks" in found["verdicts"][0]["text"]  # 2 . 2 / 2^6
    part = board.verdicts.of([entry for entry in entries if not entry.path.endswith("/0")])
    assert "some seeds were added until a sweep was decided; these tests do not allow for that" in part["warnings"]
    board.close()


def test_groups_of_runs_that_are_training_are_not_tested(tmp_path: Path) -> None:
    board = many(tmp_path, 2)
    for run in tmp_path.iterdir():
        if run.is_dir():
            write_status(run, "interrupted")
    found = board.verdicts.of(board.table.changes(0).entries)
    assert (len(found["groups"]), found["verdicts"], found["untested"]) == (2, [], True)
    assert "no run is completed; these are the values after epoch 2" in found["warnings"][0]
    board.close()


def test_the_comparison_of_runs_that_are_training_goes_on_with_their_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnistlab.board.table.PERIOD", 0)
    board = many(tmp_path, 2)
    runs = [run for run in tmp_path.iterdir() if run.is_dir()]
    with ExitStack() as held:
        for run in runs:
            held.enter_context(locks.held(run))
            write_status(run, "running")
        for epoch in (1, 2):
            for run in runs:
                history = "epoch,train_loss,val_loss,val_accuracy,seconds\n1,1.5,1.25,0.5,1.0\n2,0.5,0.75,0.7,1.0\n"
                (run / "history.csv").write_text("".join(history.splitlines(keepends=True)[: 1 + epoch]))
                os.utime(run / "history.csv", (epoch, epoch))
            found = board.verdicts.of(board.table.changes(0).entries)
            assert f"these are the values after epoch {epoch}" in found["warnings"][0]
    board.close()


SCRIPT = """
const { compared } = await import(process.argv[1]);
const run = (state, epoch) => ({ number: 1, state, progress: epoch ? { epoch } : null });
const same = (a, b) => JSON.stringify(compared(a)) === JSON.stringify(compared(b));
console.log(JSON.stringify([
  same([run("running", null)], [run("running", 1)]), same([run("running", 1)], [run("running", 2)]),
  same([run("running", 1), run("completed")], [run("running", 2), run("completed")]),
  same([run("running", 1)], [run("running", 1)]),
]));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_page_asks_again_after_an_epoch_on_which_the_answer_depends() -> None:
    module = Path(str(resources("mnistlab.board") / "static" / "store.js"))
    line = ["node", "--input-type=module", "-e", SCRIPT, module.as_uri()]
    found = subprocess.run(line, capture_output=True, text=True, check=True, timeout=20)
    assert json.loads(found.stdout) == [False, False, True, True]


def test_runs_that_are_not_completed_are_left_out_and_said(client: Any, own: Any, lab: Path) -> None:
    (lab / "cnn" / "status.json").write_text("{")
    numbers = own.numbers()
    answer = own.post("compare", runs=[numbers["cnn"], numbers["forest"], numbers["lr/0.1_0"]])
    assert answer["left_out"] == [numbers["cnn"]]
    assert own.post("compare", 422, runs=[numbers["cnn"]])["error"].startswith("no run is completed (1 failed)")


# --- curves ---


def decoded(content: dict[str, Any], number: int) -> dict[str, np.ndarray]:
    import base64

    count, text = content["runs"][str(number)]
    values = np.frombuffer(base64.b64decode(text), np.float32).reshape(len(content["columns"]), count)
    return dict(zip(content["columns"], values, strict=True))


def test_curves_are_the_history_with_the_seconds_added_up(client: Any, trained: Path) -> None:
    from mnistlab.system.readers import read_columns

    number = client.numbers()["lr/0.1_0"]
    found = decoded(client.post("curves", runs=[number]), number)
    saved = read_columns(trained / "lr" / "0.1_0" / "history.csv")
    for name in COLUMNS:
        expected = np.cumsum(saved["seconds"]) if name == "seconds" else saved[name]
        np.testing.assert_allclose(found[name], expected, rtol=1e-6)


def test_a_missing_or_damaged_history_has_no_curve(own: Any, lab: Path) -> None:
    numbers = own.numbers()
    (lab / "cnn" / "history.csv").write_text("epoch,train_loss\n1,not a number\n")
    answer = own.post("curves", runs=list(numbers.values()))
    assert set(answer["runs"]) == {str(number) for path, number in numbers.items() if path.startswith("lr/")}


def test_a_history_is_read_again_only_when_it_has_changed(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    curves = Curves()
    entries = [entry for entry in board.table.changes(0).entries if entry.path.startswith("lr/")]
    first = curves.of(entries)
    monkeypatch.setattr("mnistlab.board.curves.read_columns", lambda path: pytest.fail(f"{path} is read again"))
    assert curves.of(entries) == first


def test_long_curves_keep_their_ends() -> None:
    values = np.arange(20, dtype=np.float32).reshape(2, 10)
    assert thinned(values, 4).tolist() == [[0, 3, 6, 9], [10, 13, 16, 19]]
    assert thinned(values, 10) is values
