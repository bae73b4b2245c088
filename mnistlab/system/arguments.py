"""Arguments of which only the file system tells whether they are paths: a filter or an override may name one, too."""

from __future__ import annotations

from pathlib import Path


def exists(word: str | Path) -> bool:
    """Return whether a word is a path that exists; no error for what cannot be one, such as a list of 100 seeds."""
    try:
        return Path(word).exists()
    except (OSError, ValueError):  # too long for a name, for example
        return False


def is_directory(word: str | Path) -> bool:
    """Return whether a word is the path of a directory."""
    return exists(word) and Path(word).is_dir()
