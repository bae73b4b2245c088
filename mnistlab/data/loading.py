"""From a source to the training, validation and test sets of one run."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mnistlab.data import splitting
from mnistlab.data.dataset import (
    Dataset,
    Pool,
    Scaling,
    Source,
    Split,
    UserSource,
    ValidationFrom,
    check_limit,
    rows_of_share,
)
from mnistlab.system.errors import RequestError

log = logging.getLogger("mnistlab.data")
Rows = np.ndarray | slice


@dataclass(frozen=True)
class Outline:
    """The sizes of a dataset: image shape, number of classes, training and validation images."""

    name: str
    image_shape: tuple[int, int]
    classes: int
    train: int
    validation: int


def load(source: Source, rng: np.random.Generator) -> Dataset:
    """Read ``source`` and cut it into training, validation and test sets.

    ``rng`` selects the rows that ``limit`` keeps and those for validation, and nothing else. Rows keep their order.
    Raises `RequestError` with the invalid option or file.
    """
    pool = source.read()
    for split, part in (("training", pool.train), ("test", pool.test)):
        if not len(part):
            raise RequestError(f"the {split} set has no rows; at least one is needed", **_setting(pool))
    dataset = _cut(source, pool, rng)
    for split, part in (("training", dataset.train), ("test", dataset.test)):
        _note_absent_classes(pool, split, part)
    return dataset


def load_all(source: Source, rng: np.random.Generator) -> tuple[Dataset, Split]:
    """Return the dataset, and all its rows together: those of the training pool, then the test set.

    Without a limit, no test set is cut from a source that has none of its own, so that a user's few images are enough;
    the dataset then has no test set.
    """
    source = replace(source, validation=0)
    if isinstance(source, UserSource) and source.limit is None and source.test_limit is None:
        source = source.uncut()
    pool = source.read()
    dataset = _cut(source, pool, rng)
    own = [pool.validation] if pool.validation is not None else []
    sets = [dataset.train, *own, *([dataset.test] if len(dataset.test) else [])]
    if len(sets) == 1:
        return dataset, dataset.train
    return dataset, Split(np.concatenate([p.images for p in sets]), np.concatenate([p.labels for p in sets]))


def has_own_test(source: Source) -> bool:
    """Return whether the test set of ``source`` is its own, rather than rows cut from the others."""
    return not isinstance(source, UserSource) or len(source.uncut().read().test) > 0


def _cut(source: Source, pool: Pool, rng: np.random.Generator) -> Dataset:
    if pool.validation is None:
        train_rows, validation_rows = _training_rows(source, pool.train, rng)
        validation = pool.train.take(validation_rows)
    else:
        train_rows, _ = _training_rows(replace(source, validation=0), pool.train, rng)
        validation_rows = slice(0, len(pool.validation) if source.validation else 0)
        validation = pool.validation.take(validation_rows)
    train = pool.train.take(train_rows)
    test, test_rows = pool.test, np.arange(len(pool.test))
    if source.test_limit is not None:
        check_limit("test_limit", source.test_limit, test.labels, source.stratify, "the test set")
        if source.test_limit < len(test):
            test_rows = splitting.spread(test.labels, source.test_limit, source.stratify)
            test = test.take(test_rows)
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
    return Dataset(
        pool.name,
        train,
        validation,
        test,
        pool.class_names,
        provenance,
        shift,
        scale,
        test_rows,
        _numbers(validation_rows),
    )


def _training_rows(source: Source, pool: Split, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Return the rows of the training pool for training, and those for validation; a slice copies nothing."""
    rows = None
    if source.limit is not None:
        check_limit("limit", source.limit, pool.labels, source.stratify, "the training pool")
        if source.limit < len(pool):
            rows = splitting.draw(pool.labels, source.limit, source.stratify, rng)
    labels = pool.labels if rows is None else pool.labels[rows]
    count = rows_of_share("validation", source.validation, len(labels), "the training pool")
    if source.validation_from is ValidationFrom.first or not count:
        return (slice(count, len(labels)), slice(0, count)) if rows is None else (rows[count:], rows[:count])
    held_out = splitting.draw(labels, count, source.stratify, rng)
    kept_rows = splitting.others(held_out, len(labels))
    return (kept_rows, held_out) if rows is None else (rows[kept_rows], rows[held_out])


def _numbers(rows: Rows) -> np.ndarray:
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows


def outline(source: Source, rng: np.random.Generator) -> Outline:
    """Return the sizes of what `load` returns. The user's own data is read for this, published data is not."""
    facts = source.published()
    if facts is None:
        data = load(source, rng)
        height, width = data.train.images.shape[1:]
        return Outline(data.name, (height, width), len(data.class_names), len(data.train), len(data.validation))
    pool = facts.train if source.limit is None else source.limit
    if pool > facts.train:
        raise RequestError(
            f"the training pool has only {facts.train:,} rows; use fewer or leave limit out",
            key="limit",
            value=pool,
        )
    held_out = rows_of_share("validation", source.validation, pool, "the training pool")
    return Outline(facts.name, facts.image_shape, facts.classes, pool - held_out, held_out)


def scale_of(scaling: Scaling, images: np.ndarray) -> tuple[float, float]:
    """Return ``shift, scale`` of the network's input; standardising uses the mean and deviation of all pixels."""
    if scaling is Scaling.none:
        return 0.0, 1.0
    if scaling is Scaling.unit:
        return 0.0, 1 / 255
    total, squares = 0.0, 0.0
    for start in range(0, len(images), 4096):  # in pieces, so that no float copy of all images is needed
        pixels = images[start : start + 4096].reshape(-1).astype(np.float64)
        total += float(pixels.sum())
        squares += float(pixels @ pixels)  # whole numbers below 2**53: exact in any order
    mean = total / images.size
    variance = squares / images.size - mean**2
    if images.max() == images.min():
        raise RequestError(
            "all training pixels have the same value; use unit or none", key="scaling", value="standardize"
        )
    return float(mean), float(1 / math.sqrt(variance))


def _note_absent_classes(pool: Pool, split: str, part: Split) -> None:
    counts = np.bincount(part.labels, minlength=len(pool.class_names))
    absent = [name for name, count in zip(pool.class_names, counts, strict=True) if not count]
    if absent:
        log.warning("%s: the %s set has no rows of class %s", pool.name, split, ", ".join(absent))


def _setting(pool: Pool) -> dict[str, str]:
    """Return the key for errors about a pool, and its value if it is a path."""
    return {"key": "path", "value": pool.provenance["path"]} if "path" in pool.provenance else {"key": pool.name}


def describe(dataset: Dataset) -> dict[str, Any]:
    """Return the content of `mnistlab data show`: name, image size, provenance, and rows of each class and set."""
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    counts = {split: np.bincount(part.labels, minlength=len(dataset.class_names)) for split, part in parts.items()}
    height, width = dataset.train.images.shape[1:]
    return {
        "name": dataset.name,
        "height": height,
        "width": width,
        "rows": {split: len(part) for split, part in parts.items()},
        "classes": [
            {"class": name, **{split: int(count[i]) for split, count in counts.items()}}
            for i, name in enumerate(dataset.class_names)
        ],
        "shift": dataset.shift,
        "scale": dataset.scale,
        "provenance": dataset.provenance,
    }
