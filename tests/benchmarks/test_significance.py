"""The simulation of the significance tests: on made-up accuracies of known rates, and on the files of a sweep."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.runs import write_manifest, write_run

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def significance() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield import_module("significance")


NORMAL = {"normal": np.random.default_rng(3).normal(0.9, 0.01, 400).tolist()}


@pytest.mark.parametrize(
    ("seeds", "settings", "test"), [(3, 2, "paired t"), (6, 2, "sign-flip"), (6, 3, "paired t"), (8, 3, "sign-flip")]
)
def test_of_normal_values_one_in_twenty_is_found_different(
    significance: Any, seeds: int, settings: int, test: str
) -> None:
    # 300 repetitions of a rate of 0.05: standard error 0.0126; the exact test of six pairs has the level 2 / 64
    found = significance.rate(NORMAL, seeds, settings, 0.0, 300, np.random.default_rng(1))
    assert (found.seeds, found.settings, found.test, found.repetitions) == (seeds, settings, test, 300)
    assert found.found / 300 <= 0.05 + 3 * 0.0126
    assert found.found >= 1


def test_a_gap_of_ten_standard_deviations_is_always_found_and_one_of_none_hardly_ever(significance: Any) -> None:
    assert significance.rate(NORMAL, 6, 2, 10.0, 50, np.random.default_rng(1)).found == 50
    assert significance.rate(NORMAL, 6, 2, 1.0, 50, np.random.default_rng(1)).found < 40


def test_the_findings_of_groups_by_hand(significance: Any) -> None:
    # six differences of one sign: 2 / 64; for three groups of six the exact test would need seven
    d = np.array([1.0, 2, 3, 4, 5, 6])
    assert significance.findings(np.array([d, 0 * d])) == {"sign-flip": 2 / 64}
    assert list(significance.findings(np.array([d, 0 * d, d**2]))) == ["paired t"]
    assert significance.findings(np.array([d[:3] * 0 + 1, d[:3] * 0])) == {
        "paired t": 1.0
    }  # no spread: no p, no finding


def test_a_rate_has_its_interval(significance: Any) -> None:
    # Wilson 1927: 5 of 100
    assert significance.Rate(3, 2, "paired t", 0.0, 100, 5).text == "5.0 (2.2 to 11.2)"


def sweep(folder: Path, seeds: int) -> Path:
    points = [(init, seed) for init in ("random", "kaiming") for seed in range(seeds)]
    manifest = write_manifest(folder, [{"init": init, "seed": seed} for init, seed in points])
    for entry, (init, seed) in zip(manifest.entries, points, strict=True):
        accuracy = 0.9 + len(init) / 100 + (seed * 7 % 11) / 1000
        config = {"seed": seed, "init": {"scale": len(init)}}
        overrides = [f"init={init}", f"seed={seed}"]
        write_run(manifest.place(entry), accuracy, config=config, choices={"init": init}, overrides=overrides)
    return folder


def test_the_runs_of_a_sweep_become_a_page_and_a_table(
    significance: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = sweep(tmp_path / "s", 12)
    significance.main(["--runs", str(runs), "--repetitions", "10", "--results", str(tmp_path / "results")])
    page = (tmp_path / "results/significance.md").read_text()
    assert capsys.readouterr().out == page + "\n"
    assert "from the validation.accuracy of 2 settings with 12 to 12 seeds each" in page
    assert "| seeds | 2 settings (1) | 3 settings (3) | 6 settings (15) | 12 settings (66) |" in page
    assert "| seeds | 1 sd | 2 sd | 3 sd |" in page
    rows = list(csv.DictReader((tmp_path / "results/significance.csv").read_text().splitlines()))
    assert len(rows) == 5 * (4 + 3)
    assert [row["test"] for row in rows if (row["settings"], row["gap"]) == ("2", "0.0")] == [
        *["paired t"] * 3,
        *["sign-flip"] * 2,
    ]
    assert {row["test"] for row in rows if row["settings"] == "12"} == {"paired t"}
    assert "| settings | gap | false (%) | found (%) | runs | runs with 24 seeds each |" in page
    assert len((tmp_path / "results/significance_accuracies.csv").read_text().splitlines()) == 25


def test_sweeps_until_decided_are_simulated(significance: Any) -> None:
    none, large = (significance.simulated(NORMAL, 2, gap, 20, np.random.default_rng(1)) for gap in (0.0, 10.0))
    assert (none.sweeps, none.fixed_runs, none.found) == (20, 48, 0)
    assert none.false <= 3
    assert none.median_runs == 48
    assert (large.false, large.found, large.median_runs) == (0, 20, 16)


@pytest.fixture(scope="module")
def accuracies() -> dict[str, list[float]]:
    """The accuracies of 8 settings with 40 seeds each that benchmarks/significance.py has recorded."""
    found: dict[str, list[float]] = {}
    with (FOLDER / "results" / "significance_accuracies.csv").open() as file:
        for row in csv.DictReader(file):
            found.setdefault(row["setting"], []).append(float(row["accuracy"]))
    assert sorted(map(len, found.values())) == [40] * 8
    return found


@pytest.mark.slow
@pytest.mark.parametrize("settings", [2, 3, 6])
@pytest.mark.parametrize("seeds", [3, 4, 5, 6, 8])
def test_on_real_accuracies_false_findings_are_rare(
    significance: Any, accuracies: dict[str, list[float]], seeds: int, settings: int
) -> None:
    # 400 repetitions of a rate of .07, which the paired t test may have: standard error 0.013
    found = significance.rate(accuracies, seeds, settings, 0.0, 400, np.random.default_rng(5))
    assert found.found / 400 <= 0.07 + 3 * 0.013


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "power"), [(3, 0.45), (4, 0.72), (5, 0.88)])
def test_on_real_accuracies_a_gap_of_three_standard_deviations_is_found(
    significance: Any, accuracies: dict[str, list[float]], seeds: int, power: float
) -> None:
    assert significance.rate(accuracies, seeds, 2, 3.0, 400, np.random.default_rng(6)).found >= power * 400


@pytest.mark.slow
def test_on_real_accuracies_sweeps_until_decided_are_wrong_in_one_of_twenty_at_most(
    significance: Any, accuracies: dict[str, list[float]]
) -> None:
    found = significance.simulated(accuracies, 3, 0.0, 200, np.random.default_rng(7))
    assert found.false / 200 <= 0.05 + 2 * 0.0154


def test_a_sweep_of_few_seeds_is_refused(significance: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no setting has 10 runs whose validation\.accuracy varies; train more seeds"):
        significance.main(["--runs", str(sweep(tmp_path / "s", 3)), "--results", str(tmp_path)])
