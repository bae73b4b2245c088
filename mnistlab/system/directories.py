"""Output directories: how they are named, created and refused. No two processes ever get the same new one."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from mnistlab.system.errors import RequestError

IN_THE_WAY = "a file is in the way; name a directory"
ELSEWHERE = "choose another directory with --to DIR"

_created: set[Path] = set()


def cache_folder() -> Path:
    """Return the user's cache folder: $MNISTLAB_CACHE, or the one that the system prescribes."""
    if variable := os.environ.get("MNISTLAB_CACHE"):
        return Path(variable).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("mnistlab"))


def remember(path: Path) -> None:
    """Record that this process creates the directory, and may therefore remove it again."""
    _created.add(path.absolute())


def is_ours(path: Path) -> bool:
    """Return whether this process created the directory."""
    return path.absolute() in _created


def forget_empty(path: Path) -> None:
    """Remove a directory that this process has created, if nothing is in it, and then empty parent folders."""
    if not is_ours(path) or (path.exists() and any(path.iterdir())):
        return
    if path.exists():
        path.rmdir()
    for parent in path.parents:
        if not parent.is_relative_to(Path.cwd()) or parent == Path.cwd() or any(parent.iterdir()):
            break
        parent.rmdir()


def claim(path: str) -> str:
    """Create a new directory and return its path: ``path``, or ``path-2``, ``path-3``, ...

    Two runs that start in the same microsecond thus never share one. Raises `OSError` if it cannot be created.
    """
    for attempt in range(1, 1000):
        directory = Path(path if attempt == 1 else f"{path}-{attempt}")
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            if not directory.exists():  # a part of the path is a file
                raise
            continue
        remember(directory)
        return str(directory)
    raise RequestError(f"{path}: a thousand directories of this name exist; remove some")


def by_time(folder: str, suffix: str = "", *, separator: str = "_") -> Path:
    """Create a directory named after the local time and return it; ``separator`` joins date and time."""
    now = datetime.now()
    name = f"{now:%Y-%m-%d}{separator}{now:%H-%M-%S-%f}{'_' if suffix else ''}{suffix}"
    try:
        return Path(claim(f"{folder}/{name}"))
    except OSError as error:
        raise RequestError(f"{error.filename}: {error.strerror}; {ELSEWHERE}") from None


def refuse(path: Path, label: str, *, not_empty: str, in_the_way: str) -> None:
    """Refuse a path that is neither new nor an empty directory, before any work is done for it."""
    if path.exists() and not path.is_dir():
        raise RequestError(f"{label}: {in_the_way}")
    if path.exists() and any(path.iterdir()):
        raise RequestError(f"{label}: {not_empty}")


def named(
    path: Path,
    label: str,
    *,
    exists: str | None = None,
    not_empty: str | None = None,
    in_the_way: str | None = None,
    marker: str | None = None,
    otherwise: str = ELSEWHERE,
) -> Path:
    """Create the directory that a user names, unless it exists, and return its path.

    Every refusal is a `RequestError` that begins with ``label``, the option or key with its value.

    Args:
        path: The directory.
        label: How messages name it: ``--to results``, ``hydra.sweep.dir=results``.
        exists: Message if the path exists; None accepts it.
        not_empty: Message if the directory is not empty; None accepts it.
        in_the_way: Message if a file is in place of a directory; None uses the system's message.
        marker: An empty file that is created in the directory and must be new: the directory may contain other files,
            but only one of two processes can claim it.
        otherwise: The cure that follows the system's message.
    """
    try:
        try:
            path.mkdir(parents=True)
            remember(path)
        except FileExistsError:
            if exists:
                raise RequestError(f"{label}: {exists}") from None
            if not path.is_dir():
                raise
        if not_empty and any(path.iterdir()):
            raise RequestError(f"{label}: {not_empty}")
        if marker:
            (path / marker).touch(exist_ok=False)
    except OSError as error:
        if in_the_way and isinstance(error, (FileExistsError, NotADirectoryError)):
            raise RequestError(f"{label}: {in_the_way}") from None
        raise RequestError(f"{label}: {error.strerror}; {otherwise}") from None
    return path
