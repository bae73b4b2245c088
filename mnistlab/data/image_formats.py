"""Which files of a folder are images, and in which order they are read."""

from __future__ import annotations

import re
from pathlib import Path

SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm", ".pbm", ".webp", ".avif"}
SUFFIXES |= {".heic", ".heif"}  # these two need pillow-heif


def is_image(path: Path) -> bool:
    """Return whether the name is that of an image and not of a hidden file."""
    return path.suffix.lower() in SUFFIXES and path.name[0] != "."


def suffixes_text() -> str:
    """Return the suffixes as a list for messages."""
    return ", ".join(sorted(SUFFIXES))


def natural_chunks(name: str) -> list[str | int]:
    """Return the sort key of a name by which normal_2 comes before normal_10: its text and its numbers in turn."""
    return [int(chunk) if i % 2 else chunk for i, chunk in enumerate(re.split(r"([0-9]+)", name))]


def natural_order(path: Path) -> tuple[bool, int, list[str | int], str]:
    """Return the sort key that puts 2 before 10, also within names, and numbers before words."""
    is_number = path.stem.isdecimal()
    return not is_number, int(path.stem) if is_number else 0, natural_chunks(path.name), path.name
