"""Datasets: training, validation and test sets of images and labels, class names, and their provenance."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, NamedTuple, Self

import numpy as np

from mnistlab.data import splitting
from mnistlab.system.errors import RequestError, whole

MOST_CLASSES = 10_000


class Scaling(Enum):
    """How pixels are scaled for the network's input."""

    unit = "unit"  # from 0 to 1
    standardize = "standardize"  # with the mean and standard deviation of the training set
    none = "none"  # from 0 to 255


class ValidationFrom(Enum):
    """Which rows of the training pool are held out for validation."""

    random = "random"  # drawn at random
    first = "first"  # the first rows


@dataclass(frozen=True)
class Split:
    """Some labelled images: ``images`` (n, height, width) uint8, C-contiguous; ``labels`` (n,) int64.

    The arrays may be read-only views of a memory-mapped file.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray | slice) -> Split:
        """Return the subset of these rows: a view for a slice, otherwise a copy."""
        return Split(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class Pool:
    """The data of a source before any selection: the training pool, the test set, and its own validation set if any."""

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    provenance: dict[str, Any] = field(default_factory=dict)
    validation: Split | None = None


@dataclass(frozen=True)
class Dataset:
    """The training, validation and test sets of one run. The network's input is ``(pixel - shift) * scale``.

    ``test_rows`` and ``validation_rows`` are where the images of these sets are in the source, from 0: in its test
    part, and in its training pool, or in its validation part if it has one.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    provenance: dict[str, Any]
    shift: float
    scale: float
    test_rows: np.ndarray | None = None
    validation_rows: np.ndarray | None = None

    def without_test(self) -> Dataset:
        """Return the dataset with an empty test set, which must not be used for choosing anything."""
        return replace(self, test=self.test.take(slice(0, 0)), test_rows=None)


class Published(NamedTuple):
    """Facts about a published dataset before its files are read; ``train`` is the size of the training pool."""

    name: str
    image_shape: tuple[int, int]
    classes: int
    train: int


@dataclass
class Source:
    """Where the data comes from, and what is taken from it; the options that all sources share.

    ``validation`` is a fraction of the training pool (a float in [0, 1)) or a number of rows (an int); with 0 there is
    no validation set. Data that has a validation set of its own uses that one. ``limit`` and ``test_limit`` are the
    numbers of training and test rows that are used; by default all are. With ``stratify`` the selected rows keep the
    proportions of the classes. Random choices use the generator given to `load`, except for the test set, which is the
    same for every seed.
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
        """Return all data of the source, checked."""
        raise NotImplementedError

    def published(self) -> Published | None:
        """Return the facts about a published dataset; None for the user's own data."""
        return None


@dataclass
class UserSource(Source):
    """If the files have no test set, ``test`` is the fraction or number of rows that become the test set.

    They are the *last* rows of each class, so that the test set is fixed and never depends on the seed.
    """

    test: Any = 0.2
    cuts = True  # not an option, and so not a field; `uncut` changes it

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("test", self.test)

    def uncut(self) -> Self:
        """Return a source with the same rows and no test set cut from them, so that any number of rows is enough."""
        same = replace(self)
        same.cuts = False
        return same

    def cut_test(self, all_rows: Split) -> tuple[Split, Split]:
        """Return the training pool and the test set; no class may lose its last training row."""
        if not self.cuts:
            return all_rows, all_rows.take(slice(0, 0))
        labels = all_rows.labels
        count = rows_of_share("test", self.test, len(labels), "the data")
        if not count:
            raise RequestError("a test set is needed; set a fraction such as 0.2", key="test", value=self.test)
        rows = splitting.last(labels, count)
        left = np.bincount(labels) - np.bincount(labels[rows], minlength=int(labels.max()) + 1)
        emptied = sorted(set(np.flatnonzero(left == 0)) & set(labels.tolist()))
        if emptied:
            raise RequestError(
                f"class {emptied[0]} would have no training rows left; use fewer test rows",
                key="test",
                value=self.test,
            )
        return all_rows.take(splitting.others(rows, len(labels))), all_rows.take(rows)


def check_share(name: str, value: Any) -> None:
    """Check that ``value`` is a fraction of [0, 1) or a number of rows."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RequestError("must be a fraction such as 0.1 or a number of rows such as 5000", key=name, value=value)
    if isinstance(value, int) and value < 0:
        raise RequestError("the number of rows must be zero or more", key=name, value=value)
    if isinstance(value, float) and not (math.isfinite(value) and 0 <= value < 1):
        raise RequestError(
            "a fraction must be at least 0 and below 1; a number of rows is a whole number", key=name, value=value
        )


def rows_of_share(name: str, value: Any, available: int, of: str) -> int:
    """Return the number of rows of a fraction or count; at least one row must remain."""
    count = value if isinstance(value, int) else int(value * available + 0.5)
    if value and not count:
        raise RequestError(f"less than one of the {available:,} rows of {of}; use more", key=name, value=value)
    if count >= available:
        raise RequestError(
            f"{of} has {available:,} rows, and at least one must be left; use fewer", key=name, value=value
        )
    return count


def check_limit(name: str, limit: int, labels: np.ndarray, stratify: bool, of: str) -> None:
    """Check that ``limit`` rows can be selected, with at least one of each class if ``stratify``."""
    if limit > len(labels):
        raise RequestError(f"{of} has only {len(labels):,} rows; use fewer or leave {name} out", key=name, value=limit)
    classes = len(np.unique(labels))
    if stratify and limit < classes:
        raise RequestError(
            f"there are {classes} classes, and each needs a row; use {classes} or more, or set stratify=false",
            key=name,
            value=limit,
        )


def check_labels(labels: np.ndarray, classes: int, part: str, cure: str, key: str, value: str | None) -> None:
    """Check that the labels of a ``part`` are in [0, classes); the message has the first row that is not (from 1).

    ``key`` and ``value`` are the option from which the part was read.
    """
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise RequestError(
            f"{part}: row {wrong[0] + 1:,} has the label {labels[wrong[0]]}, but the {classes} classes are"
            f" 0 to {classes - 1}; {cure}",
            key=key,
            value=value,
        )


def names_of_classes(class_names: list[str] | None, classes: int) -> tuple[str, ...]:
    """Return the class names, by default "0", "1", ..."""
    if classes > MOST_CLASSES:
        raise RequestError(f"must be at most {MOST_CLASSES:,}", key="classes", value=classes)
    if class_names is None:
        return tuple(map(str, range(classes)))
    names = tuple(map(str, class_names))
    if len(names) != classes or len(set(names)) != classes:
        raise RequestError(
            f"must be {classes} different names, one per class (classes={classes}), but has {len(set(names))}",
            key="class_names",
            value=list(names),
        )
    return names


def check_shape(shape: list[int]) -> None:
    """Check that ``shape`` is [height, width], both positive."""
    sides = [side for side in shape if isinstance(side, int) and not isinstance(side, bool) and side > 0]
    if len(shape) != 2 or len(sides) != 2:
        raise RequestError("must be two positive whole numbers, as in shape=[28,28]", key="shape", value=list(shape))
