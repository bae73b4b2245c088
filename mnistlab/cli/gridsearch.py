"""``mnistlab gridsearch``: score every cell on the same folds, then refit the best one and test it once."""

from __future__ import annotations

from pathlib import Path

from mnistlab.cli.overrides import Overrides
from mnistlab.cli.parameters import DIRECTORY, Choice, Whole, argument, command, json_option, option, quiet_option
from mnistlab.metrics.classification import SCORES
from mnistlab.runs.environment import all_cores
from mnistlab.sweeps.gridsearch.search import Request, search


@command(
    "gridsearch",
    no_args_is_help=True,
    examples=(
        "mnistlab gridsearch model=svm_rbf,knn",
        "mnistlab gridsearch model=svm_rbf 'model.gamma=[0.001,0.01]' 'model.C=[1,10]' --cv 3",
    ),
)
@argument(
    "overrides",
    metavar="[group=option ...] [key=value ...] KEY=VALUES ...",
    nargs=-1,
    type=Overrides(),
    help="The configuration and the grid. VALUES is a,b,..., [a,b,...], range(a,b) or choice(a,b). If the setting "
    "itself is a list, model.hidden=[128,64] is one value, and 'model.hidden=[64],[128,64]' is two.",
)
@option("--cv", metavar="N", type=Whole(2), default=5, help="Number of folds.")
@option(
    "--metric", metavar="NAME", type=Choice([*SCORES]), default="accuracy", help=f"The metric: {', '.join(SCORES)}."
)
@option("--jobs", metavar="N", type=Whole(), show_default="one per core", help="Number of fits to run at once.")
@option(
    "--to",
    metavar="DIR",
    type=DIRECTORY,
    help="The directory to write to; an interrupted search in it is resumed.",
    show_default="outputs/gridsearch/<time>",
)
@json_option
@quiet_option
def main(overrides: tuple[str, ...], cv: int, metric: str, jobs: int | None, to: str | None, quiet: bool) -> int:
    """Cross-validate every combination in a grid, then test the best one.

    A cell is one combination of values. The training data (everything except the test set) is split into folds, the
    same for every cell. Each fold in turn is held out: the cell is fitted on the other folds and scored on this one.
    Identical cells are run only once. The best cell is then refitted on all training data and evaluated on the test
    set, which is not used until then. This works for networks and for scikit-learn models. A cell that fails is listed
    with the reason; the search fails if no cell can be scored.
    """
    directory = Path(to).absolute() if to is not None else None
    return search(Request(overrides, cv, metric, jobs or all_cores(), directory, quiet))
