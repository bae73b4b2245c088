"""Results -> the files of one run directory. Numbers are written first; pictures are drawn from the saved numbers."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab import evaluate, files, plots
from mnistlab.data import Dataset
from mnistlab.model_file import load_model
from mnistlab.nn.activation import Activation
from mnistlab.nn.layer import Dense
from mnistlab.train import Epoch, History

SAMPLES_PER_CLASS = 10
MISTAKES = 25


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
    """What a run shows of itself. Nothing here changes a number."""

    plots: Plots = Plots.core
    console: Console = Console.normal


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

    test, probabilities = dataset.test, predictions["test"]
    files.write(run / "predictions.npz", _npz(labels=test.labels, probabilities=probabilities))
    _table(run / "classification_report.csv", evaluate.classification_report(metrics["test"]))
    files.write(run / "confusion_matrix.csv", _confusion_csv(metrics["test"], names))
    _table(run / "roc.csv", evaluate.roc_curves(test.labels, probabilities, names))
    _table(run / "precision_recall.csv", evaluate.precision_recall_curves(test.labels, probabilities, names))
    counts = [[name, *(int((parts[part].labels == i).sum()) for part in parts)] for i, name in enumerate(names)]
    files.write(run / "class_distribution.csv", files.csv(("class", *parts), counts))

    worst = evaluate.worst_mistakes(test.labels, probabilities, MISTAKES)
    predicted = probabilities[worst].argmax(axis=1)
    files.write(
        run / "mistakes.npz",
        _npz(
            rows=worst,
            images=test.images[worst],
            truths=test.labels[worst],
            predictions=predicted,
            probabilities=probabilities[worst].max(axis=1),
        ),
    )
    rows = _first_of_each_class(dataset.train.labels, len(names))
    files.write(run / "samples.npz", _npz(images=dataset.train.images[rows], labels=dataset.train.labels[rows]))
    return metrics


def draw(run: Path, which: Plots) -> list[Path]:
    """Draw the pictures of a run from the files in its directory; return their paths."""
    if which is Plots.none:
        return []
    folder = run / "plots"
    folder.mkdir(exist_ok=True)
    drawn = []
    for name, picture in _pictures(run, which):
        plots.save(picture(), folder / f"{name}.png")
        drawn.append(folder / f"{name}.png")
    return drawn


def _pictures(run: Path, which: Plots) -> Iterator[tuple[str, Callable[[], plots.Picture]]]:
    """Yield name and drawing of each picture, those of ``core`` first."""
    import pandas as pd

    metrics = json.loads((run / "metrics.json").read_text())
    names, train, test = metrics["class_names"], metrics["train"], metrics["test"]
    network, _ = load_model(run / "model.safetensors")

    def curves(name: str) -> pd.DataFrame:  # a class may be called "NA"
        return pd.read_csv(run / name, dtype={"curve": str}, keep_default_na=False, na_values={"threshold": [""]})

    def confusion(part: dict[str, Any], normalised: bool, title: str) -> plots.Picture:
        return plots.confusion(part["confusion_matrix"], names, normalised, f"Confusion matrix, {title}")

    yield "curves", lambda: plots.curves(pd.read_csv(run / "history.csv"), metrics["best_epoch"])
    if test["n"]:
        average_precision = _by_curve(test["average_precision"])
        yield "confusion_matrix", lambda: confusion(test, False, "test part")
        yield "roc", lambda: plots.roc(curves("roc.csv"), _by_curve(test["roc_auc"]))
        yield "precision_recall", lambda: plots.precision_recall(curves("precision_recall.csv"), average_precision)
        yield "worst_mistakes", lambda: _mistakes(run, names)
    first = next((layer for layer in network.layers if layer.weights()), None)
    if isinstance(first, Dense) and first.fan_in == np.prod(network.image_shape):
        yield "weights", lambda: plots.weights(first.params["W"].reshape(-1, *network.image_shape))
    if which is Plots.core:
        return
    if test["n"]:
        yield "confusion_matrix_normalised", lambda: confusion(test, True, "test part, share of each true class")
    yield "confusion_matrix_train", lambda: confusion(train, False, "training part")
    yield "norms", lambda: plots.norms(pd.read_csv(run / "norms.csv"))
    yield "class_distribution", lambda: _class_distribution(run)
    yield "samples", lambda: _samples(run, names)
    used = {str(layer.spec()): layer for layer in network.layers if isinstance(layer, Activation)}
    if used:
        yield "activations", lambda: plots.activations(dict(_activation(layer) for layer in used.values()))


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


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
