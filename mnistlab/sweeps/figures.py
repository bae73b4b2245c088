"""The pictures that suit a sweep, chosen by the settings that vary, and their numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from mnistlab.analysis.compare import Comparison
from mnistlab.analysis.p_matrix import p_matrix
from mnistlab.analysis.verdict_text import higher_is_better, points
from mnistlab.config import compose
from mnistlab.reporting import plots
from mnistlab.reporting.plots import Line, Series
from mnistlab.runs.figures import Drawing
from mnistlab.runs.record import Group
from mnistlab.statistics.intervals import mean_of
from mnistlab.sweeps.training_curves import curves, factors_of, have_seconds
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.flatten import as_text

ACCURACIES = ("validation.accuracy", "test.accuracy", "train.accuracy")
LABELLED = 15  # points with their sizes beside them
TRAININGS = 10  # lines if the settings have no natural order: the best settings


def choose(comparison: Comparison) -> Iterator[Drawing]:
    """Yield the pictures that suit the settings that vary; the ranking is always included."""
    groups, metric = comparison.groups, comparison.metric
    keys = list(groups[0].settings)
    with_test = metric.endswith("accuracy") and metric != "test.accuracy" and not comparison.epoch
    metrics = [metric, *(["test.accuracy"] if with_test else [])]
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
        if len(numeric) == 1:
            yield f"against_{compose.slug(numeric[0])}", partial(_against_by, groups, numeric[0], metric)
    if sizes := _sizes(groups, keys, numeric):
        yield "against_parameters", partial(_against_parameters, groups, sizes, metric)
    if len(keys) > 0 and (matrix := p_matrix(comparison)) is not None:
        names = [group.name for group in groups[: len(matrix)]]
        yield "p_values", partial(plots.p_values, names, matrix, metric.replace(".", " "), comparison.pairs)
    if keys and metric in ACCURACIES:
        yield from _trainings(comparison, keys)


def _trainings(comparison: Comparison, keys: Sequence[str]) -> Iterator[Drawing]:
    """Yield the pictures of training; a scikit-learn model has no history."""
    groups = comparison.groups
    learners = {record.metrics.get("learner", "network") for group in groups for record in group.records}
    if "network" not in learners:
        return
    ordered = {key: _ordered([group.settings[key] for group in groups]) for key in keys}
    factors = factors_of(groups, keys, ordered)
    in_order = len(keys) == 1 and all(_is_number(group.settings[keys[0]]) for group in groups)
    chosen = sorted(groups, key=lambda g: g.settings[keys[0]]) if in_order else groups[:TRAININGS]
    grouping = " and ".join((factors.first, factors.second)) if factors else ", ".join(keys)

    @cache
    def drawn() -> tuple[list[plots.TrainingCurve], str]:
        return curves(groups if factors else chosen, keys, factors, comparison.epoch is not None)

    def side_by_side() -> plots.Picture:
        return plots.side_by_side(drawn()[0], grouping, drawn()[1], factors)

    def over_time() -> plots.Picture:
        return plots.over_time(drawn()[0], grouping, drawn()[1], factors)

    yield "training", side_by_side
    if have_seconds(chosen):
        yield "accuracy_over_time", over_time


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


def _series(groups: Sequence[Group], metric: str, name: str = "") -> Series:
    factor = 100 if points(metric) else 1
    runs = [[factor * value for values in group.values(metric).values() for value in values] for group in groups]
    means = [mean_of(values) for values in runs]
    return Series(name or metric.replace(".", " "), [mean.mean for mean in means], [mean.half for mean in means], runs)


def _heat_map(groups: Sequence[Group], keys: Sequence[str], metric: str) -> plots.Picture:
    factor = 100 if points(metric) else 1
    axes = [_ordered([group.settings[key] for group in groups]) for key in keys]
    if len(axes[0]) > len(axes[1]):  # the longer one across
        axes, keys = axes[::-1], keys[::-1]
    means, halves = (np.full((len(axes[0]), len(axes[1])), np.nan) for _ in range(2))
    for group in groups:
        i, j = (names.index(as_text(group.settings[key])) for names, key in zip(axes, keys, strict=True))
        mean = mean_of([value for values in group.values(metric).values() for value in values])
        means[i, j], halves[i, j] = factor * mean.mean, factor * mean.half
    unit = _unit(metric)
    return plots.heat_map((keys[0], axes[0]), (keys[1], axes[1]), means, unit, higher_is_better(metric), halves)


def _against_by(groups: Sequence[Group], numeric: str, metric: str) -> plots.Picture:
    """Draw the metric against a number, with a line for each value of the other setting."""
    (other,) = (key for key in groups[0].settings if key != numeric)
    drawn = []
    for value in _ordered([group.settings[other] for group in groups]):
        of_line = [group for group in groups if as_text(group.settings[other]) == value]
        of_line.sort(key=lambda group: group.settings[numeric])
        x = [float(group.settings[numeric]) for group in of_line]
        drawn.append(Line(x, _series(of_line, metric, value)))
    x = [float(group.settings[numeric]) for group in groups]
    return plots.lines(numeric, drawn, _unit(metric), is_geometric(sorted({*x})), other)


def _sizes(groups: Sequence[Group], keys: Sequence[str], numeric: Sequence[str]) -> list[str]:
    """Return the settings of the model that make at least three sizes, unless a number is the only one that varies."""
    sizes = [key for key in keys if key.partition(".")[0] == "model"]
    if not sizes or list(keys) == list(numeric[:1]):
        return []
    counts = {group.records[0].value("parameters") for group in groups}
    return sizes if len(counts) > 2 and all(map(math.isfinite, counts)) else []


def _against_parameters(groups: Sequence[Group], sizes: Sequence[str], metric: str) -> plots.Picture:
    """Draw the metric against the number of parameters, with a line for each setting of what is not a size."""
    lines: dict[str, list[Group]] = {}
    others = [key for key in groups[0].settings if key not in sizes]
    for group in sorted(groups, key=lambda group: group.records[0].value("parameters")):
        name = " ".join(f"{key}={as_text(group.settings[key])}" for key in others)
        lines.setdefault(name, []).append(group)
    labelled = len(lines) == 1 and len(groups) <= LABELLED
    drawn = [
        Line(
            [group.records[0].value("parameters") for group in of_line],
            _series(of_line, metric, name or "all runs"),
            [" ".join(as_text(group.settings[key]) for key in sizes) for group in of_line] if labelled else (),
        )
        for name, of_line in lines.items()
    ]
    counts = [value for line in drawn for value in line.x]
    return plots.lines("parameters", drawn, _unit(metric), is_geometric(sorted({*counts})), "setting")


def _ordered(values: Sequence[Any]) -> list[str]:
    """Return the distinct values as text: numbers by size, others in the order of their first appearance."""
    if all(_is_number(value) for value in values):
        values = sorted(values)
    return list(dict.fromkeys(map(as_text, values)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _unit(metric: str) -> str:
    return metric.replace(".", " ") + (" (%)" if points(metric) else "")
