"""``mnistlab lr-find``: what its command line asks for, and what it writes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mnistlab.analysis.lr_find import LEAST, MOST, STEPS, Request, find
from mnistlab.cli import arguments as arguments_of
from mnistlab.system import console, files, output
from mnistlab.system.errors import RequestError, RunError

USAGE = f"""\
Usage: mnistlab lr-find [group=option ...] [key=value ...] [options]

  Trains for a few hundred steps while the learning rate grows from very small to too large (Smith 2017), draws the loss
  against the rate, and suggests the one at which the loss falls fastest, with a margin to where it rises. Data, model,
  optimizer, init, regularization, augment and batch size are those of `mnistlab train`; optimizer.lr and the schedule
  do not count. Only the training part is looked at. The same seed gives the same suggestion.

  --from RATE    the first rate ({LEAST:g})
  --until RATE   the last rate ({MOST:g}); the test ends before, when the loss is four times the smallest
  --steps N      mini-batches ({STEPS})
  --to DIR       where to write, if not in outputs/lr-find/
  --json         one JSON object instead
"""


def main(arguments: list[str]) -> int:
    """Run the range test as the arguments say; return the exit status."""
    if {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0
    console.start("quiet")
    test = find(parse(arguments))
    rates, suggestion, place = test.rates, test.suggestion, files.shown(test.folder)
    if suggestion is None:
        print(f"pictures and numbers     {place}")  # noqa: T201
        raise RunError(
            f"the loss never fell by 5 % between {rates[0]:.2g} and {rates[len(test.losses) - 1]:.2g}, so there is no "
            "rate to suggest; try a wider range with --from and --until, more --steps, or another init"
        )
    lines = [
        f"suggested                optimizer.lr={suggestion.lr:g}",
        f"steepest descent         at {suggestion.steepest:.2g}",
        f"smallest loss            {test.smoothed.min():.4g} at {suggestion.smallest:.2g}; "
        "the suggestion is a third at most",
        f"pictures and numbers     {place}",
    ]
    if suggestion.still_falling:
        lines.append(f"the loss still falls at {rates[-1]:g}: look further with --until {10 * rates[-1]:g}")
    output.show({"directory": place, **test.about}, "\n".join(lines))
    return 0


def parse(arguments: Sequence[str]) -> Request:
    """Return the request, every option checked."""
    words, given, _ = arguments_of.split("lr-find", arguments, ("--from", "--until", "--steps", "--to"))
    least = _rate("--from", given.get("--from", str(LEAST)))
    most = _rate("--until", given.get("--until", str(MOST)))
    if not least < most:
        raise RequestError(f"--from {least:g} --until {most:g}: the first rate must be below the last")
    steps = given.get("--steps", str(STEPS))
    if not steps.isdecimal() or not 20 <= int(steps) <= 100_000:
        raise RequestError(f"--steps {steps}: a whole number from 20 to 100,000 was expected")
    return Request(words, least, most, int(steps), given.get("--to"))


def _rate(option: str, text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 1e-12 <= rate <= 1e6:
        raise RequestError(f"{option} {text}: a learning rate from 1e-12 to 1e6 was expected, such as 1e-5")
    return rate
