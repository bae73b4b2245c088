"""Readers of binary containers by libraries in C, in a process of their own with limited memory and time.

A file may have been made to crash such a library or to unpack without end. Then the process ends, and the command
reports a bad file. Run as ``python -m mnistlab.data.formats.isolated READER FILE FOLDER LABEL``, this module writes
the arrays of a file to FOLDER as .npy files and prints what they are as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.data.idx_format import LARGEST, BadFileError

MEMORY = 2**33  # bytes of address space, of which the libraries themselves reserve a part
SECONDS = 600  # of processor time
MOST_ARRAYS = 200
FAILED = 3


def arrays_of(reader: str, path: Path, label: str = "") -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays that a reader (`READERS`) finds in a file, by name, and facts about them.

    ``label`` is the column of labels of a table, if the user named it.
    """
    package = str(Path(__file__).resolve().parents[3])
    others = os.environ.get("PYTHONPATH")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    environment["PYTHONPATH"] = os.pathsep.join([package, *([others] if others else [])])
    with tempfile.TemporaryDirectory(prefix="mnistlab-") as place:
        # -P: else a numpy.py in the working directory, which may be that of the data, would be run
        command = [sys.executable, "-P", "-m", __name__, reader, str(path.absolute()), place, label]
        ended = subprocess.run(command, capture_output=True, env=environment, check=False, stdin=subprocess.DEVNULL)
        said: Any = {}
        with suppress(ValueError):
            said = json.loads(ended.stdout.decode("utf-8", errors="replace") or "{}")
        if ended.returncode != 0:
            why = said.get("error") if isinstance(said, dict) else None
            raise BadFileError(str(why) if why else f"{path.name} cannot be read: its content stops the reader")
        names: Mapping[str, str] = said["arrays"]
        arrays = {name: np.load(Path(place) / file, allow_pickle=False) for name, file in names.items()}
    return arrays, said["facts"]


def read_mat(path: Path, label: str = "") -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the numeric arrays of a MATLAB 5 file; fields of structures have dotted names."""
    from scipy.io import loadmat

    _check_mat(path)
    arrays: dict[str, np.ndarray] = {}

    def add(name: str, value: Any, depth: int) -> None:
        if len(arrays) >= MOST_ARRAYS or depth > 6 or not isinstance(value, (np.ndarray, np.void)):
            return
        if value.dtype.names:
            inner = value.reshape(-1)[0] if isinstance(value, np.ndarray) and value.size == 1 else value
            if isinstance(inner, np.void):
                for field in value.dtype.names:
                    add(f"{name}.{field}", inner[field], depth + 1)
        elif value.dtype.kind in "uifbU" and isinstance(value, np.ndarray):
            arrays[name] = value
        elif value.dtype.kind == "O" and value.size == 1:
            add(name, value.reshape(-1)[0], depth + 1)
        elif value.dtype.kind == "O" and all(isinstance(v, np.ndarray) and v.dtype.kind == "U" for v in value.flat):
            arrays[name] = np.array(["".join(v.reshape(-1)) for v in value.flat])

    for name, value in loadmat(path, struct_as_record=True, verify_compressed_data_integrity=True).items():
        if not name.startswith("__"):
            add(name, value, 0)
    return arrays, {}


def _check_mat(path: Path) -> None:
    """Unpack every compressed element of a MATLAB file, and refuse more than `LARGEST` bytes in all."""
    import zlib

    total, size = 0, path.stat().st_size
    with path.open("rb") as file:
        order = "<" if file.read(128)[126:128] == b"IM" else ">"
        while file.tell() + 8 <= size:
            kind, length = np.frombuffer(file.read(8), f"{order}u4").tolist()
            if file.tell() + length > size:
                raise BadFileError(f"{path.name} ends before its data does; copy or download it again")
            if kind != 15:
                total += length
                file.seek(length, os.SEEK_CUR)
            else:
                unpacker, data = zlib.decompressobj(), file.read(length)
                while data and total <= 2 * LARGEST:
                    total += len(unpacker.decompress(data, 2**20))
                    data = unpacker.unconsumed_tail
            if total > 1.2 * LARGEST:
                raise BadFileError(f"{path.name} unpacks to more than the maximum of {LARGEST:,} bytes")


def read_hdf5(path: Path, label: str = "") -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of an HDF5 file by their paths; those of MATLAB 7.3 with their axes reversed."""
    import h5py

    arrays: dict[str, np.ndarray] = {}
    total = 0
    with path.open("rb") as file:
        matlab = file.read(10) == b"MATLAB 7.3"

    def add(name: str, item: Any) -> None:
        """Keep an item, and count its bytes."""
        nonlocal total
        if not isinstance(item, h5py.Dataset) or name.startswith("#") or len(arrays) >= MOST_ARRAYS:
            return
        if item.external or item.is_virtual:
            raise BadFileError(f"{path.name}: {name} is kept in other files, which are not read")
        if item.dtype.kind not in "uifb" and not h5py.check_string_dtype(item.dtype):
            return
        total += item.size * max(item.dtype.itemsize, 1)
        if total > LARGEST:
            raise BadFileError(f"{path.name} claims {total:,} bytes, more than the maximum of {LARGEST:,}")
        array = item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()]
        array = np.asarray(array, np.str_ if h5py.check_string_dtype(item.dtype) else None)
        arrays[name] = array.T if matlab else array

    with h5py.File(path, "r") as file:
        file.visititems(add)
    return arrays, {}


