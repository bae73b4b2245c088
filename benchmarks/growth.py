"""How the time of a training step grows with the network, the batch and the images. `make bench` runs it.

    python benchmarks/growth.py [--rounds 3] [--axes width,depth,batch,side,classes] [--quick]

At each point ours (with kernels), our NumPy layers and eager PyTorch train the same network on random images, in
processes of their own that take turns, as in `bench`; PyTorch gets the better number of threads, and of memory layouts.
Writes results/growth.md, growth.csv and growth_measurements.csv.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import bench
import tables
from workloads import POINTS, Point

from mnistlab.data import cache
from mnistlab.system.errors import RequestError, choice, whole

STEPS = 32  # of an epoch
AXES = {
    "width": ("width", "units of one hidden layer, batches of 128"),
    "depth": ("depth", "hidden layers of 128 units, batches of 128"),
    "batch": ("batch", "images of a batch, one hidden layer of 128 units"),
    "side": ("image size", "height and width in pixels, `model=lenet_dropout`, batches of 128"),
    "classes": ("classes", "one hidden layer of 128 units, batches of 128"),
}
PEERS = {"ours": "ours", "numpy": "NumPy layers", "torch": "PyTorch"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; exit 2 where the request is wrong, 1 where a measurement failed."""
    try:
        options = parse(arguments)
        with tempfile.TemporaryDirectory() as folder:
            os.environ.setdefault("NUMBA_CACHE_DIR", str(cache.folder()))  # where the compiled kernels are already
            os.environ["MNISTLAB_CACHE"] = folder
            run(options, Path(folder))
    except RequestError as error:
        bench.fail(str(error), 2)
    except RuntimeError as error:
        bench.fail(str(error), 1)
    except KeyboardInterrupt:
        bench.fail("interrupted; nothing was written", 130)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options, checked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--axes", default=",".join(AXES), help="what grows, with commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="our threads; by default what trainer.threads=auto chooses")
    parser.add_argument("--results", type=Path, default=bench.HERE / "results", help="the folder of the results")
    parser.add_argument("--quick", action="store_true", help="one round, two epochs, the ends of each axis only")
    options = parser.parse_args(arguments)
    options.axes = options.axes.split(",")
    for name in options.axes:
        choice("--axes", name, AXES)
    whole("--rounds", options.rounds, 1, "the number of rounds")
    if options.threads is not None:
        whole("--threads", options.threads, 1)
    options.rounds = 1 if options.quick else options.rounds
    options.peers = ["torch"] if importlib.util.find_spec("torch") else []
    options.synthetic = None
    return options


def run(options: argparse.Namespace, folder: Path) -> None:
    """Measure every point, print the tables and write them."""
    machine = [*bench.describe_machine(options)[:-1], images_line(options)]
    print("\n".join(machine), flush=True)
    points, measurements = chosen(options), []
    for point in points:
        measurements += measure_point(point, options, folder)
    rows = [row(point, measurements) for point in points]
    text = page(machine, rows)
    print(f"\n{text}")
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "growth.md").write_text(text)
    bench.write_csv(options.results / "growth.csv", rows)
    bench.write_csv(options.results / "growth_measurements.csv", measurements)
    print(f"written to {options.results}/growth.md and .csv")


def chosen(options: argparse.Namespace) -> list[Point]:
    """Return the points of the axes; in a quick run the first and the last of each."""
    found: list[Point] = []
    for axis in options.axes:
        points = [point for point in POINTS.values() if point.axis == axis]
        found += [points[0], points[-1]] if options.quick else points
    return found


def measure_point(point: Point, options: argparse.Namespace, folder: Path) -> list[tables.Measurement]:
    """Return the measurements of one point, in seconds per step."""
    name, file = point.workload.name, folder / f"{point.workload.name}.npz"
    data = bench.random_images(file, STEPS * point.batch, point.side, point.classes)
    runners: list[tuple[str, int | None]] = [("ours", options.threads), ("numpy", options.threads)]
    peers = bench.peers_of(name, options.peers)
    runners += [(peer, threads) for peer in peers for threads in bench.peer_threads()]
    found: list[tables.Measurement] = []
    for i in range(options.rounds):
        this_round = [bench.measure(peer, name, threads, options, data) for peer, threads in runners]
        runners = bench.worth_repeating(runners, this_round) if i == 0 else runners
        found += [{"round": i + 1, **m, "seconds": m["seconds"] / STEPS} for m in this_round]
    file.unlink()
    return found


def row(point: Point, measurements: Sequence[tables.Measurement]) -> dict[str, Any]:
    """Return a point with the seconds per step of ours and the peers, and the ratios of the rounds."""
    found = tables.row(point.workload.name, measurements)
    cells = {key: value for key, value in found.items() if key.startswith((*PEERS, "worst_foreign"))}
    return {"axis": point.axis, "value": point.value, **cells}


def page(machine: Iterable[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the Markdown page, with a table for each axis."""
    lines = [
        "# Benchmark: growth\n",
        *(f"- {line}" for line in machine),
        "",
        "Milliseconds per training step: median of the rounds (minimum..maximum). Each measurement is the fastest",
        f"epoch of {STEPS} steps, not counting the first. Ratios are taken round by round; above 1, ours is faster.",
        "All networks train with Adam; ours has compiled kernels (where numba is missing, NumPy layers).\n",
    ]
    for axis, (title, meaning) in AXES.items():
        if mine := [r for r in rows if r["axis"] == axis]:
            lines += [f"## {title.capitalize()}\n", f"{meaning[0].upper()}{meaning[1:]}.\n", table(title, mine)]
    disturbed = [f"{r['axis']} {r['value']}" for r in rows if (r["worst_foreign"] or 0) > bench.BUSY]
    lines.append(
        f"Disturbed by other processes (over {bench.BUSY:.0%} of the machine): {', '.join(disturbed) or 'none'}.\n"
    )
    return "\n".join(lines)


def table(title: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the table of one axis."""
    head = (title, *(f"{name}, ms/step" for name in PEERS.values()), "PyTorch / ours", "NumPy layers / ours")
    return tables.markdown(
        (*head, "other load"),
        [
            (
                r["value"],
                *(milliseconds(r, peer) for peer in PEERS),
                tables.ratio(r, "torch_ratio"),
                tables.ratio(r, "numpy_ratio"),
                tables.percent(r["worst_foreign"]),
            )
            for r in rows
        ],
    )


def milliseconds(r: Mapping[str, Any], peer: str) -> str:
    """Return ``median (min..max)`` in milliseconds, with the threads and the layout that PyTorch got."""
    if r[peer] is None:
        return "not measured"
    median, least, most = (f"{1000 * r[key]:.3g}" for key in (peer, f"{peer}_min", f"{peer}_max"))
    choice = f", {r['torch_threads']} thr. {r['torch_layout']}".rstrip() if peer == "torch" else ""
    return f"{median} ({least}..{most}){choice}"


def images_line(options: argparse.Namespace) -> str:
    """Return what is trained on, and how often."""
    if options.quick:
        return "random images, float32; quick: one round of two epochs, a smoke test"
    return f"random images, float32, {options.rounds} interleaved round(s)"


if __name__ == "__main__":
    main()
