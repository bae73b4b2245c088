"""The rows of the table: what changes is sent, and nothing else; damage is said; groups are those of `compare`."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import write_run, write_status

from mnistlab.board import table as table_module
from mnistlab.board.table import Table, as_json, is_setting
from mnistlab.runs import labels
from mnistlab.system import locks
from mnistlab.system.errors import RequestError


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the files at every question."""
    monkeypatch.setattr(table_module, "PERIOD", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, rate in enumerate((0.1, 0.1, 0.2)):
        config = {"seed": i, "optimizer": {"lr": rate}}
        write_run(tmp_path / "runs" / f"r{i}", 0.9 + i / 100, config=config, overrides=[f"optimizer.lr={rate}"])
    return tmp_path / "runs"


@pytest.fixture
def table(folder: Path) -> Iterator[Table]:
    one = Table(folder)
    yield one
    one.close()


def rows(table: Table, since: int = 0) -> dict[str, Any]:
    return {entry.path: entry for entry in table.changes(since).entries}


def test_every_run_is_a_row_with_its_settings_and_metrics(table: Table) -> None:
    entries = rows(table)
    assert sorted(entries) == ["r0", "r1", "r2"]
    assert sorted(entry.number for entry in entries.values()) == [1, 2, 3]
    plain = as_json(entries["r2"], ["optimizer.lr", "validation.accuracy", "absent"])
    assert plain[1:3] == ["r2", "completed"]
    assert plain[-1] == [0.2, pytest.approx(0.92), None]


def test_runs_that_differ_by_seed_only_are_one_group(table: Table) -> None:
    groups = {path: entry.group for path, entry in rows(table).items()}
    assert groups["r0"] == groups["r1"] != groups["r2"]


def test_only_what_has_changed_is_sent(table: Table, folder: Path) -> None:
    first = table.changes(0)
    assert [table.changes(first.version).entries, table.changes(first.version).gone] == [[], []]
    time.sleep(0.01)
    labels.write(folder / "r1", labels.Labels(("week3",), ""))
    second = table.changes(first.version)
    assert [(entry.path, entry.row.tags) for entry in second.entries] == [("r1", ("week3",))]
    shutil.rmtree(folder / "r0")
    third = table.changes(second.version)
    assert (third.entries, third.gone) == ([], [rows_number(first, "r0")])
    write_run(folder / "new", 0.5)
    fourth = table.changes(third.version)
    assert [(entry.path, entry.number) for entry in fourth.entries] == [("new", 4)]
    assert len(table.changes(10**9).entries) == 3  # a version of another server is before everything


def rows_number(changes: Any, path: str) -> int:
    return next(entry.number for entry in changes.entries if entry.path == path)


def test_a_running_run_shows_how_far_it_is(table: Table, folder: Path) -> None:
    run = write_run(folder / "live", state="running", config={"seed": 0, "trainer": {"epochs": 10}})
    header = "epoch,step,lr,train_loss,train_accuracy,val_loss,val_accuracy,grad_norm,seconds\n"
    with locks.held(run):
        before = table.changes(0)
        (run / "history.csv").write_text(header + "1,5,0.1,2.0,0.5,1.75,0.5,1,2.0\n2,10,0.1,1.5,0.5,1.25,0.75,1,4.0\n")
        (entry,) = [each for each in table.changes(before.version).entries if each.path == "live"]
        assert entry.progress is not None
        assert {key: entry.progress[key] for key in ("epoch", "epochs", "train_loss", "val_loss", "val_accuracy")} == {
            "epoch": 2, "epochs": 10, "train_loss": 1.5, "val_loss": 1.25, "val_accuracy": 0.75,
        }  # fmt: skip
        # eight more epochs of (2 + 4) / 2 seconds, after the last one was written
        assert entry.progress["ends"] == pytest.approx((run / "history.csv").stat().st_mtime + 24, abs=0.1)
    (killed,) = [each for each in table.changes(0).entries if each.path == "live"]
    assert (killed.row.state, killed.progress) == ("killed", None)


@pytest.mark.parametrize(
    ("name", "content", "state", "says"),
    [
        ("status.json", "{", "failed", "status.json is damaged"),
        ("metrics.json", "{", "failed", "metrics.json is damaged"),
        ("metrics.json", "[]", "failed", "metrics.json is damaged"),
    ],
)
def test_a_damaged_run_is_a_row_that_says_so(
    table: Table, folder: Path, name: str, content: str, state: str, says: str
) -> None:
    (folder / "r0" / name).unlink()
    (folder / "r0" / name).write_text(content)
    entry = rows(table)["r0"]
    assert entry.row.state == state
    assert entry.row.error is not None
    assert says in entry.row.error


def test_text_that_no_page_can_show_is_replaced(table: Table, folder: Path) -> None:
    write_run(folder / "a\x1b[31m\u202eb", 0.5, state="failed", error="\x00 <script>alert(1)</script>")
    entry = rows(table)["a\x1b[31m\u202eb"]
    plain = json.dumps(as_json(entry, []), ensure_ascii=False)
    assert "a\ufffd[31m\ufffdb" in plain
    assert "\ufffd <script>alert(1)</script>" in plain


def test_filters_are_those_of_mnistlab_runs(table: Table) -> None:
    numbers = {path: entry.number for path, entry in rows(table).items()}
    assert set(table.matching(["optimizer.lr<0.15"])) == {numbers["r0"], numbers["r1"]}
    assert table.matching(["optimizer.lr=0.2 state=completed"]) == [numbers["r2"]]
    with pytest.raises(RequestError, match=r"did you mean optimizer\.lr"):
        table.matching(["optimizer.lt=0.2"])


def test_a_run_that_is_gone_is_named_as_such(table: Table) -> None:
    with pytest.raises(RequestError, match="run 99: there is no such run"):
        table.entry(99)


def test_an_empty_folder_and_one_that_is_made_later(tmp_path: Path) -> None:
    table = Table(tmp_path / "later")
    assert rows(table) == {}
    write_run(tmp_path / "later" / "one", 0.5)
    assert list(rows(table)) == ["one"]
    table.close()


def test_the_index_may_be_removed_or_damaged_meanwhile(table: Table, folder: Path) -> None:
    assert len(rows(table)) == 3
    (folder / ".runs.sqlite3").unlink(missing_ok=True)
    assert len(rows(table)) == 3
    write_status(folder / "r0", "failed", error="late")
    assert rows(table)["r0"].row.state == "failed"


def test_settings_are_told_from_metrics() -> None:
    assert [key for key in ("optimizer.lr", "model", "trainer.epochs") if not is_setting(key)] == []
    assert [
        key for key in ("train.loss", "test.macro.f1", "parameters", "seed", "report.plots") if is_setting(key)
    ] == []


def test_ten_thousand_rows_are_sent_once_and_then_only_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows come from the index, so that files need not exist for this."""
    from mnistlab.runs import index

    about = {"seed": 1, "changed": [], "tags": [], "note": "", "error": None, "values": {"optimizer.lr": 0.1}}
    records = {f"r{i}": ("completed", float(i), 1.0, json.dumps({**about, "seed": i})) for i in range(10_000)}
    monkeypatch.setattr(index.Index, "records", lambda self: records)
    monkeypatch.setattr(table_module, "_with_damage", lambda row: row)
    table = Table(tmp_path)
    started = time.perf_counter()
    first = table.changes(0)
    assert len(first.entries) == 10_000
    again = time.perf_counter()
    assert table.changes(first.version).entries == []
    assert time.perf_counter() - again < 0.5 * max(0.2, again - started) + 0.2
    records["r5"] = ("failed", 5.0, 1.0, json.dumps({**about, "error": "late"}))
    assert [entry.path for entry in table.changes(first.version).entries] == ["r5"]
    table.close()


def test_a_name_that_is_not_utf_8_is_a_row_like_any_other(table: Table, folder: Path, command: Any) -> None:
    name = os.fsdecode(b"bad\xff\xfename")
    write_run(folder / name, 0.5)
    entry = rows(table)[name]
    assert as_json(entry, [])[1] == "bad\ufffd\ufffdname"
    assert entry.row.directory == folder / name
    assert entry.number in table.matching(["path~bad"])
    result = command("runs", "--in", str(folder), "--json")
    assert result.status == 0, result.err
    assert len(json.loads(result.out)["runs"]) == 4
    shutil.rmtree(folder / name)
    assert table.changes(0).gone == [entry.number]
