"""The published datasets: looked up in folders of the user, the cache and the system, or else downloaded."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.data import cache, download, idx_format
from mnistlab.data.catalog import REGISTRY, Named
from mnistlab.data.dataset import Pool, Published, Source, Split, check_labels
from mnistlab.data.paths import existing, expanded
from mnistlab.system.errors import Key, RequestError, choice

log = logging.getLogger("mnistlab.data")

SYSTEM = Path("/usr/share/datasets")  # the folder of Debian's dataset-* packages


@dataclass
class NamedSource(Source):
    """A published dataset, chosen by ``name``; ``root`` is a folder that has its files, directly or in a subfolder.

    Without ``root``, the files are searched for in $MNISTLAB_DATA, in the user's cache and in the system's dataset
    folder, and are otherwise downloaded into the cache.
    """

    name: str = "mnist"
    root: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("name", self.name, REGISTRY)

    def read(self) -> Pool:
        """Return the dataset as published: its training and test sets."""
        where, folder = self._locate()
        return _read(self.name, folder, where, self.root)

    def published(self) -> Published:
        named = REGISTRY[self.name]
        return Published(self.name, named.image_shape, len(named.class_names), named.train)

    def _locate(self) -> tuple[str, Path]:
        if self.root is not None:
            return "root", _under_root("root", self.root, self.name)
        if (place := locate(self.name)) is not None:
            return place
        log.warning(
            "%s is not on this machine; downloading %.0f MB to %s",
            self.name, REGISTRY[self.name].download / 1e6, _cached(self.name),
        )  # fmt: skip
        return "downloaded", fetch(self.name)


def locate(name: str) -> tuple[str, Path] | None:
    """Return the location of a dataset (``MNISTLAB_DATA``, ``cache`` or ``system``) and its folder, or None."""
    if variable := os.environ.get("MNISTLAB_DATA"):
        base = expanded(variable)
        if not base.is_dir():
            raise RequestError(
                f"MNISTLAB_DATA={variable} is not a folder; correct the variable or unset it", key="name", value=name
            )
        for folder in _places(name, base):
            if _complete(name, folder) and (folder not in (base, base / "raw") or _may_be(name, folder)):
                return "MNISTLAB_DATA", folder
    if _complete(name, _cached(name)):
        return "cache", _cached(name)
    if _complete(name, SYSTEM / REGISTRY[name].folder):
        return "system", SYSTEM / REGISTRY[name].folder
    return None


def fetch(name: str, to: Path | None = None, mirrors: Sequence[str] | None = None) -> Path:
    """Download a dataset into its folder under ``to`` (by default the user's cache) and return that folder.

    Complete files are kept, so that an interrupted download continues. ``mirrors`` replaces the registered addresses.
    Raises `RequestError` with the reason for each mirror if none provides the files.
    """
    import filelock

    named = REGISTRY[choice("name", name, REGISTRY)]
    folder = _cached(name) if to is None else expanded(to) / named.folder
    mirrors = named.mirrors if mirrors is None else tuple(mirrors)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock"):
            if named.archive_md5 is None:
                for file in named.files:
                    _fetch_file(named, folder / f"{file}.gz", mirrors)
            elif not all((folder / f"{file}.gz").is_file() for file in named.files):
                _fetch_archive(named, folder, mirrors)
    except download.NoMirrorError as failed:
        raise RequestError(
            f"no mirror could provide it: {'; '.join(failed.reasons)}; try `mnistlab data fetch {name}` again later,"
            f" or put {', '.join(f'{file}.gz' for file in named.files)} into a folder and set ",
            Key("root"),
            " to it",
            key="name",
            value=name,
        ) from None
    except OSError as error:
        raise RequestError(
            f"{error.filename or folder} cannot be written ({error.strerror});"
            f" `mnistlab data fetch {name} --to FOLDER` uses another folder",
            key="name",
            value=name,
        ) from None
    return folder


def catalogue() -> list[dict[str, Any]]:
    """Return a row for each named dataset: name, what, train, test, classes, found (or None), download."""
    from mnistlab.data.sources.bundled import EMBEDDED

    rows: list[dict[str, Any]] = [{**facts, "found": "shipped with a package", "download": None} for facts in EMBEDDED]
    for name, named in REGISTRY.items():
        try:
            place = locate(name)
        except RequestError as error:  # an incomplete folder must not hide the other datasets
            log.warning("%s", error)
            place = None
        rows.append(
            {
                "name": name,
                "what": named.what,
                "train": named.train,
                "test": named.test,
                "classes": len(named.class_names),
                "found": None if place is None else str(place[1]),
                "download": named.download,
            }
        )
    return rows


def _read(name: str, folder: Path, where: str, root: str | None) -> Pool:
    named = REGISTRY[name]
    setting, place = {"key": "name", "value": name}, f"{folder}: "
    if root is not None:
        setting, place = {"key": "root", "value": root}, ""
    files = [file for file in (_file(folder, stem) for stem in named.files) if file is not None]
    cure = f"fetch it again with `mnistlab data fetch {name}`"

    def build() -> cache.Parsed:
        """Parse the four files."""
        train_images, train_labels, hashes = idx_format.read_pair(files[0], files[1])
        test_images, test_labels, test_hashes = idx_format.read_pair(files[2], files[3])
        arrays = {"train_images": train_images, "train_labels": train_labels}
        arrays |= {"test_images": test_images, "test_labels": test_labels}
        return cache.Parsed(
            {part: _normal(named, array) for part, array in arrays.items()}, {"files": hashes | test_hashes}
        )

    try:
        parsed = cache.parsed("idx", files, {"name": name}, build)
    except idx_format.BadFileError as error:
        raise RequestError(f"{place}{error}; {cure}", **setting) from None
    expected = _as_published(name, parsed.info["files"], place, setting)
    arrays = parsed.arrays
    for part in ("train", "test"):
        check_labels(arrays[f"{part}_labels"], len(named.class_names), f"{part} labels", cure, **setting)
    if arrays["train_images"].shape[1:] != arrays["test_images"].shape[1:]:
        raise RequestError(f"{place}training and test images differ in size; {cure}", **setting)
    provenance = {
        "source": "named",
        "name": name,
        "found": where,
        "path": str(folder.absolute()),
        "files": parsed.info["files"],
        "sha256": parsed.info["sha256"],
        "sha256_expected": expected,
    }
    train = Split(arrays["train_images"], arrays["train_labels"])
    return Pool(name, train, Split(arrays["test_images"], arrays["test_labels"]), named.class_names, provenance)


def _normal(named: Named, array: np.ndarray) -> np.ndarray:
    if array.ndim == 1:
        return array.astype(np.int64) - named.first_label
    return np.ascontiguousarray(array.transpose(0, 2, 1)) if named.transposed else array


def _as_published(name: str, hashes: dict[str, str], place: str, setting: dict[str, str]) -> bool | None:
    """Return whether the content is as published, None without a hash; the content of another dataset is an error."""
    images = next(iter(hashes.values()))
    for other, named in REGISTRY.items():
        if other != name and images in named.sha256.values():
            raise RequestError(
                f"{place}the files are those of {other}; keep each dataset in a folder of its own, {named.folder}"
                f" and {REGISTRY[name].folder}",
                **setting,
            )
    hashes_expected = REGISTRY[name].sha256
    if not hashes_expected:
        return None
    if set(hashes.values()) == set(hashes_expected.values()):
        return True
    where = f"{setting['key']}={setting['value']}: {place}"
    log.warning("%sthe content differs from the published files (SHA-256); using it anyway", where)
    return False


def _may_be(name: str, folder: Path) -> bool:
    """Return whether files in a shared folder may be this dataset's: those of all datasets have the same names."""
    others = {other: named for other, named in REGISTRY.items() if named.folder != REGISTRY[name].folder}
    if folder.name == REGISTRY[name].folder:
        return True
    labels = _file(folder, REGISTRY[name].files[3])
    try:
        digest = idx_format.read(labels, 1)[1] if labels else ""
    except idx_format.BadFileError:
        return True  # reading the complete file reports the error
    return folder.name not in {n.folder for n in others.values()} and all(
        digest not in named.sha256.values() for named in others.values()
    )


def _cached(name: str) -> Path:
    return cache.folder() / "datasets" / REGISTRY[name].folder


def _places(name: str, base: Path) -> tuple[Path, ...]:
    """Return the folders in which a dataset may be: its own, torchvision's (MNIST/raw), and ``base`` itself."""
    named = REGISTRY[name]
    return base / named.folder, base / named.torchvision / "raw", base / named.torchvision, base / "raw", base


def _candidates(folder: Path, stem: str) -> Iterator[Path]:
    for spelled in (stem, stem.replace("-idx", ".idx")):  # some unpackers write train-images.idx3-ubyte
        yield folder / f"{spelled}.gz"
        yield folder / spelled
        yield folder / spelled / spelled  # and some a folder named like the file


def _file(folder: Path, stem: str) -> Path | None:
    try:
        return next((path for path in _candidates(folder, stem) if path.is_file()), None)
    except OSError as error:
        raise RequestError(
            f"cannot be read ({error.strerror}); check file permissions", key="root", value=folder
        ) from None


def _complete(name: str, folder: Path) -> bool:
    """Return whether all four files exist; an incomplete folder is an error, not a reason to look elsewhere."""
    named = REGISTRY[name]
    missing = [stem for stem in named.files if _file(folder, stem) is None]
    if 0 < len(missing) < len(named.files) and folder != _cached(name):
        raise RequestError(
            f"{folder} lacks {' and '.join(missing)} (.gz or not);"
            f" add what is missing or fetch all files with `mnistlab data fetch {name}`",
            key="name",
            value=name,
        )
    return not missing


def _under_root(option: str, value: str, name: str) -> Path:
    named = REGISTRY[name]
    root = existing(option, value, f"{name}'s files", folder=True)
    for folder in _places(name, root):
        missing = [stem for stem in named.files if _file(folder, stem) is None]
        if not missing:
            return folder
        if len(missing) < len(named.files):
            break
    raise RequestError(
        f"no {' and no '.join(missing)} (.gz or not) there or in its folder {named.folder};"
        f" put the files there, or leave {option} out and run `mnistlab data fetch {name}`",
        key=option,
        value=value,
    )


def _fetch_file(named: Named, target: Path, mirrors: Sequence[str]) -> None:
    stem = idx_format.stem(target)

    def check(path: Path) -> None:
        if stem in named.md5:
            download.md5_is(named.md5[stem], path)
        content = idx_format.read(path, 3 if "idx3" in stem else 1, name="the file")[1]
        if stem in named.sha256 and content != named.sha256[stem]:
            raise idx_format.BadFileError(
                f"wrong content: SHA-256 {content[:12]}..., must be {named.sha256[stem][:12]}..."
            )

    if target.is_file():
        try:
            return check(target)
        except idx_format.BadFileError as error:
            log.warning("%s is invalid (%s); downloading it again", target, error)
    most = 28 * 28 * max(named.train, named.test) + 2**16
    return download.fetch_file(target, [f"{mirror.rstrip('/')}/{target.name}" for mirror in mirrors], most, check)


def _fetch_archive(named: Named, folder: Path, mirrors: Sequence[str]) -> None:
    """Extract the files of every dataset in the archive, so that it is downloaded only once."""
    archive, md5 = folder / "archive.zip", named.archive_md5
    together = [other for other in REGISTRY.values() if other.archive_md5 == md5]
    download.fetch_file(archive, mirrors, named.download + 2**24, lambda path: download.md5_is(str(md5), path))
    members = {f"{named.archive_folder}{file}.gz": folder / f"{file}.gz" for other in together for file in other.files}
    try:
        download.unpack(archive, members, 2**28)
    except idx_format.BadFileError as error:
        raise download.NoMirrorError([f"{archive.name}: {error}"]) from None
    finally:
        archive.unlink(missing_ok=True)
