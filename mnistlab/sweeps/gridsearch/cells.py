"""Overrides -> the cells of a grid, each composed and checked, without duplicates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from mnistlab.config import compose, errors, hydra_guard
from mnistlab.config.schema import Experiment, experiment
from mnistlab.sweeps.grid import plan
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text

FIXED = ("data", "seed", "report")  # all cells are scored on the same folds, and only the best cell has pictures


@dataclass(frozen=True)
class Cell:
    """One cell of the grid: its name, its overrides and its composed configuration."""

    number: int
    settings: Mapping[str, Any]
    overrides: tuple[str, ...]
    composed: DictConfig = field(repr=False)

    @property
    def name(self) -> str:
        """Return the settings as typed on a command line."""
        return " ".join(f"{key}={as_text(value)}" for key, value in self.settings.items())

    def experiment(self) -> Experiment:
        """Return a new experiment: optimizers and schedules have state and must not be used twice."""
        return experiment(self.composed)


@dataclass(frozen=True)
class Grid:
    """The cells in the order of the product, with the first key varying slowest; ``axes`` are the keys and values."""

    fixed: tuple[str, ...]
    axes: Mapping[str, tuple[str, ...]]
    cells: tuple[Cell, ...]
    repeated: int  # number of points that are equal to an earlier one


def grid(overrides: Sequence[str]) -> Grid:
    """Return the grid of these overrides, with every cell composed and checked; any problem is a `RequestError`.

    A key with several values is an axis: ``key=a,b``, ``range(...)``, ``choice(...)``, or a list ``key=[a,b]`` if the
    setting itself is not a list. If it is, as in ``model.hidden=[128,64]``, the list is one value.
    """
    fixed, varied = read_axes(overrides)
    axes = {key: tuple(_distinct(values)) for key, values in varied.items()}
    for key in axes:
        if key.partition(".")[0] in FIXED:
            raise RequestError(f"{key}: must be the same for every cell; only the model and its training may vary")
    swept = [f"{key}={','.join(values)}" for key, values in axes.items()]
    jobs = plan([*fixed, *swept, f"hydra.sweep.dir={compose.quoted(Path('grid').absolute())}"]).jobs
    cells: dict[str, Cell] = {}
    first: Experiment | None = None
    for job in jobs:
        composed = OmegaConf.masked_copy(job.config, [str(key) for key in job.config if key != "hydra"])
        chosen = tuple(text for text in job.entry.overrides if text.partition("=")[0] in axes)
        cell_experiment = experiment(composed)
        first = first or cell_experiment
        if (cell_experiment.data, cell_experiment.seed) != (first.data, first.seed):
            raise RequestError(
                f"{' '.join(chosen)}: the data or seed differs from that of the first cell; all cells must have the "
                "same folds"
            )
        settings = {key: job.entry.settings.get(key, axes[key][0]) for key in axes}
        cells.setdefault(job.entry.config_hash, Cell(len(cells), settings, chosen, composed))
    points = math.prod(map(len, varied.values()))
    return Grid(tuple(fixed), axes, tuple(cells.values()), points - len(cells))


def read_axes(overrides: Sequence[str]) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Return the overrides that are the same for every cell, and the axes: each key with its values as text."""
    parser = OverridesParser.create()
    parsed: list[Override] = []
    for text in compose.with_paths_quoted(overrides):
        if text.lstrip("+~").startswith("hydra"):
            raise RequestError(
                f"{text}: has no effect here; use --to for the directory and --jobs for the number of processes"
            )
        try:
            parsed.append(parser.parse_override(text))
        except HydraException as error:
            raise RequestError(errors.one_line(error, [text])) from None
    plain = [
        str(override.input_line) for override in parsed if not override.is_sweep_override() and not _is_list(override)
    ]
    fixed, axes = list(plain), dict[str, tuple[str, ...]]()
    for override in parsed:
        text, key = str(override.input_line), override.get_key_element()
        if override.is_sweep_override():
            if not override.is_discrete_sweep():
                raise RequestError(
                    f"{text}: a grid takes lists, range() and choice(); intervals are for `mnistlab tune`"
                )
            values = list(override.sweep_string_iterator())
        elif _is_list(override):
            values = [hydra_guard.value_as_text(value) for value in override.value()]  # type: ignore[union-attr]
            if (refused := _refusal([*plain, text])) is None:
                fixed.append(text)  # the setting is a list
                continue
            if not values or _refusal([*plain, f"{key}={values[0]}"]):
                raise refused
        else:
            continue
        if key in axes:
            raise RequestError(f"{key}: set twice; list all its values in one override")
        axes[key] = tuple(values)
        if not axes[key]:
            raise RequestError(f"{text}: no values; list at least one")
    if not axes:
        raise RequestError("no key has several values; set at least one, as in 'model.C=[0.1,1,10]'")
    return fixed, axes


def _is_list(override: Override) -> bool:
    return isinstance(override.value(), list)


def _refusal(overrides: Sequence[str]) -> RequestError | None:
    try:
        experiment(compose.compose(overrides))
    except RequestError as error:
        return error
    return None


def _distinct(values: Sequence[str]) -> list[str]:
    """Return the values without repetitions: 1, 1.0 and 1e0 are the same number."""
    kept: dict[str | float, str] = {}
    for value in values:
        try:
            kept.setdefault(float(value), value)
        except ValueError:
            kept.setdefault(value, value)
    return list(kept.values())
