"""The pictures that suit a sweep, chosen by the settings that vary, and their numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from mnistlab.analysis.compare import Comparison
from mnistlab.analysis.verdict_text import higher_is_better, points
from mnistlab.config import compose
from mnistlab.reporting import plots
from mnistlab.reporting.plots import Series, TrainingCurve
from mnistlab.runs import paths
from mnistlab.runs.figures import Drawing
from mnistlab.runs.record import Group
from mnistlab.statistics.intervals import mean_of
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.flatten import as_text
from mnistlab.system.readers import UnreadableError, read_table

TRAININGS = 10  # lines if the settings have no natural order: the best settings


def choose(comparison: Comparison) -> Iterator[Drawing]:
    """Yield the pictures that suit the settings that vary; the ranking is always included."""
    groups, metric = comparison.groups, comparison.metric
    keys = list(groups[0].settings)
    metrics = [metric, *(name for name in ("test.accuracy",) if name != metric and metric.endswith("accuracy"))]
    unit = _unit(metric) if len(metrics) == 1 else "accuracy (%)"
    series = [_series(groups, name) for name in metrics]
    yield "ranking", partial(plots.ranking_of_settings, [group.name for group in groups], series, unit)
    numeric = [key for key in keys if all(_is_number(group.settings[key]) for group in groups)]
    if len(keys) == 1 and numeric:
        ordered = sorted(groups, key=lambda group: group.settings[keys[0]])
        x = [float(group.settings[keys[0]]) for group in ordered]
        lines = [_series(ordered, name) for name in metrics]
        yield f"against_{compose.slug(keys[0])}", partial(plots.against, keys[0], x, lines, unit, is_geometric(x))
    if len(keys) == 2:
        yield "heat_map", partial(_heat_map, groups, keys, metric)
    if keys and metric in ("validation.accuracy", "test.accuracy"):
        in_order = len(keys) == 1 and bool(numeric)
        chosen = sorted(groups, key=lambda g: g.settings[keys[0]]) if in_order else groups[:TRAININGS]
        learners = {record.metrics.get("learner", "network") for group in chosen for record in group.records}
        if "network" in learners:  # a scikit-learn model has no history
            yield "training", partial(_training, chosen, keys)


def by_setting(comparison: Comparison, key: str | None = None) -> plots.Picture:
    """Draw the metric of a comparison against one setting, over the runs with any value of the others, or as a ranking.

    Raises `RequestError` if the setting does not vary.
    """
    metric, groups = comparison.metric, list(comparison.groups)
    if key is None:
        return plots.ranking_of_settings(
            [group.name or "all runs" for group in groups], [_series(groups, metric)], _unit(metric)
        )
    keys = list(groups[0].settings)
    if key not in keys:
        raise RequestError(f"by={key}: must be a setting that varies: {', '.join(keys)}{did_you_mean(key, keys)}")
    merged: dict[str, Group] = {}
    for group in groups:
        value = group.settings[key]
        earlier = merged.get(as_text(value))
        records = (*(earlier.records if earlier else ()), *group.records)
        merged[as_text(value)] = Group({key: value}, records)
    chosen = [merged[name] for name in _ordered([group.settings[key] for group in groups])]
    if all(_is_number(group.settings[key]) for group in chosen):
        x = [float(group.settings[key]) for group in chosen]
        return plots.against(key, x, [_series(chosen, metric)], _unit(metric), is_geometric(x))
    return plots.ranking_of_settings([group.name for group in chosen], [_series(chosen, metric)], _unit(metric))


def is_geometric(x: Sequence[float]) -> bool:
    """Return whether values are spaced more evenly on a logarithmic axis."""
    values = np.sort(np.asarray(x, dtype=float))
    if len(values) < 2 or values[0] <= 0 or values[-1] < 8 * values[0]:
        return False
    if len(values) == 2:
        return True
    steps, ratios = np.diff(values), np.diff(np.log(values))
    return bool(ratios.std() / ratios.mean() < steps.std() / steps.mean())


def _series(groups: Sequence[Group], metric: str) -> Series:
    factor = 100 if points(metric) else 1
    runs = [[factor * value for values in group.values(metric).values() for value in values] for group in groups]
    means = [mean_of(values) for values in runs]
    return Series(metric.replace(".", " "), [mean.mean for mean in means], [mean.half for mean in means], runs)


def _heat_map(groups: Sequence[Group], keys: Sequence[str], metric: str) -> plots.Picture:
    factor = 100 if points(metric) else 1
    axes = [_ordered([group.settings[key] for group in groups]) for key in keys]
    if len(axes[0]) > len(axes[1]):  # the longer one across
        axes, keys = axes[::-1], keys[::-1]
    means = np.full((len(axes[0]), len(axes[1])), np.nan)
    for group in groups:
        i, j = (names.index(as_text(group.settings[key])) for names, key in zip(axes, keys, strict=True))
        values = [value for values in group.values(metric).values() for value in values]
        means[i, j] = factor * np.mean(values) if values else np.nan
    return plots.heat_map((keys[0], axes[0]), (keys[1], axes[1]), means, _unit(metric), higher_is_better(metric))


def _ordered(values: Sequence[Any]) -> list[str]:
    """Return the distinct values as text: numbers by size, others in the order of their first appearance."""
    if all(_is_number(value) for value in values):
        values = sorted(values)
    return list(dict.fromkeys(map(as_text, values)))


def _training(groups: Sequence[Group], keys: Sequence[str]) -> plots.Picture:
    histories = [_history(group) for group in groups]
    validated = all(math.isfinite(history["val_accuracy"][0]) for history in histories if history)
    part, column = ("validation", "val_accuracy") if validated else ("training", "train_accuracy")
    trainings = [
        TrainingCurve(_value_name(group, keys), history["train_loss"], history[column])
        for group, history in zip(groups, histories, strict=True)
        if history
    ]
    return plots.side_by_side(trainings, keys[0] if len(keys) == 1 else "setting", part)


def _value_name(group: Group, keys: Sequence[str]) -> str:
    return as_text(group.settings[keys[0]]) if len(keys) == 1 else group.name


def _history(group: Group) -> dict[str, np.ndarray]:
    """Return the mean history of the runs of a group, as long as the longest; later epochs have fewer runs."""
    tables = []
    for record in group.records:
        try:
            tables.append(read_table(record.directory / paths.HISTORY))
        except UnreadableError:
            continue
    if not tables:
        return {}
    longest = max(map(len, tables))
    columns = ("train_loss", "val_accuracy", "train_accuracy")
    last_columns = {}
    for name in columns:
        padded = np.full((len(tables), longest), np.nan)
        for i, table in enumerate(tables):
            padded[i, : len(table)] = table[name].to_numpy(dtype=float)
        covered = (~np.isnan(padded)).any(axis=0)
        last_columns[name] = np.full(longest, np.nan)
        last_columns[name][covered] = np.nanmean(padded[:, covered], axis=0)
    return last_columns


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _unit(metric: str) -> str:
    return metric.replace(".", " ") + (" (%)" if points(metric) else "")
