"""One experiment again and again, alone and in sweeps of 1, 2 and 4 workers: the same bytes every time.

Usage: python stress/determinism.py [--seed N] [--short]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from mnistlab.nn import kernels

SAME = ("model.safetensors", "metrics.json", "predictions.npz", "norms.csv")
WORDS = ["experiment=smoke", "report.plots=none", "regularization=dropout", "augment=shift", "trainer.threads=1"]
WORKERS = (1, 2, 4)
Rows = list[tuple[str, int]]


def command(place: Path, *words: str) -> None:
    """Run one command in a process of its own; a failure ends the part."""
    environment = {**os.environ, "PYTHONHASHSEED": "random"}
    line = [sys.executable, "-m", "mnistlab", "train", *words, "-q"]
    done = subprocess.run(line, cwd=place, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"determinism: {' '.join(words)}: {done.stderr[-400:]}")


def digest(run: Path, name: str) -> str:
    """Return the hash of what a file says; an archive's bytes hold the time at which it was written."""
    if name.endswith(".npz"):
        import numpy as np

        with np.load(run / name) as saved:
            parts = [key.encode() + saved[key].tobytes() for key in sorted(saved.files)]
        return hashlib.sha256(b"".join(parts)).hexdigest()
    return hashlib.sha256((run / name).read_bytes()).hexdigest()


def kinds() -> tuple[str, ...]:
    """Return the kernels that there are on this machine."""
    return ("numpy",) if kernels.unavailable() else ("numpy", "numba")


def repeats(place: Path, seed: int, count: int, kind: str) -> tuple[Rows, list[str]]:
    """Run one experiment so many times, with these kernels."""
    runs = [place / f"{kind}{number}" for number in range(count)]
    for run in runs:
        command(place, *WORDS, f"trainer.kernels={kind}", f"seed={seed}", f"hydra.run.dir={run.name}")
    return _counted(f"{count} repeats with {kind}", runs, threads=1)


def workers(place: Path, seed: int, numbers: tuple[int, ...], jobs: int) -> tuple[Rows, list[str]]:
    """Run one sweep of so many seeds, by these numbers of workers one after the other."""
    tried: Rows = []
    faults: list[str] = []
    for number in numbers:
        seeds = f"seed={','.join(str(seed + i) for i in range(jobs))}"
        command(place, "-m", *WORDS, seeds, f"hydra.sweep.dir=by{number}", f"hydra.launcher.n_jobs={number}")
    for job in range(jobs):
        runs = [next((place / f"by{number}").glob(f"{job}_*")) for number in numbers]
        more, found = _counted(f"job {job} of a sweep by {', '.join(map(str, numbers))} workers", runs, threads=1)
        tried, faults = tried + more, faults + found
    return tried, faults


def _counted(what: str, runs: list[Path], threads: int) -> tuple[Rows, list[str]]:
    tried, faults = [], []
    for name in SAME:
        contents = Counter(digest(run, name) for run in runs)
        tried.append((f"different {name} in {what}", len(contents)))
        if len(contents) != 1:
            faults.append(f"{what}: {len(contents)} different {name}")
    recorded = {run.name: json.loads((run / "environment.json").read_text())["threads"] for run in runs}
    faults += [f"{what}: {name} recorded {found} threads" for name, found in recorded.items() if found != threads]
    return tried, faults


def main(seed: int = 0, short: bool = False) -> tuple[Rows, list[str]]:
    """Return how many different contents each file had, and the faults."""
    with tempfile.TemporaryDirectory() as folder:
        tried: Rows = []
        faults: list[str] = []
        for kind in kinds():
            more, found = repeats(Path(folder), seed, 2 if short else 20, kind)
            tried, faults = tried + more, faults + found
        more, found = workers(Path(folder), seed, (1, 2) if short else WORKERS, 2 if short else 4)
    return tried + more, faults + found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="the same bytes every time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true")
    asked = parser.parse_args()
    counted, found = main(asked.seed, asked.short)
    for what, number in counted:
        print(f"  {number:>6}  {what}")
    for fault in found:
        print(f"  FAULT {fault}")
    sys.exit(1 if found else 0)
