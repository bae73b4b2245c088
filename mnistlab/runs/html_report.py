"""The page of one run, from the files in its directory: the result first, then its training and its errors."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mnistlab.config import diff
from mnistlab.config.schema import schema_of
from mnistlab.models.model_file import load_model
from mnistlab.models.sklearn import SKLEARN_MODELS
from mnistlab.nn import summary
from mnistlab.reporting import html
from mnistlab.reporting.html import Figure, Section
from mnistlab.runs import paths, status
from mnistlab.runs.record import Record, read
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text
from mnistlab.system.readers import UnreadableError, read_json

LOG = logging.getLogger("mnistlab")
CONFUSIONS = 3
TITLES = {
    "curves": "Training curves",
    "confusion_matrix": "Confusion matrix",
    "confusion_matrix_normalised": "Confusion matrix, per cent of each true class",
    "confusion_matrix_train": "Confusion matrix of the training set",
    "roc": "ROC curves",
    "precision_recall": "Precision-recall curves",
    "worst_mistakes": "Most confident mistakes",
    "occlusion": "Occlusion sensitivity of misclassified images",
    "weights": "Weights of the first layer",
    "class_distribution": "Images of each class",
    "samples": "First images of each class",
    "augmented": "Augmented training images",
    "norms": "Norms of weights and gradients",
    "activations": "Activation functions",
}
SECTIONS = {  # anchor -> heading, and the starts of the pictures' names, in this order
    "curves": ("Training", ("curves", "norms")),
    "confusion": ("Which classes are confused", ("confusion_matrix", "confusion_matrix_normalised")),
    "thresholds": ("ROC and precision-recall", ("roc", "precision_recall")),
    "mistakes": ("Misclassified images", ("worst_mistakes", "occlusion")),
    "inside": ("Inside the network", ("weights", "filters", "feature_maps", "activations")),
    "data": ("Data", ("class_distribution", "samples", "augmented", "confusion_matrix_train")),
}


@dataclass(frozen=True)
class Standing:
    """The rank of a run in its completed sweep."""

    place: str  # "2nd of 6 settings by validation.accuracy"
    against: str  # the verdict on this and the best other setting
    link: str  # to the page of the sweep


def write(run: Path, seconds: Mapping[str, float] | None = None, standing: Standing | None = None) -> None:
    """Write report.html of a run. ``seconds`` are those of a run that is about to complete.

    Raises `RequestError` if metrics.json, environment.json or the model exists but cannot be read.
    """
    record, state = read(run), status.read(run)
    metrics = json_object(run / paths.METRICS)
    if seconds is not None:
        state = replace(state, state="completed", error=None, seconds=dict(seconds))
    record = replace(record, state=state, metrics=metrics)
    environment = json_object(run / paths.ENVIRONMENT)
    try:
        content = _content(run, record, environment)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(
            f"{run / paths.METRICS}: not the metrics of a run ({type(error).__name__}: {error}); train the run again"
        ) from None
    html.write(run / paths.REPORT, "run.html.j2", standing=standing, **content)


def write_quietly(run: Path, standing: Standing | None = None) -> None:
    """Write the page of a failed run, or of one of many runs, if possible: it must not hide another error."""
    try:
        write(run, standing=standing)
    except (OSError, RequestError) as error:
        LOG.debug("no %s: %s", run / paths.REPORT, error)


def _content(run: Path, record: Record, environment: Mapping[str, Any]) -> dict[str, Any]:
    metrics, seconds = record.metrics, record.state.seconds
    settings = settings_of(record)
    model, data = (as_text(record.settings.get(group, "")) for group in ("model", "data"))
    sections = _figures(run, with_inside=_learner(record) == "network")
    return {
        "name": run.absolute().name,
        "title": f"{model} on {data}" if model and data else run.absolute().name,
        "state": record.state.state,
        "error": record.state.error,
        "answer": _answer(metrics) if metrics else None,
        "facts": _facts(metrics, seconds) if metrics else [],
        "command": _command(environment),
        "started_in": environment.get("directory", ""),
        "threads": environment.get("threads", "?"),
        "changes": diff.changes(settings, record.seed),
        "settings": [(key, as_text(value)) for key, value in settings.items()] + [("seed", as_text(record.seed))],
        "sections": {section.anchor: section for section in sections if section.figures},
        "classes": _classes(metrics),
        "confusions": metrics["test"]["most_confused"][:CONFUSIONS] if metrics and metrics["test"]["n"] else [],
        "layers": _layers(run),
        "environment": environment_rows(environment, seconds),
    }


def settings_of(record: Record) -> dict[str, Any]:
    """Return the settings that affect the results, also for a failed run, which has no metrics."""
    full_record = replace(record, metrics={**record.metrics, "learner": _learner(record)})
    return {key: value for key, value in record.settings.items() if full_record.uses(key) or key == "experiment"}


def _learner(record: Record) -> str:
    if "learner" in record.metrics:
        return str(record.metrics["learner"])
    schema = schema_of("model", as_text(record.settings.get("model", "")))
    return "scikit-learn" if schema in SKLEARN_MODELS.values() else "network"


def _answer(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the accuracy on the test set, or else on another set, and that of always predicting one class."""
    part = next((part for part in ("test", "validation", "train") if metrics[part]["n"]), "train")
    scores = metrics[part]
    low, high = scores["accuracy_interval"]
    frequent = max(metrics["train"]["per_class"], key=lambda row: row["support"])["class"]
    support = {row["class"]: row["support"] for row in scores["per_class"]}
    return {
        "part": {"train": "training"}.get(part, part),
        "accuracy": scores["accuracy"],
        "low": low,
        "high": high,
        "n": scores["n"],
        "correct": scores["correct"],
        "frequent": frequent,
        "baseline": support[frequent] / scores["n"],
    }


