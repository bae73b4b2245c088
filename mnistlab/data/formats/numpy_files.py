"""NumPy's files: archives of arrays (.npz) and single arrays (.npy). Nothing in them is ever executed."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from mnistlab.data import cache
from mnistlab.data.formats import content, named_arrays, names
from mnistlab.data.formats.record import Options, Record
from mnistlab.data.idx_format import LARGEST, BadFileError

WRITE_AGAIN = "write it with numpy.savez_compressed"


def read_npz(path: Path, options: Options) -> Record:
    """Return the content of an archive of arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
            upright = members.pop(names.UPRIGHT, None) is not None
            shapes = {name: _shape_of_member(archive, member) for name, member in members.items()}
            hashes = {}

            def read(name: str) -> np.ndarray:
                """Return an array of the archive after a check of its header."""
                _check_member(archive, members[name])
                with archive.open(members[name]) as file:
                    array = np.lib.format.read_array(file, allow_pickle=False)
                hashes[name] = cache.content_hash({"array": array}) if array.dtype.kind in "uifb" else ""
                return array

            record = named_arrays.record(path.name, shapes, read, options)
            record.files, record.upright = hashes, upright
            return record
    except BadFileError as error:
        raise BadFileError(f"{error}; {WRITE_AGAIN}" if ";" not in str(error) else str(error)) from None
    except MemoryError:
        raise
    except Exception as error:  # zipfile, its decompressors and NumPy raise errors without a common base class
        raise BadFileError(f"{path.name} is not a valid .npz file ({error}); {WRITE_AGAIN}") from None


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays of an archive of few arrays, for pairs of files such as images.npz and labels.npz."""
    found: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist()[:20]:
                if member.endswith(".npy"):
                    _check_member(archive, member)
                    with archive.open(member) as file:
                        found[member.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
    except (BadFileError, MemoryError):
        raise
    except Exception as error:
        raise BadFileError(f"{path.name} is not a valid .npz file ({error}); {WRITE_AGAIN}") from None
    return found


def read_npy(path: Path) -> np.ndarray:
    """Return the array of an .npy file, which may be compressed."""
    try:
        with content.Stream(path) as stream:
            file = io.BufferedReader(stream)
            shape, dtype = _header(file, path.name)
            claimed = math.prod(shape) * dtype.itemsize
            if not stream.packed and claimed > path.stat().st_size:
                raise BadFileError(f"{path.name} ends after {path.stat().st_size:,} of {claimed:,} bytes")
            if claimed > stream.most and stream.packed:
                raise BadFileError(f"{path.name} claims {claimed:,} bytes, more than it can hold")
        with content.Stream(path) as stream:
            return np.lib.format.read_array(_Unseekable(io.BufferedReader(stream)), allow_pickle=False)
    except (BadFileError, MemoryError):
        raise
    except Exception as error:
        raise BadFileError(f"{path.name} is not a valid .npy file ({error}); write it with numpy.save") from None


class _Unseekable:
    """A file of which NumPy knows only how to read it, so that it counts what it reads."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def read(self, size: int = -1) -> bytes:
        data: bytes = self.file.read(size)
        return data


def _shape_of_member(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    with archive.open(name) as file:
        return _header(file, name, check=False)[0]


def _header(file: IO[bytes] | Any, name: str, check: bool = True) -> tuple[tuple[int, ...], np.dtype]:
    """Return the shape and type that the header of an array declares, checked if they are to be read."""
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(file)
    if check:
        if dtype.kind not in "uifbUS":
            what = "are Python objects (a pickle)" if dtype.kind == "O" else "must be numbers or text"
            raise BadFileError(f"{name} holds values of type {dtype}, which {what}")
        claimed = math.prod(shape) * dtype.itemsize
        if claimed > LARGEST:
            raise BadFileError(f"{name} claims {claimed:,} bytes, more than the maximum of {LARGEST:,}")
    return tuple(shape), dtype


def _check_member(archive: zipfile.ZipFile, name: str) -> None:
    """Check that a member can contain what its header declares, before it is read."""
    with archive.open(name) as file:
        shape, dtype = _header(file, name)
    claimed, about = math.prod(shape) * dtype.itemsize, archive.getinfo(name)
    if claimed > about.file_size:
        raise BadFileError(f"{name} ends after {about.file_size:,} of {claimed:,} bytes")
    if about.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a limit
        raise BadFileError(f"{name} uses a compression method that NumPy does not write")
