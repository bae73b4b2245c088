"""NetworkClassifier against MLPClassifier: whole fits of the dense workloads. `make bench` runs it.

    python benchmarks/estimator.py [--rounds 3] [--workloads macalinao,lin_dense] [--dtypes float32,float64] [--quick]

Both get the same rows, architecture, batch size, rule, rate, penalty and number of epochs; where MLPClassifier cannot
express a workload (two activations, dropout), both train the nearest that it can. Each fit is a process of its own,
they take turns, and ratios are taken round by round. Ours has compiled kernels (float32 only) and chooses its threads
itself; MLPClassifier gets the better number. Writes results/estimator.md and estimator.csv.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import mnistlab  # isort: skip  # before NumPy: it sets how long OpenBLAS's threads spin
import bench
import numpy as np
import peers
import tables
from load import Watch
from threadpoolctl import threadpool_limits
from workloads import CONVOLUTIONAL, WORKLOADS, compose

from mnistlab.nn.layers import Dense
from mnistlab.system.errors import RequestError, choice, whole

BAR = 2.5
DENSE = [name for name in WORKLOADS if name not in CONVOLUTIONAL]
DTYPES = ("float32", "float64")
KERNELS = {"float32": "numba", "float64": "numpy"}  # as auto has it in longer fits than these
FEWER = {"oxford_dense": 12_000}  # images, where an epoch of all takes half a minute


def main() -> None:
    """Run the benchmark, or one measurement of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workloads", default=",".join(DENSE), help="some of the names, with commas")
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--results", type=Path, default=bench.HERE / "results")
    parser.add_argument("--data-root", help="a folder with the MNIST files; by default MNISTLAB_DATA or the cache")
    parser.add_argument("--synthetic", type=int, metavar="N", help="N random images instead of MNIST: a dry run")
    parser.add_argument("--quick", action="store_true", help="one round, one epoch, no repetition: only a smoke test")
    parser.add_argument("--one", metavar="PEER", help="be one measurement: ours or sklearn")
    parser.add_argument("--threads", type=int, help="of BLAS, in one measurement")
    parser.add_argument("overrides", nargs="*", help="of the data, in one measurement")
    options = parser.parse_intermixed_args()
    options.workloads, options.dtypes = options.workloads.split(","), options.dtypes.split(",")
    try:
        whole("--rounds", options.rounds, 1, "the number of rounds")
        for name in options.workloads:
            choice("--workloads", name, DENSE)
        for name in options.dtypes:
            choice("--dtypes", name, DTYPES)
        if options.one:
            print(json.dumps(measure(options)))
        else:
            with tempfile.TemporaryDirectory() as folder:
                compare(options, bench.data_overrides(options, Path(folder)))
    except RequestError as error:
        bench.fail(str(error), 2)
    except RuntimeError as error:
        bench.fail(str(error), 1)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Fit once, in this process, and return the seconds per epoch."""
    from mnistlab.runs import pipeline

    name, epochs = options.workloads[0], 1 if options.quick else WORKLOADS[options.workloads[0]].epochs
    made = compose(WORKLOADS[name], epochs, options.overrides)
    dataset = pipeline.load_data(made)
    network = pipeline.build(made, dataset)
    activation, left_out = peers.sklearn_activation(network)
    images = dataset.train.images[: FEWER.get(name)]
    x = images.reshape(len(images), -1).astype(options.dtypes[0]) * np.dtype(options.dtypes[0]).type(dataset.scale)
    y = np.array(dataset.train.labels[: len(x)])
    shared = {
        "hidden_layer_sizes": [layer.units for layer in network.layers if isinstance(layer, Dense)][:-1],
        "activation": activation,
        "learning_rate_init": made.optimizer.lr,
        "alpha": made.regularization.l2,
        "batch_size": made.trainer.batch_of(len(x)),
        "max_iter": epochs,
        "random_state": made.seed,
    }
    model = estimator(options.one, type(made.optimizer).__name__.lower(), options.dtypes[0], shared)
    watch, started = Watch(), time.perf_counter()
    with threadpool_limits(options.threads):
        model.fit(x, y)
    seconds = (time.perf_counter() - started) / epochs
    return {"seconds": seconds, "foreign": watch.foreign(), "loss": model.loss_, "left_out": left_out}


def estimator(peer: str, rule: str, dtype: str, shared: dict[str, Any]) -> Any:
    """Return ours or theirs, unfitted, which will train for exactly ``max_iter`` epochs."""
    if choice("--one", peer, ("ours", "sklearn")) == "ours":
        return mnistlab.NetworkClassifier(optimizer=rule, tol=None, kernels=KERNELS[dtype], **shared)
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore", ConvergenceWarning)
    return MLPClassifier(solver=rule, momentum=0, tol=0, n_iter_no_change=shared["max_iter"], **shared)


def compare(options: argparse.Namespace, data: list[str]) -> None:
    """Take turns, and write the table."""
    options.peers = []
    machine = [*bench.describe_machine(options)[:-1], images_line(options)]
    print("\n".join(machine), flush=True)
    found: list[tables.Measurement] = []
    for name in options.workloads:
        for dtype in options.dtypes:
            runners: list[tuple[str, int | None]] = [("ours", None)]
            runners += [("sklearn", threads) for threads in bench.peer_threads()]
            for i in range(1 if options.quick else options.rounds):
                this_round = [take(options, data, name, dtype, i + 1, *runner) for runner in runners]
                runners = bench.worth_repeating(runners, this_round) if i == 0 else runners
                found += this_round
    rows = [row(name, dtype, found) for name in options.workloads for dtype in options.dtypes]
    text = page(machine, rows)
    print(f"\n{text}")
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "estimator.md").write_text(text)
    bench.write_csv(options.results / "estimator.csv", found)


def take(
    options: argparse.Namespace, data: list[str], name: str, dtype: str, i: int, peer: str, threads: int | None
) -> tables.Measurement:
    """Return one measurement from a process of its own, the calmest where others used too much of the machine."""
    command = [sys.executable, __file__, "--one", peer, "--workloads", name, "--dtypes", dtype]
    command += (["--quick"] if options.quick else []) + ([f"--threads={threads}"] if threads else []) + data
    fit = bench.calmest(partial(answer, command, f"{peer} {name}"), 1 if options.quick else 1 + bench.REPEATS)
    print(f"  {name:15} {dtype} {peer:8} {threads or 'auto'} thr. {fit['seconds']:8.3f} s/epoch", flush=True)
    return {"round": i, "workload": name, "dtype": dtype, "peer": peer, "threads": threads, **fit}


def answer(command: list[str], what: str) -> tables.Measurement:
    """Run one measurement and return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{what}: {(done.stderr.strip() or f'exit status {done.returncode}').splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str, dtype: str, measurements: list[tables.Measurement]) -> dict[str, Any]:
    """Return medians, spreads and the ratios of the rounds of one workload in one dtype."""
    mine = [m for m in measurements if (m["workload"], m["dtype"]) == (name, dtype)]
    ours = {m["round"]: m["seconds"] for m in mine if m["peer"] == "ours"}
    best = tables.best_choice("sklearn", mine, len(ours))
    theirs = {m["round"]: m["seconds"] for m in mine if m["peer"] == "sklearn" and tables.choice_of(m) == best}
    ratios = [theirs[i] / ours[i] for i in ours]
    return {
        "workload": name + (" ~" if mine[0]["left_out"] else ""),
        "dtype": dtype,
        "ours": spread(ours.values(), 3),
        "theirs": f"{spread(theirs.values(), 3)}, {best[0] if best else '?'} thr.",
        "ratio": spread(ratios, 2),
        "holds": statistics.median(ratios) >= BAR,
        "foreign": max((m["foreign"] or 0.0 for m in mine), default=0.0),
    }


