"""Conditions on the settings of a point: ``optimizer=adam and optimizer.lr>0.01``.

    condition   = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation    = "not" negation | "(" condition ")" | comparison
    comparison  = key ("=" | "==" | "!=" | "<" | "<=" | ">" | ">=") value | key "in" value { "," value }

A key is that of an override, a group or a setting. Numbers are compared as numbers, everything else as text.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text

LookUp = Callable[[str], Any]  # the value of a key, or `ABSENT`
Test = Callable[[LookUp], bool]
ABSENT = object()
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
ORDERING = ("<", "<=", ">", ">=")
WORDS = ("and", "or", "not", "in")
TOKEN = re.compile(
    r"""\s*(?: (?P<operator> <=|>=|!=|==|=|<|> ) | (?P<sign> [(),] )
      | (?P<value> '[^']*' | "[^"]*" | \[[^\]]*\] | [^\s()<>=!,'"\[\]]+ ) )""",
    re.VERBOSE,
)
KEY = re.compile(r"[A-Za-z_][\w./]*")
EXAMPLE = "for example 'optimizer=adam and optimizer.lr>0.01', in quotes"


@dataclass(frozen=True)
class Condition:
    """A parsed condition, with the keys in it."""

    text: str
    keys: tuple[str, ...]
    test: Test

    def __call__(self, look_up: LookUp) -> bool:
        """Return whether a point fulfils it; a comparison with a key that the point does not have is false."""
        return self.test(look_up)


def parse(text: str) -> Condition:
    """Return the condition; raises `RequestError` with what is wrong in it."""
    return _Parser(text).condition()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.keys, self.tokens = text, list[str](), list[str]()
        place = 0
        while place < len(text.rstrip()):
            match = TOKEN.match(text, place)
            if match is None:
                raise self.wrong(f"{text[place:].strip()[0]!r} is not understood")
            self.tokens.append(match[match.lastgroup or 0])
            place = match.end()

    def wrong(self, reason: str) -> RequestError:
        return RequestError(f"--exclude {self.text}: {reason}; must be a condition, {EXAMPLE}")

    def condition(self) -> Condition:
        test = self.disjunction()
        if self.tokens:
            raise self.wrong(f"{self.tokens[0]!r} is one word too many")
        return Condition(self.text, tuple(dict.fromkeys(self.keys)), test)

    def next_is(self, *words: str) -> bool:
        """Take the next token if it is one of these."""
        if self.tokens and self.tokens[0] in words:
            del self.tokens[0]
            return True
        return False

    def disjunction(self) -> Test:
        tests = [self.conjunction()]
        while self.next_is("or"):
            tests.append(self.conjunction())
        return lambda look_up: any(test(look_up) for test in tests)

    def conjunction(self) -> Test:
        tests = [self.negation()]
        while self.next_is("and"):
            tests.append(self.negation())
        return lambda look_up: all(test(look_up) for test in tests)

    def negation(self) -> Test:
        if self.next_is("not"):
            test = self.negation()
            return lambda look_up: not test(look_up)
        if self.next_is("("):
            test = self.disjunction()
            if not self.next_is(")"):
                raise self.wrong("a bracket is not closed")
            return test
        return self.comparison()

    def comparison(self) -> Test:
        key = self.taken("a key")
        if not KEY.fullmatch(key) or key in WORDS:
            raise self.wrong(f"{key!r} is not a key")
        self.keys.append(key)
        if self.next_is("in"):
            values = self.values()
            return lambda look_up: any(_compared("=", look_up(key), value) for value in values)
        sign = self.taken("a comparison")
        if sign not in OPERATORS:
            raise self.wrong(f"{key} is not followed by one of {' '.join(OPERATORS)} in")
        value = self.value()
        if sign in ORDERING and not _is_number(value):
            raise self.wrong(f"{key}{sign}{as_text(value)} compares with a name; {sign} needs a number")
        return lambda look_up: _compared(sign, look_up(key), value)

    def values(self) -> Sequence[Any]:
        bracket = self.next_is("(")
        values = [self.value()]
        while self.next_is(","):
            values.append(self.value())
        if bracket and not self.next_is(")"):
            raise self.wrong("a bracket is not closed")
        return values

    def value(self) -> Any:
        text = self.taken("a value")
        if text in OPERATORS or text in ("(", ")", ",") or text in WORDS:
            raise self.wrong(f"{text!r} is in place of a value")
        try:
            return float(text)
        except ValueError:
            pass
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            raise self.wrong(f"{text} is not a value") from None

    def taken(self, what: str) -> str:
        if not self.tokens:
            raise self.wrong(f"it ends where {what} is expected")
        return self.tokens.pop(0)


def _compared(sign: str, value: Any, to: Any) -> bool:
    if value is ABSENT:
        return False
    if _is_number(value) and _is_number(to):
        return OPERATORS[sign](float(value), float(to))
    if sign in ORDERING:
        return False
    return OPERATORS[sign](_plain_text(value), _plain_text(to))


def _plain_text(value: Any) -> str:
    return as_text(value).replace(" ", "")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
