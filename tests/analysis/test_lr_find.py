"""`mnistlab lr-find`: loss against a growing learning rate, and the rate that it suggests."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistlab.data.dataset import Dataset
from mnistlab.reporting import plots
from mnistlab.runs import pipeline
from mnistlab.training.lr_range_test import smoothed, suggest

Command = Callable[..., Any]
SMALL = ("data.limit=1000", "--steps", "80")


def rows_of(folder: Path) -> list[dict[str, float]]:
    with (folder / "lr_find.csv").open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_it_leaves_numbers_and_a_picture(command: Command) -> None:
    result = command("lr-find", *SMALL, "--to", "found")
    assert result.status == 0, result.err
    assert sorted(path.name for path in Path("found").iterdir()) == [
        "lr_find.csv",
        "lr_find.json",
        "lr_find.png",
        "lr_find.txt",
    ]
    about = json.loads(Path("found/lr_find.json").read_text())
    assert result.out.startswith(f"suggested                optimizer.lr={about['lr']:g}\n")
    assert 2e-4 < about["lr"] < 1e-2  # Adam's usual rates lie there
    assert about["lr"] < about["smallest"]
    rates = [row["lr"] for row in rows_of(Path("found"))]
    assert rates[0] == pytest.approx(1e-6)
    assert np.allclose(np.diff(np.log(rates)), np.log(1e7) / 79)  # from 1e-6 to 10 in 79 equal factors


def test_the_test_ends_when_the_loss_explodes(command: Command) -> None:
    assert command("lr-find", *SMALL, "optimizer=sgd", "--to", "found").status == 0
    rows = rows_of(Path("found"))
    assert len(rows) < 80
    assert rows[-1]["loss"] > 2 * rows[0]["loss"]


@pytest.mark.slow
def test_the_same_seed_suggests_the_same(command: Command) -> None:
    for place in ("a", "b"):
        assert command("lr-find", *SMALL, "regularization.dropout=0.2", "augment=shift", "--to", place).status == 0
    assert Path("a/lr_find.csv").read_bytes() == Path("b/lr_find.csv").read_bytes()
    assert command("lr-find", *SMALL, "seed=1", "--to", "c").status == 0
    assert Path("a/lr_find.csv").read_bytes() != Path("c/lr_find.csv").read_bytes()


def test_momentum_needs_a_smaller_rate_than_plain_descent(command: Command) -> None:
    for name in ("sgd", "momentum"):
        assert command("lr-find", *SMALL, f"optimizer={name}", "--to", name).status == 0
    sgd, momentum = (json.loads(Path(name, "lr_find.json").read_text())["lr"] for name in ("sgd", "momentum"))
    assert momentum < sgd


@pytest.mark.slow
def test_the_suggested_rate_trains_better_than_a_tenth_and_than_ten_times_of_it(
    command: Command, train: Callable[..., Path]
) -> None:
    command("lr-find", "experiment=smoke", "--steps", "80", "optimizer=sgd", "--to", "found")
    lr = json.loads(Path("found/lr_find.json").read_text())["lr"]

    def loss(rate: float) -> float:
        place = train("optimizer=sgd", f"optimizer.lr={rate}")
        *_, last = csv.DictReader((place / "history.csv").read_text().splitlines())
        return float(last["train_loss"])

    assert loss(lr) < min(loss(lr / 10), loss(10 * lr))


def test_no_test_image_is_ever_seen(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Dataset] = []
    build = pipeline.build

    def watched(made: Any, dataset: Dataset) -> Any:
        seen.append(dataset)
        return build(made, dataset)

    monkeypatch.setattr(pipeline, "build", watched)
    assert command("lr-find", *SMALL, "--to", "found").status == 0
    assert [len(dataset.test) for dataset in seen] == [0]


def test_a_rate_that_is_never_large_enough_asks_to_look_further(command: Command) -> None:
    result = command("lr-find", *SMALL, "--until", "1e-3", "--to", "found")
    assert result.status == 0
    assert "the loss is still falling at 0.001; extend the range with --until 0.01" in result.out


def test_a_loss_that_never_falls_suggests_nothing(command: Command) -> None:
    result = command("lr-find", *SMALL, "--from", "1e-12", "--until", "1e-10", "--to", "found")
    assert result.status == 1
    assert "the loss never fell by 5 % between 1e-12 and 1e-10, so there is no rate to suggest" in result.err
    assert json.loads(Path("found/lr_find.json").read_text())["lr"] is None


@pytest.mark.slow
def test_full_batches_and_convolutions_go_too(command: Command) -> None:
    small = ("data.limit=200", "--steps", "40")
    assert command("lr-find", *small, "trainer.batch_size=full", "--to", "full").status == 0
    assert command("lr-find", *small, "model=lenet5", "--to", "conv").status == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "0"], "--from 0: must be a learning rate from 1e-12 to 1e6, such as 1e-5"),
        (["--until", "fast"], "--until fast: must be a learning rate from 1e-12 to 1e6"),
        (["--from", "1", "--until", "0.1"], "--from 1 --until 0.1: the first rate must be below the last"),
        (["--steps", "5"], "--steps 5: must be a whole number from 20 to 100,000"),
        (["--step", "50"], "--step: no such option (did you mean --steps?)"),
        (["--to", "taken"], "--to taken: not empty; choose a new or an empty directory"),
        (["model=knn"], "model: KNN is a scikit-learn model and has no learning rate; choose a network"),
        (["optimzer=sgd"], "optimzer"),
        (["-m", "seed=1,2"], "-m: no such option"),
    ],
)
def test_a_wrong_request_is_one_line(command: Command, arguments: list[str], message: str) -> None:
    Path("taken").mkdir()
    Path("taken/file").write_text("")
    result = command("lr-find", *SMALL[:1], *arguments)
    assert result.status == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1


# the arithmetic


def test_smoothing_keeps_a_constant_and_a_line_inside() -> None:
    assert np.allclose(smoothed(np.full(100, 3.0), 100), 3)
    line = np.arange(100.0)
    assert np.allclose(smoothed(line, 100)[10:-10], line[10:-10])  # no shift: a running mean would lag


def test_the_suggestion_is_the_steepest_place_before_the_minimum() -> None:
    rates = np.geomspace(1e-4, 1, 81)
    x = np.log10(rates)
    # falls most at 1e-2, is smallest between, and rises after 1e-1
    curve = 2 - np.tanh(2 * (x + 2)) + np.where(x > -1, 20 * (x + 1) ** 2, 0)
    found = suggest(rates, curve)
    assert found is not None
    assert found.lr == found.steepest == pytest.approx(1e-2, rel=0.1)
    assert found.smallest == pytest.approx(1e-1, rel=0.15)
    assert not found.still_falling
    late = suggest(rates, np.where(x < -1, 2.0, 1.0) + np.where(x > -0.9, 9, 0))  # falls just before it explodes
    assert late is not None
    assert late.lr == pytest.approx(late.smallest / 3, rel=0.05)
    assert suggest(rates, np.full(81, 2.0)) is None
    assert suggest(rates[:2], np.array([2.0, 1.0])) is None


def test_the_picture_names_the_rate() -> None:
    rates = np.geomspace(1e-4, 1, 50)
    drawn = plots.range_test(rates, np.linspace(2, 1, 50), np.linspace(2, 1, 50), 0.01)
    assert "The suggested rate is 0.01." in drawn.alt
    assert "No rate is suggested." in plots.range_test(rates, np.ones(50), np.ones(50), None).alt
