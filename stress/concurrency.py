"""Many processes at once: on a cold cache of parsed data, on the locks of dead processes, on one outputs/ folder.

Usage: python stress/concurrency.py [--seed N] [--short]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

MOST_SECONDS = 600
Rows = list[tuple[str, int]]

READ = """
import sys, time
from mnistlab.data.sources.by_format import NpzSource
time.sleep(max(0, float(sys.argv[2]) - time.time()))
pool = NpzSource(path=sys.argv[1]).read()
rows, pixels = (sum(part) for part in zip(*((len(p), int(p.images.sum())) for p in (pool.train, pool.test))))
print(pool.provenance["sha256"], rows, pixels)
"""
START = """
import sys, time
from mnistlab import cli
from mnistlab.config import compose
from mnistlab.runs import lifecycle
time.sleep(max(0, float(sys.argv[1]) - time.time()))
cli.main(sys.argv[2:])
"""
BUILD_AND_HANG = """
import sys, time
from mnistlab.data import cache
from mnistlab.data.sources.by_format import NpzSource
saved = cache.np.save
def half(path, array, **options):
    saved(path, array[: len(array) // 2], **options)
    print("writing", flush=True)
    time.sleep(600)
cache.np.save = half
NpzSource(path=sys.argv[1]).read()
"""


def environment(place: Path) -> dict[str, str]:
    """Return the environment of a command: a cache of its own, one thread."""
    return {**os.environ, "MNISTLAB_CACHE": str(place / "cache"), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def archive(path: Path, rows: int, seed: int) -> tuple[int, int]:
    """Write images of noise, and return how many there are and the sum of their pixels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (rows, 28, 28), dtype=np.uint8)
    np.savez(path, images=images, labels=np.arange(rows) % 10)
    return rows, int(images.sum())


def readers(place: Path, path: Path, count: int) -> list[str]:
    """Have so many processes read the file at one moment; return what each says."""
    at = str(time.time() + 0.5 + count / 8)  # when all have imported what they need
    command = [sys.executable, "-c", READ, str(path), at]
    started = [
        subprocess.Popen(command, env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(count)
    ]
    until, said = time.monotonic() + MOST_SECONDS, []
    for process in started:
        try:
            said.append(process.communicate(timeout=max(1, until - time.monotonic()))[0].strip())
        except subprocess.TimeoutExpired:
            process.kill()
            said.append("no end")
    return said


def cold_cache(place: Path, count: int, rows: int, seed: int) -> tuple[Rows, list[str]]:
    """Every process must read the same, and one copy must be left."""
    expected = archive(place / "data.npz", rows, seed)
    said = readers(place, place / "data.npz", count)
    return [("processes that read through one cold cache", count)], _faults("cold cache", place, said, expected)


def killed_writer(place: Path, count: int, rows: int, seed: int) -> tuple[Rows, list[str]]:
    """A process is killed in the middle of writing the cache, with the lock in its hands; others come after it."""
    expected = archive(place / "data.npz", rows, seed)
    command = [sys.executable, "-c", BUILD_AND_HANG, str(place / "data.npz")]
    writer = subprocess.Popen(command, env=environment(place), stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    if writer.stdout.readline().strip() != "writing":
        return [], ["killed writer: it never began to write"]
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    if not list((place / "cache/parsed").glob("*.lock")):
        return [], ["killed writer: it left no lock, and shows nothing"]
    said = readers(place, place / "data.npz", count)
    tried: Rows = [("processes after one that was killed with the lock", count)]
    return tried, _faults("killed writer", place, said, expected)


def _faults(what: str, place: Path, said: list[str], expected: tuple[int, int]) -> list[str]:
    faults = [f"{what}: {text[-200:]}" for text in said if text.split()[1:] != list(map(str, expected))]
    if len({text.split()[0] for text in said if text}) != 1:
        faults.append(f"{what}: {len(set(said))} different contents")
    copies = [path.name for path in (place / "cache/parsed").iterdir() if path.is_dir()]
    if len(copies) != 1:
        faults.append(f"{what}: {len(copies)} copies are left: {copies}")
    return faults


def one_root(place: Path, count: int) -> tuple[Rows, list[str]]:
    """So many runs begin at once and want one directory: each must have one of its own, and be complete."""
    words = [
        "train",
        "experiment=smoke",
        "report.plots=none",
        "trainer.epochs=1",
        "-q",
        "hydra.run.dir=${claim:outputs/same}",
    ]
    command = [sys.executable, "-c", START, str(time.time() + 2 + count / 2), *words]
    started = [
        subprocess.Popen(command, cwd=place, env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(count)
    ]
    faults = []
    for process in started:
        out, error = process.communicate(timeout=MOST_SECONDS)
        if process.returncode:
            faults.append(f"one root: status {process.returncode}: {(error or out).decode()[-300:]}")
    runs = [path.parent for path in (place / "outputs").rglob("status.json")]
    if len(runs) != count:
        faults.append(f"one root: {len(runs)} directories for {count} runs")
    states = {run.name: json.loads((run / "status.json").read_text())["state"] for run in runs}
    faults += [f"one root: {name} is {state}" for name, state in states.items() if state != "completed"]
    for name in ("metrics.json", "model.safetensors"):
        contents = Counter((run / name).read_bytes() for run in runs if (run / name).is_file())
        if len(contents) != 1 or sum(contents.values()) != count:
            faults.append(f"one root: {sum(contents.values())} files {name} of {len(contents)} contents")
    return [("runs that wanted one directory, and have one each", len(runs))], faults


def main(seed: int = 0, short: bool = False) -> tuple[Rows, list[str]]:
    """Return what was tried, and the faults."""
    count, rows = (8, 500) if short else (32, 20_000)
    seed = random.Random(seed).randrange(2**31)
    tried: Rows = []
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, part in {
            "cold": lambda place: cold_cache(place, count, rows, seed),
            "killed": lambda place: killed_writer(place, count, rows, seed),
            "root": lambda place: one_root(place, count),
        }.items():
            place = Path(folder) / name
            place.mkdir()
            more, found = part(place)
            tried, faults = tried + more, faults + found
    return tried, faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="many processes at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true")
    asked = parser.parse_args()
    counted, found = main(asked.seed, asked.short)
    for what, number in counted:
        print(f"  {number:>6}  {what}")
    for fault in found:
        print(f"  FAULT {fault}")
    sys.exit(1 if found else 0)
