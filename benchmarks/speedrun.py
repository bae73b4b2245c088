"""Time to accuracy: the recipes experiment=fast_98, fast_99 and fast_995, and a PyTorch twin of each.

    python benchmarks/speedrun.py [--recipes fast_98,fast_99] [--seeds 30] [--torch-seeds 10] [--timed 5] [--quick]

The recipe is fixed: nothing is chosen by seed, and no test image decides when to stop. With the largest number of
threads, every seed is trained, and the mean accuracy on the test images is held against the target with its 95 %
confidence interval; with the other numbers, only the first seeds are trained, for the time. The time is that from
arrays in memory to final weights: building and initialising the network, and all of training with augmentation,
schedule and averaging. Imports, reading the data, and loading or compiling kernels come before, as does PyTorch's
warm-up. Ours and PyTorch take turns in blocks of seeds, each in a process of its own.

With --validation N, N training images are held out and scored instead of the test images: this is how recipes are
chosen. Further arguments are overrides of the recipe, optimizer.lr=0.01 for instance. Writes a page for each recipe,
results/speedrun_fast_98.md for instance, and a CSV file with every training. With held-out images, overrides or
random images, the page is that of a trial: results/speedrun_fast_98_trial.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mnistlab.runs.pipeline as pipeline  # isort: skip  # before NumPy: it sets how long OpenBLAS's threads spin
import bench
import tables
from load import Watch

from mnistlab.config.schema import Experiment
from mnistlab.data.dataset import Dataset, Split
from mnistlab.nn import kernels
from mnistlab.nn.network import Network
from mnistlab.runs.compute import Compute
from mnistlab.statistics.intervals import mean_of
from mnistlab.system.errors import RequestError, choice, whole
from mnistlab.training.components import RandomStreams
from mnistlab.training.loop import fit

BLOCK = 5  # seeds that one process trains before it is the other's turn
WARM_UP = 1000  # images of the training that comes before, in which kernels are compiled and loaded
PEERS = ("ours", "torch")
TWIN = (
    "The PyTorch twin has the same layers, initial weights, batches, optimizer, schedule, loss, averaging and",
    "augmentation (by the same NumPy code), and the faster of PyTorch's two memory layouts for convolutions.\n",
)
Run = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """An experiment with the accuracy that it must reach, and the seconds that it may take."""

    name: str
    target: float
    bar: float


RECIPES = {
    recipe.name: recipe
    for recipe in (Recipe("fast_98", 0.98, 2.0), Recipe("fast_99", 0.99, 5.0), Recipe("fast_995", 0.995, 90.0))
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the speed run, or one block of it."""
    try:
        options = parse(arguments)
        if options.block:
            for run in block(options):
                print(json.dumps(run), flush=True)
            return
        with tempfile.TemporaryDirectory() as folder:
            measure(options, bench.data_overrides(options, Path(folder)))
    except RequestError as error:
        bench.fail(str(error), 2)
    except RuntimeError as error:
        bench.fail(str(error), 1)
    except KeyboardInterrupt:
        bench.fail("interrupted; only the pages of the recipes before this one were written", 130)


def measure(options: argparse.Namespace, data: list[str]) -> None:
    """Measure each recipe, and write and print its page."""
    options.rounds = 1
    for name in options.recipes:
        machine = [*bench.describe_machine(options)[:-1], protocol(options)]
        print("\n".join(machine), flush=True)
        runs: list[Run] = []
        for threads, peer, first, count in plan(options):
            runs += in_a_process(peer, name, threads, (first, count), [*data, *options.overrides], options)
        options.results.mkdir(parents=True, exist_ok=True)
        result = options.results / f"speedrun_{name}{'_trial' if is_trial(options) else ''}.md"
        result.write_text(page(name, machine, runs, options))
        bench.write_csv(result.with_suffix(".csv"), runs)
        print(f"\n{result.read_text()}\nwritten to {result} and .csv", flush=True)


def is_trial(options: argparse.Namespace) -> bool:
    """Return whether something else than the recipe on the test images is measured, which is not to be quoted."""
    return bool(options.validation or options.overrides or options.synthetic)


def plan(options: argparse.Namespace) -> Iterator[tuple[int, str, int, int]]:
    """Yield the blocks in order, each with its number of threads, who trains it, its first seed and how many.

    All seeds are trained with the largest number of threads, the first few with the others.
    """
    for threads in options.threads:
        most = options.seeds if threads == max(options.threads) else options.timed
        wanted = {peer: min(most, options.seeds if peer == "ours" else options.torch_seeds) for peer in options.peers}
        for first in range(0, max(wanted.values()), BLOCK):
            for peer, seeds in wanted.items():
                if seeds > first:
                    yield threads, peer, first, min(BLOCK, seeds - first)


