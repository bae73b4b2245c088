"""Atomic writing: a file with its final name is always complete."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from csv import writer as csv_writer
from pathlib import Path
from typing import Any

from mnistlab.system.signals import delayed


def write(path: Path, content: bytes | str) -> None:
    """Write to a temporary name in the same directory, flush, fsync, rename. An OSError names ``path``."""
    data = content.encode() if isinstance(content, str) else content
    try:
        with delayed():  # otherwise a temporary file could be left behind
            _write(path, data)
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def _write(path: Path, data: bytes) -> None:
    from tempfile import mkstemp  # imported here: `mnistlab --help` writes nothing

    descriptor, temporary = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files of a process killed in `write` from its own folder and one level below."""
    for path in (*folder.glob(".*"), *folder.glob("*/.*"), *folder.glob(".*/.*")):
        if re.fullmatch(r"\.\w[\w.-]*\.[a-z0-9_]{8}", path.name) and path.is_file() and not path.is_symlink():
            path.unlink()


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON: keys in their order, floats in their shortest exact form, no NaN."""
    write(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def shown(path: Path) -> Path:
    """Return the path as a user would type it in the current directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table as CSV text; NaN is an empty cell, floats have their shortest exact form."""
    # Below Python 3.13 a lone "\r" is quoted only if it is a part of the terminator
    writer = csv_writer(_Echo(), lineterminator="\r\n")
    lines = (writer.writerow(map(_cell, row)) for row in (columns, *rows))
    return "".join(line.removesuffix("\r\n") + "\n" for line in lines)


class _Echo:
    """A file whose `write` returns the text, so that `writerow` returns it too."""

    def write(self, text: str) -> str:
        return text


def _cell(cell: Any) -> str:
    if isinstance(cell, float):
        return "" if math.isnan(cell) else repr(float(cell))
    return str(cell)
