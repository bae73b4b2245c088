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


def test_a_sweep_of_few_seeds_is_refused(significance: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no setting has 10 runs whose validation\.accuracy varies; train more seeds"):
        significance.main(["--runs", str(sweep(tmp_path / "s", 3)), "--results", str(tmp_path)])
