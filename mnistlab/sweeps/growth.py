"""More jobs for an existing sweep: seeds, or other values of the keys that it sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException

from mnistlab.config import errors
from mnistlab.sweeps import axes
from mnistlab.sweeps.axes import SEED, Grid, Point, key_of
from mnistlab.sweeps.manifest import Manifest
from mnistlab.sweeps.points import refuse_too_many
from mnistlab.sweeps.shape import Shape
from mnistlab.system.errors import RequestError, did_you_mean


def added_points(manifest: Manifest, words: Sequence[str], sets: Sequence[str] = ()) -> list[Point]:
    """Return the points that new values of some keys, or more option sets, add to a sweep.

    They go with every value of its other keys that there is. Keys that vary together are given together. A point that
    the sweep already has is left out; `grid.plan` leaves out those that its conditions exclude.
    """
    shape, parser = manifest.shape, OverridesParser.create()
    in_sets = axes.keys_in_sets(shape, parser)
    if sets and not shape.sets:
        raise RequestError(f"--set {sets[0]}: this sweep has no option sets; give other values of a key that it varies")
    _refuse_other_keys(manifest, words, in_sets)
    more, overrides = Shape(zips=_zips(shape, words), sets=tuple(sets)), parsed(words)
    changed = {key_of(word) for word in words} | (in_sets if sets else set())
    existing = [entry.overrides for entry in manifest.entries]
    kept = dict.fromkeys(tuple(text for text in point if key_of(text) not in changed) for point in existing)
    known = {frozenset(point) for point in existing}
    refuse_too_many(axes.size(overrides, more, parser) * len(kept))
    values = Grid(axes.axes_of(overrides, more, parser))
    points = [(*rest, *value) for value, rest in product(values, kept)]
    return [point for point in points if frozenset(point) not in known]


def _refuse_other_keys(manifest: Manifest, words: Sequence[str], in_sets: set[str]) -> None:
    swept = list(dict.fromkeys(key for entry in manifest.entries for key in entry.settings))
    for word in words:
        key = key_of(word)
        if key in in_sets:
            raise RequestError(
                f"{word}: {key} belongs to the option sets of this sweep; add one with --set 'key=value'"
            )
        if key not in (*swept, SEED):
            keys = [each for each in (*swept, *([] if SEED in swept else [SEED])) if each not in in_sets]
            raise RequestError(
                f"{word}: jobs can be added with other values of {', '.join(keys)}, which the sweep varies; everything "
                f"else is as in its first command{did_you_mean(key, keys)}"
            )


def _zips(shape: Shape, words: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of keys that vary together of which values are given; refuses a part of a group."""
    word_of = {key_of(word): word for word in words}
    groups = [keys for keys in shape.zips if any(key in word_of for key in keys)]
    for keys in groups:
        for key in keys:
            if key not in word_of:
                word = next(word_of[other] for other in keys if other in word_of)
                raise RequestError(f"{word}: varies together with {', '.join(keys)} (--zip); give values of {key} too")
    return tuple(groups)


def with_seeds(points: Sequence[Point], seeds: Sequence[int]) -> list[Point]:
    """Return every point with every seed, seed by seed, so that pairs of settings are complete early."""
    settings = dict.fromkeys(tuple(text for text in point if key_of(text) != SEED) for point in points)
    return [(*point, f"{SEED}={seed}") for seed in seeds for point in settings]


def parsed(words: Sequence[str]) -> list[Override]:
    """Return overrides as Hydra reads them; raises `RequestError` for values that cannot be listed without a group."""
    try:
        overrides = OverridesParser.create().parse_overrides([*words])
    except HydraException as error:
        raise RequestError(errors.one_line(error, words)) from None
    for override in overrides:
        is_listed = override.is_discrete_sweep() and override.value_type != ValueType.GLOB_CHOICE_SWEEP
        if override.is_sweep_override() and not is_listed:
            raise RequestError(f"{override.input_line}: must be a value, a list, or range()")
    return overrides
