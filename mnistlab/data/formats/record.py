"""What every reader returns: the arrays as they are in the files, before they are normalised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

PARTS = ("train", "validation", "test")
IN_WORDS = {"train": "training", "validation": "validation", "test": "test"}


@dataclass
class Part:
    """The images and labels of one set.

    ``images`` are numbers in any layout; ``labels`` are numbers or text, (n,), (n, 1) or one-hot (n, classes), or None.
    """

    images: np.ndarray
    labels: np.ndarray | None = None


@dataclass
class Record:
    """The content of the files of a dataset.

    ``transposed`` says that rows and columns are exchanged by the convention of the files, and ``upright`` that they
    are not, although the files may be named so. ``ready`` says that the images are already (n, height, width) uint8,
    from 0 to 255. ``padded`` says that pixels at the end may be missing, since the file leaves out zeros. ``lowest`` is
    the lowest index of the pixels of a libsvm file (`text_formats.number_pixels`). ``remarks`` are what was assumed,
    and ``warnings`` what was left out.
    """

    parts: dict[str, Part]
    class_names: tuple[str, ...] | None = None
    transposed: bool = False
    upright: bool = False
    ready: bool = False
    padded: bool = False
    lowest: int | None = None
    shape: tuple[int, int] | None = None
    remarks: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    files: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """The settings of a source that change how its files are read; see `sources.own.OwnSource`."""

    header: bool | None = None
    label: str | int | None = None
    transpose: bool | None = None
    invert: bool = False
    label_offset: int | None = None
    keys: tuple[str, ...] = ()
    size: int | None = None
    shape: tuple[int, int] | None = None
    classes: int | None = None
    class_names: tuple[str, ...] | None = None
    skip: bool = False
    only: str | None = None  # not a setting: the set of the file that is being read, if it is not the training set

    def plain(self) -> Mapping[str, object]:
        """Return the options as plain data, for the key of the cache."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
