"""Archives (zip, tar) of data files or of folders of pictures: unpacked within limits into a temporary folder."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from mnistlab.data.formats import content
from mnistlab.data.idx_format import LARGEST, BadFileError

MOST_MEMBERS = 200_000
DENSEST = 200  # largest ratio of unpacked to packed bytes, above `ALWAYS`
ALWAYS = 2**27


@contextmanager
def unpacked(path: Path, kind: str) -> Iterator[Path]:
    """Yield a temporary folder with the files of an archive; links and paths that lead outside are left out."""
    place = Path(tempfile.mkdtemp(prefix="mnistlab-"))
    try:
        try:
            if kind == "zip":
                _unzip(path, place)
            else:
                _untar(path, place)
        except (BadFileError, MemoryError):
            raise
        except (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError, zlib.error, RuntimeError, ValueError) as error:
            why = " ".join(str(error).split())[:100]
            raise BadFileError(f"{path.name} is a damaged archive ({why}); copy or download it again") from None
        except NotImplementedError as error:
            raise BadFileError(f"{path.name} uses {str(error)[:60]}; unpack it first") from None
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


class _Budget:
    """The bytes that may still be unpacked."""

    def __init__(self, path: Path) -> None:
        self.name, self.left = path.name, min(2 * LARGEST, max(ALWAYS, DENSEST * path.stat().st_size))

    def copy(self, source: IO[bytes], target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            while piece := source.read(2**20):
                self.left -= len(piece)
                if self.left < 0:
                    raise BadFileError(f"{self.name} unpacks to far more than its size, too much for a set of images")
                file.write(piece)


def _target(place: Path, name: str) -> Path | None:
    """Return where a member goes; None for what is left out: outside the folder, hidden, or of a file system."""
    pure = PurePosixPath(name.replace("\\", "/"))
    parts = pure.parts
    if pure.is_absolute() or not parts or ".." in parts or any(part.startswith((".", "__MACOSX")) for part in parts):
        return None
    if any("\0" in part or len(part.encode("utf-8", "surrogateescape")) > 255 for part in parts) or len(parts) > 12:
        return None
    return place.joinpath(*parts)


def _unzip(path: Path, place: Path) -> None:
    budget = _Budget(path)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        _check_count(path, len(members))
        for member in members:
            target = _target(place, member.filename)
            if target is None or member.is_dir():
                continue
            if member.flag_bits & 1:
                raise BadFileError(f"{path.name} is protected by a password; unpack it first")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BadFileError(f"{path.name} uses a compression method that is not read; unpack it first")
            with archive.open(member) as source:
                budget.copy(source, target)


def _untar(path: Path, place: Path) -> None:
    budget, count = _Budget(path), 0
    with content.Stream(path) as stream:
        stream.most = budget.left + 2**24
        with tarfile.open(fileobj=io.BufferedReader(stream), mode="r|", encoding="utf-8") as archive:
            for member in archive:
                count += 1
                _check_count(path, count)
                target = _target(place, member.name)
                if target is None or not member.isfile():
                    continue
                source = archive.extractfile(member)
                if source is not None:
                    budget.copy(source, target)


def _check_count(path: Path, count: int) -> None:
    if count > MOST_MEMBERS:
        raise BadFileError(f"{path.name} has more than {MOST_MEMBERS:,} members, too many to read")
