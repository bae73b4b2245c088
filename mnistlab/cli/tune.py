"""``mnistlab tune``: search, then test the chosen configuration once, with several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mnistlab.cli import arguments as arguments_of
from mnistlab.sweeps.tune.runner import SEEDS, Request, tune
from mnistlab.sweeps.tune.search import METRICS
from mnistlab.sweeps.tune.space import FORMS
from mnistlab.system.errors import RequestError

USAGE = f"""\
Usage: mnistlab tune [group=option ...] [key=value ...] KEY=SPACE ... [options]
       mnistlab tune --resume DIR [--trials N]

  Searches for the settings with the best validation metric (Optuna: TPE proposes, trials worse than the median are
  stopped early). No trial sees the test part. At the end the chosen configuration, and only that one, is trained with
  several seeds and tested.

  KEY=SPACE          {FORMS}:
                     'optimizer.lr=log(1e-4,1)' 'model.hidden=choice([64],[128,64])' optimizer=sgd,adam

  --trials N         how many trials, 40 if not given
  --jobs N           how many at a time, one a core if not given
  --seeds N          how many seeds the chosen configuration is tested with, 5 if not given
  --metric NAME      {" or ".join(METRICS)}
  --no-prune         let every trial run to its end
  --to DIR           where to write, if not in outputs/tune/<time>
  --resume DIR       go on with a search, for more trials with --trials
  --json             one JSON object instead: every trial, the chosen one, and what its test says
  -q, --quiet        print the result only

The study lies in DIR/study.sqlite3, where Optuna's own tools find it.
"""
VALUED = ("--trials", "--jobs", "--seeds", "--metric", "--to", "--resume")
FLAGS = ("--no-prune", "--quiet", "-q")


def main(arguments: Sequence[str]) -> int:
    """Search as the arguments say; return the exit status."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    return tune(read(arguments))


def read(arguments: Sequence[str]) -> Request:
    """Return the request, every option checked."""
    words, given, flags = arguments_of.split("tune", arguments, VALUED, FLAGS)
    resume, to = given.get("--resume"), given.get("--to")
    if resume is not None and (words or given.keys() - {"--resume", "--trials", "--jobs"}):
        raise RequestError("--resume: a search is resumed as it was asked for; only --trials and --jobs may be changed")
    metric = given.get("--metric", "validation.accuracy")
    if metric not in METRICS:
        raise RequestError(f"--metric {metric}: choose one of {', '.join(METRICS)}; the test part chooses nothing")
    return Request(
        tuple(words),
        _number(given, "--trials"),
        _number(given, "--jobs"),
        _number(given, "--seeds") or SEEDS,
        metric,
        "--no-prune" not in flags,
        bool({"--quiet", "-q"} & {*flags}),
        Path(to).absolute() if to is not None else None,
        Path(resume).absolute() if resume is not None else None,
    )


def _number(given: Mapping[str, str], name: str) -> int | None:
    if name not in given:
        return None
    if not given[name].isdecimal() or int(given[name]) < 1:
        raise RequestError(f"{name} {given[name]}: a whole number of 1 or more was expected")
    return int(given[name])
