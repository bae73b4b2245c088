"""The points of a sweep: composed and checked one by one, without those that are excluded or given twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mnistlab.config import schema
from mnistlab.sweeps import condition
from mnistlab.sweeps.axes import MOST_NUMBERED, Grid, Point
from mnistlab.sweeps.job import task_part
from mnistlab.sweeps.shape import Shape
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.random import stream

MOST_POINTS = 10_000  # of a sweep; composing takes about a second per dozen


class Points:
    """The points chosen so far, with their configurations; ``now`` is the one that is being composed."""

    def __init__(self, compose: Callable[[Point], DictConfig], shape: Shape) -> None:
        self.compose, self.shape = compose, shape
        self.conditions = [condition.parse(text) for text in shape.exclude]
        self.chosen: list[tuple[Point, DictConfig]] = []
        self.now: Point = ()
        self.offered = self.excluded = self.repeated = 0
        self.fulfilled: set[str] = set()  # the conditions that exclude something
        self.absent = {key: 0 for one in self.conditions for key in one.keys}  # offered points without this key
        self.known_keys: set[str] = set()
        self.existing: set[str] = set()  # identities of the points that the sweep has
        self.identities: set[str] = set()  # and of those that were taken

    def keep(self, point: Point) -> None:
        """Take a point that the sweep already has."""
        config = self._composed(point)
        self.existing.add(_identity(config))
        self.chosen.append((point, config))

    def offer(self, point: Point) -> None:
        """Take a point unless it is excluded, repeats another, or the sweep already has it, perhaps by a default."""
        config = self._composed(point)
        self.offered += 1
        if (identity := _identity(config)) in self.existing or self._is_excluded(config, point):
            return
        if identity in self.identities:
            self.repeated += 1
            return
        self.identities.add(identity)
        self.chosen.append((point, config))

    def offer_grid(self, grid: Grid) -> None:
        """Offer every point of a grid, or settings drawn at random until the sample is complete."""
        if self.shape.sample is not None:
            self._draw(grid, self.shape.sample)
        else:
            for point in grid:
                self.offer(point)
        self.now = ()
        self._refuse_idle_conditions()

    def notes(self, grid: Grid | None) -> list[str]:
        """Return what the options have left out, for the log."""
        notes = []
        if grid is not None and self.shape.sample is not None:
            settings, seeds = grid.split()
            each = f", each with {len(seeds)} seeds" if len(seeds) > 1 else ""
            drawn = f"{self.shape.sample:,} of {len(settings):,} settings are drawn at random"
            notes.append(f"{drawn} (--sample-seed {self.shape.sample_seed}){each}")
        if self.excluded:
            notes.append(f"{self.excluded:,} of {self.offered:,} points are excluded")
        if self.repeated:
            notes.append(f"{self.repeated:,} of {self.offered:,} points are given twice; each is run once")
        return notes

    def _composed(self, point: Point) -> DictConfig:
        self.now = point
        config = self.compose(point)
        schema.reject_unknown_keys(task_part(config))
        return config

    def _is_excluded(self, config: DictConfig, point: Point) -> bool:
        if not self.conditions:
            return False
        overrides = dict(text.lstrip("+").partition("=")[::2] for text in point)
        self.known_keys |= {*overrides, *(str(key) for key in config.hydra.runtime.choices)}

        def value(key: str) -> Any:
            return setting_of(config, key, overrides.get(key), condition.ABSENT)

        for key in self.absent:
            self.absent[key] += value(key) is condition.ABSENT
        fulfilled = {one.text for one in self.conditions if one(value)}
        self.fulfilled |= fulfilled
        self.excluded += bool(fulfilled)
        return bool(fulfilled)

    def _draw(self, grid: Grid, sample: int) -> None:
        settings, seeds = grid.split()
        if len(settings) > MOST_NUMBERED:
            raise RequestError(f"--sample {sample}: the grid has {len(settings):.3g} settings; use fewer values")
        if sample > len(settings):
            raise RequestError(
                f"--sample {sample}: the grid has only {len(settings):,} settings; ask for fewer, or leave it out"
            )
        refuse_too_many(sample * len(seeds))
        of_number: list[tuple[int, list[tuple[Point, DictConfig]]]] = []
        for number in settings.shuffled(stream(self.shape.sample_seed, "sample")):
            self.chosen = []
            for seed in seeds:
                self.offer((*settings[number], *seed))
            if self.chosen:
                of_number.append((number, self.chosen))
            if len(of_number) == sample:
                break
        if len(of_number) < sample:
            left = f"{len(of_number):,} of the {len(settings):,} settings are left"
            raise RequestError(f"--sample {sample}: only {left} after --exclude; ask for fewer")
        of_number.sort(key=lambda one: one[0])
        self.chosen = [pair for _, pairs in of_number for pair in pairs]

    def _refuse_idle_conditions(self) -> None:
        for key, without in self.absent.items():
            if without == self.offered:
                near = did_you_mean(key, sorted(self.known_keys))
                raise RequestError(f"--exclude: no point has the key {key}{near}; name a group or a setting")
        if not self.chosen:
            raise RequestError(f"--exclude: leaves none of the {self.offered:,} points; use a narrower condition")
        idle = [text for text in self.shape.exclude if text not in self.fulfilled]
        if idle and self.shape.sample is None:  # of a sample, it may hold for none by chance
            raise RequestError(
                f"--exclude {idle[0]}: holds for none of the {self.offered:,} points; correct its values"
            )


def refuse_too_many(number: int) -> None:
    """Refuse a sweep of more than the allowed number of points."""
    if number > MOST_POINTS:
        raise RequestError(
            f"the grid has {number:,} points, more than {MOST_POINTS:,}; use fewer values, a random subset "
            "(--sample 100), or `mnistlab tune`"
        )


def setting_of(config: DictConfig, key: str, override: str | None, absent: Any = None) -> Any:
    """Return the value of a key in a composed configuration, or the chosen option of a group."""
    choices = config.hydra.runtime.choices
    if key in choices:
        return override if override and override.startswith("[") else choices[key]
    value = OmegaConf.select(task_part(config), key, default=absent)
    if override is not None and OmegaConf.is_dict(value):
        return override  # several options of one group, which Hydra does not record
    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value, enum_to_str=True)
    return getattr(value, "name", value)


def _identity(config: DictConfig) -> str:
    """Return the whole configuration of a job as text; two points with the same one are the same run.

    The chosen options are part of it: those of Kaiming's and Xavier's initialisation have the same values.
    """
    content = OmegaConf.to_container(task_part(config), resolve=True, enum_to_str=True)
    return json.dumps([content, choices_of(config)], sort_keys=True)


def choices_of(config: DictConfig) -> dict[str, Any]:
    """Return the chosen option of each group, except those of Hydra itself."""
    choices = config.hydra.runtime.choices
    return {str(group): choices[group] for group in choices if not str(group).startswith("hydra/")}


def varying(points: Sequence[Point]) -> list[str]:
    """Return the keys of the overrides that differ between points, in their order."""
    keys = dict.fromkeys(text.partition("=")[0] for point in points for text in point)
    chosen = {key: {next((t for t in point if t.partition("=")[0] == key), None) for point in points} for key in keys}
    return [key for key in keys if len(chosen[key]) > 1]
