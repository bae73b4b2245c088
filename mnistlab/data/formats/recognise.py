"""What a path is: a file of some format, a folder of files that belong together, or a folder of pictures."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mnistlab.data.formats import archives, assembly, content, names, picture_folders
from mnistlab.data.formats.record import Options, Record
from mnistlab.data.idx_format import BadFileError
from mnistlab.data.image_formats import is_image
from mnistlab.system.errors import RequestError

ORDER = ("idx", "npz", "npy", "mat", "hdf5", "parquet", "arff", "csv", "libsvm")
NOT_DATA = {".md", ".pdf", ".py", ".ipynb", ".json", ".yaml", ".yml", ".html", ".sh", ".m", ".names", ".docx", ".log"}
NOT_NAMED = (
    "readme",
    "license",
    "licence",
    "sample_submission",
    "samplesubmission",
    "mapping",
    "thumbs.db",
    "desktop.ini",
)
MOST_FILES = 2000  # of a folder that are looked at
DEEPEST = 3


@dataclass(frozen=True)
class Plan:
    """How a dataset will be read: its format, the files that decide what is read, and the reader."""

    form: str
    files: list[Path]
    read: Callable[[Options], Record]

    @property
    def what(self) -> str:
        """Return the format in words."""
        return assembly.IN_WORDS.get(self.form, self.form)


@dataclass(frozen=True)
class Request:
    """The files that the user named; ``form`` is the format asked for, or None.

    ``archive`` is the name of the archive from which the folder ``path`` was unpacked.
    """

    path: Path | None
    test_path: Path | None
    named: dict[tuple[str, str], Path]
    form: str | None
    value: str | None
    skip: bool
    alone: bool = False
    label: str | int | None = None
    archive: str | None = None

    def called(self, folder: Path) -> str:
        """Return what messages call a folder: the archive that it comes from, if any."""
        return self.archive or f"the folder {folder.name}"


def plan(request: Request) -> Plan:
    """Return how the files of a request will be read. Raises `RequestError` and `BadFileError`."""
    path = request.path
    if path is None:
        return _of_pairs({**_test_of(request), **request.named}, request.form)
    if path.is_dir():
        return _of_folder(request, path)
    kind = _kind_for(request, path)
    if kind in ("zip", "tar"):
        return _of_archive(request, path, kind)
    if kind == "picture":
        raise BadFileError(
            f"{path.name} is a single picture; training needs a folder with one folder of pictures per class"
            " (`mnistlab predict` classifies pictures)"
        )
    if request.named:
        return _of_pairs({("train", "images"): path, **_test_of(request), **request.named}, kind)
    files = {"train": [path]} | ({"test": [request.test_path]} if request.test_path else {})
    return Plan(
        kind, [file for paths in files.values() for file in paths], lambda options: assembly.sets(files, options)
    )


def _test_of(request: Request) -> dict[tuple[str, str], Path]:
    return {("test", "images"): request.test_path} if request.test_path else {}


def _refuse_unread(request: Request, what: str, named: bool = True) -> None:
    """Raise `RequestError` for a file that the user named, but that is not read beside ``what``."""
    files = {"test_path": request.test_path}
    if named:
        files |= {f"{part}_{role}": file for (part, role), file in request.named.items()}
    for key, file in files.items():
        if file is not None:
            raise RequestError(
                f"is not read beside {what}; add it to that, or name all files", key=key, value=str(file)
            )


def _kind_for(request: Request, path: Path) -> str:
    """Return the format of a file, which must be the one that was asked for."""
    if request.form == "npz" and not _is_packed_picture(path):
        return "npz" if content.head_of(path)[:2] in (b"", b"PK") else _checked("npz", content.kind_of(path), path)
    kind = content.kind_of(path)
    return kind if request.form is None else _checked(request.form, kind, path)


def _is_packed_picture(path: Path) -> bool:
    return is_image(path)


def _checked(form: str, kind: str, path: Path) -> str:
    if kind != form and kind not in ("zip", "tar") and not {kind, form} <= {"mat", "hdf5"}:
        raise BadFileError(
            f"{path.name} is {assembly.IN_WORDS.get(kind, kind)}, not {assembly.IN_WORDS.get(form, form)};"
            f" read it with data={kind}"
        )
    return kind


def _of_pairs(named: dict[tuple[str, str], Path], form: str | None) -> Plan:
    if ("train", "images") not in named:
        raise RequestError("set path, or train_images and train_labels", key="path", value=None)
    return Plan(form or "idx", list(named.values()), lambda options: assembly.pairs(named, options))


def _of_archive(request: Request, path: Path, kind: str) -> Plan:
    """Return the plan of what an archive holds, unpacked when it is read."""
    _refuse_unread(request, f"the archive {path.name}")

    def read(options: Options) -> Record:
        with archives.unpacked(path, kind) as place:
            inside = _of_folder(replace(request, path=place, archive=path.name), place)
            record = inside.read(options)
            record.remarks.insert(0, f"{path.name} holds {inside.what}")
            record.files = {path.name: content.sha256(path), **record.files}
            return record

    return Plan(kind, [path], read)


def _of_folder(request: Request, folder: Path) -> Plan:
    """Return the plan of a folder: of data files, or else of pictures."""
    if request.form == "folder":
        return _of_pictures(request, folder)
    files, pictures, unreadable = _data_files(folder)
    if request.form is not None:
        files = {request.form: files.get(request.form, [])}
    problems: list[BadFileError] = []
    if unreadable and (not pictures or request.form is not None):
        problems.append(unreadable)
    if not pictures or request.form is not None:
        for kind in ORDER:
            if files.get(kind):
                try:
                    return _of_files(kind, files[kind], request, folder)
                except BadFileError as error:
                    problems.append(error)
    if request.named and ("train", "images") in request.named:
        return _of_pairs({**_test_of(request), **request.named}, request.form)
    if problems:
        raise problems[0]
    if request.form is not None:
        raise BadFileError(f"{request.called(folder)} has no file of this format; correct path, or use data=auto")
    return _of_pictures(request, folder)


def _of_pictures(request: Request, folder: Path) -> Plan:
    _refuse_unread(request, "a folder of pictures")
    pictures = picture_folders.find(folder, request.value, request.skip, request.alone, request.label)
    return Plan("folder", pictures.files(), pictures.read)


def _data_files(folder: Path) -> tuple[dict[str, list[Path]], bool, BadFileError | None]:
    """Return the data files of a folder and below it by format, whether most are pictures, and why one is not read."""
    by_kind: dict[str, list[Path]] = {}
    pictures = 0
    problem: BadFileError | None = None
    for path in _walk(folder):
        if is_image(path):
            pictures += 1
            continue
        try:
            kind = content.kind_of(path)
        except BadFileError as error:
            problem = problem or error
            continue
        if kind == "picture":
            pictures += 1
        elif kind in ORDER and not (kind == "csv" and path.suffix.lower() == ".txt" and _is_prose(path)):
            by_kind.setdefault(kind, []).append(path)
    if problem is not None and not by_kind and not pictures:
        raise problem
    return by_kind, pictures > sum(map(len, by_kind.values())), problem


def _is_prose(path: Path) -> bool:
    head = content.head_of(path)[:4096].decode("utf-8", errors="replace")
    return sum(c.isdigit() for c in head) < 0.3 * len(head)


def _walk(folder: Path) -> list[Path]:
    """Return the files that may be data, in natural order, those nearest to the folder first; other disks are left out.

    At most `MOST_FILES` files and folders are looked at.
    """
    result: list[Path] = []
    level, device, looked_at, system = [folder], folder.stat().st_dev, 0, _is_of_the_system(folder)
    for _ in range(DEEPEST + 1):
        below: list[Path] = []
        for place in level:
            try:
                entries = sorted(place.iterdir(), key=picture_folders.natural_order)
            except OSError as error:
                raise BadFileError(
                    f"{error.filename} cannot be read ({error.strerror}); check file permissions"
                ) from None
            for path in entries:
                looked_at += 1
                if looked_at > MOST_FILES:
                    return result
                if path.name[0] == "." or path.name in picture_folders.SERVICE:
                    continue
                try:
                    status = path.stat()
                except OSError:
                    continue
                if stat.S_ISDIR(status.st_mode) and status.st_dev == device and not path.is_symlink():
                    below.append(path)
                elif stat.S_ISREG(status.st_mode) and status.st_dev == device and _may_be_data(path) and not system:
                    result.append(path)
        level = below
    return result


def _is_of_the_system(folder: Path) -> bool:
    """Return whether a folder is one of /proc or /sys, whose files have no size, and may block when they are read."""
    return str(folder.resolve()).startswith(("/proc", "/sys"))


def _may_be_data(path: Path) -> bool:
    name = path.name.lower()
    return path.suffix.lower() not in NOT_DATA and not any(word in name for word in NOT_NAMED)


def _of_files(kind: str, files: list[Path], request: Request, folder: Path) -> Plan:
    """Return the plan of files of one format in a folder."""
    slots: dict[tuple[str, str], list[Path]] = {}
    for path in files:
        said = names.read(idx_stem(path))
        if said.part is None:
            above = [names.part_of_folder(parent.name) for parent in path.parents if parent.is_relative_to(folder)]
            said = names.Name(next((part for part in above if part), None), said.role)
        slots.setdefault((said.part or "", said.role or ""), []).append(path)
    if ("train", "images") in slots and ("train", "labels") in slots:
        return _of_slots(slots, kind, request, folder)
    if kind == "idx" and request.named:
        return _of_slots(slots, kind, request, folder)
    if ("", "images") in slots and ("", "labels") in slots:
        _refuse_unread(request, f"the images and labels in {request.called(folder)}")
        return _of_pairs({("train", role): _one(("", role), slots["", role]) for role in ("images", "labels")}, kind)
    if kind == "idx":
        missing = " and ".join(f"train {role}" for role in ("images", "labels") if ("train", role) not in slots)
        raise BadFileError(f"{request.called(folder)} has no IDX file of {missing}; add it or set train_images")
    parts = {part: paths for (part, role), paths in slots.items() if part}
    loose = slots.get(("", ""), [])
    if "train" in parts:
        return _of_sets(kind, dict(parts.items()), request, folder)
    if len(files) == 1:
        return _of_sets(kind, {"train": files}, request, folder)
    if kind == "npy" and len(loose) >= 2:
        _refuse_unread(request, f"the files of classes in {request.called(folder)}")
        return Plan(kind, loose, lambda options: assembly.classes({"train": loose}, options))
    if len(loose) == 1 and "test" in parts:  # mnist and mnist.t
        return _of_sets(kind, {"train": loose, **parts}, request, folder)
    listed = ", ".join(path.name[:30] for path in files[:4])
    raise BadFileError(
        f"{request.called(folder)} has {len(files)} files ({listed}{', ...' if len(files) > 4 else ''}) none of which"
        " is called train; set path and test_path, or train_images and train_labels"
    )


def _of_slots(slots: dict[tuple[str, str], list[Path]], kind: str, request: Request, folder: Path) -> Plan:
    """Return the plan of files of images and of labels; those that the user named come first."""
    _refuse_unread(request, f"the files of images and labels in {request.called(folder)}", named=False)
    others = {slot: paths for slot, paths in slots.items() if "" not in slot and slot not in request.named}
    named = {slot: _one(slot, paths) for slot, paths in others.items()} | request.named
    _refuse_half(named, request.called(folder))
    return _of_pairs(named, kind)


def _of_sets(kind: str, parts: dict[str, list[Path]], request: Request, folder: Path) -> Plan:
    """Return the plan of a file for each set, of which the user may have named that of the test set."""
    _refuse_unread(replace(request, test_path=None), f"the sets in {request.called(folder)}")
    if kind == "npy" and all(len(paths) > 1 for paths in parts.values()):
        _refuse_unread(request, f"the files of classes in {request.called(folder)}")
        return Plan(kind, [p for ps in parts.values() for p in ps], lambda options: assembly.classes(parts, options))
    if kind != "parquet":
        named = {"test"} if request.test_path else set()
        parts = {part: [_one((part, "images"), paths)] for part, paths in parts.items() if part not in named}
    if request.test_path is not None:
        parts["test"] = [request.test_path]
    files = [file for paths in parts.values() for file in paths]
    return Plan(kind, files, lambda options: assembly.sets(parts, options))


def idx_stem(path: Path) -> str:
    """Return a file's name without the suffixes of its format and compression, by which sets are named."""
    name = path.name
    if name.lower().endswith(".t"):
        return name[:-2] + "-test"
    for suffix in (".gz", ".bz2", ".xz", ".csv", ".npz", ".npy", ".mat", ".h5", ".hdf5", ".parquet", ".arff", ".txt"):
        name = name.removesuffix(suffix)
    return name.removesuffix("-ubyte")


def _one(slot: tuple[str, str], paths: list[Path]) -> Path:
    """Return the one file of a slot; the same file may be there packed and unpacked, or with dots and dashes."""
    distinct = {idx_stem(path).replace(".", "-").lower(): path for path in reversed(paths)}
    if len(distinct) > 1:
        wide = [path for name, path in distinct.items() if "idx2" in name]  # QMNIST has its labels in both forms
        if len(wide) == 1 and len(distinct) == 2:
            return wide[0]
        listed = ", ".join(path.name[:40] for path in list(distinct.values())[:3])
        key = f"{'train' if slot[0] in ('', 'train') else slot[0]}_{slot[1]}"
        raise BadFileError(
            f"there are {len(distinct)} files of {slot[0] or 'all'} {slot[1]} ({listed}); name one with {key}"
        )
    return next(iter(distinct.values()))


def _refuse_half(named: dict[tuple[str, str], Path], where: str) -> None:
    for part in ("validation", "test"):
        for role, other in (("images", "labels"), ("labels", "images")):
            if (part, role) in named and (part, other) not in named:
                raise BadFileError(
                    f"{where} has {named[part, role].name} but no {part} {other}; add the file, or set {part}_{other}"
                )
