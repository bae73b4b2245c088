"""Arrays with names, from any container, as the parts of a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mnistlab.data.formats import names
from mnistlab.data.formats.record import IN_WORDS, PARTS, Options, Part, Record
from mnistlab.data.idx_format import BadFileError

EXPECTED = "must hold x_train, y_train, x_test, y_test or images, labels; name the arrays with keys=[images,labels]"


@dataclass(frozen=True)
class Slot:
    """The names of the arrays of one set."""

    images: str
    labels: str | None


def choose(
    file: str, shapes: Mapping[str, tuple[int, ...]], keys: Sequence[str], only: str | None = None
) -> dict[str, Slot]:
    """Return which arrays are the images and labels of each set, by ``keys`` or else by their names.

    ``shapes`` are all arrays by name; ``keys`` are the names of images and labels of the training, test and validation
    sets, in this order. ``only`` is the set that the file was named for, which may be alone in it.
    """
    if keys:
        return _by_keys(file, shapes, keys)
    slots: dict[tuple[str, str], str] = {}
    for name in sorted(shapes, key=lambda name: (len(name), name)):
        said = names.read(name)
        if said.role is None and said.part is not None and len(shapes[name]) >= 2:
            said = names.Name(said.part, "images")
        if said.role is not None:
            slots.setdefault((said.part or "whole", said.role), name)
    parts = {part: Slot(slots[part, "images"], slots.get((part, "labels"))) for part, role in slots if role == "images"}
    if "whole" in parts:
        parts["train"] = parts.pop("whole") if "train" not in parts else parts["train"]
        parts.pop("whole", None)
    if not parts:
        parts = _by_shape(shapes)
    if only in parts and "train" not in parts and parts[only].labels is not None:
        return {only: parts[only]}
    if "train" not in parts or (parts["train"].labels is None and len(shapes) > 1):
        raise BadFileError(f"{file} holds {_listed(shapes)}; {EXPECTED}")
    for part, slot in parts.items():
        if part != "train" and slot.labels is None:
            raise BadFileError(f"{file} contains {slot.images} alone; {part} images and labels must both be present")
    for part in ("validation", "test"):
        if part not in parts and (alone := slots.get((part, "labels"))):
            raise BadFileError(f"{file} contains {alone} alone; {part} images and labels must both be present")
    return {part: parts[part] for part in PARTS if part in parts}


def _by_keys(file: str, shapes: Mapping[str, tuple[int, ...]], keys: Sequence[str]) -> dict[str, Slot]:
    missing = next((key for key in keys if key not in shapes), None)
    if missing is not None:
        raise BadFileError(f"{file} has no array {missing!r} (keys); it holds {_listed(shapes)}")
    if len(keys) > 6 or (len(keys) % 2 and len(keys) > 1):
        raise BadFileError("keys must name images and labels, in pairs, of the training, test and validation sets")
    pairs = [Slot(keys[i], keys[i + 1] if i + 1 < len(keys) else None) for i in range(0, len(keys), 2)]
    return dict(zip(("train", "test", "validation"), pairs, strict=False))


def _by_shape(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Slot]:
    """Return the slot of a file with one array, or with one of images and one of as many labels."""
    if len(shapes) == 1:
        return {"train": Slot(next(iter(shapes)), None)}
    if len(shapes) == 2:
        images, labels = sorted(shapes, key=lambda name: (-len(shapes[name]), name))
        many, few = shapes[images], shapes[labels]
        if len(many) >= 3 and len(few) == 1 and few[0] == many[0]:
            return {"train": Slot(images, labels)}
    return {}


def per_class(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, list[tuple[str, str]]]:
    """Return the sets of a file with one array for each class (train0, train1, ..., test0): array and class name."""
    sets: dict[str, list[tuple[str, str]]] = {}
    for name, shape in shapes.items():
        stem = name.rstrip("0123456789")
        number, part = name[len(stem) :], names.read(stem.rstrip("_-")).part
        if number and len(shape) >= 2 and (part or not stem):
            sets.setdefault(part or "train", []).append((name, number))
    whole = all(len(arrays) > 1 for arrays in sets.values())
    return sets if whole and "train" in sets and sum(map(len, sets.values())) == len(shapes) else {}


def record(
    file: str,
    shapes: Mapping[str, tuple[int, ...]],
    read: Callable[[str], np.ndarray],
    options: Options,
) -> Record:
    """Return the record of a container of arrays; ``read`` returns an array by name."""
    if not options.keys and (classes := per_class(shapes)):
        return of_classes({part: [(name, read(array)) for array, name in arrays] for part, arrays in classes.items()})
    slots = choose(file, {n: s for n, s in shapes.items() if n not in names.CLASS_NAMES}, options.keys, options.only)
    for part, slot in slots.items():
        if slot.labels is not None:
            _check_counts(file, part, shapes[slot.images], shapes[slot.labels])
    labels = {part: read(slot.labels) for part, slot in slots.items() if slot.labels}
    parts = {part: Part(read(slot.images), labels.get(part)) for part, slot in slots.items()}
    record = Record(parts)
    for name in names.CLASS_NAMES:
        if name in shapes and len(shapes[name]) == 1 and shapes[name][0] <= 10_000:
            record.class_names = tuple(text(value) for value in read(name))
    left = [
        n for n in shapes if n not in names.CLASS_NAMES and not any(n in (s.images, s.labels) for s in slots.values())
    ]
    if left:
        record.remarks.append(f"arrays not used: {_listed(left)}")
    return record


def text(value: object) -> str:
    """Return text that may be bytes."""
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def of_classes(sets: Mapping[str, Sequence[tuple[str, np.ndarray]]]) -> Record:
    """Return the record of arrays that each hold the images of one class, with the name of the class."""
    parts = {}
    for part, arrays in sets.items():
        shape = arrays[0][1].shape[1:]
        other = next((name for name, array in arrays if array.shape[1:] != shape), None)
        if other is not None:
            raise BadFileError(f"the images of the classes {arrays[0][0]!r} and {other!r} differ in size")
        words = [name for name, array in arrays for _ in range(len(array))]
        parts[part] = Part(np.concatenate([array for _, array in arrays]), np.array(words, np.str_))
    return Record(parts, remarks=["one array for each class"])


def _check_counts(file: str, part: str, images: tuple[int, ...], labels: tuple[int, ...]) -> None:
    """Check before any array is read that there are as many images as labels, along some axis."""
    if not all(images):
        raise BadFileError(f"{file}: the images have the shape {images}; at least one image is needed")
    count = max(labels) if labels and min(labels) == 1 else labels[0] if labels else 0
    if not images or count not in (images[0], images[-1]) or not count:
        if images and labels and labels[-1] in (images[0], images[-1]) and labels[-1]:
            return
        name = {"train": "train", "test": "test"}.get(part, IN_WORDS[part])
        raise BadFileError(f"{file} holds {images[0] if images else 0:,} {name} images but {count:,} labels")


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(map(str, names))
    shown = ", ".join(name[:30] for name in ordered[:6])
    return (shown or "no arrays") + (f", ... ({len(ordered)} in all)" if len(ordered) > 6 else "")
