"""How often the significance tests are wrong, and what they find, on real accuracies of many seeds.

    python benchmarks/significance.py [--runs FOLDER] [--repetitions 2000]

The accuracies are those of a finished sweep (--runs), or of 8 settings times 40 seeds of experiment=smoke, which takes
about five minutes on two cores. Groups of n runs are drawn from the accuracies of a single setting, so that they do not
differ: every finding among them is a false one. For the power, one of two groups is raised by 1, 2 or 3 standard
deviations of the setting. The tests are chosen by `mnistlab.statistics.policy`, as in `mnistlab compare`. Writes
results/significance.md and significance.csv.
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
from mnistlab.statistics import policy
from mnistlab.statistics.tests import LEVEL
from mnistlab.sweeps.records import of_paths
from mnistlab.system.errors import RequestError

HERE = Path(__file__).resolve().parent
METRIC = "validation.accuracy"
SEEDS = (3, 4, 5, 6, 8)
SETTINGS = (2, 3, 6, 12)  # that are compared at once, each with each other one
GAPS = (1.0, 2.0, 3.0)  # standard deviations
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
        low, high = wilson(self.found, self.repetitions)
        return f"{100 * self.found / self.repetitions:.1f} ({100 * low:.1f} to {100 * high:.1f})"


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
    page = markdown(accuracies, rates)
    print(page)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "significance.md").write_text(page)
    with (options.results / "significance.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rates[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(rate) for rate in rates)


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


def markdown(accuracies: Mapping[str, Sequence[float]], rates: Sequence[Rate]) -> str:
    """Return the page: false findings by number of settings, and power by gap."""
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
        ]
    )


def table(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


if __name__ == "__main__":
    main()
