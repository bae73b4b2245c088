"""``mnistlab evaluate``: its command line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mnistlab.cli.overrides import Overrides
from mnistlab.cli.parameters import (
    DIRECTORY,
    Choice,
    Parsed,
    Whole,
    argument,
    command,
    command_line,
    json_option,
    option,
    verbosity_options,
)
from mnistlab.runs import selection
from mnistlab.system import arguments, console
from mnistlab.system.errors import RequestError, did_you_mean

SPLITS = ("test", "validation", "train", "all")
WAYS = ("auto", "digit", "object", "raw")
SETTABLE = ("data", "seed", "report.plots")
STRONGEST_NOISE = 10.0  # ten times the range from black to white: images are unrecognisable long before


def noise_levels(name: str, text: str) -> list[float]:
    """Return standard deviations of pixels."""
    return _levels(name, text, 0, STRONGEST_NOISE, "0,0.1,0.2")


def angles(name: str, text: str) -> list[float]:
    """Return angles in degrees."""
    return _levels(name, text, -360, 360, "0,15,30")


@command(
    "evaluate",
    no_args_is_help=True,
    examples=(
        "mnistlab evaluate outputs/2026-11-21/09-30-12_mlp_2hidden",
        "mnistlab evaluate my_run data=folder data.path=my_photographs --split all --as digit",
        "mnistlab evaluate first second data=fashion_mnist --noise 0,0.1,0.2 --rotate 0,15,30,45",
        "mnistlab evaluate outputs/seeds/*/model.safetensors --shifts 1",
    ),
)
@argument(
    "words",
    metavar="RUN [RUN ...] [data=NAME] [key=value ...]",
    nargs=-1,
    type=Overrides(("data",), paths=True),
    help="RUN: a run directory, or the model.safetensors in it. data=NAME: evaluate on this dataset instead "
    "of the run's own; classes are matched by name. data.KEY=...: a setting of that data, or of the run's own if "
    "data=NAME is not given. seed=N: the seed of the split and of the noise, instead of the run's. "
    "report.plots=all, core or none: which plots to draw.",
)
@option("--split", type=Choice(SPLITS), default="test", help="The part of the data to evaluate; all: every image.")
@option(
    "--noise",
    metavar="LEVELS",
    type=Parsed(noise_levels),
    help="Accuracy under Gaussian noise with these standard deviations, for pixels from 0 to 1, for example 0,0.1,0.2.",
)
@option(
    "--rotate",
    metavar="LEVELS",
    type=Parsed(angles),
    help="Accuracy under rotation by these angles, in degrees counterclockwise, for example 0,15,30,45.",
)
@option(
    "--shifts",
    metavar="PIXELS",
    type=Whole(0),
    default=0,
    help="Average the probabilities over all shifts of an image by up to so many pixels: with 1, over 9 shifts.",
)
@option(
    "--as",
    "way",
    type=Choice(WAYS),
    default="auto",
    help="How the pictures of data=folder are prepared, as in `mnistlab predict`. auto: for a model of MNIST, like its "
    "digits, unless all have the size of MNIST's images and are light on dark; else as they are. raw: as they are.",
)
@option("--to", metavar="DIR", type=DIRECTORY, help="The directory to write to.", show_default="outputs/evaluate/")
@json_option
@verbosity_options
def main(
    words: tuple[str, ...],
    split: str,
    noise: list[float] | None,
    rotate: list[float] | None,
    shifts: int,
    way: str,
    to: str | None,
    verbosity: str | None,
) -> int:
    """Evaluate saved models, alone or as an ensemble, on their own or other data.

    Evaluates the saved model of a run on the test set of its own data and writes the same tables and plots as a
    run. Several runs form an ensemble: their probabilities are averaged. The run directories are not changed.
    """
    paths, overrides = runs_and_overrides(words)
    levels = {"noise": noise, "rotation": rotate}

    from mnistlab.analysis import evaluate
    from mnistlab.analysis.evaluation_data import Choice as Images
    from mnistlab.analysis.evaluation_data import choose_images
    from mnistlab.runs.saved_run import open_runs

    console.start(verbosity or "normal")
    try:
        runs = open_runs(paths)
        evaluate.refuse_place(to, runs)
        scored = choose_images(Images(split, overrides, shifts, way), runs)
        folder = evaluate.claim(to, runs)
        strengths = {kind: values for kind, values in levels.items() if values is not None}
        evaluate.evaluate(runs, scored, strengths, folder, command_line())
    finally:
        console.stop()
    return 0


def runs_and_overrides(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the runs and the overrides. An argument with ``=`` is a run only if such a path exists."""
    runs: list[str] = []
    overrides: list[str] = []
    for word in words:
        name, equals, _ = word.partition("=")
        if selection.is_selector(word, filters=name in selection.FACTS):
            runs += selection.several([word])
        elif equals and "/" not in name and not arguments.exists(word):
            overrides.append(_settable(word))
        else:
            runs.append(word)
    if not runs:
        raise RequestError("missing argument RUN; see `mnistlab evaluate --help`")
    return runs, overrides


def _settable(override: str) -> str:
    key = override.partition("=")[0].lstrip("+")
    if key in SETTABLE or key.startswith("data."):
        return override
    raise RequestError(
        f"{override}: only data=NAME, data.KEY=..., seed=N and report.plots=... can be set; the rest comes from"
        f" the saved model{did_you_mean(key, SETTABLE)}"
    )


def _levels(option: str, text: str, least: float, most: float, example: str) -> list[float]:
    """Return the levels of a comma-separated list, in ascending order and without duplicates."""
    levels = set()
    for word in text.split(","):
        try:
            level = float(word)
        except ValueError:
            level = math.nan
        if not least <= level <= most:
            raise RequestError(
                f"{option} {text}: {word.strip()!r} is not a number from {least:g} to {most:g}; write, for example,"
                f" {option} {example}"
            )
        levels.add(level + 0.0)  # -0 is 0
    return sorted(levels)
