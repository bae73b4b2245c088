"""What every dataset is: three parts of images and labels, their class names, and where all of it came from."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from mnistlab.data import split
from mnistlab.errors import RequestError, whole

log = logging.getLogger("mnistlab.data")


class Scaling(Enum):
    """How pixels become the network's input."""

    unit = "unit"
    standardize = "standardize"
    none = "none"


class ValidationFrom(Enum):
    """Which rows of the training pool are held out for validation."""

    random = "random"
    first = "first"


@dataclass(frozen=True)
class Part:
    """Some labelled images: ``images`` (n, height, width) uint8, C-contiguous; ``labels`` (n,) int64.

    The arrays may be read-only views of a memory-mapped file.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray | slice) -> Part:
        """Return the part of these rows: a view for a slice, a copy otherwise."""
        return Part(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class Pool:
    """What a source reads, before any selection: the training pool and the test part."""

    name: str
    train: Part
    test: Part
    class_names: tuple[str, ...]
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """The three parts of one run. The network's input is ``(pixel - shift) * scale``."""

    name: str
    train: Part
    validation: Part
    test: Part
    class_names: tuple[str, ...]
    provenance: dict[str, Any]
    shift: float
    scale: float


@dataclass
class Source:
    """Where the data comes from, and what is taken from it; the options that all sources share.

    ``validation`` is a fraction of the training pool (a float of [0, 1)) or a number of rows (an int); 0 is none.
    ``limit`` and ``test_limit`` are numbers of rows. A random choice uses the generator given to `load`; the test part
    never does: it is the same for every seed.
    """

    validation: Any = 0.1
    validation_from: ValidationFrom = ValidationFrom.random
    stratify: bool = True
    limit: int | None = None
    test_limit: int | None = None
    scaling: Scaling = Scaling.unit

    def __post_init__(self) -> None:
        check_share("validation", self.validation)
        if self.limit is not None:
            whole("limit", self.limit, what="the number of training rows")
        if self.test_limit is not None:
            whole("test_limit", self.test_limit, what="the number of test rows")

    def read(self) -> Pool:
        """Return everything that the source holds, checked."""
        raise NotImplementedError


def check_share(name: str, value: Any) -> None:
    """Check that ``value`` is a fraction of [0, 1) or a number of rows."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RequestError(f"{name}={value}: a fraction such as 0.1 or a number of rows such as 5000 was expected")
    if isinstance(value, int) and value < 0:
        raise RequestError(f"{name}={value}: the number of rows must be zero or more")
    if isinstance(value, float) and not (math.isfinite(value) and 0 <= value < 1):
        raise RequestError(f"{name}={value}: a fraction must be at least 0 and below 1; a number of rows is a whole number")


def rows_of_share(name: str, value: Any, available: int, of: str) -> int:
    """Return the number of rows that a fraction or a count stands for; at least one row must be left over."""
    count = value if isinstance(value, int) else int(value * available + 0.5)
    if value and not count:
        raise RequestError(f"{name}={value}: this is no row at all of the {available:,} of {of}; ask for more")
    if count >= available:
        raise RequestError(f"{name}={value}: {of} has {available:,} rows, and at least one must be left; ask for fewer")
    return count


def check_limit(name: str, limit: int, labels: np.ndarray, stratify: bool, of: str) -> None:
    """Check that ``limit`` rows can be taken, one of each class at least if they are taken class by class."""
    if limit > len(labels):
        raise RequestError(f"{name}={limit}: {of} has only {len(labels):,} rows; ask for fewer or leave {name} out")
    classes = len(np.unique(labels))
    if stratify and limit < classes:
        raise RequestError(
            f"{name}={limit}: there are {classes} classes, and each needs a row; ask for {classes} or more, or stratify=false"
        )


def check_labels(labels: np.ndarray, classes: int, where: str, cure: str) -> None:
    """Check that labels lie in [0, classes); the message names the first row that does not (counted from 1)."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise RequestError(
            f"{where}: row {wrong[0] + 1:,} has the label {labels[wrong[0]]}, but the {classes} classes are"
            f" 0 to {classes - 1}; {cure}"
        )


def names_of_classes(class_names: list[str] | None, classes: int) -> tuple[str, ...]:
    """Return the given names if there is one a class, "0", "1", ... if none are given."""
    if class_names is None:
        return tuple(map(str, range(classes)))
    names = tuple(map(str, class_names))
    if len(names) != classes or len(set(names)) != classes:
        raise RequestError(
            f"class_names={list(names)}: {classes} different names were expected, one a class;"
            f" {len(set(names))} are given (classes={classes})"
        )
    return names


