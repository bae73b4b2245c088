"""A user's own IDX files, and NumPy archives (.npz)."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnistlab.data import cache, idx_format
from mnistlab.data.catalog import MNIST_FILES
from mnistlab.data.dataset import Pool, Source, Split, UserSource, check_labels, names_of_classes
from mnistlab.data.idx_format import LARGEST, BadFileError
from mnistlab.data.paths import existing
from mnistlab.system.errors import RequestError, whole

LABELS_CURE = "correct the labels or set classes"
OPTIONS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass
class IdxSource(Source):
    """Four IDX files, gzip-compressed or not. ``path`` is a folder that has them with MNIST's names.

    Or each file has its own key: ``train_images``, ``train_labels``, ``test_images`` and ``test_labels``. Labels are 0
    to ``classes`` - 1; ``class_names`` are the names to show for them.
    """

    path: str | None = None
    train_images: str | None = None
    train_labels: str | None = None
    test_images: str | None = None
    test_labels: str | None = None
    classes: int = 10
    class_names: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("classes", self.classes, least=2, what="the number of classes")
        names_of_classes(self.class_names, self.classes)

    def read(self) -> Pool:
        """Return the training and test sets of the files."""
        files = [self._file(option, name) for option, name in zip(OPTIONS, MNIST_FILES, strict=True)]
        key, value = ("path", self.path) if self.path is not None else ("train_images", self.train_images)

        def in_range(part: str) -> Callable[[np.ndarray], None]:
            return lambda labels: check_labels(labels, self.classes, f"{part} set", LABELS_CURE, key, value)

        def build() -> cache.Parsed:
            train_images, train_labels, hashes = idx_format.read_pair(files[0], files[1], in_range("training"))
            test_images, test_labels, test_hashes = idx_format.read_pair(files[2], files[3], in_range("test"))
            arrays = (train_images, train_labels.astype(np.int64), test_images, test_labels.astype(np.int64))
            return cache.Parsed(dict(zip(OPTIONS, arrays, strict=True)), {"files": hashes | test_hashes})

        try:
            parsed = cache.parsed("idx", files, {"order": [str(file.resolve()) for file in files]}, build)
        except BadFileError as error:
            raise RequestError(f"{error}; copy or download the file again", key=key, value=value) from None
        train = Split(parsed.arrays["train_images"], parsed.arrays["train_labels"])
        test = Split(parsed.arrays["test_images"], parsed.arrays["test_labels"])
        check_parts(train, test, self.classes, key, value)
        provenance = {"source": "idx", "path": str(files[0].parent.absolute()), **parsed.info}
        return Pool("idx", train, test, names_of_classes(self.class_names, self.classes), provenance)

    def _file(self, option: str, name: str) -> Path:
        value = getattr(self, option)
        if value is not None:
            return existing(option, value, "an IDX file")
        folder = existing("path", self.path, "a folder of IDX files", folder=True)
        for spelled in (f"{name}.gz", name, f"{name.replace('-idx', '.idx')}.gz", name.replace("-idx", ".idx")):
            if (folder / spelled).exists():
                return existing("path", str(folder / spelled), "an IDX file")
        raise RequestError(
            f"the folder has no {name} or {name}.gz; add it or set {option}", key="path", value=self.path
        )


@dataclass
class NpzSource(UserSource):
    """A NumPy archive: Keras's x_train, y_train, x_test, y_test, or images, labels (and test_images, test_labels).

    ``path`` is the file. Images are (n, height, width), (n, height, width, 1) or (n, side * side) whole numbers from 0
    to 255; labels are (n,) or (n, 1), from 0 to ``classes`` - 1. ``class_names`` are the names to show for them.
    Without a test set in the archive, the last rows of each class become the test set (``test``).
    """

    path: str | None = None
    classes: int = 10
    class_names: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("classes", self.classes, least=2, what="the number of classes")
        names_of_classes(self.class_names, self.classes)

    def read(self) -> Pool:
        """Return the training and test sets of the archive."""
        path = existing("path", self.path, "an .npz file")
        try:
            parsed = cache.parsed("npz", [path], {}, lambda: _read_npz(path))
        except (RequestError, MemoryError):
            raise
        except Exception as error:  # zipfile, its decompressors and NumPy raise errors without a common base class
            problem = error if isinstance(error, BadFileError) else f"{path.name} is not a valid .npz file ({error})"
            raise RequestError(
                f"{problem}; write it with numpy.savez_compressed", key="path", value=self.path
            ) from None
        train = Split(parsed.arrays["train_images"], parsed.arrays["train_labels"])
        names = names_of_classes(self.class_names, self.classes)
        provenance = {"source": "npz", "path": str(path.absolute()), **parsed.info}
        if "test_images" not in parsed.arrays:
            check_parts(train, train, self.classes, "path", self.path)
            return Pool("npz", *self.cut_test(train), names, provenance)
        test = Split(parsed.arrays["test_images"], parsed.arrays["test_labels"])
        check_parts(train, test, self.classes, "path", self.path)
        return Pool("npz", train, test, names, provenance)


def check_parts(train: Split, test: Split, classes: int, key: str, value: str | None) -> None:
    """Check the range of the labels, and that training and test images have the same size."""
    for name, part in (("training", train), ("test", test)):
        check_labels(part.labels, classes, f"{name} set", LABELS_CURE, key, value)
    if train.images.shape[1:] != test.images.shape[1:]:
        sizes = " and ".join(f"{part.images.shape[1]} x {part.images.shape[2]}" for part in (train, test))
        raise RequestError(
            f"training and test images differ in size ({sizes}); all images must have one size", key=key, value=value
        )


LAYOUTS = (
    {"train_images": "x_train", "train_labels": "y_train", "test_images": "x_test", "test_labels": "y_test"},
    {option: option for option in OPTIONS},
    {"train_images": "images", "train_labels": "labels", "test_images": "test_images", "test_labels": "test_labels"},
)


def _read_npz(path: Path) -> cache.Parsed:
    with zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
        layout = next(
            (
                candidate
                for candidate in LAYOUTS
                if {candidate["train_images"], candidate["train_labels"]} <= set(members)
            ),
            None,
        )
        if layout is None:
            raise BadFileError(
                f"{path.name} holds {', '.join(sorted(members)) or 'no arrays'};"
                " must hold x_train, y_train, x_test, y_test or images, labels"
            )
        half = [layout[f"test_{kind}"] for kind in ("images", "labels") if layout[f"test_{kind}"] in members]
        if len(half) == 1:
            raise BadFileError(
                f"{path.name} contains {half[0]} alone; test images and test labels must both be present"
            )
        shapes = {option: _shape(archive, members[key]) for option, key in layout.items() if key in members}
        for part in ("train", "test"):  # before any array is read
            counts = [shape[0] if shape else 0 for option, shape in shapes.items() if option.startswith(part)]
            if counts and counts[0] != counts[1]:
                raise BadFileError(f"{path.name} holds {counts[0]:,} {part} images but {counts[1]:,} labels")
        raw = {option: _member(archive, members[layout[option]]) for option in shapes}
    arrays: dict[str, np.ndarray] = {}
    for part in ("train", "test"):
        if f"{part}_images" in raw:
            arrays[f"{part}_labels"] = _labels(layout[f"{part}_labels"], raw[f"{part}_labels"])
            arrays[f"{part}_images"] = _images(layout[f"{part}_images"], raw[f"{part}_images"])
    hashes = {layout[option]: cache.content_hash({"array": array}) for option, array in raw.items()}
    return cache.Parsed(arrays, {"files": hashes})


def _shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """Return the shape that the header of an array declares, if the member can contain that many bytes."""
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reader(file)
    if dtype.kind not in "uifb":
        raise BadFileError(f"{name} holds values of type {dtype}, must be numbers")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > LARGEST:
        raise BadFileError(f"{name} claims {claimed:,} bytes, more than the maximum of {LARGEST:,}")
    about = archive.getinfo(name)
    if claimed > about.file_size:
        raise BadFileError(f"{name} ends after {about.file_size:,} of {claimed:,} bytes")
    if about.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a limit
        raise BadFileError(f"{name} uses a compression method that NumPy does not write")
    return tuple(shape)


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _images(name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim == 2 and (side := math.isqrt(array.shape[1])) ** 2 == array.shape[1]:
        array = array.reshape(-1, side, side)
    if array.ndim != 3 or not array.size:
        raise BadFileError(f"{name} has the shape {array.shape}; must be (n, height, width) with n > 0")
    return np.ascontiguousarray(_whole_numbers(name, array, 255), np.uint8)


def _labels(name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise BadFileError(f"{name} has the shape {array.shape}; must be (n,), one class number per row")
    return _whole_numbers(name, array, 2**31).astype(np.int64)


def _whole_numbers(name: str, array: np.ndarray, most: int) -> np.ndarray:
    """Check every value, a million at a time."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, 2**20):
        piece = flat[start : start + 2**20]
        wrong = ~((piece >= 0) & (piece <= most))
        if piece.dtype.kind == "f":
            wrong |= piece != np.trunc(piece)
        if wrong.any():
            value = piece[wrong.argmax()]
            hint = " (multiply images from 0 to 1 by 255)" if most == 255 and 0 < value < 1 else ""
            raise BadFileError(f"{name} holds {value}; must be whole numbers from 0 to {most}{hint}")
    return array
