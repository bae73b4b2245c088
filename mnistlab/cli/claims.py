"""``mnistlab claims``: run or read the rows of a claims file, and hold its figures and claims against them."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from mnistlab.cli.overrides import Overrides
from mnistlab.cli.parameters import (
    DIRECTORY,
    Place,
    Whole,
    argument,
    command,
    command_line,
    json_option,
    option,
    quiet_option,
)
from mnistlab.runs import paths
from mnistlab.system import files, output
from mnistlab.system.errors import RequestError


@command(
    "claims",
    no_args_is_help=True,
    examples=(
        "mnistlab claims report.yaml",
        "mnistlab claims report.yaml --page",
        "mnistlab claims report.yaml --seeds 6 data=mnist",
    ),
)
@argument("file", metavar="FILE", type=Place("file"), help="A claims file (YAML): a title, rows and claims.")
@argument(
    "overrides",
    metavar="[key=value ...]",
    nargs=-1,
    type=Overrides(),
    help="Overrides for every run, after those of its row.",
)
@option("--seeds", metavar="N", type=Whole(), help="Number of seeds for every row, instead of those in the file.")
@option("--to", metavar="DIR", type=DIRECTORY, help="The directory to write to.", show_default="outputs/claims/<name>")
@option("--page", is_flag=True, help="Run nothing; write the page from the existing runs.")
@json_option
@quiet_option
def main(file: str, overrides: tuple[str, ...], seeds: int | None, to: str | None, page: bool, quiet: bool) -> int:
    """Check the figures and claims of a report against its runs.

    The claims file names the runs of a report (rows), the figures that it reports, and what it claims. Each row is
    trained as a sweep over seeds, or consists of existing runs. Every figure is compared with the runs, and every claim
    is tested; the verdicts are written to claims.md, claims.csv and claims.tex. Finished runs are not repeated.

    The exit status is 0 if all figures agree and all claims hold, and 1 otherwise.
    """
    from mnistlab.papers import reading, reproduce
    from mnistlab.papers.own_runs import Asked

    for word in overrides:
        if "=" not in word:
            raise RequestError(f"{word}: must be an override, key=value; a claims file is checked alone")
    figures = reading.read(Path(file))
    rows = list(figures.rows.values())
    folder = Path(to or f"outputs/claims/{Path(file).stem}")
    plans = [] if page else reproduce.planned(rows, folder, "full", seeds, overrides)
    status = 0
    try:
        with output.part_of_more():
            status = reproduce.run(plans, "full", seeds, overrides, quiet)
    finally:  # also after Ctrl-C: the page of the existing results
        command = shlex.join(command_line())
        about, text = reproduce.write(figures, Asked(rows, extra=overrides), folder, command, reproduce.CLAIMS)
    agreed, line = reproduce.agreement(about)
    place = files.shown(folder / paths.CLAIMS_PAGE)
    output.show({"page": place, "agreed": agreed, **about}, f"{text}\n\n{line}\n\npage  {place}")
    if not agreed:
        click.echo(f"mnistlab claims: {line}", err=True)
    return status or (0 if agreed else 1)
