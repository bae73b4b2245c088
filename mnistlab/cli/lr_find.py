"""``mnistlab lr-find``: what its command line asks for, and what it writes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistlab.cli import arguments as arguments_of
from mnistlab.system import files, output
from mnistlab.system.errors import RequestError, RunError

if TYPE_CHECKING:
    from mnistlab.config.schema import Experiment

LEAST, MOST, STEPS = 1e-6, 10.0, 200

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


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    overrides: list[str]
    least: float
    most: float
    steps: int
    to: str | None


def main(arguments: list[str]) -> int:
    """Run the range test as the arguments say; return the exit status."""
    if {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0
    from mnistlab.config import compose, schema
    from mnistlab.nn.architectures import Model
    from mnistlab.system import console
    from mnistlab.training.lr_range_test import smoothed, suggest

    request = parse(arguments)
    console.start("quiet")
    made = schema.experiment(compose.compose(request.overrides))
    if not isinstance(made.model, Model):
        kind = type(made.model).__name__
        raise RequestError(f"model: {kind} is scikit-learn's and has no learning rate; choose a network")
    rates = np.geomspace(request.least, request.most, request.steps)
    found = _measure(made, rates)
    if not len(found):
        raise RunError("the loss is not finite before the first step; try another init")
    smooth = smoothed(found, request.steps)
    suggestion = suggest(rates, smooth)
    folder = _folder(request.to)
    about: dict[str, Any] = asdict(suggestion) if suggestion else {"lr": None}
    about |= {"optimizer": type(made.optimizer).__name__, "seed": made.seed}
    _write(folder, rates[: len(found)], found, smooth, about)
    if suggestion is None:
        print(f"pictures and numbers     {files.shown(folder)}")  # noqa: T201
        raise RunError(
            f"the loss never fell by 5 % between {rates[0]:.2g} and {rates[len(found) - 1]:.2g}, so there is no rate to"
            " suggest; try a wider range with --from and --until, more --steps, or another init"
        )
    lines = [
        f"suggested                optimizer.lr={suggestion.lr:g}",
        f"steepest descent         at {suggestion.steepest:.2g}",
        f"smallest loss            {smooth.min():.4g} at {suggestion.smallest:.2g}; the suggestion is a third at most",
        f"pictures and numbers     {files.shown(folder)}",
    ]
    if suggestion.still_falling:
        lines.append(f"the loss still falls at {rates[-1]:g}: look further with --until {10 * rates[-1]:g}")
    output.show({"directory": files.shown(folder), **about}, "\n".join(lines))
    return 0


def _measure(made: Experiment, rates: np.ndarray) -> np.ndarray:
    """Return the loss of every step, as far as it is finite; the test part is not there to be seen."""
    from threadpoolctl import threadpool_limits

    from mnistlab.runs import pipeline
    from mnistlab.training.components import RandomStreams
    from mnistlab.training.lr_range_test import losses

    dataset = pipeline.load_data(made).without_test()
    network = pipeline.build(made, dataset)
    with threadpool_limits(pipeline.choose_threads(made, network, len(dataset.train))):
        streams = RandomStreams.from_seed(made.seed)
        return losses(network, dataset.train, made.components, streams, rates)


def _write(folder: Path, rates: np.ndarray, found: np.ndarray, smooth: np.ndarray, about: Mapping[str, Any]) -> None:
    from mnistlab.reporting import plots

    rows = [[i + 1, float(rates[i]), float(found[i]), float(smooth[i])] for i in range(len(found))]
    files.write(folder / "lr_find.csv", files.csv(("step", "lr", "loss", "smoothed_loss"), rows))
    files.write_json(folder / "lr_find.json", about)
    plots.save(plots.range_test(rates, found, smooth, about["lr"]), folder / "lr_find.png")


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


def _folder(to: str | None) -> Path:
    from mnistlab.config import compose

    try:
        if to is None:
            now = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S-%f")
            return Path(compose.claim(f"outputs/lr-find/{now}"))
        folder = Path(to)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise RequestError(f"--to {to}: there is something in it already; choose a new or an empty directory")
    except OSError as error:
        raise RequestError(f"{to or error.filename}: {error.strerror}; choose another place with --to DIR") from None
    return folder
