"""Comma-separated tables with one image per row: Kaggle's ``label,pixel0,...,pixel783``."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.data import cache
from mnistlab.data.dataset import Pool, Split, UserSource, check_shape, names_of_classes
from mnistlab.data.idx_format import PIECE, BadFileError, inflate
from mnistlab.data.paths import existing
from mnistlab.system.errors import RequestError, whole

ROWS = 5000  # parsed by pandas at a time, so that its 8-byte numbers never exist for the whole file
LONGEST_CELL = 64  # characters
MOST_COLUMNS = 2**16 + 2**10  # an image of 256 x 256, its label, and a thousand columns that are ignored
DENSEST = 40  # largest ratio of unpacked to compressed bytes; MNIST's is seven
UNPACKED = 2**26  # bytes that every file may unpack to


@dataclass
class CsvSource(UserSource):
    """A CSV file, gzip-compressed or not: a header, a column of labels, and one column per pixel (0 to 255).

    Pixel columns are named pixel0, pixel1, ... (from 0 or 1) or 1x1, 1x2, ... (row x column); other columns are
    ignored, with a message. ``path`` is the file. ``label`` is the name of the label column. Labels are from 0 to
    ``classes`` - 1. ``class_names`` are the names to show for them. ``shape`` is [height, width]; without it images are
    square. ``test_path`` is the file of the test set. Without such a file, the last rows of each class become the test
    set (``test``).
    """

    path: str | None = None
    test_path: str | None = None
    label: str = "label"
    classes: int = 10
    class_names: list[str] | None = None
    shape: list[int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("classes", self.classes, least=2, what="the number of classes")
        names_of_classes(self.class_names, self.classes)
        if self.shape is not None:
            check_shape(self.shape)

    def read(self) -> Pool:
        """Return the table's images, checked cell by cell."""
        path = existing("path", self.path, "a CSV file")
        train, provenance = self._table("path", path)
        names = names_of_classes(self.class_names, self.classes)
        provenance = {"source": "csv", "path": str(path.absolute()), **provenance}
        if self.test_path is None:
            return Pool("csv", *self.cut_test(train), names, provenance)
        test, test_provenance = self._table("test_path", existing("test_path", self.test_path, "a CSV file"))
        if test.images.shape[1:] != train.images.shape[1:]:
            raise RequestError(
                f"its images have {test.images[0].size} pixels, those of path"
                f" have {train.images[0].size}; both must have the same size",
                key="test_path",
                value=self.test_path,
            )
        provenance["files"] = {"train": provenance["files"], "test": test_provenance["files"]}
        provenance["sha256"] = hashlib.sha256((provenance["sha256"] + test_provenance["sha256"]).encode()).hexdigest()
        return Pool("csv", train, test, names, provenance)

    def _table(self, option: str, path: Path) -> tuple[Split, dict[str, Any]]:
        setting = {"key": option, "value": getattr(self, option)}

        def build() -> cache.Parsed:
            table, digest = Table(path, self.label, self.classes), ""
            with contextlib.suppress(EOFError, zlib.error):  # reading the table reports the line
                digest = _sha256(path)  # unpacks everything within the limits before anything is parsed
            labels, pixels = table.read()
            images = pixels.reshape(len(labels), *self._image_shape(table))
            where = f"{option}={getattr(self, option)}"
            notes = [f"{where}: ignored columns: {', '.join(table.ignored)}"] if table.ignored else []
            return cache.Parsed({"images": images, "labels": labels}, {"files": {path.name: digest}}, notes)

        options = {"label": self.label, "classes": self.classes, "shape": self.shape and list(self.shape)}
        try:
            parsed = cache.parsed("csv", [path], options, build)
        except BadFileError as error:
            raise RequestError(f"{error}", **setting) from None
        except EOFError:
            raise RequestError(f"{path.name} is cut off; copy or download it again", **setting) from None
        except zlib.error as error:
            raise RequestError(f"{path.name} is corrupt ({error}); copy or download it again", **setting) from None
        except OSError as error:
            raise RequestError(
                f"{path.name} cannot be read ({error.strerror}); check file permissions", **setting
            ) from None
        return Split(parsed.arrays["images"], parsed.arrays["labels"]), parsed.info

    def _image_shape(self, table: Table) -> tuple[int, int]:
        pixels = len(table.pixel_names)
        if self.shape is not None:
            if math.prod(self.shape) != pixels:
                raise RequestError(
                    f"the file has {pixels} pixel columns;"
                    f" {self.shape[0]} x {self.shape[1]} needs {math.prod(self.shape)}",
                    key="shape",
                    value=list(self.shape),
                )
            return self.shape[0], self.shape[1]
        if table.shape is not None:
            return table.shape
        side = math.isqrt(pixels)
        if side * side != pixels:
            raise RequestError(
                f"the file's {pixels} pixel columns do not form a square; set shape=[height,width]",
                key="shape",
                value=None,
            )
        return side, side


