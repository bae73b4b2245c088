"""``mnistlab compare``: its command line."""

from __future__ import annotations

import json
from pathlib import Path

from mnistlab.cli.parameters import DIRECTORY, Choice, Parsed, Positive, argument, command, json_option, option
from mnistlab.system import output
from mnistlab.system.errors import RequestError

FORMATS = ("table", "csv", "markdown", "latex", "json")


def _keys(option_name: str, text: str) -> tuple[str, ...]:
    keys = [key.strip() for key in text.split(",")]
    if not all(keys):
        raise RequestError(f"{option_name} {text}: must be settings with commas between them, as in optimizer.lr")
    return tuple(dict.fromkeys(keys))


@command(
    "compare",
    no_args_is_help=True,
    examples=(
        "mnistlab compare outputs/multirun/2026-11-21_09-30-12",
        "mnistlab compare first second --metric test.accuracy --baseline init=random",
        "mnistlab compare outputs/multirun/2026-11-21_09-30-12 --margin 0.2",
        "mnistlab compare outputs/multirun/2026-11-21_09-30-12 --by init --format latex",
        "mnistlab compare outputs/multirun/2026-11-21_09-30-12 --factor init --where 'optimizer.lr<=0.1'",
        "mnistlab compare outputs/multirun/2026-11-21_09-30-12 --best-over optimizer.lr",
    ),
)
@argument(
    "paths",
    metavar="PATH",
    nargs=-1,
    required=True,
    type=DIRECTORY,
    help="A run or a sweep; a folder of them; last, last:6, best:METRIC, or filters as of `mnistlab runs`.",
)
@option(
    "--metric",
    metavar="NAME",
    help="The metric to compare: test.accuracy, validation.loss, test.macro.f1, parameters, ...",
    show_default="validation.accuracy",
)
@option(
    "--baseline",
    metavar="TEXT",
    help="Compare every group only with this one, given by its settings (init=random) or by their values (random).",
)
@option(
    "--margin",
    metavar="M",
    type=Positive(),
    help="The largest difference that does not matter, in points for a metric in per cent. Each pair is then also "
    "tested for equivalence: better, equivalent within M, or undecided.",
)
@option(
    "--factor",
    metavar="KEY",
    help="Compare the values of this setting, each averaged over all other settings within each seed.",
)
@option(
    "--best-over",
    metavar="KEY[,KEY ...]",
    type=Parsed(_keys),
    help="Compare every other setting with its own best value of these, which is chosen by validation in each seed. "
    "The metric is then test.accuracy by default.",
)
@option(
    "--where",
    metavar="TEXT",
    help='Compare only the runs with these settings: "init=kaiming,random optimizer.lr<=0.1", with = != < <= > >= '
    "and ~, * and ? as in `mnistlab runs`.",
)
@option(
    "--by",
    metavar="KEY",
    help="Show the metric in a table with a column for each value of this setting, and a row for each of the others.",
)
@option(
    "--format",
    "form",
    type=Choice(FORMATS),
    help="The output format. In markdown and latex the best value is bold, and a dagger marks those that are not shown "
    "to be different from it.",
    show_default="table",
)
@json_option
@option("--to", metavar="DIR", type=DIRECTORY, help="Write compare.csv, .md, .tex and .json to this directory.")
def main(
    paths: tuple[str, ...],
    metric: str | None,
    baseline: str | None,
    margin: float | None,
    factor: str | None,
    best_over: tuple[str, ...] | None,
    where: str | None,
    by: str | None,
    form: str | None,
    to: str | None,
) -> int:
    """Compare runs and sweeps: means, intervals, and which differences are significant.

    Runs that differ only by seed form a group, and every pair of groups is tested: with an exact paired test where six
    seeds or more match (more for several pairs), with the paired t test from three matching seeds, with Welch's test
    from three runs each, and with McNemar's exact test for two single runs. The p values are corrected with Holm's
    method. Where several settings vary, the effect of each of them over all values of the others comes first. This also
    works on a sweep that is still running, from the first epoch on. --json is the same as --format json.
    """
    if output.is_json() and form not in (None, "json"):
        raise RequestError(f"--format {form}: conflicts with --json; leave out one of them")
    if by is not None and (output.is_json() or form == "json"):
        raise RequestError(f"--by {by}: JSON has every group by itself; use table, csv, markdown or latex")

    from mnistlab.analysis import comparison_table
    from mnistlab.analysis.compare import as_json, compare
    from mnistlab.runs import selection
    from mnistlab.sweeps import records
    from mnistlab.system import directories, files

    places = selection.several(paths)
    design = records.design_of(places)
    comparison = compare(
        records.of_paths(places), metric, baseline, margin, design,
        factor=factor, best_over=best_over or (), where=where,
    )  # fmt: skip
    comparison = records.cautioned(comparison, design)
    forms = {
        "table": lambda: comparison_table.text(comparison, by=by) + "\n",
        "csv": lambda: comparison_table.csv(comparison, by),
        "markdown": lambda: comparison_table.markdown(comparison, by),
        "latex": lambda: comparison_table.latex(comparison, by),
        "json": lambda: json.dumps(as_json(comparison), indent=2, allow_nan=False, ensure_ascii=False) + "\n",
    }
    if to is not None:
        folder = directories.named(Path(to), f"--to {Path(to)}", in_the_way=directories.IN_THE_WAY)
        for ending, content in (("csv", "csv"), ("md", "markdown"), ("tex", "latex"), ("json", "json")):
            files.write(folder / f"compare.{ending}", forms[content]())
    output.show(as_json(comparison), forms[form or "table"]().rstrip("\n"))
    return 0
