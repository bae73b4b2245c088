"""One process a directory, until it ends, however it ends; SIGTERM as an interruption."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
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


CONTENDER = """
import sys, time
from pathlib import Path
from mnistlab.system.locks import held
directory, alone, count, until = Path(sys.argv[1]), Path(sys.argv[2]), 0, time.monotonic() + 2
while time.monotonic() < until:
    with held(directory) as ours:
        if ours:
            alone.mkdir()
            count += 1
            alone.rmdir()
print(count)
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


def test_where_open_files_stay_none_is_left_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "OPEN_FILES_CAN_GO", False)
    with held(tmp_path) as ours:
        assert ours
        with held(tmp_path) as again:
            assert not again
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_file_was_removed_in_between_is_not_taken_for_one(tmp_path: Path) -> None:
    """The unlink race: opened before the holder removed the file, locked after it."""
    removed = []
    lock_descriptor = filelock.lock_descriptor

    def remove_first(descriptor: int, blocking: bool) -> bool:
        if not removed:
            removed.append(descriptor)
            (tmp_path / locks.NAME).unlink()
        return lock_descriptor(descriptor, blocking=blocking)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filelock, "lock_descriptor", remove_first)
        with held(tmp_path) as ours:
            assert ours
            assert (tmp_path / locks.NAME).exists()
            with held(tmp_path) as again:
                assert not again


@pytest.mark.process
def test_no_two_processes_hold_a_directory_at_once(tmp_path: Path) -> None:
    """Four processes take it and let go of it as fast as they can; inside, each makes a folder that must be new."""
    (tmp_path / "directory").mkdir()
    command = [sys.executable, "-c", CONTENDER, str(tmp_path / "directory"), str(tmp_path / "alone")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    counts = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sum(counts) > 0
    assert list((tmp_path / "directory").iterdir()) == []


def test_a_directory_is_forgotten_while_it_is_held(tmp_path: Path) -> None:
    """Another process may make it again at once; its lock is not removed."""
    directory = tmp_path / "run"
    directory.mkdir()
    with held(directory):
        shutil.rmtree(directory)
        directory.mkdir()
        (directory / locks.NAME).touch()
    assert (directory / locks.NAME).exists()


@pytest.mark.parametrize("lie", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("elsewhere")])
def test_whatever_lies_there_by_the_name_of_the_lock_stops_nothing(
    tmp_path: Path, lie: Callable[[Path], object]
) -> None:
    lie(tmp_path / locks.NAME)
    assert not is_held(tmp_path)
    with held(tmp_path) as ours:
        assert ours
    assert not (tmp_path / "elsewhere").exists()


def test_asking_takes_nothing_and_makes_nothing(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with held(tmp_path) as ours:
        assert ours


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError), held(tmp_path / "nowhere"):
        pass


def test_a_file_system_without_locks_lets_everybody_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(descriptor: int, blocking: bool) -> bool:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(filelock, "lock_descriptor", unsupported)
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
