"""A cache of parsed arrays as .npy files, memory-mapped and shared by all processes that read the same files.

An entry is a folder whose name depends on the files' paths and the options. Its ``entry.json`` records the parser's
version, the sizes and modification times of the files, the checksum of each array and one of its own; an entry that is
stale or damaged is built again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.data.paths import expanded
from mnistlab.system import readers

log = logging.getLogger("mnistlab.data")

VERSION = 4  # of the parsers; a new version makes all entries stale
LOCK_SECONDS = 900


@dataclass
class Parsed:
    """The result of a parser: named arrays, facts about them as plain JSON, and notes for the user."""

    arrays: dict[str, np.ndarray]
    info: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def folder() -> Path:
    """Return the user's cache folder: $MNISTLAB_CACHE, or the standard one of the system."""
    if variable := os.environ.get("MNISTLAB_CACHE"):
        return expanded(variable)
    import platformdirs

    return Path(platformdirs.user_cache_dir("mnistlab"))


def parsed(kind: str, sources: Iterable[Path], options: Mapping[str, Any], build: Callable[[], Parsed]) -> Parsed:
    """Return the result of ``build``, from the cache if it was built before from the same files and options.

    The SHA-256 of the arrays is added to ``info`` (``sha256``, see `content_hash`).
    """
    paths = sorted(str(path.resolve()) for path in sources)
    place = folder() / "parsed" / f"{kind}-{_hash([paths, dict(options)])[:24]}"
    stats = [Path(path).stat() for path in paths]
    stamp = _hash([VERSION, [[stat.st_size, stat.st_mtime_ns] for stat in stats]])
    entry = _open(place, stamp) or _build_under_lock(place, stamp, build)
    for note in entry.notes:
        log.warning("%s", note)
    return entry


def content_hash(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of arrays in the order of their names: the name, shape, type and bytes of each.

    It is the same on every machine, since integers are hashed as little-endian.
    """
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        portable = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(f"{name} {array.shape} {array.dtype.name}\n".encode())
        digest.update(_bytes(portable))
    return digest.hexdigest()


def _build_under_lock(place: Path, stamp: str, build: Callable[[], Parsed]) -> Parsed:
    import filelock

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(f"{place}.lock", timeout=LOCK_SECONDS)
        lock.acquire()
    except (OSError, NotImplementedError) as error:  # filelock.Timeout is an OSError
        _without(place, error)
        return _complete(build())
    try:
        entry = _open(place, stamp)  # another process may have built it in the meantime
        if entry is None:
            built = _complete(build())
            try:
                _save(place, stamp, built)
            except OSError as error:
                _without(place, error)
                return built
            del built  # otherwise the arrays would be in memory twice
            entry = _open(place, stamp) or _complete(build())
        return entry
    finally:
        lock.release()


def _without(place: Path, error: OSError | NotImplementedError) -> None:
    log.warning(
        "the cache %s cannot be written (%s); continuing without it; set MNISTLAB_CACHE to use another folder",
        place.parent.parent,
        getattr(error, "strerror", None) or error,
    )


def _complete(entry: Parsed) -> Parsed:
    if "sha256" not in entry.info:
        entry.info["sha256"] = content_hash(entry.arrays)
    return entry


def _save(place: Path, stamp: str, entry: Parsed) -> None:
    for left_behind in place.parent.glob(f"{place.name}.*/"):  # by a killed process, since we hold the lock
        shutil.rmtree(left_behind, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=place.parent))
    try:
        checksums = {}
        for name, array in entry.arrays.items():
            np.save(temporary / f"{name}.npy", array, allow_pickle=False)
            checksums[name] = zlib.crc32(_bytes(array))
        sidecar = {"stamp": stamp, "checksums": checksums, "info": entry.info, "notes": entry.notes}
        sealed = {**sidecar, "seal": _hash(sidecar)}
        (temporary / "entry.json").write_text(json.dumps(sealed, indent=1), encoding="utf-8")
        shutil.rmtree(place, ignore_errors=True)
        temporary.rename(place)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _open(place: Path, stamp: str) -> Parsed | None:
    """Return the entry, or None if it is missing, stale or damaged."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, RecursionError):
        sidecar = readers.read_json(place / "entry.json")
        if sidecar.pop("seal") != _hash(sidecar) or sidecar["stamp"] != stamp:
            return None
        arrays = {}
        for name, checksum in sidecar["checksums"].items():
            path = place / f"{name}.npy"
            if not path.is_file():  # a pipe would block
                return None
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
            arrays[name] = np.asarray(mapped)
            if zlib.crc32(_bytes(arrays[name])) != checksum:
                return None
        return Parsed(arrays, sidecar["info"], sidecar["notes"])
    return None


def _bytes(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _hash(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
