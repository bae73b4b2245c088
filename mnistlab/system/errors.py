"""The errors a user meets, and the checks that raise them.

Every message is one line of the form ``key=value: what was expected; the cure``. The key is the bare name of the
field; whoever knows the group it stands in (``optimizer``, ``data``, ...) puts that in front.
"""

from __future__ import annotations

import math
import os
import sys
from difflib import get_close_matches
from typing import Any


class RequestError(ValueError):
    """The request is wrong: nothing was started. Exit status 2."""


class RunError(RuntimeError):
    """The run was started and failed: what it had written stays. Exit status 1."""


class Pruned(Exception):
    """A trial of a search is stopped early: others were better after as many epochs."""


def wants_traceback() -> bool:
    """Return whether the user set HYDRA_FULL_ERROR=1; the answer is kept, since `train` sets it for Hydra's sake."""
    return os.environ.setdefault("MNISTLAB_TRACEBACK", os.environ.get("HYDRA_FULL_ERROR", "0")) == "1"


def fail(name: str, message: str, status: int = 2) -> int:
    """Print one line on stderr and return the status."""
    print(f"{name}: error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    return status


def number(name: str, value: Any, expected: str = "a number") -> float:
    """Return ``value`` as a finite float, or raise a `RequestError` that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise RequestError(f"{name}={_shown(value)}: {expected} was expected")
    return float(value)


def positive(name: str, value: Any, what: str = "it") -> float:
    """Return a number above zero."""
    if not number(name, value) > 0:
        raise RequestError(f"{name}={value}: {what} must be positive")
    return float(value)


def not_negative(name: str, value: Any, what: str = "it") -> float:
    """Return a number of zero or more."""
    if not number(name, value) >= 0:
        raise RequestError(f"{name}={value}: {what} must be zero or more")
    return float(value)


def fraction(name: str, value: Any, what: str = "it") -> float:
    """Return a number of the interval [0, 1)."""
    if not 0 <= number(name, value) < 1:
        raise RequestError(f"{name}={value}: {what} must be at least 0 and below 1")
    return float(value)


def between(name: str, value: Any, low: float, high: float, what: str = "it") -> float:
    """Return a number of the interval [low, high]."""
    if not low <= number(name, value) <= high:
        raise RequestError(f"{name}={value}: {what} must lie between {low:g} and {high:g}")
    return float(value)


def whole(name: str, value: Any, least: int = 1, what: str = "it") -> int:
    """Return a whole number of ``least`` or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise RequestError(f"{name}={_shown(value)}: {what} must be a whole number of {least} or more")
    return value


def _shown(value: Any) -> Any:
    """Return a value that is no number as it was given; other text than a word in quotes, since "3" is not 3."""
    return repr(value) if isinstance(value, str) and not value.isalpha() else value


def choice(name: str, value: Any, options: Any) -> Any:
    """Return ``value`` if it is one of ``options``; otherwise raise, with the nearest name suggested."""
    if value not in options:
        raise RequestError(
            f"{name}={value}: choose one of {', '.join(map(str, options))}{did_you_mean(value, options)}"
        )
    return value


def did_you_mean(value: Any, options: Any) -> str:
    """Return ``" (did you mean x?)"`` for a near miss, otherwise nothing."""
    near = get_close_matches(str(value), [str(option) for option in options], n=1, cutoff=0.6)
    return f" (did you mean {near[0]}?)" if near else ""
