"""The audits of data in the folder of the runs, with the images of their lists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnistlab.analysis.audit.audit import parts_of
from mnistlab.board.board import Board, inside
from mnistlab.board.images import packed
from mnistlab.board.requests import whole
from mnistlab.data.dataset import Pool
from mnistlab.data.sources.registry import SOURCES
from mnistlab.reporting.html import readable
from mnistlab.runs import paths
from mnistlab.runs.saved_run import PATH_KEYS
from mnistlab.system.errors import RequestError
from mnistlab.system.readers import read_json_or_empty, read_rows

MOST = 200  # rows of one answer
SUMMARY = (
    *("name", "by", "images", "scored", "label_errors", "duplicates", "identical", "across_parts", "different_labels"),
    *("similarity", "scores", "run"),
)
Values = Mapping[str, Any]


def audits(board: Board, values: Values) -> dict[str, Any]:
    """Return all audits with their counts, by number."""
    return {"audits": [{"number": i, **_summary(folder)} for i, folder in enumerate(_folders(board))]}


def label_errors(board: Board, values: Values) -> dict[str, Any]:
    """Return the most suspicious labels of an audit with their images; ``all`` includes those that are no errors."""
    folder = _folder(board, values)
    rows = read_rows(inside(board.root, folder / paths.LABEL_ERRORS))
    if not values.get("all"):
        rows = [row for row in rows if row["is_error"] == "1"]
    shown = _page(rows, values)
    with board.lock:
        images = _images(folder, [(row["part"], row["row"]) for row in shown])
    names = ("part", "row", "label", "suggested", "quality", "suggested_probability")
    return {
        "matching": len(rows),
        "rows": [{name: readable(row[name]) for name in names} for row in shown],
        "images": images,
    }


def duplicates(board: Board, values: Values) -> dict[str, Any]:
    """Return the pairs of images of an audit; ``across`` keeps those between training and test part."""
    folder = _folder(board, values)
    rows = read_rows(inside(board.root, folder / paths.DUPLICATES))
    if values.get("across"):
        rows = [row for row in rows if row["part"] != row["other_part"]]
    shown = _page(rows, values)
    with board.lock:
        first = _images(folder, [(row["part"], row["row"]) for row in shown])
        second = _images(folder, [(row["other_part"], row["other_row"]) for row in shown])
    plain = [{name: readable(text) for name, text in row.items() if name} for row in shown]
    return {"matching": len(rows), "rows": plain, "images": first, "others": second}


def _folders(board: Board) -> list[Path]:
    place = board.root / paths.AUDITS
    if not place.is_dir():
        return []
    inside(board.root, place)
    found = [path for path in sorted(place.iterdir()) if (path / paths.AUDIT).is_file() and not path.is_symlink()]
    return [path for path in found if inside(board.root, path / paths.AUDIT)]


def _folder(board: Board, values: Values) -> Path:
    folders, number = _folders(board), whole(values, "audit")
    if number >= len(folders):
        raise RequestError(f"audit {number}: there is no such audit")
    return folders[number]


def _summary(folder: Path) -> dict[str, Any]:
    about = read_json_or_empty(folder / paths.AUDIT)
    summary = {key: about.get(key) for key in SUMMARY}
    readable_texts = {key: readable(value) for key, value in summary.items() if isinstance(value, str)}
    return {**summary, **readable_texts, "folder": readable(folder.name), "damaged": not about}


def _page(rows: list[dict[str, str]], values: Values) -> list[dict[str, str]]:
    start = whole(values, "start")
    return rows[start : start + min(whole(values, "count", 60), MOST)]


def _images(folder: Path, places: list[tuple[str, str]]) -> dict[str, Any] | None:
    """Return the images at (part, row) of the audited data."""
    if not places:
        return None
    pool = _pool(folder)
    parts = parts_of(pool)
    try:
        return packed(np.stack([parts[part].images[int(row)] for part, row in places]))
    except (KeyError, IndexError, ValueError):
        raise RequestError(f"{folder.name}: its lists name images that the data does not have") from None


def _pool(folder: Path) -> Pool:
    about = read_json_or_empty(folder / paths.AUDIT)
    kind, settings, started_in = SOURCES.get(str(about.get("source"))), about.get("settings"), about.get("started_in")
    if kind is None or not isinstance(settings, dict):
        raise RequestError(f"{folder.name}: {paths.AUDIT} does not say what data it is of")
    for key in PATH_KEYS:
        if isinstance(settings.get(key), str) and isinstance(started_in, str):
            settings[key] = str(Path(started_in) / settings[key])
    try:
        source = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), settings))
    except OmegaConfBaseException as error:
        raise RequestError(
            f"{folder.name}: {paths.AUDIT} has other settings than data={kind.__name__} ({error})"
        ) from None
    pool: Pool = source.read()  # type: ignore[union-attr]
    if about.get("sha256") not in (None, pool.provenance.get("sha256")):
        raise RequestError(f"data={pool.name}: the data has changed since the audit")
    return pool


READS = {"audits": audits, "label_errors": label_errors, "duplicates": duplicates}
