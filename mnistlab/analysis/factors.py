"""The effect of one setting, a factor, over all values of the others: paired by the other settings and by the seed.

The runs of one seed share the images, their order and the initial weights, so that a seed is one observation however
many settings were trained with it. The value of a level in a seed is therefore its mean over the other settings, and
the levels are compared over the seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mnistlab.analysis.verdict_text import higher_is_better, names_of, p_in_words, points, value_text
from mnistlab.analysis.verdicts import Verdict
from mnistlab.runs.record import Group
from mnistlab.statistics import policy
from mnistlab.statistics.tests import LEVEL
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.flatten import as_text
from mnistlab.system.wording import counted

SHOWN = 2  # settings at which the order is reversed, in one verdict


@dataclass(frozen=True)
class Level(Group):
    """All runs with one value of a factor: a group for each setting of the others, the same ones for every level."""

    cells: tuple[Group, ...] = field(default=(), repr=False)
    seeds: tuple[int, ...] = ()  # those that all cells of all levels have
    over: str = ""  # averaged over 3 values of optimizer.lr

    def values(self, metric: str) -> dict[int | None, list[float]]:
        """Return the mean over the cells for every seed, of which all cells must have the metric."""
        of_cells = [cell.values(metric) for cell in self.cells]
        complete = [seed for seed in self.seeds if all(seed in values for values in of_cells)]
        return {seed: [sum(values[seed][0] for values in of_cells) / len(of_cells)] for seed in complete}

    @property
    def averaged(self) -> str:
        """Return over what each value is averaged."""
        return f", {self.over},"

    @property
    def repeats(self) -> int:
        """Return the number of runs that repeat the seed and the settings of another."""
        return sum(cell.repeats for cell in self.cells)


def levels(groups: Sequence[Group], factor: str, metric: str) -> tuple[list[Level], list[str]]:
    """Return a level for each value of a factor, over the settings and seeds that all of them have, and notes.

    If some are missing, settings or seeds are left out until none is, those with the largest share of missing runs
    first, and values with few runs. Raises `RequestError` if the factor does not vary, is the only one, or has no two
    values with the same other settings.
    """
    keys = list(groups[0].settings)
    if factor not in keys:
        known = f"must be a setting that varies: {', '.join(keys)}" if keys else "no setting varies between these runs"
        raise RequestError(f"--factor {factor}: {known}{did_you_mean(factor, keys)}")
    others = [key for key in keys if key != factor]
    if not others:
        raise RequestError(f"--factor {factor}: no other setting varies; leave it out, every pair is compared anyway")
    names = list(dict.fromkeys(as_text(group.settings[factor]) for group in groups))
    blocks = list(dict.fromkeys(_block(group, others) for group in groups))
    by_place = {(as_text(group.settings[factor]), _block(group, others)): group for group in groups}
    seeds_of = {place: {*group.values(metric)} - {None} for place, group in by_place.items()}
    seeds = sorted({seed for found in seeds_of.values() for seed in found if seed is not None})
    there = np.array(
        [[[seed in seeds_of.get((name, block), ()) for seed in seeds] for block in blocks] for name in names]
    ).reshape(len(names), len(blocks), len(seeds))
    kept = _complete(there)
    chosen_names, chosen_blocks = [names[i] for i in kept[0]], [blocks[i] for i in kept[1]]
    if len(chosen_names) < 2 or not chosen_blocks or not kept[2]:
        raise RequestError(
            f"--factor {factor}: no two of its values have runs with the same {', '.join(others)} and seed; "
            "train them with the same ones"
        )
    over = f"averaged over {len(chosen_blocks)} {'value' if len(others) == 1 else 'setting'}s of {' and '.join(others)}"
    if len(chosen_blocks) == 1:
        over = f"at {_named(others, chosen_blocks[0])} only"
    of_levels = []
    for name in chosen_names:
        cells = tuple(by_place[name, block] for block in chosen_blocks)
        runs = tuple(record for cell in cells for record in cell.records)
        settings = {factor: cells[0].settings[factor]}
        of_levels.append(Level(settings, runs, cells, tuple(seeds[i] for i in kept[2]), over))
    out = [
        *(f"{factor}={name}" for name in names if name not in chosen_names),
        *(_named(others, block) for block in blocks if block not in chosen_blocks),
        *(f"seed={seed}" for i, seed in enumerate(seeds) if i not in kept[2]),
    ]
    shown = ", ".join(out[:6]) + (f", ... ({len(out) - 6} more)" if len(out) > 6 else "")
    notes = [f"not all values of {factor} have all runs; left out of the averages: {shown}"] if out else []
    return of_levels, notes


def with_reversals(verdicts: Sequence[Verdict], pairs: Sequence[tuple[Group, Group]], metric: str) -> list[Verdict]:
    """Return the verdicts on pairs of levels, with the settings at which the order of the two is reversed."""
    return [
        replace(verdict, text=verdict.text + _reversals(verdict, a, b, metric))
        if isinstance(a, Level) and isinstance(b, Level)
        else verdict
        for verdict, (a, b) in zip(verdicts, pairs, strict=True)
    ]


def _reversals(verdict: Verdict, a: Level, b: Level, metric: str) -> str:
    d = verdict.difference
    if d is None or not d.value:
        return ""
    differences = [
        policy.difference(_of_seeds(x, metric, a.seeds), _of_seeds(y, metric, a.seeds), len(a.cells))
        for x, y in zip(a.cells, b.cells, strict=True)
    ]
    p_values = policy.corrected(differences)
    texts = []
    for cell, one, p in zip(a.cells, differences, p_values, strict=True):
        if one is None or one.value * d.value >= 0:
            continue
        ahead = names_of(a, b)[0 if (one.value > 0) == higher_is_better(metric) else 1]
        others = {key: value for key, value in cell.settings.items() if key not in a.settings}
        place = " ".join(f"{key}={as_text(value)}" for key, value in others.items())
        half = "" if math.isnan(one.half) else f" +/- {value_text(metric, one.half)}"
        amount = f"{value_text(metric, abs(one.value))}{half}{' points' if points(metric) else ''}"
        chance = "" if p <= LEVEL else ", perhaps by chance"
        holm = f" after Holm for {len(a.cells)}" if len(a.cells) > 1 else ""
        texts.append((p, f"at {place} {ahead} is ahead by {amount}{chance} (p = {p_in_words(p)}{holm})"))
    texts.sort(key=lambda one: math.inf if math.isnan(one[0]) else one[0])
    more = f"; and at {counted(len(texts) - SHOWN, 'more setting')}" if len(texts) > SHOWN else ""
    return "".join(f"; {text}" for _, text in texts[:SHOWN]) + more


def _of_seeds(cell: Group, metric: str, seeds: Sequence[int]) -> policy.Values:
    return {seed: values for seed, values in cell.values(metric).items() if seed in seeds}


def _complete(there: np.ndarray) -> list[list[int]]:
    """Return the levels, blocks and seeds of a part of the grid in which no run is missing.

    Levels with less than half as many runs as the fullest are left out, but not of two; then of the blocks and seeds
    always that in which the largest share of levels is incomplete.
    """
    runs = there.sum(axis=(1, 2))
    fullest = sorted(range(len(runs)), key=lambda i: -runs[i])
    levels = sorted(i for i in range(len(runs)) if 2 * runs[i] >= runs.max() or i in fullest[:2])
    missing = np.asarray(~there[levels].all(axis=0))
    blocks, seeds = (list(range(count)) for count in missing.shape)
    while (part := missing[np.ix_(blocks, seeds)]).any():
        by_block, by_seed = part.mean(axis=1), part.mean(axis=0)
        if by_block.max() >= by_seed.max():
            del blocks[int(by_block.argmax())]
        else:
            del seeds[int(by_seed.argmax())]
    return [levels, blocks, seeds]


def _block(group: Group, others: Sequence[str]) -> tuple[str, ...]:
    return tuple(as_text(group.settings[key]) for key in others)


def _named(keys: Sequence[str], values: Sequence[str]) -> str:
    return " ".join(f"{key}={value}" for key, value in zip(keys, values, strict=True))
