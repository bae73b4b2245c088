"""A job on a node of a cluster: what the node must have, said in one line, and which signals end the job's time."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.processes import LONGEST, wait_until

from mnistlab.runs import status
from mnistlab.runs.status import Status
from mnistlab.sweeps.launchers import node
from mnistlab.sweeps.launchers.node import Site, missing_module, on_node
from mnistlab.sweeps.manifest import Entry
from mnistlab.system.errors import RunError
from mnistlab.system.locks import held

PROGRAM = [sys.executable, "-m", "mnistlab"]
NODE = f"node {platform.node()}: "


def job(sweep: Path) -> Any:
    config = SimpleNamespace(hydra=SimpleNamespace(sweep=SimpleNamespace(dir=str(sweep))))
    return SimpleNamespace(entry=Entry(0, "0", (), "hash", {}), directory=sweep / "0", config=config)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "s/0").mkdir(parents=True)
    (tmp_path / "s/sweep.json").write_text("{}")
    return Site.of([job(tmp_path / "s")])


# --- what a node must have --------------------------------------------------------------------------------------------


def refusal(site: Site) -> str:
    with pytest.raises(RunError) as raised:
        site.enter()
    return str(raised.value)


def test_a_node_that_does_not_share_the_directory_of_the_sweep_says_so(site: Site) -> None:
    elsewhere = Path("/nowhere/s")
    expected = f"{NODE}{elsewhere} has no sweep.json; the directory of a sweep must be shared by all nodes"
    assert refusal(replace(site, sweep=elsewhere)) == expected


def test_a_node_with_another_version_says_both(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other versions of NumPy or numba change the last bits of the results."""
    monkeypatch.setattr(node, "_versions", lambda: {**site.versions, "numpy": "1.0.0"})
    there = site.versions["numpy"]
    cure = "install the same packages on all nodes"
    assert refusal(site) == f"{NODE}numpy is 1.0.0, but {there} where the sweep was started; {cure}"
    monkeypatch.setattr(node, "_versions", lambda: {**site.versions, "numba": None})
    there = site.versions["numba"]
    assert refusal(site) == f"{NODE}numba is not installed, but {there} where the sweep was started; {cure}"


def test_a_missing_module_is_named() -> None:
    trace = "Traceback ...\nModuleNotFoundError: No module named 'mnistlab'\n"
    assert missing_module(trace) == "a node has no Python module mnistlab; install the same packages on all nodes"
    assert missing_module("ValueError: no module of that name") is None


def test_a_node_looks_for_data_where_the_sweep_does_if_it_has_that_folder(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, its own cache is used, to which published datasets are downloaded and where they are verified."""
    monkeypatch.delenv("MNISTLAB_DATA", raising=False)
    replace(site, data=str(tmp_path)).enter()
    assert os.environ["MNISTLAB_DATA"] == str(tmp_path)
    replace(site, data=str(tmp_path / "nowhere")).enter()
    assert os.environ["MNISTLAB_DATA"] == str(tmp_path)  # the node's own
    monkeypatch.setenv("MNISTLAB_DATA", str(tmp_path / "nowhere"))  # as passed on by Slurm
    replace(site, data=str(tmp_path / "nowhere")).enter()
    assert "MNISTLAB_DATA" not in os.environ


def test_a_job_works_where_the_sweep_was_started(site: Site, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    replace(site, started_in=tmp_path / "here").enter()
    assert Path.cwd() == tmp_path / "here"


# --- one attempt ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2, signal.SIGINT])
def test_a_signal_that_ends_the_time_of_a_job_is_returned(
    number: int, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(number)

    def perform(*_: Any) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr(node, "perform", perform)
    assert on_node(job(site.sweep), 1, site, (signal.SIGUSR2,)) == number
    assert signal.getsignal(number) == before


def test_a_completed_job_that_returns_to_the_queue_is_not_run_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "perform", lambda *_, **__: pytest.fail("it runs again"))
    Status(site.sweep / "0/status.json", "hash").write("completed")
    assert on_node(job(site.sweep), 1, site) is None
    assert status.read(site.sweep / "0").state == "completed"


def test_an_earlier_attempt_that_does_not_end_is_one_line(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "EARLIER", 0.0)
    with held(site.sweep / "0"), pytest.raises(RunError) as raised:
        on_node(job(site.sweep), 1, site)
    assert str(raised.value) == f"{NODE}an earlier attempt at 0 is still running; end its process"


# --- a process of submitit on this machine ----------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.slow
def test_a_job_that_is_warned_of_its_time_limit_starts_again_and_one_that_is_terminated_ends(
    command: Callable[..., Any],
) -> None:
    pytest.importorskip("submitit")
    small = ("experiment=smoke", "model=softmax", "trainer.epochs=60", "trainer.threads=1", "report.plots=none")
    words = [*PROGRAM, "train", "-m", *small, "hydra/launcher=submitit_local", "seed=0,1", "hydra.sweep.dir=s"]
    driver = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for name, number in (("0_seed=0", signal.SIGUSR2), ("1_seed=1", signal.SIGTERM)):
            wait_until(lambda directory=Path("s") / name: has_begun(directory), LONGEST, f"{name} trains")
            os.kill(status.read(Path("s") / name).pid or 0, number)
        _, err = driver.communicate(timeout=LONGEST)
    finally:
        driver.kill()
        driver.communicate()
    assert (driver.returncode, err.count("\n")) == (1, 2), err
    assert [status.read(Path("s") / name).state for name in ("0_seed=0", "1_seed=1")] == ["completed", "interrupted"]
    assert command("resume", "s").status == 0
    for seed in (0, 1):
        job = Path(f"s/{seed}_seed={seed}")
        assert (job / "train.log").read_text().count("resume  in epoch") == 1
        assert command("train", *small, f"seed={seed}", f"hydra.run.dir=alone{seed}", "-q").status == 0
        assert (job / "metrics.json").read_bytes() == (Path(f"alone{seed}") / "metrics.json").read_bytes()


def has_begun(job: Path) -> bool:
    return status.read(job).state == "running" and (job / "history.csv").exists()
