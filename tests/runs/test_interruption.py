"""Ctrl-C and SIGTERM, in real processes: how soon they end, what they say, what is on disk, and what comes after."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import processes
from helpers.processes import wait_until

from mnistlab.nn import kernels
from mnistlab.system import tensors
from mnistlab.system.signals import DEADLY, UNDIVIDED, Interrupted, Terminated, delayed, unmistaken

AT_ONCE = 2.0  # seconds an interrupted run has
ENDLESS = ("data.limit=500", "trainer.epochs=100000", "hydra.run.dir=r", "report.plots=none")


def state(run: str) -> str:
    return str(json.loads(Path(run, "status.json").read_text())["state"])


@pytest.mark.process
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_ends_at_once_with_a_checkpoint_and_the_command_that_goes_on(
    sent: signal.Signals, status: int, started: Callable[..., subprocess.Popen[str]]
) -> None:
    process = started("train", *ENDLESS)
    wait_until(Path("r/history.csv").exists)
    at = time.monotonic()
    process.send_signal(sent)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - at < AT_ONCE
    assert process.returncode == status
    values = tensors.read(Path("r/checkpoint.safetensors"))[0]["state"]
    where = f"interrupted at epoch {values['epoch']}, step {values['step']} of 8"
    assert err.splitlines()[-1] == f"mnistlab train: error: {where}; `mnistlab resume r` continues it"
    assert "Traceback" not in err
    assert json.loads(Path("r/status.json").read_text())["error"] == where
    assert state("r") == "interrupted"
    assert Path("r/history.csv").read_text().startswith("epoch,step")


# Says when a convolution has begun
WATCHED = """
import sys
from mnistlab.nn.conv import Conv2D
forward = Conv2D.forward
def watched(*arguments, **options):
    open("busy", "w").close()
    return forward(*arguments, **options)
Conv2D.forward = watched
from mnistlab import cli
cli.main(sys.argv[1:])
"""


@pytest.mark.process
@pytest.mark.slow
def test_a_step_that_takes_long_is_abandoned(started: Callable[..., subprocess.Popen[str]]) -> None:
    """All images of a convolutional network at once take seconds a step; what the step had done does not count."""
    request = (
        "model=cnn_enhanced",
        "trainer.batch_size=full",
        "trainer.threads=1",
        "trainer.kernels=numpy",
        *ENDLESS[1:],
    )
    process = started("train", *request, program=("-c", WATCHED))
    wait_until(Path("busy").exists, what="the first step")
    at = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert time.monotonic() - at < 2 * AT_ONCE  # the machine may be busy; alone it takes half a second
    assert process.returncode == 130
    assert state("r") == "interrupted"
    assert Path("r/checkpoint.safetensors").exists()


@pytest.mark.process
def test_a_second_ctrl_c_stops_at_once() -> None:
    """Whatever the process is busy with: here it takes a minute to write down that it was interrupted."""
    script = """
import time
from mnistlab.system.signals import Terminated
Terminated.listen()
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("first", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "first\n"
    at = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == -signal.SIGINT  # the shell says 130
    assert time.monotonic() - at < 1
    process.stdout.close()


# What LIBSVM does for minutes: nothing of Python's, without holding its lock
BUSY = """
import hashlib, sys
from sklearn.svm import SVC
def fit(*_):
    open("busy", "w").close()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 500_000_000)
SVC.fit = fit
from mnistlab import cli
cli.main(sys.argv[1:])
"""


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "status"), [([signal.SIGINT], 130), ([signal.SIGTERM], 143), ([signal.SIGINT] * 2, 130)]
)
def test_a_learner_that_hears_nothing_is_ended_all_the_same(sent: list[signal.Signals], status: int) -> None:
    words = ["train", "model=svm_rbf", "data.limit=500", "hydra.run.dir=r"]
    process = subprocess.Popen([sys.executable, "-c", BUSY, *words], stderr=subprocess.PIPE, text=True)
    try:
        wait_until(Path("busy").exists)
        at = time.monotonic()
        for number in sent:
            process.send_signal(number)
            time.sleep(0.1)  # a key that is pressed twice
        _, error = process.communicate(timeout=30)
    finally:
        process.kill()
    assert time.monotonic() - at < AT_ONCE
    assert process.returncode == status
    assert error.splitlines()[-1] == "mnistlab train: error: interrupted; `mnistlab resume r` continues it"
    assert state("r") == "interrupted"


