"""The histories of a sweep's runs -> one curve for each setting, and which colour and dash it has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mnistlab.reporting.plots import Factors, TrainingCurve
from mnistlab.reporting.plots.style import COLOURS, DASHES
from mnistlab.runs import paths
from mnistlab.runs.record import Group
from mnistlab.system.flatten import as_text
from mnistlab.system.readers import UnreadableError, read_columns

Histories = list[dict[str, np.ndarray]]  # of the runs of a setting


def curves(
    groups: Sequence[Group], keys: Sequence[str], factors: Factors | None, in_training: bool
) -> tuple[list[TrainingCurve], str]:
    """Return the curves of the groups that have histories, and the set of their accuracy: validation, or training.

    A curve ends with the first of its runs: a mean over the others would be one of runs chosen by how they trained. It
    is marked if that run has stopped early, unless the runs are still ``in_training``.
    """
    histories = [_histories(group) for group in groups]
    validated = all(np.isfinite(one["val_accuracy"][0]) for of_group in histories for one in of_group)
    part, column = ("validation", "val_accuracy") if validated else ("training", "train_accuracy")
    drawn = [
        _curve(group, of_group, column, keys, factors, in_training)
        for group, of_group in zip(groups, histories, strict=True)
        if of_group
    ]
    return drawn, part


def factors_of(groups: Sequence[Group], keys: Sequence[str], ordered: dict[str, list[str]]) -> Factors | None:
    """Return the two settings that vary, that with more values first, or None if there are not two, or too many values.

    ``ordered`` are the values of each setting in their order.
    """
    if len(keys) != 2 or len(groups) < 3:
        return None
    first, second = sorted(keys, key=lambda key: -len(ordered[key]))
    if len(ordered[first]) > len(COLOURS) or len(ordered[second]) > len(DASHES):
        return None
    return Factors(first, ordered[first], second, ordered[second])


def _curve(
    group: Group, histories: Histories, column: str, keys: Sequence[str], factors: Factors | None, in_training: bool
) -> TrainingCurve:
    shortest = min(len(one["train_loss"]) for one in histories)
    loss, accuracy = (
        np.array([one[name][:shortest] for one in histories]) for name in ("train_loss", column)
    )  # fmt: skip
    stopped = any(record.metrics.get("stopped_early") for record in group.records)
    stopped = stopped or len({len(one["train_loss"]) for one in histories}) > 1
    look = None
    if factors:
        values = [as_text(group.settings[key]) for key in (factors.first, factors.second)]
        look = (factors.first_values.index(values[0]), factors.second_values.index(values[1]))
    seconds = None
    if all("seconds" in one and np.isfinite(one["seconds"][:shortest]).all() for one in histories):
        seconds = np.mean([one["seconds"][:shortest].cumsum() for one in histories], axis=0)
    return TrainingCurve(
        " ".join(as_text(value) if group.uses(key) else "-" for key, value in group.settings.items()),
        loss.mean(axis=0),
        accuracy.mean(axis=0),
        (loss.min(axis=0), loss.max(axis=0)) if len(histories) > 1 else None,
        (accuracy.min(axis=0), accuracy.max(axis=0)) if len(histories) > 1 else None,
        seconds,
        stopped and not in_training,
        look,
    )


def _histories(group: Group) -> Histories:
    """Return the columns of history.csv of each run that has one with an epoch."""
    tables = []
    for record in group.records:
        try:
            columns = read_columns(record.directory / paths.HISTORY)
        except (UnreadableError, ValueError):
            continue
        if all(len(columns.get(name, ())) for name in ("train_loss", "train_accuracy", "val_accuracy")):
            tables.append(columns)
    return tables


def have_seconds(groups: Sequence[Group]) -> bool:
    """Return whether the first history that there is has the time of each epoch."""
    return any("seconds" in one for of_group in map(_histories, groups[:1]) for one in of_group)
