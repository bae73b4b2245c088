"""A full disk, a quota, a directory that is read-only: one error wherever it strikes, and the checkpoint stands."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import processes
from helpers.tables import thinned

from mnistlab.runs.paths import CHECKPOINT
from mnistlab.system import files
from mnistlab.training import checkpoint

Command = Callable[..., Any]
REQUEST = ("data=digits", "data.limit=200", "data.test_limit=100", "model.hidden=[12]", "augment=shift")
OPTIONS = ("report.plots=none", "trainer.epochs=2", "trainer.checkpoint_every=1", "hydra.run.dir=r")
POINTS = 26  # times that such a run writes a file


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("expected") / "r"


@pytest.fixture
def undisturbed(expected: Path, command: Command) -> Path:
    """The same run where nothing went wrong."""
    if not expected.exists():
        assert command("train", *REQUEST, *OPTIONS[:-1], f"hydra.run.dir={expected}").status == 0
    return expected


def failing(monkeypatch: pytest.MonkeyPatch, at: int, number: int) -> list[Path]:
    """Let the file of this number, and all after it, find no room; return the paths in the order of writing."""
    write, paths = os.fsync, list[Path]()
    replace = files.write

    def fsync(descriptor: int) -> None:
        if len(paths) > at:
            raise OSError(number, os.strerror(number))
        write(descriptor)

    def noted(path: Path, content: bytes | str) -> None:
        paths.append(path)
        replace(path, content)

    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(files, "write", noted)
    return paths


@pytest.mark.parametrize("at", thinned(range(POINTS), 8))
def test_no_room_at_any_point(at: int, undisturbed: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    number = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)[at % 3]
    with monkeypatch.context() as patch:
        paths = failing(patch, at, number)
        result = command("train", *REQUEST, *OPTIONS)
    assert result.status == 1
    assert result.err.count("\n") == 1
    assert os.strerror(number) in result.err
    assert len(paths) > at
    assert not [path for path in Path("r").rglob(".*") if path.is_file()]  # no temporary file is left
    for path in Path("r").rglob("*.json"):
        json.loads(path.read_text())
    written = CHECKPOINT in [path.name for path in paths[:at]]
    assert Path("r", CHECKPOINT).exists() == written
    if written:
        checkpoint.load(Path("r", CHECKPOINT))
        assert "then run `mnistlab resume r`" in result.err
    if Path("r/.hydra/config.yaml").exists():
        assert command("resume", "r").status == 0
        for name in ("metrics.json", "model.safetensors"):
            assert Path("r", name).read_bytes() == (undisturbed / name).read_bytes(), name


def test_these_are_all_points(undisturbed: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = failing(monkeypatch, 10**6, errno.ENOSPC)
    assert command("train", *REQUEST, *OPTIONS).status == 0
    assert len(paths) == POINTS


@pytest.mark.process
@pytest.mark.slow
def test_a_file_system_that_is_too_small(tmp_path: Path) -> None:
    """A real one, of 400 kB, where this process may mount it."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = processes.run(["mount", "-t", "tmpfs", "-o", "size=400k", "small", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        request = ("data.limit=500", "trainer.epochs=3", "report.plots=none", "model.hidden=[100]", "hydra.run.dir=r")
        done = run_there(small, *request)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert (
            "r/checkpoint.safetensors: No space left on device; free some space, or choose another directory"
            in done.stderr
        )
        assert json.loads((small / "r" / "status.json").read_text())["state"] == "failed"
        assert not list((small / "r").glob(".checkpoint*"))
    finally:
        processes.run(["umount", str(small)], check=True)


@pytest.mark.process
@pytest.mark.slow
def test_files_that_may_not_grow(tmp_path: Path) -> None:
    """A limit of the system on the size of a file, reached by the checkpoint first."""
    request = ("data.limit=500", "trainer.epochs=3", "report.plots=none", "hydra.run.dir=r")
    done = run_there(tmp_path, *request, limit=100_000)
    assert done.returncode == 1
    assert "r/checkpoint.safetensors: File too large; free some space, or choose another directory" in done.stderr
    assert json.loads((tmp_path / "r" / "status.json").read_text())["state"] == "failed"


def test_a_directory_that_is_read_only(tmp_path: Path, command: Command) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    if os.access(locked, os.W_OK):
        pytest.skip("this user may write everywhere")
    result = command("train", *REQUEST, *OPTIONS[:-1], "hydra.run.dir=locked/r")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "hydra.run.dir=locked/r: Permission denied; choose another directory" in result.err


@pytest.mark.process
def test_a_read_only_file_system(tmp_path: Path, command: Command) -> None:
    """The run lies on it, interrupted: it cannot go on, and says so."""
    assert command("train", *REQUEST, *OPTIONS).status == 0
    place = tmp_path / "mounted"
    place.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=4m", "small", str(place)]
    if processes.run(options, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        shutil.copytree("r", place / "r")
        before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
        processes.run(["mount", "-o", "remount,ro", str(place)], check=True)
        result = command("resume", str(place / "r"), "trainer.epochs=3")
        assert result.status == 1
        assert "Read-only file system" in result.err
        assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    finally:
        processes.run(["umount", str(place)], check=True)


def run_there(place: Path, *request: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    def restrict() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", "mnistlab", "train", *request]
    return processes.run(command, cwd=place, preexec_fn=restrict, capture_output=True, text=True)