def _facts(metrics: Mapping[str, Any], seconds: Mapping[str, float]) -> list[tuple[str, str]]:
    test, validation, train = metrics["test"], metrics["validation"], metrics["train"]
    facts = []
    for name, scores in (("Validation accuracy", validation), ("Training accuracy", train)):
        if scores["n"]:
            facts.append((name, f"{100 * scores['accuracy']:.2f} %"))
    scores = test if test["n"] else validation
    if scores["n"]:
        part = "Test" if test["n"] else "Validation"
        facts += [(f"{part} loss", f"{scores['loss']:.4f}"), ("Macro F1", f"{scores['macro']['f1']:.4f}")]
        facts.append(("Calibration error", f"{100 * scores['expected_calibration_error']:.2f} %"))
    for name in ("parameters", "support_vectors", "components"):
        if name in metrics:
            facts.append((name.replace("_", " ").capitalize(), f"{metrics[name]:,}"))
    if "epochs" in metrics:
        stopped = ", stopped early" if metrics["stopped_early"] else ""
        facts.append(("Epochs", f"{metrics['epochs']:,}{stopped}; weights of epoch {metrics['kept_epoch']:,}"))
    if "train" in seconds:
        facts.append(("Training time", f"{seconds['train']:,.1f} s"))
    return facts


def _command(environment: Mapping[str, Any]) -> str:
    """Return the command that repeats a run, in a new directory."""
    words = [str(word) for word in environment.get("command", ())]
    elsewhere = ("hydra.run.dir=", "hydra.sweep.", "report.console=")
    return shlex.join(word for word in words if not word.startswith(elsewhere))


def _figures(run: Path, with_inside: bool) -> list[Section]:
    names = sorted(path.stem for path in (run / paths.PLOTS).glob("*.png"))
    chosen: dict[str, list[str]] = {}
    for anchor, (_, starts) in SECTIONS.items():
        exact = [name for start in starts for name in names if _belongs(name, start)]
        chosen[anchor] = exact
    ordered = [name for of in chosen.values() for name in of]
    figures_by_name: dict[str, Figure] = html.figures(run / paths.PLOTS, ordered, TITLES | _titles(ordered))
    sections = []
    for anchor, (heading, _) in SECTIONS.items():
        if anchor == "inside" and not with_inside:
            continue
        figures = tuple(figures_by_name[name] for name in chosen[anchor] if name in figures_by_name)
        sections.append(Section(anchor, heading, figures))
    return sections


