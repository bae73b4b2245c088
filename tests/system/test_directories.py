"""Output directories: never given twice, and every refusal is one line that begins with the option or key."""

import os
import re
from pathlib import Path

import pytest

from mnistlab.system import directories
from mnistlab.system.errors import RequestError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_claim_never_gives_a_directory_twice():
    claimed = [directories.claim("day/run") for _ in range(4)]
    assert claimed == ["day/run", "day/run-2", "day/run-3", "day/run-4"]
    assert all(directories.is_ours(Path(path)) for path in claimed)


def test_claim_leaves_a_file_in_the_way_to_the_caller():
    Path("day").write_text("")
    with pytest.raises(OSError, match="day"):
        directories.claim("day/run")


def test_a_directory_named_by_the_time():
    time = r"\d\d-\d\d-\d\d-\d{6}"
    assert re.fullmatch(rf"outputs/tune/\d{{4}}-\d\d-\d\d_{time}", str(directories.by_time("outputs/tune")))
    run = directories.by_time("outputs", "rerun", separator="/")
    assert re.fullmatch(rf"outputs/\d{{4}}-\d\d-\d\d/{time}_rerun", str(run))
    assert run.is_dir()


def test_a_directory_named_by_the_time_where_a_file_is_in_the_way():
    Path("outputs").write_text("")
    with pytest.raises(RequestError, match=r"^outputs\S*: Not a directory; choose another directory with --to DIR$"):
        directories.by_time("outputs/tune")


def test_a_named_directory_is_made_and_remembered_only_if_it_is_new():
    Path("old").mkdir()
    assert directories.named(Path("old"), "--to old") == Path("old")
    assert directories.named(Path("a/b"), "--to a/b") == Path("a/b")
    assert Path("a/b").is_dir()
    assert directories.is_ours(Path("a/b").absolute())
    assert not directories.is_ours(Path("old"))


@pytest.mark.parametrize(
    ("path", "policy", "message"),
    [
        ("empty", {"exists": "it is there"}, "--to D: it is there"),
        ("file", {"exists": "it is there"}, "--to D: it is there"),
        ("full", {"not_empty": "it holds files"}, "--to D: it holds files"),
        ("file", {"in_the_way": directories.IN_THE_WAY}, "--to D: a file is in the way; name a directory"),
        ("file/x", {"in_the_way": directories.IN_THE_WAY}, "--to D: a file is in the way; name a directory"),
        ("file", {}, "--to D: File exists; choose another directory with --to DIR"),
        ("file/x", {"otherwise": "go away"}, "--to D: Not a directory; go away"),
        ("full", {"marker": "status.json"}, "--to D: File exists; choose another directory with --to DIR"),
    ],
)
def test_a_named_directory_is_refused(path, policy, message):
    Path("empty").mkdir()
    Path("full").mkdir()
    Path("full", "status.json").write_text("")
    Path("file").write_text("")
    with pytest.raises(RequestError) as error:
        directories.named(Path(path), "--to D", **policy)
    assert str(error.value) == message


def test_an_empty_directory_and_a_marked_one_are_accepted():
    Path("empty").mkdir()
    directories.named(Path("empty"), "--to empty", not_empty="it holds files")
    directories.named(Path("empty"), "--to empty", marker="status.json")
    assert Path("empty/status.json").read_bytes() == b""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_made():
    Path("locked").mkdir(0o500)
    with pytest.raises(RequestError, match=r"^key=x: Permission denied; choose"):
        directories.named(Path("locked/x"), "key=x", in_the_way=directories.IN_THE_WAY)


def test_refusing_before_any_work():
    words = {"not_empty": "it holds files", "in_the_way": "a file is in the way"}
    directories.refuse(Path("new"), "--to new", **words)
    assert not Path("new").exists()
    Path("full/inner").mkdir(parents=True)
    Path("file").write_text("")
    with pytest.raises(RequestError, match=r"^--to full: it holds files$"):
        directories.refuse(Path("full"), "--to full", **words)
    with pytest.raises(RequestError, match=r"^--to file: a file is in the way$"):
        directories.refuse(Path("file"), "--to file", **words)
