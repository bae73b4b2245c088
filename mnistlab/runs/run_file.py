"""run.json: what a list of runs shows of one, written when it starts, so that no YAML has to be read for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnistlab.runs import paths
from mnistlab.runs.record import Record, decides
from mnistlab.runs.record import read as read_record
from mnistlab.system import files
from mnistlab.system.flatten import as_text, look_up
from mnistlab.system.readers import UnreadableError, read_json

FORMAT = 1
Content = Mapping[str, Any]


def write(run: Path) -> None:
    """Write run.json from the saved configuration of a run that starts."""
    files.write_json(run / paths.RUN, content_of(read_record(run)))


def content_of(record: Record) -> dict[str, Any]:
    """Return the settings of a run, its seed, and those that were typed: how it differs from the defaults."""
    typed = [key for key in record.overridden if decides(key)]
    return {
        "format": FORMAT,
        "seed": record.seed,
        "changed": [f"{key}={as_text(look_up(record.settings, key))}" for key in typed],
        "settings": dict(record.settings),
    }


def read(run: Path) -> Content:
    """Return the content of run.json; of a run that has none, or a damaged one, it is made from its configuration."""
    try:
        content = read_json(run / paths.RUN)
        if isinstance(content, dict) and content.get("format") == FORMAT and _is_whole(content):
            return content
    except UnreadableError:
        pass
    return content_of(read_record(run))


def _is_whole(content: Content) -> bool:
    return isinstance(content.get("settings"), dict) and isinstance(content.get("changed"), Sequence)