@pytest.mark.process
def test_an_interruption_before_training_is_written_down_too(started: Callable[..., subprocess.Popen[str]]) -> None:
    process = started("train", *ENDLESS)
    wait_until(Path("r/status.json").exists)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "`mnistlab resume r` continues it" in err
    assert state("r") == "interrupted"


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["numpy", "numba"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_after_any_end_it_goes_on_to_the_very_same_bytes(
    sent: signal.Signals, kind: str, started: Callable[..., subprocess.Popen[str]], command: Callable[..., Any]
) -> None:
    if kind == "numba" and (reason := kernels.unavailable()):
        pytest.skip(reason)
    request = ("experiment=smoke", "regularization=dropout", "augment=shift", "report.plots=none", "trainer.epochs=30")
    request += (f"trainer.kernels={kind}",)
    assert command("train", *request, "hydra.run.dir=whole").status == 0
    process = started("train", *request, "hydra.run.dir=cut", "trainer.checkpoint_every=1")
    wait_until(Path("cut/checkpoint.safetensors").exists)
    process.send_signal(sent)
    process.communicate(timeout=20)
    result = command("resume", "cut")
    assert result.status == 0
    for name in ("metrics.json", "model.safetensors", "predictions.npz", "norms.csv"):
        assert Path("cut", name).read_bytes() == Path("whole", name).read_bytes(), name
    rows = [
        [line.rpartition(",")[0] for line in Path(run, "history.csv").read_text().splitlines()]
        for run in ("cut", "whole")
    ]
    assert rows[0] == rows[1]
    (entry,) = json.loads(Path("cut/environment.json").read_text())["resumed"]
    assert entry["command"] == ["mnistlab", "resume", "cut"]
    assert not [path for path in Path("cut").rglob(".*") if path.is_file()]


@pytest.mark.process
def test_a_running_run_is_not_resumed(
    started: Callable[..., subprocess.Popen[str]], command: Callable[..., Any]
) -> None:
    process = started("train", *ENDLESS)
    wait_until(Path("r/history.csv").exists)
    result = command("resume", "r")
    assert result.status == 2
    assert result.err.startswith(f"mnistlab resume: error: r: this run is still running (process {process.pid} on ")


# --- what signals do to a process -------------------------------------------------------------------------------------


@pytest.fixture
def handlers() -> Iterator[None]:
    """Let no signal be ignored, as under nohup, and put the handlers back."""
    before = {number: signal.getsignal(number) for number in DEADLY}
    for number, handler in before.items():
        if handler is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    yield
    UNDIVIDED.waiting = False
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_what_must_not_be_cut_in_two_is_not(number: signal.Signals, status: int, handlers: None) -> None:
    stopped_by, done = Terminated.listen(), []
    with pytest.raises(KeyboardInterrupt), UNDIVIDED:
        signal.raise_signal(number)
        done.append("all of it")
    assert done == ["all of it"]
    assert stopped_by.status == status


def test_an_interruption_that_other_code_swallows_is_not_lost(handlers: None) -> None:
    Terminated.listen()
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), UNDIVIDED:
        pass


def test_an_interruption_that_python_can_only_print_is_raised_again(
    handlers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    class Thing:
        pass

    Terminated.listen()
    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        del thing
        time.sleep(1)
    assert reference() is None
    assert capsys.readouterr().err == ""


def test_an_error_that_an_interruption_brings_about_is_the_interruption(handlers: None) -> None:
    Terminated.listen()
    with pytest.raises(KeyboardInterrupt), unmistaken():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            raise AttributeError("nothing is there yet")
    UNDIVIDED.waiting = False
    with pytest.raises(AttributeError), unmistaken():
        raise AttributeError("an error of ours")


def test_a_file_is_written_to_its_end_and_the_news_of_an_interruption_too(handlers: None) -> None:
    Terminated.listen()
    done = []
    with pytest.raises(KeyboardInterrupt), delayed():
        signal.raise_signal(signal.SIGINT)
        done.append("the file")
    with delayed():
        done.append("that it was interrupted")
    assert len(done) == 2


def test_after_the_first_signal_the_system_handles_them(handlers: None) -> None:
    Terminated.listen()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_process_that_ignores_ctrl_c_goes_on_ignoring_it(handlers: None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and a script's & do
    Terminated.listen()
    os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


@pytest.mark.process
def test_a_worker_goes_on_ignoring_what_its_sweep_was_told_to(handlers: None) -> None:
    ignoring = (
        "import multiprocessing, os, signal, time; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
        "from mnistlab.system import signals; reading, writing = multiprocessing.Pipe(duplex=False); "
        "signals.end_with(reading); os.kill(os.getpid(), signal.SIGHUP); time.sleep(0.1)"
    )
    assert processes.run([sys.executable, "-c", ignoring], check=False).returncode == 0
    assert processes.run([sys.executable, "-c", ignoring.replace("SIG_IGN", "SIG_DFL")], check=False).returncode == 143


def test_an_interruption_says_what_was_written_down() -> None:
    assert isinstance(Interrupted("interrupted at epoch 3"), KeyboardInterrupt)
    assert str(Interrupted("interrupted at epoch 3")) == "interrupted at epoch 3"
