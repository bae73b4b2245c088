"""The records of many runs: the jobs of a sweep, or the runs and sweeps that a user names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mnistlab.runs import paths
from mnistlab.runs.record import Record, read
from mnistlab.statistics.sequential import Design
from mnistlab.sweeps import manifest
from mnistlab.system.errors import RequestError, did_you_mean


def of_sweep(directory: Path) -> list[Record]:
    """Return a record for every job of a sweep, in order."""
    sweep = manifest.read(directory)
    return [read(sweep.place(entry), entry.settings) for entry in sweep.entries]


def of_paths(places: Sequence[str]) -> list[Record]:
    """Return the records of runs and sweeps, each run once."""
    by_directory: dict[Path, Record] = {}
    for text in places:
        path = Path(text)
        if not path.is_dir():
            others = path.parent.iterdir() if path.parent.is_dir() and not path.exists() else ()
            near = did_you_mean(path.name, [other.name for other in others])
            raise RequestError(f"{text}: no such directory; name runs or sweeps{near}")
        if (path / paths.SWEEP).exists():
            records = of_sweep(path)
        elif (path / paths.STATUS).exists():
            records = [read(path)]
        else:
            raise RequestError(
                f"{text}: neither a run directory ({paths.STATUS}) nor a sweep directory ({paths.SWEEP})"
            )
        for record in records:
            by_directory.setdefault(record.directory.resolve(), record)
    return list(by_directory.values())


def design_of(places: Sequence[str]) -> Design | None:
    """Return the design by which a sweep adds seeds until it is decided, if that is all that is named."""
    sweeps = [path for path in map(Path, places) if (path / paths.SWEEP).exists()]
    return manifest.read(sweeps[0]).design if len(places) == len(sweeps) == 1 else None
