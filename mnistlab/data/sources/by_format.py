"""The user's own data by format: what `OwnSource` reads, one class for each format that has a page of its own."""

from __future__ import annotations

from dataclasses import dataclass

from mnistlab.data.formats.assembly import IN_WORDS
from mnistlab.data.sources.own import OwnSource
from mnistlab.system.errors import choice

FORMATS = ("auto", *IN_WORDS)


@dataclass
class AutoSource(OwnSource):
    """Data of any format, recognised by its content: IDX, NPZ, NPY, CSV, libsvm, ARFF, MATLAB, HDF5, parquet, pictures.

    ``format`` is the format that the files must have; auto accepts any.
    """

    format: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("format", self.format, FORMATS)
        self.form = "" if self.format == "auto" else self.format


@dataclass
class CsvSource(OwnSource):
    """Tables with one image per row, compressed or not: a column of labels, and one column per pixel.

    Pixel columns are named pixel0, pixel1, ... (from 0 or 1, with any word before the number) or 1x1, 1x2, ... (row x
    column); other columns are ignored, with a message. Without a header, the first or the last column is the label. The
    separator is a comma, a semicolon, a tab, a bar or spaces.
    """

    form = "csv"


@dataclass
class IdxSource(OwnSource):
    """IDX files, gzip-compressed or not, in a folder under MNIST's names, or each with its own key."""

    form = "idx"


@dataclass
class NpzSource(OwnSource):
    """NumPy archives: Keras's x_train, y_train, x_test, y_test, or images, labels (and val_images, test_images, ...).

    Images are (n, height, width), with channels first or last, or flat, of any range; labels (n,), (n, 1) or one-hot.
    """

    form = "npz"


@dataclass
class FolderSource(OwnSource):
    """A folder with one folder of pictures per class, or with train/, val/ and test/ that have these.

    Or a folder of pictures with a table of labels beside them, or with labels in their names. Classes are named after
    their folders. Pictures are converted to greyscale (ITU-R 601 luma), turned as their EXIF data says, and put on
    white where they are transparent. Files and folders are sorted by name, with numbers sorted by value.
    """

    form = "folder"
