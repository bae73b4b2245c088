"""Additional tables of a paper: swept settings, exchanged columns, the ranking, layers, and selection bias."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mnistlab.analysis.compare import compare
from mnistlab.models.model_file import load_model
from mnistlab.papers import selection_bias
from mnistlab.papers.results import Result, comparable
from mnistlab.papers.spec import Paper
from mnistlab.papers.tables import reported, with_interval
from mnistlab.reporting.tables import Table
from mnistlab.runs import paths
from mnistlab.runs.record import Group
from mnistlab.statistics.intervals import Mean, mean_of
from mnistlab.system.random import stream
from mnistlab.system.readers import read_table

SWEPT = ("train.loss", "train.accuracy", "validation.accuracy", "test.accuracy")  # metrics of a swept row
Section = tuple[str, str, Table | None]  # title, text, table


def of(paper: Paper, results: Mapping[str, Result]) -> list[Section]:
    """Return the sections of a paper for which there are runs."""
    makers = (_swept, _exchanged, _ranking, _structures, _bias)
    return [section for make in makers for section in make(paper, results)]


def _swept(paper: Paper, results: Mapping[str, Result]) -> list[Section]:
    """Return a table of means for each row that sweeps over a setting."""
    parts: list[Section] = []
    for row in paper.rows:
        result = results[row.id]
        if not result.is_swept or not result.completed:
            continue
        groups = compare(result.records, "test.accuracy").groups
        metrics = [metric for metric in SWEPT if any(group.values(metric) for group in groups)]
        lines = [
            [group.name, str(len(group.records)), *(with_interval(metric, _mean(group, metric)) for metric in metrics)]
            for group in sorted(groups, key=lambda group: [_number(value) for value in group.settings.values()])
        ]
        parts.append((f"`{row.name}`{result.shortened}", "", (["setting", "runs", *metrics], lines)))
    return parts


def _mean(group: Group, metric: str) -> Mean:
    return mean_of([value for values in group.values(metric).values() for value in values])


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _exchanged(paper: Paper, results: Mapping[str, Result]) -> list[Section]:
    """Return the scores of the classes as computed, and as in the paper, with truth and prediction exchanged."""
    text = (
        "Means of the runs. With truth and prediction exchanged, the precision of a class becomes its recall, and its "
        "support the number of its predictions, which varies from run to run, as in the paper."
    )
    header = ["class", "precision", "recall", "F1", "support", "exchanged: precision", "recall", "support"]
    parts: list[Section] = []
    for name in paper.exchanged:
        runs = [record.metrics["test"] for record in results[name].completed]
        if not runs:
            continue
        predicted = np.array([np.sum(scores["confusion_matrix"], axis=0) for scores in runs])
        lines = []
        for k, row in enumerate(runs[0]["per_class"]):
            precision, recall, f1 = (
                f"{np.mean([scores['per_class'][k][score] for scores in runs]):.3f}"
                for score in ("precision", "recall", "f1")
            )
            counts = sorted({int(predicted[:, k].min()), int(predicted[:, k].max())})
            exchanged = [recall, precision, " to ".join(map(str, counts))]
            lines.append([row["class"], precision, recall, f1, str(row["support"]), *exchanged])
        title = f"Classes of `{name}`, as computed and exchanged ({len(runs)} run{'s' if len(runs) > 1 else ''})"
        parts.append((title, text if not parts else "", (header, lines)))
    return parts


def _ranking(paper: Paper, results: Mapping[str, Result]) -> list[Section]:
    """Return the ranking of the models by test accuracy, ours and the paper's; incomparable rows have no rank."""
    ran = [results[name] for name in paper.ranking if results[name].completed]
    if not ran:
        return []
    metric = "test.accuracy"
    ranked = sorted(comparable(ran), key=lambda result: -result.mean(metric).mean)
    ours = [*ranked, *(result for result in ran if result not in ranked)]
    rows = [results[name].row for name in paper.ranking if metric in results[name].row.reported]
    theirs = sorted(rows, key=lambda row: -float(row.reported[metric]))
    lines = [
        [
            str(i) if result in ranked else "-",
            result.row.name + result.shortened,
            with_interval(metric, result.mean(metric)),
            str(theirs.index(result.row) + 1) if result.row in theirs else "",
            reported(result.row, metric),
        ]
        for i, result in enumerate(ours, 1)
    ]
    text = "" if len(ranked) == len(ours) else "A row that was shortened differently from the others has no rank."
    return [("Ranking by test accuracy", text, (["rank", "row", "ours", "paper's rank", "paper"], lines))]


def _structures(paper: Paper, results: Mapping[str, Result]) -> list[Section]:
    """Return the layers of networks, with output shapes and parameters."""
    parts: list[Section] = []
    for name in paper.structures:
        if not results[name].completed:
            continue
        network, _ = load_model(results[name].completed[0].directory / paths.MODEL)
        lines = [
            [network.title(i), " x ".join(map(str, shape)), f"{sum(p.size for p in layer.params.values()):,}"]
            for i, (layer, shape) in enumerate(zip(network.layers, network.shapes, strict=True))
        ]
        lines.append(["total", "", f"{network.theta.size:,}"])
        parts.append((f"Layers of `{name}`", "", (["layer", "output", "parameters"], lines)))
    return parts


def _bias(paper: Paper, results: Mapping[str, Result]) -> list[Section]:
    """Return the gain from choosing on the reported images: among the models, and among the epochs."""
    ran = {
        result.row.name: result.completed[0].directory for result in comparable(results[name] for name in paper.bias)
    }
    right = selection_bias.right_of(list(ran.values()))
    if right is None:
        return []
    gain = round(100 * selection_bias.of_models(right, stream(0, "order")), 2) + 0.0  # points; + 0.0: no -0
    lines = []
    for name, run in ran.items():
        column = read_table(run / paths.HISTORY)["val_accuracy"].to_numpy(dtype=float)
        if len(column) > selection_bias.LAST and np.isfinite(column).all():
            lines.append([name, str(len(column)), f"{100 * selection_bias.of_epochs(column):.2f}"])
    text = (
        f"The best of the {len(ran)} models that can be compared appears {gain:.2f} points better on the half of the "
        f"test images on which it was chosen than on the other half (mean of "
        f"{selection_bias.HALVINGS:,} random halvings). "
        "The table gives an upper bound of the gain from choosing the epoch on the reported images."
    )
    header = [
        "row",
        "epochs",
        f"validation accuracy: best epoch minus mean of the last {selection_bias.LAST} (points)",
    ]
    return [("Selection bias of validating on the test set", text, (header, lines) if lines else None)]
