"""The language of filters: overrides, plus ``!= < > <= >= ~`` and globs, on settings, metrics and facts of a run.

    model=lenet*  optimizer.lr<0.01  state=failed,killed  'started>2d'  tag=week3  test.accuracy>=0.97  note~lost

A run matches if all filters do. Each becomes an SQL condition on the columns and JSON values of `index`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from operator import ge, gt, le, lt
from typing import Any

from mnistlab.runs.index import Index, value_of
from mnistlab.runs.status import STATES
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.flatten import as_text

OPERATORS = ("!=", "<=", ">=", "=", "<", ">", "~")
FILTER = re.compile(r"([A-Za-z_][\w.-]*?)\s*(!=|<=|>=|=|<|>|~)\s*(.*)", re.DOTALL)
UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
COLUMNS = {"state": "state", "seconds": "seconds", "path": "path"}
INSIDE = {"note": "json_extract(data, '$.note')", "error": "json_extract(data, '$.error')"}


@dataclass(frozen=True)
class Condition:
    """An SQL condition with its parameters."""

    sql: str
    parameters: tuple[Any, ...] = ()


def is_filter(text: str) -> bool:
    """Return whether a word has the form of a filter."""
    return FILTER.fullmatch(text.strip()) is not None


def parse(words: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return key, operator and value of each filter; one word may contain several, with spaces between."""
    parsed = []
    for word in words:
        for text in _split(word):
            match = FILTER.fullmatch(text)
            if match is None:
                raise RequestError(
                    f"{text}: not a filter; must be a key, one of {' '.join(OPERATORS)} and a value, for example "
                    "optimizer.lr<0.01, state=failed or tag=week3"
                )
            key, operator, value = match.groups()
            if not value:
                raise RequestError(f"{text}: the value is missing")
            parsed.append((key, operator, value.strip()))
    return parsed


def holds(actual: Any, operator: str, value: str) -> bool:
    """Return whether a setting meets the operator and value of a filter, as `condition` has it in SQL."""
    text = as_text(actual)
    if operator in ("<", ">", "<=", ">="):
        limit = _number("", operator, value)
        number = actual if isinstance(actual, (int, float)) and not isinstance(actual, bool) else None
        compare = {"<": lt, ">": gt, "<=": le, ">=": ge}[operator]
        return number is not None and bool(compare(number, limit))
    if operator == "~":
        return actual is not None and value.lower() in text.lower()
    equal = any(
        fnmatchcase(text, each.replace("[", "[[]")) if _is_glob(each) else _plain(each) == _plain(text)
        for each in _values(value)
    )
    return equal != (operator == "!=")


def condition(words: Sequence[str], index: Index) -> Condition:
    """Return the condition of all filters; raises `RequestError` for a key that no run has, or a wrong value."""
    parsed = parse(words)
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
    if key == "started":
        return _started(operator, value)
    if operator in ("<", ">", "<=", ">="):
        column = COLUMNS.get(key) or INSIDE.get(key) or value_of(key)
        return Condition(
            f"typeof({column}) IN ('integer', 'real') AND {column} {operator} ?", (_number(key, operator, value),)
        )
    if key == "tag":
        inner = _equal("value", operator, value)
        sql = f"EXISTS (SELECT 1 FROM json_each(data, '$.tags') WHERE {inner.sql})"
        return Condition(f"NOT {sql}" if operator == "!=" else sql, inner.parameters)
    if key == "state" and operator != "~":
        for name in _values(value):
            if name not in STATES and not _is_glob(name):
                raise RequestError(
                    f"state{operator}{value}: choose one of {', '.join(STATES)}{did_you_mean(name, STATES)}"
                )
    column = COLUMNS.get(key) or INSIDE.get(key) or value_of(key)
    inner = _equal(column, operator, value)
    return Condition(f"NOT coalesce({inner.sql}, 0)" if operator == "!=" else inner.sql, inner.parameters)


def _equal(column: str, operator: str, value: str) -> Condition:
    """Return the condition that a value is one of several, or contains a text."""
    if operator == "~":
        return Condition(f"instr(lower({column}), lower(?)) > 0", (value,))
    parts, parameters = [], []
    for each in _values(value):
        if each == "null":
            parts.append(f"{column} IS NULL")
        elif _is_glob(each):
            parts.append(f"CAST({column} AS TEXT) GLOB ?")
            parameters.append(re.sub(r"\[", "[[]", each))
        else:
            parts.append(f"{column} = ?")
            parameters.append(_plain(each))
    return Condition(" OR ".join(parts), tuple(parameters))


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


def _number(key: str, operator: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise RequestError(f"{key}{operator}{value}: must be compared with a number") from None


def _plain(value: str) -> Any:
    try:
        return float(value)
    except ValueError:
        return value


def _values(value: str) -> list[str]:
    """Return the values of a list; commas inside brackets do not separate."""
    return [each.strip() for each in re.split(r",(?![^\[({]*[\])}])", value)]


def _split(word: str) -> list[str]:
    """Return the filters of one word: a space before a key and an operator separates them."""
    return re.split(r"\s+(?=[A-Za-z_][\w.-]*\s*(?:!=|<=|>=|=|<|>|~))", word.strip())


def _is_glob(value: str) -> bool:
    return "*" in value or "?" in value
