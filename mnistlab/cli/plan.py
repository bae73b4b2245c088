"""``mnistlab plan``: what a sweep would cost, and what its statistics could see, before it is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mnistlab.cli import train
from mnistlab.cli.overrides import Overrides
from mnistlab.cli.parameters import DIRECTORY, FILE, argument, command, json_option, option
from mnistlab.cli.sweep_options import sweep_options

if TYPE_CHECKING:
    from mnistlab.sweeps.forecast import Forecast, JobForecast

MOST_ROWS = 50  # jobs on the terminal; --json has all


@command(
    "plan",
    context_settings={"ignore_unknown_options": True},
    examples=(
        "mnistlab plan init=random,kaiming 'seed=range(6)'",
        "mnistlab plan data=mnist model=lenet5,cnn_simple 'seed=range(3)' hydra.launcher.n_jobs=2",
    ),
)
@argument(
    "words",
    metavar="[FILE.yaml] [group=option ...] [key=value ...]",
    nargs=-1,
    type=Overrides(),
    help="The sweep, as for `mnistlab train -m`.",
)
@option("--config", metavar="FILE", type=FILE, help="A YAML file with settings, as for `mnistlab train`.")
@sweep_options
@json_option
@option(
    "-cd", "--config-dir", cls=train.HydraOption, expose_value=False, metavar="DIR", type=DIRECTORY,
    help="Also look for options in this folder.",
)  # fmt: skip
def main(words: tuple[str, ...], config: str | None, **of_sweep: Any) -> int:
    """Show the jobs of a sweep, with the time, memory and files that they need.

    Nothing is trained to the end: of every distinct network, one job is rehearsed with a training of about a second, as
    many at a time as the launcher would run. The last line says what the statistics will be able to see.
    """
    return train.start(words, config, of_sweep, plans=True)


def table(forecast: Forecast) -> str:
    """Return the forecast as a table with its totals below."""
    from mnistlab.reporting import tables
    from mnistlab.system.flatten import as_text

    keys = list(dict.fromkeys(key for job in forecast.jobs for key in job.entry.settings))
    rows = [_row(job, keys, as_text) for job in forecast.jobs[:MOST_ROWS]]
    header = ("job", *keys, "epochs", "time", "memory", "files")
    right = (0, *range(1 + len(keys), len(header)))
    lines = [tables.text((header, rows), right=right)]
    if (more := len(forecast.jobs) - MOST_ROWS) > 0:
        lines.append(f"... and {more:,} more; --json lists all")
    lines += ["", forecast.total, *forecast.bounds, *forecast.notes, forecast.outlook.text]
    reasons = dict.fromkeys(job.error for job in forecast.jobs if job.error)
    return "\n".join([*lines, *(f"cannot be run: {reason}" for reason in reasons)])


def _row(job: JobForecast, keys: list[str], as_text: Any) -> tuple[str, ...]:
    from mnistlab.system.units import duration, size

    settings = [as_text(job.entry.settings.get(key)) for key in keys]
    if job.error:
        return (str(job.entry.number), *settings, "-", "fails", "-", "-")
    costs = duration(job.seconds), size(job.memory), size(job.disk)
    return (str(job.entry.number), *settings, str(job.epochs), *costs)
