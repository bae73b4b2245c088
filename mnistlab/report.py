"""Results -> the files of one run directory. Numbers are written first; pictures are drawn from the saved numbers."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab import evaluate, files, plots
from mnistlab.augment import Augment
from mnistlab.data import Dataset, Part
from mnistlab.errors import RequestError, whole
from mnistlab.feature_maps import feature_maps
from mnistlab.model_file import load_model
from mnistlab.nn import Network
from mnistlab.nn.activation import Activation
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.layer import Dense
from mnistlab.occlusion import occlude, patch_side
from mnistlab.train import Epoch, History

LOG = logging.getLogger("mnistlab")
SAMPLES_PER_CLASS = 10
MISTAKES = 25
AUGMENTED_CLASSES, VERSIONS = 10, 9

Drawing = tuple[str, Callable[[], plots.Picture]]  # the name of a picture, and what draws it
COVERED = 6  # mistakes that the occlusion picture shows


class Plots(Enum):
    """Which pictures a run draws."""

    all = "all"
    core = "core"
    none = "none"


class Console(Enum):
    """How much a run prints."""

    quiet = "quiet"
    normal = "normal"
    verbose = "verbose"


@dataclass
class Report:
    """What a run shows of itself. Nothing here changes a number.

    ``images`` are rows of the test part, counted from 0, whose feature maps are drawn, one picture an image; with
    ``plots=all`` and none given it is the first. A network without convolution or pooling has no such maps.
    """

    plots: Plots = Plots.core
    console: Console = Console.normal
    images: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        for row in self.images:
            whole("images", row, 0, "a row of the test part")

    def check(self, test_size: int) -> None:
        """Refuse images that the test part does not have."""
        for row in self.images:
            if row >= test_size:
                raise RequestError(f"images={row}: the test part has {test_size:,} images, 0 to {test_size - 1:,}")


def write_history(run: Path, history: History) -> None:
    """Write history.csv and norms.csv, complete after every epoch."""
    files.write(
        run / "history.csv", files.csv(list(Epoch.__dataclass_fields__), [astuple(row) for row in history.epochs])
    )
    files.write(run / "norms.csv", files.csv(("epoch", "layer", "weight_norm", "grad_norm"), history.norms))


def write_results(
    run: Path, dataset: Dataset, predictions: dict[str, np.ndarray], summary: dict[str, Any]
) -> dict[str, Any]:
    """Write metrics.json and every table; return the metrics. ``predictions`` are the probabilities of each part."""
    names = dataset.class_names
    parts = {part: getattr(dataset, part) for part in ("train", "validation", "test")}
    scores = {part: evaluate.evaluate(parts[part].labels, predictions[part], names) for part in parts}
    metrics = {**summary, "class_names": list(names), **scores}
    files.write_json(run / "metrics.json", metrics)
    write_predictions(run, dataset.test, predictions["test"], names, scores["test"])
    write_images(run, parts, dataset.train, names)
    return metrics


def write_predictions(
    folder: Path, part: Part, probabilities: np.ndarray, names: Sequence[str], scores: dict[str, Any]
) -> None:
    """Write the tables of how one part was predicted, and its worst mistakes; ``scores`` are its metrics."""
    files.write(folder / "predictions.npz", npz(labels=part.labels, probabilities=probabilities))
    _table(folder / "classification_report.csv", evaluate.classification_report(scores))
    files.write(folder / "confusion_matrix.csv", _confusion_csv(scores, names))
    _table(folder / "roc.csv", evaluate.roc_curves(part.labels, probabilities, names))
    _table(folder / "precision_recall.csv", evaluate.precision_recall_curves(part.labels, probabilities, names))
    worst = evaluate.worst_mistakes(part.labels, probabilities, MISTAKES)
    predicted = probabilities[worst].argmax(axis=1)
    files.write(
        folder / "mistakes.npz",
        npz(
            rows=worst,
            images=part.images[worst],
            truths=part.labels[worst],
            predictions=predicted,
            probabilities=probabilities[worst].max(axis=1),
        ),
    )


def write_images(folder: Path, parts: Mapping[str, Part], shown: Part, names: Sequence[str]) -> None:
    """Write how many images of each class each part has, and the first of each class of ``shown``."""
    counts = [[name, *(int((part.labels == i).sum()) for part in parts.values())] for i, name in enumerate(names)]
    files.write(folder / "class_distribution.csv", files.csv(("class", *parts), counts))
    rows = _first_of_each_class(shown.labels, len(names))
    files.write(folder / "samples.npz", npz(images=shown.images[rows], labels=shown.labels[rows]))


def write_maps(run: Path, network: Network, dataset: Dataset, probabilities: np.ndarray, shown: Report) -> None:
    """Write what is to be drawn of the inside of the network: feature_maps.npz, and with ``all`` occlusion.npz.

    ``probabilities`` are those of the test part; mistakes.npz is there already.
    """
    if shown.plots is Plots.none:
        return
    test = dataset.test
    rows = list(dict.fromkeys(shown.images)) or ([0] if shown.plots is Plots.all and len(test) else [])
    maps = feature_maps(network, test.images[rows]) if rows else {}
    if maps:
        found = {f"maps_{i}": array for i, array in enumerate(maps.values())}
        predicted = probabilities[rows].argmax(axis=1)
        files.write(
            run / "feature_maps.npz",
            npz(
                rows=np.array(rows),
                images=test.images[rows],
                truths=test.labels[rows],
                predictions=predicted,
                probabilities=probabilities[rows, predicted],
                layers=np.array(list(maps)),
                **found,
            ),
        )
    elif shown.images:
        LOG.warning("report.images: this network has no convolution or pooling layer, so no feature maps to draw")
    if shown.plots is not Plots.all:
        return
    with np.load(run / "mistakes.npz", allow_pickle=False) as saved:
        kept = {name: saved[name][:COVERED] for name in saved.files}
    fill = int(np.median(test.images[:1000])) if len(test) else 0  # of MNIST: its background
    drops = occlude(network.predict, kept["images"], kept["predictions"], fill)
    side = patch_side(*network.image_shape)
    files.write(run / "occlusion.npz", npz(**kept, drops=drops, patch=np.array(side), fill=np.array(fill)))


def write_augmented(folder: Path, part: Part, augment: Augment, rng: np.random.Generator) -> None:
    """Write augmented.npz: an image of each of the first classes, followed by versions of it as training sees them."""
    _, first = np.unique(part.labels, return_index=True)
    rows = first[:AUGMENTED_CLASSES]
    images = np.repeat(part.images[rows, None], 1 + VERSIONS, axis=1)
    versions = images[:, 1:].reshape(-1, *part.images.shape[1:])
    augment.start_epoch(versions, rng)
    images[:, 1:] = augment.batch(versions).reshape(images[:, 1:].shape)
    files.write(folder / "augmented.npz", npz(images=images, labels=part.labels[rows]))


def augmented(folder: Path, names: Sequence[str]) -> plots.Picture:
    """Draw augmented.npz."""
    with np.load(folder / "augmented.npz", allow_pickle=False) as saved:
        return plots.augmented(saved["images"], saved["labels"], names)


def draw(run: Path, which: Plots) -> list[Path]:
    """Draw the pictures of a run from the files in its directory; return their paths."""
    return [] if which is Plots.none else save_pictures(run, _pictures(run, which))


def save_pictures(directory: Path, pictures: Iterable[Drawing]) -> list[Path]:
    """Draw each picture and save it under its name; return the paths."""
    folder = directory / "plots"
    folder.mkdir(exist_ok=True)
    drawn = []
    for name, picture in pictures:
        plots.save(picture(), folder / f"{name}.png")
        drawn.append(folder / f"{name}.png")
    return drawn


def _pictures(run: Path, which: Plots) -> Iterator[Drawing]:
    """Yield name and drawing of each picture, those of ``core`` first."""
    import pandas as pd

    metrics = json.loads((run / "metrics.json").read_text())
    names, train, test = metrics["class_names"], metrics["train"], metrics["test"]
    network, _ = load_model(run / "model.safetensors")
    yield "curves", lambda: plots.curves(pd.read_csv(run / "history.csv"), metrics["best_epoch"])
    if test["n"]:
        yield from pictures_of_predictions(run, test, names, "test part")
    first = next((layer for layer in network.layers if layer.weights()), None)
    if isinstance(first, Dense) and first.fan_in == np.prod(network.image_shape):
        yield "weights", lambda: plots.weights(first.params["W"].reshape(-1, *network.image_shape))
    convolutions = [i for i, layer in enumerate(network.layers) if isinstance(layer, Conv2D)]
    for i in convolutions if which is Plots.all else convolutions[:1]:
        yield f"filters_{i + 1}", partial(plots.filters, network.layers[i].params["W"], network.title(i))
    if (run / "feature_maps.npz").exists():
        yield from _feature_maps(run, names)
    if (run / "augmented.npz").exists():
        yield "augmented", lambda: augmented(run, names)
    if which is Plots.core:
        return
    if (run / "occlusion.npz").exists():
        yield "occlusion", lambda: _occlusion(run, names)
    if test["n"]:
        yield normalised_confusion(test, names, "test part")
    yield "confusion_matrix_train", lambda: _confusion(train, names, False, "training part")
    yield "norms", lambda: plots.norms(pd.read_csv(run / "norms.csv"))
    yield from pictures_of_images(run, names)
    used = {str(layer.spec()): layer for layer in network.layers if isinstance(layer, Activation)}
    if used:
        yield "activations", lambda: plots.activations(dict(_activation(layer) for layer in used.values()))


def pictures_of_predictions(
    folder: Path, scores: dict[str, Any], names: Sequence[str], title: str
) -> Iterator[Drawing]:
    """Yield the pictures of what `write_predictions` wrote; ``title`` says which part it is."""
    import pandas as pd

    def curves(name: str) -> pd.DataFrame:  # a class may be called "NA"
        return pd.read_csv(folder / name, dtype={"curve": str}, keep_default_na=False, na_values={"threshold": [""]})

    average_precision = _by_curve(scores["average_precision"])
    yield "confusion_matrix", lambda: _confusion(scores, names, False, title)
    yield "roc", lambda: plots.roc(curves("roc.csv"), _by_curve(scores["roc_auc"]))
    yield "precision_recall", lambda: plots.precision_recall(curves("precision_recall.csv"), average_precision)
    yield "worst_mistakes", lambda: _mistakes(folder, names)


def normalised_confusion(scores: dict[str, Any], names: Sequence[str], title: str) -> Drawing:
    """Return the confusion matrix in per cent of each true class."""
    return "confusion_matrix_normalised", lambda: _confusion(scores, names, True, f"{title}, share of each true class")


def pictures_of_images(folder: Path, names: Sequence[str]) -> Iterator[Drawing]:
    """Yield the pictures of what `write_images` wrote."""
    yield "class_distribution", lambda: _class_distribution(folder)
    yield "samples", lambda: _samples(folder, names)


def _confusion(scores: dict[str, Any], names: Sequence[str], normalised: bool, title: str) -> plots.Picture:
    return plots.confusion(scores["confusion_matrix"], names, normalised, f"Confusion matrix, {title}")


def _activation(layer: Activation) -> tuple[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the name of an activation with x, f(x) and f'(x) on [-5, 5]."""
    ((name, settings),) = layer.spec().items()
    fresh = type(layer)(**settings)
    fresh.dtype = np.float64
    x = np.linspace(-5, 5, 401)
    y = fresh.forward(x[None].copy())[0].copy()
    slope = fresh.backward(np.ones((1, len(x))))[0]
    title = name + (f" ({', '.join(f'{key} {value:g}' for key, value in settings.items())})" if settings else "")
    return title, (x, y, slope)


