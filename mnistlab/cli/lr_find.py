"""``mnistlab lr-find``: its command line and its output."""

from __future__ import annotations

import math

from mnistlab.analysis.lr_find import LEAST, MOST, STEPS, Request, find
from mnistlab.cli.overrides import Overrides
from mnistlab.cli.parameters import DIRECTORY, Parsed, Whole, argument, command, json_option, option
from mnistlab.system import console, files, output
from mnistlab.system.errors import RequestError, RunError


def rate(name: str, text: str) -> float:
    """Return a learning rate."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1e-12 <= value <= 1e6:
        raise RequestError(f"{name} {text}: must be a learning rate from 1e-12 to 1e6, such as 1e-5")
    return value


@command("lr-find", examples=("mnistlab lr-find", "mnistlab lr-find model=lenet5 optimizer=sgd --until 100"))
@argument(
    "overrides",
    metavar="[group=option ...] [key=value ...]",
    nargs=-1,
    type=Overrides(),
    help="The configuration, as for `mnistlab train`.",
)
@option(
    "--from",
    "least",
    metavar="RATE",
    type=Parsed(rate),
    default=LEAST,
    show_default=f"{LEAST:g}",
    help="The first learning rate.",
)
@option(
    "--until",
    "most",
    metavar="RATE",
    type=Parsed(rate),
    default=MOST,
    show_default=f"{MOST:g}",
    help="The last learning rate; the test stops earlier if the loss reaches four times its minimum.",
)
@option("--steps", metavar="N", type=Whole(20, 100_000), default=STEPS, help="Number of mini-batches.")
@option("--to", metavar="DIR", type=DIRECTORY, help="The directory to write to.", show_default="outputs/lr-find/")
@json_option
def main(overrides: tuple[str, ...], least: float, most: float, steps: int, to: str | None) -> int:
    """Suggest a learning rate with a range test.

    Trains for a few hundred steps while the learning rate increases from very small to too large (Smith 2017),
    plots the loss against the rate, and suggests the rate at which the loss falls fastest, with a safety
    margin. Data, model, optimizer, init, regularization, augment and batch size are those of `mnistlab
    train`; optimizer.lr and the schedule are ignored. Only the training set is used. The same seed gives the
    same suggestion.
    """
    if not least < most:
        raise RequestError(f"--from {least:g} --until {most:g}: the first rate must be below the last")
    console.start("quiet")
    test = find(Request(list(overrides), least, most, steps, to))
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
        "the suggestion is at most a third of that rate",
        f"pictures and numbers     {place}",
    ]
    if suggestion.still_falling:
        lines.append(f"the loss is still falling at {rates[-1]:g}; extend the range with --until {10 * rates[-1]:g}")
    output.show({"directory": place, **test.about}, "\n".join(lines))
    return 0
