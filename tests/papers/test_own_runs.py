"""Which runs a page is about: those with the settings of the row, not those of a trial or of another claims file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import write_run, write_status
from omegaconf import OmegaConf

from mnistlab.papers import own_runs, reading, results, runner
from mnistlab.papers.own_runs import Asked
from mnistlab.papers.results import Result
from mnistlab.papers.spec import Row
from mnistlab.sweeps.job import task_part
from mnistlab.sweeps.manifest import Manifest
from mnistlab.sweeps.points import choices_of

Command = Callable[..., Any]
FILE = """\
title: T
seeds: 2
rows:
  a: {train: model=mlp_1hidden model.units=8 trainer.epochs=4, reported: {test.accuracy: "0.90"}}
claims: [{text: t, above: 0.6, row: a, metric: test.accuracy}]
"""


def train(row: Row, folder: Path, *extra: str, budget: str = "full", near: bool = False, seeds: int = 2) -> None:
    """Leave what a sweep of the row would leave, with test accuracies of 0.89, 0.891, ..."""
    place = runner.directory(folder, row, near)
    shutil.rmtree(place, ignore_errors=True)
    overrides = runner.overrides(row, budget, seeds, near, extra)
    jobs = runner.planned(place, overrides).jobs
    for i, job in enumerate(jobs):
        content: Any = OmegaConf.to_container(task_part(job.config), resolve=True, enum_to_str=True)
        write_run(job.directory, 0.9 + i / 1000, config=content, choices=choices_of(job.config))
        write_status(job.directory, config_hash=job.entry.config_hash)
    Manifest(place, tuple(overrides), None, str(Path.cwd()), tuple(job.entry for job in jobs)).write()


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(FILE)
    train(row_of(path), Path("outputs/claims/own"))
    return path


def row_of(path: Path) -> Row:
    return reading.read(path).rows["own/a"]


def test_the_runs_of_the_file_are_judged_whatever_only_labels_them(report: Path, command: Command) -> None:
    train(row_of(report), Path("outputs/claims/own"), "trainer.threads=1", "note=trial", "hydra/launcher=basic")
    result = command("claims", str(report), "--page")
    assert result.status == 0, result.out
    assert "1 of 1 figures agree, 1 of 1 claims hold" in result.out


def test_the_runs_of_a_trial_are_not_judged_as_those_of_the_row(report: Path, command: Command) -> None:
    train(row_of(report), Path("outputs/claims/own"), "model.units=64")
    result = command("claims", str(report), "--page")
    assert result.status == 1
    note = (
        "2 runs in outputs/claims/own/a have model.units=64 instead of 8; the command without --page trains the row's"
    )
    assert f"\na: {note}\n" in result.out
    assert f"not the row's runs   t\n                     {note}\n" in result.out
    assert "0 of 1 figures agree, 0 of 1 claims hold" in result.out
    assert f"\n- a: {note}.\n" in Path("outputs/claims/own/claims.md").read_text()
    assert command("claims", str(report), "--page", "model.units=64").status == 0  # asked for, and named on the page


def test_another_file_of_the_same_name_has_other_rows(report: Path, tmp_path: Path, command: Command) -> None:
    other = tmp_path / "two" / "own.yaml"
    other.parent.mkdir()
    other.write_text(FILE.replace("model=mlp_1hidden model.units=8", "model=softmax optimizer=sgd"))
    result = command("claims", str(other), "--page")
    assert result.status == 1
    assert "have model=mlp_1hidden instead of softmax, optimizer=adam instead of sgd" in " ".join(result.out.split())


def test_an_option_with_the_same_values_is_another_setting(
    report: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.write_text(FILE.replace("model.units=8", "model.units=8 init=xavier"))
    result = command("claims", str(report), "--page")
    assert result.status == 1
    assert "have init=kaiming instead of xavier" in result.out
    left: list[Any] = []
    monkeypatch.setattr(runner.Sweep, "run", lambda _, jobs, fail_fast: left.extend(jobs) or 0)
    command("claims", str(report), "-q")
    assert [job.entry.title for job in left] == ["seed=0", "seed=1"]  # trained again


def test_a_trial_that_was_cut_short_is_the_row_and_shown_as_such(report: Path, command: Command) -> None:
    train(row_of(report), Path("outputs/claims/own"), "trainer.epochs=2", "data.limit=300")
    result = command("claims", str(report), "--page")
    assert "2 (2 of 4 epochs, 300 images)" in result.out
    assert "holds (cut short)" in result.out
    train(row_of(report), Path("outputs/claims/own"), "trainer.epochs=5")
    assert "have trainer.epochs=5 instead of 4;" in command("claims", str(report), "--page").out


def test_a_swept_value_that_the_row_no_longer_has_is_left_out(report: Path, command: Command) -> None:
    swept = 'train: "model=mlp_1hidden trainer.epochs=4 model.units=8,16"'
    text = FILE.replace("train: model=mlp_1hidden model.units=8 trainer.epochs=4", swept)
    text = text.replace(', reported: {test.accuracy: "0.90"}', "").replace("row: a", "row: a model.units=8")
    report.write_text(text)
    train(row_of(report), Path("outputs/claims/own"))
    assert command("claims", str(report), "--page").status == 0
    report.write_text(text.replace("8,16", "8,32"))
    result = command("claims", str(report), "--page")
    assert result.status == 0
    assert "a: 2 runs in outputs/claims/own/a have model.units=16 instead of " in result.out


def own(row: Row, asked: Asked, near: bool = False) -> Result:
    return own_runs.only_own(results.read(row, Path("page"), near), Path("page"), asked)


@pytest.mark.parametrize(
    ("done", "asked", "said"),
    [
        ({}, {}, ""),
        ({"budget": "quick"}, {"budget": "quick"}, ""),
        ({"budget": "quick"}, {}, ""),  # as on the page of the budget full, cut short
        ({"extra": ["trainer.epochs=5"]}, {}, ""),
        ({"extra": ["data=mnist5k"]}, {"extra": ["data=mnist5k"]}, ""),
        ({"extra": ["data=mnist5k"]}, {}, "have data=mnist5k instead of mnist; the command without --page trains"),
        ({"extra": ["data=mnist5k"]}, {"rows": []}, "`mnistlab reproduce lin/enhanced_cnn_sgd` trains the row's"),
        ({"extra": ["data=mnist5k"]}, {"rows": [], "extra": ["data=mnist5k"]}, ""),
        ({}, {"rows": [], "extra": ["model.nothing=1"]}, ""),  # meant for other rows
    ],
    ids=str,
)
def test_a_row_of_a_paper_may_have_either_budget(done: Any, asked: Any, said: str) -> None:
    row = reading.read().rows["lin/enhanced_cnn_sgd"]
    train(row, Path("page"), *done.get("extra", ()), budget=done.get("budget", "full"))
    result = own(row, Asked(**{"rows": [row], **asked}))
    assert len(result.records) == (0 if said else 2)
    assert said in result.others


def test_near_settings_are_those_of_near() -> None:
    row = reading.read().rows["macalinao/batch"]
    train(row, Path("page"), near=True)
    assert own(row, Asked([row]), near=True).others == ""
    shutil.copytree("page/macalinao/batch.near", "page/macalinao/batch")
    assert "have optimizer.lr=0.07 instead of 1" in own(row, Asked([row])).others


def composed(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Return a list of what is composed from now on."""
    calls: list[Sequence[str]] = []
    planned = runner.planned
    monkeypatch.setattr(runner, "planned", lambda place, words: (calls.append(words), planned(place, words))[1])
    return calls


def test_nothing_is_composed_for_runs_of_the_same_request_until_the_experiment_is_edited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = reading.read().rows["macalinao/batch"]
    train(row, Path("page"))
    calls = composed(monkeypatch)
    own(row, Asked([row]))
    assert calls == []
    os.utime("page/macalinao/batch/sweep.json", (0, 0))  # the experiment is newer
    assert own(row, Asked([row])).others == ""
    assert len(calls) == 1
