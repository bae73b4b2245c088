"""Overrides -> the axes of a grid: a list of alternatives each, of which every point has one."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException

from mnistlab.config import errors
from mnistlab.sweeps.shape import Shape
from mnistlab.system.errors import RequestError, did_you_mean

Point = tuple[str, ...]
Axis = list[Point]  # its alternatives, each one or more overrides
SEED = "seed"
MOST_VALUES = 1_000_000  # of one key
MOST_NUMBERED = 2**62  # points that can be drawn from; beyond it NumPy's integers end
SHUFFLED = 100_000  # points up to which a random order is a permutation; of more, few are drawn


def key_of(override: str) -> str:
    """Return the key of an override."""
    return override.partition("=")[0].lstrip("+")


class Grid:
    """The product of axes, whose points are numbered and made one by one; the last axis varies fastest."""

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.axes = axes

    def __len__(self) -> int:
        return math.prod(map(len, self.axes))

    def __getitem__(self, number: int) -> Point:
        chosen: list[Point] = []
        for axis in reversed(self.axes):
            number, i = divmod(number, len(axis))
            chosen.append(axis[i])
        return tuple(text for words in reversed(chosen) for text in words)

    def __iter__(self) -> Iterator[Point]:
        return (self[number] for number in range(len(self)))

    def split(self) -> tuple[Grid, Grid]:
        """Return the grids of the settings and of the seeds; a grid of nothing but seeds has them as its settings."""
        seeds = [axis for axis in self.axes if {key_of(text) for text in axis[0]} == {SEED}]
        others = [axis for axis in self.axes if axis not in seeds]
        return (Grid(others), Grid(seeds)) if any(len(axis) > 1 for axis in others) else (self, Grid([]))

    def shuffled(self, rng: np.random.Generator) -> Iterator[int]:
        """Yield the numbers of all points in a random order, each as likely as any other."""
        if len(self) <= SHUFFLED:
            yield from rng.permutation(len(self)).tolist()
            return
        drawn: set[int] = set()
        while len(drawn) < len(self):
            number = int(rng.integers(len(self)))
            if number not in drawn:
                drawn.add(number)
                yield number


def size(overrides: Sequence[Override], shape: Shape, parser: OverridesParser) -> int:
    """Return the number of points of a grid, without making any."""
    counts = {override.get_key_element(): count(override) for override in overrides if override.is_sweep_override()}
    for keys in shape.zips:
        together = [name for name in counts if key_of(name) in keys]
        for name in together[1:]:
            del counts[name]
    in_sets = [math.prod(map(_count_or_one, _parsed_set(text, parser))) for text in shape.sets]
    return math.prod(counts.values()) * (sum(in_sets) if in_sets else 1)


def axes_of(overrides: Sequence[Override], shape: Shape, parser: OverridesParser) -> list[Axis]:
    """Return the axes, in the order of the overrides; keys that vary together are one, and so are the option sets.

    A key given more than once has its last value. A set has priority over what is given beside it.
    """
    by_key: dict[str, Axis] = {}
    for override in overrides:
        key = override.get_key_element()
        by_key[key] = [(text,) for text in _texts(override)]
    for keys in shape.zips:
        _zip(keys, by_key)
    if not shape.sets:
        return list(by_key.values())
    sets = [_parsed_set(text, parser) for text in shape.sets]
    inside = {key_of(override.get_key_element()) for of_one in sets for override in of_one}
    beside = list[str]()
    for key, axis in list(by_key.items()):
        if key_of(key) in inside:
            if len(axis) > 1:
                raise RequestError(f"{key}: has several values and is also in --set; leave one of them out")
            beside += by_key.pop(key)[0]
    return [*by_key.values(), [point for of_one in sets for point in _alternatives(of_one, beside)]]


def _alternatives(of_one: Sequence[Override], beside: Sequence[str]) -> Iterator[Point]:
    """Yield the points of a set, each with what is given beside it, where the set does not have the key."""
    keys = {key_of(override.get_key_element()) for override in of_one}
    others = tuple(text for text in beside if key_of(text) not in keys)
    return ((*others, *point) for point in Grid([[(text,) for text in _texts(each)] for each in of_one]))


def refuse_repeated(overrides: Sequence[Override]) -> None:
    """Refuse a key with several values that is given twice, of which only the last would count."""
    swept = [override.get_key_element() for override in overrides if override.is_sweep_override()]
    for key in swept:
        words = [str(override.input_line) for override in overrides if override.get_key_element() == key]
        if len(words) > 1:
            raise RequestError(f"{' '.join(words)}: {key} is given {len(words)} times; list all its values in one word")


def keys_in_sets(shape: Shape, parser: OverridesParser) -> set[str]:
    """Return the keys of the option sets."""
    return {key_of(each.get_key_element()) for text in shape.sets for each in _parsed_set(text, parser)}


def count(override: Override) -> int:
    """Return the number of values of a list, a range or a glob; a range is not run through."""
    value = override.value()
    if isinstance(value, RangeSweep):
        assert value.start is not None and value.stop is not None
        if not value.step:
            raise RequestError(f"{override.input_line}: the step must not be zero; must be range(start,stop,step)")
        start, stop, step = (Decimal(str(end)) for end in (value.start, value.stop, value.step))
        number = max(0, math.ceil((stop - start) / step))
    else:
        number = sum(1 for _ in override.sweep_string_iterator())
    if not number:
        raise RequestError(f"{override.input_line}: no values; list at least one")
    return number


def _count_or_one(override: Override) -> int:
    return count(override) if override.is_sweep_override() else 1


def _texts(override: Override) -> list[str]:
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"]
    if (number := count(override)) > MOST_VALUES:
        raise RequestError(f"{override.input_line}: {number:,} values, more than {MOST_VALUES:,}; use fewer")
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def _zip(keys: Sequence[str], by_key: dict[str, Axis]) -> None:
    """Replace the axes of some keys by one, of their first values, their second values, and so on."""
    label, names = f"--zip {','.join(keys)}", {key_of(name): name for name in by_key}
    for key in keys:
        if key not in names:
            near = did_you_mean(key, names)
            raise RequestError(f"{label}: {key} has no values; give them as usual, {key}=...,...{near}")
    counts = {key: len(by_key[names[key]]) for key in keys}
    if len(set(counts.values())) > 1:
        lengths = ", ".join(f"{key} has {number}" for key, number in counts.items())
        raise RequestError(f"{label}: the keys need equally many values, and {lengths}")
    columns = [by_key[names[key]] for key in keys]
    joined = [tuple(text for words in one for text in words) for one in zip(*columns, strict=True)]
    first = next(name for name in by_key if key_of(name) in keys)
    for key in keys:
        if names[key] != first:
            del by_key[names[key]]
    by_key[first] = joined


def _parsed_set(text: str, parser: OverridesParser) -> list[Override]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise RequestError(f"--set {text}: {str(error).lower()}; must be key=value key=value, in quotes") from None
    try:
        overrides = parser.parse_overrides(words)
    except HydraException as error:
        raise RequestError(f"--set {text}: {errors.one_line(error, words)}") from None
    for override in overrides:
        key = override.get_key_element()
        if override.is_hydra_override():
            raise RequestError(f"--set {text}: {key} is a setting of the sweep; give it outside the set")
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise RequestError(f"--set {text}: {override.input_line}: intervals are for `mnistlab tune`; list values")
    keys = [key_of(override.get_key_element()) for override in overrides]
    if not keys:
        raise RequestError(f"--set {text!r}: is empty; must be key=value key=value, in quotes")
    for key in keys:
        if keys.count(key) > 1:
            raise RequestError(f"--set {text}: {key} is given twice; list all its values in one word")
    return overrides
