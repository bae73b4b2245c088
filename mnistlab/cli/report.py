"""``mnistlab report``: redraw the plots and pages of runs and sweeps from their saved numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mnistlab.cli.overrides import Overrides
from mnistlab.cli.parameters import argument, command, json_option, option
from mnistlab.config.report import Plots
from mnistlab.runs import paths, selection
from mnistlab.sweeps.redraw import kind_of, redraw_run, redraw_sweep
from mnistlab.system import console, output
from mnistlab.system.errors import RequestError, did_you_mean


@command(
    "report",
    no_args_is_help=True,
    examples=("mnistlab report outputs/2026-11-21/09-30-12_lenet5 report.plots=all",),
)
@argument(
    "words",
    metavar="DIR [DIR ...] [report.plots=all|core|none]",
    nargs=-1,
    type=Overrides((), paths=True),
    help="DIR: the directory of a run or of a sweep; it may have been moved or copied. report.plots: which plots "
    "of a run to draw: all, core, or none (rewrite only the page, with the existing plots); the default is the run's "
    "own setting. Occlusion and feature maps can be drawn only if the run itself used report.plots=all, which saves "
    "their data.",
)
@json_option
@option("-q", "--quiet", is_flag=True, help="Print nothing.")
def main(words: tuple[str, ...], quiet: bool) -> int:
    """Redraw the plots and the report page of runs and sweeps.

    The plots and report.html are drawn from the saved numbers; nothing is recomputed.
    """
    places, which = _parse(words)
    kinds = [kind_of(text) for text in places]  # all are checked before anything is written
    console.start("quiet" if quiet else "normal")
    try:
        for text, kind in zip(places, kinds, strict=True):
            redraw_sweep(Path(text)) if kind == "sweep" else redraw_run(Path(text), which)
            console.LOG.info("%s", Path(text) / paths.REPORT)
    finally:
        console.stop()
    pages = [Path(text) / paths.REPORT for text in places]
    output.give({"reports": [{"kind": kind, "page": one} for kind, one in zip(kinds, pages, strict=True)]})
    return 0


def _parse(words: Sequence[str]) -> tuple[list[str], Plots | None]:
    places, which = [], None
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or Path(word).exists() or (key in selection.FACTS and not key.startswith("report")):
            places += selection.several([word])
        elif key != "report.plots":
            near = did_you_mean(key, ["report.plots"])
            raise RequestError(f"{word}: only report.plots=all, core or none can be set{near}")
        elif value not in Plots.__members__:
            raise RequestError(
                f"{word}: choose one of {', '.join(Plots.__members__)}{did_you_mean(value, Plots.__members__)}"
            )
        else:
            which = Plots[value]
    if not places:
        raise RequestError("missing argument DIR; see `mnistlab report --help`")
    return places, which
