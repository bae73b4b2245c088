"""Checks of paths from the user."""

from __future__ import annotations

from pathlib import Path

from mnistlab.system.errors import RequestError, did_you_mean


def expanded(value: str | Path) -> Path:
    """Return the path with ~ expanded; an unknown user's ~name is left unchanged."""
    try:
        return Path(value).expanduser()
    except RuntimeError:
        return Path(value)


def existing(name: str, value: str | None, what: str, folder: bool | None = False) -> Path:
    """Return the path in the option ``name``; it must exist and be a file, a folder, or either (``folder`` None)."""
    if not value:
        raise RequestError(f"must be the path of {what}; set {name}", key=name, value=value)
    path = expanded(value)
    try:
        if not path.exists():
            others = path.parent.iterdir() if path.parent.is_dir() else ()
            near = did_you_mean(path.name, [other.name for other in others if folder in (None, other.is_dir())])
            kind = {True: "folder", False: "file", None: "file"}[folder]
            raise RequestError(f"no such {kind}{near}; check {name}", key=name, value=value)
        if folder and not path.is_dir():
            raise RequestError(f"this is a file; must be a folder ({what})", key=name, value=value)
        if not folder and not path.is_file() and not (folder is None and path.is_dir()):
            raise RequestError(f"not a file; must be the path of {what}", key=name, value=value)
    except (OSError, ValueError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(
            f"cannot be read ({getattr(error, 'strerror', error)}); check {name}", key=name, value=value
        ) from None
    return path