def spread(values: Any, digits: int) -> str:
    """Return ``median (least..largest)``."""
    found = list(values)
    return f"{statistics.median(found):.{digits}f} ({min(found):.{digits}f}..{max(found):.{digits}f})"


def images_line(options: argparse.Namespace) -> str:
    """Return what is fitted, and how often."""
    images = f"{options.synthetic} random images (a dry run)" if options.synthetic else "MNIST, 60,000 images"
    fewer = "".join(f", {n:,} for {name}" for name, n in FEWER.items() if name in options.workloads)
    rounds = (
        "quick: one round of one epoch, a smoke test" if options.quick else f"{options.rounds} interleaved round(s)"
    )
    return f"{images}{fewer}; {rounds}"


def page(machine: list[str], rows: list[dict[str, Any]]) -> str:
    """Return the Markdown page."""
    head = ("workload", "dtype", "ours, s/epoch", "MLPClassifier, s/epoch", "MLPClassifier / ours", "target", "met")
    cells = [
        (r["workload"], r["dtype"], r["ours"], r["theirs"], r["ratio"], f">= {BAR:g}", tables.verdict(r["holds"]))
        for r in rows
    ]
    missed = [f"{r['workload'].removesuffix(' ~')} {r['dtype']}" for r in rows if not r["holds"]]
    return "\n".join(
        [
            "# Benchmark: NetworkClassifier and MLPClassifier\n",
            *(f"- {line}" for line in machine),
            "",
            "Time of a whole `fit` divided by its epochs: median of the rounds (minimum..maximum). Both do the",
            "same work. A tilde marks a workload with two activations or dropout, of which both train what",
            "MLPClassifier can express. Ours has compiled kernels in float32 and chooses its threads itself;",
            "MLPClassifier uses the faster number of threads.\n",
            tables.markdown(head, cells),
            f"Targets missed: {', '.join(missed) or 'none'}.",
            f"Other processes used at most {max(r['foreign'] for r in rows):.0%} of the machine in a measurement.\n",
        ]
    )


if __name__ == "__main__":
    main()
