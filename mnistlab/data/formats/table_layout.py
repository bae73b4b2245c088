"""The layout of a table of images: its separator, its header, and which columns are the label and the pixels."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mnistlab.data.formats.content import HEAD, Stream
from mnistlab.data.formats.record import Options
from mnistlab.data.idx_format import BadFileError

MOST_COLUMNS = 2**16 + 2**10  # an image of 256 x 256, its label, and a thousand columns that are ignored
SAMPLE = 100  # lines that are looked at before the table is read
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
LABEL_WORDS = ("label", "labels", "class", "target", "digit", "letter", "category", "character", "y", "classid", "gt")
INDEX_WORDS = ("", "unnamed: 0", "index", "id", "idx", "imageid", "image_id", "rowid", "row")


@dataclass
class Layout:
    """The layout of a table. Columns are counted from 0; ``label_at`` and ``pixels_at`` are None until decided."""

    separator: str
    names: list[str]
    has_header: bool
    skipped_lines: int = 0  # before the header, or the first row
    label_at: int | None = None
    pixels_at: np.ndarray | None = None
    shape: tuple[int, int] | None = None
    ignored: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    sample: list[list[str]] = field(default_factory=list)
    decimal: str = "."
    quote: str = '"'

    def is_text(self, column: int) -> bool:
        """Return whether a column holds words in the first lines."""
        return any(not is_number(row[column], self.decimal) for row in self.sample if column < len(row) and row[column])

    def used(self) -> list[int]:
        """Return the columns to parse: all while it is not decided which are the pixels."""
        if self.pixels_at is None:
            return list(range(len(self.names)))
        return sorted({*self.pixels_at.tolist(), *([] if self.label_at is None else [self.label_at])})


def is_number(cell: str, decimal: str = ".") -> bool:
    """Return whether a cell is a number."""
    try:
        float(cell.replace(decimal, ".") if decimal != "." else cell)
    except ValueError:
        return False
    return True


def cells_of(line: str, separator: str, quote: str = '"') -> list[str]:
    """Return the cells of a line."""
    if separator == " ":
        return line.split()
    return [
        c.strip() for c in next(csv.reader([line], delimiter=separator, quotechar=quote, skipinitialspace=True), [])
    ]


def read(path: Path, options: Options) -> Layout:
    """Return the layout of a table in a file."""
    lines, skipped = first_lines(path)
    if not lines:
        raise BadFileError(f"{path.name} is empty; must begin with a header such as label,pixel0,pixel1,... or a row")
    separator = separator_of(lines)
    try:
        rows = [cells_of(line, separator) for line in lines]
    except csv.Error:
        raise BadFileError(f"{path.name} is not a CSV file: line 1 is not text") from None
    if len(rows[0]) > MOST_COLUMNS:
        raise BadFileError(
            f"line 1 names {len(rows[0]):,} columns, more than the maximum of {MOST_COLUMNS:,}; save larger images"
            " as an .npz file"
        )
    decimal = "," if separator == ";" and any(re.fullmatch(r"\d+,\d+", c) for row in rows[1:3] for c in row) else "."
    header = options.header if options.header is not None else has_header(rows, decimal)
    names = rows[0] if header else [f"{i}" for i in range(len(rows[0]))]
    layout = Layout(separator, names, header, skipped, decimal=decimal, sample=rows[1:] if header else rows)
    if separator != ",":
        layout.remarks.append(f"separated by {SEPARATORS[separator]}")
    if header:
        _by_name(layout, options)
    else:
        layout.remarks.append("no header")
        _by_place(layout, options)
    return layout


def first_lines(path: Path) -> tuple[list[str], int]:
    """Return the first lines that are not empty, and the number of lines before them (comments)."""
    lines: list[str] = []
    skipped = 0
    with Stream(path) as stream:
        reader = io.BufferedReader(stream)
        try:
            while len(lines) < SAMPLE and (line := reader.readline(2**24 if not lines else 2**22)):
                if len(line) == (2**24 if not lines else 2**22):
                    break
                if not lines and (not line.strip() or line.lstrip().startswith(b"#")):
                    skipped += 1
                    continue
                if lines and len(line) > 8 * len(lines[0]) + HEAD:
                    break  # whose length the reader of the table reports
                if line.strip():
                    lines.append(line.decode("utf-8-sig" if not lines else "utf-8").rstrip("\r\n"))
        except UnicodeDecodeError:
            if not lines:
                raise BadFileError(f"{path.name} is not a CSV file: line 1 is not text") from None
        except EOFError:
            if not lines:
                raise
    return lines, skipped


def separator_of(lines: Sequence[str]) -> str:
    """Return the separator of the first lines: one that cuts both into as many cells, commas and spaces last.

    Commas may be decimal points between semicolons.
    """
    best, most = ",", 1
    for separator in ("\t", ";", "|", ",", " "):
        try:
            counts = [len(cells_of(line, separator)) for line in lines[:2]]
        except csv.Error:
            continue
        if counts[0] > most and (len(set(counts)) == 1 or separator == ","):
            best, most = separator, counts[0]
            if counts[0] >= 4:
                break
    return best


def has_header(rows: Sequence[Sequence[str]], decimal: str) -> bool:
    """Return whether the first row is names: words above numbers, or numbers that count up."""
    first, second = rows[0], rows[1] if len(rows) > 1 else []
    words = [i for i, cell in enumerate(first) if not is_number(cell, decimal)]
    if 2 * len(words) >= len(first) and len(first) > 1:
        return not (
            second and all(i < len(second) and not is_number(second[i], decimal) for i in words) and len(first) == 2
        )
    if len(first) == 1:
        return bool(words) and bool(second) and (is_number(second[0], decimal) or first[0].lower() in LABEL_WORDS)
    if any(i < len(second) and is_number(second[i], decimal) for i in words):
        return True
    inner = [cell for i, cell in enumerate(first) if i not in words]
    if len(inner) >= 4 and all(cell.isdecimal() and len(cell) < 8 for cell in inner):
        numbers = np.array(inner, np.int64)
        if (np.diff(numbers[1:]) == 1).all() and numbers[-1] > 2:
            return True
    mangled = sum(bool(re.fullmatch(r"\d+\.\d+", cell)) for cell in inner) > len(inner) / 2
    return mangled and bool(second) and all(cell.isdecimal() for cell in second if is_number(cell))


def _by_name(layout: Layout, options: Options) -> None:
    """Decide by the header which columns are the label and the pixels."""
    header = layout.names
    if options.header is None and any(re.fullmatch(r"\d+\.\d+", name) for name in header[1:4]):
        layout.remarks.append("line 1 taken as a header that counts repeated numbers; its row is lost")
        layout.names = header = [f"{i}" for i in range(len(header))]
        _by_place(layout, options)
        return
    seen: set[str] = set()
    twice = next((name for name in header if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]
    if twice is not None:
        raise BadFileError(f"line 1 names the column {twice[:40]!r} twice; give every column a different name")
    layout.label_at = label = _label_column(layout, options)
    others = [name for i, name in enumerate(header) if i != label]
    if label is None and all(name.isdecimal() for name in others):
        _by_place(layout, options)
        return
    place = {name: i for i, name in enumerate(header)}
    pixels, layout.shape = _pixel_columns(others)
    if label is None:
        rest = [name for name in others if name not in set(pixels) and name.lower() not in INDEX_WORDS]
        if len(rest) == 1:
            layout.label_at = place[rest[0]]
            layout.remarks.append(f"labels in the column {rest[0][:40]!r}")
    layout.pixels_at = np.array([place[name] for name in pixels], np.int64)
    used = {*pixels, *([] if layout.label_at is None else [header[layout.label_at]])}
    layout.ignored = [name for name in header if name not in used]


def _label_column(layout: Layout, options: Options) -> int | None:
    """Return the column of labels that the user or the header names; None if neither does."""
    header, label = layout.names, options.label
    if label is not None:
        return chosen_column(label, layout)
    lower = [name.lower() for name in header]
    return next((lower.index(word) for word in LABEL_WORDS if word in lower), None)


def chosen_column(label: str | int, layout: Layout) -> int:
    """Return the column that the key ``label`` chooses, by its name or its number (from 0, or from the end)."""
    header = layout.names
    if layout.has_header and str(label) in header:
        return header.index(str(label))
    try:
        number = int(label)
    except ValueError:
        number = len(header)
    if -len(header) <= number < len(header):
        return number % len(header)
    some = ", ".join(name[:30] for name in header[:3]) + (", ..." if len(header) > 3 else "")
    where = f"in line 1 ({some})" if layout.has_header else f"among {len(header)} columns without a header"
    raise BadFileError(f"there is no column {str(label)[:40]!r} {where}; set label to the name or number of the labels")


def _by_place(layout: Layout, options: Options) -> None:
    """Take the label column that the user chose; what is not chosen is decided by the values, in `decide`."""
    if options.label is not None:
        layout.label_at = chosen_column(options.label, layout)
        rest = np.array([i for i in range(len(layout.names)) if i != layout.label_at], np.int64)
        layout.pixels_at = rest


def _pixel_columns(names: Sequence[str]) -> tuple[list[str], tuple[int, int] | None]:
    """Return the pixel columns in order, and the image shape if the names encode it."""
    placed: dict[tuple[int, int], str] = {}
    numbered: dict[str, dict[int, str]] = {}
    for name in names:
        if match := re.fullmatch(r"\D{0,20}?(\d{1,4})\s?[x_,.:\-c]+\s?(\d{1,4})", name):
            placed.setdefault((int(match[1]), int(match[2])), name)
        if match := re.fullmatch(r"(\D*)(\d{1,7})", name):
            numbered.setdefault(match[1], {}).setdefault(int(match[2]), name)
    single = max(numbered.values(), key=len, default={})
    if len(placed) > len(single):
        rows, columns = sorted({row for row, _ in placed}), sorted({column for _, column in placed})
        if len(placed) != len(rows) * len(columns):
            raise BadFileError(
                f"line 1 names {len(placed)} pixels, but the last is {placed[max(placed)]}; add the missing columns"
            )
        return [placed[place] for place in sorted(placed)], (len(rows), len(columns))
    if len(single) > 1:
        last, prefix = max(single), re.sub(r"\d+$", "", next(iter(single.values())))
        missing = next((i for i in range(min(min(single), 1), last) if i not in single), None)
        if missing is not None and (
            math.isqrt(len(single)) ** 2 != len(single) or last - min(single) < 2 * len(single)
        ):
            raise BadFileError(
                f"line 1 has the column {single[last][:40]} but not {prefix[:30]}{missing}; add the missing columns"
            )
        return [single[i] for i in sorted(single)], None
    others = [name for name in names if name.lower() not in INDEX_WORDS]
    if len(others) >= 4 and math.isqrt(len(others)) ** 2 == len(others):
        return others, None
    raise BadFileError("line 1 has no pixel columns; name them pixel0, pixel1, ... (or 1x1, 1x2, ...)")


def decide(layout: Layout, values: np.ndarray, words: dict[int, np.ndarray]) -> np.ndarray | None:
    """Decide by all values which columns of a table without names are the label and the pixels; return the labels.

    ``values`` (n, columns) are the numbers, ``words`` the columns of words. The labels are the first or the last
    column, of which the rest is an image; a column that counts the rows is left out. Several columns may be one-hot.
    """
    columns = [i for i in range(values.shape[1]) if i not in words]
    if words:
        layout.label_at = max(words) if len(words) > 1 else next(iter(words))
        layout.ignored += [layout.names[i] for i in words if i != layout.label_at]
    counting = [i for i in columns[:1] if len(values) > 2 and (np.diff(values[:, i]) == 1).all()]
    if counting and not _square(len(columns) - (0 if words else 1)):
        columns = columns[1:]
        layout.remarks.append("the first column counts the rows and is left out")
    if layout.label_at is None and not _square(len(columns)):
        if (hot := _one_hot(values, columns)) is not None:
            layout.pixels_at = np.array([i for i in columns if i not in set(hot)], np.int64)
            layout.remarks.append(
                f"the {'last' if hot[-1] == columns[-1] else 'first'} {len(hot)} columns are the labels"
            )
            return values[:, hot]
        first, last = values[:, columns[0]], values[:, columns[-1]]
        at_end = _as_labels(last) > _as_labels(first)
        layout.label_at = columns[-1] if at_end else columns[0]
        layout.remarks.append(f"the {'last' if at_end else 'first'} column is the label")
    layout.pixels_at = np.array([i for i in columns if i != layout.label_at], np.int64)
    if layout.label_at is None:
        return None
    return words.get(layout.label_at, values[:, layout.label_at])


def _square(count: int) -> bool:
    return count >= 4 and math.isqrt(count) ** 2 == count


def _one_hot(values: np.ndarray, columns: Sequence[int]) -> list[int] | None:
    """Return the columns at the end or the beginning that are one-hot labels, beside which the rest is a square."""
    for k in range(2, min(100, len(columns) - 4)):
        if _square(len(columns) - k):
            for chosen in (list(columns[-k:]), list(columns[:k])):
                block = values[:, chosen]
                if ((block == 0) | (block == 1)).all() and (block.sum(axis=1) == 1).all() and block.any(axis=0).all():
                    return chosen
    return None


def _as_labels(column: np.ndarray) -> float:
    """Return how much a column is like labels: whole numbers of a few values, about equally many of each.

    A pixel at the corner is nearly always the background, or has many values.
    """
    unique, counts = np.unique(column, return_counts=True)
    if len(unique) < 2 or (unique != np.trunc(unique)).any() or unique[0] < -1:
        return 0.0
    shares = counts / len(column)
    balance = float(-(shares * np.log(shares)).sum() / np.log(len(unique)))
    return balance - 0.3 * (len(unique) > 62) - 0.5 * (len(unique) > len(column) / 2)