def load(source: Source, rng: np.random.Generator) -> Dataset:
    """Read ``source`` and cut it into training, validation and test part.

    ``rng`` decides which rows ``limit`` keeps and which go to validation, and nothing else. Rows keep their order.
    `RequestError` says what is wrong with the request or with a file.
    """
    pool = source.read()
    for what, part in (("training", pool.train), ("test", pool.test)):
        if not len(part):
            raise RequestError(f"{_key(pool)}: the {what} part has no rows; at least one is needed")
    train, validation = _cut_training_pool(source, pool.train, rng)
    test = pool.test
    if source.test_limit is not None:
        check_limit("test_limit", source.test_limit, test.labels, source.stratify, "the test part")
        if source.test_limit < len(test):
            test = test.take(split.spread(test.labels, source.test_limit, source.stratify))
    for what, part in (("training", train), ("test", test)):
        _note_absent_classes(pool, what, part)
    shift, scale = scale_of(source.scaling, train.images)
    provenance = {
        **pool.provenance,
        "rows": {"train": len(train), "validation": len(validation), "test": len(test)},
        "limit": source.limit,
        "test_limit": source.test_limit,
        "validation": source.validation,
        "validation_from": source.validation_from.name,
        "stratify": source.stratify,
        "scaling": source.scaling.name,
    }
    return Dataset(pool.name, train, validation, test, pool.class_names, provenance, shift, scale)


def _cut_training_pool(source: Source, pool: Part, rng: np.random.Generator) -> tuple[Part, Part]:
    rows = None
    if source.limit is not None:
        check_limit("limit", source.limit, pool.labels, source.stratify, "the training pool")
        if source.limit < len(pool):
            rows = split.draw(pool.labels, source.limit, source.stratify, rng)
    labels = pool.labels if rows is None else pool.labels[rows]
    count = rows_of_share("validation", source.validation, len(labels), "the training pool")
    if source.validation_from is ValidationFrom.first:
        kept = pool if rows is None else pool.take(rows)
        return kept.take(slice(count, None)), kept.take(slice(0, count))
    if not count:
        kept = pool if rows is None else pool.take(rows)
        return kept, kept.take(slice(0, 0))
    held_out = split.draw(labels, count, source.stratify, rng)
    kept_rows = split.others(held_out, len(labels))
    if rows is not None:
        held_out, kept_rows = rows[held_out], rows[kept_rows]
    return pool.take(kept_rows), pool.take(held_out)


def scale_of(scaling: Scaling, images: np.ndarray) -> tuple[float, float]:
    """Return ``shift, scale`` of the network's input; standardising takes one mean and one deviation of all pixels."""
    if scaling is Scaling.none:
        return 0.0, 1.0
    if scaling is Scaling.unit:
        return 0.0, 1 / 255
    total = squares = 0.0
    for start in range(0, len(images), 4096):  # in pieces, so that no float copy of the whole is made
        pixels = images[start : start + 4096].reshape(-1).astype(np.float64)
        total += pixels.sum()
        squares += pixels @ pixels  # whole numbers below 2**53: exact in any order
    mean = total / images.size
    variance = squares / images.size - mean**2
    if images.max() == images.min():
        raise RequestError("scaling=standardize: all training pixels have the same value; choose unit or none")
    return float(mean), float(1 / math.sqrt(variance))


def _note_absent_classes(pool: Pool, what: str, part: Part) -> None:
    counts = np.bincount(part.labels, minlength=len(pool.class_names))
    absent = [name for name, count in zip(pool.class_names, counts, strict=True) if not count]
    if absent:
        log.warning("%s: the %s part has no row of class %s", pool.name, what, ", ".join(absent))


def _key(pool: Pool) -> str:
    return f"path={pool.provenance['path']}" if "path" in pool.provenance else pool.name


def describe(dataset: Dataset) -> dict[str, Any]:
    """Return what `mnistlab data show` prints: name, image size, provenance, and the rows of each class and part."""
    parts: Mapping[str, Part] = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    counts = {what: np.bincount(part.labels, minlength=len(dataset.class_names)) for what, part in parts.items()}
    height, width = dataset.train.images.shape[1:]
    return {
        "name": dataset.name,
        "height": height,
        "width": width,
        "rows": {what: len(part) for what, part in parts.items()},
        "classes": [
            {"class": name, **{what: int(count[i]) for what, count in counts.items()}}
            for i, name in enumerate(dataset.class_names)
        ],
        "shift": dataset.shift,
        "scale": dataset.scale,
        "provenance": dataset.provenance,
    }
