"""More jobs for an existing sweep: seeds, or other values of the keys that it sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException

from mnistlab.config import errors
from mnistlab.config.hydra_guard import BasicSweeper
from mnistlab.sweeps.manifest import Manifest
from mnistlab.system.errors import RequestError, did_you_mean

Point = tuple[str, ...]
SEED = "seed"


def key_of(override: str) -> str:
    """Return the key of an override."""
    return override.partition("=")[0].lstrip("+")


def added_points(manifest: Manifest, words: Sequence[str]) -> list[Point]:
    """Return the points that new values of some keys add to a sweep: with every value of its other keys.

    A point that the sweep already has is left out.
    """
    swept = list(dict.fromkeys(key for entry in manifest.entries for key in entry.settings))
    for word in words:
        if key_of(word) not in (*swept, SEED):
            keys = [*swept, *([] if SEED in swept else [SEED])]
            raise RequestError(
                f"{word}: jobs can be added with other values of {', '.join(keys)}, which the sweep varies; everything "
                f"else is as in its first command{did_you_mean(key_of(word), keys)}"
            )
    values = _points(words)
    changed = {key_of(word) for word in words}
    existing = [entry.overrides for entry in manifest.entries]
    kept = dict.fromkeys(tuple(text for text in point if key_of(text) not in changed) for point in existing)
    known = {frozenset(point) for point in existing}
    points = [(*rest, *value) for value, rest in product(values, kept)]
    return [point for point in points if frozenset(point) not in known]


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


def _points(words: Sequence[str]) -> list[Point]:
    try:
        (points,) = BasicSweeper.split_arguments(parsed(words), max_batch_size=None)
    except ValueError as error:
        raise RequestError(errors.one_line(error, words)) from None
    return [tuple(point) for point in points]
