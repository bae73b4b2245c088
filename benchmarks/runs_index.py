"""How long `mnistlab runs` takes with ten thousand runs: with no index, with one, and with a filter.

    python benchmarks/runs_index.py [--runs 10000] [--times 5]

The runs are copies of a trained one with other settings, in the folders that sweeps and single runs have. The time is
that of the whole process. Writes results/runs_index.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
FILES = ("status.json", "run.json", "metrics.json", ".hydra/overrides.yaml", ".hydra/config.yaml", ".hydra/hydra.yaml")
BARS = {"no index": 4.0, "list": 0.3, "filter on a setting": 0.3, "filter on a metric, sorted": 0.3}
COMMANDS = {
    "no index": (),
    "list": (),
    "filter on a setting": ("optimizer.lr<0.003",),
    "filter on a metric, sorted": ("test.accuracy>0.5", "--sort", "-test.accuracy"),
}


def main() -> None:
    """Make the runs, measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder, options.runs)
        time.sleep(3)  # until the directories have settled
        measured = {name: measure(name, folder, options.times) for name in COMMANDS}
    page = table(measured, options.runs)
    print(page)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "runs_index.md").write_text(page)


def make(folder: Path, count: int) -> None:
    """Train one run and copy it: nine of ten as jobs of sweeps of a hundred, the others alone."""
    words = ["train", "experiment=smoke", "report.plots=none", "--quiet", "hydra.run.dir=first"]
    subprocess.run([sys.executable, "-m", "mnistlab", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    first = folder / "first"
    about = json.loads((first / "run.json").read_text())
    status = json.loads((first / "status.json").read_text())
    texts = {name: (first / name).read_text() for name in FILES}
    shutil.rmtree(first)
    for i in range(count):
        alone = i % 10 == 0
        run = folder / "outputs" / (f"2026-11-{1 + i % 28:02}/{i}" if alone else f"multirun/{i // 100}/{i % 100}")
        (run / ".hydra").mkdir(parents=True)
        for name, text in texts.items():
            (run / name).write_text(text)
        about["settings"]["optimizer.lr"] = 0.001 * (1 + i % 7)
        (run / "run.json").write_text(json.dumps(about))
        status["started"] = f"2026-11-{1 + i % 28:02}T{i % 24:02}:{i % 60:02}:00.000+00:00"
        (run / "status.json").write_text(json.dumps(status))


def measure(name: str, folder: Path, times: int) -> list[float]:
    """Return the seconds of some processes."""
    seconds = []
    for _ in range(times):
        if name == "no index":
            (folder / "outputs" / ".runs.sqlite3").unlink(missing_ok=True)
        started = time.perf_counter()
        words = [sys.executable, "-m", "mnistlab", "runs", *COMMANDS[name]]
        subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    return seconds


def table(measured: dict[str, list[float]], count: int) -> str:
    """Return the page."""
    lines = [
        f"# Benchmark: {count:,} runs listed by `mnistlab runs`",
        "",
        "Whole processes, median (minimum..maximum).",
        "",
    ]
    lines += ["| | seconds | bar | met |", "|---|---|---|---|"]
    for name, seconds in measured.items():
        middle = statistics.median(seconds)
        met = "yes" if middle <= BARS[name] else "**no**"
        lines.append(f"| {name} | {middle:.2f} ({min(seconds):.2f}..{max(seconds):.2f}) | {BARS[name]} | {met} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
