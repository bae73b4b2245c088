"""``mnistlab rerun``: repeat a run or a sweep, and report what differs and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mnistlab.cli.parameters import DIRECTORY, RUN_DIRECTORY, argument, command, command_line, json_option, option
from mnistlab.runs import paths
from mnistlab.runs.rerun import Repetition, repeat
from mnistlab.system import output

if TYPE_CHECKING:
    from mnistlab.sweeps.rerun import SweepRepetition


@command(
    "rerun",
    no_args_is_help=True,
    examples=(
        "mnistlab rerun outputs/2026-11-21/09-30-12_lenet5 --to again",
        "mnistlab rerun outputs/multirun/2026-11-21_09-30-12",
    ),
)
@argument("run", metavar="RUN|SWEEP", type=RUN_DIRECTORY, help="The directory of a completed run, or of a sweep.")
@option("--to", metavar="DIR", type=DIRECTORY, help="The new directory.", show_default="one in outputs/, by the time")
@json_option
@option("-q", "--quiet", is_flag=True, help="Print the verdict only.")
def main(run: str, to: str | None, quiet: bool) -> int:
    """Repeat a run or a sweep and check that the results are identical.

    Repeats a completed run in a new directory with its saved configuration, seed, number of threads and kernels.
    Reports whether metrics.json is identical, byte for byte (exit status 0), or which metrics and which parts
    of the environment differ (exit status 1). RUN is not changed.

    Of a sweep, every job is repeated, with the launcher of the sweep.
    """
    repetition = _repetition(run, to, quiet)
    output.show(repetition.as_json(), "\n".join(repetition.verdict()))
    return 0 if repetition.identical else 1


def _repetition(place: str, to: str | None, quiet: bool) -> Repetition | SweepRepetition:
    if not (Path(place) / paths.SWEEP).exists():
        return repeat(place, to, quiet, tuple(command_line()))
    from mnistlab.sweeps import rerun

    return rerun.repeat(place, to, quiet)
