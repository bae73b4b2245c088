"""The keys ``tags`` and ``note``: what people call a run. They are no part of its results."""

from __future__ import annotations

import re

from mnistlab.system.errors import RequestError

LONGEST_TAG, LONGEST_NOTE = 100, 10_000  # characters


def checked_tag(tag: str) -> str:
    """Return a tag, or raise `RequestError`: letters, digits, and - _ . : / inside."""
    if not re.fullmatch(r"\w[\w.:/-]*", tag) or len(tag) > LONGEST_TAG:
        raise RequestError(
            f"tag {tag!r}: must consist of letters, digits and - _ . : /, and begin with a letter or digit"
        )
    return tag


def checked_note(note: str) -> str:
    """Return a note, or raise `RequestError` if it is too long."""
    if len(note) > LONGEST_NOTE:
        raise RequestError(f"note: {len(note):,} characters exceed the maximum of {LONGEST_NOTE:,}; shorten it")
    return note
