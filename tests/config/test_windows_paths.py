r"""Paths of Windows, C:\data and \\server\share: taken as the shell gives them, and named whole in messages."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from mnistlab.config import compose
from mnistlab.sweeps.grid import plan
from mnistlab.sweeps.gridsearch.cells import read_axes
from mnistlab.sweeps.tune.space import parse
from mnistlab.system import files

PATHS = (
    r"C:\data\train.csv",
    r"C:\new\table (1)\x.csv",
    r"d:\it's here\x.csv",
    r"\\server\share\x.npz",
    r"\\?\C:\data\x.csv",
    "C:/data/x.csv",
    "C:\\data\\",
    r"C:\data\{a}=[b]",
)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_taken_as_it_is_typed(path: str) -> None:
    assert compose.compose(["data=csv", f"data.path={path}"]).data.path == path
    assert compose.compose(["data=mnist", f"data.root={path}"]).data.root == path


@pytest.mark.parametrize("path", [*PATHS, "plain", "it's", "\\'", "a\\", "a, b=[c] {d}"])
def test_a_quoted_value_is_read_back_as_it_was(path: str) -> None:
    assert compose.compose(["data=csv", f"data.path={compose.quoted(path)}"]).data.path == path


@pytest.mark.parametrize(
    "override",
    [
        r"data.path='C:\data\x.csv'",
        r"data.path=a\,b.csv",
        r"data.path=data\x.csv",
        "data.path=/data/x.csv",
        "model=mlp_1hidden",
        r"trainer.epochs=C:\data",
    ],
)
def test_nothing_else_is_quoted_and_nothing_twice(override: str) -> None:
    assert compose.with_paths_quoted([override]) == [override]


def test_resolvers_stay_and_commas_separate_the_values_of_a_sweep() -> None:
    quoted = compose.with_paths_quoted([r"hydra.run.dir=C:\runs\${now:%Y,%m}", r"data.path=C:\a.csv,D:\b.csv"])
    assert quoted == [r"hydra.run.dir='C:\runs\${now:%Y,%m}'", r"data.path='C:\a.csv','D:\b.csv'"]


def test_sweeps_and_searches_take_them_too() -> None:
    path = r"\\server\share\x (1).csv"
    jobs = plan(["data=csv", f"data.path={path}", "seed=0,1"]).jobs
    assert [job.config.data.path for job in jobs] == [path] * 2
    jobs = plan(["data=csv", r"data.path=C:\a.csv,\\server\b.csv"]).jobs
    assert [job.config.data.path for job in jobs] == [r"C:\a.csv", r"\\server\b.csv"]
    fixed, _ = parse([f"data.path={path}", "optimizer.lr=log(1e-4,1)"])
    assert compose.compose(["data=csv", *fixed]).data.path == path
    fixed, _ = read_axes(["data=csv", f"data.path={path}", "seed=0,1"])
    assert compose.compose(fixed).data.path == path


@pytest.mark.parametrize("path", PATHS)
def test_a_message_names_the_whole_path(command: Any, path: str) -> None:
    result = command("train", "experiment=smoke", "data=csv", f"data.path={path}")
    assert result.status == 2
    (line,) = result.err.splitlines()
    assert line.startswith(f"mnistlab train: error: data.path={path}: no such file")


@pytest.mark.parametrize("path", [r"C:\work\run", r"\\server\share\run"])
def test_a_path_of_another_drive_is_shown_whole(path: str) -> None:
    shown = files.shown(PureWindowsPath(path))  # type: ignore[arg-type]  # what Path is on Windows
    assert str(shown) == path
    assert str(files.shown(Path.cwd() / "run")) == "run"


@pytest.mark.parametrize(
    "path",
    [
        *("~/x.csv", "größe/train.csv", "train (1).csv", "set#1/a.npz", "lr=0.1/x.npz", "a&b/c.csv", "50% off!.csv"),
        *(
            "it's.csv",
            'say "a".csv',
            "[1] x.csv",
            "{a}.csv",
            "手写/训练.csv",
            "a: b.csv",
            "C++/x.csv",
            "$HOME.csv",
            " x.csv",
        ),
    ],
)
def test_a_path_of_any_characters_is_taken_as_the_shell_gave_it(path: str) -> None:
    assert compose.compose(["data=auto", f"data.path={path}"]).data.path == path
    assert compose.compose(["data=mnist", f"data.root={path}"]).data.root == path
    assert [job.config.data.path for job in plan(["data=auto", f"data.path={path}", "seed=0,1"]).jobs] == [path] * 2


def test_a_comma_belongs_to_the_name_of_a_file_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a, b.csv").touch()
    assert compose.compose(["data=csv", "data.path=a, b.csv"]).data.path == "a, b.csv"
    assert compose.with_paths_quoted(["data.path=a.csv,größe.csv"]) == ["data.path=a.csv,'größe.csv'"]
    for override in (
        "data.path=choice(a.csv,b.csv)",
        "data.path=null",
        'data.path="x y"',
        "data.root=${oc.env:HOME}/x",
    ):
        assert compose.with_paths_quoted([override]) == [override]
