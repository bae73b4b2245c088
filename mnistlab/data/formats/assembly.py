"""From files to one record: whole files of each set, or images and labels in files of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.data import idx_format
from mnistlab.data.formats import containers, content, named_arrays, names, numpy_files, tables, text_formats
from mnistlab.data.formats.record import PARTS, Options, Part, Record
from mnistlab.data.idx_format import BadFileError

WHOLE: dict[str, Callable[[Path, Options], Record]] = {
    "npz": numpy_files.read_npz,
    "csv": tables.read_csv,
    "libsvm": text_formats.read_libsvm,
    "arff": text_formats.read_arff,
    **{kind: partial(containers.read, kind) for kind in ("mat", "hdf5", "parquet")},
}
IN_WORDS = {
    "idx": "IDX files",
    "npz": "a NumPy archive",
    "npy": "NumPy arrays",
    "csv": "a table",
    "libsvm": "a libsvm file",
    "arff": "an ARFF file",
    "mat": "a MATLAB file",
    "hdf5": "an HDF5 file",
    "parquet": "a parquet file",
    "folder": "a folder of pictures",
}
QMNIST = 8  # columns of a label: class, NIST series, writer, ... (Yadav & Bottou 2019)


def whole(path: Path, options: Options, kind: str | None = None) -> Record:
    """Return the record of a file that has images and labels."""
    kind = kind or content.kind_of(path)
    if kind in ("idx", "npy"):
        images, remarks = array_of(path, "images", options)
        return _named(Record({"train": Part(images)}, remarks=remarks, files=_hash(path, images)), path)
    if kind not in WHOLE:
        raise BadFileError(f"{path.name} is {kind}, not a file of images and labels")
    return _named(WHOLE[kind](path, options), path)


def sets(files: Mapping[str, list[Path]], options: Options, kind: str | None = None) -> Record:
    """Return the record of whole files, one or more for each set."""
    result: Record | None = None
    hashes: dict[str, Any] = {}
    by_part = {}
    for part in PARTS:
        settings = options if part == "train" else replace(options, only=part)
        by_part[part] = [whole(path, settings, kind) for path in files.get(part, ())]
    text_formats.number_pixels([record for records in by_part.values() for record in records])
    for part, records in by_part.items():
        if not records:
            continue
        record = _joined(records)
        if part != "train":
            record.parts = {part: record.parts.get(part) or record.parts["train"]}
            if record.parts[part].labels is None and result is not None:
                count = len(record.parts[part].images)
                result.warnings.append(f"{files[part][0].name} has {count:,} images without labels and is left out")
                continue
        hashes[part] = record.files
        result = record if result is None else _merged(result, record)
    if result is None:
        raise BadFileError("there is no training set")
    result.files = hashes if len(hashes) > 1 else hashes["train"]
    return result


def pairs(files: Mapping[tuple[str, str], Path], options: Options) -> Record:
    """Return the record of arrays in files of their own: (set, images or labels) -> file."""
    record = Record({})
    labels: dict[str, np.ndarray] = {}
    for part in PARTS:  # labels first: they are small, and may be refused before any image is read
        if (part, "labels") in files:
            labels[part], remarks = array_of(files[part, "labels"], "labels", options)
            record.files |= _hash(files[part, "labels"], labels[part])
            record.remarks += remarks
    for part in PARTS:
        if (path := files.get((part, "images"))) is None:
            continue
        # the key label is about the file of labels, where there is one
        images, remarks = array_of(path, "images", replace(options, label=None) if part in labels else options)
        record.parts[part] = Part(images, labels.get(part))
        record.remarks += remarks
        record.files |= _hash(path, images)
        if part in labels and len(labels[part]) not in (len(images), images.shape[-1]):
            raise BadFileError(
                f"{path.name} holds {len(images):,} images but {files[part, 'labels'].name} holds"
                f" {len(labels[part]):,} labels"
            )
    return _named(record, *files.values())


def classes(files: Mapping[str, list[Path]], options: Options) -> Record:
    """Return the record of one array of images for each class, named after its file."""
    by_part = {}
    for part, paths in files.items():
        arrays = [(_class_of(path), array_of(path, "images", options)[0]) for path in paths]
        by_part[part] = arrays
    record = named_arrays.of_classes(by_part)
    record.files = {p.name: content.sha256(p) for paths in files.values() for p in paths}
    return record


def _class_of(path: Path) -> str:
    """Return the class that a file is named after: full_numpy_bitmap_cat.npy, 7.npy, train_7.npy."""
    stem = path.stem.removeprefix("full_numpy_bitmap_")
    words = [word for word in stem.replace("-", "_").split("_") if word.lower() not in names.PARTS]
    return " ".join(words) or stem


def array_of(path: Path, role: str, options: Options) -> tuple[np.ndarray, list[str]]:
    """Return the images or the labels of a file that has only these, and remarks."""
    kind = content.kind_of(path)
    if kind == "idx":
        array = idx_format.read_any(path)[0]
        if role == "labels" and array.ndim == 2 and array.shape[1] == QMNIST:
            return array[:, 0], ["labels of QMNIST, column 0"]
        if (array.ndim == 1) != (role == "labels") and array.ndim != 2:
            raise BadFileError(
                f"{path.name} holds {idx_format.HOLDS.get(array.ndim, f'{array.ndim} dimensions')}, must hold"
                f" {idx_format.HOLDS[1 if role == 'labels' else 3]}"
            )
        return array, []
    if kind == "npy":
        return numpy_files.read_npy(path), []
    if kind == "csv":
        if role == "labels":
            return tables.read_labels(path, options), []
        rows = tables.Table(path, options).read()
        return rows.pixels, list(rows.layout.remarks)
    if kind in ("npz", "mat", "hdf5"):
        arrays = numpy_files.arrays_of(path) if kind == "npz" else containers.arrays_of(kind, path)[0]
        return _only(path, {name: array for name, array in arrays.items() if array.size > 1}, role), []
    raise BadFileError(f"{path.name} is {IN_WORDS.get(kind, kind)}, not an array of {role}")


def _only(path: Path, arrays: dict[str, np.ndarray], role: str) -> np.ndarray:
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    fitting = [array for name, array in arrays.items() if names.read(name).role == role]
    if len(fitting) == 1:
        return fitting[0]
    raise BadFileError(f"{path.name} holds {len(arrays)} arrays ({', '.join(list(arrays)[:4])[:100]}); must hold one")


def _hash(path: Path, array: np.ndarray) -> dict[str, str]:
    return {idx_format.stem(path): content.sha256(path)}


def _named(record: Record, *paths: Path) -> Record:
    """Return the record, transposed if its files are named after EMNIST and do not say that they are upright."""
    if any(map(names.is_transposed, paths)) and not record.upright:
        record.transposed = True
    return record


def _joined(records: list[Record]) -> Record:
    """Return the rows of several files (shards) one after the other."""
    first = records[0]
    for record in records[1:]:
        for part, content_ in record.parts.items():
            mine = first.parts.get(part)
            if mine is None or (mine.labels is None) != (content_.labels is None):
                raise BadFileError("the files of a set do not have the same columns")
            labels = None if mine.labels is None else np.concatenate([mine.labels, np.asarray(content_.labels)])
            first.parts[part] = Part(_stacked(mine.images, content_.images), labels)
        _add_notes(first, record)
    return first


def _stacked(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    if first.shape[1:] != second.shape[1:]:
        raise BadFileError(
            f"the files of a set have images of different sizes ({first.shape[1:]} and {second.shape[1:]}); set size"
        )
    return np.concatenate([first, second])


def _merged(record: Record, other: Record) -> Record:
    record.parts |= other.parts
    if record.padded and other.padded:  # both are as wide as their last pixel that is not zero
        width = max(part.images.shape[1] for part in record.parts.values())
        for part in record.parts.values():
            part.images = np.pad(part.images, ((0, 0), (0, width - part.images.shape[1])))
    record.transposed |= other.transposed
    record.class_names = record.class_names or other.class_names
    _add_notes(record, other)
    return record


def _add_notes(record: Record, other: Record) -> None:
    record.remarks += other.remarks
    record.warnings += other.warnings
    record.files |= other.files
