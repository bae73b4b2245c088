"""The user's own data, in any format: recognised by its content, or of the format that was chosen."""

from __future__ import annotations

import hashlib
import logging
import zlib
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.data import cache, copies
from mnistlab.data.dataset import Pool, Split, UserSource, check_shape, names_of_classes
from mnistlab.data.formats import normalise, recognise
from mnistlab.data.formats.record import IN_WORDS, PARTS, Options
from mnistlab.data.idx_format import BadFileError
from mnistlab.data.paths import existing
from mnistlab.data.sources.image_size import check_size
from mnistlab.system.errors import RequestError, whole

log = logging.getLogger("mnistlab.data")
FILES = ("train_images", "train_labels", "test_images", "test_labels")
MOST_MESSAGE = 230  # characters of what readers say, so that a line with a path is not too long


class OnError(Enum):
    """What is done about a row or a picture that cannot be read."""

    stop = "stop"  # it is an error
    skip = "skip"  # it is left out, counted and named


@dataclass
class OwnSource(UserSource):
    """Images and labels in files of the user.

    ``path`` is a file, an archive or a folder. ``test_path`` is the file of the test set; without one, and without a
    test set in the data, the last rows of each class become the test set (``test``). ``train_images``,
    ``train_labels``, ``test_images`` and ``test_labels`` are files that hold only these. ``header`` says whether a
    table has a header; by default this is found out. ``label`` is the name or number (from 0) of the column of labels.
    ``keys`` are the names of the arrays of images and labels, of the training and then the test set. ``shape`` is
    [height, width] of flat images, which are square by default. ``transpose`` exchanges rows and columns; by default
    only files called emnist are. ``invert`` exchanges light and dark. ``size`` resizes all images to size x size.
    ``label_offset`` is subtracted from every label. ``classes`` is the number of classes, found out by default, and
    ``class_names`` are the names to show for them. With ``on_error`` stop, the first bad row or picture is an error;
    with skip, bad ones are left out, counted and named.
    """

    path: str | None = None
    test_path: str | None = None
    train_images: str | None = None
    train_labels: str | None = None
    test_images: str | None = None
    test_labels: str | None = None
    header: bool | None = None
    label: Any = None
    keys: list[str] | None = None
    shape: list[int] | None = None
    transpose: bool | None = None
    invert: bool = False
    size: int | None = None
    label_offset: int | None = None
    classes: int | None = None
    class_names: list[str] | None = None
    on_error: OnError = OnError.stop
    form = ""  # not an option: the format of a subclass

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes is not None:
            whole("classes", self.classes, least=2, what="the number of classes")
            names_of_classes(self.class_names, self.classes)
        elif self.class_names is not None:
            names_of_classes(self.class_names, len(self.class_names))
        if self.shape is not None:
            check_shape(self.shape)
        check_size(self.size)
        if isinstance(self.label, bool) or not isinstance(self.label, (str, int, type(None))):
            raise RequestError("must be the name or the number of a column", key="label", value=self.label)
        if self.label_offset is not None:
            whole("label_offset", self.label_offset, least=-(10**6), what="the offset of the labels")

    def read(self) -> Pool:
        """Return the training, validation and test sets of the data."""
        key, value = ("path", self.path) if self.path is not None else ("train_images", self.train_images)
        try:
            plan = recognise.plan(self._request())
            options = self._options()
            parsed = cache.parsed(plan.form, plan.files, self._cache_key(plan, options), lambda: _parsed(plan, options))
        except BadFileError as error:
            raise RequestError(_short(str(error)), key=key, value=value) from None
        except (EOFError, zlib.error):
            raise RequestError("is corrupt or cut off; copy or download it again", key=key, value=value) from None
        except OSError as error:
            raise RequestError(
                f"cannot be read ({error.strerror or error}); check file permissions", key=key, value=value
            ) from None
        except RequestError as error:
            raise error if error.key else RequestError(error.message, key=key, value=value) from None
        return self._pool(plan, parsed, key, value)

    def _request(self) -> recognise.Request:
        named: dict[tuple[str, str], Path] = {}
        for option in FILES:
            if (file := getattr(self, option)) is not None:
                part, _, role = option.partition("_")
                named[part, role] = existing(option, file, f"a file of {part} {role}")
        path = None
        if self.path is not None or not named:
            path = _existing_path(self.path, self.form)
        test = None
        if self.test_path is not None:
            test = existing("test_path", self.test_path, "the file of the test set")
        return recognise.Request(
            path, test, named, self.form or None, self.path, self._skips, not self.cuts, self.label
        )

    @property
    def _skips(self) -> bool:
        return self.on_error is OnError.skip

    def _options(self) -> Options:
        shape = None if self.shape is None else (self.shape[0], self.shape[1])
        names = None if self.class_names is None else tuple(map(str, self.class_names))
        return Options(
            self.header, self.label, self.transpose, self.invert, self.label_offset, tuple(self.keys or ()), self.size,
            shape, self.classes, names, self._skips,
        )  # fmt: skip

    def _cache_key(self, plan: recognise.Plan, options: Options) -> dict[str, Any]:
        root = self.path and str(Path(self.path).expanduser().resolve())
        # the class of a picture is where its link lies; what is read is where the link leads
        order = [f"{file.absolute()}\0{file.resolve()}" for file in plan.files]
        digest = hashlib.sha256("\0".join(order).encode("utf-8", "replace")).hexdigest()
        return {"root": root, "asked": self.form, "order": digest, **options.plain()}

    def _pool(self, plan: recognise.Plan, parsed: cache.Parsed, key: str, value: str | None) -> Pool:
        names, remarks = tuple(parsed.info["class_names"]), parsed.info["remarks"]
        names = self._names(names)
        sets = {
            part: Split(parsed.arrays[f"{part}_images"], parsed.arrays[f"{part}_labels"])
            for part in PARTS
            if f"{part}_images" in parsed.arrays
        }
        if len(names) < 2 and self.cuts:
            raise RequestError(
                f"there is only one class, {''.join(names)!r}; at least two are needed", key=key, value=value
            )
        log.info("data    %s", self._line(plan, sets, names, remarks))
        place = Path(str(value)).expanduser().absolute()
        provenance = {
            "source": plan.form,
            "path": str(place),
            **{name: fact for name, fact in parsed.info.items() if name not in ("class_names", "remarks")},
            **({"read_as": remarks} if remarks else {}),
        }
        train, test, validation = sets["train"], sets.get("test"), sets.get("validation")
        if test is None:
            train, test = self.cut_test(train)
        warn_of_copies(str(value), train, validation, test)
        return Pool(plan.form, train, test, names, provenance, validation)

    def _names(self, of_data: tuple[str, ...]) -> tuple[str, ...]:
        if self.class_names is None:
            return of_data
        names = names_of_classes(self.class_names, len(self.class_names))
        if len(names) != len(of_data):
            raise RequestError(
                f"must be {len(of_data)} different names, one per class, but has {len(names)}", key="class_names",
                value=list(names),
            )  # fmt: skip
        return names

    def _line(self, plan: recognise.Plan, sets: dict[str, Split], names: tuple[str, ...], remarks: list[str]) -> str:
        """Return what the data was taken for, in one line."""
        counts = ", ".join(f"{len(split):,} {IN_WORDS[part]}" for part, split in sets.items())
        height, width = sets["train"].images.shape[1:]
        facts = [f"{counts} images of {height} x {width} in {len(names)} classes", *remarks]
        return f"{Path(str(self.path or self.train_images)).name} is {plan.what}: {'; '.join(facts)}"


