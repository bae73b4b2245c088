"""``mnistlab predict``: the classes of pictures, by a saved model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnistlab.cli import arguments as arguments_of
from mnistlab.inference.predict import image_io, pipeline, preprocessing, results
from mnistlab.system import output
from mnistlab.system.errors import RequestError, RunError, did_you_mean

if TYPE_CHECKING:
    from mnistlab.runs.saved_run import SavedRun

USAGE = """\
Usage: mnistlab predict RUN PICTURE [PICTURE ...] [options]

  Says what a saved model sees in pictures as people have them, photographs and scans for instance: of any size, dark on
  light or light on dark, unevenly lit, off-centre, turned by the camera. Each is first made like the images that the
  model was trained on. One digit or object a picture is expected.

  RUN            a run directory, or the model.safetensors in it
  PICTURE        a picture file, a folder of them, or - for standard input

  --as WAY       how pictures are prepared, if not as the run's dataset says:
                   digit    ink found, scaled to MNIST's 20 x 20 box, put by its centre of mass in 28 x 28
                   object   margins trimmed, scaled to the whole side and centred, as for Fashion-MNIST
                   raw      resized and not changed otherwise; the default for data of your own
  --invert WHEN  yes: pictures are dark on light; no: light on dark; auto (the default): found out picture by picture
  --show FILE    a picture (.png) of every input and of what the network saw of it, with the three likeliest classes
  --json         one JSON object, with all probabilities, instead of a table

  A picture that cannot be read is named on stderr, and the others are predicted; the exit status is then 1.
"""

OPTIONS = ("--as", "--invert", "--show")
WAYS = ("auto", "digit", "object", "raw")
INVERT: dict[str, bool | None] = {"auto": None, "yes": True, "no": False}


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    run: str
    pictures: list[str]
    way: str
    dark: bool | None
    show: Path | None


def main(arguments: list[str]) -> int:
    """Predict as the arguments say; return the exit status."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    request = parse(arguments)
    files = image_io.expand(request.pictures)

    from mnistlab.runs.saved_run import open_run

    run = open_run(request.run)
    style = preprocessing.style_of_run(run, request.way)
    found, failed = pipeline.predict(run, files, style, request.dark)
    output.show(results.as_json(run, style, found, failed), results.table(found, run.class_names))
    if request.show and found:
        _show(request.show, run, found)
    if failed:
        raise RunError(f"{len(failed)} of {len(files)} pictures could not be predicted; the reasons are above")
    return 0


def parse(arguments: Sequence[str]) -> Request:
    """Return the request, every option checked."""
    # a lone - is a picture, not an option
    stdin = [i for i, word in enumerate(arguments) if word == image_io.STDIN]
    marked = [f"./{image_io.STDIN}" if i in stdin else word for i, word in enumerate(arguments)]
    words, given, _ = arguments_of.split("predict", marked, OPTIONS)
    words = [image_io.STDIN if stdin and word == f"./{image_io.STDIN}" else word for word in words]
    if not words:
        raise RequestError("no run is named; a run directory was expected, such as outputs/<date>/<time>_<model>")
    if len(words) == 1:
        raise RequestError(f"{words[0]}: no picture is named after the run; name files, or - for standard input")
    way, invert = given.get("--as", "auto"), given.get("--invert", "auto")
    for option, value, options in (("--as", way, WAYS), ("--invert", invert, tuple(INVERT))):
        if value not in options:
            raise RequestError(f"{option} {value}: choose one of {', '.join(options)}{did_you_mean(value, options)}")
    show = Path(given["--show"]) if "--show" in given else None
    if show and show.suffix.lower() != ".png":
        raise RequestError(f"--show {show}: the picture is a PNG; let its name end in .png")
    if show and not show.absolute().parent.is_dir():
        raise RequestError(f"--show {show}: there is no folder {show.parent}; make it, or choose another place")
    if show and show.exists() and not show.is_file():
        raise RequestError(f"--show {show}: this is no file, and is not replaced; choose another name")
    return Request(words[0], words[1:], way, INVERT[invert], show)


def _show(path: Path, run: SavedRun, found: Sequence[results.Predicted]) -> None:
    from mnistlab.reporting import plots

    best = [one.ranked(3) for one in found]
    tops = [[(run.class_names[k], p) for k, p in three] for three in best]
    inputs, seen = [one.thumbnail for one in found], np.stack([one.prepared.image for one in found])
    plots.save(plots.predicted([Path(one.file).name for one in found], inputs, seen, tops), path)
    print(f"picture: {path}", file=sys.stderr)  # noqa: T201
