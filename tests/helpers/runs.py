"""Runs that nobody trained: as records in memory, and as the few files of a run directory that others read."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnistlab.runs.record import Record
from mnistlab.runs.status import State
from mnistlab.statistics.sequential import Design
from mnistlab.sweeps.manifest import Entry, Manifest

# What every run of a network leaves beside its pictures and its page
RUN_FILES = {
    ".hydra/config.yaml",
    ".hydra/hydra.yaml",
    ".hydra/overrides.yaml",
    "checkpoint.safetensors",
    "class_distribution.csv",
    "classification_report.csv",
    "confusion_matrix.csv",
    "environment.json",
    "history.csv",
    "metrics.json",
    "mistakes.npz",
    "model.safetensors",
    "norms.csv",
    "precision_recall.csv",
    "predictions.npz",
    "report.html",
    "roc.csv",
    "run.json",
    "samples.npz",
    "status.json",
    "train.log",
}

# Six seeds, one a column. kaiming - random in points: .12 .14 .20 .14 .12 .18
KAIMING = (0.9712, 0.9704, 0.9721, 0.9698, 0.9715, 0.9710)
RANDOM = (0.9700, 0.9690, 0.9701, 0.9684, 0.9703, 0.9692)


def record(
    seed: int | None,
    accuracy: float,
    settings: Mapping[str, Any] | None = None,
    *,
    state: str = "completed",
    overridden: Sequence[str] = (),
    place: str = "",
    **metrics: Any,
) -> Record:
    """Return a run with this validation accuracy, and a test accuracy that is one point lower."""
    settings = settings or {}
    scores = {"validation": {"accuracy": accuracy}, "test": {"accuracy": accuracy - 0.01}, "data_sha256": "same"}
    directory = Path(place or f"{' '.join(map(str, settings.values()))} {seed}")
    return Record(directory, State(state), seed, settings, tuple(overridden), {**scores, **metrics})


def group(settings: Mapping[str, Any], accuracies: Sequence[float], first_seed: int = 0) -> list[Record]:
    """Return a run for every accuracy, their seeds one after the other."""
    return [record(seed, value, settings) for seed, value in enumerate(accuracies, first_seed)]


def kaiming_and_random() -> list[Record]:
    return [*group({"init": "random"}, RANDOM), *group({"init": "kaiming"}, KAIMING)]


def write_status(directory: Path, state: str = "completed", **others: Any) -> None:
    content = {
        "state": state,
        "config_hash": "c0ffee",
        "seconds": {"load": 0.5, "train": 1.25},
        "error": None,
        "host": platform.node(),
        "pid": 1,
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "status.json").write_text(json.dumps({**content, **others}))


def write_run(
    directory: Path,
    accuracy: float = 0.9,
    *,
    config: Mapping[str, Any] | None = None,
    choices: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    state: str = "completed",
    error: str | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> Path:
    """Write what `records.read` reads of a run, and its history of two epochs; JSON is YAML too."""
    write_status(directory, state, error=error)
    hydra = directory / ".hydra"
    hydra.mkdir()
    (hydra / "config.yaml").write_text(json.dumps({"seed": 0, **(config or {})}))
    (hydra / "hydra.yaml").write_text(json.dumps({"hydra": {"runtime": {"choices": dict(choices or {})}}}))
    (hydra / "overrides.yaml").write_text(json.dumps(list(overrides)))
    if state == "completed":
        scores = {
            "data_sha256": "same",
            "parameters": 7850,
            "epochs": 2,
            "kept_epoch": 2,
            "train": {"accuracy": 1.0, "loss": 0.125},
            "validation": {"accuracy": accuracy, "loss": 0.25},
            "test": {"accuracy": accuracy - 0.01, "loss": 0.5, "macro": {"f1": 0.75}},
        }
        (directory / "metrics.json").write_text(json.dumps({**scores, **(metrics or {})}))
        (directory / "history.csv").write_text(
            f"epoch,train_loss,train_accuracy,val_loss,val_accuracy\n1,1.5,0.5,1.25,0.5\n2,0.5,0.75,0.25,{accuracy}\n"
        )
    return directory


def write_until_decided(directory: Path, accuracies: Mapping[str, Sequence[float]], design: Design) -> Manifest:
    """Write a sweep over initialisations that has added seeds, with these validation accuracies by seed."""
    settings = [{"init": init, "seed": seed} for init, values in accuracies.items() for seed in range(len(values))]
    written = replace(write_manifest(directory, settings, ["init=a,b"]), design=design)
    written.write()
    for entry, one in zip(written.entries, settings, strict=True):
        init, seed = str(one["init"]), int(str(one["seed"]))
        config, overrides = {"seed": seed, "init": {"name": init}}, [f"init={init}", f"seed={seed}"]
        write_run(
            written.place(entry), accuracies[init][seed], config=config, choices={"init": init}, overrides=overrides
        )
    return written


def write_manifest(directory: Path, settings: Sequence[Mapping[str, Any]], overrides: Sequence[str] = ()) -> Manifest:
    """Write sweep.json with a job for each of these settings, in directories 0, 1, ..."""
    directory.mkdir(parents=True, exist_ok=True)
    entries = [
        Entry(i, str(i), tuple(f"{key}={value}" for key, value in one.items()), "c0ffee", one)
        for i, one in enumerate(settings)
    ]
    written = Manifest(directory, tuple(overrides), None, str(Path.cwd()), tuple(entries))
    written.write()
    return written
