"""The command line: help, showing a configuration, the data commands, sweeps of the basic launcher."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import processes

import mnistlab
from mnistlab import cli
from mnistlab.config import options as config
from mnistlab.data.sources.by_format import FORMATS

Command = Callable[..., Any]
PROGRAM = [sys.executable, "-m", "mnistlab"]


def test_help_names_every_command(command: Command) -> None:
    result = command("--help")
    assert result.status == 0
    for name in cli.COMMANDS:
        assert f"\n  {name} " in result.out
    assert command().status == 2


def test_version(command: Command) -> None:
    assert command("--version").out == f"mnistlab {mnistlab.__version__}\n"


def test_help_of_train_lists_groups_options_and_keys(command: Command) -> None:
    result = command("train", "--help")
    assert result.status == 0
    for group in config.group_names():
        options = [name for name in config.option_names(group) if "/" not in name]  # a folder has a line of its own
        assert f"{group}: {', '.join(options)}" in result.out
    assert "batch_size: 64" in result.out
    assert "mnistlab train experiment=smoke --quiet" in result.out


def test_cfg_job_shows_what_would_run_and_runs_nothing(command: Command) -> None:
    result = command("train", "optimizer=sgd", "seed=3", "--cfg", "job")
    shown = yaml.safe_load(result.out)
    assert (shown["optimizer"], shown["seed"]) == ({"lr": 0.1}, 3)
    assert list(shown) == [
        "data",
        "augment",
        "model",
        "optimizer",
        "schedule",
        "init",
        "regularization",
        "trainer",
        "tracking",
        "report",
        "seed",
        "tags",
        "note",
    ]
    assert not Path("outputs").exists()


def test_the_datasets_as_json(command: Command) -> None:
    rows = json.loads(command("data", "list", "--json").out)["datasets"]
    assert {"mnist", "mnist5k", "digits"} <= {row["name"] for row in rows}
    assert next(row for row in rows if row["name"] == "mnist5k")["classes"] == 10
    assert command("data", "list", "--jsn").status == 2


def test_cfg_hydra_claims_no_directory(command: Command) -> None:
    assert command("train", "--cfg", "hydra", "--resolve").status == 0
    assert not Path("outputs").exists()


def test_data_list_names_every_dataset(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MNISTLAB_DATA", raising=False)
    out = command("data", "list").out
    for name in set(config.option_names("data")) - set(FORMATS):
        assert f"\n{name} " in out
    assert "`mnistlab data fetch mnist` downloads" in out


def test_data_show_prints_provenance_and_balance_and_draws(command: Command) -> None:
    result = command("data", "show", "data=digits", "data.validation=100")
    assert result.status == 0
    assert result.out.startswith("digits: 8 x 8 pixels, 10 classes\n")
    assert "sha256" in result.out
    assert "  all      1,338         100     359" in result.out
    assert {path.name for path in Path("outputs/data/digits").iterdir()} == {
        "samples.png",
        "samples.txt",
        "class_distribution.png",
        "class_distribution.txt",
    }
    assert command("data", "show", "data=digits", "--to", "here").status == 0
    assert Path("here/samples.png").exists()


def test_data_show_shows_augmentation_too(command: Command) -> None:
    result = command("data", "show", "data=digits", "augment=shift", "augment.pixels=1")
    assert result.status == 0
    assert "outputs/data/digits/augmented.png" in result.out
    assert {path.name for path in Path("outputs/data/digits").glob("augmented.*")} == {
        "augmented.npz",
        "augmented.png",
        "augmented.txt",
    }
    refused = command("data", "show", "data=digits", "augment=shift", "augment.pixels=8")
    assert refused.status == 2
    assert refused.err.strip().endswith(
        "augment.pixels=8: this shifts images of 8 x 8 pixels out of the frame; shift by less"
    )


def test_data_fetch_of_a_dataset_that_no_mirror_has(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from mnistlab.data import catalog

    dead = catalog.REGISTRY["mnist"].__class__(
        **{**vars(catalog.REGISTRY["mnist"]), "mirrors": ("http://127.0.0.1:9/",)}
    )
    monkeypatch.setitem(catalog.REGISTRY, "mnist", dead)
    result = command("data", "fetch", "mnist", "--to", "there")
    assert result.status == 2
    assert "http://127.0.0.1:9/" in result.err.splitlines()[-1]
    assert "data.root" in result.err.splitlines()[-1]


def test_a_sweep_has_a_directory_a_job_and_fails_if_one_does(command: Command) -> None:
    result = command(
        *("train", "-m", "experiment=smoke", "report.plots=none", "optimizer=sgd", "optimizer.lr=0.1,1e30"),
        *("init=random", "hydra/launcher=basic"),
    )
    assert result.status == 1
    assert "no longer finite" in result.err
    (sweep,) = Path("outputs/multirun").iterdir()
    states = {path.parent.name[0]: '"completed"' in path.read_text() for path in sweep.glob("*/status.json")}
    assert states == {"0": True, "1": False}


@pytest.mark.process
@pytest.mark.slow
def test_a_pipe_that_closes_early_does_not_fail_the_run(tmp_path: Path) -> None:
    line = f"{sys.executable} -m mnistlab train experiment=smoke report.plots=none | head -1"
    done = processes.run(["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    (status,) = tmp_path.glob("outputs/*/*/status.json")
    assert '"completed"' in status.read_text()


@pytest.mark.process
def test_a_configuration_error_is_quick() -> None:
    started = sum(os.times()[2:4])  # seconds of the processor for processes that have ended
    done = processes.run([*PROGRAM, "train", "optimzer.lr=1"], capture_output=True)
    assert done.returncode == 2
    assert sum(os.times()[2:4]) - started < 5  # the bar of half a second is a benchmark's; this finds heavy imports


@pytest.mark.slow
@pytest.mark.process
def test_a_reader_who_has_seen_enough_of_the_help_ends_it_quietly() -> None:
    line = f"{sys.executable} -m mnistlab train --help | head -1; exit ${{PIPESTATUS[0]}}"
    done = processes.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.startswith("Usage: mnistlab train ")


def test_flags_may_stand_after_overrides(command: Command) -> None:
    line = ["train", "optimizer=sgd", "-m", "seed=0,1", "hydra/launcher=basic", "data.limit=100", "data.test_limit=50"]
    assert command(*line, "trainer.epochs=1", "report.plots=none", "--quiet", "hydra.sweep.dir=s").status == 0
    assert command("compare", "s").status == 0
    shown = command("train", "optimizer=sgd", "--cfg", "job", "optimizer.lr=0.5", "--package", "optimizer")
    assert "lr: 0.5" in shown.out
