"""``mnistlab predict``: classify pictures with a saved model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnistlab.cli.parameters import FILE, RUN, Choice, Parsed, argument, command, json_option, option
from mnistlab.inference.predict import image_io, pipeline, preprocessing, results
from mnistlab.system import output
from mnistlab.system.errors import RequestError, RunError

if TYPE_CHECKING:
    from mnistlab.runs.saved_run import SavedRun

WAYS = ("auto", "digit", "object", "raw")
INVERT: dict[str, bool | None] = {"auto": None, "yes": True, "no": False}


def picture_file(name: str, text: str) -> Path:
    """Return the path of a PNG to be written."""
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise RequestError(f"{name} {path}: the picture is written as a PNG, so its name must end in .png")
    if not path.absolute().parent.is_dir():
        raise RequestError(f"{name} {path}: there is no folder {path.parent}; create it or choose another")
    if path.exists() and not path.is_file():
        raise RequestError(f"{name} {path}: not a file; choose another name")
    return path


@command(
    "predict",
    no_args_is_help=True,
    examples=(
        "mnistlab predict outputs/2026-11-21/09-30-12_lenet5 photo.jpg scan.png",
        "mnistlab predict my_run my_photographs --as digit --invert yes --show seen.png",
    ),
)
@argument("place", metavar="RUN", type=RUN, help="A run directory, or the model.safetensors in it.")
@argument(
    "pictures",
    metavar="PICTURE",
    nargs=-1,
    required=True,
    type=FILE,
    help="A picture file, a folder of them, or - for standard input.",
)
@option(
    "--as",
    "way",
    type=Choice(WAYS),
    default="auto",
    help="How pictures are prepared. digit: the ink is scaled to MNIST's 20 x 20 box and placed in 28 x 28 by its "
    "centre of mass. object: the margins are trimmed and the rest is scaled to the full side and centred, as for "
    "Fashion-MNIST. raw: resized only. auto: as for the dataset that the run was trained on; raw for your own data.",
)
@option(
    "--invert",
    type=Choice([*INVERT]),
    default="auto",
    help="yes: pictures are dark on light. no: light on dark. auto: decided for each picture.",
)
@option(
    "--show",
    metavar="FILE",
    type=Parsed(picture_file),
    help="Draw every input, what the network receives, and the three most probable classes (.png).",
)
@json_option
def main(place: str, pictures: tuple[str, ...], way: str, invert: str, show: Path | None) -> int:
    """Classify photographs and scans with a saved model.

    Images may have any size and be dark on light or light on dark, unevenly lit or off-centre; a rotation that the
    camera recorded (EXIF) is undone. Each is first prepared like the images that the model was trained on, and should
    show one digit or object. An image that cannot be read is reported on stderr and the others are predicted; the exit
    status is then 1.
    """
    files = image_io.expand(list(pictures))

    from mnistlab.runs.saved_run import open_run

    run = open_run(place)
    style = preprocessing.style_of_run(run, way)
    predicted, failed = pipeline.predict(run, files, style, INVERT[invert])
    output.show(results.as_json(run, style, predicted, failed), results.table(predicted, run.class_names))
    if show and predicted:
        _show(show, run, predicted)
    if failed:
        raise RunError(f"{len(failed)} of {len(files)} pictures could not be classified; the reasons are above")
    return 0


def _show(path: Path, run: SavedRun, predictions: Sequence[results.Predicted]) -> None:
    from mnistlab.reporting import plots

    best = [one.ranked(3) for one in predictions]
    tops = [[(run.class_names[k], p) for k, p in three] for three in best]
    inputs, prepared = [one.thumbnail for one in predictions], np.stack([one.prepared.image for one in predictions])
    plots.save(plots.predicted([Path(one.file).name for one in predictions], inputs, prepared, tops), path)
    print(f"picture: {path}", file=sys.stderr)  # noqa: T201
