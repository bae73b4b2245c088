"""Which runs a word means: a path, a folder, ``last``, ``last:3``, ``best:METRIC``, or filters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from mnistlab.runs import index, paths, query
from mnistlab.runs.filters import is_filter
from mnistlab.runs.index import Index, Row
from mnistlab.system import arguments, files
from mnistlab.system.errors import RequestError

OUTPUTS = Path("outputs")  # where runs are looked for
WORD = re.compile(r"(last|best)(?::(.*))?")
LOWER = ("loss", "error")
FACTS = ("state", "tag", "started", "note", "error", "seconds", "path")  # keys of filters that are no overrides


def is_selector(word: str, filters: bool = True) -> bool:
    """Return whether a word selects runs rather than naming a path that exists."""
    return not arguments.exists(word) and (WORD.fullmatch(word) is not None or (filters and is_filter(word)))


def select(word: str, root: Path = OUTPUTS) -> list[Path]:
    """Return the runs that a selector means, the newest or best first; raises `RequestError` if there is none."""
    if not root.is_dir():
        raise RequestError(f"{word}: there is no folder {root} here to look for runs in; change to its parent folder")
    with closing(Index(root)) as index_of_root:
        rows = _rows(word, index_of_root)
    if not rows:
        raise RequestError(f"{word}: no run in {files.shown(root)} matches; `mnistlab runs` lists them")
    return [row.directory for row in rows]


def _rows(word: str, index_of_root: Index) -> list[Row]:
    match = WORD.fullmatch(word)
    if match is None:
        condition = query.condition([word], index_of_root)
        return index_of_root.rows(condition.sql, condition.parameters)
    kind, value = match.groups()
    if kind == "last":
        if value is not None and not (value.isdecimal() and int(value) >= 1):
            raise RequestError(f"{word}: must be last, or last:N with a whole number of 1 or more")
        return index_of_root.rows(limit=int(value or 1))
    if not value:
        raise RequestError(f"{word}: name the metric, for example best:validation.accuracy")
    order = query.order(value if value.endswith(LOWER) else f"-{value}", index_of_root, word)
    return index_of_root.rows("state = 'completed'", order=order, limit=1)


def one(word: str) -> str:
    """Return the path of a single run: the word itself, or the run that it selects."""
    if not is_selector(word):
        return word
    runs = select(word)
    if len(runs) > 1:
        raise RequestError(f"{word}: {len(runs)} runs match, and one is needed; add filters, or use last")
    return str(runs[0])


def several(words: Sequence[str], filters: bool = True, root: Path = OUTPUTS) -> list[str]:
    """Return the paths of runs and sweeps: selectors and folders become the runs that they mean; others stay."""
    chosen: list[str] = []
    for word in words:
        path = Path(word)
        if is_selector(word, filters):
            chosen += map(str, select(word, root))
        elif arguments.is_directory(path) and not (path / paths.SWEEP).exists() and not (path / paths.STATUS).exists():
            below = [str(run) for run in index.find(path)]
            chosen += below or [word]
        else:
            chosen.append(word)
    return list(dict.fromkeys(chosen))
