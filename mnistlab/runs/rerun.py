"""Repeating a run from its saved configuration, and comparing the results and the environments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mnistlab.config.tracking import NoTracking
from mnistlab.runs import environment, lifecycle, paths, saved_config, status
from mnistlab.runs.context import RunContext
from mnistlab.runs.resume import compute_of, conclude, started_in
from mnistlab.system import directories, files
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text, flat
from mnistlab.system.readers import UnreadableError, read_bytes, read_json, read_json_or_empty, read_text

MOST_CHANGES = 10  # metrics that differ


DESCRIBED = (paths.HYDRA_CONFIG, paths.OVERRIDES)


@dataclass(frozen=True)
class Repetition:
    """A run and its repetition, with metrics.json and environment.json of both."""

    run: str  # as the user named it
    directory: Path  # of the repetition
    identical: bool  # whether the bytes of metrics.json are the same
    metrics_before: Mapping[str, Any]
    metrics: Mapping[str, Any]
    environment_before: Mapping[str, Any]
    environment: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the ``--json`` result."""
        return {
            "run": self.run,
            "directory": self.directory,
            "identical": self.identical,
            "metrics": _changed(self.metrics_before, self.metrics),
            "environment": environment.differences(self.environment_before, self.environment),
        }

    def verdict(self) -> list[str]:
        """Return the lines of the comparison: identical, or the metrics and environment entries that differ."""
        differing = [
            f"  {key}: {as_text(before)} -> {as_text(after)}"
            for key, (before, after) in environment.differences(self.environment_before, self.environment).items()
        ]
        if self.identical:
            lines = [f"identical: metrics.json of {self.directory} has the same bytes as that of {self.run}"]
            return [*lines, "although the environment differs:", *differing] if differing else lines
        changed = _changed(self.metrics_before, self.metrics)
        number = len({**dict(flat(self.metrics_before)), **dict(flat(self.metrics))})
        lines = [f"different: {len(changed)} of {number} metrics differ from those of {self.run}"]
        lines += [_change(key, *both) for key, both in list(changed.items())[:MOST_CHANGES]]
        lines += [f"  and {len(changed) - MOST_CHANGES} more"] if len(changed) > MOST_CHANGES else []
        if not changed:
            lines.append("  the values are equal, but the bytes differ: the file is formatted differently")
        if not differing:
            return [*lines, "environment.json shows no difference"]
        return [*lines, "the environment differs:", *differing]


def repeat(place: str, to: str | None, quiet: bool, command: tuple[str, ...]) -> Repetition:
    """Repeat the completed run at ``place`` in the new directory ``to``, or in one named after the time."""
    directory = Path(place).absolute()
    if not (directory / paths.STATUS).is_file():
        raise RequestError(f"{place}: not a run directory (no {paths.STATUS})")
    state = status.read(directory)
    if state.state != "completed":
        raise RequestError(f"{place}: this run is {state.state}; only a completed run can be repeated and compared")
    cfg, metrics_before = saved_config.read(directory), _json(directory / paths.METRICS, place)
    about = read_json_or_empty(directory / paths.ENVIRONMENT)
    described = {name: _text(directory / name) for name in DESCRIBED}
    cfg.tracking = OmegaConf.structured(NoTracking)  # a repetition is a check of the run, not another result
    # what metrics.json says of the training set is repeated as it is; up to version 0.1 its ranking was always there
    cfg.report.train_ranking = "roc_auc" in metrics_before.get("train", {})
    if quiet:
        cfg.report.console = "quiet"
    new = _claim(to)
    new_place = files.shown(new)
    context = RunContext(new, command, described, started_in(about), compute=compute_of(about))
    conclude(lifecycle.carry_out(cfg, context))
    return Repetition(
        place,
        new_place,
        read_bytes(new / paths.METRICS) == read_bytes(directory / paths.METRICS),
        metrics_before,
        _json(new / paths.METRICS, str(new_place)),
        about,
        read_json_or_empty(new / paths.ENVIRONMENT),
    )


def _changed(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the metrics that differ, by dotted key: the old and the new value."""
    before, after = dict(flat(was)), dict(flat(now))
    keys = {**before, **after}
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def _change(key: str, before: Any, after: Any) -> str:
    by = ""
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (before, after)):
        by = f" (by {after - before:+.3g})"
    return f"  {key}: {_short(before)} -> {_short(after)}{by}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _json(path: Path, place: str) -> dict[str, Any]:
    try:
        content = read_json(path)
    except UnreadableError as error:
        raise RequestError(f"{place}: {path.name} is not readable ({error.cause})") from None
    if not isinstance(content, dict):
        raise RequestError(f"{place}: {path.name} contains no metrics")
    return content


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except UnreadableError:
        return ""


def _claim(to: str | None) -> Path:
    if to is None:
        return directories.by_time("outputs", "rerun", separator="/").absolute()
    return directories.named(Path(to).absolute(), f"--to {to}", exists="already exists; name a new directory")
