"""The errors a user meets, and the checks that raise them.

Every message is one line of the form ``key=value: what it must be; the cure``. The key is the bare name of the
parameter; the caller, which has its group (``optimizer``, ``data``, ...), puts that before it (`RequestError.under`).
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from typing import Any


class Key(str):
    """The name of another parameter in the message of a `RequestError`; `under` and `renamed` change it too."""

    __slots__ = ()


class RequestError(ValueError):
    """The request is invalid, and nothing was started. Exit status 2.

    Args:
        message: what the value must be, and the cure, in one or more pieces;
            a `Key` among them names another parameter.
        key: the invalid parameter, dotted if it is inside another one; None if the error is about no parameter.
        value: its value; kept as text, so that the error can be pickled whatever the value was.
    """

    def __init__(self, *message: str, key: str | None = None, value: Any = ...) -> None:
        self.pieces, self.key = message, key
        self.value = None if value is ... else f"{value}"
        value_text = "" if self.value is None else f"={self.value}"
        super().__init__(self.message if key is None else f"{key}{value_text}: {self.message}")

    @property
    def message(self) -> str:
        """The text after the key and its value."""
        return "".join(self.pieces)

    def under(self, group: str, **others: str) -> RequestError:
        """Return the error with ``group.`` before its key and before the keys that its message mentions.

        ``others`` are the full names of mentioned keys that belong to other groups. An error without a key is one of
        the group itself.
        """
        key = group if self.key is None else f"{group}.{self.key}"
        return self._renamed(key, lambda mentioned: others.get(mentioned, f"{group}.{mentioned}"))

    def renamed(self, **names: str) -> RequestError:
        """Return the error with other names for some keys; the part after the first dot of a key is kept."""

        def rename(key: str) -> str:
            first, dot, rest = key.partition(".")
            return f"{names.get(first, first)}{dot}{rest}"

        return self._renamed(None if self.key is None else rename(self.key), rename)

    def extended(self, text: str) -> RequestError:
        """Return the error with ``text`` after its message."""
        return self._with(self.key, *self.pieces, text)

    def _renamed(self, key: str | None, rename: Callable[[str], str]) -> RequestError:
        return self._with(key, *(Key(rename(piece)) if isinstance(piece, Key) else piece for piece in self.pieces))

    def _with(self, key: str | None, *message: str) -> RequestError:
        return RequestError(*message, key=key, value=... if self.value is None else self.value)


class RunError(RuntimeError):
    """The run was started and failed; the files written so far are kept. Exit status 1."""


class Pruned(Exception):
    """A trial of a search is stopped early: others were better after as many epochs."""


def needs(package: str, extra: str) -> str:
    """Return the message for a missing package of an optional extra."""
    return f"the package {package} is not installed; run pip install '.[{extra}]' in a clone of mnistlab"


def wants_traceback() -> bool:
    """Return whether the user set HYDRA_FULL_ERROR=1; the answer is cached, since `train` sets it for Hydra."""
    return os.environ.setdefault("MNISTLAB_TRACEBACK", os.environ.get("HYDRA_FULL_ERROR", "0")) == "1"


def fail(name: str, message: str, status: int = 2) -> int:
    """Print one line on stderr and return the status."""
    print(f"{name}: error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    return status


def number(name: str, value: Any) -> float:
    """Return ``value`` as a finite float, or raise a `RequestError` that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise RequestError("must be a number", key=name, value=_display_value(value))
    return float(value)


def positive(name: str, value: Any, what: str = "") -> float:
    """Return a number above zero."""
    if not number(name, value) > 0:
        raise RequestError(_must("be positive", what), key=name, value=value)
    return float(value)


def not_negative(name: str, value: Any, what: str = "") -> float:
    """Return a number of zero or more."""
    if not number(name, value) >= 0:
        raise RequestError(_must("be zero or more", what), key=name, value=value)
    return float(value)


def fraction(name: str, value: Any, what: str = "") -> float:
    """Return a number of the interval [0, 1)."""
    if not 0 <= number(name, value) < 1:
        raise RequestError(_must("be at least 0 and below 1", what), key=name, value=value)
    return float(value)


def between(name: str, value: Any, low: float, high: float, what: str = "") -> float:
    """Return a number of the interval [low, high]."""
    if not low <= number(name, value) <= high:
        raise RequestError(_must(f"be between {low:g} and {high:g}", what), key=name, value=value)
    return float(value)


def whole(name: str, value: Any, least: int = 1, what: str = "") -> int:
    """Return a whole number of ``least`` or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise RequestError(_must(f"be a whole number of {least} or more", what), key=name, value=_display_value(value))
    return value


def _must(requirement: str, what: str) -> str:
    """Return "the learning rate must be positive", or "must be positive" where the key is clear enough."""
    return f"{what} must {requirement}".lstrip()


def _display_value(value: Any) -> Any:
    """Return a value as it appears in a message: text other than a word is quoted, since "3" is not 3."""
    return repr(value) if isinstance(value, str) and not value.isalpha() else value


def choice(name: str, value: Any, options: Any) -> Any:
    """Return ``value`` if it is one of ``options``; otherwise raise, with the nearest name suggested."""
    if value not in options:
        options = list(map(str, options))
        raise RequestError(f"choose one of {', '.join(options)}{did_you_mean(value, options)}", key=name, value=value)
    return value


def did_you_mean(value: Any, options: Any, group: str = "") -> str:
    """Return ``" (did you mean x?)"`` for a near miss, with ``group`` before x; otherwise an empty string."""
    from difflib import get_close_matches  # imported here: most commands are spelt correctly

    near = get_close_matches(str(value), [str(option) for option in options], n=1, cutoff=0.6)
    return f" (did you mean {group}{near[0]}?)" if near else ""
