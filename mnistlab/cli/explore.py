"""``mnistlab explore``: what its command line asks for."""

from __future__ import annotations

from collections.abc import Sequence

from mnistlab.analysis.explore import decision_boundary, pca
from mnistlab.analysis.explore.common import EPOCHS, POINTS, Request
from mnistlab.cli import arguments as arguments_of
from mnistlab.config import options
from mnistlab.runs import paths
from mnistlab.system import console, output
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.readers import read_json

USAGE = f"""\
Usage: mnistlab explore pca [data=NAME] [data.KEY=... ...] [options]
       mnistlab explore boundary model=NAME[,NAME ...] [data=NAME] [key=value ...] [options]

  pca        Principal components of the images: the share of the variance that each explains, how many are needed for
             80, 90, 95 and 99 %, the images in the plane and the space of the first ones, and the components as images.
  boundary   What models make of the plane of the first two components: the predicted class as colour, its probability
             as saturation, and the points that the models were fitted on. A model's features are the two components; a
             network gets each divided by its standard deviation. Settings (model.C=10) are those of `mnistlab train`;
             several models are panels side by side, and settings of the group model hold for all of them.

  data=NAME, data.KEY=..., seed=N, report.plots=none   as for `mnistlab train`, but nothing is held out for validation
             unless data.validation says so, and a network trains for {EPOCHS} epochs unless trainer.epochs says so

  --points N     points that are drawn, each class in proportion: {POINTS:,}, or as many as there are. The models of
                 `boundary`, and its components, are fitted on these; with data.limit=N it takes all of that
  --split PART   of `pca`: train (the default), test, or all
  --to DIR       where to write, if not in outputs/explore/: a directory that is new or empty
  --json         one JSON object instead: summary.json, and the directory
  -q, --quiet    print the result only
  -v, --verbose  print also what is written
"""

ACTIONS = {"pca": pca.explore, "boundary": decision_boundary.explore}
OPTIONS = ("--points", "--split", "--to")
FLAGS = {"-q": "quiet", "--quiet": "quiet", "-v": "verbose", "--verbose": "verbose"}
SPLITS = ("train", "test", "all")
SETTABLE = ("data", "seed", "report.plots", "trainer.threads")  # of `pca`


def main(arguments: Sequence[str]) -> int:
    """Explore as the arguments say; return the exit status."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    request = parse(arguments)
    console.start(request.verbosity)
    try:
        folder = ACTIONS[request.action](request)
        output.give({"directory": folder, **read_json(folder / paths.SUMMARY)})
    finally:
        console.stop()
    return 0


def parse(arguments: Sequence[str]) -> Request:
    """Return the request, every option checked."""
    words, given, flags = arguments_of.split("explore", arguments, OPTIONS, [*FLAGS])
    action, *words = words or [""]
    if action not in ACTIONS:
        near = did_you_mean(action, ACTIONS)
        raise RequestError(f"{action or 'no action'}: choose one of {', '.join(ACTIONS)}{near}")
    overrides = [word for word in words if not word.startswith("model=")]
    models = _models([word for word in words if word.startswith("model=")])
    if action == "pca":
        for override in words:
            key = override.partition("=")[0].lstrip("+")
            if key not in SETTABLE and not key.startswith("data."):
                raise RequestError(
                    f"{override}: pca takes data=NAME, data.KEY=..., seed=N, report.plots=... and trainer.threads=N"
                    f" only{did_you_mean(key, SETTABLE)}"
                )
    else:
        if not models:
            raise RequestError("no model is named; name one or several, model=svm_rbf,mlp_2hidden for instance")
        if "--split" in given:
            raise RequestError("--split: it is an option of pca; boundary fits its models on the training part")
        for override in words:
            if override.lstrip("+~").startswith("hydra"):
                raise RequestError(f"{override}: nothing of Hydra's is set here; --to DIR says where to write")
    which = given.get("--split", "train")
    if which not in SPLITS:
        raise RequestError(f"--split {which}: choose one of {', '.join(SPLITS)}{did_you_mean(which, SPLITS)}")
    verbosity = FLAGS[flags[-1]] if flags else "normal"
    line = ["mnistlab", "explore", *arguments]
    return Request(action, overrides, models, _points(given), which, given.get("--to"), verbosity, line)


def _points(given: dict[str, str]) -> int | None:
    if "--points" not in given:
        return None
    text = given["--points"]
    if not text.isdecimal() or int(text) < 2:
        raise RequestError(f"--points {text}: a whole number of 2 or more was expected")
    return int(text)


def _models(words: Sequence[str]) -> list[str]:
    """Return the models of ``model=a,b,c``, each once."""
    if len(words) > 1:
        raise RequestError(f"{words[1]}: model is given twice; name several as model=svm_linear,svm_rbf")
    names = words[0].removeprefix("model=").split(",") if words else []
    known = options.option_names("model")
    for name in names:
        if name not in known:
            near = did_you_mean(name, known)
            raise RequestError(f"model={name}: there is no such option; choose one of {', '.join(known)}{near}")
        if names.count(name) > 1:
            raise RequestError(f"{words[0]}: {name} is named twice")
    if len(names) > decision_boundary.MOST_MODELS:
        raise RequestError(f"{words[0]}: at most {decision_boundary.MOST_MODELS} models go into one picture")
    return names
