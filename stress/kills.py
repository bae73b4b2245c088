"""Runs and sweeps killed at random times by SIGKILL, SIGTERM, SIGINT and SIGHUP, and resumed until they are complete.

After every kill each file under its final name is read, and no checkpoint and no completed job may be behind what was
there before; at the end all numbers must be those of a run, or sweep, that nobody touched.
"""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from mnistlab.system import tensors
from mnistlab.system.errors import RequestError

RUN = ("experiment=smoke", "regularization=dropout", "augment=shift", "schedule=plateau", "trainer.threads=1")
LONG = ("trainer.epochs=12", "trainer.checkpoint_every=0.05s", "report.plots=core")
GRID = ("-m", *RUN, "trainer.epochs=4", "trainer.checkpoint_every=1", "report.plots=none", "seed=range(4)")
SAME = ("metrics.json", "model.safetensors", "predictions.npz", "norms.csv")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
WITHIN = 2.0  # seconds in which an interrupted run is to have ended
ENDS = {  # below 0: before it could listen
    signal.SIGKILL: (-9,),
    signal.SIGTERM: (143, -15),
    signal.SIGINT: (130, -2),
    signal.SIGHUP: (129, -1),
}


@dataclass
class Tally:
    """What was seen."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def fault(self, kind: str, text: str) -> None:
        self.counts[kind] += 1
        self.faults.append(f"{kind}: {text}")


def main(seed: int, short: bool) -> tuple[list[tuple[str, Any]], list[str]]:
    """Kill 200 single runs and 50 sweeps, or four and one; return what was counted, and the faults."""
    runs, sweeps = (4, 1) if short else (200, 50)
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("MNISTLAB_CACHE", str(Path(folder, "cache")))
        whole = Path(folder, "whole")
        whole.mkdir()
        took = finish(whole, "train", *RUN, *LONG, "hydra.run.dir=run")
        with ThreadPoolExecutor(2) as pool:  # two at a time, as in a sweep
            shares = [(runs + 1) // 2, runs // 2]
            done = [
                pool.submit(
                    kill_runs, Path(folder, f"runs{i}"), whole / "run", share, took, random.Random(f"{seed} {i}")
                )
                for i, share in enumerate(shares)
            ]
            for future in done:
                add(tally, future.result())
        took = finish(whole, "train", *GRID, "hydra.sweep.dir=sweep")
        add(tally, kill_sweeps(Path(folder, "sweeps"), whole / "sweep", sweeps, took, random.Random(f"{seed} sweeps")))
    rows: list[tuple[str, Any]] = [(what, tally.counts[what]) for what in ROWS]
    return [
        *rows,
        ("seconds at most from another signal than SIGKILL to the end of a run", f"{tally.slowest:.2f}"),
    ], tally.faults


KINDS = ("corrupt file", "lost work", "other numbers", "wrong end")
ROWS = (
    *(f"single runs ended by {one.name}" for one in dict.fromkeys(SIGNALS)),
    *("single runs that were over before", "single runs completed after kills", "single runs begun anew"),
    *(
        "sweeps killed",
        "sweeps that were over before",
        "sweeps completed after kills",
        "jobs of sweeps that were complete and stayed so",
    ),
    *("files read", *KINDS),
)


def add(tally: Tally, other: Tally) -> None:
    """Add what another saw."""
    tally.counts += other.counts
    tally.faults += other.faults
    tally.slowest = max(tally.slowest, other.slowest)


def start(place: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command in a session of its own."""
    command = [sys.executable, "-m", "mnistlab", *arguments]
    return subprocess.Popen(
        command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def finish(place: Path, *arguments: str) -> float:
    """Run a command to its end; return the seconds it took."""
    started = time.monotonic()
    process = start(place, *arguments)
    _, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"mnistlab {' '.join(arguments)}: {err}")
    return time.monotonic() - started


def kill_runs(place: Path, whole: Path, kills: int, took: float, rng: random.Random) -> Tally:
    """Kill a run again and again until it is complete, then the next one."""
    tally, run = Tally(), place / "run"
    place.mkdir(parents=True)
    while kills:
        begun = (run / ".hydra" / "config.yaml").exists()
        if not begun and run.exists():  # nothing was trained, and what was asked for is not known
            tally.counts["single runs begun anew"] += 1
            shutil.rmtree(run)
        before = position(run)
        process = start(place, "resume", "run") if begun else start(place, "train", *RUN, *LONG, "hydra.run.dir=run")
        out, sent, seconds = kill(process, rng.choice(SIGNALS), rng.uniform(0.1, took))
        if process.returncode == 0:  # no kill
            tally.counts["single runs that were over before"] += 1
        else:
            kills -= 1
            tally.counts[f"single runs ended by {sent.name}"] += 1
            if process.returncode not in ENDS[sent]:
                tally.fault("wrong end", f"{sent.name} and exit status {process.returncode}")
            if sent is not signal.SIGKILL:
                tally.slowest = max(tally.slowest, seconds)
                if seconds > WITHIN:
                    tally.fault("wrong end", f"{sent.name} took {seconds:.2f} s")
        read_all(run, tally)
        said = re.search(r"resume  in epoch (\d+), after (\d+) of", out)
        if before > position(run) or (said and (int(said[1]), int(said[2])) != before):
            tally.fault("lost work", f"{before} before, {position(run)} after, {said and said[0]}")
        if is_completed(run) or not kills:
            if not is_completed(run) and (run / ".hydra" / "config.yaml").exists():
                finish(place, "resume", "run")
            if is_completed(run):
                tally.counts["single runs completed after kills"] += 1
                compare(run, whole, tally)
            shutil.rmtree(run, ignore_errors=True)
    return tally


