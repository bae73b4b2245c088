"""Tables of images to classify: a CSV file with one image per row, as Kaggle's test.csv, or an .npz or .npy array."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

from mnistlab.data.idx_format import inflate
from mnistlab.system.errors import RequestError
from mnistlab.system.readers import UnreadableError, read_arrays, reading

SUFFIXES = (".csv", ".csv.gz", ".npz", ".npy")
ROWS = 5000  # that are read or converted at once
MOST_ROWS = 200_000
MOST_BYTES = 2**29  # of a table after unpacking, and of the arrays in an archive
MOST_COLUMNS = 2**16 + 16  # an image of 256 x 256, and some others
LONGEST_LINE, LONGEST_CELL = 2**20, 64  # characters of the first line, and of a cell
IDS = ("id", "imageid", "image_id", "index", "unnamed: 0", "")
LABELS = ("label", "class", "target", "y")
PIXEL = re.compile(r"(pixel|px|p|x)?[_ ]?\d+|\d+x\d+", re.IGNORECASE)
IMAGES = ("images", "x", "data", "test", "arr_0", "x_test", "test_images", "test_x", "test_data", "test_imgs")


@dataclass(frozen=True)
class ImageTable:
    """Images (n, height, width) uint8, the name of each and of their column, and their labels where there are any."""

    images: np.ndarray
    ids: list[str]
    id_name: str
    label_name: str
    labels: list[str] | None
    note: str  # how the values were scaled; empty if they were not


def is_table(name: str) -> bool:
    """Return whether the name is that of a table of images."""
    return name.lower().endswith(SUFFIXES)


def read(name: str, shape: tuple[int, int]) -> ImageTable:
    """Return the images of a file. Rows of as many pixels as ``shape`` has that shape, others must be squares."""
    path = Path(name)
    if not path.is_file():
        raise RequestError(f"{name}: {'not a file' if path.exists() else 'no such file'}")
    try:
        with reading(path, MOST_BYTES):
            return _of_csv(path, shape) if ".csv" in path.name.lower() else _of_arrays(path, shape)
    except UnreadableError as error:
        if isinstance(error.cause, RequestError):
            raise RequestError(f"{name}: {error.cause}") from None
        text = " ".join(str(error.cause).split())
        short = text if len(text) <= 160 else f"{text[:157]}..."
        raise RequestError(f"{name}: cannot be read as images ({short or type(error.cause).__name__})") from None


def _of_csv(path: Path, shape: tuple[int, int]) -> ImageTable:
    import pandas as pd

    content = _unpacked(path)
    first = content[: content.find(b"\n") if b"\n" in content[:LONGEST_LINE] else LONGEST_LINE].decode("utf-8-sig")
    if not first.strip():
        raise RequestError("the file is empty")
    separator = max(",;\t ", key=first.strip().count)
    if first.count(separator) >= MOST_COLUMNS or len(first) >= LONGEST_LINE:
        raise RequestError(f"line 1 has more than the maximum of {MOST_COLUMNS:,} columns; save larger images as .npz")
    cells = [cell.strip().strip('"') for cell in first.strip().split(separator)]
    has_header = not all(_is_number(cell) for cell in cells)
    lines = 1 if has_header else 0
    names = cells if has_header else [str(i) for i in range(len(cells))]
    if len(set(names)) != len(names):
        raise RequestError("line 1 names a column twice; give every column a different name")
    _refuse_long_lines(content, LONGEST_CELL * (len(cells) + 1))
    pieces: list[np.ndarray] = []
    others: list[Any] = []
    roles = _with_header(names, shape) if has_header else None
    words = [names[0]] if roles is None else [name for name in (roles.id, roles.label) if name is not None]
    with warnings.catch_warnings(), pd.read_csv(
        io.BytesIO(content), sep=r"\s+" if separator == " " else separator, header=0 if has_header else None,
        names=names, index_col=False, chunksize=ROWS, encoding="utf-8-sig", dtype=dict.fromkeys(words, "str"),
        keep_default_na=False,
    ) as frames:  # fmt: skip
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a line with more cells than there are columns
        for frame in frames:
            roles = roles or _without_header(frame, shape)
            pixels = frame[roles.pixels].apply(pd.to_numeric, errors="coerce").to_numpy(np.float32)
            if not np.isfinite(pixels).all():
                row, column = np.argwhere(~np.isfinite(pixels))[0]
                line = sum(map(len, pieces)) + int(row) + 1 + lines
                raise RequestError(f"line {line:,}, column {roles.pixels[column]}: not a number; repair that line")
            if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 255):
                raise RequestError(_out_of_range(float(pixels.min()), float(pixels.max())))
            pieces.append(pixels.astype(np.float16))  # exact enough for 256 levels, also where they are from 0 to 1
            if sum(map(len, pieces)) > MOST_ROWS:
                raise RequestError(f"more than the maximum of {MOST_ROWS:,} rows; split it")
            others.append(frame[[name for name in (roles.id, roles.label) if name is not None]].fillna(""))
    if roles is None or not sum(map(len, pieces)):
        raise RequestError("the file has a header but no rows")
    images, note = _levels(np.concatenate(pieces), roles.shape)
    rest = pd.concat(others)
    return ImageTable(
        images,
        list(rest[roles.id]) if roles.id is not None else [str(i + 1) for i in range(len(images))],
        roles.id if roles.id and has_header else "ImageId",
        "label" if roles.id and has_header and roles.id == roles.id.lower() else "Label",  # as the other column
        list(rest[roles.label]) if roles.label is not None else None,
        note,
    )


@dataclass(frozen=True)
class _Roles:
    """Which columns are the pixels, the identifier and the label, and the shape of the images."""

    pixels: list[str]
    shape: tuple[int, int]
    id: str | None = None
    label: str | None = None


def _with_header(names: list[str], shape: tuple[int, int]) -> _Roles:
    identifier = next((name for name in names if name.lower() in IDS), None)
    label = next((name for name in names if name.lower() in LABELS), None)
    rest = [name for name in names if name not in (identifier, label)]
    pixels = [name for name in rest if PIXEL.fullmatch(name)]
    for candidate in (pixels, rest):
        if (found := _shape(len(candidate), shape)) is not None:
            return _Roles(candidate, found, identifier, label)
    raise RequestError(_wrong_size(len(pixels or rest), shape))


def _without_header(frame: Any, shape: tuple[int, int]) -> _Roles:
    names = list(frame.columns)
    if (found := _shape(len(names), shape)) is not None:
        return _Roles(names, found)
    if (found := _shape(len(names) - 1, shape)) is None:
        raise RequestError(_wrong_size(len(names), shape))
    first = frame[names[0]]
    counted = len(first) > 1 and first.str.isdecimal().all() and (first.astype("float").diff().iloc[1:] == 1).all()
    return _Roles(names[1:], found, names[0], None) if counted else _Roles(names[1:], found, None, names[0])


def _shape(pixels: int, shape: tuple[int, int]) -> tuple[int, int] | None:
    side = math.isqrt(pixels)
    return shape if pixels == math.prod(shape) else (side, side) if pixels > 1 and side * side == pixels else None


def _wrong_size(columns: int, shape: tuple[int, int]) -> str:
    return f"{columns:,} columns of pixels form no square, and the model takes {shape[0]} x {shape[1]} pixels"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _refuse_long_lines(content: bytes, most: int) -> None:
    """Refuse a line that is too long for the cells of the first one, on which a parser would spend minutes."""
    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n"))
    lengths = np.diff(ends, prepend=-1, append=len(content))
    if lengths.max() > most:
        line = int(lengths.argmax()) + 1
        raise RequestError(f"line {line:,} is longer than {most:,} bytes; its cells cannot be those of the first line")


def _unpacked(path: Path) -> bytes:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            return file.read()
        content = bytearray()
        for piece in inflate(file):
            content += piece
            if len(content) > MOST_BYTES:
                raise RequestError(f"unpacks to more than {MOST_BYTES:,} bytes; save it as .npz")
        return bytes(content)


def _of_arrays(path: Path, shape: tuple[int, int]) -> ImageTable:
    if path.suffix.lower() == ".npy":
        arrays: Mapping[str, np.ndarray] = {"images": np.load(path, allow_pickle=False, mmap_mode="r")}
    else:
        with ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MOST_BYTES:
            raise RequestError(f"its arrays have {size:,} bytes, more than the maximum of {MOST_BYTES:,}; split it")
        arrays = read_arrays(path)
    images = {name: found for name, array in arrays.items() if (found := _images(array, shape)) is not None}
    preferred = [name for word in IMAGES for name in images if name.lower() == word]
    if not images:
        held = ", ".join(f"{name} {array.shape}" for name, array in list(arrays.items())[:5])
        raise RequestError(f"holds {held or 'no arrays'}; must hold images, an array (n, height, width) of numbers")
    if not preferred and len(images) > 1:
        raise RequestError(f"holds {', '.join(images)}; name the one to classify images, and the others differently")
    name = preferred[0] if preferred else next(iter(images))
    found = images[name]
    if len(found) > MOST_ROWS or found.nbytes > MOST_BYTES:
        raise RequestError(f"{name} has {len(found):,} images, too many; split it")
    levels, note = _levels(found.reshape(len(found), -1), (int(found.shape[1]), int(found.shape[2])))
    labels = _labels(arrays, name, len(found))
    return ImageTable(levels, [str(i + 1) for i in range(len(found))], "ImageId", "Label", labels, note)


def _images(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray | None:
    if array.dtype.kind not in "uifb" or not array.size:
        return None
    if array.ndim == 4 and 1 in (array.shape[1], array.shape[3]):
        array = array[:, 0] if array.shape[1] == 1 else array[..., 0]
    if array.ndim == 2 and (found := _shape(array.shape[1], shape)) is not None:
        array = array.reshape(-1, *found)
    return array if array.ndim == 3 and min(array.shape) > 0 else None


def _labels(arrays: Mapping[str, np.ndarray], images: str, count: int) -> list[str] | None:
    """Return the labels that belong to images: ``y_test`` to ``x_test``, ``labels`` to ``images``."""
    swapped = {images.replace(old, new) for old, new in (("x", "y"), ("X", "y"), ("images", "labels"))} - {images}
    for name in swapped & set(arrays):
        array = arrays[name]
        if array.size == count and array.dtype.kind in "uiUS":
            return [str(label) for label in array.reshape(-1)]
    return None


def _levels(pixels: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, str]:
    """Return (n, h * w) numbers as grey levels of 0 to 255, and a note on how they were scaled."""
    if not pixels.size:
        raise RequestError("holds no images")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 255):  # also true for NaN
        raise RequestError(_out_of_range(low, high))
    factor, note = 1.0, ""
    if 0 < high <= 1:
        factor, note = 255.0, "values from 0 to 1 are taken as black to white"
    elif 0 < high <= 16 and tuple(shape) == (8, 8):
        factor, note = 255 / 16, "values from 0 to 16 are taken as black to white"
    levels = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), ROWS):
        part = slice(start, start + ROWS)
        levels[part] = np.rint(pixels[part].astype(np.float32) * factor)
    return levels.reshape(-1, *shape), note


def _out_of_range(low: float, high: float) -> str:
    return f"holds values from {low:g} to {high:g}; must be from 0 to 255, or from 0 to 1"