class Table:
    """One CSV file: its header, and the rows as labels (n,) int64 and pixels (n, d) uint8. Raises `BadFileError`."""

    def __init__(self, path: Path, label: str, classes: int) -> None:
        self.path, self.classes = path, classes
        with _Stream(path) as stream:
            self.packed = stream.packed
            line = io.BufferedReader(stream).readline(2**24)
        if not line.strip():
            raise BadFileError(f"{path.name} is empty; must begin with a header such as {label},pixel0,pixel1,...")
        try:
            header = [name.strip() for name in next(csv.reader([line.decode("utf-8-sig")]))]
        except (UnicodeDecodeError, csv.Error):
            raise BadFileError(f"{path.name} is not a CSV file: line 1 is not text") from None
        if len(header) > MOST_COLUMNS:
            raise BadFileError(
                f"line 1 names {len(header):,} columns, more than the maximum of {MOST_COLUMNS:,}; save larger images"
                " as an .npz file"
            )
        self.names = header
        names_so_far: set[str] = set()
        twice = next((name for name in header if name in names_so_far or names_so_far.add(name)), None)  # type: ignore[func-returns-value]
        if twice is not None:
            raise BadFileError(f"line 1 names the column {twice!r} twice; give every column a different name")
        if label not in header:
            some = ", ".join(header[:3]) + (", ..." if len(header) > 3 else "")
            raise BadFileError(
                f"there is no column {label!r} in line 1 ({some}); set label to the name of the label column"
            )
        self.pixel_names, self.shape = _pixel_columns([name for name in header if name != label])
        self.label_at = header.index(label)
        place = {name: i for i, name in enumerate(header)}
        self.pixels_at = np.array([place[name] for name in self.pixel_names])
        used = {label, *self.pixel_names}
        self.ignored = [name for name in header if name not in used]
        self.used_at = sorted(place[name] for name in used)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return labels and pixels, parsed by pandas, or else cell by cell to find the error."""
        pieces = self._fast()
        if pieces is None:
            pieces = list(self._slow())
        if not pieces:
            raise BadFileError(f"{self.path.name} has a header but no rows; at least one is needed")
        return np.concatenate([labels for labels, _ in pieces]), np.concatenate([pixels for _, pixels in pieces])

    def _fast(self) -> list[tuple[np.ndarray, np.ndarray]] | None:
        """Return the pieces, or None if there is any error in the file."""
        import pandas as pd

        pieces = []
        try:
            with (
                np.errstate(invalid="ignore"),  # from a cell that is inf, which the slow reader then reports
                _Stream(self.path, longest=LONGEST_CELL * (len(self.names) + 1)) as stream,
                pd.read_csv(
                    stream, chunksize=ROWS, header=0, names=self.names, index_col=None, encoding="utf-8-sig",
                    dtype=dict.fromkeys((self.names[i] for i in self.used_at), np.int64),
                ) as frames,
            ):  # fmt: skip
                for frame in frames:
                    if not isinstance(frame.index, pd.RangeIndex):  # more cells than names: pandas uses them as index
                        return None
                    piece = self._checked(frame.to_numpy() if not self.ignored else self._used(frame))
                    if piece is None:
                        return None
                    pieces.append(piece)
        except BadFileError:
            raise
        except (ValueError, OverflowError, OSError, EOFError, zlib.error):  # pandas' ParserError is a ValueError
            return None
        return pieces

    def _used(self, frame: Any) -> np.ndarray:
        values = np.zeros((len(frame), len(self.names)), np.int64)
        for i in self.used_at:
            values[:, i] = frame.iloc[:, i]
        return values

    def _checked(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        labels, pixels = values[:, self.label_at], values[:, self.pixels_at]
        if not len(labels):
            return None
        if pixels.min() < 0 or pixels.max() > 255 or labels.min() < 0 or labels.max() >= self.classes:
            return None
        return labels.astype(np.int64), pixels.astype(np.uint8)

    def _slow(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        rows: list[list[int]] = []
        line = 1
        try:
            with _Stream(self.path, longest=LONGEST_CELL * (len(self.names) + 1)) as stream:
                text = io.TextIOWrapper(io.BufferedReader(stream), encoding="utf-8-sig", newline="")
                reader = csv.reader(text, strict=True)
                next(reader)
                for cells in reader:
                    line = reader.line_num
                    if cells:
                        rows.append(self._row(line, cells))
                    if len(rows) == ROWS:
                        yield self._piece(rows)
                        rows = []
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadFileError(f"line {line + 1} is not CSV text ({error}); repair that line") from None
        except EOFError:
            raise BadFileError(f"{self.path.name} is cut off after line {line:,}; copy or download it again") from None
        except zlib.error as error:
            raise BadFileError(f"{self.path.name} is corrupt after line {line:,} ({error}); copy it again") from None
        if rows:
            yield self._piece(rows)

    def _piece(self, rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
        values = np.array(rows, np.int64)
        return values[:, 0], values[:, 1:].astype(np.uint8)

    def _row(self, line: int, cells: list[str]) -> list[int]:
        if len(cells) != len(self.names):
            raise BadFileError(
                f"line {line} has {len(cells)} cells, but the header has {len(self.names)}; repair that line"
            )
        label = _cell(
            line, self.names[self.label_at], cells[self.label_at], self.classes - 1, "set classes or repair it"
        )
        return [label] + [_cell(line, self.names[i], cells[i], 255, "repair it") for i in self.pixels_at]


def _cell(line: int, column: str, text: str, most: int, cure: str) -> int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value.is_integer() and 0 <= value <= most):
        excerpt = text if len(text) <= 40 else text[:37] + "..."
        raise BadFileError(f"line {line}, column {column}: {excerpt!r} is not a whole number from 0 to {most}; {cure}")
    return int(value)


def _pixel_columns(names: list[str]) -> tuple[list[str], tuple[int, int] | None]:
    """Return the pixel columns in order, and the image shape if the names encode it."""
    numbered = {int(match[1]): name for name in names if (match := re.fullmatch(r"pixel(\d{1,7})", name))}
    if numbered:
        first = min(numbered)
        missing = next((i for i in range(min(first, 1), max(numbered)) if i not in numbered), None)
        if missing is not None:
            raise BadFileError(
                f"line 1 has the column pixel{max(numbered)} but not pixel{missing}; add the missing columns"
            )
        return [numbered[i] for i in sorted(numbered)], None
    placed = {(int(m[1]), int(m[2])): name for name in names if (m := re.fullmatch(r"(\d{1,4})x(\d{1,4})", name))}
    if not placed:
        raise BadFileError("line 1 has no pixel columns; name them pixel0, pixel1, ... (or 1x1, 1x2, ...)")
    rows, columns = sorted({row for row, _ in placed}), sorted({column for _, column in placed})
    if len(placed) != len(rows) * len(columns):
        raise BadFileError(
            f"line 1 names {len(placed)} pixels, but the last is {rows[-1]}x{columns[-1]}; add the missing columns"
        )
    return [placed[place] for place in sorted(placed)], (len(rows), len(columns))


class _Stream(io.RawIOBase):
    """The bytes of a file, unpacked if compressed by gzip; a line longer than ``longest`` bytes is an error."""

    def __init__(self, path: Path, longest: int | None = None) -> None:
        self.raw = path.open("rb")
        self.packed = self.raw.read(2) == b"\x1f\x8b"
        self.raw.seek(0)
        self.pieces = inflate(self.raw) if self.packed else iter(lambda: self.raw.read(PIECE), b"")
        self.rest = memoryview(b"")
        self.longest, self.line, self.name, self.unpacked = longest, 0, path.name, 0
        self.most = max(UNPACKED, DENSEST * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self.rest:
            piece = next(self.pieces, b"")
            self._bound(piece)
            self.rest = memoryview(piece)
        count = min(len(buffer), len(self.rest))
        buffer[:count] = self.rest[:count]
        self.rest = self.rest[count:]
        return count

    def _bound(self, piece: bytes) -> None:
        end = piece.rfind(b"\n")
        self.line = self.line + len(piece) if end < 0 else len(piece) - end - 1
        if self.longest is not None and self.line > self.longest:
            raise BadFileError(f"a line is longer than {self.longest:,} bytes; its cells cannot be those of the header")
        self.unpacked += len(piece)
        if self.packed and self.unpacked > self.most:
            raise BadFileError(f"{self.name} unpacks to more than {self.most:,} bytes, too many for a table of images")

    def close(self) -> None:
        self.raw.close()
        super().close()


def _sha256(path: Path) -> str:
    """Return the hash of the uncompressed content."""
    digest = hashlib.sha256()
    with _Stream(path) as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
