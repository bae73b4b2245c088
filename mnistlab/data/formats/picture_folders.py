"""Folders of pictures: a folder for each class, in one set or several; or labels in a table or in the file names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mnistlab.data.formats import content, label_tables, names, pictures
from mnistlab.data.formats.record import IN_WORDS, PARTS, Options, Part, Record
from mnistlab.data.idx_format import BadFileError
from mnistlab.data.image_formats import is_image, natural_order, suffixes_text
from mnistlab.system.console import progress_bar
from mnistlab.system.errors import RequestError

NOT_TEXT = r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]"  # control characters, and bytes that are not UTF-8
SERVICE = {"__MACOSX", "__pycache__", "@eaDir", "lost+found"}
SERVICE_FILES = {"thumbs.db", "desktop.ini"}
DEEPEST = 3  # folders above those of the classes
Group = dict[str, list[Path]]


@dataclass
class PictureFolder:
    """The pictures of a folder: the files of each class of each set, and what is left out."""

    top: Path  # the folder that the user named
    places: dict[str, Path]
    sets: dict[str, Group]
    remarks: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    label: str | int | None = None  # the column of labels in a table, where the user named it

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the classes of the training set, and those that only the validation set has."""
        return tuple(self.sets["train"])

    def files(self) -> list[Path]:
        """Return all files that are read, in their order."""
        return [file for group in self.sets.values() for files in group.values() for file in files] + self.tables

    def read(self, options: Options) -> Record:
        """Return the record of the pictures."""
        record = Record({}, class_names=self.class_names, ready=True)
        record.remarks, record.warnings = list(self.remarks), list(self.warnings)
        stacks = {}
        for part, group in self.sets.items():
            files = [file for files in group.values() for file in files]
            stacks[part] = _read_all(self.places[part], files, options)
        bits = max(stack.bits for stack, _ in stacks.values())  # all sets have one scale
        for part, (stack, digest) in stacks.items():
            words = [name for name, files in self.sets[part].items() for _ in files]
            place = self.places[part]
            images, kept = stack.done(f"{place.name}/", bits)
            record.parts[part] = Part(images, np.array(words, np.str_)[kept])
            record.files[f"{place.name}/"] = digest
            record.remarks += stack.remarks
            record.warnings += stack.warnings
        return record


def find(
    path: Path, value: str | None, skip: bool, alone: bool = False, label: str | int | None = None
) -> PictureFolder:
    """Return the pictures of a folder; ``value`` is the value of the key ``path``, and ``alone`` accepts one class.

    ``label`` is the column of a table of labels.
    """
    try:
        return _find(PictureFolder(path, {}, {}, label=label), value, skip, alone)
    except OSError as error:
        raise RequestError(
            f"{error.filename} cannot be read ({error.strerror}); check file permissions", key="path", value=value
        ) from None


def _find(result: PictureFolder, value: str | None, skip: bool, alone: bool) -> PictureFolder:
    setting = {"key": "path", "value": value}
    root = result.top
    for _ in range(DEEPEST):
        inner = folders_of(root)
        if len(inner) == 1 and not _images_of(root) and (folders_of(inner[0]) or label_tables.files_in(root)):
            root = inner[0]
    places = _places(root, result, setting)
    for part in (part for part in PARTS if part in places):
        group = _group(places[part], result, setting)
        if not group and part != "train":
            count = len(_images_of(places[part]))
            what = f"{count:,} pictures without labels" if count else "no pictures"
            result.warnings.append(f"{places[part].name}/ has {what} and is left out")
            continue
        result.sets[part], result.places[part] = group, places[part]
    _check_classes(result, setting, skip, alone)
    return result


def _places(root: Path, data: PictureFolder, setting: dict[str, str | None]) -> dict[str, Path]:
    """Return the folder of each set: those that are named after sets, or else that of all classes."""
    folders = folders_of(root)
    of_part: dict[str, list[Path]] = {}
    for folder in folders:
        if part := names.part_of_folder(folder.name):
            of_part.setdefault(part, []).append(folder)
    if "train" not in of_part or (len(of_part) < 2 and len(folders) > 1):
        return {"train": root}
    places = {}
    for part, same in of_part.items():
        filled = [folder for folder in same if _has_pictures(folder)]
        if len(filled) > 1:
            raise RequestError(
                f"{filled[0].name}/ and {filled[1].name}/ are both named after the {IN_WORDS[part]} set; join them, or"
                " move one elsewhere",
                **setting,
            )
        places[part] = (filled or same)[0]
    for folder in folders:
        if folder not in places.values() and _has_pictures(folder):
            data.warnings.append(f"{folder.name}/ beside {places['train'].name}/ is not named after a set: left out")
    return places