def _parsed(plan: recognise.Plan, options: Options) -> cache.Parsed:
    """Read and normalise the files of a plan."""
    record = plan.read(options)
    normal = normalise.normalised(record, options)
    info: dict[str, Any] = {"files": record.files}
    if plan.form == "csv":
        info["sha256"] = _hash_of_tables(normal.arrays)
    if not normal.scale.as_it_is:
        info["range"] = asdict(normal.scale)
    info |= {"class_names": list(normal.class_names), "remarks": normal.remarks}
    return cache.Parsed(normal.arrays, info, record.warnings)


def _hash_of_tables(arrays: dict[str, np.ndarray]) -> str:
    """Return the hash of tables as version 0.1 computed it, so that its runs know their data."""
    hashes = [
        cache.content_hash({kind: arrays[f"{part}_{kind}"] for kind in ("images", "labels")})
        for part in PARTS
        if f"{part}_images" in arrays
    ]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _existing_path(value: str | None, form: str) -> Path:
    """Return the path of the data, which may be a file or a folder."""
    if form == "folder":
        return existing("path", value, "a folder with a folder of images for each class", folder=True)
    what = {"idx": "a folder of IDX files", "csv": "a CSV file", "npz": "an .npz file"}.get(form, "your data")
    return existing("path", value, what, folder=None)


def _short(message: str) -> str:
    return message if len(message) <= MOST_MESSAGE else message[: MOST_MESSAGE - 3].rstrip() + "..."


def warn_of_copies(what: str, train: Split, validation: Split | None, test: Split) -> None:
    """Log a warning if images of the test or validation set are also in the training set."""
    for name, part in (("test", test), ("validation", validation)):
        if part is None or not len(part):
            continue
        duplicates = copies.count(part, train)
        if duplicates.exact or duplicates.near:
            near = (
                f"{duplicates.near:,} nearly so"
                if duplicates.exact
                else f"{duplicates.near:,} nearly (the same pictures, changed a little)"
            )
            same = f"{duplicates.exact:,} pixel for pixel" if duplicates.exact else ""
            log.warning(
                "%s: %s of %s %s images are also in the training set (%s); the accuracy on them says little",
                what, f"{duplicates.exact + duplicates.near:,}", f"{len(part):,}", name,
                ", ".join(text for text in (same, near if duplicates.near else "") if text),
            )  # fmt: skip
