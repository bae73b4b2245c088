"""The benchmark of the estimator: both do the same work, and its page says which bars hold."""

import csv
import sys
from importlib import import_module
from pathlib import Path

import pytest
from helpers import processes

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def estimator():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield import_module("estimator")


def fit(peer, i, seconds, threads=None, foreign=0.02):
    measured = {"workload": "lin_dense", "dtype": "float32", "peer": peer, "round": i, "threads": threads}
    return {**measured, "seconds": seconds, "foreign": foreign, "left_out": ""}


def test_ratios_are_taken_round_by_round_against_the_better_number_of_threads(estimator):
    found = [fit("ours", 1, 1.0), fit("ours", 2, 2.0, foreign=0.3), fit("ours", 3, 1.0)]
    found += [fit("sklearn", i, seconds, 1) for i, seconds in ((1, 3.0), (2, 4.0), (3, 2.6))]
    found += [fit("sklearn", 1, 9.0, 2)]
    row = estimator.row("lin_dense", "float32", found)
    assert row["ratio"] == "2.60 (2.00..3.00)"
    assert row["theirs"] == "3.000 (2.600..4.000), 1 thr."
    text = estimator.page(["some machine"], [row, {**row, "dtype": "float64", "holds": False}])
    lines = [" ".join(line.split()) for line in text.splitlines()]
    ours, theirs = "1.000 (1.000..2.000)", "3.000 (2.600..4.000), 1 thr."
    assert f"| lin_dense | float32 | {ours} | {theirs} | 2.60 (2.00..3.00) | >= 2.5 | yes |" in lines
    assert "Targets missed: lin_dense float64." in lines
    assert "Other processes used at most 30% of the machine in a measurement." in lines


@pytest.mark.process
@pytest.mark.slow
def test_a_tiny_run_writes_the_page_and_every_measurement(tmp_path):
    options = ["--synthetic", "256", "--quick", "--workloads", "macalinao", "--dtypes", "float64"]
    command = [sys.executable, FOLDER / "estimator.py", *options, "--results", tmp_path]
    done = processes.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "256 random images (a dry run)" in (tmp_path / "estimator.md").read_text()
    with (tmp_path / "estimator.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["peer"] for row in rows} == {"ours", "sklearn"}
    losses = [float(row["loss"]) for row in rows]
    assert max(losses) < 1.2 * min(losses)  # the same work, from other random weights


@pytest.mark.process
def test_a_wrong_request_is_one_line():
    command = [sys.executable, FOLDER / "estimator.py", "--workloads", "lenet"]
    done = processes.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("bench: error: --workloads=lenet: choose one of macalinao, macalinao_full, ghimire")
