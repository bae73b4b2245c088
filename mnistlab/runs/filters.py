"""The language of filters: overrides, plus ``!= < > <= >= ~`` and globs, on settings, metrics and facts of a run.

    model=lenet*  optimizer.lr<0.01  state=failed,killed  'started>2d'  tag=week3  test.accuracy>=0.97  note~lost

A run matches if all filters do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from operator import ge, gt, le, lt
from typing import Any

from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text

OPERATORS = ("!=", "<=", ">=", "=", "<", ">", "~")
ORDER = {"<": lt, ">": gt, "<=": le, ">=": ge}
FILTER = re.compile(r"([A-Za-z_][\w.-]*?)\s*(!=|<=|>=|=|<|>|~)\s*(.*)", re.DOTALL)


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
    """Return whether a setting, metric or fact meets the operator and value of a filter.

    A number equals every spelling of it, and what it is shown as. A text equals only itself: tag 2024 is not 2024.0.
    """
    number = actual if isinstance(actual, (int, float)) and not isinstance(actual, bool) else None
    if operator in ORDER:
        limit = checked_number("", operator, value)
        return number is not None and bool(ORDER[operator](number, limit))
    text = as_text(actual)
    if operator == "~":
        return actual is not None and value.lower() in text.lower()
    equal = any(
        actual is not None and fnmatchcase(text, each.replace("[", "[[]"))
        if is_glob(each)
        else each == text or (number is not None and _number(each) == number)
        for each in values(value)
    )
    return equal != (operator == "!=")


def checked_number(key: str, operator: str, value: str) -> float:
    """Return the value of a filter as a number; raises `RequestError` if it is none."""
    number = _number(value)
    if number is None:
        raise RequestError(f"{key}{operator}{value}: must be compared with a number")
    return number


def values(value: str) -> list[str]:
    """Return the values of a list; commas inside brackets do not separate."""
    return [each.strip() for each in re.split(r",(?![^\[({]*[\])}])", value)]


def is_glob(value: str) -> bool:
    """Return whether a value has wildcards."""
    return "*" in value or "?" in value


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _split(word: str) -> list[str]:
    """Return the filters of one word: a space before a key and an operator separates them."""
    return re.split(r"\s+(?=[A-Za-z_][\w.-]*\s*(?:!=|<=|>=|=|<|>|~))", word.strip())
