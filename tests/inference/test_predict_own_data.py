"""`mnistlab predict` for runs on the user's own data: what it is given is read as it was in training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnistlab.data.sources.registry import SOURCES
from mnistlab.inference.predict import image_table, inputs, pipeline, preprocessing
from mnistlab.runs.saved_run import open_run

Command = Callable[..., Any]
Train = Callable[..., Path]


@pytest.fixture
def train(command: Command) -> Train:
    """Train on few images, and return the run directory."""

    def run(*overrides: str) -> Path:
        small = ["model=mlp_1hidden", "trainer.epochs=1", "trainer.batch_size=8", "report.plots=none"]
        result = command("train", *small, *overrides)
        assert result.status == 0, result.err
        return Path(result.out.split("run directory")[-1].strip())

    return run


def pictures(folder: str, count: int = 20) -> None:
    """Pictures of noise in two class folders."""
    rng = np.random.default_rng(4)
    for i in range(count):
        place = Path(folder) / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(place / f"{i}.png")


def as_predicted(run: Path, folder: str, dark: bool | None = None) -> list[bytes]:
    saved = open_run(str(run))
    style = preprocessing.style_of_run(saved, "auto")
    predicted, failed = pipeline.predict(saved, inputs.expand([folder]), style, dark)
    assert not failed
    return sorted(one.digits[0].prepared.image.tobytes() for one in predicted)


def as_trained(folder: str, **options: Any) -> list[bytes]:
    pool = SOURCES["folder"](path=folder, **options).read()
    return sorted(image.tobytes() for part in (pool.train, pool.test) for image in part.images)


@pytest.mark.parametrize("options", [{"invert": True}, {"transpose": True}, {"invert": True, "transpose": True}])
def test_pictures_are_inverted_and_transposed_as_in_training(train: Train, options: dict[str, bool]) -> None:
    pictures("mine")
    run = train("data=folder", "data.path=mine", *(f"data.{key}=true" for key in options))
    assert as_predicted(run, "mine") == as_trained("mine", **options)
    assert as_predicted(run, "mine", dark=False) == as_trained("mine", **options | {"invert": False})


def table(path: str, first: int) -> None:
    """A table of three classes, numbered from ``first``, that differ in one bright row."""
    rows = [[first + i % 3, *np.roll(np.repeat([250, 0, 0], 3), 3 * (i % 3))] for i in range(60)]
    Path(path).write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")


def test_pictures_are_upright_though_a_table_had_to_be_transposed(train: Train) -> None:
    pictures("mine")
    table("mine.csv", 0)
    run = train("data=csv", "data.path=mine.csv", "data.transpose=true", "data.size=8", "data.invert=true")
    assert as_predicted(run, "mine") == as_trained("mine", invert=True)


def test_labels_and_answers_of_a_table_have_the_offset_of_training(train: Train, command: Command) -> None:
    table("mine.csv", 5)
    run = train("data=csv", "data.path=mine.csv", "data.label_offset=5", "trainer.epochs=20")
    about = json.loads(command("predict", str(run), "mine.csv", "--json").out)
    assert about["accuracy"]["accuracy"] == 1
    assert {row["class"] for row in about["predictions"]} == {"0", "1", "2"}, "the model's own classes"
    lines = command("predict", str(run), "mine.csv").out.splitlines()
    assert [int(line.split(",")[1]) for line in lines[1:]] == [5 + i % 3 for i in range(60)]


def test_values_of_a_table_are_scaled_as_in_training(train: Train) -> None:
    pixels = np.random.default_rng(3).random((60, 9)) * 10.5
    rows = [[i % 3, *row] for i, row in enumerate(pixels.tolist())]
    Path("mine.csv").write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    run = train("data=csv", "data.path=mine.csv")
    pool = SOURCES["csv"](path="mine.csv").uncut().read()
    like = image_table.trained(open_run(str(run)))
    assert np.array_equal(image_table.read("mine.csv", (3, 3), like).images, pool.train.images)
