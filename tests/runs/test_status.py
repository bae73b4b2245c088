"""How far a run is, as others see it: by what it wrote, and by whether its process lives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import write_status

from mnistlab.runs import status
from mnistlab.runs.status import SILENT, State, Status
from mnistlab.system.locks import held

WRITES_AND_HOLDS = """
import sys
from pathlib import Path
from mnistlab.system.locks import held
from mnistlab.runs.status import Status
run = Path(sys.argv[1])
with held(run):
    Status(run / "status.json", "c0ffee").write("running")
    print("ready", flush=True)
    sys.stdin.read()
"""


def age(directory: Path, seconds: float) -> None:
    """Let everything in a directory be so many seconds old."""
    then = time.time() - seconds
    for path in directory.iterdir():
        os.utime(path, (then, then))


def test_where_nothing_has_begun_it_is_pending(tmp_path: Path) -> None:
    assert status.read(tmp_path) == State("pending")
    assert status.read(tmp_path / "nowhere") == State("pending")


@pytest.mark.parametrize("state", ["completed", "failed", "interrupted"])
def test_a_run_that_is_over_is_what_it_wrote(tmp_path: Path, state: str) -> None:
    written = Status(tmp_path / "status.json", "c0ffee", seconds={"train": 1.25})
    written.write(state, None if state == "completed" else "why")
    found = status.read(tmp_path)
    assert (found.state, found.config_hash, found.seconds) == (state, "c0ffee", {"train": 1.25})
    assert found.error == (None if state == "completed" else "why")
    assert found.pid == os.getpid()


@pytest.mark.parametrize(
    ("state", "over"),
    [("pending", False), ("running", False), ("completed", True), ("failed", True), ("killed", True)],
)
def test_what_is_over(state: str, over: bool) -> None:
    assert State(state).is_over is over


def test_a_run_whose_directory_is_held_runs(tmp_path: Path) -> None:
    write_status(tmp_path, "running")
    with held(tmp_path):
        assert status.read(tmp_path).state == "running"
    found = status.read(tmp_path)
    assert (found.state, found.error) == ("killed", "process not running")
    assert (found.config_hash, found.seconds) == ("c0ffee", {"load": 0.5, "train": 1.25})


@pytest.mark.process
def test_a_run_is_killed_when_its_process_is(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITES_AND_HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            assert (status.read(tmp_path).state, status.read(tmp_path).pid) == ("running", process.pid)
        finally:
            process.kill()
        process.wait(60)
        found = status.read(tmp_path)
    assert (found.state, found.pid) == ("killed", process.pid)


def test_holding_a_directory_makes_no_finished_run_run(tmp_path: Path) -> None:
    write_status(tmp_path, "completed")
    with held(tmp_path):
        assert status.read(tmp_path).state == "completed"


def test_a_run_of_an_unknown_host_is_looked_for_here(tmp_path: Path) -> None:
    write_status(tmp_path, "running", host="")
    assert status.read(tmp_path).state == "killed"


def test_a_run_on_another_host_lives_while_it_writes(tmp_path: Path) -> None:
    write_status(tmp_path, "running", host="far.away")
    (tmp_path / "train.log").write_text("")
    age(tmp_path, SILENT / 2)
    assert status.read(tmp_path).state == "running"
    age(tmp_path, SILENT + 5)
    found = status.read(tmp_path)
    assert (found.state, found.host) == ("killed", "far.away")
    (tmp_path / "train.log").write_text("epoch 7")  # one fresh file is a sign of life
    assert status.read(tmp_path).state == "running"


def test_locks_of_this_machine_say_nothing_of_another(tmp_path: Path) -> None:
    write_status(tmp_path, "running", host="far.away")
    age(tmp_path, SILENT + 5)
    with held(tmp_path):
        assert status.read(tmp_path).state == "killed"


GOOD = {"state": "completed", "config_hash": "", "seconds": {}, "error": None, "host": "", "pid": 1}


@pytest.mark.parametrize(
    ("content", "damage"),
    [
        ("", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        ('{"state": "comp', "JSONDecodeError: Unterminated string"),
        ("[" * 100_000, "RecursionError: "),
        ([], "TypeError: list indices must be integers"),
        (None, "TypeError: "),
        ({}, "KeyError: 'state'"),
        ({**GOOD, "state": "done"}, "ValueError: state done"),
        ({**GOOD, "state": ["completed"]}, "ValueError: state ['completed']"),
        ({**GOOD, "seconds": [1]}, "AttributeError: 'list' object has no attribute 'values'"),
        ({**GOOD, "seconds": {"train": "long"}}, "ValueError: state completed"),
        ({key: value for key, value in GOOD.items() if key != "pid"}, "KeyError: 'pid'"),
    ],
)
def test_a_damaged_status_is_a_failed_run(tmp_path: Path, content: Any, damage: str) -> None:
    (tmp_path / "status.json").write_text(content if isinstance(content, str) else json.dumps(content))
    found = status.read(tmp_path)
    assert found.state == "failed"
    assert found.error is not None
    assert found.error.startswith(f"status.json is damaged ({damage}")


def test_bytes_that_are_no_text_are_damage(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_bytes(b"\xff")
    assert str(status.read(tmp_path).error).startswith("status.json is damaged (UnicodeDecodeError: ")


def test_a_directory_in_its_place_is_damage(tmp_path: Path) -> None:
    (tmp_path / "status.json").mkdir()
    assert str(status.read(tmp_path).error).startswith("status.json is damaged (IsADirectoryError: ")


def test_a_status_of_an_earlier_version_without_host_is_read(tmp_path: Path) -> None:
    content = {key: value for key, value in GOOD.items() if key != "host"}
    (tmp_path / "status.json").write_text(json.dumps(content))
    assert status.read(tmp_path) == State("completed", pid=1)
