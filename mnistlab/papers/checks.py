"""Checks of the values in a claims file: their types, their ranges, and the names of metrics."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mnistlab.papers import metrics
from mnistlab.system.errors import did_you_mean

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d{1,2})?", re.ASCII | re.IGNORECASE)
Reading = Mapping[str, Any]
EXAMPLES = {  # a value for every key that can be required
    "title": "A report",
    "rows": '{wide: {train: "model.hidden=[300]"}}',
    "overrides": "optimizer.lr=0.1",
    "why": "a smaller learning rate",
    "text": "wide beats narrow",
    "paper": "lin",
    "metric": "test.accuracy",
    "margin": '"0.01"',
    "row": "wide",
    "after": "50",
}


class Problem(Exception):
    """Where a file is wrong, and why."""


def number(value: Any, where: str, positive: bool = False) -> float:
    """Return a finite number, above 0 if it must be ``positive``."""
    if not _is_number(value) or (positive and value <= 0):
        raise Problem(f"{where}={value}: must be a number{' above 0' if positive else ''}")
    return float(value)


def minutes(value: Any, where: str) -> float:
    """Return a number of 0 or more."""
    if not _is_number(value) or value < 0:
        raise Problem(f"{where}={value}: must be a number of 0 or more")
    return float(value)


def whole(value: Any, where: str, least: int = 1) -> int:
    """Return a whole number."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise Problem(f"{where}={value}: must be a whole number of {least} or more")
    return value


def flag(value: Any, where: str) -> bool:
    """Return true or false; text such as "false", which counts as true in Python, is refused."""
    if not isinstance(value, bool):
        raise Problem(f"{where}={value}: must be true or false, without quotes")
    return value


def text(value: Any, where: str) -> str:
    """Return a text; a list or a mapping is none."""
    if not isinstance(value, (str, int, float)) or not str(value):
        raise Problem(f"{where}: must be a text")
    return str(value)


def word(value: Any, where: str) -> str:
    """Return a text that is not a number."""
    if not isinstance(value, str):
        raise Problem(f"{where}={value}: must be a word")
    return value


def words(value: Any, where: str) -> tuple[str, ...]:
    """Return a list of texts, or a single one."""
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise Problem(f"{where}={value}: must be a list of words")
    return tuple(value)


def classes(value: Any, where: str) -> list[str]:
    """Return the names of one or more classes, each once."""
    value = value if isinstance(value, (list, tuple)) else [value]
    for one in value:
        if isinstance(one, bool) or not isinstance(one, (str, int)):
            raise Problem(f'{where}={one}: must be the name of a class; put it in quotes, for example "5"')
    names = [str(one) for one in value]
    if not names or len({*names}) < len(names):
        raise Problem(f"{where}={value}: must be different classes, at least one")
    return names


def pairs(value: Any, where: str) -> Sequence[Sequence[str]]:
    """Return a list of pairs of rows, or a single pair as such a list."""
    is_list = isinstance(value, list) and bool(value)
    if is_list and all(isinstance(one, str) for one in value):
        value = [value]  # a single pair
    if not is_list or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise Problem(f"{where}: must be a list of pairs of rows, for example [[wide, narrow]]")
    return value


def mapping(value: Any, where: str, what: str = "of keys and values") -> Reading:
    """Return a mapping."""
    if not isinstance(value, Mapping):
        raise Problem(f"{where}: must be a mapping {what}")
    return value


def required(content: Reading, key: str, where: str) -> Any:
    """Return the value of a key that must be there."""
    if content.get(key) is None:
        raise Problem(f"{where}{key}: is missing; add for example {key}: {EXAMPLES[key]}")
    return content[key]


def known(content: Reading, keys: Collection[str], where: str) -> None:
    """Refuse unknown keys."""
    for key in content:
        if key not in keys:
            raise Problem(
                f"{where if where.endswith('.') else ''}{key}: unknown key; keys are {listed(keys)}"
                f"{did_you_mean(key, keys)}"
            )


def metric(name: str, where: str) -> None:
    """Refuse a metric that no run can have."""
    if not metrics.is_known(name):
        names = metrics.names()
        raise Problem(
            f"{where}={name}: no such metric; must be {metrics.GAP}, parameters, or train, validation or test with one "
            f"of {', '.join(dict.fromkeys(each.partition('.')[2] for each in names if '.' in each))}"
            f"{did_you_mean(name, names)}"
        )


def proportion(name: str, value: float, where: str) -> None:
    """Refuse a number for this metric that no proportion can be, or be compared with."""
    if metrics.is_proportion(name) and not 0 <= value < 1:
        raise Problem(
            f"{where}={value:g}: must be from 0 to below 1, since {name} is a proportion: 2 points are 0.02, 90 % is "
            "0.9"
        )


def figure(name: str, value: Any, where: str) -> str:
    """Return a reported figure of a metric as printed."""
    if isinstance(value, float):
        raise Problem(f'{where}={value}: must be in quotes, as "0.90", since its last digit says how it was rounded')
    printed = str(value)
    if not NUMBER.fullmatch(printed) or not math.isfinite(float(printed)):
        raise Problem(f'{where}={printed}: must be a number as printed, for example "0.98"')
    if name == "parameters" and not printed.isdecimal():
        raise Problem(f'{where}={printed}: must be a whole number in digits, for example "25450"')
    if metrics.is_proportion(name) and not (0 <= float(printed) <= 1 and metrics.exponent(printed) <= 0):
        raise Problem(f"{where}={printed}: must be from 0 to 1, since {name} is a proportion: 80 % is 0.80")
    return printed


def listed(names: Collection[str]) -> str:
    """Return names in alphabetical order, as text."""
    return ", ".join(sorted(names)[:20])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
