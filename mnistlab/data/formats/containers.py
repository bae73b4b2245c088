"""MATLAB, HDF5 and parquet files: their arrays, read by `isolated`, as records."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.data.formats import content, isolated, named_arrays, names, pictures
from mnistlab.data.formats.record import Options, Part, Record
from mnistlab.data.idx_format import BadFileError
from mnistlab.system.errors import RequestError, needs

PACKAGES = {"hdf5": "h5py", "parquet": "pyarrow"}


def read(kind: str, path: Path, options: Options) -> Record:
    """Return the record of a container: mat, hdf5 or parquet."""
    arrays, facts = arrays_of(kind, path, "" if options.label is None else str(options.label))
    if kind == "parquet":
        record = _of_columns(path.name, arrays, facts, options)
    else:
        record = _of_arrays(path.name, arrays, options)
    record.files = {path.name: content.sha256(path)}
    return record


def arrays_of(kind: str, path: Path, label: str = "") -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a container by name, and facts about them; the package that reads it may be missing."""
    package = PACKAGES.get(kind)
    if package is not None and find_spec(package) is None:
        raise RequestError(needs(package, "formats"), key="path", value=path)
    return isolated.arrays_of(kind, path, label)


def _of_arrays(file: str, arrays: dict[str, np.ndarray], options: Options) -> Record:
    mapping = next(
        (n for n, a in arrays.items() if n.endswith("mapping") and a.ndim == 2 and a.shape[1] > 1
         and a.dtype.kind in "uif"), None
    )  # fmt: skip
    class_names = None
    if mapping is not None:
        codes = arrays.pop(mapping)[:, 1].astype(np.int64).tolist()
        if all(32 < code < 0x110000 for code in codes) and len(set(codes)) == len(codes):
            class_names = tuple(map(chr, codes))
    arrays = {name: _squeezed(array) for name, array in arrays.items() if array.size > 1}
    record = named_arrays.record(
        file, {name: array.shape for name, array in arrays.items()}, arrays.__getitem__, options
    )
    record.class_names = record.class_names or class_names
    return record


def _squeezed(array: np.ndarray) -> np.ndarray:
    """Return a column or a row of MATLAB as a vector."""
    return array.reshape(-1) if array.ndim == 2 and 1 in array.shape else array


def _of_columns(file: str, arrays: dict[str, np.ndarray], facts: dict[str, Any], options: Options) -> Record:
    """Return the record of a table of pictures, or of pixels, with a column of labels."""
    label = _label_of(file, arrays, options)
    class_names = facts.get("class_names", {}).get(label) if label else None
    labels = arrays[label] if label else None
    encoded = next((name.removesuffix(":ends") for name in arrays if name.endswith(":ends")), None)
    if encoded is None:
        shapes = {name: array for name, array in arrays.items() if name != label and array.ndim > 1}
        if not shapes:
            raise BadFileError(
                f"{file} has no column of pictures or pixels; it has {', '.join(list(arrays)[:6])[:100]}"
            )
        name = max(shapes, key=lambda name: shapes[name].shape[1])
        record = Record({"train": Part(shapes[name], labels)})
    else:
        data, ends = arrays[f"{encoded}:bytes"].tobytes(), [0, *arrays[f"{encoded}:ends"].tolist()]
        rows = [data[a:b] for a, b in itertools.pairwise(ends)]
        stack = pictures.Stack(len(rows), options)
        for i, row in enumerate(rows):
            stack.add(f"row {i + 1:,}", row)
        images, kept = stack.done(file)
        record = Record({"train": Part(images, labels[kept] if labels is not None else None)}, ready=True)
        record.remarks, record.warnings = stack.remarks, stack.warnings
    record.class_names = tuple(map(str, class_names)) if class_names else None
    return record


def _label_of(file: str, arrays: dict[str, np.ndarray], options: Options) -> str | None:
    if options.label is not None:
        if str(options.label) in arrays:
            return str(options.label)
        raise BadFileError(
            f"{file} has no column {str(options.label)[:40]!r}; it has {', '.join(list(arrays)[:6])[:100]}"
        )
    plain = [name for name, array in arrays.items() if ":" not in name and array.ndim == 1]
    return next((name for name in plain if names.read(name).role == "labels"), None) or next(
        (name for name in plain if any(word in name.lower() for word in ("label", "class", "digit", "target"))), None
    )
