"""A folder of photographs in class folders as a dataset, each prepared as `mnistlab predict` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from mnistlab.data import cache
from mnistlab.data.dataset import Pool, Source, Split
from mnistlab.data.formats import picture_folders
from mnistlab.data.formats.record import PARTS
from mnistlab.data.paths import existing
from mnistlab.data.sources.by_format import AutoSource, FolderSource
from mnistlab.data.sources.own import OwnSource
from mnistlab.inference.predict import image_io, preprocessing
from mnistlab.inference.predict.preprocessing import Style, Way
from mnistlab.system.console import LOG, progress_bar
from mnistlab.system.errors import RequestError


@dataclass
class PreparedFolder(OwnSource):
    """The pictures of ``path`` as inputs for a network with images of ``shape``; one without ink is only resized."""

    style: Style = preprocessing.MNIST
    network_shape: tuple[int, int] = (28, 28)
    read_parts: dict[str, Split] = field(default_factory=dict)  # shared by copies: every picture is read once

    def read(self) -> Pool:
        """Return the images of all class folders."""
        found = _found(self)
        names = list(found.class_names)
        if self.class_names is not None and sorted(map(str, self.class_names)) == sorted(names):
            names = list(map(str, self.class_names))  # the same classes in another order
        if len(names) < 2 and self.cuts:
            raise RequestError(
                f"there is only one class, {names[0]!r}; at least two are needed", key="path", value=self.path
            )
        if not self.read_parts:
            for warning in found.warnings:
                LOG.warning("%s: %s", self.path, warning)
            for part, classes in found.sets.items():
                files = [file for of_class in classes.values() for file in of_class]
                labels = np.array([names.index(name) for name, of_class in classes.items() for _ in of_class], np.int64)
                images, kept = self._images(files)
                self.read_parts[part] = Split(images, labels[kept])
        parts = self.read_parts
        arrays = {f"{part}_{kind}": getattr(parts[part], kind) for part in parts for kind in ("images", "labels")}
        provenance = {
            "source": "folder",
            "path": str(Path(str(self.path)).expanduser().absolute()),
            "prepared": self.style.way.value,
            "sha256": cache.content_hash(arrays),
        }
        train, test, validation = (parts.get(part) for part in (PARTS[0], PARTS[2], PARTS[1]))
        assert train is not None  # a folder without one is refused
        if test is None:
            train, test = self.cut_test(train)
        return Pool("folder", train, test, self._names(tuple(names)), provenance, validation)

    def _images(self, files: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
        """Return the inputs, and the numbers of the pictures that could be read."""
        images, without_ink, unreadable = np.empty((len(files), *self.network_shape), np.uint8), [], []
        kept = np.ones(len(files), bool)
        for i, file in enumerate(progress_bar(files, desc="reading", unit=" pictures", disable=None, leave=False)):
            try:
                picture = image_io.read(str(file))
            except image_io.UnreadableError as error:
                if not self._skips:
                    raise RequestError(f"{file}: {error}", key="path", value=self.path) from None
                kept[i] = False
                unreadable.append(file)
                continue
            try:
                images[i] = preprocessing.prepare(picture, self.network_shape, self.style, None).image
            except image_io.UnreadableError:
                images[i] = preprocessing.prepare(picture, self.network_shape, Style(Way.raw), None).image
                without_ink.append(file)
        for text, left in (("cannot be read and are left out", unreadable), ("have no ink and are only resized",
                                                                             without_ink)):  # fmt: skip
            if left:
                LOG.warning("%d pictures %s, e.g. %s", len(left), text, left[0])
        return images[kept], np.flatnonzero(kept)


def are_pictures(source: Source) -> bool:
    """Return whether a source reads a folder of pictures, which can be prepared."""
    if isinstance(source, FolderSource):
        return True
    if not isinstance(source, AutoSource) or source.path is None or not Path(source.path).expanduser().is_dir():
        return False
    try:
        _found(source)
    except RequestError:
        return False
    return True


def prepared(source: OwnSource, style: Style, shape: tuple[int, int]) -> PreparedFolder:
    """Return the same folder with its pictures prepared."""
    settings = {one.name: getattr(source, one.name) for one in fields(OwnSource)}
    return PreparedFolder(**settings, style=style, network_shape=shape)


def are_like_the_dataset(source: OwnSource, shape: tuple[int, int]) -> bool:
    """Return whether all pictures have the network's size and are light on dark, so that they need no preparation."""
    for file in _found(source).files():
        try:
            grey = image_io.read(str(file)).grey
        except image_io.UnreadableError:  # reported where it is read
            continue
        if grey.shape != shape or not preprocessing.is_light_on_dark(grey):
            return False
    return True


def _found(source: OwnSource) -> picture_folders.PictureFolder:
    path = existing("path", source.path, "a folder with a folder of images for each class", folder=True)
    return picture_folders.find(path, source.path, source.on_error.value == "skip", alone=True, label=source.label)
