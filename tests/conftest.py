"""What all tests share: a cache of their own, and the way to run a command as a user would."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from mnistlab import cli

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background, and what is tested would be deaf too
    signal.signal(signal.SIGINT, signal.default_int_handler)

gc.set_threshold(100_000, 20, 20)  # as the command does; a sixth of the time goes into collecting otherwise


KERNELS = Path(__file__).parent.parent / ".pytest_cache"


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_place(shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in an empty folder, never in the user's cache, and leave the environment as it was."""
    monkeypatch.setenv("MNISTLAB_CACHE", str(shared_cache))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(KERNELS))  # compiled once for all processes, and until a kernel changes
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]


@pytest.fixture
def mnist(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of full MNIST and Fashion-MNIST; the test is skipped where there is none."""
    folder = os.environ.get("MNISTLAB_DATA")
    if not folder or not (Path(folder) / "mnist").is_dir():
        pytest.skip("needs full MNIST: set MNISTLAB_DATA to the folder that holds mnist/ and fashion-mnist/")
    return Path(folder)


@dataclass
class Result:
    status: int
    out: str
    err: str


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """``command("train", "seed=1")`` runs ``mnistlab train seed=1`` in this process and returns what it said."""

    def run(*arguments: str) -> Result:
        capfd.readouterr()
        try:
            status = cli.dispatch(list(arguments))
        except SystemExit as stop:  # Hydra's way to end after --help and --cfg
            status = int(stop.code or 0)
        out, err = capfd.readouterr()
        return Result(status, out, err)

    return run


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``started("train", ...)`` runs a command in a process of its own; it and its children do not outlive the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str, program: Sequence[str] = ("-m", "mnistlab")) -> subprocess.Popen[str]:
        words = [sys.executable, *program, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(words, text=True, start_new_session=True, **pipes)  # type: ignore[call-overload]
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)


@pytest.fixture
def train(command: Callable[..., Result]) -> Callable[..., Path]:
    """Train on few digits with these overrides, in few seconds, and return the run directory."""

    def run(*overrides: str) -> Path:
        result = command("train", "experiment=smoke", "report.plots=none", *overrides)
        assert result.status == 0, result.err
        return Path(result.out.split("run directory")[-1].strip())

    return run
