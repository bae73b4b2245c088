"""The training step against PyTorch, JAX and scikit-learn, and what a whole process costs. `make bench` runs it.

    python benchmarks/bench.py [--workloads macalinao,ghimire] [--rounds 3] [--peers torch] [--out dense] [--quick]

Each measurement is a process of its own; within a round ours and the peers take turns, so that a machine that gets
slower gets slower for all, and ratios are taken round by round. A measurement during which others used more than 6 %
of the machine is repeated up to twice; what remained stands in the table. Peers get the better number of
threads, and PyTorch the better memory layout for convolutions. PyTorch is eager, and again with torch.compile; a peer
that is not installed, or does not work here, is skipped with a note.
Writes results/OUT.md, OUT.csv, OUT_process.csv and OUT_measurements.csv beside this file.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import peers
import process
import tables
from workloads import CONVOLUTIONAL, EVERY, WORKLOADS

from mnistlab.runs.environment import environment
from mnistlab.system.errors import RequestError, choice, whole

HERE = Path(__file__).resolve().parent
BUSY = 0.06  # share of the machine that others may use during a measurement
REPEATS = 2
HOPELESS = 1.2  # a number of threads this much slower than the best in the first round is not tried again
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
OPTIONAL = {"compiled", "compiled_channels_last", "jax"}  # where they fail, the benchmark goes on without them
PEERS = ("torch", "compiled", "jax", "sklearn")
SKLEARN_EPOCHS = 3  # at most: the first warms up, and its epochs are long


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; exit 2 where the request is wrong, 1 where a measurement failed."""
    try:
        options = parse(arguments)
        with tempfile.TemporaryDirectory() as folder:
            run(options, data_overrides(options, Path(folder)))
    except RequestError as error:
        fail(str(error), 2)
    except RuntimeError as error:
        fail(str(error), 1)
    except KeyboardInterrupt:
        fail("interrupted; nothing was written", 130)


def run(options: argparse.Namespace, data: list[str]) -> None:
    """Measure everything, print the tables and write them."""
    machine = [*describe_machine(options), *options.skipped]
    print("\n".join(machine), flush=True)
    measurements: list[tables.Measurement] = []
    for name in options.workloads:
        measurements += measure_workload(name, options, data)
    rows = [tables.row(name, measurements) for name in options.workloads]
    print(f"whole processes, {options.times} times each", flush=True)
    attempts = 1 if options.quick else 1 + REPEATS
    processes = [
        calmest(partial(process.measure, command, options.times), attempts) for command in process.commands(data)
    ]
    text = page(options.out, machine, rows, processes)
    print(f"\n{text}")
    folder = options.results
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{options.out}.md").write_text(text)
    write_csv(folder / f"{options.out}.csv", rows)
    write_csv(folder / f"{options.out}_process.csv", processes)
    write_csv(folder / f"{options.out}_measurements.csv", measurements)
    print(f"written to {folder}/{options.out}.md and .csv")


def measure_workload(name: str, options: argparse.Namespace, data: list[str]) -> list[tables.Measurement]:
    """Return the measurements of one workload: all rounds, then the share of GEMM."""
    found: list[tables.Measurement] = []
    runners: list[tuple[str, int | None]] = [("ours", options.threads), ("numpy", options.threads)]
    runners += [(peer, threads) for peer in peers_of(name, options.peers) for threads in peer_threads()]
    for i in range(options.rounds):
        this_round = [{"round": i + 1, **attempt(peer, name, threads, options, data)} for peer, threads in runners]
        if i == 0:
            runners = worth_repeating(runners, this_round)
        found += this_round
    return [*found, measure("ours", name, options.threads, options, data, "--gemm")]


def peers_of(name: str, wanted: list[str]) -> list[str]:
    """Return the peers that can train a workload: a convolutional network has two layouts of PyTorch's."""
    if name not in CONVOLUTIONAL:
        return wanted
    layouts = {"torch": ["torch", "channels_last"], "compiled": ["compiled", "compiled_channels_last"], "sklearn": []}
    return [layout for peer in wanted for layout in layouts.get(peer, [peer])]


def worth_repeating(
    runners: list[tuple[str, int | None]], first_round: list[tables.Measurement]
) -> list[tuple[str, int | None]]:
    """Return the runners without those numbers of threads that are hopeless beside the peer's best, or failed."""
    best: dict[str, float] = {}
    done = [(runner, m) for runner, m in zip(runners, first_round, strict=True) if "seconds" in m]
    for _, m in done:
        best[m["peer"]] = min(m["seconds"], best.get(m["peer"], m["seconds"]))
    return [runner for runner, m in done if m["seconds"] <= HOPELESS * best[m["peer"]]]


