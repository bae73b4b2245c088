"""Pictures -> the classes that a saved model predicts."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mnistlab.data.formats.record import Options
from mnistlab.inference.predict import image_io, image_table, inputs, preprocessing, results
from mnistlab.nn.folding import folded
from mnistlab.nn.network import Network
from mnistlab.runs.saved_run import SavedRun
from mnistlab.system.console import progress_bar
from mnistlab.system.errors import RunError

BATCH = 256  # inputs of the network that are classified at once
THUMBNAIL = 112  # pixels of the longer side


@dataclass(frozen=True)
class Ready:
    """A picture that is prepared for the network."""

    file: str
    truth: str | None
    picture: image_io.Picture
    digits: list[preprocessing.Prepared]


def predict(
    run: SavedRun, pictures: Sequence[inputs.Input], style: preprocessing.Style, dark: bool | None
) -> tuple[list[results.Predicted], list[results.Failed]]:
    """Return the predictions, and the files that could not be read, which are also reported on stderr.

    A picture whose folder is named after one class shows one digit. Pictures that are only resized are inverted and
    transposed as the run's own data was.
    """
    like = image_table.trained(run).of_pictures if style.way is preprocessing.Way.raw else None
    predicted: list[results.Predicted] = []
    failed: list[results.Failed] = []
    network = folded(run.network)
    for batch in _batches(_prepared(run, pictures, style, dark, like, failed)):
        predicted += _predict(run, network, batch)
    return predicted, failed


def predict_table(
    run: SavedRun, name: str, table: image_table.ImageTable, style: preprocessing.Style, dark: bool | None
) -> list[results.Predicted]:
    """Return the predictions for the rows of a table, each of which is one image; one without ink is only resized."""
    style = replace(style, several=False)
    shape = run.network.image_shape
    raw = preprocessing.Style(preprocessing.Way.raw)

    def ready() -> Iterator[Ready]:
        for i, image in enumerate(table.images):
            picture = image_io.Picture(image, image.shape[1], image.shape[0])
            try:
                digits = preprocessing.prepare_all(picture, shape, style, dark)
            except image_io.UnreadableError:
                digits = preprocessing.prepare_all(picture, shape, raw, dark)
            truth = inputs.truth(table.labels[i], run.class_names) if table.labels else None
            yield Ready(f"{name}:{table.ids[i]}", truth, picture, digits)

    network = folded(run.network)
    return [one for batch in _batches(ready()) for one in _predict(run, network, batch)]


def _prepared(
    run: SavedRun,
    pictures: Sequence[inputs.Input],
    style: preprocessing.Style,
    dark: bool | None,
    like: Options | None,
    failed: list[results.Failed],
) -> Iterator[Ready]:
    """Yield the network inputs of each file; report unreadable files and collect them in ``failed``."""
    few = True if len(pictures) <= 20 else None
    for one in progress_bar(pictures, desc="reading", unit=" pictures", disable=few, leave=False):
        truth = inputs.truth(one.folder, run.class_names)
        for_this = replace(style, several=False) if truth in run.class_names else style
        try:
            picture = image_io.read(one.file)
            digits = preprocessing.prepare_all(picture, run.network.image_shape, for_this, dark, like)
        except image_io.UnreadableError as error:
            failed.append(results.Failed(one.file, str(error)))
            print(f"mnistlab predict: {results.plain(one.file)}: {error}", file=sys.stderr)  # noqa: T201
        else:
            yield Ready(one.file, truth, picture, digits)


def _batches(prepared: Iterator[Ready]) -> Iterator[list[Ready]]:
    batch: list[Ready] = []
    for one in prepared:
        batch.append(one)
        if sum(len(each.digits) for each in batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _predict(run: SavedRun, network: Network, batch: Sequence[Ready]) -> list[results.Predicted]:
    from threadpoolctl import threadpool_limits

    images = np.stack([prepared.image for one in batch for prepared in one.digits])
    with threadpool_limits(run.threads):
        probabilities = network.predict(images)
    if not np.isfinite(probabilities).all():
        raise RunError(
            f"{run.given}: the network overflows on these pictures; the model cannot be used, train it again"
        )
    rows = iter(probabilities)
    return [
        results.Predicted(
            one.file,
            tuple(results.Digit(next(rows), prepared) for prepared in one.digits),
            (one.picture.height, one.picture.width),
            _thumbnail(one.picture.grey),
            one.truth,
        )
        for one in batch
    ]


def _thumbnail(grey: np.ndarray) -> np.ndarray:
    """Return a small version for the overview picture, so that hundreds of large inputs are not kept in memory."""
    from PIL import Image

    image = Image.fromarray(grey)
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
    return np.asarray(image)
