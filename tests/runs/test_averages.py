"""A run with an average of the weights and a list of augmentations: which weights are where, and that it is resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistlab.models.model_file import load_model
from mnistlab.nn import kernels
from mnistlab.system.tensors import read

OVERRIDES = ("augment=[flip,{crop:{padding:1}},mixup]", "model=lenet5", "data.limit=200", "report.plots=none")


def metrics_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return content


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        (
            "trainer.ema=0.9",
            "average exponential, decay 0.9: validation and the model are those of the averaged",
        ),
        ("trainer.swa=2", "average mean of epochs 2 to 2: from then on, validation and the model are those of the"),
    ],
)
def test_the_model_is_the_average_and_the_checkpoint_has_both(
    setting: str, line: str, train: Callable[..., Path]
) -> None:
    run = train(setting, *OVERRIDES)
    log = (run / "train.log").read_text()
    assert line in log
    assert "augment Combined, parts [flip,{crop:{padding:1}},mixup]" in log
    network, _ = load_model(run / "model.safetensors")
    _, arrays = read(run / "checkpoint.safetensors")
    np.testing.assert_array_equal(network.theta, arrays["average.theta"])
    assert np.array_equal(network.theta, arrays["theta"]) is (setting == "trainer.swa=2")  # the mean of one epoch
    with np.load(run / "predictions.npz") as saved:
        accuracy = (saved["probabilities"].argmax(axis=1) == saved["labels"]).mean()
    assert metrics_of(run)["test"]["accuracy"] == accuracy


@pytest.mark.parametrize(
    "kind",
    [
        "numpy",
        pytest.param("numba", marks=pytest.mark.skipif(kernels.unavailable() is not None, reason="needs kernels")),
    ],
)
def test_an_interrupted_run_is_resumed_to_the_same_bytes_and_scored_by_evaluate(
    kind: str, command: Callable[..., Any]
) -> None:
    settings = ("experiment=smoke", *OVERRIDES, "trainer.ema=0.9", f"trainer.kernels={kind}")
    assert command("train", *settings, "trainer.epochs=3", "hydra.run.dir=whole").status == 0
    assert command("train", *settings, "trainer.epochs=1", "hydra.run.dir=part").status == 0
    result = command("resume", "part", "trainer.epochs=3")
    assert result.status == 0, result.err
    whole, part = (metrics_of(Path(name)) for name in ("whole", "part"))
    assert {**whole, "config_hash": 0} == {**part, "config_hash": 0}
    assert Path("whole/model.safetensors").read_bytes() == Path("part/model.safetensors").read_bytes()
    assert command("evaluate", "part", "--to", "scores", "report.plots=none").status == 0
    assert metrics_of(Path("scores"))["test"] == part["test"]


def test_a_sweep_over_lists_names_each(command: Callable[..., Any]) -> None:
    swept = "augment=none,[flip,crop],[crop,mixup]"
    result = command("train", "-m", "experiment=smoke", swept, "data.limit=100", "hydra.sweep.dir=sweep")
    assert result.status == 0, result.err
    table = Path("sweep/summary.csv").read_text()
    for name in ("none", "[flip,crop]", "[crop,mixup]"):
        assert name in table
