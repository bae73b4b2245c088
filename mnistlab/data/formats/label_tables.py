"""Tables that give the pictures of a folder their labels: a column of file names, and one of labels."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from mnistlab.data.formats import content
from mnistlab.data.formats.table_layout import INDEX_WORDS, LABEL_WORDS, Layout, chosen_column
from mnistlab.data.idx_format import BadFileError
from mnistlab.system.errors import RequestError

MOST_BYTES = 2**26  # of a table
MOST_COLUMNS = 100
SEPARATORS = (",", ";", "\t", " ")  # a space last: file names may have some


@dataclass
class LabelTable:
    """The labels of pictures by file name, and the column that they are from."""

    label_of: dict[str, str]
    column: str


def files_in(folder: Path) -> list[Path]:
    """Return the files of a folder that may be tables of labels."""
    return [path for path in sorted(folder.iterdir()) if path.suffix.lower() in (".csv", ".tsv", ".txt")]


def read(
    table: Path,
    images: Sequence[Path],
    beside: Collection[str],
    column: str | int | None,
    setting: dict[str, str | None],
) -> LabelTable | None:
    """Return the labels in a table in which one column has the names of the pictures; None for another.

    A row of one of the folders ``beside`` that of the pictures (test/1.png, where these are in train/) is not about
    them. ``column`` is the column of labels that the user named, or None.
    """
    names = {path.name for path in images}
    wanted = names | {path.stem for path in images}
    if (found := _rows(table, names, wanted)) is None:
        return None
    rows, at = found
    header = [cell.strip() for cell in rows[0]]
    has_header = Path(header[at]).name not in wanted
    label = _column_of_labels(table, header, at, has_header, column, setting)
    label_of: dict[str, str] = {}
    for row in rows:
        if len(row) <= max(at, label) or not row[label].strip() or Path(row[at]).parent.name in beside:
            continue
        name, word = Path(row[at]).name, row[label].strip()
        if name in wanted and label_of.get(name, word) != word:
            raise RequestError(
                f"{table.name} gives {name[:40]} two labels, {label_of[name][:20]!r} and {word[:20]!r}; remove one",
                **setting,
            )
        label_of[name] = word
    return LabelTable(label_of, repr(header[label][:40]) if has_header else str(label))


def _rows(table: Path, names: Collection[str], wanted: Collection[str]) -> tuple[list[list[str]], int] | None:
    """Return the rows of a table, by the first separator that leaves a column with the names of pictures, and this.

    Of two such columns, one with whole ``names`` comes before one of numbers, which may be names without a suffix.
    """
    if table.stat().st_size > MOST_BYTES:
        return None
    try:
        lines = content.read_all(table).decode("utf-8-sig").splitlines()
        for separator in SEPARATORS:
            rows = [row for row in csv.reader(lines, delimiter=separator, skipinitialspace=True) if row]
            if len(rows) < 2 or not 2 <= len(rows[0]) <= MOST_COLUMNS:
                continue
            hits = []
            for i in range(len(rows[0])):
                cells = [Path(row[i]).name for row in rows if i < len(row)]
                hits.append((sum(cell in wanted for cell in cells), sum(cell in names for cell in cells)))
            if 2 * max(hits)[0] >= min(len(rows) - 1, len(names)):
                return rows, hits.index(max(hits))
    except (BadFileError, UnicodeDecodeError, csv.Error):
        pass
    return None


def _column_of_labels(
    table: Path,
    header: list[str],
    at: int,
    has_header: bool,
    column: str | int | None,
    setting: dict[str, str | None],
) -> int:
    """Return the column of labels: the one that the user named, or has a known name, or is the only other one."""
    if column is not None:
        try:
            return chosen_column(column, Layout(",", header, has_header=has_header))
        except BadFileError as error:
            raise RequestError(f"{table.name}: {error}", key="label", value=column) from None
    lower = [cell.lower() for cell in header]
    others = [i for i in range(len(header)) if i != at]
    called = [lower.index(word) for word in LABEL_WORDS if word in lower and lower.index(word) != at]
    unnumbered = [i for i in others if lower[i] not in INDEX_WORDS]
    for candidates in (called[:1], others, unnumbered):
        if len(candidates) == 1:
            return candidates[0]
    shown = ", ".join(cell[:20] for cell in header[:5]) + (", ..." if len(header) > 5 else "")
    raise RequestError(
        f"{table.name} has {len(header)} columns and none with a known name of labels; set label to the column of"
        f" labels ({shown})",
        **setting,
    )
