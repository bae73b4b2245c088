"""Tables with one image per row: CSV in all its forms, read by pandas, or cell by cell where there is an error."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.data.formats import content, scaling, table_layout
from mnistlab.data.formats.content import Stream
from mnistlab.data.formats.record import Options, Part, Record
from mnistlab.data.formats.table_layout import Layout
from mnistlab.data.idx_format import LARGEST, BadFileError

ROWS = 5000  # parsed by pandas at a time, so that its 8-byte numbers never exist for the whole file
LONGEST_CELL = 64  # characters
NAMED = 3  # of the lines that are left out


@dataclass
class Content:
    """The rows of a table: pixels (n, d), labels (n,), (n, k) or None, and the numbers of the lines left out."""

    pixels: np.ndarray
    labels: np.ndarray | None
    layout: Layout
    skipped: list[int]


def read_csv(path: Path, options: Options) -> Record:
    """Return the record of one table."""
    digest = ""
    with contextlib.suppress(EOFError, zlib.error):  # reading the table reports the line
        digest = content.sha256(path)  # unpacks everything within the limits before anything is parsed
    try:
        table = Table(path, options)
        rows = table.read()
    except EOFError:
        raise BadFileError(f"{path.name} is cut off; copy or download it again") from None
    except zlib.error as error:
        raise BadFileError(f"{path.name} is corrupt ({error}); copy or download it again") from None
    except OSError as error:
        raise BadFileError(f"{path.name} cannot be read ({error.strerror}); check file permissions") from None
    return record_of(path.name, rows, digest)


def record_of(name: str, rows: Content, digest: str) -> Record:
    """Return the record of the rows of a table."""
    layout = rows.layout
    record = Record({"train": Part(rows.pixels, rows.labels)}, shape=layout.shape, files={name: digest})
    record.remarks += layout.remarks
    if layout.ignored:
        shown = ", ".join(column[:40] or "''" for column in layout.ignored[:6])
        record.warnings.append(
            f"{name}: ignored columns: {shown}"
            + (f", ... ({len(layout.ignored)} in all)" if layout.ignored[6:] else "")
        )
    if rows.skipped:
        shown = ", ".join(f"{line:,}" for line in rows.skipped[:NAMED]) + (", ..." if rows.skipped[NAMED:] else "")
        record.warnings.append(f"{name}: {len(rows.skipped):,} bad lines left out ({shown})")
    return record


class Table:
    """One table: its layout, and its rows. Raises `BadFileError`."""

    def __init__(self, path: Path, options: Options, layout: Layout | None = None) -> None:
        self.path, self.options = path, options
        self.layout = layout or table_layout.read(path, options)
        self.names = self.layout.names
        self.longest = LONGEST_CELL * (len(self.names) + 1)
        self.skipped: list[int] = []

    def read(self) -> Content:
        """Return labels and pixels, parsed by pandas, or else cell by cell to find the error."""
        layout = self.layout
        parsed = self._parsed()
        if parsed is None:
            rows = list(self._slow(self._sample_is_bytes()))
            if not rows:
                raise BadFileError(f"{self.path.name} has a header but no rows; at least one is needed")
            parsed = self._joined(rows)
        values, words = parsed
        if not len(values):
            raise BadFileError(f"{self.path.name} has a header but no rows; at least one is needed")
        if layout.pixels_at is None:
            labels = table_layout.decide(layout, values, words)
        elif layout.label_at is None:
            labels = None
        else:
            labels = words.get(layout.label_at, values[:, layout.label_at])
        assert layout.pixels_at is not None
        everything = len(layout.pixels_at) == values.shape[1]
        pixels = values if everything and (np.diff(layout.pixels_at) == 1).all() else values[:, layout.pixels_at]
        if pixels.size and not (self._plausible(pixels) and _are_finite(labels)):
            rows = list(self._slow(self._sample_is_bytes()))  # names the cell, or leaves its line out
            if not (self.options.skip and rows):
                raise BadFileError(f"{self.path.name}: some pixels are not whole numbers from 0 to 255; repair them")
            values, words = self._joined(rows)
            pixels = values[:, layout.pixels_at]
            labels = None if layout.label_at is None else words.get(layout.label_at, values[:, layout.label_at])
        return Content(pixels, labels, layout, self.skipped)

    def _plausible(self, pixels: np.ndarray) -> bool:
        """Return whether the pixels have one range; False if single ones are outside, or are no numbers."""
        if pixels.dtype == np.uint8:
            return True
        try:
            return scaling.range_of(scaling.survey([pixels])) is not None
        except BadFileError:
            return False

    def _sample_is_bytes(self) -> bool:
        """Return whether the pixels of the first lines are whole numbers from 0 to 255, but for single ones."""
        layout = self.layout
        columns = range(len(self.names)) if layout.pixels_at is None else layout.pixels_at.tolist()
        cells = [row[i] for row in layout.sample for i in columns if i < len(row)]
        good = sum(cell.isdecimal() and len(cell) < 4 and int(cell) < 256 for cell in cells)
        return good >= 0.9 * len(cells)

    def _parsed(self) -> tuple[np.ndarray, dict[int, np.ndarray]] | None:
        """Return the values (n, columns) and the columns of words, or None if there is an error in the file."""
        words = [i for i in self.layout.used() if self._may_be_words(i)]
        for number in (np.int64, np.float64):
            pieces = self._fast(number, words)
            if pieces is not None:
                return self._joined(pieces)
        at = self.layout.label_at  # words may come after the first lines
        if at is not None and at not in words and (pieces := self._fast(np.int64, [*words, at])) is not None:
            return self._joined(pieces) if self._label_is_words(pieces, at) else None
        return None

    def _may_be_words(self, column: int) -> bool:
        layout = self.layout
        if layout.pixels_at is not None:
            return column == layout.label_at and layout.is_text(column)
        return column in (0, 1, len(self.names) - 1) and layout.is_text(column)

    def _label_is_words(self, pieces: list[Any], at: int) -> bool:
        """Return whether most labels are words; else single ones are errors."""
        labels = np.concatenate([words[at] for _, words in pieces])
        return sum(not table_layout.is_number(str(label)) for label in labels[:10_000]) > 0.05 * len(labels[:10_000])

    def _fast(self, number: type[Any], words: list[int]) -> list[tuple[np.ndarray, dict[int, np.ndarray]]] | None:
        import pandas as pd

        layout, pieces, size = self.layout, [], 0
        used = layout.used()
        columns: Any = dict.fromkeys((i for i in used if i not in words), number) | dict.fromkeys(words, "str")
        separator: dict[str, Any] = {"sep": layout.separator, "skipinitialspace": True}
        if layout.separator == " ":
            separator = {"sep": r"\s+"}
        try:
            with (
                np.errstate(invalid="ignore"),  # from a cell that is inf, which the slow reader then reports
                Stream(self.path, longest=self.longest) as stream,
                pd.read_csv(
                    stream, chunksize=ROWS, header=0 if layout.has_header else None, names=range(len(self.names)),
                    index_col=None, encoding="utf-8-sig", dtype=columns, decimal=layout.decimal, quotechar=layout.quote,
                    skiprows=layout.skipped_lines, keep_default_na=number is np.float64, na_filter=number is np.float64,
                    **separator,
                ) as frames,
            ):  # fmt: skip
                for frame in frames:
                    if not isinstance(frame.index, pd.RangeIndex):  # more cells than names: pandas uses them as index
                        return None
                    pieces.append(self._piece(frame, used, words, number))
                    if any((found == "").any() for found in pieces[-1][1].values()):
                        return None  # an empty label
                    size += pieces[-1][0].nbytes
                    if size > 4 * LARGEST:
                        raise BadFileError(
                            f"{self.path.name} holds more than {LARGEST:,} pixels; too large for a table"
                        )
        except BadFileError:
            raise
        except (ValueError, OverflowError, OSError, EOFError, zlib.error, TypeError):  # a ParserError is a ValueError
            return None
        return pieces or None

    def _piece(
        self, frame: Any, used: list[int], words: list[int], number: type[Any]
    ) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """Return the values of some rows, as bytes if they are, and their words."""
        numeric = [i for i in used if i not in words]
        block = frame[numeric].to_numpy(number) if len(numeric) < frame.shape[1] else frame.to_numpy(number)
        values = np.zeros((len(frame), len(self.names)), block.dtype) if len(numeric) < len(self.names) else block
        if values is not block:
            values[:, numeric] = block
        return _smallest(values), {i: np.array(frame[i].fillna("").tolist(), np.str_) for i in words}

    def _joined(
        self, pieces: list[tuple[np.ndarray, dict[int, np.ndarray]]]
    ) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        values = np.concatenate([values for values, _ in pieces])
        return values, {i: np.concatenate([words[i] for _, words in pieces]) for i in pieces[0][1]}

    def _slow(self, strict: bool) -> Iterator[tuple[np.ndarray, dict[int, np.ndarray]]]:
        """Yield the rows parsed cell by cell; the first error is named, or its line left out with on_error=skip.

        If ``strict``, pixels must be whole numbers from 0 to 255.
        """
        layout, line = self.layout, 0
        self.skipped, rows = [], []
        words = [i for i in layout.used() if self._may_be_words(i)]
        try:
            with Stream(self.path, longest=self.longest) as stream:
                text = io.TextIOWrapper(io.BufferedReader(stream), encoding="utf-8-sig", newline="")
                reader: Any
                if layout.separator == " ":
                    reader = (line.split() for line in text)
                else:
                    reader = csv.reader(
                        text, strict=True, delimiter=layout.separator, quotechar=layout.quote, skipinitialspace=True
                    )
                for number, cells in enumerate(reader, 1):
                    line = getattr(reader, "line_num", number)
                    if not cells or line <= layout.skipped_lines + layout.has_header:
                        continue
                    try:
                        rows.append(self._row(line, cells, words, strict))
                    except BadFileError:
                        if not self.options.skip:
                            raise
                        self.skipped.append(line)
                    if len(rows) == ROWS:
                        yield self._piece_of_rows(rows, words)
                        rows = []
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadFileError(f"line {line + 1} is not CSV text ({error}); repair that line") from None
        except EOFError:
            raise BadFileError(f"{self.path.name} is cut off after line {line:,}; copy or download it again") from None
        except zlib.error as error:
            raise BadFileError(f"{self.path.name} is corrupt after line {line:,} ({error}); copy it again") from None
        if rows:
            yield self._piece_of_rows(rows, words)

    def _piece_of_rows(
        self, rows: list[tuple[list[float], list[str]]], words: list[int]
    ) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        values = _smallest(np.array([numbers for numbers, _ in rows], np.float64))
        return values, {i: np.array([found[k] for _, found in rows], np.str_) for k, i in enumerate(words)}

    def _row(self, line: int, cells: list[str], words: list[int], strict: bool) -> tuple[list[float], list[str]]:
        """Return the numbers and the words of a row; raises `BadFileError` for its first bad cell."""
        layout = self.layout
        if len(cells) != len(self.names):
            first = "the header" if layout.has_header else "the first line"
            raise BadFileError(
                f"line {line} has {len(cells)} cells, but {first} has {len(self.names)}; repair that line"
            )
        numbers = [0.0] * len(cells)
        pixels = None if layout.pixels_at is None else set(layout.pixels_at.tolist())
        for i in layout.used():
            if i in words:
                if not cells[i].strip():
                    raise BadFileError(
                        f"line {line}, column {self._column(i)}: the label is empty; repair or remove it"
                    )
                continue
            is_pixel = pixels is None or i in pixels
            numbers[i] = self._cell(line, i, cells[i], strict and is_pixel, is_pixel)
        return numbers, [cells[i] for i in words]

    def _cell(self, line: int, column: int, text: str, strict: bool, is_pixel: bool) -> float:
        try:
            value = float(text.replace(self.layout.decimal, "."))
        except ValueError:
            value = math.nan
        good = math.isfinite(value) and (not strict or (value.is_integer() and 0 <= value <= 255))
        if good and (is_pixel or value.is_integer()):
            return value
        excerpt = text if len(text) <= 40 else text[:37] + "..."
        wanted = "a whole number from 0 to 255" if strict else "a number" if is_pixel else "a whole number"
        raise BadFileError(f"line {line}, column {self._column(column)}: {excerpt!r} is not {wanted}; repair it")

    def _column(self, i: int) -> str:
        return self.names[i][:40] if self.layout.has_header else f"{i + 1} of {len(self.names)}"


def _are_finite(labels: np.ndarray | None) -> bool:
    return labels is None or labels.dtype.kind != "f" or bool(np.isfinite(labels).all())


def _smallest(values: np.ndarray) -> np.ndarray:
    """Return numbers as bytes if they are, otherwise as 4-byte numbers."""
    if not values.size:
        return values.astype(np.uint8)
    low, high = values.min(), values.max()
    is_whole = values.dtype.kind != "f" or bool((values == np.trunc(values)).all())
    if is_whole and low >= 0 and high <= 255:
        return values.astype(np.uint8)
    if is_whole and low >= -(2**31) and high < 2**31:
        return values.astype(np.int32)
    return values.astype(np.float32) if values.dtype.kind == "f" else values.astype(np.float64)


def read_labels(path: Path, options: Options) -> np.ndarray:
    """Return the labels of a table of nothing else: the column chosen or called so, its only one, or one-hot."""
    import pandas as pd

    lines, skipped = table_layout.first_lines(path)
    if not lines:
        raise BadFileError(f"{path.name} is empty; must hold one label per line")
    separator = table_layout.separator_of(lines)
    rows = [table_layout.cells_of(line, separator) for line in lines]
    header = options.header if options.header is not None else table_layout.has_header(rows, ".")
    names = rows[0] if header else [f"{i}" for i in range(len(rows[0]))]
    try:
        with Stream(path, longest=LONGEST_CELL * (len(names) + 1) + 4096) as stream:
            frame = pd.read_csv(
                stream, sep=separator if separator != " " else r"\s+", header=0 if header else None, dtype=str,
                names=range(len(names)), encoding="utf-8-sig", skiprows=skipped, keep_default_na=False, index_col=False,
                skipinitialspace=True,
            )  # fmt: skip
    except BadFileError:
        raise
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise BadFileError(f"{path.name} is not a table of labels ({str(error).splitlines()[0][:100]})") from None
    lower = [name.lower() for name in names]
    named = next((lower.index(word) for word in table_layout.LABEL_WORDS if header and word in lower), None)
    if options.label is not None:
        named = table_layout.chosen_column(options.label, Layout(separator, names, header))
    if named is None and len(names) > 2:
        with np.errstate(all="ignore"), contextlib.suppress(ValueError):
            return frame.to_numpy().astype(np.float64)  # one-hot
        raise BadFileError(f"{path.name} has {len(names)} columns, of which none is called label")
    return np.array(frame[len(names) - 1 if named is None else named].str.strip().tolist(), np.str_)
