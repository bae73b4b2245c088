"""Labels of any kind as class numbers from 0, and the names of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mnistlab.data.dataset import MOST_CLASSES
from mnistlab.data.formats.record import IN_WORDS, Options
from mnistlab.data.idx_format import BadFileError
from mnistlab.data.image_formats import natural_chunks
from mnistlab.system.errors import RequestError

CURE = "correct the labels or set classes"


@dataclass
class Classes:
    """Class numbers (n,) int64 of each set, the names of the classes, and what was assumed."""

    labels: dict[str, np.ndarray]
    names: tuple[str, ...]
    remarks: list[str]


def numbered(labels: Mapping[str, np.ndarray], names: Sequence[str] | None, options: Options) -> Classes:
    """Return the labels of all sets as class numbers; ``names`` are those that the data has, or None."""
    remarks: list[str] = []
    flat = {part: _flat(part, array, remarks) for part, array in labels.items()}
    remarks = list(dict.fromkeys(remarks))
    if any(array.dtype.kind == "U" for array in flat.values()):
        as_numbers = {part: _numeric(array) for part, array in flat.items()}
        if names is not None or any(array is None for array in as_numbers.values()):
            return _from_words(flat, names, options, remarks)
        flat = {part: array for part, array in as_numbers.items() if array is not None}
    numbers = {part: _whole(part, array) for part, array in flat.items()}
    return _from_numbers(numbers, names, options, remarks)


def _flat(part: str, array: np.ndarray, remarks: list[str]) -> np.ndarray:
    """Return labels as (n,) numbers or text."""
    if array.dtype.kind in "SO":
        array = np.array([_text(value) for value in array.reshape(-1)], np.str_).reshape(array.shape)
    if array.ndim > 1 and array.shape.count(1) >= array.ndim - 1 and array.shape[0] in (1, array.size):
        array = array.reshape(-1)
    if array.ndim == 2 and array.dtype.kind in "uifb" and array.shape[1] > 1:
        if _is_one_hot(array):
            remarks.append(f"one-hot labels of {array.shape[1]} classes")
            return array.argmax(axis=1)
        raise BadFileError(
            f"the {IN_WORDS[part]} labels have the shape {array.shape}; must be (n,), one class per row, or one-hot"
        )
    if array.ndim != 1:
        raise BadFileError(f"the {IN_WORDS[part]} labels have the shape {array.shape}; must be (n,), one class per row")
    return array


def _text(value: object) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _is_one_hot(array: np.ndarray) -> bool:
    """Return whether every row has a single highest value: 1 among 0, or among -1."""
    low, high = array.min(), array.max()
    return bool(
        high == 1 and low in (0, -1) and ((array == 1).sum(axis=1) == 1).all() and np.isin(array, (low, 1)).all()
    )


def _numeric(array: np.ndarray) -> np.ndarray | None:
    """Return text labels as numbers if every one is a number."""
    if array.dtype.kind != "U":
        return array
    try:
        return array.astype(np.float64)
    except ValueError:
        return None


def _whole(part: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "uifb":
        raise BadFileError(f"the {IN_WORDS[part]} labels hold values of type {array.dtype}; must be numbers or text")
    if array.dtype.kind == "f":
        wrong = ~np.isfinite(array) | (array != np.trunc(array)) | (np.abs(array) > 2**53)
        if wrong.any():
            row = int(wrong.argmax())
            raise BadFileError(
                f"row {row + 1:,} of the {IN_WORDS[part]} labels is {array[row]}; must be a whole number or a word"
            )
    if array.dtype.kind == "u" and len(array) and array.max() > 2**62:
        raise BadFileError(f"the {IN_WORDS[part]} labels hold {array.max()}; {CURE}")
    return array.astype(np.int64)


def _from_words(
    labels: Mapping[str, np.ndarray], names: Sequence[str] | None, options: Options, remarks: list[str]
) -> Classes:
    """Return words as class numbers, in natural order, or in the order of the names that the data has.

    The key class_names may give the same words another order.
    """
    words = {part: np.char.strip(array.astype(np.str_)) for part, array in labels.items()}
    for part, array in words.items():
        if (empty := array == "").any():
            raise BadFileError(
                f"row {int(empty.argmax()) + 1:,} of the {IN_WORDS[part]} labels is empty; label or remove it"
            )
    present = sorted({str(word) for array in words.values() for word in np.unique(array)}, key=natural_chunks)
    if len(present) > MOST_CLASSES:
        raise BadFileError(f"there are {len(present):,} different labels, such as {present[0][:40]!r}; set label")
    if names is None or not set(present) <= set(names):
        names = present
    if options.class_names is not None and sorted(options.class_names) == sorted(names):
        names = options.class_names
    if options.classes is not None and len(names) > options.classes:
        raise RequestError(f"the labels are {len(names)} different words", key="classes", value=options.classes)
    place = {name: i for i, name in enumerate(names)}
    numbers = {}
    for part, array in words.items():
        unique, inverse = np.unique(array, return_inverse=True)
        numbers[part] = np.array([place[str(word)] for word in unique], np.int64)[inverse.reshape(-1)]
    return Classes(numbers, tuple(names), remarks)


def _from_numbers(
    labels: dict[str, np.ndarray], names: Sequence[str] | None, options: Options, remarks: list[str]
) -> Classes:
    """Return numbers as class numbers: as they are if they are 0, 1, ..., shifted if they begin at 1."""
    given = options.classes
    if options.label_offset is not None:
        labels = {part: array - options.label_offset for part, array in labels.items()}
        remarks.append(f"{options.label_offset} subtracted from every label")
    present = np.unique(np.concatenate([np.unique(array) for array in labels.values()]))
    if not len(present):
        return Classes(labels, tuple(names or ()), remarks)
    low, high = int(present[0]), int(present[-1])
    called = len(options.class_names or names or ())
    if given is None and called and ((low >= 0 and high < called) or (low, high) == (1, called)):
        given = called
    classes = given
    if classes is not None:
        if low == 1 and high == classes and options.label_offset is None:
            remarks.append(f"labels 1 to {high}, shifted to 0 to {high - 1}")
            labels = {part: array - 1 for part, array in labels.items()}
            own = tuple(map(str, range(1, high + 1)))
            return Classes(labels, tuple(names or own), remarks)
        _check_range(labels, classes)
        return Classes(labels, _names(names, classes), remarks)
    if low == -1 and len(present) > 2:
        raise BadFileError(
            "the label -1 usually marks images without a label; remove them, or set label_offset=-1 if it is a class"
        )
    if len(present) > MOST_CLASSES:
        raise BadFileError(f"there are {len(present):,} different labels; is this the column of labels? set label")
    if low == 0 and high == len(present) - 1:
        return Classes(labels, tuple(map(str, range(len(present)))), remarks)
    own = tuple(map(str, present.tolist()))
    if low == 1 and high == len(present):
        remarks.append(f"labels 1 to {high}, shifted to 0 to {high - 1}")
    else:
        shown = f"{', '.join(own[:6])}{', ...' if len(own) > 6 else ''}"
        remarks.append(f"labels {shown} numbered from 0; the classes are named after them")
    return Classes({part: np.searchsorted(present, array) for part, array in labels.items()}, own, remarks)


def _names(names: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    return tuple(names) if names is not None and len(names) == classes else tuple(map(str, range(classes)))


def _check_range(labels: Mapping[str, np.ndarray], classes: int) -> None:
    for part, array in labels.items():
        wrong = np.flatnonzero((array < 0) | (array >= classes))
        if len(wrong):
            raise BadFileError(
                f"{IN_WORDS[part]} set: row {wrong[0] + 1:,} has the label {array[wrong[0]]}, but the {classes} classes"
                f" are 0 to {classes - 1}; {CURE}"
            )
