"""Which files of a folder are images, and in which order they are read."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm", ".webp"}


def is_image(path: Path) -> bool:
    """Return whether the name is that of an image and not of a hidden file."""
    return path.suffix.lower() in SUFFIXES and path.name[0] != "."


def suffixes_text() -> str:
    """Return the suffixes as a list for messages."""
    return ", ".join(sorted(SUFFIXES))


def natural_order(path: Path) -> tuple[bool, int, str]:
    """Return the sort key that puts 2 before 10, and numbers before words."""
    is_number = path.stem.isdecimal()
    return not is_number, int(path.stem) if is_number else 0, path.name
