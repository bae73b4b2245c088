"""The saved numbers of a run -> its pictures. Nothing new is computed here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.config.report import Format, Plots
from mnistlab.models.model_file import load_model
from mnistlab.nn.activations import Activation
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.layers import Dense
from mnistlab.reporting import plots
from mnistlab.runs import paths
from mnistlab.runs.artifacts import SAMPLES_PER_CLASS
from mnistlab.runs.large_matrices import read_metrics
from mnistlab.system.readers import read_arrays, read_columns, read_table

Drawing = tuple[str, Callable[[], plots.Picture]]  # the name of a picture, and the function that draws it


def augmented(folder: Path, names: Sequence[str]) -> plots.Picture:
    """Draw augmented.npz."""
    saved = read_arrays(folder / paths.AUGMENTED)
    return plots.augmented(saved["images"], saved["labels"], names)


def draw(run: Path, level: Plots, form: Format = Format.png) -> list[Path]:
    """Draw the pictures of a run from the files in its directory; return their paths."""
    return [] if level is Plots.none else save_pictures(run, of_run(run, level), form)


def save_pictures(directory: Path, pictures: Iterable[Drawing], form: Format = Format.png) -> list[Path]:
    """Draw each picture and save it under its name as PNG, and in a vector format if ``form`` is one.

    Returns the paths of the PNGs.
    """
    (directory / paths.PLOTS).mkdir(exist_ok=True)
    drawn = []
    for name, draw_it in pictures:
        picture = draw_it()
        drawn.append(paths.plot(directory, name))
        plots.save(picture, drawn[-1])
        if form is not Format.png:
            plots.save_vector(picture, paths.vector(drawn[-1], form.value))
    return drawn


def of_run(run: Path, level: Plots) -> Iterator[Drawing]:
    """Yield the name and drawing of each picture, those of ``core`` first."""
    if level is Plots.none:
        return
    metrics = read_metrics(run)
    names, train, test = metrics["class_names"], metrics["train"], metrics["test"]
    if metrics["learner"] != "network":
        if test["n"]:
            yield from pictures_of_predictions(run, test, names, "test set", metrics.get("probabilities", ""))
        if level is Plots.all:
            yield from _pictures_of_parts(run, names, train, test)
        return
    network, _ = load_model(run / paths.MODEL)
    yield "curves", lambda: plots.curves(read_columns(run / paths.HISTORY), metrics["best_epoch"])
    if test["n"]:
        yield from pictures_of_predictions(run, test, names, "test set")
    first = next((layer for layer in network.layers if layer.weights()), None)
    if isinstance(first, Dense) and first.fan_in == np.prod(network.image_shape):
        yield "weights", lambda: plots.weights(first.params["W"].reshape(-1, *network.image_shape))
    convolutions = [i for i, layer in enumerate(network.layers) if isinstance(layer, Conv2D)]
    for i in convolutions if level is Plots.all else convolutions[:1]:
        yield f"filters_{i + 1}", partial(plots.filters, network.layers[i].params["W"], network.title(i))
    if (run / paths.FEATURE_MAPS).exists():
        yield from _feature_maps(run, names)
    if (run / paths.AUGMENTED).exists():
        yield "augmented", lambda: augmented(run, names)
    if level is Plots.core:
        return
    if (run / paths.OCCLUSION).exists():
        yield "occlusion", lambda: _occlusion(run, names)
    yield "norms", lambda: plots.norms(read_table(run / paths.NORMS))
    yield from _pictures_of_parts(run, names, train, test)
    used = {str(layer.spec()): layer for layer in network.layers if isinstance(layer, Activation)}
    if used:
        yield "activations", lambda: plots.activations(dict(_activation(layer) for layer in used.values()))


def _pictures_of_parts(
    run: Path, names: Sequence[str], train: dict[str, Any], test: dict[str, Any]
) -> Iterator[Drawing]:
    if test["n"]:
        yield normalised_confusion(test, names, "test set")
    yield "confusion_matrix_train", lambda: _confusion(train, names, False, "training set")
    yield from pictures_of_images(run, names)


def pictures_of_predictions(
    folder: Path, scores: dict[str, Any], names: Sequence[str], title: str, ranked_by: str = ""
) -> Iterator[Drawing]:
    """Yield the pictures of what `write_predictions` wrote; ``title`` is the set; for ``ranked_by`` see `plots.roc`."""

    def curves(name: str) -> dict[str, np.ndarray]:
        return read_columns(folder / name, text="curve")

    average_precision = _by_curve(scores["average_precision"])
    yield "confusion_matrix", lambda: _confusion(scores, names, False, title)
    yield "roc", lambda: plots.roc(curves(paths.ROC), _by_curve(scores["roc_auc"]), ranked_by)
    yield (
        "precision_recall",
        lambda: plots.precision_recall(curves(paths.PRECISION_RECALL), average_precision, ranked_by),
    )
    yield "worst_mistakes", lambda: _mistakes(folder, names)


def normalised_confusion(scores: dict[str, Any], names: Sequence[str], title: str) -> Drawing:
    """Return the drawing of the confusion matrix in per cent of each true class."""
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
    saved = read_arrays(run / paths.MISTAKES)
    return plots.mistakes(saved["images"], saved["truths"], saved["predictions"], saved["probabilities"], names)


def _feature_maps(run: Path, names: Sequence[str]) -> Iterator[Drawing]:
    saved = read_arrays(run / paths.FEATURE_MAPS)
    for i, row in enumerate(saved["rows"]):
        maps = {str(title): saved[f"maps_{place}"][i] for place, title in enumerate(saved["layers"])}
        values = (saved[name][i] for name in ("images", "truths", "predictions", "probabilities"))
        image, truth, prediction, probability = values
        yield (
            f"feature_maps_{row}",
            partial(plots.feature_maps, image, truth, prediction, probability, maps, names, f"test image {row}"),
        )


def _occlusion(run: Path, names: Sequence[str]) -> plots.Picture:
    saved = read_arrays(run / paths.OCCLUSION)
    images, truths, predictions = saved["images"], saved["truths"], saved["predictions"]
    return plots.occlusion(
        images, truths, predictions, saved["probabilities"], saved["drops"], int(saved["patch"]), names
    )


def _samples(run: Path, names: Sequence[str]) -> plots.Picture:
    saved = read_arrays(run / paths.SAMPLES)
    return plots.samples(saved["images"], saved["labels"], names, SAMPLES_PER_CLASS)


def _class_distribution(run: Path) -> plots.Picture:
    table = read_table(run / paths.CLASS_DISTRIBUTION, dtype={"class": str}, keep_default_na=False)
    return plots.class_distribution({part: table[part].tolist() for part in table.columns[1:]}, table["class"].tolist())


def _by_curve(scores: dict[str, Any]) -> dict[str, float | None]:
    return {**scores["per_class"], "micro": scores["micro"], "macro": scores["macro"]}
