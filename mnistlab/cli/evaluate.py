"""``mnistlab evaluate``: what its command line asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mnistlab.cli import arguments as arguments_of
from mnistlab.system import console
from mnistlab.system.errors import RequestError, did_you_mean

USAGE = """\
Usage: mnistlab evaluate RUN [RUN ...] [data=NAME] [key=value ...] [options]

  Scores the saved model of a run on the test part of its own data, with the tables and pictures of a run. Several runs
  are an ensemble: their probabilities are averaged. Nothing is written into the runs.

  RUN                a run directory, or the model.safetensors in it
  data=NAME          other data than the run's own; classes are matched by name
  data.KEY=...       a setting of that data, as for `mnistlab train`; without data=NAME, of the run's own
  seed=N             the seed of the split and of the noise, if not the run's
  report.plots=...   the pictures: all, core or none

  --split PART       test (the default), validation, train, or all: every image of the data
  --noise LEVELS     accuracy under Gaussian noise, at standard deviations on pixels of 0 to 1: --noise 0,0.1,0.2
  --rotate LEVELS    accuracy under rotation, in degrees counterclockwise: --rotate 0,15,30,45
  --to DIR           where to write, if not in outputs/evaluate/
  --json             one JSON object instead: the metrics, and the rows of members, noise and rotation
  -q, --quiet        print the result only
  -v, --verbose      print also what is written
"""

OPTIONS = ("--split", "--noise", "--rotate", "--to")
FLAGS = {"-q": "quiet", "--quiet": "quiet", "-v": "verbose", "--verbose": "verbose"}
SETTABLE = ("data", "seed", "report.plots")
STRONGEST_NOISE = 10.0  # ten times the span from black to white: nothing is left to see long before


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    runs: list[str]
    overrides: list[str]
    split: str
    levels: dict[str, list[float]]  # of noise and of rotation
    to: str | None
    verbosity: str


def main(arguments: list[str]) -> int:
    """Evaluate as the arguments say; return the exit status."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    request = parse(arguments)

    from mnistlab.analysis import evaluate
    from mnistlab.analysis.evaluation_data import Choice, choose_images
    from mnistlab.runs.saved_run import open_runs

    console.start(request.verbosity)
    try:
        runs = open_runs(request.runs)
        evaluate.refuse_place(request.to, runs)
        scored = choose_images(Choice(request.split, request.overrides), runs)
        folder = evaluate.claim(request.to, runs)
        evaluate.evaluate(runs, scored, request.levels, folder, ["mnistlab", "evaluate", *arguments])
    finally:
        console.stop()
    return 0


def parse(arguments: Sequence[str]) -> Request:
    """Return the request, every option checked. A word with ``=`` is a run only where there is such a path."""
    words, given, flags = arguments_of.split("evaluate", arguments, OPTIONS, [*FLAGS])
    verbosity = FLAGS[flags[-1]] if flags else "normal"
    runs: list[str] = []
    overrides: list[str] = []
    for word in words:
        name, equals, _ = word.partition("=")
        if equals and "/" not in name and not Path(word).exists():
            overrides.append(_settable(word))
        else:
            runs.append(word)
    if not runs:
        raise RequestError("no run is named; a run directory was expected, such as outputs/<date>/<time>_<model>")
    levels = {}
    if "--noise" in given:
        levels["noise"] = _levels("--noise", given["--noise"], 0, STRONGEST_NOISE, "0,0.1,0.2")
    if "--rotate" in given:
        levels["rotation"] = _levels("--rotate", given["--rotate"], -360, 360, "0,15,30")
    return Request(runs, overrides, _split(given.get("--split", "test")), levels, given.get("--to"), verbosity)


def _settable(override: str) -> str:
    key = override.partition("=")[0].lstrip("+")
    if key in SETTABLE or key.startswith("data."):
        return override
    raise RequestError(
        f"{override}: only data=NAME, data.KEY=..., seed=N and report.plots=... can be set, the rest is the saved"
        f" model's{did_you_mean(key, SETTABLE)}"
    )


def _split(value: str) -> str:
    splits = ("test", "validation", "train", "all")
    if value not in splits:
        raise RequestError(f"--split {value}: choose one of {', '.join(splits)}{did_you_mean(value, splits)}")
    return value


def _levels(option: str, text: str, least: float, most: float, example: str) -> list[float]:
    """Return the levels of a list, each once, rising."""
    levels = set()
    for word in text.split(","):
        try:
            level = float(word)
        except ValueError:
            level = math.nan
        if not least <= level <= most:
            raise RequestError(
                f"{option} {text}: {word.strip()!r} is no number from {least:g} to {most:g}; write for instance"
                f" {option} {example}"
            )
        levels.add(level + 0.0)  # -0 is 0
    return sorted(levels)
