"""A folder of photographs in class folders as a dataset, each prepared as `mnistlab predict` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from mnistlab.data import cache
from mnistlab.data.dataset import Pool, Split
from mnistlab.data.paths import existing
from mnistlab.data.sources.image_folder import FolderSource
from mnistlab.inference.predict import image_io, inputs, preprocessing
from mnistlab.inference.predict.preprocessing import Style, Way
from mnistlab.system.console import LOG
from mnistlab.system.errors import RequestError


@dataclass
class PreparedFolder(FolderSource):
    """The pictures of ``path`` as inputs for a network with images of ``shape``; one without ink is only resized."""

    style: Style = preprocessing.MNIST
    shape: tuple[int, int] = (28, 28)
    parts: dict[str, Split] = field(default_factory=dict)  # shared by copies, so that every picture is read once

    def read(self) -> Pool:
        """Return the images of all class folders."""
        path = existing("path", self.path, "a folder with a folder of images for each class", folder=True)
        apart = (path / "train").is_dir() and (path / "test").is_dir()
        found = {part: _in_classes(path / part if apart else path) for part in (("train", "test") if apart else ("",))}
        names = tuple(dict.fromkeys(str(one.folder) for part in found.values() for one in part))
        if not names:
            raise RequestError(
                "has no folders of images; must have one folder of images per class", key="path", value=self.path
            )
        for part, pictures in found.items():
            if part not in self.parts:
                images = self._images(pictures)
                self.parts[part] = Split(images, np.array([names.index(str(one.folder)) for one in pictures], np.int64))
        arrays = {
            f"{part}_{kind}": getattr(split, kind)
            for part, split in self.parts.items()
            for kind in ("images", "labels")
        }
        provenance = {
            "source": "folder",
            "path": str(path.absolute()),
            "prepared": self.style.way.value,
            "sha256": cache.content_hash(arrays),
        }
        if apart:
            return Pool("folder", self.parts["train"], self.parts["test"], names, provenance)
        return Pool("folder", *self.cut_test(self.parts[""]), names, provenance)

    def _images(self, pictures: Sequence[inputs.Input]) -> np.ndarray:
        from tqdm import tqdm

        images, without_ink = np.empty((len(pictures), *self.shape), np.uint8), []
        for i, one in enumerate(tqdm(pictures, desc="reading", unit=" pictures", disable=None, leave=False)):
            try:
                picture = image_io.read(one.file)
            except image_io.UnreadableError as error:
                raise RequestError(f"{one.file}: {error}", key="path", value=self.path) from None
            try:
                images[i] = preprocessing.prepare(picture, self.shape, self.style, None).image
            except image_io.UnreadableError:
                images[i] = preprocessing.prepare(picture, self.shape, Style(Way.raw), None).image
                without_ink.append(one.file)
        if without_ink:
            LOG.warning("%d pictures have no ink and are only resized, e.g. %s", len(without_ink), without_ink[0])
        return images


def prepared(source: FolderSource, style: Style, shape: tuple[int, int]) -> PreparedFolder:
    """Return the same folder with its pictures prepared."""
    settings = {one.name: getattr(source, one.name) for one in fields(source)}
    return PreparedFolder(**settings, style=style, shape=shape)


def are_like_the_dataset(source: FolderSource, shape: tuple[int, int]) -> bool:
    """Return whether all pictures have the network's size and are light on dark, so that they need no preparation."""
    path = existing("path", source.path, "a folder with a folder of images for each class", folder=True)
    for one in _in_classes(path):
        try:
            grey = image_io.read(one.file).grey
        except image_io.UnreadableError:  # reported where it is read
            continue
        if grey.shape != shape or not preprocessing.is_light_on_dark(grey):
            return False
    return True


def _in_classes(folder: Path) -> list[inputs.Input]:
    return [one for one in inputs.expand([str(folder)]) if one.folder is not None]