def _has_pictures(folder: Path, depth: int = 0) -> bool:
    if any(map(is_picture_file, folder.iterdir())):
        return True
    return depth <= DEEPEST and any(_has_pictures(inner, depth + 1) for inner in folders_of(folder))


def _check_classes(data: PictureFolder, setting: dict[str, str | None], skip: bool, alone: bool) -> None:
    train = data.sets["train"]
    if not train:
        raise RequestError(
            f"{data.places['train'].name}/ has no subfolders; must have one folder of images per class", **setting
        )
    if len(train) < 2 and not alone:
        raise RequestError(f"there is only one class, {next(iter(train))!r}; at least two are needed", **setting)
    for part, group in data.sets.items():
        unknown = [name for name in group if name not in train]
        if unknown and not skip:
            raise RequestError(
                f"{data.places[part].name}/ has the class {unknown[0]!r}, which {data.places['train'].name}/ does not"
                " have; add it there",
                **setting,
            )
        for name in unknown:
            data.warnings.append(f"{data.places[part].name}/{name}: {len(group.pop(name)):,} pictures of a class that"
                                  f" {data.places['train'].name}/ does not have are left out")  # fmt: skip
    for part in [part for part, group in data.sets.items() if not group]:
        del data.sets[part], data.places[part]


def folders_of(folder: Path) -> list[Path]:
    """Return the subfolders that may hold data, in natural order."""
    inner = (path for path in folder.iterdir() if path.is_dir() and path.name[0] != "." and path.name not in SERVICE)
    return sorted(inner, key=natural_order)


def _images_of(folder: Path) -> list[Path]:
    """Return the pictures directly in a folder, in natural order."""
    return sorted(filter(is_picture_file, folder.iterdir()), key=natural_order)


def is_picture_file(path: Path) -> bool:
    """Return whether a file is a picture: by its suffix, or by its first bytes if it has none."""
    if path.name[0] == ".":
        return False
    if is_image(path):
        return path.is_file()
    if path.suffix or not path.is_file():
        return False
    try:
        return content.is_picture(content.head_of(path)[:64])
    except BadFileError:
        return False


def _group(folder: Path, data: PictureFolder, setting: dict[str, str | None]) -> Group:
    """Return the files of each class of a set; those of subfolders of a class are its own."""
    classes: Group = {}
    empty: list[str] = []
    other: list[str] = []
    for inner in folders_of(folder):
        direct = sorted(inner.iterdir(), key=natural_order)
        files = [path for path in direct if is_picture_file(path)]
        known = set(files)
        deeper = [path for sub in direct if sub.is_dir() for path in _below(sub)]
        other += [f"{inner.name}/{path.name}" for path in direct if path not in known and _is_left_out(path)]
        for path in (inner, *files):
            if re.search(NOT_TEXT, path.name):
                raise RequestError(f"the name {path.name!a} in {folder.name}/ is not text; rename it", **setting)
        if files or deeper:
            classes[inner.name] = files + deeper
        else:
            empty.append(inner.name)
    direct_images = _images_of(folder)
    if empty and not classes and not direct_images:
        raise RequestError(
            f"the class folder {empty[0]!r} contains no images ({suffixes_text()}); add some or remove it", **setting
        )
    if empty and classes:
        data.warnings.append(f"{_named(empty)} in {folder.name}/ without pictures: left out")
    if other:
        data.warnings.append(f"{len(other):,} files that are no pictures: left out ({_listed(other)})")
    if classes and direct_images:
        listed = _listed([path.name for path in direct_images])
        data.warnings.append(f"{len(direct_images):,} pictures in {folder.name}/ of no class: left out ({listed})")
    if classes or not direct_images:
        return classes
    return _labelled(folder, direct_images, data, setting)


