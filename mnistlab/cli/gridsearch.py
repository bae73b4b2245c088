"""``mnistlab gridsearch``: score every cell on the same folds, then refit the best one and test it once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mnistlab.cli import arguments as arguments_of
from mnistlab.metrics.classification import SCORES
from mnistlab.runs.environment import all_cores
from mnistlab.sweeps.gridsearch.search import Asked, search
from mnistlab.system.errors import RequestError, did_you_mean

USAGE = f"""\
Usage: mnistlab gridsearch [group=option ...] [key=value ...] KEY=VALUES ... [options]

  Scores every cell of a grid by cross-validation: the training pool (all but the test part) is cut into folds, the
  same ones for every cell, and a cell is fitted on all folds but one and scored on that one, each in turn. Cells that
  are equal are run once. Then the best cell is fitted to the whole pool and tested, the only time that the test part
  is read. Works for networks and for the models of scikit-learn. A cell that fails is in the table with its reason;
  the search fails if none is scored.

  KEY=VALUES     a,b,...  [a,b,...]  range(a,b)  choice(a,b): 'model.C=[0.1,1,10]' model=svm_rbf,knn
                 (a list that the setting itself takes, as in model.hidden=[128,64], is one value;
                 'model.hidden=[64],[128,64]' are two)

  --cv N         folds, 5 if not given
  --metric NAME  {", ".join(SCORES)}; accuracy if not given
  --jobs N       how many fits at a time, one a core if not given
  --to DIR       where to write, if not in outputs/gridsearch/<time>; a search that was interrupted there goes on
  --json         one JSON object instead: every cell with the scores of its folds, the best one, and its refit
  -q, --quiet    print the result only
"""
VALUED = ("--cv", "--metric", "--jobs", "--to")
FLAGS = ("--quiet", "-q")


def main(arguments: Sequence[str]) -> int:
    """Search as the arguments say; return the exit status."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    return search(read(arguments))


def read(arguments: Sequence[str]) -> Asked:
    """Return what the arguments ask for."""
    words, given, flags = arguments_of.split("gridsearch", arguments, VALUED, FLAGS)
    metric = given.get("--metric", "accuracy")
    if metric not in SCORES:
        raise RequestError(f"--metric {metric}: choose one of {', '.join(SCORES)}{did_you_mean(metric, SCORES)}")
    cv, jobs = _number(given, "--cv", 5, 2), _number(given, "--jobs", all_cores(), 1)
    to = Path(given["--to"]).absolute() if "--to" in given else None
    return Asked(tuple(words), cv, metric, jobs, to, bool(flags))


def _number(given: dict[str, str], name: str, otherwise: int, least: int) -> int:
    text = given.get(name, str(otherwise))
    if not text.isdecimal() or int(text) < least:
        raise RequestError(f"{name} {text}: a whole number of {least} or more was expected")
    return int(text)
