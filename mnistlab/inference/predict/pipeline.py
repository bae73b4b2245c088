"""Picture files -> the classes that a saved model predicts."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np

from mnistlab.inference.predict import image_io, preprocessing, results
from mnistlab.nn.folding import folded
from mnistlab.nn.network import Network
from mnistlab.runs.saved_run import SavedRun
from mnistlab.system.errors import RunError

BATCH = 256  # pictures that are classified at once


def predict(
    run: SavedRun, files: Sequence[str], style: preprocessing.Style, dark: bool | None
) -> tuple[list[results.Predicted], list[results.Failed]]:
    """Return the predictions, and the files that could not be read, which are also reported on stderr."""
    predicted: list[results.Predicted] = []
    failed: list[results.Failed] = []
    network = folded(run.network)
    for batch in _batches(_prepared(run, files, style, dark, failed)):
        predicted += _predict(run, network, batch)
    return predicted, failed


def _prepared(
    run: SavedRun, files: Sequence[str], style: preprocessing.Style, dark: bool | None, failed: list[results.Failed]
) -> Iterator[tuple[str, image_io.Picture, preprocessing.Prepared]]:
    """Yield the network input of each file; report unreadable files and collect them in ``failed``."""
    from tqdm import tqdm

    bar = tqdm(files, desc="reading", unit=" pictures", disable=None if len(files) > 20 else True, leave=False)
    for file in bar:
        try:
            picture = image_io.read(file)
            yield file, picture, preprocessing.prepare(picture, run.network.image_shape, style, dark)
        except image_io.UnreadableError as error:
            failed.append(results.Failed(file, str(error)))
            print(f"mnistlab predict: {results.plain(file)}: {error}", file=sys.stderr)  # noqa: T201


def _batches(
    prepared: Iterator[tuple[str, image_io.Picture, preprocessing.Prepared]],
) -> Iterator[list[tuple[str, image_io.Picture, preprocessing.Prepared]]]:
    from itertools import islice

    while batch := list(islice(prepared, BATCH)):
        yield batch


def _predict(
    run: SavedRun, network: Network, batch: Sequence[tuple[str, image_io.Picture, preprocessing.Prepared]]
) -> list[results.Predicted]:
    from threadpoolctl import threadpool_limits

    images = np.stack([prepared.image for _, _, prepared in batch])
    with threadpool_limits(run.threads):
        probabilities = network.predict(images)
    if not np.isfinite(probabilities).all():
        raise RunError(
            f"{run.given}: the network overflows on these pictures; the model cannot be used, train it again"
        )
    return [
        results.Predicted(file, probs, prepared, (picture.height, picture.width), _thumbnail(picture.grey))
        for (file, picture, prepared), probs in zip(batch, probabilities, strict=True)
    ]


def _thumbnail(grey: np.ndarray) -> np.ndarray:
    """Return a small version for the overview picture, so that hundreds of large inputs are not kept in memory."""
    from PIL import Image

    image = Image.fromarray(grey)
    image.thumbnail((112, 112), Image.Resampling.BILINEAR)
    return np.asarray(image)