def _named(empty: Sequence[str]) -> str:
    return f"the class folder {empty[0]!r}" if len(empty) == 1 else f"{len(empty)} class folders ({_listed(empty)})"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(word[:40] for word in words[:3]) + (", ..." if len(words) > 3 else "")


def _is_left_out(path: Path) -> bool:
    return path.name[0] != "." and path.name.lower() not in SERVICE_FILES and path.is_file()


def _below(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Yield the pictures in a folder and below it; links are not followed."""
    if folder.is_symlink() or depth > DEEPEST or folder.name[0] == "." or folder.name in SERVICE:
        return
    for path in sorted(folder.iterdir(), key=natural_order):
        if path.is_dir():
            yield from _below(path, depth + 1)
        elif is_picture_file(path):
            yield path


def _labelled(folder: Path, images: list[Path], data: PictureFolder, setting: dict[str, str | None]) -> Group:
    """Return pictures of one folder by class: labelled by a table beside them, or by their names."""
    tables = [*label_tables.files_in(folder), *(label_tables.files_in(folder.parent) if folder != data.top else [])]
    for table in tables:
        beside = {other.name for other in folders_of(table.parent)} - {folder.name}
        found = label_tables.read(table, images, beside, data.label, setting)
        if found and found.label_of:
            by_name = found.label_of
            labelled = [(path, by_name.get(path.name) or by_name.get(path.stem)) for path in images]
            left = [path.name for path, label in labelled if label is None]
            data.remarks.append(f"labels of {folder.name}/ from {table.name}, column {found.column}")
            data.tables.append(table)
            if left:
                data.warnings.append(
                    f"{len(left):,} pictures that {table.name} does not name: left out ({_listed(left)})"
                )
            return _grouped([(path, label) for path, label in labelled if label is not None])
        data.warnings.append(f"{table.name} is not used: it has no column with the names of the pictures")
    words = _labels_of_names(images)
    if words is None:
        return {}
    data.remarks.append(f"labels of {folder.name}/ from the file names, such as {words[0]!r} of {images[0].name}")
    return _grouped(list(zip(images, words, strict=True)))


def _grouped(labelled: Sequence[tuple[Path, str]]) -> Group:
    labels = sorted({label for _, label in labelled}, key=lambda label: natural_order(Path(label or "-")))
    group: Group = {label: [] for label in labels}
    for path, label in labelled:
        group[label].append(path)
    return group


def _labels_of_names(images: Sequence[Path]) -> list[str] | None:
    """Return the labels in file names such as 3_017.png, cat.12.jpg or img7-two.png; None if it is not clear."""
    split = [[chunk for chunk in re.split(r"[\s_.\-]+", path.stem) if chunk] for path in images]
    width = min(map(len, split))
    if width == 0:
        return None
    columns = [[chunks[0] for chunks in split], [chunks[-1] for chunks in split]] if width > 1 else []
    columns.append([re.sub(r"[\d()]+$", "", path.stem).strip("_- .") for path in images])
    for words in columns:
        distinct = len(set(words))
        if all(words) and 2 <= distinct <= max(2, len(images) // 2) and distinct <= 1000:
            return words
    return None


def _read_all(folder: Path, files: Sequence[Path], options: Options) -> tuple[pictures.Stack, str]:
    """Return the pictures of a set, and the SHA-256 over the names and the bytes of the files."""
    digest, stack = hashlib.sha256(), pictures.Stack(len(files), options)
    for file in progress_bar(files, desc=f"reading {folder.name}", unit=" images", disable=None, leave=False):
        name = file.relative_to(folder) if file.is_relative_to(folder) else Path(file.name)
        try:
            if file.stat().st_size > 2**28:
                raise BadFileError(f"{name} has {file.stat().st_size:,} bytes, too many for a picture; remove it")
            encoded = file.read_bytes()
        except OSError as error:
            raise BadFileError(f"{name} cannot be read ({error.strerror}); repair or remove it") from None
        digest.update(f"{name.as_posix()} {len(encoded)}\n".encode())
        digest.update(encoded)
        stack.add(str(name), encoded)
    return stack, digest.hexdigest()
