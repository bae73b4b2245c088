"""One process a directory, until it ends, however it ends; SIGTERM as an interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mnistlab.system import locks
from mnistlab.system.locks import held, is_held
from mnistlab.system.signals import DEADLY, Terminated

HOLDER = """
import sys
from pathlib import Path
from mnistlab.system.locks import held
with held(Path(sys.argv[1])) as ours:
    print(ours, flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(directory: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a process that holds the directory, and give it with what it said about that."""
    command = [sys.executable, "-c", HOLDER, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.process
def test_a_second_holder_is_refused_and_the_first_keeps_it(tmp_path: Path) -> None:
    with held(tmp_path) as ours:
        assert ours
        with held(tmp_path) as again:
            assert not again
        assert is_held(tmp_path)  # the second has let go of nothing
        with another_process(tmp_path) as (_, said):
            assert said == "False"
    assert not is_held(tmp_path)
    with held(tmp_path) as ours:
        assert ours


def test_a_directory_is_free_when_its_holder_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), held(tmp_path):
        _ = 1 / 0
    assert not is_held(tmp_path)


@pytest.mark.process
def test_a_directory_is_free_when_its_process_is_killed(tmp_path: Path) -> None:
    with another_process(tmp_path) as (process, said):
        assert said == "True"
        assert is_held(tmp_path)
        with held(tmp_path) as ours:
            assert not ours
        process.kill()
        process.wait(60)
        assert not is_held(tmp_path)


def test_directories_are_held_one_by_one_and_no_file_is_left(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    with held(tmp_path) as outer, held(tmp_path / "inner") as inner:
        assert outer
        assert inner
        assert list(tmp_path.rglob("*")) == [tmp_path / "inner"]


def test_asking_takes_nothing(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    with held(tmp_path) as ours:
        assert ours


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError), held(tmp_path / "nowhere"):
        pass


def test_a_file_system_without_locks_lets_everybody_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks.fcntl, "flock", unsupported)
    with held(tmp_path) as first, held(tmp_path) as second:
        assert first
        assert second
    assert not is_held(tmp_path)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    before = count()
    with held(tmp_path), held(tmp_path):
        is_held(tmp_path)
    assert count() == before


def test_sigterm_interrupts_and_is_remembered() -> None:
    before = {number: signal.getsignal(number) for number in DEADLY}
    try:
        stopped_by = Terminated.listen()
        assert stopped_by.status == 130
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert stopped_by.status == 143
        assert Terminated.listen().status == 130
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