def _mistakes(run: Path, names: Sequence[str]) -> plots.Picture:
    with np.load(run / "mistakes.npz", allow_pickle=False) as saved:
        return plots.mistakes(saved["images"], saved["truths"], saved["predictions"], saved["probabilities"], names)


def _feature_maps(run: Path, names: Sequence[str]) -> Iterator[Drawing]:
    with np.load(run / "feature_maps.npz", allow_pickle=False) as file:
        saved = {name: file[name] for name in file.files}
    for i, row in enumerate(saved["rows"]):
        maps = {str(title): saved[f"maps_{place}"][i] for place, title in enumerate(saved["layers"])}
        of_image = (saved[name][i] for name in ("images", "truths", "predictions", "probabilities"))
        image, truth, prediction, probability = of_image
        yield (
            f"feature_maps_{row}",
            partial(plots.feature_maps, image, truth, prediction, probability, maps, names, f"test image {row}"),
        )


def _occlusion(run: Path, names: Sequence[str]) -> plots.Picture:
    with np.load(run / "occlusion.npz", allow_pickle=False) as file:
        saved = {name: file[name] for name in file.files}
    images, truths, predictions = saved["images"], saved["truths"], saved["predictions"]
    return plots.occlusion(
        images, truths, predictions, saved["probabilities"], saved["drops"], int(saved["patch"]), names
    )


