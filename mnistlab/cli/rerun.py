"""``mnistlab rerun``: repeats a run from what it saved, and says whether the same came out, and if not, why."""

from __future__ import annotations

from mnistlab.cli.parameters import DIRECTORY, argument, command, command_line, json_option, option
from mnistlab.runs.rerun import repeat
from mnistlab.system import output


@command("rerun", no_args_is_help=True, examples=("mnistlab rerun outputs/2026-11-21/09-30-12_lenet5 --to again",))
@argument("run", metavar="RUN", type=DIRECTORY, help="The directory of a completed run.")
@option("--to", metavar="DIR", type=DIRECTORY, help="The new directory.", show_default="outputs/<date>/<time>_rerun")
@json_option
@option("-q", "--quiet", is_flag=True, help="Print the verdict only.")
def main(run: str, to: str | None, quiet: bool) -> int:
    """Repeat a run, and say whether the same came out.

    Repeats a completed run in a new directory: with its saved configuration and seed, on as many BLAS threads. Says
    whether metrics.json came out the same, byte for byte (exit status 0), or which metrics differ, and in what the
    environment does (exit status 1). Nothing is written into RUN.
    """
    repetition = repeat(run, to, quiet, tuple(command_line()))
    output.show(repetition.as_json(), "\n".join(repetition.verdict()))
    return 0 if repetition.identical else 1
