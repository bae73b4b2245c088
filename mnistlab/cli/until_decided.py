"""The options of ``mnistlab train`` for a sweep that adds seeds until its verdicts are decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mnistlab.cli.parameters import Parsed, Positive, option
from mnistlab.system.errors import RequestError

if TYPE_CHECKING:
    from mnistlab.sweeps.until_decided import Request


def looks_of(name: str, text: str) -> tuple[int, ...]:
    """Return the numbers of seeds of ``8,12,16``."""
    parts = text.split(",")
    looks = [int(part) if part.strip().isdecimal() and len(part) < 6 else 0 for part in parts]
    if min(looks) < 2 or looks != sorted({*looks}):
        raise RequestError(f"{name} {text}: must be rising numbers of seeds of 2 or more, for example 8,12,16,24")
    return tuple(looks)


def level(name: str, text: str) -> float:
    """Return the level of a test, between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise RequestError(f"{name} {text}: must be a number between 0 and 1, for example 0.05")
    return value


OPTIONS = (
    option(
        "--until-decided",
        is_flag=True,
        help="In a sweep, add seeds to every setting until each pair is decided, or the last look is reached.",
    ),
    option(
        "--margin",
        metavar="M",
        type=Positive(),
        help="With --until-decided: the largest difference that does not matter, in points. A pair is then also "
        "decided if it is equivalent within M.",
    ),
    option(
        "--looks",
        metavar="N,N,...",
        type=Parsed(looks_of),
        help="With --until-decided: the numbers of seeds at which the settings are compared.",
        show_default="8,12,16,24",
    ),
    option(
        "--alpha",
        metavar="P",
        type=Parsed(level),
        help="With --until-decided: the probability of any false finding that is allowed.",
        show_default="0.05",
    ),
)


def until_decided_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options."""
    for each in reversed(OPTIONS):
        function = each(function)
    return function


def request_of(
    until_decided: bool, margin: float | None, looks: tuple[int, ...] | None, alpha: float | None
) -> Request | None:
    """Return the request, or None for a sweep with a fixed number of seeds."""
    if until_decided:
        from mnistlab.sweeps.until_decided import Request

        return Request(margin, looks, alpha or Request.alpha)
    for name, value in (("--margin", margin), ("--looks", looks), ("--alpha", alpha)):
        if value is not None:
            other = "; `mnistlab compare --margin` tests existing runs" if name == "--margin" else ""
            raise RequestError(f"{name}: this option is for --until-decided; use both{other}")
    return None
