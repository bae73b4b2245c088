"""``mnistlab report``: redraw the plots and pages of runs and sweeps from their saved numbers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from mnistlab.cli.overrides import Overrides
from mnistlab.cli.parameters import argument, command, json_option, option
from mnistlab.config.report import Format, Plots
from mnistlab.runs import paths, selection
from mnistlab.sweeps.redraw import kind_of, redraw_run, redraw_sweep
from mnistlab.system import arguments, console, output
from mnistlab.system.errors import RequestError, did_you_mean

ENUMS: dict[str, type[Enum]] = {"report.plots": Plots, "report.format": Format}


@command(
    "report",
    no_args_is_help=True,
    examples=(
        "mnistlab report outputs/2026-11-21/09-30-12_lenet5 report.plots=all",
        "mnistlab report outputs/multirun/2026-11-21_09-30-12 report.format=pdf --all-settings",
    ),
)
@argument(
    "words",
    metavar="DIR [DIR ...] [report.plots=all|core|none] [report.format=png|svg|pdf]",
    nargs=-1,
    type=Overrides((), paths=True),
    help="DIR: the directory of a run or of a sweep; it may have been moved or copied. report.plots: which plots "
    "of a run to draw: all, core, or none (rewrite only the page, with the existing plots). report.format: svg or pdf "
    "also writes a vector file beside each PNG. The defaults are the run's own settings. Occlusion and feature maps "
    "can be drawn only if the run itself used report.plots=all, which saves their data.",
)
@option(
    "--all-settings",
    is_flag=True,
    help="Write every setting of each job to the summary.csv of a sweep, not only those that vary, so that the tables "
    "of several sweeps can be concatenated.",
)
@json_option
@option("-q", "--quiet", is_flag=True, help="Print nothing.")
def main(words: tuple[str, ...], all_settings: bool, quiet: bool) -> int:
    """Redraw the plots and the report page of runs and sweeps.

    The plots and report.html are drawn from the saved numbers; nothing is recomputed. The page of a sweep that is still
    running shows it as far as it is.
    """
    places, chosen = _parse(words)
    kinds = [kind_of(text) for text in places]  # all are checked before anything is written
    if all_settings and "sweep" not in kinds:
        raise RequestError("--all-settings: only a sweep has a summary.csv; name one")
    plots, form = chosen.get("report.plots"), chosen.get("report.format")
    console.start("quiet" if quiet else "normal")
    try:
        for text, kind in zip(places, kinds, strict=True):
            if kind == "sweep":
                redraw_sweep(Path(text), form, all_settings)
            else:
                redraw_run(Path(text), plots, form)
            console.LOG.info("%s", Path(text) / paths.REPORT)
    finally:
        console.stop()
    pages = [Path(text) / paths.REPORT for text in places]
    output.give({"reports": [{"kind": kind, "page": one} for kind, one in zip(kinds, pages, strict=True)]})
    return 0


def _parse(words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Return the directories, and the chosen values of report.plots and report.format."""
    places: list[str] = []
    chosen: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or arguments.exists(word) or (key in selection.FACTS and not key.startswith("report")):
            places += selection.several([word])
            continue
        options = ENUMS.get(key)
        if options is None:
            near = did_you_mean(key, [*ENUMS])
            raise RequestError(f"{word}: only report.plots and report.format can be set{near}")
        if value not in options.__members__:
            near = did_you_mean(value, options.__members__)
            raise RequestError(f"{word}: choose one of {', '.join(options.__members__)}{near}")
        chosen[key] = options[value]
    if not places:
        raise RequestError("missing argument DIR; see `mnistlab report --help`")
    return places, chosen
