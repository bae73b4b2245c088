"""run.json: what a list of runs shows of one, so that no YAML has to be read for it.

It is written when the run starts, with its settings, and again when it is completed, with its metrics.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistlab.runs import paths
from mnistlab.system import files
from mnistlab.system.flatten import as_text, look_up
from mnistlab.system.readers import UnreadableError, read_json

if TYPE_CHECKING:
    from mnistlab.runs.record import Record

FORMAT = 1
Content = Mapping[str, Any]


def write(run: Path) -> None:
    """Write run.json from the saved configuration of a run that starts."""
    files.write_json(run / paths.RUN, _from_configuration(run))


def content_of(record: Record) -> dict[str, Any]:
    """Return the settings of a run, its seed, and those that were typed: how it differs from the defaults."""
    from mnistlab.runs.record import decides

    typed = [key for key in record.overridden if decides(key)]
    return {
        "format": FORMAT,
        "seed": record.seed,
        "changed": [f"{key}={as_text(look_up(record.settings, key))}" for key in typed],
        "settings": dict(record.settings),
    }


def complete(run: Path, metrics: Content) -> None:
    """Add the metrics to run.json when a run is completed, so that no longer file has to be read for a list."""
    files.write_json(run / paths.RUN, {**read(run), "metrics": dict(numbers(metrics))})


def numbers(metrics: Content) -> Iterator[tuple[str, float]]:
    """Yield the metrics, test.accuracy and test.macro.f1, but not those of single classes."""
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            if key != "per_class":
                yield from ((f"{key}.{inner}", number) for inner, number in numbers(value))
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            yield key, value


def read(run: Path) -> Content:
    """Return the content of run.json; of a run that has none, or a damaged one, it is made from its configuration."""
    try:
        content = read_json(run / paths.RUN)
        if isinstance(content, dict) and is_whole(content):
            return content
    except UnreadableError:
        pass
    return _from_configuration(run)


def _from_configuration(run: Path) -> dict[str, Any]:
    from mnistlab.runs import record  # imported here: a list of runs seldom needs YAML

    return content_of(record.read(run))


def is_whole(content: Content) -> bool:
    """Return whether this is the content of run.json."""
    lists = isinstance(content.get("settings"), dict) and isinstance(content.get("changed"), list)
    return content.get("format") == FORMAT and lists and "seed" in content
