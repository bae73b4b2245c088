"""``mnistlab rerun``: repeat a run from its saved configuration, and report what differs and why."""

from __future__ import annotations

from mnistlab.cli.parameters import DIRECTORY, RUN_DIRECTORY, argument, command, command_line, json_option, option
from mnistlab.runs.rerun import repeat
from mnistlab.system import output


@command("rerun", no_args_is_help=True, examples=("mnistlab rerun outputs/2026-11-21/09-30-12_lenet5 --to again",))
@argument("run", metavar="RUN", type=RUN_DIRECTORY, help="The directory of a completed run.")
@option("--to", metavar="DIR", type=DIRECTORY, help="The new directory.", show_default="outputs/<date>/<time>_rerun")
@json_option
@option("-q", "--quiet", is_flag=True, help="Print the verdict only.")
def main(run: str, to: str | None, quiet: bool) -> int:
    """Repeat a run and check that the results are identical.

    Repeats a completed run in a new directory with its saved configuration, seed, number of threads and kernels.
    Reports whether metrics.json is identical, byte for byte (exit status 0), or which metrics and which parts
    of the environment differ (exit status 1). RUN is not changed.
    """
    repetition = repeat(run, to, quiet, tuple(command_line()))
    output.show(repetition.as_json(), "\n".join(repetition.verdict()))
    return 0 if repetition.identical else 1
