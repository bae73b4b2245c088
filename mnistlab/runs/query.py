"""Filters as SQL: each becomes a condition on the columns and JSON values of `index`."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mnistlab.runs import filters
from mnistlab.runs.index import Index, value_of
from mnistlab.runs.status import STATES
from mnistlab.system.errors import RequestError, did_you_mean

UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
COLUMNS = {"state": "state", "seconds": "seconds", "path": "path"}
INSIDE = {"note": "json_extract(data, '$.note')", "error": "json_extract(data, '$.error')"}


@dataclass(frozen=True)
class Condition:
    """An SQL condition with its parameters."""

    sql: str
    parameters: tuple[Any, ...] = ()


def condition(words: Sequence[str], index: Index) -> Condition:
    """Return the condition of all filters; raises `RequestError` for a key that no run has, or a wrong value."""
    parsed = filters.parse(words)
    conditions = [_one(key, operator, value) for key, operator, value in parsed]
    for key, operator, _ in parsed:
        if key not in (*COLUMNS, *INSIDE, "tag", "started") and not index.has(key):
            known = [*COLUMNS, *INSIDE, "tag", "started", *index.keys()]
            if not index.is_empty() and not any(name.startswith(f"{key}.") for name in known):
                raise RequestError(f"{key}{operator}...: no run has this setting or metric{did_you_mean(key, known)}")
    return Condition(
        " AND ".join(f"({each.sql})" for each in conditions) or "1",
        tuple(parameter for each in conditions for parameter in each.parameters),
    )


def order(key: str, index: Index, word: str) -> str:
    """Return the SQL order by a key, descending with a minus before it; runs without it come last.

    ``word`` is what was typed, with which an error begins.
    """
    descends, name = key.startswith("-"), key.lstrip("+-")
    column = {**COLUMNS, "started": "started"}.get(name) or value_of(name)
    if column.startswith("json") and not index.has(name):
        known = [*COLUMNS, "started", *index.keys()]
        raise RequestError(f"{word}: no run has this setting or metric{did_you_mean(name, known)}")
    return f"{column} IS NULL, {column} {'DESC' if descends else 'ASC'}"


def _one(key: str, operator: str, value: str) -> Condition:
    """Return the condition of one filter. The function ``holds`` in it is `filters.holds`, which the index defines."""
    if key == "started":
        return _started(operator, value)
    if operator in filters.ORDER:
        filters.checked_number(key, operator, value)
    if key == "tag":
        sql = "EXISTS (SELECT 1 FROM json_each(data, '$.tags') WHERE holds(value, ?, ?))"
        return Condition(f"NOT {sql}", ("=", value)) if operator == "!=" else Condition(sql, (operator, value))
    if key == "state" and operator in ("=", "!="):
        for name in filters.values(value):
            if name not in STATES and not filters.is_glob(name):
                raise RequestError(
                    f"state{operator}{value}: choose one of {', '.join(STATES)}{did_you_mean(name, STATES)}"
                )
    column = COLUMNS.get(key) or INSIDE.get(key) or value_of(key)
    return Condition(f"holds({column}, ?, ?)", (operator, value))


def _started(operator: str, value: str) -> Condition:
    """Return the condition on the time: after (``>``) or before (``<``) a time, or that many days ago; = is a day."""
    match = re.fullmatch(rf"(\d+(?:\.\d+)?)({'|'.join(UNITS)})", value)
    if match and operator in ("<", ">", "<=", ">="):
        return Condition(f"started {operator} ?", (time.time() - float(match[1]) * UNITS[match[2]],))
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise RequestError(
            f"started{operator}{value}: must be a time (2026-11-21 or 2026-11-21T09:30), or how long ago: 2h, 3d, 1w"
        ) from None
    start = moment.timestamp()
    end = start + (UNITS["d"] if "T" not in value and " " not in value else 60)
    match operator:
        case ">=" | "<":
            return Condition(f"started {operator} ?", (start,))
        case ">" | "<=":
            return Condition(f"started {'>=' if operator == '>' else '<'} ?", (end,))
        case "=":
            return Condition("started >= ? AND started < ?", (start, end))
        case "!=":
            return Condition("started < ? OR started >= ?", (start, end))
    raise RequestError(f"started{operator}{value}: must be compared with = != < > <= or >=")