def in_a_process(
    peer: str, name: str, threads: int, seeds: tuple[int, int], overrides: list[str], options: argparse.Namespace
) -> list[Run]:
    """Return the trainings of a block of seeds (the first, and how many) in a process of its own."""
    command = [sys.executable, __file__, "--block", peer, "--recipes", name, "--threads", str(threads)]
    command += ["--first", str(seeds[0]), "--seeds", str(seeds[1]), "--validation", str(options.validation)]
    env = {key: value for key, value in os.environ.items() if key not in bench.THREAD_VARIABLES}
    env |= dict.fromkeys(bench.THREAD_VARIABLES, str(threads))
    done = subprocess.run([*command, *overrides], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{peer} {name}: {(done.stderr.strip() or 'nothing on stderr').splitlines()[-1]}")
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    for run in runs:
        print("  {recipe:9} {peer:6} {threads} thr.  seed {seed:2}".format_map(run), end="")
        print("  {accuracy:8.2%}  {seconds:8.2f} s".format_map(run), flush=True)
    return runs


def block(options: argparse.Namespace) -> Iterator[Run]:
    """Train the seeds of a block, and yield a row for each."""
    (name,), (threads,) = options.recipes, options.threads
    for seed in range(options.first, options.first + options.seeds):
        experiment = compose(name, seed, options)
        if seed == options.first:
            dataset = pipeline.load_data(experiment)
            scored = dataset.validation if options.validation else dataset.test
            learn = prepared(options.block, experiment, dataset, threads)
        watch, started = Watch(), time.perf_counter()
        classify = learn(experiment)
        seconds = time.perf_counter() - started
        foreign = watch.foreign()
        accuracy = float((classify(scored) == scored.labels).mean())
        row = {"recipe": name, "peer": options.block, "threads": threads, "seed": seed, "accuracy": accuracy}
        yield {**row, "seconds": seconds, "images": len(scored), "foreign": foreign}


def prepared(peer: str, experiment: Experiment, dataset: Dataset, threads: int) -> Any:
    """Return the function that trains an experiment on the data, after everything that comes before training.

    It returns a function from images to classes.
    """
    if peer == "torch":
        import twin

        return twin.prepared(experiment, dataset, threads)
    compute = Compute(threads, "numpy" if kernels.unavailable() else "numba")

    def train(experiment: Experiment, images: Split) -> Network:
        network = pipeline.build(experiment, dataset)
        compute.use(network, experiment.trainer.batch_of(len(images)))
        with compute.limits():
            fit(network, images, None, experiment.components, RandomStreams.from_seed(experiment.seed))
        return network

    one_epoch = dataclasses.replace(experiment, trainer=dataclasses.replace(experiment.trainer, epochs=1))
    train(one_epoch, dataset.train.take(slice(WARM_UP)))

    def learn(experiment: Experiment) -> Any:
        network = train(experiment, dataset.train)

        def classify(images: Split) -> Any:
            with compute.limits():
                return network.predict(images.images).argmax(axis=1)

        return classify

    return learn


def compose(name: str, seed: int, options: argparse.Namespace) -> Experiment:
    """Return the experiment of a recipe with a seed; the held-out images are the same for every seed."""
    from mnistlab.config import compose as compose_
    from mnistlab.config import schema

    held_out = [f"data.validation={options.validation}", "data.validation_from=first"] if options.validation else []
    return schema.experiment(
        compose_.compose([f"experiment={name}", *options.overrides, *held_out, f"seed={seed}", "report.plots=none"])
    )


def summary(runs: Sequence[Run], recipe: Recipe, peer: str, threads: int) -> dict[str, Any] | None:
    """Return the figures of one recipe with one peer and number of threads; None if it was not measured."""
    mine = [r for r in runs if (r["recipe"], r["peer"], r["threads"]) == (recipe.name, peer, threads)]
    if not mine:
        return None
    accuracy, seconds = mean_of([r["accuracy"] for r in mine]), [r["seconds"] for r in mine]
    foreign = [r["foreign"] for r in mine if r["foreign"] is not None]
    return {
        "n": accuracy.n,
        "mean": accuracy.mean,
        "half": accuracy.half,
        "least": min(r["accuracy"] for r in mine),
        "reached": accuracy.mean >= recipe.target,
        "surely": accuracy.mean - accuracy.half >= recipe.target,  # False where there is a single seed
        "seconds": statistics.median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "foreign": max(foreign, default=None),
    }


def page(name: str, machine: Sequence[str], runs: Sequence[Run], options: argparse.Namespace) -> str:
    """Return the Markdown page of a recipe."""
    scored = f"{options.validation:,} held-out training images" if options.validation else "test images"
    head = (
        *("recipe", "by", "threads", "seeds", f"accuracy on the {scored}, %", "least", "target", "reached"),
        *("seconds", "bar", "met", "PyTorch / ours", "other load"),
    )
    rows, disturbed = [], False
    recipe = RECIPES[name]
    for threads in options.threads:
        ours = summary(runs, recipe, "ours", threads)
        for peer in options.peers:
            s = summary(runs, recipe, peer, threads)
            if s is None:
                continue
            disturbed |= (s["foreign"] or 0) > bench.BUSY
            best = peer == "ours" and threads == max(options.threads)
            ratio = f"{s['seconds'] / ours['seconds']:.2f}" if peer != "ours" and ours else "-"
            rows.append(
                (
                    *(name, {"ours": "mnistlab", "torch": "PyTorch"}[peer], threads, s["n"]),
                    f"{100 * s['mean']:.3f} +/- {100 * s['half']:.3f}" if s["n"] > 1 else f"{100 * s['mean']:.2f}",
                    *(f"{100 * s['least']:.2f}", f"{100 * recipe.target:g}", reached(s)),
                    f"{s['seconds']:.2f} ({s['fastest']:.2f}..{s['slowest']:.2f})",
                    *((f"<= {recipe.bar:g}", tables.verdict(s["seconds"] <= recipe.bar)) if best else ("", "")),
                    *(ratio, tables.percent(s["foreign"])),
                )
            )
    load = "Other processes disturbed some measurements (other load): the times are not to be quoted.\n"
    return "\n".join(
        [
            f"# Time to accuracy: {name}\n",
            *(f"- {line}" for line in machine),
            "",
            "Accuracy: mean of the seeds with its 95 % confidence interval (t). A target is reached if the mean is at",
            "least the target, and surely so if the whole interval is. Seconds: median (minimum..maximum) from arrays",
            "in memory to final weights. Before that, and not counted: imports, reading the data, loading or compiling",
            f"kernels{', and the warm-up of PyTorch' if 'torch' in options.peers else ''}.\n",
            *(TWIN if "torch" in options.peers else ()),
            tables.markdown(head, rows),
            *([load] if disturbed else []),
        ]
    )


def reached(s: dict[str, Any]) -> str:
    """Return whether the target is reached."""
    return "surely" if s["surely"] else "yes" if s["reached"] else "**no**"


def protocol(options: argparse.Namespace) -> str:
    """Return the line about the data and the seeds."""
    data = f"{options.synthetic} random images (a dry run)" if options.synthetic else "MNIST"
    seeds = f"seeds 0 to {options.seeds - 1} with {max(options.threads)} thread(s)"
    if "torch" in options.peers and options.torch_seeds < options.seeds:
        seeds += f" (PyTorch: 0 to {options.torch_seeds - 1})"
    others = f", {min(options.timed, options.seeds)} with other numbers" if len(options.threads) > 1 else ""
    changed = f"; {' '.join(options.overrides)}" if options.overrides else ""
    turns = f", ours and PyTorch in turn every {BLOCK} seeds" if len(options.peers) > 1 else ""
    return f"{data}, float32, {seeds}{others}{turns}{changed}"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options, checked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipes", default=",".join(RECIPES), help="some of the names, with commas")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--torch-seeds", type=int, help="fewer seeds for PyTorch; by default as many as ours")
    parser.add_argument("--timed", type=int, default=5, help="seeds with other numbers of threads than the largest")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas")
    parser.add_argument("--peers", default=",".join(PEERS), help="ours, torch or both, with a comma")
    parser.add_argument("--validation", type=int, default=0, metavar="N", help="score N held-out training images")
    parser.add_argument("--results", type=Path, default=bench.HERE / "results", help="the folder of the results")
    parser.add_argument("--data-root", help="a folder with the MNIST files; by default MNISTLAB_DATA or the cache")
    parser.add_argument("--synthetic", type=int, metavar="N", help="N random images instead of MNIST: a dry run")
    parser.add_argument("--quick", action="store_true", help="two seeds, one epoch: only a smoke test")
    parser.add_argument("--block", metavar="PEER", choices=PEERS, help="be one block of seeds, and print its rows")
    parser.add_argument("--first", type=int, default=0, help="the first seed of a block")
    parser.add_argument("overrides", nargs="*", help="of the recipe")
    options = parser.parse_intermixed_args(arguments)
    options.recipes, options.peers = options.recipes.split(","), options.peers.split(",")
    for name in options.recipes:
        choice("--recipes", name, RECIPES)
    for name in options.peers:
        choice("--peers", name, PEERS)
    try:
        options.threads = sorted({whole("--threads", int(word)) for word in options.threads.split(",")})
    except ValueError as error:
        raise (
            error
            if isinstance(error, RequestError)
            else RequestError("must be numbers, with commas", key="--threads", value=options.threads)
        ) from None
    if options.quick:
        options.seeds, options.overrides = 2, [*options.overrides, "trainer.epochs=1"]
    if options.torch_seeds is None:
        options.torch_seeds = options.seeds
    for name, least in (("seeds", 1), ("torch-seeds", 1), ("timed", 1), ("validation", 0), ("first", 0)):
        whole(f"--{name}", getattr(options, name.replace("-", "_")), least)
    if "torch" in options.peers and not importlib.util.find_spec("torch"):
        raise RequestError("--peers: PyTorch is not installed; use --peers ours")
    return options


if __name__ == "__main__":
    main()
