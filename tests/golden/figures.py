"""What a run of a golden scenario is expected to say on any machine: its files, its counts, losses and accuracies.

    python -m tests.golden.figures   run the scenarios of the permanent test again and write figures.json

Hashes are kept only of files in which no floating-point arithmetic has a part.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

EXPECTED = Path(__file__).with_name("figures.json")
NAMES = ("default", "lenet5", "early_stopping", "svm", "resumed")
EXACT = (".hydra/config.yaml", ".hydra/overrides.yaml", "class_distribution.csv", "samples.npz")
COUNTS = ("config_hash", "data_sha256", "seed", "parameters", "epochs", "kept_epoch")
LOSSES, ACCURACIES = ("train_loss", "val_loss"), ("train_accuracy", "val_accuracy")


def figures(run: Path) -> dict[str, Any]:
    """Return what is compared of a run: plain values for JSON."""
    metrics = json.loads((run / "metrics.json").read_text())
    history = run / "history.csv"
    return {
        "files": sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()),
        "sha256": {name: content_hash(run / name) for name in EXACT},
        "counts": {name: metrics.get(name) for name in COUNTS},
        "scores": {
            part: {name: metrics[part].get(name) for name in ("n", "correct", "loss")}
            for part in ("train", "validation", "test")
        },
        "history": [
            {name: float(row[name]) for name in (*LOSSES, *ACCURACIES)}
            for row in (csv.DictReader(history.read_text().splitlines()) if history.exists() else ())
        ],
    }


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, of an archive that of its arrays: compressed bytes differ from zlib to zlib."""
    if path.suffix != ".npz":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    with np.load(path, allow_pickle=False) as arrays:
        for name in sorted(arrays):
            digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode() + arrays[name].tobytes())
    return digest.hexdigest()


def main() -> None:
    """Write figures.json."""
    from tests.golden.record import run

    with tempfile.TemporaryDirectory() as place:
        os.environ.setdefault("MNISTLAB_CACHE", f"{place}/cache")
        expected = {}
        for name in NAMES:
            run(name, Path(place) / name)
            expected[name] = figures(Path(place) / name / "run")
    EXPECTED.write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