def attempt(
    peer: str, name: str, threads: int | None, options: argparse.Namespace, data: list[str]
) -> tables.Measurement:
    """Return one measurement; of a peer that may fail, why there is none."""
    try:
        return measure(peer, name, threads, options, data)
    except RuntimeError as error:
        if peer not in OPTIONAL:
            raise
        print(f"  skipped: {error}", flush=True)
        return {"workload": name, "peer": peer, "threads": threads, "skipped": str(error)}


def measure(
    peer: str, name: str, threads: int | None, options: argparse.Namespace, data: list[str], *more: str
) -> tables.Measurement:
    """Return one measurement from a process of its own, the calmest where the machine was too busy with other work."""
    epochs = 2 if options.quick else EVERY[name].epochs
    epochs = min(epochs, SKLEARN_EPOCHS) if peer == "sklearn" else epochs
    command = [sys.executable, str(HERE / "measure.py"), peer, name, "--epochs", str(epochs), *more]
    env = {key: value for key, value in os.environ.items() if key not in THREAD_VARIABLES}
    if threads:
        command += ["--threads", str(threads)]
        env |= dict.fromkeys(THREAD_VARIABLES, str(threads))

    def take() -> tables.Measurement:
        done = subprocess.run([*command, *data], env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
            raise RuntimeError(f"{peer} {name}: {said}")
        return json.loads(done.stdout.splitlines()[-1])

    found = calmest(take, 1 if options.quick else 1 + REPEATS)
    report(found)
    return found


def calmest(take: Callable[[], tables.Measurement], times: int) -> tables.Measurement:
    """Return the first measurement that others did not disturb, or the least disturbed of so many."""
    attempts: list[tables.Measurement] = []
    while not attempts or (len(attempts) < times and (attempts[-1]["foreign"] or 0) > BUSY):
        attempts.append(take())
    return min(attempts, key=lambda m: m["foreign"] or 0) | {"attempts": len(attempts)}


def report(m: tables.Measurement) -> None:
    """Print one line about a measurement."""
    figure = f"{m['seconds']:8.3f} s/epoch" if "seconds" in m else f"{m['gemm_share']:8.0%} GEMM"
    layout = f" {m['layout']}" if "layout" in m else ""
    disturbed = (m["foreign"] or 0) > BUSY
    note = f"  others used {m['foreign']:.0%} in the calmest of {m['attempts']}" if disturbed else ""
    print(f"  {m['workload']:15} {m['peer']:8} {m['threads']} thr. {figure}{layout}{note}", flush=True)


def data_overrides(options: argparse.Namespace, folder: Path) -> list[str]:
    """Return the overrides that name the data: MNIST from this machine, or random images; nothing is downloaded."""
    if options.synthetic:
        os.environ["MNISTLAB_CACHE"] = str(folder / "cache")
        return random_images(folder / "random.npz", options.synthetic)

    from mnistlab.data.sources.published import NamedSource, locate

    if options.data_root is None and locate("mnist") is None:
        raise RequestError(
            "the full MNIST files are not on this machine; run `mnistlab data fetch mnist`, set MNISTLAB_DATA or give "
            "--data-root FOLDER (--synthetic 60000 takes random images)"
        )
    NamedSource(root=options.data_root).read()  # now in the cache, so that no measurement parses it
    root = [] if options.data_root is None else [f"data.root={quoted(options.data_root)}"]
    return ["data=mnist", *root, "data.validation=0"]


def random_images(file: Path, n: int, side: int = 28, classes: int = 10) -> list[str]:
    """Write so many random images for training, and 100 for the test; return the overrides that name them."""
    import numpy as np

    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, images in (("train", n), ("test", 100)):
        arrays[f"x_{part}"] = rng.integers(0, 256, (images, side, side), dtype=np.uint8)
        arrays[f"y_{part}"] = np.arange(images) % classes
    np.savez(file, allow_pickle=False, **arrays)
    more = [] if classes == 10 else [f"data.classes={classes}"]
    return ["data=npz", f"data.path={quoted(file)}", "data.validation=0", "data.limit=null", *more]


def quoted(path: str | Path) -> str:
    """Return an absolute path as a quoted value of Hydra's override grammar."""
    from mnistlab.config import compose

    return compose.quoted(Path(path).expanduser().absolute())


def peer_threads() -> list[int]:
    """Return the numbers of threads to try a peer with: one, two, and all cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return sorted({threads for threads in (1, 2, cores) if threads <= cores})


def describe_machine(options: argparse.Namespace) -> list[str]:
    """Return lines about the machine, the versions and how it was measured."""
    here = environment(0, 0, "numpy", {}, [], "")
    blas = "; ".join(f"{b['internal_api']} {b['version']} {b['architecture']}" for b in here["blas"])
    packages = {name: here["packages"][name] for name in ("numpy", "scikit-learn")}
    packages["torch"] = importlib.metadata.version("torch") if "torch" in options.peers else "not installed"
    if "jax" in options.peers:
        packages["jax"] = importlib.metadata.version("jax")
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    data = f"{options.synthetic} random images (a dry run)" if options.synthetic else "MNIST, 60,000 images"
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {(here['git_commit'] or 'unknown')[:12]}",
        f"{here['cpu']}, {here['cores']} cores, {here['platform']}",
        f"Python {here['python']}, {versions}, NumPy's BLAS: {blas}",
        f"{data}, float32, {options.rounds} interleaved round(s){', quick' if options.quick else ''}",
    ]


def page(name: str, machine: list[str], rows: list[dict[str, Any]], processes: list[dict[str, Any]]) -> str:
    """Return the Markdown page."""
    missed = [r["workload"] for r in rows if r["holds"] is False]
    missed += [r["command"] for r in processes if not r["holds"]]
    disturbed = [r["workload"] for r in rows if (r["worst_foreign"] or 0) > BUSY]
    disturbed += [r["command"] for r in processes if (r["foreign"] or 0) > BUSY]
    notes = [f"- {r['workload']}: scikit-learn with {r['left_out']}." for r in rows if r["left_out"]]
    notes += [f"- {r['workload']}: not measured: {r['skipped']}" for r in rows if r["skipped"]]
    return "\n".join(
        [
            f"# Benchmark: {name}\n",
            *(f"- {line}" for line in machine),
            "",
            "Seconds per epoch of complete training steps: median of the rounds (minimum..maximum). Each",
            "measurement is the fastest epoch, not counting the first. Ratios are taken round by round; above 1,",
            "ours is faster. PyTorch is eager, unless the column says torch.compile. Ours has compiled kernels",
            "(where numba is missing, NumPy layers), NumPy layers none. GEMM is the share of our time inside",
            "np.matmul, from a separate run that times these calls. A tilde marks a peer that cannot express the",
            "network and trains the most similar one.\n",
            tables.dense_markdown(rows),
            *notes,
            *([""] if notes else []),
            "Peak memory of the training processes. Each of them holds mnistlab and the images as bytes, and has",
            "had the last column's peak before training. Kernels add numba and LLVM; PyTorch and JAX add their",
            "library, and the images as float32.\n",
            tables.memory_markdown(rows),
            "Whole processes, from start to exit:\n",
            tables.process_markdown(processes),
            f"Targets missed: {', '.join(missed) or 'none'}.",
            f"Disturbed by other processes (over {BUSY:.0%} of the machine): {', '.join(disturbed) or 'none'}.\n",
        ]
    )


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write dicts as CSV, with every key that one of them has as a column."""
    columns = list(dict.fromkeys(key for r in rows for key in r))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options, checked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="some of the names, with commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="our BLAS threads; by default what trainer.threads=auto chooses")
    parser.add_argument("--out", default="dense", help="the name of the results")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="the folder of the results")
    parser.add_argument("--data-root", help="a folder with the MNIST files; by default MNISTLAB_DATA or the cache")
    parser.add_argument("--peers", default=",".join(PEERS), help="some of the peers, with commas")
    parser.add_argument("--synthetic", type=int, metavar="N", help="N random images instead of MNIST: a dry run")
    parser.add_argument("--quick", action="store_true", help="one round, two epochs, no repetition: only a smoke test")
    options = parser.parse_args(arguments)
    options.workloads = options.workloads.split(",")
    for name in options.workloads:
        choice("--workloads", name, WORKLOADS)
    whole("--rounds", options.rounds, 1, "the number of rounds")
    for name in ("threads", "synthetic"):
        if getattr(options, name) is not None:
            whole(f"--{name}", getattr(options, name), 1 if name == "threads" else 128)
    options.rounds = 1 if options.quick else options.rounds
    options.times = 1 if options.quick else 5
    found, options.skipped = available()
    wanted = options.peers.split(",")
    for name in wanted:
        choice("--peers", name, PEERS)
    options.peers = [name for name in found if name in wanted]
    if left_out := [name for name in found if name not in wanted]:
        options.skipped.append(f"not measured: {', '.join(left_out)}")
    return options


def available() -> tuple[list[str], list[str]]:
    """Return the peers that can be measured here, and a line for each that cannot."""
    missing = {
        "torch": None if importlib.util.find_spec("torch") else "it is not installed",
        "compiled": peers.compile_unavailable(),
        "jax": None if importlib.util.find_spec("jax") else "it is not installed",
        "sklearn": None,
    }
    names = {"torch": "PyTorch", "compiled": "torch.compile", "jax": "JAX"}
    lines = [f"{names[peer]} was skipped: {reason}" for peer, reason in missing.items() if reason]
    return [peer for peer, reason in missing.items() if not reason], lines


def fail(message: str, status: int) -> None:
    """Print one line on stderr and exit."""
    print(f"bench: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
