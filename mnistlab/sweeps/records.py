"""The records of many runs: the jobs of a sweep, or the runs and sweeps that a user names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mnistlab.analysis.compare import Comparison
from mnistlab.runs import paths
from mnistlab.runs.record import Record, read
from mnistlab.statistics.sequential import Design
from mnistlab.sweeps import manifest
from mnistlab.sweeps.manifest import Manifest
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


def until_decided(runs: Iterable[Path]) -> list[Manifest]:
    """Return the sweeps with a design that have any of these runs."""
    parents = dict.fromkeys(parent for run in runs for parent in run.resolve().parents)
    sweeps = []
    for place in (parent for parent in parents if (parent / paths.SWEEP).exists()):
        with suppress(RequestError):  # of another kind, or damaged
            sweeps.append(manifest.read(place))
    return [sweep for sweep in sweeps if sweep.design]


def cautioned(comparison: Comparison, design: Design | None) -> Comparison:
    """Return a comparison with a warning if some of its seeds were added until a sweep was decided, without its design.

    `compare` itself warns where it was given the design and was asked something else.
    """
    runs = [record.directory for group in comparison.groups for record in group.records]
    if design is not None or not until_decided(runs):
        return comparison
    warning = "some seeds were added until a sweep was decided; these tests do not allow for that"
    return replace(comparison, warnings=(*comparison.warnings, warning))


def design_of(places: Sequence[str]) -> Design | None:
    """Return the design by which a sweep adds seeds until it is decided, if that is all that is named."""
    sweeps = [path for path in map(Path, places) if (path / paths.SWEEP).exists()]
    return manifest.read(sweeps[0]).design if len(places) == len(sweeps) == 1 else None
