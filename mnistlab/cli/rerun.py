"""``mnistlab rerun``: repeats a run from what it saved, and says whether the same came out, and if not, why."""

from __future__ import annotations

from collections.abc import Sequence

from mnistlab.cli import arguments as arguments_of
from mnistlab.runs.rerun import repeat
from mnistlab.system import output
from mnistlab.system.errors import RequestError

USAGE = """\
Usage: mnistlab rerun RUN [--to DIR] [--quiet]

  Repeats a completed run in a new directory: with its saved configuration and seed, on as many BLAS threads. Says
  whether metrics.json came out the same, byte for byte (exit status 0), or which metrics differ, and in what the
  environment does (exit status 1). Nothing is written into RUN.

  --to DIR         the new directory, if not outputs/<date>/<time>_rerun
  --json           one JSON object instead: identical or not, and what differs
  -q, --quiet      print the verdict only
"""


def main(arguments: Sequence[str]) -> int:
    """Repeat a run; return the exit status."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    words, given, flags = arguments_of.split("rerun", arguments, ["--to"], ["-q", "--quiet"])
    if len(words) != 1:
        raise RequestError(f"{' '.join(words) or 'rerun'}: the directory of one run was expected")
    repetition = repeat(words[0], given.get("--to"), bool(flags), ("mnistlab", "rerun", *arguments))
    output.show(repetition.as_json(), "\n".join(repetition.verdict()))
    return 0 if repetition.identical else 1
