"""``--json``: a command's result as one JSON object on standard output, and everything else on standard error."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

FLAG = "--json"
WITHOUT_RESULT = ("serve", "board", "completion")  # all other commands have it


@dataclass
class _Document:
    """Whether JSON was requested, and the result to print."""

    as_json: bool = False
    content: Mapping[str, Any] | None = None


_document = _Document()


def is_json() -> bool:
    """Return whether the result is to be printed as JSON instead of text."""
    return _document.as_json


def give(content: Mapping[str, Any]) -> None:
    """Set the result of the command. Without ``--json`` it is not used."""
    _document.content = content


def show(content: Mapping[str, Any], words: str) -> None:
    """Set the result of the command, and print it as text unless JSON was requested."""
    give(content)
    if words and not is_json():
        print(words, flush=True)  # noqa: T201


@contextmanager
def one_document() -> Iterator[None]:
    """Send standard output, including that of libraries and child processes, to standard error; end with the document.

    The document is printed whenever there is a result, whatever the exit status.
    """
    before, kept = sys.stdout, os.dup(1)
    before.flush()
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    _document.as_json, _document.content = True, None
    try:
        yield
    finally:
        content, _document.as_json, _document.content = _document.content, False, None
        sys.stdout = before
        os.dup2(kept, 1)
        os.close(kept)
        if content is not None:
            print(json.dumps(plain(content), indent=2, allow_nan=False), flush=True)  # noqa: T201


@contextmanager
def part_of_more() -> Iterator[None]:
    """Run a command as a part of another one, and discard its result."""
    before = _document.content
    try:
        yield
    finally:
        _document.content = before


def plain(value: Any) -> Any:
    """Return a value for JSON: NaN and infinity as null, paths as text, NumPy's numbers and arrays as Python's.

    Floats keep every digit.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return plain(value.tolist()) if hasattr(value, "tolist") else value
