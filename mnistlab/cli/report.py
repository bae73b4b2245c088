"""``mnistlab report``: the pictures and the page of runs and sweeps again, from the numbers that they saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mnistlab.cli import arguments as arguments_of
from mnistlab.config.report import Plots
from mnistlab.runs import paths
from mnistlab.sweeps.redraw import kind_of, redraw_run, redraw_sweep
from mnistlab.system import console, output
from mnistlab.system.errors import RequestError, did_you_mean

USAGE = """\
Usage: mnistlab report DIR [DIR ...] [report.plots=all|core|none] [--quiet]

  Draws the pictures of runs and sweeps, and writes their report.html, again: from the saved numbers, nothing is
  computed anew. DIR is the directory of a run or of a sweep; it may have been moved or copied.

  report.plots=...   the pictures of a run: all, core, or none (only the page, with the pictures that are there).
                     Without it those that the run asked for. What only `all` saves, occlusion and feature maps, is
                     drawn where the run has saved it
  --json             one JSON object: the pages
  -q, --quiet        say nothing
"""


def main(arguments: Sequence[str]) -> int:
    """Draw again what is asked for; return the exit status."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    words, _, flags = arguments_of.split("report", arguments, (), ("-q", "--quiet"))
    places, which = _asked(words)
    kinds = [kind_of(text) for text in places]  # all are looked at before anything is written
    console.start("quiet" if flags else "normal")
    try:
        for text, kind in zip(places, kinds, strict=True):
            redraw_sweep(Path(text)) if kind == "sweep" else redraw_run(Path(text), which)
            console.LOG.info("%s", Path(text) / paths.REPORT)
    finally:
        console.stop()
    pages = [Path(text) / paths.REPORT for text in places]
    output.give({"reports": [{"kind": kind, "page": one} for kind, one in zip(kinds, pages, strict=True)]})
    return 0


def _asked(words: Sequence[str]) -> tuple[list[str], Plots | None]:
    places, which = [], None
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or Path(word).exists():
            places.append(word)
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
        raise RequestError("a run or a sweep was expected; see `mnistlab report --help`")
    return places, which
