"""sweep.json: the jobs of a sweep and their directories, written before the first job starts and then only read.

The status of a job is in its own directory, written by the job itself, so that there is only one record of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mnistlab.runs import paths
from mnistlab.system import files
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text
from mnistlab.system.readers import UnreadableError, read_json

FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """One job in the manifest."""

    number: int
    directory: str  # inside that of the sweep
    overrides: tuple[str, ...]
    config_hash: str
    settings: Mapping[str, Any]  # the settings that vary in the sweep

    @property
    def title(self) -> str:
        """Return the settings that vary, as typed on a command line."""
        return " ".join(f"{key}={as_text(value)}" for key, value in self.settings.items()) or self.directory


@dataclass(frozen=True)
class Manifest:
    """The jobs of a sweep, and the overrides that define them."""

    directory: Path
    overrides: tuple[str, ...]
    config_dir: str | None
    started_in: str  # the working directory, the base of relative paths
    entries: tuple[Entry, ...] = field(repr=False)

    def write(self) -> None:
        """Write sweep.json."""
        content = {
            "format": FORMAT,
            "overrides": list(self.overrides),
            "config_dir": self.config_dir,
            "started_in": self.started_in,
            "jobs": [
                {
                    "number": entry.number,
                    "directory": entry.directory,
                    "overrides": list(entry.overrides),
                    "config_hash": entry.config_hash,
                    "settings": dict(entry.settings),
                }
                for entry in self.entries
            ],
        }
        files.write_json(self.directory / paths.SWEEP, content)

    def place(self, entry: Entry) -> Path:
        """Return the directory of a job."""
        return self.directory / entry.directory


def read(directory: Path) -> Manifest:
    """Return the manifest of a sweep; raises `RequestError` if it is missing, damaged, or has outside paths."""
    path = directory / paths.SWEEP
    try:
        content = read_json(path)
    except UnreadableError as error:
        raise RequestError(_problem(directory, error.cause)) from None
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']} is not {FORMAT}")
        entries = tuple(_entry(i, row) for i, row in enumerate(content["jobs"]))
        config_dir, started_in = content["config_dir"], content["started_in"]
        if not isinstance(config_dir, (str, type(None))) or not isinstance(started_in, str):
            raise ValueError("config_dir or started_in is not a path")
        if not entries:
            raise ValueError("there are no jobs")
        places = {PurePosixPath(entry.directory) for entry in entries}
        if len(places) < len(entries) or any(above in places for place in places for above in place.parents):
            raise ValueError("two jobs share a directory")
        return Manifest(directory, _texts(content["overrides"]), config_dir, started_in, entries)
    except (KeyError, TypeError, ValueError) as error:
        raise RequestError(
            f"{files.shown(path)}: not the manifest of a sweep ({type(error).__name__}: {error}); start the sweep again"
        ) from None


def _problem(directory: Path, cause: Exception) -> str:
    shown, path = files.shown(directory), files.shown(directory / paths.SWEEP)
    match cause:
        case FileNotFoundError():
            return f"{shown}: not a sweep directory (no {paths.SWEEP}){_cure(directory)}"
        case NotADirectoryError():
            return f"{shown}: must be the directory of a sweep"
        case OSError():
            return f"{path}: {cause.strerror or cause}; check file permissions"
    return f"{path}: not readable as JSON ({cause}); start the sweep again"


def _entry(number: int, row: Mapping[str, Any]) -> Entry:
    place, settings = PurePosixPath(row["directory"]), row["settings"]
    if row["number"] != number or not isinstance(settings, dict) or not isinstance(row["config_hash"], str):
        raise ValueError(f"the entry of job {number} is incomplete")
    if place.is_absolute() or ".." in place.parts or not place.parts or "\0" in row["directory"]:
        raise ValueError(f"the directory of job {number} is outside the sweep: {place}")
    return Entry(number, str(place), _texts(row["overrides"]), row["config_hash"], settings)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError("must be a list of overrides")
    return tuple(value)


def _cure(directory: Path) -> str:
    if not directory.exists():
        return "; check the path"
    if (directory / paths.STATUS).exists():
        return "; it is a single run"
    return "; name a directory of outputs/multirun"
