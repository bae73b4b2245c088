"""``mnistlab reproduce``: run the unfinished rows of the papers, and write the results."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from mnistlab.cli.overrides import Overrides
from mnistlab.cli.parameters import (
    DIRECTORY,
    Choice,
    Whole,
    argument,
    command,
    command_line,
    json_option,
    option,
    quiet_option,
)
from mnistlab.papers import reading, spec
from mnistlab.papers.own_runs import Asked
from mnistlab.papers.reproduce import listing, planned, row_listing, run, write
from mnistlab.papers.spec import BUDGETS
from mnistlab.runs import paths
from mnistlab.system import files, output
from mnistlab.system.errors import RequestError


@command(
    "reproduce",
    no_args_is_help=True,
    examples=(
        "mnistlab reproduce --list",
        "mnistlab reproduce macalinao --budget quick",
        "mnistlab reproduce --all trainer.epochs=5",
    ),
)
@argument(
    "words",
    metavar="PAPER | PAPER/ROW ... [key=value ...]",
    nargs=-1,
    type=Overrides(),
    help="Papers or rows, and overrides for every run. After trainer.epochs=5, for example, trainer.epochs=10 trains "
    "the same runs for longer.",
)
@option("--all", "everything", is_flag=True, help="Run every row of every paper, the shortest first.")
@option(
    "--list",
    "lists",
    is_flag=True,
    help="List the papers and rows, with the minutes that a full run takes on one core.",
)
@option(
    "--budget",
    type=Choice(BUDGETS),
    default=BUDGETS[0],
    help="full: all rows take about 18 hours on one core. quick: fewer seeds, epochs or images for long rows, as "
    "shown on the page; all rows take about 6 minutes on two cores.",
)
@option("--seeds", metavar="N", type=Whole(), help="Number of seeds for every row.")
@option(
    "--to",
    metavar="DIR",
    type=DIRECTORY,
    help="The directory to write to.",
    show_default="outputs/papers/<budget>",
)
@option("--page", is_flag=True, help="Run nothing; write the page from the existing runs.")
@json_option
@quiet_option
def main(
    words: tuple[str, ...],
    everything: bool,
    lists: bool,
    budget: str,
    seeds: int | None,
    to: str | None,
    page: bool,
    quiet: bool,
) -> int:
    """Repeat the experiments of five papers and check the reported figures and claims.

    A row is one experiment of a paper, run as a sweep over seeds; most rows are defined in
    conf/experiment/PAPER/ROW.yaml. The command runs rows, compares every figure (a number that the paper reports) with
    the new results, and tests every claim. Finished runs are not repeated, so if the command is interrupted, run it
    again to continue. The results page, papers.md, lists all rows, including those that have not been run.
    """
    figures = reading.read()
    if lists:
        papers = [
            {"name": one.name, "title": one.title, "rows": [row_listing(row) for row in one.rows]}
            for one in figures.papers
        ]
        output.show({"papers": papers}, listing(figures))
        return 0
    chosen, extra = _choose(figures, words, everything)
    folder = Path(to or f"outputs/papers/{budget}")
    plans = [] if page else planned(chosen, folder, budget, seeds, extra)
    status = 0
    try:
        with output.part_of_more():
            status = run(plans, budget, seeds, extra, quiet)
    finally:  # also after Ctrl-C: the page of the existing results
        about, text = write(figures, Asked(chosen, budget, extra), folder, shlex.join(command_line()))
    place = files.shown(folder / paths.PAPERS_PAGE)
    output.show({"page": place, **about}, f"{text}\n\npage  {place}")
    return status


def _choose(figures: spec.Figures, words: Sequence[str], everything: bool) -> tuple[list[spec.Row], list[str]]:
    """Return the rows, and the overrides."""
    names = [word for word in words if "=" not in word]
    if everything == bool(names):
        raise RequestError("name papers or rows, or use --all; `mnistlab reproduce --list` lists them")
    rows = list(figures.rows.values()) if everything else figures.choose(names)
    return rows, [word for word in words if "=" in word]
