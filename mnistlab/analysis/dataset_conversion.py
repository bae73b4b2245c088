"""Conversion of data of any format to the canonical form: an NPZ file that is read without assumptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnistlab.config import compose, schema
from mnistlab.data.dataset import UserSource
from mnistlab.data.formats import names
from mnistlab.runs.artifacts import npz
from mnistlab.system import arguments, files
from mnistlab.system.errors import RequestError


@dataclass(frozen=True)
class Conversion:
    """A converted dataset: its file, the number of images in each set, their size, and the class names."""

    file: Path
    rows: dict[str, int]
    image_shape: tuple[int, int]
    class_names: tuple[str, ...]

    def text(self) -> str:
        """Return the result in one line."""
        rows = ", ".join(f"{count:,} {name}" for name, count in self.rows.items())
        height, width = self.image_shape
        return f"{self.file}: {rows} images of {height} x {width} in {len(self.class_names)} classes"


def convert(words: Sequence[str], to: Path) -> Conversion:
    """Write the data that the words choose (a path, or overrides) to an NPZ file.

    Its arrays are ``train_images`` (n, height, width) uint8 and ``train_labels`` (n,) int64 from 0, the same for the
    validation set (``val_``) and the test set (``test_``) if the data has them, ``class_names``, and `names.UPRIGHT`.
    """
    if to.suffix != ".npz":
        raise RequestError(f"--to {to}: must end in .npz, the format that is written")
    overrides = list(words)
    if (words and "=" not in words[0]) or arguments.exists(words[0] if words else ""):
        overrides = ["data=auto", f"data.path={compose.quoted(words[0])}", *words[1:]]
    experiment = schema.experiment(compose.compose(overrides))
    source = experiment.data.uncut() if isinstance(experiment.data, UserSource) else experiment.data
    with schema.prefixed("data"):
        pool = source.read()
    sets = {"train": pool.train, "val": pool.validation, "test": pool.test}
    arrays: dict[str, np.ndarray] = {"class_names": np.array(pool.class_names, np.str_), names.UPRIGHT: np.array(True)}
    for name, part in sets.items():
        if part is not None and len(part):
            arrays[f"{name}_images"], arrays[f"{name}_labels"] = part.images, part.labels
    to.parent.mkdir(parents=True, exist_ok=True)
    files.write(to, npz(**arrays))
    rows = {name: len(arrays[f"{name}_labels"]) for name in sets if f"{name}_labels" in arrays}
    height, width = pool.train.images.shape[1:]
    return Conversion(to, rows, (height, width), pool.class_names)
