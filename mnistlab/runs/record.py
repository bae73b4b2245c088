"""The saved results of runs, one `Record` each, and groups of them that differ only in their seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mnistlab.config import safe_yaml
from mnistlab.runs import paths, status
from mnistlab.runs.status import State
from mnistlab.system.flatten import IGNORED_GROUPS, IGNORED_KEYS, as_text, deciding_settings, flat, look_up, varying
from mnistlab.system.readers import UnreadableError, read_json

PARTS = ("train", "validation", "test")
OF_ALL = ("data", "model", "seed", "experiment")  # settings that also affect a scikit-learn model


@dataclass(frozen=True)
class Record:
    """One run: its settings, its state, and its metrics if it is completed.

    ``settings`` are those that affect its results, except the seed; ``overridden`` are the keys on its command line.
    """

    directory: Path
    state: State
    seed: int | None
    settings: Mapping[str, Any] = field(repr=False)
    overridden: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def value(self, metric: str) -> float:
        """Return a metric, for example ``validation.accuracy``, or NaN if the run does not have it."""
        value: Any = self.metrics
        for key in metric.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return float(value) if _is_number(value) else math.nan

    def is_over_without(self, metric: str) -> bool:
        """Return whether the run has failed, or is completed and has no such metric: waiting will not help."""
        state = self.state.state
        return state == "failed" or (state == "completed" and not math.isfinite(self.value(metric)))

    def uses(self, key: str) -> bool:
        """Return whether a setting affects the run; a scikit-learn model does not use our optimizer, init, ..."""
        return self.metrics.get("learner", "network") == "network" or key.partition(".")[0] in OF_ALL


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seeds. ``settings`` are those that distinguish the group from the others."""

    settings: Mapping[str, Any]
    records: tuple[Record, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """Return the settings, as typed on a command line."""
        return " ".join(f"{key}={as_text(value)}" for key, value in self.settings.items() if self.uses(key))

    @property
    def averaged(self) -> str:
        """Return over what each value is averaged, between commas; nothing if a value is that of one run."""
        return ""

    def uses(self, key: str) -> bool:
        """Return whether a setting affects these runs."""
        return all(record.uses(key) for record in self.records)

    def values(self, metric: str) -> dict[int | None, list[float]]:
        """Return the values of a metric by seed, for every run that has it.

        Runs with the same seed repeat one experiment and are no independent samples: they count once, as their mean.
        """
        by_seed: dict[int | None, list[float]] = {}
        for record in self.records:
            if math.isfinite(value := record.value(metric)):
                by_seed.setdefault(record.seed, []).append(value)
        return {seed: values if seed is None else [sum(values) / len(values)] for seed, values in by_seed.items()}

    def includes(self, other: Record) -> bool:
        """Return whether a run, which need not have a result, has the settings of the group that were chosen for it."""
        own = self.records[0].settings
        keys = (key for key in other.overridden if decides(key) and self.uses(key))
        return all(as_text(look_up(other.settings, key)) == as_text(look_up(own, key)) for key in keys)

    @property
    def repeats(self) -> int:
        """Return the number of runs that repeat the seed of another run of the group."""
        seeds = [record.seed for record in self.records if record.seed is not None]
        return len(seeds) - len(set(seeds))


def read(directory: Path, planned: Mapping[str, Any] | None = None) -> Record:
    """Return the record of a run directory, or of a job that has not begun, with the settings its sweep ``planned``."""
    state = status.read(directory)
    config, hydra = (safe_yaml.load_or_empty(directory / name) for name in (paths.CONFIG, paths.HYDRA_CONFIG))
    try:
        choices = dict(hydra["hydra"]["runtime"]["choices"])
    except (KeyError, TypeError, ValueError):
        choices = {}
    overrides = safe_yaml.load_or_empty(directory / paths.OVERRIDES, list)
    keys = tuple(text.partition("=")[0].lstrip("+") for text in overrides if isinstance(text, str))
    metrics: dict[str, Any] = {}
    if state.state == "completed":
        metrics, damage = _metrics(directory / paths.METRICS)
        state = replace(state, state="failed", error=damage) if damage else state
    for key, _, value in (text.partition("=") for text in overrides if isinstance(text, str)):
        if isinstance(config.get(key), Mapping):  # several options of one group, which Hydra does not record
            choices.setdefault(key, value)
    settings = deciding_settings(config, choices)
    seed = config.get("seed")
    if planned is not None:
        settings = settings or {key: value for key, value in planned.items() if decides(key)}
        seed = planned.get("seed", seed)
        keys = tuple(dict.fromkeys([*keys, *planned]))
    record = Record(directory, state, seed if isinstance(seed, int) else None, settings, keys, metrics)
    return replace(record, settings={key: value for key, value in settings.items() if record.uses(key)})


def as_json(record: Record, place: Path) -> dict[str, Any]:
    """Return the ``--json`` result of a run or of a job of a sweep; ``place`` is the path of its directory."""
    state = record.state
    return {
        "directory": place,
        "state": state.state,
        "config_hash": state.config_hash,
        "seed": record.seed,
        "seconds": state.seconds,
        "error": state.error,
        "metrics": record.metrics,
    }


def grouped(records: Sequence[Record], others: Sequence[Record] = ()) -> list[Group]:
    """Return groups of runs with the same settings except the seed, in the order of their first runs.

    If there is only one group, it is named by the settings in which it differs from ``others``, if any: a sweep of
    which all settings but one have failed still says which one has not.
    """
    overridden = list(dict.fromkeys(key for record in records for key in record.overridden))
    keys = varying([record.settings for record in records], [key for key in overridden if decides(key)])
    keys = keys or _swept([*records, *others])
    groups: dict[tuple[tuple[str, str], ...], list[Record]] = {}
    for record in records:
        same = tuple((key, as_text(value)) for key, value in sorted(record.settings.items()) if value is not None)
        groups.setdefault(same, []).append(record)
    return [Group({key: look_up(group[0].settings, key) for key in keys}, tuple(group)) for group in groups.values()]


def _swept(records: Sequence[Record]) -> list[str]:
    """Return the keys that all runs override and in which they differ; a job that has not begun has no others."""
    common = [key for key in records[0].overridden if decides(key) and all(key in one.overridden for one in records)]
    return [key for key in common if len({as_text(look_up(record.settings, key)) for record in records}) > 1]


def metrics_of(records: Sequence[Record]) -> list[str]:
    """Return the names of the metrics of the runs, for example ``test.accuracy``."""
    parts = [{part: record.metrics.get(part, {}) for part in PARTS} for record in records]
    names = {name: None for scores in parts for name, value in flat(scores) if _is_number(value)}
    counts = {f"{part}.{count}" for part in PARTS for count in ("n", "correct")}
    sizes = ["parameters"] if any("parameters" in record.metrics for record in records) else []
    return [*(name for name in names if name not in counts and ".per_class." not in name), *sizes]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def decides(key: str) -> bool:
    """Return whether a setting may affect the numbers of a run, other than as its seed."""
    return key.partition(".")[0] not in IGNORED_GROUPS and key not in IGNORED_KEYS and not key.startswith("hydra")


def _metrics(path: Path) -> tuple[dict[str, Any], str]:
    """Return the content of metrics.json, and a description of any damage."""
    try:
        content = read_json(path)
    except UnreadableError as error:
        return {}, f"{path.name} is damaged ({error.reason})"
    return (
        (content, "") if isinstance(content, dict) and content else ({}, f"{path.name} is damaged (no metrics in it)")
    )
