"""Folders of image files, one folder per class."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnistlab.data import cache
from mnistlab.data.dataset import Pool, Split, UserSource
from mnistlab.data.idx_format import LARGEST, BadFileError
from mnistlab.data.image_formats import is_image, natural_order, suffixes_text
from mnistlab.data.paths import existing
from mnistlab.system.errors import RequestError, whole

NOT_TEXT = r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]"  # control characters, and bytes that are not UTF-8
MOST_PIXELS = 2**24  # of one image, before it is resized


@dataclass
class FolderSource(UserSource):
    """``path`` has one folder of images per class, or the folders train/ and test/ with one folder per class in each.

    Classes are named after their folders. Images are converted to greyscale (ITU-R 601 luma, transparency ignored) and,
    with ``size``, resized to size x size; without it all must have the same size. Files and folders are sorted by name,
    with numbers sorted by value. Without test/, the last images of each class become the test set (``test``).
    """

    path: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is not None:
            whole("size", self.size, what="the side of an image in pixels")
            if self.size**2 > MOST_PIXELS:
                raise RequestError(
                    f"at most {int(MOST_PIXELS**0.5)} pixels per side are accepted", key="size", value=self.size
                )

    def read(self) -> Pool:
        """Return the images of all class folders."""
        path = existing("path", self.path, "a folder with a folder of images for each class", folder=True)
        apart = (path / "train").is_dir() and (path / "test").is_dir()
        parts = {"train": path / "train", "test": path / "test"} if apart else {"train": path}
        classes = {part: _classes(folder, self.path) for part, folder in parts.items()}
        class_names = tuple(classes["train"])
        if len(class_names) < 2 and self.cuts:
            raise RequestError(
                f"there is only one class, {class_names[0]!r}; at least two are needed", key="path", value=self.path
            )
        if apart and (unknown := [name for name in classes["test"] if name not in classes["train"]]):
            raise RequestError(
                f"test/ has the class {unknown[0]!r}, which train/ does not have; add it there",
                key="path",
                value=self.path,
            )
        files = {part: [file for group in classes[part].values() for file in group] for part in parts}

        def build() -> cache.Parsed:
            arrays, info = {}, {}
            for part, folder in parts.items():
                arrays[f"{part}_images"], info[f"{folder.name}/"] = _read_all(folder, files[part], self.size)
                numbers = [class_names.index(name) for name, group in classes[part].items() for _ in group]
                arrays[f"{part}_labels"] = np.array(numbers, np.int64)
            return cache.Parsed(arrays, {"files": info})

        try:
            order = [file for part in files.values() for file in part]
            parsed = cache.parsed("folder", order, {"root": str(path.resolve()), "size": self.size}, build)
        except BadFileError as error:
            raise RequestError(f"{error}", key="path", value=self.path) from None
        train = Split(parsed.arrays["train_images"], parsed.arrays["train_labels"])
        provenance = {"source": "folder", "path": str(path.absolute()), **parsed.info}
        if not apart:
            return Pool("folder", *self.cut_test(train), class_names, provenance)
        test = Split(parsed.arrays["test_images"], parsed.arrays["test_labels"])
        if train.images.shape[1:] != test.images.shape[1:]:
            raise RequestError(
                "the images of train/ and test/ differ in size; set size, e.g. size=28", key="size", value=None
            )
        return Pool("folder", train, test, class_names, provenance)


def _classes(folder: Path, source: str | None) -> dict[str, list[Path]]:
    """Return the image files of each class folder; ``source`` is the value of the option ``path``."""
    setting = {"key": "path", "value": source}
    try:
        groups = sorted((path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."), key=natural_order)
        if not groups:
            raise RequestError(f"{folder.name}/ has no subfolders; must have one folder of images per class", **setting)
        images = {group.name: sorted(filter(_is_image_file, group.iterdir()), key=natural_order) for group in groups}
    except OSError as error:
        raise RequestError(
            f"{error.filename} cannot be read ({error.strerror}); check file permissions", **setting
        ) from None
    for name, files in images.items():
        for path in (Path(name), *files):
            if re.search(NOT_TEXT, path.name):
                raise RequestError(f"the name {path.name!a} in {folder.name}/ is not text; rename it", **setting)
        if not files:
            raise RequestError(
                f"the class folder {name!r} contains no images ({suffixes_text()}); add some or remove it",
                **setting,
            )
    return images


def _is_image_file(path: Path) -> bool:
    return is_image(path) and path.is_file()


def _read_all(folder: Path, files: Sequence[Path], size: int | None) -> tuple[np.ndarray, str]:
    """Return the images (n, height, width) and the SHA-256 over the names and the bytes of the files."""
    from tqdm import tqdm

    digest = hashlib.sha256()
    stack: np.ndarray | None = None
    for i, file in enumerate(tqdm(files, desc=f"reading {folder.name}", unit=" images", disable=None, leave=False)):
        image = _read_image(file, folder, size, digest)
        if stack is None:
            if image.size * len(files) > LARGEST:
                raise BadFileError(
                    f"{len(files):,} images of {_by(image)} are more than {LARGEST:,} bytes; set size, e.g. size=28"
                )
            stack = np.empty((len(files), *image.shape), np.uint8)
        if image.shape != stack.shape[1:]:
            raise BadFileError(
                f"{file.relative_to(folder)} is {_by(image)}, but {files[0].relative_to(folder)} is {_by(stack[0])}"
                " (height x width); set size, e.g. size=28"
            )
        stack[i] = image
    if stack is None:
        raise BadFileError(f"{folder.name}/ contains no images; add some")
    return stack, digest.hexdigest()


def _by(image: np.ndarray) -> str:
    return f"{image.shape[0]} x {image.shape[1]}"


def _read_image(file: Path, folder: Path, size: int | None, digest: hashlib._Hash) -> np.ndarray:
    import io

    from PIL import Image

    name = file.relative_to(folder)
    try:
        content = file.read_bytes()
        digest.update(f"{name.as_posix()} {len(content)}\n".encode())
        digest.update(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked here, before any pixel is unpacked
            with Image.open(io.BytesIO(content)) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise BadFileError(
                        f"{name} has {image.width:,} x {image.height:,} pixels, more than the maximum of"
                        f" {MOST_PIXELS:,}; make it smaller or remove it"
                    )
                grey = Image.fromarray(_grey(np.asarray(image))) if image.mode.startswith("I") else image.convert("L")
                if size is not None and grey.size != (size, size):
                    grey = grey.resize((size, size), Image.Resampling.BILINEAR)
                return np.asarray(grey, np.uint8)
    except BadFileError:
        raise
    except Image.DecompressionBombError:
        raise BadFileError(f"{name} has more than the maximum of {MOST_PIXELS:,} pixels; remove it") from None
    except Exception as error:  # Pillow's decoders raise many kinds of errors
        raise BadFileError(f"{name} cannot be read as an image ({type(error).__name__}); repair or remove it") from None


def _grey(wide: np.ndarray) -> np.ndarray:
    """Return 16-bit grey levels as 8-bit levels; Pillow's own conversion would clip them at 255."""
    return (np.clip(wide, 0, 65535).astype(np.uint16) >> 8).astype(np.uint8)
