"""``mnistlab predict``: classify pictures with a saved model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mnistlab.cli.parameters import FILE, RUN, Choice, Parsed, argument, command, json_option, option
from mnistlab.inference.predict import image_table, inputs, pipeline, preprocessing, results
from mnistlab.system import directories, files, output
from mnistlab.system.errors import RequestError, RunError

if TYPE_CHECKING:
    from mnistlab.reporting import plots
    from mnistlab.runs.saved_run import SavedRun

WAYS = ("auto", "digit", "object", "raw")
INVERT: dict[str, bool | None] = {"auto": None, "yes": True, "no": False}
MOST_PAGES = 100  # of a picture of all inputs


def new_file(name: str, text: str, suffix: str, what: str) -> Path:
    """Return the path of a file to be written, whose name must end in ``suffix``."""
    path = Path(text)
    if path.suffix.lower() != suffix:
        raise RequestError(f"{name} {path}: {what}, so its name must end in {suffix}")
    if not path.absolute().parent.is_dir():
        raise RequestError(f"{name} {path}: there is no folder {path.parent}; create it or choose another")
    if path.exists() and not path.is_file():
        raise RequestError(f"{name} {path}: not a file; choose another name")
    return path


def picture_file(name: str, text: str) -> Path:
    """Return the path of a PNG to be written."""
    return new_file(name, text, ".png", "the picture is written as a PNG")


def csv_file(name: str, text: str) -> Path:
    """Return the path of a CSV file to be written."""
    return new_file(name, text, ".csv", "the predictions are written as CSV")


@command(
    "predict",
    no_args_is_help=True,
    examples=(
        "mnistlab predict outputs/2026-11-21/09-30-12_lenet5 photo.jpg scan.png",
        "mnistlab predict my_run my_photographs --as digit --invert yes --show seen.png",
        "mnistlab predict my_run test.csv --to submission.csv",
    ),
)
@argument("place", metavar="RUN", type=RUN, help="A run directory, or the model.safetensors in it.")
@argument(
    "pictures",
    metavar="PICTURE",
    nargs=-1,
    required=True,
    type=FILE,
    help="A picture file, a folder of them, or - for standard input. If the folder has a folder for each class, the "
    "accuracy is measured. Or one table of images: .csv with one image per row, as Kaggle's test.csv, .npz or .npy.",
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
    "--digits",
    type=Choice(("auto", "one")),
    default="auto",
    help="one: every picture shows one digit. auto: the digits of a picture are separated, line by line, unless it "
    "lies in the folder of a class. Only with the preparation of digits.",
)
@option(
    "--show",
    metavar="FILE",
    type=Parsed(picture_file),
    help="Draw every input, what the network receives, and the three most probable classes (.png); more than 30 on "
    "several pages, FILE-2.png and so on.",
)
@option(
    "--to",
    metavar="FILE",
    type=Parsed(csv_file),
    help="Write the predictions as CSV: for a table of images the columns ImageId and Label of a Kaggle submission.",
)
@json_option
def main(
    place: str, pictures: tuple[str, ...], way: str, invert: str, digits: str, show: Path | None, to: Path | None
) -> int:
    """Classify photographs and scans with a saved model.

    Images may have any size and be dark on light or light on dark, unevenly lit or off-centre, on ruled paper or in a
    frame; a rotation that the camera recorded (EXIF) is undone. Each is first prepared like the images that the model
    was trained on. Several digits in one picture are read from left to right, line by line. Answers with a probability
    below 0.7 are marked. An image that cannot be read is reported on stderr and the others are predicted; the exit
    status is then 1.
    """
    tables = [name for name in pictures if image_table.is_table(name)]
    if tables and len(pictures) > 1:
        raise RequestError(f"{tables[0]}: a table of images is predicted by itself; name nothing else")
    files = [] if tables else inputs.expand(pictures)

    from mnistlab.runs.saved_run import open_run

    run = open_run(place)
    style = preprocessing.style_of_run(run, way, several=digits == "auto")
    if tables:
        return _table(run, tables[0], style, INVERT[invert], show, to)
    predicted, failed = pipeline.predict(run, files, style, INVERT[invert])
    accuracy = results.measure(predicted, run.class_names)
    lines = [results.table(predicted, run.class_names)]
    about = results.as_json(run, style, predicted, failed)
    if accuracy:
        lines += ["", accuracy.text(), *_not_measured(files, run, failed)]
        if accuracy.mistakes:
            about["mistakes"] = _mistakes(run, accuracy.mistakes)
            lines.append(f"mistakes {about['mistakes']}")
    output.show(about, "\n".join(lines))
    _write(run, predicted, show, to)
    if failed:
        raise RunError(f"{len(failed)} of {len(files)} pictures could not be classified; the reasons are above")
    return 0


def _table(
    run: SavedRun, name: str, style: preprocessing.Style, dark: bool | None, show: Path | None, to: Path | None
) -> int:
    """Predict a table of images; the predictions are the output unless they are written to a file."""
    like = image_table.trained(run)
    if dark is not None:  # the user decides instead of the run
        like = replace(like, options=replace(like.options, invert=False))
    table = image_table.read(name, run.network.image_shape, like)
    if table.note:
        _say(f"{name}: {table.note}")
    predicted = pipeline.predict_table(run, name, table, style, dark)
    rows = [[i, like.label_of(one.answer(run.class_names))] for i, one in zip(table.ids, predicted, strict=True)]
    submission = files.csv([table.id_name, table.label_name], rows)
    accuracy = results.measure(predicted, run.class_names)
    if to:
        files.write(to, submission)
    words = [accuracy.text()] if accuracy else []
    words += [f"{len(predicted):,} predictions in {to}"] if to else []
    if words and not to:
        _say("\n".join(words))
    output.show(results.as_json(run, style, predicted, []), "\n".join(words) if to else submission.rstrip("\n"))
    _write(run, predicted, show, None)
    return 0


def _not_measured(files: Sequence[inputs.Input], run: SavedRun, failed: Sequence[results.Failed]) -> list[str]:
    """Return what the accuracy leaves out, in words."""
    unknown = sorted({one.folder for one in files if one.folder and not inputs.truth(one.folder, run.class_names)})
    notes = [f"not measured: {results.plain(name)}/ is named after no class of the model" for name in unknown]
    folders = {one.file: one.folder for one in files}
    unread = sum(inputs.truth(folders[one.file], run.class_names) is not None for one in failed)
    if unread:
        notes.append(f"not measured: {unread} that could not be read")
    return notes


def _mistakes(run: SavedRun, mistakes: Sequence[results.Predicted]) -> str:
    """Draw the wrong answers, the most confident first, and return the path of the picture."""
    folder = directories.by_time("outputs/predict", run.directory.absolute().name[:60])
    path = folder / "mistakes.png"
    _draw(path, _cells(run, mistakes), "Mistakes")
    return str(files.shown(path))


def _write(run: SavedRun, predicted: Sequence[results.Predicted], show: Path | None, to: Path | None) -> None:
    if to:
        files.write(to, files.csv(*results.csv_rows(predicted, run.class_names)))
        _say(f"predictions: {to}")
    if show and predicted:
        for path in _draw(show, _cells(run, predicted), "Pictures and the network's input"):
            _say(f"picture: {path}")


def _cells(run: SavedRun, predicted: Sequence[results.Predicted]) -> list[plots.Classified]:
    """Return what is drawn of each digit of each picture."""
    from mnistlab.reporting import plots

    cells = []
    for one in predicted:
        several = len(one.digits) > 1
        truth = "" if one.truth is None else f" (truth: {one.truth})"
        for i, digit in enumerate(one.digits, 1):
            left, top, width, height = digit.prepared.box
            h, w = one.size
            cells.append(
                plots.Classified(
                    f"{Path(one.file).name}{f', digit {i}' if several else ''}{truth}",
                    one.thumbnail,
                    digit.prepared.image,
                    [(run.class_names[k], p) for k, p in digit.ranked(3)],
                    (left / w, top / h, width / w, height / h) if several else None,
                    "low confidence" if digit.is_uncertain else "",
                )
            )
    return cells


def _draw(path: Path, cells: Sequence[plots.Classified], title: str) -> list[Path]:
    """Draw all cells on as many pages as they need, and return the paths."""
    from mnistlab.reporting import plots

    pages = plots.pages_of(cells)
    if len(pages) > MOST_PAGES:
        _say(f"{path}: the first {MOST_PAGES} of {len(pages):,} pages are drawn")
    written = []
    for i, page in enumerate(pages[:MOST_PAGES], 1):
        written.append(path if i == 1 else path.with_name(f"{path.stem}-{i}{path.suffix}"))
        plots.save(
            plots.predicted(page, title if len(pages) == 1 else f"{title}: page {i} of {len(pages)}"), written[-1]
        )
    return written


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
