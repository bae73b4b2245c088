"""Runs of many classes: their metrics can be read again, and their pictures are of a size that can be opened."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from mnistlab.metrics import classification
from mnistlab.reporting import plots
from mnistlab.runs import large_matrices
from mnistlab.system.readers import read_json


def scores_of(classes: int, n: int = 3000) -> tuple[dict, list[str]]:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(classes), n)
    names = [f"c{i}" for i in range(classes)]
    return classification.evaluate(rng.integers(0, classes, n), probabilities, names, ranked=False), names


def test_matrices_of_many_classes_are_kept_in_an_npz_file(tmp_path: Path) -> None:
    scores, names = scores_of(1000)
    metrics = {"class_names": names, "seed": 0, "train": scores, "validation": {"n": 0}, "test": scores}
    large_matrices.write_metrics(tmp_path, metrics)
    assert (tmp_path / "metrics.json").stat().st_size < 2**20
    assert read_json(tmp_path / "metrics.json")["test"]["confusion_matrix"] is None
    again = large_matrices.read_metrics(tmp_path)
    np.testing.assert_array_equal(again["test"]["confusion_matrix"], scores["confusion_matrix"])
    assert metrics["test"]["confusion_matrix"] is not None


def test_matrices_of_few_classes_stay_in_metrics_json(tmp_path: Path) -> None:
    scores, names = scores_of(200)
    large_matrices.write_metrics(tmp_path, {"class_names": names, "test": scores})
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]
    assert json.loads((tmp_path / "metrics.json").read_text())["test"]["confusion_matrix"] == scores["confusion_matrix"]


def test_pictures_of_many_classes_are_bounded(tmp_path: Path) -> None:
    scores, names = scores_of(1000)
    images, labels = np.zeros((2000, 4, 4), np.uint8), np.arange(2000) % 1000
    for name, picture in {
        "confusion": plots.confusion(scores["confusion_matrix"], names),
        "distribution": plots.class_distribution({"train": np.full(1000, 2)}, names),
        "samples": plots.samples(images, labels, names),
    }.items():
        plots.save(picture, tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as drawn:
            assert max(drawn.size) < 3500, name


def test_a_class_whose_name_the_font_lacks_is_shown_by_its_number() -> None:
    from mnistlab.reporting.plots.style import class_labels

    assert class_labels(["手", "größe", "か", "x"], 14) == ["0", "größe", "2", "x"]
