"""The IDX format of LeCun's MNIST files, plain or gzip-compressed; the header limits every length that is read.

Layout (http://yann.lecun.com/exdb/mnist/): two zero bytes, a type byte (8 = unsigned byte), the number of dimensions,
each dimension as a big-endian 32-bit number, then the values, the last dimension fastest.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

LARGEST = 640 * 2**20  # bytes of an array; a header that declares more is refused. The largest published array, EMNIST
# byclass (697,932 x 28 x 28 = 522 MiB), fits, and files that are refused late need less than a gigabyte of memory.
DEFLATE_RATIO = 1032  # no deflate stream expands more than this (zlib's technical notes)
PIECE = 2**20
TYPES = {0x08: "unsigned bytes", 0x09: "signed bytes", 0x0B: "16-bit", 0x0C: "32-bit", 0x0D: "float", 0x0E: "double"}
DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
HOLDS = {1: "labels (1 dimension)", 3: "images (3 dimensions)"}


class BadFileError(ValueError):
    """A file is not what it should be; the message starts with the file's name."""


def refuse_impostors(name: str, head: bytes) -> None:
    """Raise `BadFileError` if a file that begins with these bytes is a Git LFS pointer or a web page saved as data."""
    start = head[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs"):
        raise BadFileError(f"{name} is a Git LFS pointer, not the file itself; run `git lfs pull` in its repository")
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--")):
        raise BadFileError(f"{name} is a web page, perhaps an error page saved as data; download the file again")


def read(path: Path, dimensions: int, name: str | None = None) -> tuple[np.ndarray, str]:
    """Return the uint8 array of an IDX file and the SHA-256 of its uncompressed content.

    ``dimensions`` is 3 for images and 1 for labels. At most one piece more than the header declares is decompressed,
    and a declared size that the file cannot hold is refused before memory is allocated. Raises `BadFileError`, with
    ``name`` for the file in the message, by default its own name.
    """
    name = name or path.name
    with _opened(path, name) as raw:
        return _parse(name, raw, dimensions)


def read_any(path: Path) -> tuple[np.ndarray, str]:
    """Return the array of an IDX file of any type and number of dimensions, checked as in `read`, and its SHA-256."""
    with _opened(path, path.name) as raw:
        return _parse(path.name, raw, None)


def read_shape(path: Path, dimensions: int) -> tuple[int, ...]:
    """Return the shape that the header of an IDX file declares, checked as in `read`, without reading its body."""
    with _opened(path, path.name) as raw:
        return _begin(path.name, raw, dimensions).shape


def read_pair(
    images_path: Path, labels_path: Path, check: Callable[[np.ndarray], None] = lambda labels: None
) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """Return images (n, height, width), labels (n,), both uint8, and the SHA-256 by file name.

    ``check`` is called with the labels before the images are read, and may refuse them.
    """
    (n_images, *_), (n_labels, *_) = read_shape(images_path, 3), read_shape(labels_path, 1)  # before any body is read
    if n_images != n_labels:
        raise BadFileError(
            f"{images_path.name} holds {n_images:,} images but {labels_path.name} holds {n_labels:,} labels"
        )
    labels, labels_hash = read(labels_path, 1)
    check(labels)
    images, images_hash = read(images_path, 3)
    return images, labels, {stem(images_path): images_hash, stem(labels_path): labels_hash}


def stem(path: Path) -> str:
    """Return the file's name without .gz."""
    return path.name.removesuffix(".gz")


def write(path: Path, array: np.ndarray) -> None:
    """Write a uint8 array as an IDX file, compressed if the name ends in .gz."""
    content = bytes((0, 0, 0x08, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    content += np.ascontiguousarray(array, np.uint8).tobytes()
    if path.suffix == ".gz":
        packer = zlib.compressobj(wbits=31)
        content = packer.compress(content) + packer.flush()
    path.write_bytes(content)


@contextmanager
def _opened(path: Path, name: str) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as raw:
            yield raw
    except OSError as error:
        raise BadFileError(f"{name} cannot be read ({error.strerror})") from None
    except zlib.error as error:
        raise BadFileError(f"{name} is corrupt ({str(error).split(': ')[-1]})") from None


class _Begun(NamedTuple):
    """A file after its header was read: the declared shape and type, the header,
    and the bytes that follow, in pieces."""

    shape: tuple[int, ...]
    dtype: np.dtype
    head: bytes
    piece: bytes
    pieces: Iterator[bytes]


def _begin(name: str, raw: BinaryIO, dimensions: int | None) -> _Begun:
    """Read the header; ``dimensions`` is None where any type and number of dimensions is accepted."""
    size = os.fstat(raw.fileno()).st_size
    packed = raw.read(2) == b"\x1f\x8b"  # the content counts, not the name: browsers unpack a .gz and keep the name
    raw.seek(0)
    pieces = inflate(raw) if packed else iter(lambda: raw.read(PIECE), b"")
    length = 4 if dimensions is None else 4 + 4 * dimensions
    head = b""
    try:
        while len(head) < length and (piece := next(pieces, b"")):
            head += piece
            if dimensions is None and len(head) >= 4:
                length = 4 + 4 * head[3]
    except EOFError:
        pass
    refuse_impostors(name, head)
    shape = _shape(name, head[:length], dimensions)
    dtype = np.dtype(DTYPES[head[2]])
    body = math.prod(shape) * dtype.itemsize
    needed = length + body
    if body > LARGEST:
        raise BadFileError(f"{name} declares {needed:,} bytes in its header, more than the maximum of {LARGEST:,}")
    if not packed and size != needed:
        raise BadFileError(_wrong_length(name, size, needed))
    if needed > size * DEFLATE_RATIO:
        raise BadFileError(f"{name} declares {needed:,} bytes in its header, more than its {size:,} bytes can hold")
    return _Begun(shape, dtype, head[:length], head[length:], pieces)


def _parse(name: str, raw: BinaryIO, dimensions: int | None) -> tuple[np.ndarray, str]:
    shape, dtype, head, piece, pieces = _begin(name, raw, dimensions)
    length, body = len(head), math.prod(shape) * dtype.itemsize
    needed = length + body
    values = np.empty(body, np.uint8)
    view, filled, digest = values.data, 0, hashlib.sha256(head)
    try:
        while True:
            if filled + len(piece) > body:
                raise BadFileError(_wrong_length(name, None, needed))
            view[filled : filled + len(piece)] = piece
            digest.update(piece)
            filled += len(piece)
            if not (piece := next(pieces, b"")):
                break
    except EOFError:
        if filled == body:
            raise BadFileError(f"{name} is cut off in the checksum at its end") from None
    if filled < body:
        raise BadFileError(_wrong_length(name, length + filled, needed))
    return values.view(dtype).reshape(shape), digest.hexdigest()


def _shape(name: str, head: bytes, dimensions: int | None) -> tuple[int, ...]:
    if not head:
        raise BadFileError(f"{name} is empty")
    magic = f"its first bytes are {head[:4].hex(' ')}, not 00 00 08 {3 if dimensions is None else dimensions:02x}"
    if head[:2] != b"\0\0" or (len(head) > 2 and head[2] not in TYPES):
        raise BadFileError(f"{name} is not an IDX file ({magic})")
    if dimensions is None:
        dimensions = head[3] if len(head) > 3 else 1
        if not 1 <= dimensions <= 4:
            raise BadFileError(f"{name} declares {dimensions} dimensions, must be 1 to 4 ({magic})")
    elif len(head) >= 4 and head[2] != 0x08:
        raise BadFileError(f"{name} holds {TYPES[head[2]]} values, must hold unsigned bytes ({magic})")
    if len(head) >= 4 and head[3] != dimensions:
        held = HOLDS.get(head[3], f"{head[3]} dimensions")
        raise BadFileError(f"{name} holds {held}, must hold {HOLDS[dimensions]} ({magic})")
    if len(head) < 4 + 4 * dimensions:
        raise BadFileError(f"{name} ends after {len(head)} of the {4 + 4 * dimensions} bytes of its header")
    shape = struct.unpack(f">{dimensions}I", head[4:])
    if not math.prod(shape):
        raise BadFileError(f"{name} is empty: its header declares {' x '.join(map(str, shape))}")
    return shape


def _wrong_length(name: str, size: int | None, needed: int) -> str:
    if size is None:
        return f"{name} continues beyond the {needed:,} bytes that its header declares"
    if size > needed:
        return f"{name} has {size:,} bytes, but its header declares {needed:,}"
    return f"{name} ends after {size:,} of {needed:,} bytes"


def inflate(raw: BinaryIO) -> Iterator[bytes]:
    """Yield the content of a gzip stream in pieces of at most `PIECE` bytes.

    Raises EOFError if the stream is cut off, and zlib.error if it is corrupt (including its checksum).
    """
    inflater = zlib.decompressobj(wbits=31)
    data = b""
    while True:
        data = data or raw.read(PIECE)
        piece = inflater.decompress(data, PIECE)
        if piece:
            yield piece
        if inflater.eof:
            data = (inflater.unused_data or raw.read(PIECE)).lstrip(
                b"\0"
            )  # padding is allowed, and so is a next member
            if not data:
                return
            inflater = zlib.decompressobj(wbits=31)
        elif not data and not piece:
            raise EOFError
        else:
            data = inflater.unconsumed_tail
