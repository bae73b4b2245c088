"""``mnistlab reproduce``: run the rows of the papers as far as they are not done, and write what came out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from mnistlab.cli import arguments as arguments_of
from mnistlab.papers import spec
from mnistlab.papers.reproduce import _listed, listed, run, write
from mnistlab.papers.spec import BUDGETS
from mnistlab.runs import paths
from mnistlab.system import files, output
from mnistlab.system.errors import RequestError, did_you_mean

USAGE = """\
Usage: mnistlab reproduce PAPER | PAPER/ROW ... [options] [key=value ...]
       mnistlab reproduce --all [options]
       mnistlab reproduce --list

  Runs the rows of the papers, each a sweep over seeds of conf/experiment/PAPER/ROW.yaml, and says of every figure
  whether ours agrees with it, and of every claim whether it holds. What is done already is not run again, so that the
  same command goes on where it was stopped. The page, papers.md, shows all rows, those without a run as such.

  --all              every row of every paper, the short ones first
  --list             the papers and rows, with the minutes that a full run takes on one core
  --budget NAME      full (the default; all rows take about 11 hours of one core), or quick: fewer seeds, epochs or
                     images where a row is long, as the page says; all rows take 15 minutes on two cores
  --seeds N          so many seeds for every row
  --to DIR           where to write, outputs/papers/full or outputs/papers/quick if not given
  --page             run nothing; write the page from the runs that are there
  --json             one JSON object instead: the rows with our figures, and the claims with their verdicts
  -q, --quiet        print the result only

  key=value ...      of every run: trainer.epochs=5, and when that is done trainer.epochs=10, which trains it on
"""
VALUED, FLAGS = ("--budget", "--seeds", "--to"), ("--all", "--list", "--page", "--quiet", "-q")


def main(arguments: Sequence[str], source: Path | None = None) -> int:
    """Reproduce as the arguments say; return the exit status. ``source`` is another file of the papers' figures."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    words, given, flags = arguments_of.split("reproduce", arguments, VALUED, FLAGS)
    known = spec.read(source)
    if "--list" in flags:
        papers = [
            {"name": one.name, "title": one.title, "rows": [_listed(row) for row in one.rows]} for one in known.papers
        ]
        output.show({"papers": papers}, listed(known))
        return 0
    budget = given.get("--budget", BUDGETS[0])
    if budget not in BUDGETS:
        raise RequestError(f"--budget {budget}: choose one of {', '.join(BUDGETS)}{did_you_mean(budget, BUDGETS)}")
    extra = [word for word in words if "=" in word]
    names = [word for word in words if "=" not in word]
    if ("--all" in flags) == bool(names):
        raise RequestError("name papers or rows, or give --all; `mnistlab reproduce --list` shows them")
    chosen = list(known.rows.values()) if "--all" in flags else known.choose(names)
    folder = Path(given.get("--to", f"outputs/papers/{budget}"))
    quiet = "--quiet" in flags or "-q" in flags
    command = shlex.join(["mnistlab", "reproduce", *arguments])
    status = 0
    try:
        if "--page" not in flags:
            with output.part_of_more():
                status = run(chosen, folder, budget, _seeds(given.get("--seeds")), extra, quiet)
    finally:  # also after Ctrl-C: the page of what is there
        about, told = write(known, chosen, folder, command)
    place = files.shown(folder / paths.PAPERS_PAGE)
    output.show({"page": place, **about}, f"{told}\n\npage  {place}")
    return status


def _seeds(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not int(text):
        raise RequestError(f"--seeds {text}: a whole number of 1 or more was expected")
    return int(text)
