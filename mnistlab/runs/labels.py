"""labels.json: the tags and the note that people give a run. They are no part of its configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mnistlab.config.labels import checked_tag
from mnistlab.runs import paths
from mnistlab.system import files
from mnistlab.system.readers import read_json_or_empty


@dataclass(frozen=True)
class Labels:
    """Tags in alphabetical order, and a note."""

    tags: tuple[str, ...] = ()
    note: str = ""


def read(run: Path) -> Labels:
    """Return the labels of a run; a damaged file counts as none."""
    content = read_json_or_empty(run / paths.LABELS)
    tags, note = content.get("tags"), content.get("note")
    is_list = isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)
    return Labels(tuple(tags) if is_list else (), note if isinstance(note, str) else "")  # type: ignore[arg-type]


def write(run: Path, labels: Labels) -> None:
    """Write the labels; without any, remove the file."""
    if labels == Labels():
        (run / paths.LABELS).unlink(missing_ok=True)
        return
    files.write_json(run / paths.LABELS, {"tags": list(labels.tags), "note": labels.note})


def tagged(labels: Labels, add: Iterable[str], remove: Iterable[str] = ()) -> Labels:
    """Return labels with some tags added and others removed."""
    return Labels(tuple(sorted({*labels.tags, *map(checked_tag, add)} - {*remove})), labels.note)