def kill_sweeps(place: Path, whole: Path, kills: int, took: float, rng: random.Random) -> Tally:
    """Kill a sweep, by itself or with all its workers, until it is complete; then the next one."""
    tally, sweep = Tally(), place / "sweep"
    place.mkdir(parents=True)
    while kills:
        begun = (sweep / "sweep.json").exists()
        if not begun:
            shutil.rmtree(sweep, ignore_errors=True)
        before = completed(sweep)
        process = start(place, "resume", "sweep") if begun else start(place, "train", *GRID, "hydra.sweep.dir=sweep")
        kill(process, rng.choice(SIGNALS), rng.uniform(0.1, took), group=rng.random() < 0.5)
        if process.returncode == 0:
            tally.counts["sweeps that were over before"] += 1
        else:
            kills -= 1
            tally.counts["sweeps killed"] += 1
        read_all(sweep, tally)
        after = completed(sweep)
        for job, written in before.items():
            if after.get(job) != written:
                tally.fault("lost work", f"{job} was complete and ran again")
            else:
                tally.counts["jobs of sweeps that were complete and stayed so"] += 1
        if not kills or len(after) == 4:
            if (sweep / "sweep.json").exists():
                finish(place, "resume", "sweep")
                tally.counts["sweeps completed after kills"] += 1
                for job in whole.glob("*_seed=*"):
                    compare(sweep / job.name, job, tally)
            shutil.rmtree(sweep, ignore_errors=True)
    return tally


def kill(
    process: subprocess.Popen[str], number: signal.Signals, after: float, group: bool = False
) -> tuple[str, signal.Signals, float]:
    """Send a signal after so many seconds; return what the process had said, the signal, and when it ended after."""
    try:
        out, _ = process.communicate(timeout=after)
        return out, number, 0.0
    except subprocess.TimeoutExpired:
        pass
    if group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    at = time.monotonic()
    process.wait()
    seconds = time.monotonic() - at
    out, _ = process.communicate()
    return out, number, seconds


def position(run: Path) -> tuple[int, int]:
    """Return the epoch and step that the checkpoint of a run stands before."""
    try:
        state = tensors.read(run / "checkpoint.safetensors")[0]["state"]
    except RequestError:
        return 1, 0
    return state["epoch"], state["step"]


def is_completed(run: Path) -> bool:
    """Return whether a run says that it is."""
    path = run / "status.json"
    return path.exists() and json.loads(path.read_text())["state"] == "completed"


def completed(sweep: Path) -> dict[str, int]:
    """Return the jobs of a sweep that are completed, and when their metrics were written."""
    return {
        path.parent.name: (path.parent / "metrics.json").stat().st_mtime_ns
        for path in sweep.glob("*/status.json")
        if is_completed(path.parent)
    }


def compare(run: Path, whole: Path, tally: Tally) -> None:
    """Compare numbers and weights with those of a run that nobody touched."""
    for name in SAME:
        if (run / name).read_bytes() != (whole / name).read_bytes():
            tally.fault("other numbers", f"{run.name}/{name}")
    rows = [
        [line.rpartition(",")[0] for line in (each / "history.csv").read_text().splitlines()] for each in (run, whole)
    ]
    if rows[0] != rows[1]:
        tally.fault("other numbers", f"{run.name}/history.csv")


def read_all(folder: Path, tally: Tally) -> None:
    """Read every file that bears its final name."""
    for path in folder.rglob("*"):
        if not path.is_file() or path.name.startswith("."):
            continue
        try:
            read(path)
            tally.counts["files read"] += 1
        except FileNotFoundError:  # a worker of a killed sweep was just clearing the directory of a job
            continue
        except Exception as error:
            tally.fault("corrupt file", f"{path.relative_to(folder)}: {error}")


def read(path: Path) -> None:
    """Read a file as what its name says it is."""
    if path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".yaml":
        yaml.safe_load(path.read_text())
    elif path.suffix == ".csv":
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
        if len({len(row) for row in rows}) != 1:
            raise ValueError("its rows differ in length")
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as saved:
            for name in saved.files:
                saved[name]
    elif path.suffix == ".safetensors":
        try:
            tensors.read(path)
        except RequestError as error:
            if "no such file" not in str(error):
                raise
    elif path.suffix == ".png":
        with Image.open(path) as picture:
            picture.load()
    elif path.suffix in (".txt", ".md", ".log", ".html"):
        path.read_text()
    else:
        raise ValueError("a file of a kind that no run leaves")
