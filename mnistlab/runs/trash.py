"""Deleting runs: they are moved to a trash in their outputs folder, and can be restored from there."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mnistlab.runs import paths, status
from mnistlab.system import files
from mnistlab.system.errors import RequestError
from mnistlab.system.readers import read_json_or_empty


@dataclass(frozen=True)
class Removed:
    """A directory in the trash, and where it was, relative to the outputs folder."""

    directory: Path
    origin: Path


def refuse_running(run: Path) -> None:
    """Raise `RequestError` if a run is still running."""
    state = status.read(run)
    if state.state == "running":
        raise RequestError(
            f"{files.shown(run)}: this run is still running (process {state.pid} on {state.host}); interrupt it first"
        )


def origin(run: Path, root: Path) -> Path:
    """Return where a run is in the outputs folder, without any ``..``; raises `RequestError` if it is not inside."""
    place, base = (Path(os.path.abspath(path)) for path in (run, root))  # noqa: PTH100  # follows no links
    if place == base or not place.is_relative_to(base):
        raise RequestError(f"{run}: not inside {root}; name its folder with --in")
    return place.relative_to(base)


def remove(run: Path, root: Path) -> Removed:
    """Move a run or a sweep to the trash."""
    place = origin(run, root)
    slot = _slot(root, place.name)
    files.write_json(slot / paths.ORIGIN, {"path": place.as_posix()})
    moved = slot / place.name
    (root / place).rename(moved)
    return Removed(moved, place)


def restore(removed: Removed, root: Path) -> Path:
    """Move a directory back to where it was; raises `RequestError` if something is there now."""
    place = root / removed.origin
    if place.exists():
        raise RequestError(f"{files.shown(place)}: already exists; move it away, then restore again")
    place.parent.mkdir(parents=True, exist_ok=True)
    removed.directory.rename(place)
    shutil.rmtree(removed.directory.parent)
    return place


def content(root: Path) -> list[Removed]:
    """Return what is in the trash, the latest first."""
    removed = []
    for slot in sorted((root / paths.TRASH).glob("*"), reverse=True):
        origin = read_json_or_empty(slot / paths.ORIGIN).get("path")
        inner = [path for path in slot.iterdir() if path.is_dir()] if slot.is_dir() else []
        if not isinstance(origin, str) or len(inner) != 1:
            continue
        if ".." not in Path(origin).parts and not Path(origin).is_absolute():
            removed.append(Removed(inner[0], Path(origin)))
    return removed


def purge(removed: Removed) -> None:
    """Delete a directory of the trash for good."""
    shutil.rmtree(removed.directory.parent)


def _slot(root: Path, name: str) -> Path:
    stamp = f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
    slot = root / paths.TRASH / f"{stamp}_{name}"
    slot.mkdir(parents=True)
    return slot
