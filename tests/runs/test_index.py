"""The index of runs: what it lists, filters and sorts, and that the directories are the truth."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import write_run, write_status
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mnistlab.runs import filters as language
from mnistlab.runs import index, labels, paths, query, selection
from mnistlab.runs.index import Index
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text

Command = Callable[..., Any]
NOW = datetime.now(UTC)


def add(
    place: Path,
    age: timedelta,
    accuracy: float = 0.9,
    state: str = "completed",
    lr: float = 0.1,
    model: str = "mlp_1hidden",
) -> Path:
    config = {"seed": 0, "optimizer": {"lr": lr}, "model": {"hidden": [64, 32], "activation": "relu"}}
    overrides = [f"optimizer.lr={lr}", f"model={model}"]
    run = write_run(place, accuracy, state=state, config=config, choices={"model": model}, overrides=overrides)
    write_status(run, state, started=(NOW - age).isoformat(), error="lost" if state == "failed" else None)
    return run


@pytest.fixture
def outputs() -> Path:
    """Five runs, the newest first: a, b (failed), sweep/0, sweep/1, old."""
    root = Path("outputs")
    add(root / "2026-11-21" / "a", timedelta(hours=1), 0.97)
    add(root / "2026-11-21" / "b", timedelta(hours=2), state="failed", lr=30.0)
    add(root / "multirun" / "s" / "0", timedelta(hours=3), 0.91, lr=0.01, model="lenet5")
    add(root / "multirun" / "s" / "1", timedelta(hours=4), 0.92, lr=0.001, model="lenet_dropout")
    add(root / "old", timedelta(days=9), 0.5)
    labels.write(root / "old", labels.Labels(("draft", "week3"), "to be repeated"))
    return root


def names(root: Path, *filters: str, order: str = "") -> list[str]:
    with closing(Index(root)) as found:
        wanted = query.condition(filters, found)
        by = query.order(order, found, f"--sort {order}") if order else ""
        return [row.directory.name for row in found.rows(wanted.sql, wanted.parameters, by)]


# what there is


def test_all_runs_are_listed_newest_first(outputs: Path) -> None:
    assert names(outputs) == ["a", "b", "0", "1", "old"]


def test_a_run_may_have_the_name_of_a_folder_inside_runs(outputs: Path) -> None:
    add(outputs / "plots", timedelta(0))
    add(outputs / "multirun" / "plots" / "7", timedelta(0))
    assert {"plots", "7"} < {*names(outputs)}
    assert {"plots", "7"} < {path.name for path in index.find(outputs)}


def test_a_row_has_settings_metrics_and_labels(outputs: Path) -> None:
    with closing(Index(outputs)) as found:
        row = found.rows("path = 'old'")[0]
    assert (row.state, row.seed, row.tags, row.note) == ("completed", 0, ("draft", "week3"), "to be repeated")
    assert row.changed == ("optimizer.lr=0.1", "model=mlp_1hidden")
    assert row.values["test.accuracy"] == pytest.approx(0.49)
    assert row.values["optimizer.lr"] == 0.1
    assert row.values["model.hidden"] == "[64,32]"
    assert row.seconds == pytest.approx(1.75)


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (["state=failed"], "b"),
        (["state!=failed"], "a 0 1 old"),
        (["state=failed,killed"], "b"),
        (["optimizer.lr<0.01"], "1"),
        (["optimizer.lr<=0.01"], "0 1"),
        (["optimizer.lr=0.1"], "a old"),
        (["optimizer.lr=1e-1"], "a old"),
        (["optimizer.lr=0.01,0.001"], "0 1"),
        (["model=lenet*"], "0 1"),
        (["model!=lenet*"], "a b old"),
        (["model=lenet?"], "0"),
        (["model~LENET"], "0 1"),
        (["model.hidden=[64,32]"], "a b 0 1 old"),
        (["test.accuracy>=0.9"], "a 0 1"),
        (["tag=week3"], "old"),
        (["tag!=week3"], "a b 0 1"),
        (["tag=week*"], "old"),
        (["note~repeat"], "old"),
        (["error~lost"], "b"),
        (["started>2d"], "a b 0 1"),
        (["started<2d"], "old"),
        (["started>90min"], "a"),
        (["seed=0", "model=lenet5"], "0"),
        (["model=lenet* test.accuracy>0.905"], "1"),
        (["path=multirun/*"], "0 1"),
        (["test.accuracy=null"], "b"),
        (["seconds>100"], ""),
    ],
)
def test_filters(outputs: Path, filters: list[str], wanted: str) -> None:
    assert names(outputs, *filters) == wanted.split()


@pytest.mark.parametrize("text", ["2024", "1e3", "1_000", "nan", "null", "007", "v2.0"])
def test_a_tag_a_note_and_a_path_are_texts_also_where_they_look_like_numbers(text: str) -> None:
    root = Path("outputs")
    for name in (text, "other"):
        add(root / name, timedelta(hours=1 + len(name)))
    labels.write(root / text, labels.Labels((text,), text))
    for key in ("tag", "note", "path"):
        assert names(root, f"{key}={text}") == [text]
        assert names(root, f"{key}!={text}") == ["other"]


def test_a_text_is_not_equal_to_another_spelling_of_its_number(outputs: Path) -> None:
    labels.write(outputs / "old", labels.Labels(("2024",)))
    assert names(outputs, "tag=2024.0,2_024,2.024e3") == []


ACTUAL = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.integers(-(10**6), 10**6).map(lambda number: number / 1000)
    | st.text("0123.e-_aNnul", max_size=5)
    | st.lists(st.integers(0, 9), max_size=3)
)


@settings(max_examples=150, deadline=None)
@given(
    ACTUAL, st.sampled_from(language.OPERATORS), st.text("0123.e-_aNnul*?[],", min_size=1, max_size=5), st.booleans()
)
@example("2024", "!=", "2024", False)
@example(0.1 + 0.2, "=", "0.3", False)  # what it is shown as
@example("É", "~", "é", False)
@example(1.0, "=", "1?*", False)
@example(None, "=", "n*", False)
def test_the_index_holds_what_a_filter_says_of_a_single_run(actual: Any, operator: str, value: str, own: bool) -> None:
    wanted = (as_text(actual) or value) if own else value
    root = Path("outputs")
    for name, setting in (("one", actual), ("other", 1)):
        (root / name / paths.HYDRA).mkdir(parents=True, exist_ok=True)
        content = {"format": 1, "seed": 0, "changed": [], "settings": {"key": setting}}
        (root / name / paths.RUN).write_text(json.dumps(content))
    (root / paths.INDEX).unlink(missing_ok=True)
    try:
        expected = language.holds(actual, operator, wanted)
    except RequestError:  # not a number
        with pytest.raises(RequestError):
            names(root, f"key{operator}{wanted}")
    else:
        assert ("one" in names(root, f"key{operator}{wanted}")) == expected


def test_a_day_is_a_time(outputs: Path) -> None:
    day = (NOW - timedelta(days=9)).astimezone().date()
    assert names(outputs, f"started={day}") == ["old"]
    assert names(outputs, f"started<{day}") == []
    assert "old" not in names(outputs, f"started>{day}")


def test_runs_without_the_metric_come_last(outputs: Path) -> None:
    assert names(outputs, order="-test.accuracy") == ["a", "1", "0", "old", "b"]
    assert names(outputs, order="test.accuracy") == ["old", "0", "1", "a", "b"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["optimzer.lr=1"], "optimzer.lr=...: no run has this setting or metric (did you mean optimizer.lr?)"),
        (
            ["state=faild"],
            "state=faild: choose one of pending, running, completed, failed, interrupted, killed, pruned ",
        ),
        (["optimizer.lr<small"], "optimizer.lr<small: must be compared with a number"),
        (
            ["started>soon"],
            "started>soon: must be a time (2026-11-21 or 2026-11-21T09:30), or how long ago: 2h, 3d, 1w",
        ),
        (["lenet"], "lenet: not a filter; must be a key, one of != <= >= = < > ~ and a value, for example "),
        (["tag="], "tag=: the value is missing"),
    ],
)
def test_a_wrong_filter_says_what_is_wrong(outputs: Path, words: list[str], said: str) -> None:
    with pytest.raises(RequestError) as error:
        names(outputs, *words)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("value", ["'; DROP TABLE runs; --", "x' OR '1'='1", '"', "%", "\\", "é"])
def test_a_value_is_never_a_part_of_the_statement(outputs: Path, value: str) -> None:
    assert names(outputs, f"model={value}") == []
    assert len(names(outputs)) == 5


# the directories are the truth


def test_what_appears_changes_and_vanishes_is_seen(outputs: Path) -> None:
    names(outputs)
    add(outputs / "2026-11-21" / "c", timedelta(0))
    shutil.rmtree(outputs / "multirun" / "s" / "1")
    write_status(outputs / "2026-11-21" / "b", "completed", started=(NOW - timedelta(hours=2)).isoformat())
    assert names(outputs) == ["c", "a", "b", "0", "old"]
    assert names(outputs, "state=failed") == []
    shutil.rmtree(outputs / "multirun")
    assert names(outputs) == ["c", "a", "b", "old"]


def test_a_run_that_is_moved_into_a_folder_of_its_name_is_seen(outputs: Path) -> None:
    names(outputs)
    (outputs / "old").rename("moved")
    (outputs / "old").mkdir()
    Path("moved").rename(outputs / "old" / "inner")
    assert names(outputs) == ["a", "b", "0", "1", "inner"]
    (outputs / "old" / "inner").rename("moved")
    (outputs / "old").rmdir()
    Path("moved").rename(outputs / "old")
    assert names(outputs) == ["a", "b", "0", "1", "old"]


def test_a_run_is_seen_also_where_its_files_alone_are_moved_into_a_folder_inside(outputs: Path) -> None:
    past = time.time() - 100
    for path in (outputs, *outputs.rglob("*")):
        os.utime(path, (past, past))
    names(outputs)
    inner = outputs / "old" / "inner"
    files = [*(outputs / "old").iterdir()]
    inner.mkdir()
    for path in files:
        path.rename(inner / path.name)
    assert names(outputs) == ["a", "b", "0", "1", "inner"]


def test_settled_directories_are_not_read_again(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    past = time.time() - 100
    for path in (outputs, *outputs.rglob("*")):
        os.utime(path, (past, past))
    names(outputs)
    (outputs / paths.INDEX).stat()
    os.utime(outputs, (past, past))
    names(outputs)
    os.utime(outputs, (past, past))

    def never(run: Path) -> Any:
        raise AssertionError(f"{run} was read again")

    monkeypatch.setattr(index, "read", never)
    assert names(outputs) == ["a", "b", "0", "1", "old"]


def test_a_run_whose_process_is_gone_is_killed(outputs: Path) -> None:
    write_status(outputs / "2026-11-21" / "a", "running", started=NOW.isoformat())
    assert names(outputs, "state=killed") == ["a"]


@pytest.mark.parametrize("damage", [b"", b"no database at all", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_index_is_made_again(outputs: Path, damage: bytes) -> None:
    names(outputs)
    (outputs / paths.INDEX).write_bytes(damage)
    assert names(outputs) == ["a", "b", "0", "1", "old"]
    assert names(outputs) == ["a", "b", "0", "1", "old"]


def test_an_index_of_another_version_is_made_again(outputs: Path) -> None:
    names(outputs)
    with sqlite3.connect(outputs / paths.INDEX) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("DROP TABLE folders")
    assert names(outputs) == ["a", "b", "0", "1", "old"]


def test_a_locked_index_does_not_stop_anybody(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "WAIT", 0.05)
    names(outputs)
    with closing(sqlite3.connect(outputs / paths.INDEX)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert names(outputs) == ["a", "b", "0", "1", "old"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_listed(outputs: Path) -> None:
    outputs.chmod(0o500)
    try:
        assert names(outputs) == ["a", "b", "0", "1", "old"]
    finally:
        outputs.chmod(0o700)


@pytest.mark.parametrize("name", [paths.RUN, paths.METRICS, paths.STATUS, paths.LABELS, paths.CONFIG])
def test_damaged_files_of_a_run_are_no_errors(outputs: Path, name: str) -> None:
    (outputs / "old" / name).write_bytes(b"\xff{")
    assert "old" in names(outputs)


def test_run_json_is_read_where_it_is(outputs: Path) -> None:
    content = {"format": 1, "seed": 7, "changed": ["model=other"], "settings": {"model": "other"}}
    (outputs / "old" / paths.RUN).write_text(json.dumps(content))
    assert names(outputs, "model=other") == ["old"]


# which runs a word means


def test_words_for_runs(outputs: Path) -> None:
    assert selection.one("last") == "outputs/2026-11-21/a"
    assert selection.one("best:validation.accuracy") == "outputs/2026-11-21/a"
    assert selection.several(["last:2"]) == ["outputs/2026-11-21/a", "outputs/2026-11-21/b"]
    assert selection.one("best:test.loss") in {str(path) for path in index.find(outputs)}
    assert selection.one("tag=week3") == "outputs/old"
    assert selection.several(["outputs/multirun/s"]) == ["outputs/multirun/s/0", "outputs/multirun/s/1"]
    assert selection.several(["outputs"]) == [str(path) for path in index.find(outputs)]
    assert selection.one("outputs/old") == "outputs/old"
    assert selection.one("nowhere") == "nowhere"  # the command says what is wrong with it


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("last:2", "last:2: 2 runs match, and one is needed; add filters, or use last"),
        ("last:x", "last:x: must be last, or last:N with a whole number of 1 or more"),
        ("best", "best: name the metric, for example best:validation.accuracy"),
        ("best:accuracy", "best:accuracy: no run has this setting or metric"),
        ("tag=nothing", "tag=nothing: no run in outputs matches; `mnistlab runs` lists them"),
    ],
)
def test_a_word_that_means_no_run_is_refused(outputs: Path, word: str, said: str) -> None:
    with pytest.raises(RequestError) as error:
        selection.one(word)
    assert str(error.value).startswith(said)


def test_without_outputs_a_word_says_so() -> None:
    with pytest.raises(RequestError, match=r"^last: there is no folder outputs here to look for runs in"):
        selection.one("last")


# the command


def test_the_command_lists_filters_and_sorts(outputs: Path, command: Command) -> None:
    lines = command(
        "runs", "model=lenet*", "--sort", "-test.accuracy", "--columns", "run,optimizer.lr,test.accuracy"
    ).out
    assert lines == (
        "run           optimizer.lr  test.accuracy (%)\n"
        "multirun/s/1         0.001              91.00\n"
        "multirun/s/0          0.01              90.00\n"
    )
    assert command("runs", "--columns", "run,state", "--csv").out == (
        "run,state\n2026-11-21/a,completed\n2026-11-21/b,failed\nmultirun/s/0,completed\n"
        "multirun/s/1,completed\nold,completed\n"
    )
    assert command("runs", "--limit", "2", "--columns", "run").out == (
        "run\n2026-11-21/a\n2026-11-21/b\n... 3 more; --limit 0 lists all\n"
    )
    found = json.loads(command("runs", "tag=week3", "--json").out)
    assert found["matching"] == 1
    assert found["runs"][0]["directory"] == "outputs/old"


def test_a_run_is_tagged_noted_removed_and_restored(outputs: Path, command: Command) -> None:
    assert command("runs", "tag", "last:2", "+week4", "+good").out == (
        "outputs/2026-11-21/a  good week4\noutputs/2026-11-21/b  good week4\n"
    )
    command("runs", "tag", "last", "-good")
    assert labels.read(outputs / "2026-11-21" / "a").tags == ("week4",)
    command("runs", "note", "state=failed", "why?")
    assert "note     why?" in command("runs", "show", "state=failed").out
    assert command("runs", "rm", "state=failed").out == (
        "outputs/2026-11-21/b  in the trash; `mnistlab runs restore` brings it back\n"
    )
    assert names(outputs, "state=failed") == []
    assert "outputs/2026-11-21/b" in command("runs", "restore").out
    assert command("runs", "restore", "outputs/2026-11-21/b").out == "outputs/2026-11-21/b  restored\n"
    assert labels.read(outputs / "2026-11-21" / "b").note == "why?"
    assert command("runs", "restore").out == "the trash is empty\n"


def test_a_job_of_a_sweep_that_is_removed_goes_with_it(outputs: Path, command: Command) -> None:
    (outputs / "multirun" / "s" / "sweep.json").write_text("{}")
    result = command("runs", "rm", "outputs/multirun/s/0", "outputs/multirun/s")
    assert result.out == "outputs/multirun/s  in the trash; `mnistlab runs restore` brings it back\n"
    command("runs", "restore", "last")
    assert (outputs / "multirun" / "s" / "0").is_dir()


def test_what_is_purged_is_gone(outputs: Path, command: Command) -> None:
    command("runs", "rm", "outputs/multirun/s")
    command("runs", "rm", "outputs/old", "--purge", "--yes")
    assert names(outputs) == ["a", "b"]
    assert command("runs", "rm", "--purge", "--yes").status == 0
    assert command("runs", "restore").out == "the trash is empty\n"
    assert not any((outputs / paths.TRASH).iterdir())


@pytest.mark.parametrize("place", ["outputs/../other/run", "outputs/old/../../other/run", "other/run"])
@pytest.mark.parametrize("flags", [(), ("--purge", "--yes")])
def test_what_is_outside_the_folder_of_the_runs_is_not_removed(
    outputs: Path, place: str, flags: tuple[str, ...], command: Command
) -> None:
    add(Path("other/run"), timedelta(0))
    result = command("runs", "rm", place, *flags)
    assert (result.status, result.err) == (
        2, f"mnistlab runs: error: {place}: not inside outputs; name its folder with --in\n",
    )  # fmt: skip
    assert Path("other/run").is_dir()
    assert not (outputs / paths.TRASH).exists()


def test_a_path_with_dots_inside_the_folder_of_the_runs_is_removed_and_restored(
    outputs: Path, command: Command
) -> None:
    command("runs", "rm", "outputs/multirun/../old", "outputs/old")
    assert "old" not in names(outputs)
    assert command("runs", "restore", "outputs/old").out == "outputs/old  restored\n"


def test_disk_usage_and_pruning(outputs: Path, command: Command) -> None:
    for run in ("2026-11-21/a", "2026-11-21/b"):
        (outputs / run / paths.CHECKPOINT).write_bytes(bytes(2_000_000))
    assert "checkpoints  4.0 MB" in command("runs", "du").out
    assert command("runs", "prune", "--checkpoints").out == (
        "2.0 MB freed: the checkpoints of 1 completed runs; they can no longer be trained for longer\n"
    )
    assert (outputs / "2026-11-21" / "b" / paths.CHECKPOINT).exists()  # it failed, and may be resumed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show"], "show: name a run: a path, last, best:METRIC or a filter"),
        (["show", "last:2"], "show last:2: 2 runs match, and one is needed; add filters"),
        (["tag", "last"], "tag: no tags; add with +week3, remove with -draft"),
        (
            ["tag", "last", "+a b"],
            "tag 'a b': must consist of letters, digits and - _ . : /, and begin with a letter or ",
        ),
        (["note", "last"], "note: must be a run and a text in quotes; an empty text removes the note"),
        (["rm", "nowhere"], "nowhere: no such directory; must be a run: a path, last, best:METRIC or a filter"),
        (["restore", "x"], "restore x: not in the trash"),
        (["prune"], "prune: say what to delete: --checkpoints"),
        (["--purge"], "--purge: this option is for rm"),
        (["show", "last", "--csv"], "show: --sort, --columns, --limit and --csv are for the list"),
        (["--columns", "lr"], "--columns lr: no run has this setting or metric"),
        (["--sort", "lr"], "--sort lr: no run has this setting or metric"),
        (["--sort", "it's"], "--sort it's: no run has this setting or metric"),
        (["--sort", 'a"b'], '--sort a"b: no run has this setting or metric'),
        (["--in", "nowhere"], "--in nowhere: no such directory"),
    ],
)
def test_a_wrong_request_is_one_line(outputs: Path, arguments: list[str], said: str, command: Command) -> None:
    result = command("runs", *arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"mnistlab runs: error: {said}")


def test_a_running_run_is_not_removed(outputs: Path, command: Command) -> None:
    from mnistlab.system import locks

    run = outputs / "old"
    write_status(run, "running", pid=os.getpid())
    with locks.held(run):
        result = command("runs", "rm", str(run))
    assert result.status == 2
    assert "this run is still running" in result.err
    assert run.is_dir()


def test_without_runs_it_says_how_to_make_one(command: Command) -> None:
    assert command("runs").out == "there are no runs in outputs/ yet; `mnistlab train` makes the first\n"


def test_tags_and_a_note_of_train_are_no_part_of_the_experiment(train: Callable[..., Path]) -> None:
    plain, named = train("trainer.epochs=1"), train("trainer.epochs=1", "tags=[week3,a]", "note='first, try'")
    assert labels.read(named) == labels.Labels(("a", "week3"), "first, try")
    assert not (plain / paths.LABELS).exists()
    hashes = [json.loads((run / paths.STATUS).read_text())["config_hash"] for run in (plain, named)]
    assert hashes[0] == hashes[1]
    assert json.loads((named / paths.RUN).read_text())["changed"] == ["experiment=smoke", "trainer.epochs=1"]


def test_a_wrong_tag_is_refused(command: Command) -> None:
    result = command("train", "experiment=smoke", "tags=['not a tag']")
    assert result.status == 2
    assert "tag 'not a tag': must consist of letters" in result.err
