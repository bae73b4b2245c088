"""sweep.json: the jobs of a sweep and their directories, written before the first job starts.

It is written again only to add jobs: by `mnistlab resume SWEEP seed=...`, or by a sweep that adds seeds until its
verdicts are decided, whose design is in it from the start. The status of a job is in its own directory, written by the
job itself, so that there is only one record of it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mnistlab.runs import paths
from mnistlab.statistics.sequential import Design
from mnistlab.sweeps import shape as shapes
from mnistlab.sweeps.rungs import Halving
from mnistlab.sweeps.shape import Shape
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
    added: tuple[tuple[str, ...], ...] = ()  # the values that each `mnistlab resume` has added
    design: Design | None = None  # of a sweep that adds seeds until its verdicts are decided
    shape: Shape = field(default_factory=Shape)  # of its grid
    halving: Halving | None = None  # of a sweep that stops its worse settings early

    def write(self) -> None:
        """Write sweep.json."""
        content = {
            "format": FORMAT,
            "overrides": list(self.overrides),
            "config_dir": self.config_dir,
            "started_in": self.started_in,
            **({"added": [list(values) for values in self.added]} if self.added else {}),
            **({} if self.shape.is_plain else {"grid": self.shape.as_json()}),
            **({"halving": asdict(self.halving)} if self.halving else {}),
            **({"until_decided": asdict(self.design)} if self.design else {}),
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

    @property
    def command(self) -> str:
        """Return the commands that have made the sweep, one per line."""
        design, place = self.design, files.shown(self.directory)
        options = [*self.shape.options(), *(self.halving.options() if self.halving else [])]
        if design:
            options += ["--until-decided", "--looks", ",".join(map(str, design.looks)), "--alpha", f"{design.alpha:g}"]
            if design.margin is not None:
                options += ["--margin", f"{100 * design.margin:g}"]
        first = shlex.join(["mnistlab", "train", "-m", *self.overrides, *options])
        return "\n".join([first, *(shlex.join(["mnistlab", "resume", str(place), *values]) for values in self.added)])

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
        added = tuple(_texts(values) for values in content.get("added", ()))
        design = _design(content["until_decided"]) if "until_decided" in content else None
        shape = shapes.of_json(content["grid"]) if "grid" in content else Shape()
        halving = Halving.of_json(content["halving"]) if "halving" in content else None
        overrides = _texts(content["overrides"])
        return Manifest(directory, overrides, config_dir, started_in, entries, added, design, shape, halving)
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


def _design(content: Mapping[str, Any]) -> Design:
    design = Design(**{**content, "looks": tuple(content["looks"])})
    whole = all(isinstance(number, int) for number in (*design.looks, design.first_seed, design.settings))
    if not whole or list(design.looks) != sorted({*design.looks}) or not 0 < design.alpha < 1:
        raise ValueError("the design of until_decided is damaged")
    return design


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
