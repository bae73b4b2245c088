"""The options of a new sweep: the shape of its grid, seeds until decided, and successive halving."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mnistlab.cli.parameters import Parsed, Whole, option
from mnistlab.cli.until_decided import request_of as until_decided_of
from mnistlab.cli.until_decided import until_decided_options
from mnistlab.system.errors import RequestError

if TYPE_CHECKING:
    from mnistlab.sweeps.request import Request


def keys_of(name: str, text: str) -> tuple[str, ...]:
    """Return the keys of ``optimizer.lr,trainer.batch_size``."""
    if "=" in text:
        raise RequestError(
            f"{name} {text}: names keys only, and their values are given as usual: "
            "optimizer.lr=0.01,0.1 trainer.batch_size=32,128 --zip optimizer.lr,trainer.batch_size"
        )
    keys = tuple(key.strip() for key in text.split(","))
    if len(keys) < 2 or not all(keys) or len({*keys}) < len(keys):
        raise RequestError(
            f"{name} {text}: must be two or more different keys with commas between, for example "
            "optimizer.lr,trainer.batch_size"
        )
    return keys


ZIP = option(
    "--zip",
    metavar="KEY,KEY,...",
    multiple=True,
    type=Parsed(keys_of),
    help="In a sweep, these keys vary together: the first values of all, then the second, ... May be repeated.",
)
SET = option(
    "--set",
    "sets",
    metavar="'KEY=VALUE ...'",
    multiple=True,
    help="In a sweep, a set of options that belong together, in quotes. Repeat it for each set: they are the values of "
    "one axis of the grid.",
)
OPTIONS = (
    ZIP,
    SET,
    option(
        "--exclude",
        metavar="CONDITION",
        multiple=True,
        help="In a sweep, leave out the points that fulfil a condition, for example 'optimizer=adam and "
        "optimizer.lr>0.01', in quotes. May be repeated.",
    ),
    option("--sample", metavar="N", type=Whole(), help="In a sweep, draw N settings at random; each has all seeds."),
    option(
        "--sample-seed",
        metavar="N",
        type=Whole(0),
        help="With --sample: the seed of the drawing.",
        show_default="0",
    ),
    option(
        "--halving",
        is_flag=True,
        help="In a sweep, train all settings for a few epochs, and only the best of them, by validation accuracy, for "
        "more (successive halving).",
    ),
    option(
        "--reduction",
        metavar="N",
        type=Whole(2),
        help="With --halving: one of N settings goes on from each rung.",
        show_default="3",
    ),
    option(
        "--first-rung",
        metavar="N",
        type=Whole(),
        help="With --halving: the number of epochs after which settings are first stopped.",
        show_default="as few as it takes to end with one setting",
    ),
)


def sweep_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options."""
    function = until_decided_options(function)
    for each in reversed(OPTIONS):
        function = each(function)
    return function


def request_of(
    zip: tuple[tuple[str, ...], ...],  # noqa: A002  # the name of the option
    sets: tuple[str, ...],
    exclude: tuple[str, ...],
    sample: int | None,
    sample_seed: int | None,
    halving: bool,
    reduction: int | None,
    first_rung: int | None,
    **until_decided: Any,
) -> Request | None:
    """Return what was asked for, or None for a plain grid."""
    for name, value, needed in (
        ("--sample-seed", sample_seed, ("--sample", sample is not None)),
        ("--reduction", reduction, ("--halving", halving)),
        ("--first-rung", first_rung, ("--halving", halving)),
    ):
        if value is not None and not needed[1]:
            raise RequestError(f"{name}: this option is for {needed[0]}; use both")
    keys = [key for group in zip for key in group]
    for key in keys:
        if keys.count(key) > 1:
            raise RequestError(f"--zip: {key} is in two groups; name all keys that vary together in one")
    decided = until_decided_of(**until_decided)
    if decided and halving:
        raise RequestError("--halving: conflicts with --until-decided, which trains all settings fully; leave one out")
    from mnistlab.sweeps.request import Request
    from mnistlab.sweeps.rungs import Request as Halving
    from mnistlab.sweeps.shape import Shape

    rungs = Halving(reduction or Halving.reduction, first_rung) if halving else None
    request = Request(Shape(zip, sets, exclude, sample, sample_seed or 0), decided, rungs)
    return None if request == Request() else request


def first_of(request: Request) -> str:
    """Return the name of an option that was given, for an error."""
    if request.until_decided:
        return "--until-decided"
    return "--halving" if request.halving else request.shape.options()[0]
