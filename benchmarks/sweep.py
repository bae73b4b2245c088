"""A whole sweep against the same training in one PyTorch process. `make bench` runs it.

    python benchmarks/sweep.py [--rounds 3] [--runs 8] [--epochs 20]

Ours is `mnistlab train -m` of the workload macalinao over so many seeds with the joblib launcher, from its start to
its exit with every file of every job written. The peer is one process that trains the same networks one after another
in PyTorch and writes nothing. They take turns. Writes results/sweep.md and sweep.csv.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import bench
import tables
from load import Watch
from workloads import WORKLOADS, compose

from mnistlab.system.errors import RequestError, whole

BAR, JOB_BAR, BARE_JOB_BAR = 4.5, 0.7, 0.35
WORKLOAD = WORKLOADS["macalinao"]


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--results", type=Path, default=bench.HERE / "results")
    parser.add_argument("--data-root", help="a folder with the MNIST files; by default MNISTLAB_DATA or the cache")
    parser.add_argument("--torch", type=int, metavar="THREADS", help="be the peer, with so many threads")
    options = parser.parse_args()
    options.synthetic, options.quick = None, False
    try:
        for name in ("rounds", "runs", "epochs"):
            whole(f"--{name}", getattr(options, name), 1)
        if options.torch:
            return torch(options)
        options.peers = ["torch"]
        compare(options)
    except RequestError as error:
        bench.fail(str(error), 2)
    except RuntimeError as error:
        bench.fail(str(error), 1)


def torch(options: argparse.Namespace) -> None:
    """Train every seed in this process."""
    import peers

    from mnistlab.runs import pipeline

    with tempfile.TemporaryDirectory() as folder:
        data = bench.data_overrides(options, Path(folder))
        for seed in range(options.runs):
            made = compose(WORKLOAD, options.epochs, [*data, f"seed={seed}"])
            dataset = pipeline.load_data(made)
            peers.torch(made, dataset, pipeline.build(made, dataset), options.torch)


def compare(options: argparse.Namespace) -> None:
    """Take turns, and write the table."""
    machine = bench.describe_machine(options)
    print("\n".join(machine), flush=True)
    rows: list[dict[str, object]] = []
    threads = bench.peer_threads()
    for i in range(options.rounds):
        ours, job = sweep(options, "core")
        peers = {n: whole_process([sys.executable, __file__, "--torch", str(n), *_size(options)]) for n in threads}
        best = min(peers, key=lambda n: peers[n][0])
        threads = [best]  # the others are hopeless
        rows.append({"round": i + 1, "ours": ours[0], "torch": peers[best][0], "torch_threads": best, "job": job})
        rows[-1] |= {"ratio": peers[best][0] / ours[0], "foreign": max(ours[1], peers[best][1])}
        print("  " + ", ".join(f"{key} {value:.3g}" for key, value in rows[-1].items()), flush=True)
    _, bare = sweep(options, "none")
    text = page(machine, options, rows, bare)
    print(f"\n{text}")
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "sweep.md").write_text(text)
    bench.write_csv(options.results / "sweep.csv", rows)


def sweep(options: argparse.Namespace, plots: str) -> tuple[tuple[float, float], float]:
    """Return the seconds of a sweep and what others used meanwhile, and the mean seconds of a job outside training."""
    with tempfile.TemporaryDirectory() as folder:
        data = bench.data_overrides(options, Path(folder))
        place = Path(folder) / "sweep"
        request = [*WORKLOAD.overrides, *data, f"trainer.epochs={options.epochs}", f"seed=range({options.runs})"]
        more = ["hydra/launcher=joblib", f"report.plots={plots}", f"hydra.sweep.dir={bench.quoted(place)}"]
        spent = whole_process([sys.executable, "-m", "mnistlab", "train", "-m", *request, *more])
        with (place / "summary.csv").open() as file:
            jobs = list(csv.DictReader(file))
        if [job["state"] for job in jobs] != ["completed"] * options.runs:
            raise RuntimeError("a job of the sweep was not completed")
        return spent, statistics.mean(float(job["seconds"]) - float(job["train_seconds"]) for job in jobs)


def whole_process(command: list[str]) -> tuple[float, float]:
    """Return the seconds from start to exit, and the share of the machine that others used meanwhile."""
    watch, started = Watch(_children), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1])
    return seconds, watch.foreign() or 0.0


def _children() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def page(machine: list[str], options: argparse.Namespace, rows: list[dict[str, object]], bare: float) -> str:
    """Return the Markdown page."""
    spreads = {
        key: f"{statistics.median(values):.2f} ({min(values):.2f}..{max(values):.2f})"
        for key in ("ours", "torch", "ratio", "job")
        if (values := [float(str(row[key])) for row in rows])
    }
    ratio = statistics.median(float(str(row["ratio"])) for row in rows)
    job = statistics.median(float(str(row["job"])) for row in rows)
    head = ("what", "measured", "target", "met")
    table = [
        (f"`mnistlab train -m`, {options.runs} runs x {options.epochs} epochs, all files, s", spreads["ours"], "", ""),
        (f"one PyTorch process, {rows[-1]['torch_threads']} thr., writes nothing, s", spreads["torch"], "", ""),
        ("PyTorch / ours", spreads["ratio"], f">= {BAR:g}", tables.verdict(ratio >= BAR)),
        (
            "one job outside training, core plots, s",
            spreads["job"],
            f"<= {JOB_BAR:g}",
            tables.verdict(job <= JOB_BAR),
        ),
        (
            "one job outside training, no plots, s",
            f"{bare:.2f}",
            f"<= {BARE_JOB_BAR:g}",
            tables.verdict(bare <= BARE_JOB_BAR),
        ),
    ]
    worst = max(float(str(row["foreign"])) for row in rows)
    lines = ["# Benchmark: a sweep\n", *(f"- {line}" for line in machine), "", tables.markdown(head, table)]
    return "\n".join([*lines, f"Other processes used at most {worst:.0%} of the machine.\n"])


def _size(options: argparse.Namespace) -> list[str]:
    root = [] if options.data_root is None else ["--data-root", options.data_root]
    return ["--runs", str(options.runs), "--epochs", str(options.epochs), *root]


if __name__ == "__main__":
    main()
