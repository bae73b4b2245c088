"""``mnistlab compare``: what its command line asks for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mnistlab.cli import arguments as arguments_of
from mnistlab.system import output
from mnistlab.system.errors import RequestError, did_you_mean

USAGE = """\
Usage: mnistlab compare PATH [PATH ...] [options]

  Puts runs that differ by their seed only into one group, and says of every pair of groups whether the difference is
  real: an exact paired test over the seeds where these match, Welch's test where they do not, McNemar's exact test
  for two single runs, all corrected by Holm for their number. Works on a sweep that still runs.

  PATH               a run or a sweep (outputs/multirun/...)

  --metric NAME      what is compared: validation.accuracy (the default), test.accuracy, validation.loss,
                     test.macro.f1, parameters, ...
  --baseline TEXT    compare every group with this one only: --baseline init=random, or its values: --baseline random
  --format FORMAT    table (the default), csv, markdown or json
  --json             the same as --format json
  --to DIR           write compare.csv, compare.md and compare.json there
"""

OPTIONS = ("--metric", "--baseline", "--format", "--to")
FORMATS = ("table", "csv", "markdown", "json")


def main(arguments: Sequence[str]) -> int:
    """Compare as the arguments say; return the exit status."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    paths, given = parse(arguments)
    form = given.get("--format", "table")
    if form not in FORMATS:
        raise RequestError(f"--format {form}: choose one of {', '.join(FORMATS)}{did_you_mean(form, FORMATS)}")
    if output.asked() and "--format" in given and form != "json":
        raise RequestError(f"--format {form}: --json asks for another one; leave one of the two out")

    from mnistlab.analysis import comparison_table
    from mnistlab.analysis.compare import as_json, compare
    from mnistlab.sweeps import records
    from mnistlab.system import directories, files

    found = compare(records.of_paths(paths), given.get("--metric"), given.get("--baseline"))
    forms = {
        "table": lambda: comparison_table.text(found) + "\n",
        "csv": lambda: comparison_table.csv(found),
        "markdown": lambda: comparison_table.markdown(found),
        "json": lambda: json.dumps(as_json(found), indent=2, allow_nan=False, ensure_ascii=False) + "\n",
    }
    if "--to" in given:
        path = Path(given["--to"])
        folder = directories.named(path, f"--to {path}", in_the_way=directories.IN_THE_WAY)
        for name, content in (("compare.csv", "csv"), ("compare.md", "markdown"), ("compare.json", "json")):
            files.write(folder / name, forms[content]())
    output.show(as_json(found), forms[form]().rstrip("\n"))
    return 0


def parse(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the paths, and the options with their values."""
    paths, given, _ = arguments_of.split("compare", arguments, OPTIONS)
    if not paths:
        raise RequestError("a run or a sweep was expected; see `mnistlab compare --help`")
    return paths, given
