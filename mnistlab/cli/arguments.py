"""The words of a command line that are not Hydra's: options with a value, flags, and all the rest."""

from __future__ import annotations

from collections.abc import Sequence

from mnistlab.system import output
from mnistlab.system.errors import RequestError, did_you_mean


def known_everywhere(command: str) -> tuple[str, ...]:
    """Return the options that `mnistlab` takes out of the arguments before a command sees them."""
    return () if command in output.WITHOUT_RESULT else (output.FLAG,)


def split(
    command: str, arguments: Sequence[str], valued: Sequence[str], flags: Sequence[str] = ()
) -> tuple[list[str], dict[str, str], list[str]]:
    """Return the other words, the options (``--to DIR`` or ``--to=DIR``) with their values, and the flags.

    An option that is unknown, given twice or without its value is a `RequestError`.
    """
    words: list[str] = []
    given: dict[str, str] = {}
    found: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, value = argument.partition("=")
        if name in valued:
            if name in given:
                raise RequestError(f"{name}: it is given twice")
            value = value if equals else next(remaining, "")
            if not value or value.startswith("--"):
                raise RequestError(f"{name}: a value was expected; see `mnistlab {command} --help`")
            given[name] = value
        elif argument in flags:
            found.append(argument)
        elif argument.startswith("-"):
            near = did_you_mean(name, [*valued, *flags, *known_everywhere(command)])
            raise RequestError(f"{argument}: unknown option{near}; see `mnistlab {command} --help`")
        else:
            words.append(argument)
    return words, given, found


def with_numbers(
    command: str, arguments: Sequence[str], numbers: Sequence[str] = ()
) -> tuple[list[str], dict[str, int]]:
    """Return the overrides, and the numbers that were given."""
    overrides: list[str] = []
    found: dict[str, int] = {}
    remaining = iter(arguments)
    for argument in remaining:
        name, given, value = argument.partition("=")
        if name in numbers:
            value = value if given else next(remaining, "")
            if not value.isdecimal() or not int(value):
                raise RequestError(f"{name}={value}: a whole number of 1 or more was expected")
            found[name] = int(value)
        elif argument.startswith("-"):
            near = did_you_mean(name, [*numbers, *known_everywhere(command)])
            raise RequestError(f"{argument}: unknown option; see `mnistlab {command} --help`{near}")
        else:
            overrides.append(argument)
    return overrides, found