def _belongs(name: str, start: str) -> bool:
    return name == start or (start in ("filters", "feature_maps") and name.startswith(f"{start}_"))


def _titles(names: list[str]) -> dict[str, str]:
    """Return the titles of pictures with numbered names."""
    kinds = {"filters": "Filters of layer", "feature_maps": "Feature maps of test image"}
    parted = ((name, *name.rpartition("_")[::2]) for name in names)
    return {name: f"{kinds[kind]} {number}" for name, kind, number in parted if kind in kinds}


def _classes(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return precision, recall and F1 of each class, the weakest first."""
    if not metrics or not metrics["test"]["n"]:
        return None
    rows = sorted(metrics["test"]["per_class"], key=lambda row: (row["recall"] is None, row["f1"] or 0))
    cells = [
        (row["class"], *(_share(row[name]) for name in ("precision", "recall", "f1")), f"{row['support']:,}")
        for row in rows
    ]
    return html.table(("class", "precision (%)", "recall (%)", "F1 (%)", "images"), cells)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _layers(run: Path) -> dict[str, Any] | None:
    """Return the table of the saved network's layers; a scikit-learn model is not saved."""
    path = run / paths.MODEL
    if not path.is_file():
        return None
    rows = summary.rows(load_model(path)[0])
    cells = [
        (
            row["layer"] or "",
            row["kind"],
            summary.settings_text(row),
            summary.shape_text(row),
            f"{row['parameters']:,}",
            f"{row['flop'] / 1e6:,.3f}",
        )
        for row in rows
    ]
    total = ("", "all", "", "", f"{sum(r['parameters'] for r in rows):,}", f"{sum(r['flop'] for r in rows) / 1e6:,.3f}")
    return html.table(("", "layer", "settings", "output", "parameters", "MFLOP"), [*cells, total])


def environment_rows(environment: Mapping[str, Any], seconds: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return the rows of the environment table."""
    if not environment:
        return []
    data = environment.get("data", {})
    blas = environment.get("blas", [])
    rows = [
        ("mnistlab", environment.get("mnistlab")),
        ("commit", environment.get("git_commit")),
        ("Python", environment.get("python")),
        ("packages", ", ".join(f"{name} {version}" for name, version in environment.get("packages", {}).items())),
        ("system", environment.get("platform")),
        ("processor", f"{environment.get('cpu', '')}, {environment.get('cores', '?')} cores"),
        ("BLAS", "; ".join(" ".join(str(value) for value in library.values() if value) for library in blas)),
        ("threads", environment.get("threads")),
        ("seed", environment.get("seed")),
        ("data", f"{data.get('name', '')}, {data.get('found', '')}"),
        ("images", ", ".join(f"{count:,} {part}" for part, count in data.get("rows", {}).items())),
        ("data SHA-256", data.get("sha256")),
        ("configuration", environment.get("config_hash")),
        ("seconds", ", ".join(f"{name} {spent:.2f}" for name, spent in seconds.items() if name != "plots")),
    ]
    return [(name, str(value)) for name, value in rows if value not in (None, "")]


def json_object(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file, or an empty one if there is no file; raise `RequestError` if it is damaged."""
    try:
        content = read_json(path)
    except UnreadableError as error:
        if error.missing:
            return {}
        if isinstance(error.cause, OSError):  # the file may be intact but inaccessible
            raise error.cause from None
        raise RequestError(f"{path}: not readable as JSON ({error.cause}); train the run again") from None
    if not isinstance(content, dict):
        raise RequestError(f"{path}: must be a JSON object; train the run again")
    return content