def read_parquet(path: Path, label: str = "") -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the columns of a parquet file; that of labels, ``label``, is kept apart from the pixels.

    A column of encoded pictures becomes ``NAME:bytes`` and ``NAME:ends``, lists of numbers an array of rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_memory_pool(pa.system_memory_pool())
    file = pq.ParquetFile(path)
    about = file.metadata
    size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
    if size > LARGEST or about.num_rows * max(about.num_columns, 1) > LARGEST:
        raise BadFileError(
            f"{path.name} claims {max(size, about.num_rows):,} bytes, more than the maximum of {LARGEST:,}"
        )
    table = file.read(use_threads=False)
    columns: dict[str, np.ndarray] = {}
    ragged: BadFileError | None = None
    for name in table.column_names[:70_000]:
        column = table[name].combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        try:
            columns |= dict(_of_column(name, column, pa))
        except BadFileError as error:
            ragged = ragged or error
    if ragged and not any(name.endswith(":ends") for name in columns):  # beside encoded pictures, lists are not pixels
        raise BadFileError(f"{path.name}: {ragged}")
    facts: dict[str, Any] = {}
    with suppress(Exception):
        features = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"]
        facts = {name: about["names"] for name, about in features.items() if isinstance(about.get("names"), list)}
    return _stacked(columns, table.column_names, label), {"class_names": facts}


def _of_column(name: str, column: Any, pa: Any) -> list[tuple[str, np.ndarray]]:
    """Return the arrays of a column of a table."""
    if pa.types.is_struct(column.type):
        fields = [column.type.field(i).name for i in range(column.type.num_fields)]
        return _of_column(name, column.field("bytes"), pa) if "bytes" in fields else []
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        pictures = [value or b"" for value in column.to_pylist()]
        ends = np.cumsum([len(picture) for picture in pictures], dtype=np.int64)
        return [(f"{name}:bytes", np.frombuffer(b"".join(pictures), np.uint8)), (f"{name}:ends", ends)]
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return [(name, np.array([value or "" for value in column.to_pylist()], np.str_))]
    rows, width = len(column), 1
    while (
        pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type)
    ):
        width *= _common_length(name, column, width)
        column = column.flatten()
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type):
        values = column.to_numpy(zero_copy_only=False)
        return [(name, values.reshape(rows, -1) if rows and len(values) > rows else values)]
    return []


def _common_length(name: str, column: Any, width: int) -> int:
    """Return the length of the lists in a column, ``width`` of which are one row; raises if they are not all equal."""
    import pyarrow.compute as pc

    lengths = pc.list_value_length(column).fill_null(-1).to_numpy(zero_copy_only=False)
    if not len(lengths):
        return 1
    distinct, counts = np.unique(lengths, return_counts=True)
    usual = int(distinct[counts.argmax()])
    wrong = lengths != usual if usual >= 0 else lengths < 0
    if wrong.any():
        first = int(wrong.argmax())
        has = "no list" if lengths[first] < 0 else f"a list of {lengths[first]:,}"
        others = f", but others have {usual:,}" if usual >= 0 else ""
        raise BadFileError(f"row {first // width + 1:,} of the column {name[:40]!r} has {has}{others}; repair the file")
    return usual


def _stacked(columns: dict[str, np.ndarray], order: list[str], chosen: str) -> dict[str, np.ndarray]:
    """Return many columns of single numbers as one array ``pixels`` beside the column of labels."""
    from mnistlab.data.formats.table_layout import INDEX_WORDS, LABEL_WORDS
    from mnistlab.data.image_formats import natural_chunks

    single = [
        name for name in order if name in columns and columns[name].ndim == 1 and columns[name].dtype.kind in "uifb"
    ]
    if len(single) < 10:
        return columns
    label = chosen if chosen in columns else next((name for name in single if name.lower() in LABEL_WORDS), None)
    pixels = [name for name in single if name != label and name.lower() not in INDEX_WORDS]
    if all(name[-1:].isdecimal() for name in pixels):  # pixel10 may come before pixel2
        pixels.sort(key=natural_chunks)
    rest = {name: array for name, array in columns.items() if name not in pixels}
    return {"pixels": np.stack([columns[name] for name in pixels], axis=1), **rest}


READERS: dict[str, Callable[[Path, str], tuple[dict[str, np.ndarray], dict[str, Any]]]] = {
    "mat": read_mat,
    "hdf5": read_hdf5,
    "parquet": read_parquet,
}


def main(reader: str, file: str, folder: str, label: str = "") -> int:
    """Read a file in this process; print the names of its arrays, or what is wrong with it."""
    _limit()
    path = Path(file)
    try:
        arrays, facts = READERS[reader](path, label)
        names = {}
        for i, (name, array) in enumerate(arrays.items()):
            np.save(Path(folder) / f"{i}.npy", np.ascontiguousarray(array), allow_pickle=False)
            names[name] = f"{i}.npy"
        said: dict[str, Any] = {"arrays": names, "facts": facts}
    except BadFileError as error:
        said = {"error": str(error)}
    except Exception as error:  # the libraries raise many kinds of errors
        text = " ".join(str(error).split())[:120]
        said = {"error": f"{path.name} is not a valid {reader} file ({type(error).__name__}: {text}); write it again"}
    sys.stdout.write(json.dumps(said))
    return FAILED if "error" in said else 0


def _limit() -> None:
    with suppress(ImportError, ValueError, OSError):  # not on every system
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
