"""`make stress`, a little of it: runs that are killed, and what the command prints and returns."""

from __future__ import annotations

import random
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from helpers import processes

FOLDER = Path(__file__).resolve().parents[2] / "stress"
RUN = ("experiment=smoke", "data=digits", "model.hidden=[16]", "regularization=dropout", "augment=shift")


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The part that kills, with smaller runs."""
    monkeypatch.syspath_prepend(FOLDER)
    module = import_module("kills")
    monkeypatch.setattr(module, "RUN", RUN)
    monkeypatch.setattr(module, "LONG", ("trainer.epochs=40", "trainer.checkpoint_every=0.05s", "report.plots=none"))
    return module


@pytest.mark.slow
def test_runs_killed_at_random_times_lose_nothing(kills: Any, tmp_path: Path) -> None:
    took = kills.finish(tmp_path, "train", *kills.RUN, *kills.LONG, "hydra.run.dir=run")
    tally = kills.kill_runs(tmp_path / "killed", tmp_path / "run", 4, took, random.Random(1))
    assert tally.faults == []
    assert tally.counts["single runs completed after kills"] >= 1


DAMAGE = {"a.json": "{", "a.csv": "a,b\n1\n", "a.npz": "PK", "a.safetensors": "x" * 20, "a.png": "\x89PNG", "a.bin": ""}


@pytest.mark.parametrize("name", DAMAGE)
def test_half_a_file_would_be_found(name: str, kills: Any, tmp_path: Path) -> None:
    (tmp_path / name).write_text(DAMAGE[name])
    tally = kills.Tally()
    kills.read_all(tmp_path, tally)
    assert tally.counts["corrupt file"] == 1
    assert tally.faults[0].startswith(f"corrupt file: {name}: ")


def test_other_numbers_would_be_found(kills: Any, tmp_path: Path) -> None:
    for run in ("one", "other"):
        (tmp_path / run).mkdir()
        for name in (*kills.SAME, "history.csv"):
            (tmp_path / run / name).write_text(run)
    tally = kills.Tally()
    kills.compare(tmp_path / "one", tmp_path / "other", tally)
    assert tally.counts["other numbers"] == len(kills.SAME)


@pytest.mark.process
@pytest.mark.slow
def test_the_command_counts_and_names_the_seed() -> None:
    command = [sys.executable, str(FOLDER / "run.py"), "resumption", "--short", "--seed", "3"]
    done = processes.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("resumption  (seed 3, ")
    assert "           0  not bit-identical\n" in done.stdout


@pytest.mark.process
def test_a_part_that_is_not_there() -> None:
    done = processes.run([sys.executable, str(FOLDER / "run.py"), "kill"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "kill: no such part; choose of concurrency, determinism, hostile, kills, resumption" in done.stderr
