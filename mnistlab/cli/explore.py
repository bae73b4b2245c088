"""``mnistlab explore``: its command line."""

from __future__ import annotations

from collections.abc import Sequence

from mnistlab.analysis.explore import decision_boundary, pca
from mnistlab.analysis.explore.common import EPOCHS, POINTS, Request
from mnistlab.cli.overrides import Overrides
from mnistlab.cli.parameters import (
    DIRECTORY,
    Choice,
    Whole,
    argument,
    command,
    command_line,
    json_option,
    option,
    verbosity_options,
)
from mnistlab.config import options
from mnistlab.runs import paths
from mnistlab.system import console, output
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.readers import read_json

ACTIONS = {"pca": pca.explore, "boundary": decision_boundary.explore}
SPLITS = ("train", "test", "all")
SETTABLE = ("data", "seed", "report.plots", "trainer.threads")  # of `pca`


@command(
    "explore",
    no_args_is_help=True,
    examples=(
        "mnistlab explore pca data=fashion_mnist",
        "mnistlab explore boundary model=svm_rbf,mlp_2hidden --points 500",
    ),
)
@argument("action", metavar="pca|boundary", type=Choice([*ACTIONS]), help="What to show.")
@argument(
    "words",
    metavar="[model=NAME,...] [data=NAME] [key=value ...]",
    nargs=-1,
    type=Overrides(),
    help="As for `mnistlab train`, but there is no validation set unless data.validation is set, and a network "
    f"trains for {EPOCHS} epochs unless trainer.epochs is set. pca accepts data=NAME, data.KEY=..., seed=N and "
    "report.plots=none. boundary needs model=NAME, or several models, which are drawn side by side; model.KEY=... "
    "applies to all of them.",
)
@option(
    "--points",
    metavar="N",
    type=Whole(2),
    show_default=f"{POINTS:,}, or all if there are fewer",
    help="Number of points to draw, with the class proportions of the data. boundary fits its components and models on "
    "these points; with data.limit=N, it uses all N images.",
)
@option("--split", type=Choice(SPLITS), show_default="train", help="The part of the data, for pca.")
@option(
    "--to",
    metavar="DIR",
    type=DIRECTORY,
    show_default="outputs/explore/",
    help="The directory to write to; it must be new or empty.",
)
@json_option
@verbosity_options
def main(
    action: str, words: tuple[str, ...], points: int | None, split: str | None, to: str | None, verbosity: str | None
) -> int:
    """Show the principal components of a dataset, or the decision boundaries of models.

    pca: the variance explained by each principal component, how many components are needed for 80, 90, 95 and 99 % of
    the variance, scatter plots of the images in two and three dimensions, and the components as images.

    boundary: the predictions of models on the first two components, with the predicted class as colour and its
    probability as saturation, and the points on which the models were fitted. The features are the two components; for
    a network, each of them is divided by its standard deviation.
    """
    models = _models([word for word in words if word.startswith("model=")])
    _check(action, words, models, split)
    overrides = [word for word in words if not word.startswith("model=")]
    verbosity = verbosity or "normal"
    request = Request(action, overrides, models, points, split or "train", to, verbosity, command_line())
    console.start(verbosity)
    try:
        folder = ACTIONS[action](request)
        output.give({"directory": folder, **read_json(folder / paths.SUMMARY)})
    finally:
        console.stop()
    return 0


def _check(action: str, words: Sequence[str], models: Sequence[str], split: str | None) -> None:
    """Refuse arguments that the action does not accept."""
    if action == "pca":
        for override in words:
            key = override.partition("=")[0].lstrip("+")
            if key not in SETTABLE and not key.startswith("data."):
                raise RequestError(
                    f"{override}: pca accepts only data=NAME, data.KEY=..., seed=N, report.plots=... and"
                    f" trainer.threads=N{did_you_mean(key, SETTABLE)}"
                )
        return
    if not models:
        raise RequestError("no model is named; name one or more, for example model=svm_rbf,mlp_2hidden")
    if split is not None:
        raise RequestError("--split: this option is for pca; boundary fits its models on the training set")
    for override in words:
        if override.lstrip("+~").startswith("hydra"):
            raise RequestError(
                f"{override}: Hydra's own keys cannot be set here; use --to DIR to choose the output directory"
            )


def _models(words: Sequence[str]) -> list[str]:
    """Return the models of ``model=a,b,c``; each must be named once."""
    if len(words) > 1:
        raise RequestError(
            f"{words[1]}: model is set twice; name several models in one override, as in model=svm_linear,svm_rbf"
        )
    names = words[0].removeprefix("model=").split(",") if words else []
    available = options.option_names("model")
    for name in names:
        if name not in available:
            near = did_you_mean(name, available)
            raise RequestError(f"model={name}: no such option; choose one of {', '.join(available)}{near}")
        if names.count(name) > 1:
            raise RequestError(f"{words[0]}: {name} is named twice; name each model once")
    if len(names) > decision_boundary.MOST_MODELS:
        raise RequestError(
            f"{words[0]}: at most {decision_boundary.MOST_MODELS} models fit into one picture; name fewer"
        )
    return names