def _samples(run: Path, names: Sequence[str]) -> plots.Picture:
    with np.load(run / "samples.npz", allow_pickle=False) as saved:
        return plots.samples(saved["images"], saved["labels"], names, SAMPLES_PER_CLASS)


def _class_distribution(run: Path) -> plots.Picture:
    import pandas as pd

    table = pd.read_csv(run / "class_distribution.csv", dtype={"class": str}, keep_default_na=False)
    return plots.class_distribution({part: table[part].tolist() for part in table.columns[1:]}, table["class"].tolist())


def _by_curve(scores: dict[str, Any]) -> dict[str, float | None]:
    return {**scores["per_class"], "micro": scores["micro"], "macro": scores["macro"]}


def _first_of_each_class(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.concatenate([np.flatnonzero(labels == c)[:SAMPLES_PER_CLASS] for c in range(classes)])


def _confusion_csv(metrics: dict[str, Any], names: Sequence[str]) -> str:
    return files.csv(
        ("truth", *map(str, names)),
        [[name, *row] for name, row in zip(names, metrics["confusion_matrix"], strict=True)],
    )


def _table(path: Path, table: Any) -> None:
    files.write(path, table.to_csv(index=False))


def npz(**arrays: np.ndarray) -> bytes:
    """Return arrays as the bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
