"""The SHA-256 of every file under a folder, without what no two runs have in common: times, places, the commit."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from pathlib import Path

from safetensors.numpy import load

TIMED = ("accuracy_over_time.png", "accuracy_over_time.txt")
NEVER = ("status.json", "train.log", "study.sqlite3", ".lock", *TIMED)  # of these there is no one right content
SECONDS = re.compile(r"seconds|duration|started|finished|^time$")
VARYING = re.compile(
    rb"\d{4}-\d\d-\d\d[T_ ]?[\d:.+-]*"  # a date, with or without its time
    rb"|\d[\d,.]*(?:&nbsp;| )(?:ms|s|min|h)\b"  # a duration
    rb"|\b(?:load|train|evaluate|plots) \d[\d.]*"
    rb"|(?m:(?<=\| )\d[\d,]*\.\d(?= \|$))|(?<=<td class=\"n\">)\d[\d,]*\.\d(?=</td></tr>)"  # seconds of a sweep's job
    rb"|(?<=;base64,)[\w+/=]+"  # a picture, which is a file too
    rb"|\b[0-9a-f]{40}\b\+?"  # the commit, and whether files differ from it
)


def hashes(folder: Path) -> dict[str, str]:
    """Return the hash of every file that repeats, by its path below ``folder``."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(NEVER))
    return {path.relative_to(folder).as_posix(): _hash(path, str(folder).encode()) for path in paths}


def _hash(path: Path, place: bytes) -> str:
    content = path.read_bytes()
    if path.suffix == ".csv":
        content = _without_seconds(content.decode()).encode()
    elif path.suffix in (".html", ".md", ".yaml") or path.name in ("environment.json", "sweep.json"):
        content = VARYING.sub(b"VARYING", content.replace(place, b"PLACE"))
    elif path.name.startswith("checkpoint"):
        content = _checkpoint(content)
    return hashlib.sha256(content).hexdigest()


def _without_seconds(text: str) -> str:
    rows = list(csv.reader(io.StringIO(text)))
    kept = [i for i, name in enumerate(rows[0]) if not SECONDS.search(name)]
    return "\n".join(",".join(row[i] for i in kept if i < len(row)) for row in rows)


def _checkpoint(content: bytes) -> bytes:
    """Return the arrays of a checkpoint and its plain values; the last column of the history is seconds."""
    arrays = load(content)
    arrays["history"] = arrays["history"][:, :-1]
    size = int.from_bytes(content[:8], "little")
    about = json.loads(next(iter(json.loads(content[8 : 8 + size])["__metadata__"].values())))
    about["state"].pop("seconds", None)
    parts = [json.dumps(about, sort_keys=True).encode()]
    return b"".join(parts + [name.encode() + array.tobytes() for name, array in sorted(arrays.items())])
