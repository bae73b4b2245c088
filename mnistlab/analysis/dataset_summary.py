"""A summary of a dataset: its provenance, the number of images of each class, and sample images."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnistlab.config import compose, schema
from mnistlab.data.augmentation import NoAugment
from mnistlab.data.loading import describe, load
from mnistlab.reporting import plots, tables
from mnistlab.runs import artifacts, figures
from mnistlab.system.random import stream

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class DatasetSummary:
    """The description of a dataset, and the paths of its pictures."""

    about: Mapping[str, Any]  # the result of `describe`
    pictures: Sequence[Path]

    def text(self) -> str:
        """Return the summary as text."""
        about = self.about
        lines = [f"{about['name']}: {about['height']} x {about['width']} pixels, {len(about['classes'])} classes"]
        for key, value in about["provenance"].items():
            if key not in ("name",) and value is not None:
                lines.append(f"  {key:18}{_text(value)}")
        header = ("class", "  train", "validation", "  test")  # wide enough for 99,999 and 9,999 images
        classes = [*about["classes"], {"class": "all", **about["rows"]}]
        rows = [(row["class"], *(f"{row[part]:,}" for part in PARTS)) for row in classes]
        counts = textwrap.indent(tables.text((header, rows), right=(1, 2, 3)), "  ")
        return "\n".join([*lines, "", counts, "", f"pictures: {', '.join(map(str, self.pictures))}"])


def of(overrides: Sequence[str], folder: Path | None = None) -> DatasetSummary:
    """Return the summary of a configuration's data; draw it in ``folder``, or one named after the data."""
    experiment = schema.experiment(compose.compose(overrides))
    with schema.prefixed("data"):
        dataset = load(experiment.data, stream(experiment.seed, "split"))
    with schema.prefixed("augment"):
        experiment.augment.check(*dataset.train.images.shape[1:])
    about = describe(dataset)
    folder = folder or Path("outputs", "data", about["name"])
    folder.mkdir(parents=True, exist_ok=True)
    counts = {part: [row[part] for row in about["classes"]] for part in PARTS}
    names = list(dataset.class_names)
    drawn = {
        "samples": plots.samples(dataset.train.images, dataset.train.labels, names),
        "class_distribution": plots.class_distribution(counts, names),
    }
    if not isinstance(experiment.augment, NoAugment):
        artifacts.write_augmented(folder, dataset.train, experiment.augment, stream(experiment.seed, "augment"))
        drawn["augmented"] = figures.augmented(folder, names)
    for name, picture in drawn.items():
        plots.save(picture, folder / f"{name}.png")
    return DatasetSummary(about, [folder / f"{name}.png" for name in drawn])


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "; ".join(map(_text, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
