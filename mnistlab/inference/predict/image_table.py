"""Tables of images to classify: a CSV file with one image per row, as Kaggle's test.csv, or an .npz or .npy array."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

from mnistlab.data.formats import scaling, table_layout
from mnistlab.data.formats.names import UPRIGHT, is_transposed
from mnistlab.data.formats.record import Options
from mnistlab.data.formats.table_layout import Layout
from mnistlab.data.idx_format import BadFileError, inflate
from mnistlab.data.sources.own import OwnSource
from mnistlab.runs import paths
from mnistlab.runs.saved_run import SavedRun, own_data
from mnistlab.system.errors import RequestError
from mnistlab.system.readers import UnreadableError, read_arrays, reading

SUFFIXES = (".csv", ".csv.gz", ".npz", ".npy")
ROWS = 5000  # that are read or converted at once
MOST_ROWS = 200_000
MOST_BYTES = 2**29  # of a table after unpacking, and of the arrays in an archive
MOST_COLUMNS = 2**16 + 16  # an image of 256 x 256, and some others
AT_END = "the last column is the label"  # a remark of `table_layout.decide`
LONGEST_LINE, LONGEST_CELL = 2**20, 64  # characters of the first line, and of a cell
IDS = ("id", "imageid", "image_id", "index", "unnamed: 0", "")
IMAGES = ("images", "x", "data", "test", "arr_0", "x_test", "test_images", "test_x", "test_data", "test_imgs")


@dataclass(frozen=True)
class Trained:
    """How a run read its own data: the options of ``data``, and from its environment the remarks, the format of the
    files, and the range of the pixels where it was not 0 to 255.
    """

    options: Options = field(default_factory=Options)
    remarks: tuple[str, ...] = ()
    form: str = ""
    scale: scaling.Range | None = None

    def class_of(self, label: str) -> str:
        """Return the class that a label of the user's stands for: less ``label_offset`` if it is a number."""
        return _moved(label, -(self.options.label_offset or 0))

    def label_of(self, class_name: str) -> str:
        """Return the label that the user's data has for a class."""
        return _moved(class_name, self.options.label_offset or 0)

    @property
    def of_pictures(self) -> Options:
        """Return the options for pictures, which are upright where only a table had to be transposed."""
        return self.options if self.form == "folder" else replace(self.options, transpose=None)

    def shapes(self, shape: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the shapes that rows may have: that of the run's data, and ``shape``, that of its model."""
        return [shape] if self.options.shape is None else [self.options.shape, shape]


def _moved(word: str, offset: int) -> str:
    return str(int(word) + offset) if offset and word.removeprefix("-").isdecimal() else word


@dataclass(frozen=True)
class ImageTable:
    """Images (n, height, width) uint8, the name of each and of their column, and their classes if it has labels."""

    images: np.ndarray
    ids: list[str]
    id_name: str
    label_name: str
    labels: list[str] | None
    note: str  # how the values were scaled; empty if they were not
    upright: bool = False  # whatever the name of the file says


def is_table(name: str) -> bool:
    """Return whether the name is that of a table of images."""
    return name.lower().endswith(SUFFIXES)


def trained(run: SavedRun) -> Trained:
    """Return how a run read its data; the defaults for a published dataset, and for a model file alone."""
    if not (run.directory / paths.CONFIG).is_file():
        return Trained()
    source = own_data(run).source()
    if not isinstance(source, OwnSource):
        return Trained()
    shape = None if source.shape is None else (source.shape[0], source.shape[1])
    options = Options(source.header, source.label, source.transpose, source.invert, source.label_offset, shape=shape)
    data = run.environment.get("data")
    about = data if isinstance(data, dict) else {}
    remarks = about.get("read_as")
    return Trained(
        options,
        tuple(map(str, remarks)) if isinstance(remarks, list) else (),
        str(about.get("source", "")),
        _scale(about.get("range")),
    )


def _scale(about: object) -> scaling.Range | None:
    """Return the range of pixels that an environment records; None if there is none, or if it was damaged."""
    if not isinstance(about, dict):
        return None
    try:
        scale = scaling.Range(float(about["offset"]), float(about["factor"]), bool(about["wrap"]), str(about["remark"]))
    except (KeyError, TypeError, ValueError):
        return None
    return scale if math.isfinite(scale.offset) and 0 < scale.factor < math.inf else None


def read(name: str, shape: tuple[int, int], like: Trained = Trained()) -> ImageTable:
    """Return the images of a file, read ``like`` the data of the run.

    Rows of as many pixels as the run's data or ``shape`` have that shape, others must be squares.
    """
    path = Path(name)
    if not path.is_file():
        raise RequestError(f"{name}: {'not a file' if path.exists() else 'no such file'}")
    try:
        with reading(path, MOST_BYTES):
            table = _of_csv(path, shape, like) if ".csv" in path.name.lower() else _of_arrays(path, shape, like)
            labels = None if table.labels is None else list(map(like.class_of, table.labels))
            return replace(table, images=_turned(table, path, like.options), labels=labels)
    except UnreadableError as error:
        if isinstance(error.cause, RequestError):
            raise RequestError(f"{name}: {error.cause}") from None
        text = " ".join(str(error.cause).split())
        short = text if len(text) <= 160 else f"{text[:157]}..."
        raise RequestError(f"{name}: cannot be read as images ({short or type(error.cause).__name__})") from None


def _turned(table: ImageTable, path: Path, options: Options) -> np.ndarray:
    """Return the images upright and light on dark, as training has them; files called emnist are transposed."""
    images, by_name = table.images, is_transposed(path) and not table.upright
    if by_name if options.transpose is None else options.transpose:
        images = images.transpose(0, 2, 1)
    return np.ascontiguousarray(255 - images if options.invert else images)


def _of_csv(path: Path, shape: tuple[int, int], like: Trained) -> ImageTable:
    import pandas as pd

    content = _unpacked(path)
    first = content[: content.find(b"\n") if b"\n" in content[:LONGEST_LINE] else LONGEST_LINE].decode("utf-8-sig")
    if not content[:LONGEST_LINE].strip():
        raise RequestError("the file is empty")
    if max(map(first.count, table_layout.SEPARATORS)) >= MOST_COLUMNS or len(first) >= LONGEST_LINE:
        raise RequestError(f"line 1 has more than the maximum of {MOST_COLUMNS:,} columns; save larger images as .npz")
    shapes = like.shapes(shape)
    layout, roles = _layout(path, like.options, shapes)
    names, has_header = layout.names, layout.has_header
    lines = layout.skipped_lines + has_header
    _refuse_long_lines(content, LONGEST_CELL * (len(names) + 1))
    pieces: list[np.ndarray] = []
    others: list[Any] = []
    at_end = AT_END in like.remarks or layout.is_text(len(names) - 1)
    words = roles.words if roles is not None else [names[-1] if at_end else names[0]]
    with warnings.catch_warnings(), pd.read_csv(
        io.BytesIO(content), sep=r"\s+" if layout.separator == " " else layout.separator, names=names,
        header=0 if has_header else None, index_col=False, chunksize=ROWS, encoding="utf-8-sig",
        dtype=dict.fromkeys(words, "str"), keep_default_na=False, skiprows=layout.skipped_lines,
        decimal=layout.decimal, skipinitialspace=True,
    ) as frames:  # fmt: skip
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a line with more cells than there are columns
        for frame in frames:
            roles = roles or _without_header(frame, shapes, at_end)
            pixels = frame[roles.pixels].apply(pd.to_numeric, errors="coerce").to_numpy(np.float32)
            if not np.isfinite(pixels).all():
                row, column = np.argwhere(~np.isfinite(pixels))[0]
                line = sum(map(len, pieces)) + int(row) + 1 + lines
                raise RequestError(f"line {line:,}, column {roles.pixels[column]}: not a number; repair that line")
            with np.errstate(invalid="ignore"):
                as_bytes = pixels.astype(np.uint8)
            pieces.append(as_bytes if np.array_equal(as_bytes, pixels) else pixels)
            if sum(map(len, pieces)) > MOST_ROWS:
                raise RequestError(f"more than the maximum of {MOST_ROWS:,} rows; split it")
            others.append(frame[roles.words].fillna(""))
    if roles is None or not sum(map(len, pieces)):
        raise RequestError("the file has a header but no rows")
    images, note = _levels(np.concatenate(pieces), roles.shape, like)
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

    @property
    def words(self) -> list[str]:
        """Return the columns that are kept as they are written."""
        return [name for name in (self.id, self.label) if name is not None]


def _layout(path: Path, options: Options, shapes: Sequence[tuple[int, int]]) -> tuple[Layout, _Roles | None]:
    """Return the layout as training reads it, and the roles of its columns if the header names them.

    A table to classify may lack the run's column of labels.
    """
    try:
        layout = table_layout.read(path, options)
        return layout, _by_header(layout, shapes)
    except (BadFileError, RequestError):
        if options.label is None:
            raise
        return _layout(path, replace(options, label=None), shapes)


def _by_header(layout: Layout, shapes: Sequence[tuple[int, int]]) -> _Roles | None:
    """Return the roles of the columns that the header names; None if they are known by their place only."""
    if layout.pixels_at is None:
        return None
    names = layout.names
    pixels = [names[i] for i in layout.pixels_at]
    label = None if layout.label_at is None else names[layout.label_at]
    identifier = next((name for name in names if name.lower() in IDS and name != label), None)
    named = [] if layout.shape is None else [layout.shape]
    if (fitting := _shape(len(pixels), [*shapes[:-1], *named, shapes[-1]])) is None:
        raise RequestError(_wrong_size(len(pixels), shapes[-1]))
    return _Roles(pixels, fitting, identifier, label)


def _without_header(frame: Any, shapes: Sequence[tuple[int, int]], at_end: bool) -> _Roles:
    names = list(frame.columns)
    if (fitting := _shape(len(names), shapes)) is not None:
        return _Roles(names, fitting)
    if (fitting := _shape(len(names) - 1, shapes)) is None:
        raise RequestError(_wrong_size(len(names), shapes[-1]))
    if at_end:
        return _Roles(names[:-1], fitting, None, names[-1])
    first = frame[names[0]]
    counted = len(first) > 1 and first.str.isdecimal().all() and (first.astype("float").diff().iloc[1:] == 1).all()
    return _Roles(names[1:], fitting, names[0], None) if counted else _Roles(names[1:], fitting, None, names[0])


def _shape(pixels: int, shapes: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    side = math.isqrt(pixels)
    square = (side, side) if pixels > 1 and side * side == pixels else None
    return next((shape for shape in shapes if math.prod(shape) == pixels), square)


def _wrong_size(columns: int, shape: tuple[int, int]) -> str:
    return f"{columns:,} columns of pixels form no square, and the model takes {shape[0]} x {shape[1]} pixels"


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


def _of_arrays(path: Path, shape: tuple[int, int], like: Trained) -> ImageTable:
    if path.suffix.lower() == ".npy":
        arrays: Mapping[str, np.ndarray] = {"images": np.load(path, allow_pickle=False, mmap_mode="r")}
    else:
        with ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MOST_BYTES:
            raise RequestError(f"its arrays have {size:,} bytes, more than the maximum of {MOST_BYTES:,}; split it")
        arrays = read_arrays(path)
    shapes = like.shapes(shape)
    images = {name: stack for name, array in arrays.items() if (stack := _images(array, shapes)) is not None}
    preferred = [name for word in IMAGES for name in images if name.lower() == word]
    if not images:
        held = ", ".join(f"{name} {array.shape}" for name, array in list(arrays.items())[:5])
        raise RequestError(f"holds {held or 'no arrays'}; must hold images, an array (n, height, width) of numbers")
    if not preferred and len(images) > 1:
        raise RequestError(f"holds {', '.join(images)}; name the one to classify images, and the others differently")
    name = preferred[0] if preferred else next(iter(images))
    stack = images[name]
    if len(stack) > MOST_ROWS or stack.nbytes > MOST_BYTES:
        raise RequestError(f"{name} has {len(stack):,} images, too many; split it")
    levels, note = _levels(stack.reshape(len(stack), -1), (int(stack.shape[1]), int(stack.shape[2])), like)
    labels = _labels(arrays, name, len(stack))
    ids = [str(i + 1) for i in range(len(stack))]
    return ImageTable(levels, ids, "ImageId", "Label", labels, note, UPRIGHT in arrays)


def _images(array: np.ndarray, shapes: Sequence[tuple[int, int]]) -> np.ndarray | None:
    if array.dtype.kind not in "uifb" or not array.size:
        return None
    if array.ndim == 4 and 1 in (array.shape[1], array.shape[3]):
        array = array[:, 0] if array.shape[1] == 1 else array[..., 0]
    if array.ndim == 2 and (fitting := _shape(array.shape[1], shapes)) is not None:
        array = array.reshape(-1, *fitting)
    return array if array.ndim == 3 and min(array.shape) > 0 else None


def _labels(arrays: Mapping[str, np.ndarray], images: str, count: int) -> list[str] | None:
    """Return the labels that belong to images: ``y_test`` to ``x_test``, ``labels`` to ``images``."""
    swapped = {images.replace(old, new) for old, new in (("x", "y"), ("X", "y"), ("images", "labels"))} - {images}
    for name in swapped & set(arrays):
        array = arrays[name]
        if array.size == count and array.dtype.kind in "uiUS":
            return [str(label) for label in array.reshape(-1)]
    return None


def _levels(pixels: np.ndarray, shape: Sequence[int], like: Trained) -> tuple[np.ndarray, str]:
    """Return (n, h * w) numbers as grey levels of 0 to 255, and a note on how they were scaled."""
    if not pixels.size:
        raise RequestError("holds no images")
    low, high = float(pixels.min()), float(pixels.max())
    if like.scale and not (0 <= low <= high <= 1) and _fits(pixels, low, high, like.scale):
        return scaling.as_bytes(pixels, like.scale).reshape(-1, *shape), like.scale.remark
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


def _fits(pixels: np.ndarray, low: float, high: float, scale: scaling.Range) -> bool:
    """Return whether numbers are of the range of the run's pixels.

    That of fractions is known from the run's images only, so that others may go beyond it by half.
    """
    least, most = scale.span
    beyond = (most - least) / 2 if pixels.dtype.kind == "f" and (pixels != np.trunc(pixels)).any() else 0
    return least - beyond <= low <= high <= most + beyond


def _out_of_range(low: float, high: float) -> str:
    return f"holds values from {low:g} to {high:g}; must be from 0 to 255, or from 0 to 1"
