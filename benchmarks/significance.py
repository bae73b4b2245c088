"""How often the significance tests are wrong, and what they find, on real accuracies of many seeds.

    python benchmarks/significance.py [--runs FOLDER] [--repetitions 2000]

The accuracies are those of a finished sweep (--runs), or of 8 settings times 40 seeds of experiment=smoke, which takes
about five minutes on two cores. Groups of n runs are drawn from the accuracies of a single setting, so that they do not
differ: every finding among them is a false one. For the power, one of two groups is raised by 1, 2 or 3 standard
deviations of the setting. The tests are chosen by `mnistlab.statistics.policy`, as in `mnistlab compare`. Then
whole sweeps of `mnistlab train -m --until-decided` are simulated. Writes results/significance.md, significance.csv and
until_decided.csv, and the accuracies to significance_accuracies.csv, on which a slow test repeats it.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from mnistlab.metrics.classification import wilson
from mnistlab.runs.record import grouped
from mnistlab.statistics import policy, sequential
from mnistlab.statistics.tests import LEVEL
from mnistlab.sweeps.records import of_paths
from mnistlab.system.errors import RequestError

HERE = Path(__file__).resolve().parent
METRIC = "validation.accuracy"
SEEDS = (3, 4, 5, 6, 8)
SETTINGS = (2, 3, 6, 12)  # that are compared at once, each with each other one
GAPS = (1.0, 2.0, 3.0)  # standard deviations
SWEPT = (0.0, 1.0, 2.0, 5.0)  # gaps of the simulated sweeps
FEWEST = 10  # runs of a setting from which groups are drawn
SWEEP = (
    *("experiment=smoke", "model=softmax,mlp_1hidden", "optimizer=sgd,momentum,adam,rmsprop", "seed=range(40)"),
    *("report.plots=none", "trainer.threads=1"),
)


@dataclass(frozen=True)
class Rate:
    """How often at least one difference was called significant."""

    seeds: int
    settings: int
    test: str
    gap: float  # 0: no setting differs
    repetitions: int
    found: int

    @property
    def text(self) -> str:
        """Return the rate in per cent with its 95 % confidence interval."""
        return percentage(self.found, self.repetitions)


def percentage(found: int, times: int) -> str:
    """Return a rate in per cent with its 95 % confidence interval (Wilson)."""
    low, high = wilson(found, times)
    return f"{100 * found / times:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the tables and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, help="the folder of a sweep with many seeds; by default one is trained")
    parser.add_argument("--repetitions", type=int, default=2000, help="of two settings; fewer of more settings")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args(argv)
    try:
        if options.runs is None:
            with tempfile.TemporaryDirectory() as folder:
                accuracies = read(trained(Path(folder) / "sweep"))
        else:
            accuracies = read(options.runs)
    except RequestError as error:
        raise SystemExit(str(error)) from None
    rates = measure(accuracies, options.repetitions)
    spent = sweeps(accuracies, options.repetitions)
    page = markdown(accuracies, rates, spent)
    print(page)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "significance.md").write_text(page)
    write(options.results / "significance.csv", [asdict(rate) for rate in rates])
    write(options.results / "until_decided.csv", [asdict(one) for one in spent])
    rows = [
        {"setting": name, "seed": seed, "accuracy": value}
        for name, values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    write(options.results / "significance_accuracies.csv", rows)


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def trained(folder: Path) -> Path:
    """Train the sweep and return its folder."""
    command = [sys.executable, "-m", "mnistlab", "train", "-m", *SWEEP, f"hydra.sweep.dir={folder}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def read(folder: Path) -> dict[str, list[float]]:
    """Return the accuracies of every setting of a sweep, one per seed."""
    completed = [record for record in of_paths([str(folder)]) if record.state.state == "completed"]
    values = {group.name: [v for one in group.values(METRIC).values() for v in one] for group in grouped(completed)}
    enough = {name: found for name, found in values.items() if len(found) >= FEWEST and np.std(found) > 0}
    if not enough:
        raise RequestError(f"{folder}: no setting has {FEWEST} runs whose {METRIC} varies; train more seeds")
    return enough


def measure(accuracies: Mapping[str, Sequence[float]], repetitions: int) -> list[Rate]:
    """Return the rates of false findings for every number of settings, and the power for every gap."""
    stream = np.random.default_rng(0)
    rates = []
    for seeds in SEEDS:
        for settings in SETTINGS:
            # more comparisons take longer
            times = max(1, repetitions * 2 // (settings * (settings - 1)))
            rates.append(rate(accuracies, seeds, settings, 0.0, max(times, repetitions // 5), stream))
        rates += [rate(accuracies, seeds, 2, gap, repetitions, stream) for gap in GAPS]
    return rates


def rate(
    accuracies: Mapping[str, Sequence[float]],
    seeds: int,
    settings: int,
    gap: float,
    repetitions: int,
    stream: np.random.Generator,
) -> Rate:
    """Return how often groups from one setting, of which the first is raised by a gap, are found to differ."""
    found, used = 0, ""
    names = sorted(accuracies)
    for _ in range(repetitions):
        values = np.asarray(accuracies[names[stream.integers(len(names))]], dtype=float)
        groups = stream.choice(values, (settings, seeds))
        groups[0] += gap * values.std(ddof=1)
        tested = findings(groups)
        found += any(p <= LEVEL for p in tested.values())
        used = next(iter(tested), used)
    return Rate(seeds, settings, used, gap, repetitions, found)


def findings(groups: np.ndarray) -> dict[str, float]:
    """Return the name of the test that is used, and its lowest p after the correction for all pairs of groups."""
    runs = [{seed: [float(value)] for seed, value in enumerate(group)} for group in groups]
    pairs = list(combinations(runs, 2))
    differences = [policy.difference(a, b, len(pairs)) for a, b in pairs]
    corrected = [p for p in policy.corrected(differences) if not np.isnan(p)]
    return {d.test: min(corrected, default=1.0) for d in differences if d is not None}


@dataclass(frozen=True)
class Sweeps:
    """What simulated sweeps of --until-decided found, and how many seeds they spent."""

    settings: int
    gap: float
    sweeps: int
    false: int  # sweeps with a finding between settings that do not differ
    found: int  # sweeps in which every difference was found
    median_runs: float  # of a sweep
    fixed_runs: int  # of a sweep that runs all seeds


def sweeps(accuracies: Mapping[str, Sequence[float]], repetitions: int) -> list[Sweeps]:
    """Return the outcomes of simulated sweeps over two and three settings, of which the first is better by a gap."""
    stream = np.random.default_rng(1)
    times = {gap: max(1, repetitions // (2 if gap == 0 else 10)) for gap in SWEPT}
    return [simulated(accuracies, settings, gap, times[gap], stream) for settings in (2, 3) for gap in SWEPT]


def simulated(
    accuracies: Mapping[str, Sequence[float]], settings: int, gap: float, times: int, stream: np.random.Generator
) -> Sweeps:
    """Return the outcomes of so many sweeps, whose seeds are drawn from the accuracies of one setting."""
    looks = sequential.default_looks(settings)
    design = sequential.Design(METRIC, looks, LEVEL, None, 0)
    false = found = 0
    runs = []
    names = sorted(accuracies)
    for _ in range(times):
        values = np.asarray(accuracies[names[stream.integers(len(names))]], dtype=float)
        groups = stream.choice(values, (settings, looks[-1]))
        groups[0] += gap * values.std(ddof=1)
        decisions = sequential.progress([dict(enumerate(map(float, group))) for group in groups], design).decisions
        differ = {pair for pair, decision in decisions.items() if decision.differs}
        real = {pair for pair in decisions if gap and 0 in pair}
        false += bool(differ - real)
        found += real <= differ
        runs.append(sum(max(d.look for pair, d in decisions.items() if one in pair) for one in range(settings)))
    return Sweeps(settings, gap, times, false, found if gap else 0, float(np.median(runs)), settings * looks[-1])


def markdown(accuracies: Mapping[str, Sequence[float]], rates: Sequence[Rate], spent: Sequence[Sweeps]) -> str:
    """Return the page: false findings by number of settings, power by gap, and what --until-decided spends."""
    wrong = {(one.seeds, one.settings): one for one in rates if one.gap == 0}
    power = {(one.seeds, one.gap): one for one in rates if one.gap > 0}
    counts = [len(values) for values in accuracies.values()]
    short = {"sign-flip": "exact", "paired t": "paired t"}
    names = [f"{settings} settings ({settings * (settings - 1) // 2})" for settings in SETTINGS]
    lines = [[n, *(f"{wrong[n, s].text} {short.get(wrong[n, s].test, '')}" for s in SETTINGS)] for n in SEEDS]
    return "\n".join(
        [
            "# Benchmark: the significance tests",
            "",
            f"Groups were drawn, with replacement, from the {METRIC} of {len(counts)} settings with {min(counts)} to "
            f"{max(counts)} seeds each. Rates are in per cent, with 95 % confidence intervals.",
            "",
            "## False findings",
            "",
            "All groups are from one setting. How often at least one pair was called different, and by which test; the "
            "number of comparisons, for which Holm's method corrects, is in parentheses. At most 5 are allowed.",
            "",
            table(["seeds", *names], lines),
            "",
            "## Power",
            "",
            "Two groups from one setting, of which one was raised by 1, 2 or 3 standard deviations of the setting. How "
            "often the difference was found. The pairs are independent; runs with the same seed are often alike, and "
            "then more is found.",
            "",
            table(["seeds", *(f"{gap:g} sd" for gap in GAPS)], [[n, *(power[n, g].text for g in GAPS)] for n in SEEDS]),
            "",
            "## Seeds until decided",
            "",
            "Simulated sweeps of `--until-decided` with the usual looks. The first setting is better than the others "
            "by the gap. False: sweeps that find a difference between settings that do not differ; 5 are allowed. "
            "Found: sweeps that find every difference that there is. Runs: the median of a sweep, and the runs of a "
            "sweep with 24 seeds of every setting.",
            "",
            table(
                ["settings", "gap", "false (%)", "found (%)", "runs", "runs with 24 seeds each"],
                [
                    [
                        one.settings,
                        f"{one.gap:g} sd",
                        percentage(one.false, one.sweeps) if one.gap == 0 or one.settings > 2 else "-",
                        percentage(one.found, one.sweeps) if one.gap else "-",
                        f"{one.median_runs:g}",
                        one.fixed_runs,
                    ]
                    for one in spent
                ],
            ),
            "",
        ]
    )


def table(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


if __name__ == "__main__":
    main()
