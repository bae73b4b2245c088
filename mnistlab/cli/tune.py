"""``mnistlab tune``: search, then test the chosen configuration once, with several seeds."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from mnistlab.cli.overrides import Overrides
from mnistlab.cli.parameters import DIRECTORY, Choice, Whole, argument, command, json_option, option, quiet_option
from mnistlab.sweeps.tune.pruning import METRICS, PRUNERS
from mnistlab.sweeps.tune.runner import SEEDS, Request, tune
from mnistlab.sweeps.tune.space import FORMS
from mnistlab.system.errors import RequestError

CHANGEABLE = ("resume", "trials", "jobs", "pruner", "no_prune", "quiet")  # the options allowed with --resume


@command(
    "tune",
    no_args_is_help=True,
    examples=(
        "mnistlab tune 'optimizer.lr=log(1e-4,1)' 'model.hidden=choice([64],[128,64])' --trials 20",
        "mnistlab tune --resume outputs/tune/2026-11-21_09-30-12 --trials 40",
    ),
)
@argument(
    "overrides",
    metavar="[group=option ...] [key=value ...] KEY=SPACE ...",
    nargs=-1,
    type=Overrides(),
    help=f"The configuration and the search space. SPACE is {FORMS} (a list of values).",
)
@option("--trials", metavar="N", type=Whole(), help="Number of trials.", show_default="40")
@option("--jobs", metavar="N", type=Whole(), help="Number of trials to run at once.", show_default="one per core")
@option(
    "--seeds", metavar="N", type=Whole(), default=SEEDS, help="Number of seeds for testing the chosen configuration."
)
@option(
    "--metric",
    metavar="NAME",
    type=Choice([*METRICS], "; the test set is not used for selection"),
    default="validation.accuracy",
    help=f"The metric: {' or '.join(METRICS)}.",
)
@option(
    "--pruner",
    metavar="NAME",
    type=Choice([*PRUNERS]),
    help="How trials are stopped early: median, halving (successive halving) or hyperband by their epochs, wilcoxon by "
    "their seeds, or none.",
    show_default="median; wilcoxon with five or more --trial-seeds",
)
@option("--no-prune", is_flag=True, help="Do not stop trials early: --pruner none.")
@option("--trial-seeds", metavar="N", type=Whole(), default=1, help="Number of seeds of a trial, whose mean counts.")
@option(
    "--against-seconds",
    is_flag=True,
    help="Search for two objectives, the metric and the training time. All trials that no other beats in both "
    "are tested.",
)
@option("--to", metavar="DIR", type=DIRECTORY, help="The directory to write to.", show_default="outputs/tune/<time>")
@option("--resume", metavar="DIR", type=DIRECTORY, help="Resume a search; --trials can increase the number of trials.")
@json_option
@quiet_option
def main(
    overrides: tuple[str, ...],
    trials: int | None,
    jobs: int | None,
    seeds: int,
    metric: str,
    pruner: str | None,
    no_prune: bool,
    trial_seeds: int,
    against_seconds: bool,
    to: str | None,
    resume: str | None,
    quiet: bool,
) -> int:
    """Search for hyperparameters, then test the best ones with several seeds.

    Uses Optuna to find the settings with the best validation metric: its TPE sampler proposes trials, and trials that
    are worse than others are stopped early. No trial uses the test set. At the end, only the chosen configuration
    is trained with several seeds and evaluated on the test set. The study is stored in DIR/study.sqlite3, which can be
    opened with Optuna's own tools.
    """
    if resume is not None:
        _refuse_changes()
    if no_prune and pruner not in (None, "none"):
        raise RequestError(f"--no-prune: conflicts with --pruner {pruner}; leave out one of them")
    rule = "none" if no_prune else pruner
    to_path, resume_path = (Path(place).absolute() if place is not None else None for place in (to, resume))
    options = (overrides, trials, jobs, seeds, metric, rule, quiet)
    return tune(Request(*options, to_path, resume_path, trial_seeds, against_seconds))


def _refuse_changes() -> None:
    """Refuse options that a resumed search cannot change."""
    context = click.get_current_context()
    for each in context.command.params:
        name = str(each.name)
        on_line = context.get_parameter_source(name) == ParameterSource.COMMANDLINE and context.params.get(name)
        if on_line and name not in CHANGEABLE:
            raise RequestError(
                "--resume: a search is resumed with its own settings; only --trials, --jobs and --pruner may be changed"
            )
