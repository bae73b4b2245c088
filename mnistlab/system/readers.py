"""Readers for files written by mnistlab: one for each kind of file, and one policy for all.

A file may have been damaged since, or put there by anyone. Links are followed. Anything that is not a regular file (a
pipe would block, a device may not end) or is larger than any file mnistlab writes is refused before a byte of it is
read. Text is UTF-8. Every problem is an `UnreadableError`, to which the caller adds what to do about it.
"""

from __future__ import annotations

import csv
import io
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistlab.system import files

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MOST_TEXT = 2**24  # bytes
MOST_TABLE = 2**28  # bytes; a table may have one row per image
MOST_ARRAYS = 2**34  # bytes
MOST_UNPACKED = 2**31  # bytes of all arrays of an archive, which may need a thousandth of that on disk


class NotAFileError(ValueError):
    """The path is a pipe, a device or a socket instead of a file."""


class TooLargeError(ValueError):
    """A file has more bytes than any that mnistlab writes."""

    def __init__(self, name: str, size: int) -> None:
        super().__init__(name, size)
        self.size = size

    def __str__(self) -> str:
        return f"{self.args[0]} has {self.size:,} bytes, more than any file written by mnistlab"


class UnreadableError(ValueError):
    """A saved file cannot be read; ``cause`` is the original error."""

    def __init__(self, path: Path, cause: Exception) -> None:
        super().__init__(path, cause)  # both, so that it can be pickled
        self.path, self.cause = path, cause

    def __str__(self) -> str:
        reasons = {
            FileNotFoundError: "no such file",
            NotAFileError: "not a file",
            TooLargeError: "too large",
        }
        return f"{files.shown(self.path)}: {reasons.get(type(self.cause), 'damaged')} ({self.reason})"

    @property
    def missing(self) -> bool:
        """Return whether there is nothing at its path."""
        return isinstance(self.cause, FileNotFoundError)

    @property
    def reason(self) -> str:
        """Return the type and the message of the cause."""
        return f"{type(self.cause).__name__}: {self.cause}"


@contextmanager
def reading(path: Path, most: int) -> Iterator[None]:
    """Refuse a path that is not a file or has more than ``most`` bytes; raise errors inside as `UnreadableError`."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):  # opening a directory fails by itself
            raise NotAFileError(f"{path.name} is not a file")
        if status.st_size > most:
            raise TooLargeError(path.name, status.st_size)
        yield
    except UnreadableError:
        raise
    except Exception as error:  # parsers of damaged files raise all kinds of errors
        raise UnreadableError(path, error) from None


def read_bytes(path: Path, most: int = MOST_TABLE) -> bytes:
    """Return the bytes of a file."""
    with reading(path, most), path.open("rb") as file:
        content = file.read(most + 1)
        if len(content) > most:  # it has grown, or the file system does not report its size
            raise TooLargeError(path.name, len(content))
        return content


def read_text(path: Path, most: int = MOST_TEXT) -> str:
    """Return the text of a file, with its line endings unchanged."""
    with reading(path, most):
        return read_bytes(path, most).decode("utf-8")


def read_json(path: Path) -> Any:
    """Return the value of a JSON file."""
    with reading(path, MOST_TEXT):
        return json.loads(read_text(path))


def read_json_or_empty(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file, an empty one where the file is missing or damaged."""
    try:
        content = read_json(path)
    except UnreadableError:
        return {}
    return content if isinstance(content, dict) else {}


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as dictionaries, with the names from its first line; missing cells are empty."""
    with reading(path, MOST_TABLE):
        return list(csv.DictReader(io.StringIO(read_text(path, MOST_TABLE), newline=""), restval=""))


def read_columns(path: Path, text: str = "") -> dict[str, np.ndarray]:
    """Return the columns of a CSV file as numbers, NaN where a cell is empty, and the column ``text`` as it is.

    It needs no pandas, which takes longer to import than a picture to draw.
    """
    import numpy as np

    with reading(path, MOST_TABLE):
        lines = csv.reader(io.StringIO(read_text(path, MOST_TABLE), newline=""))
        names = next(lines, None)
        if names is None:
            raise ValueError("the file is empty")
        columns = list(zip(*lines, strict=True)) or [()] * len(names)
        return {
            name: np.array(cells, dtype=object) if name == text else np.array([float(cell or "nan") for cell in cells])
            for name, cells in zip(names, columns, strict=True)
        }


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """Return a CSV file as a table; ``options`` are those of `pandas.read_csv`."""
    import pandas as pd

    with reading(path, MOST_TABLE):
        return pd.read_csv(io.StringIO(read_text(path, MOST_TABLE), newline=""), **options)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an NPZ file; nothing in it is ever executed."""
    from zipfile import ZipFile

    import numpy as np

    with reading(path, MOST_ARRAYS):
        with ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MOST_UNPACKED:
            raise TooLargeError(path.name, size)
        with np.load(path, allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
        if name := next((name for name, array in arrays.items() if not isinstance(array, np.ndarray)), None):
            raise ValueError(f"{name} is not an array")
        return arrays
