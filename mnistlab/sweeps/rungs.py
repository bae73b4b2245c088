"""Successive halving: after how many epochs which settings are stopped. Nothing here reads a file.

Jamieson & Talwalkar 2016, algorithm 1; Li et al. 2018. All settings are trained to the first rung, the best 1/eta of
them to the next, and so on; the last rung is the full number of epochs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mnistlab.system.errors import RequestError

NAME = "--halving"
REDUCTION = 3  # eta of the papers


@dataclass(frozen=True)
class Request:
    """The options of the command: one of ``reduction`` settings goes on, first after ``first_rung`` epochs."""

    reduction: int = REDUCTION
    first_rung: int | None = None


@dataclass(frozen=True)
class Halving:
    """The design: of ``reduction`` settings one goes on from each of the ``rungs``, by validation accuracy."""

    reduction: int
    rungs: tuple[int, ...]  # numbers of epochs; the last one is trainer.epochs

    def options(self) -> list[str]:
        """Return the options of the command line."""
        return [NAME, "--reduction", str(self.reduction), "--first-rung", str(self.rungs[0])]

    def epochs(self, settings: int) -> int:
        """Return the number of epochs in all, for so many settings with one seed each."""
        total, before = 0, 0
        for rung in self.rungs:
            total, before = total + settings * (rung - before), rung
            settings = kept(settings, self.reduction)
        return total

    @staticmethod
    def of_json(content: Mapping[str, Any]) -> Halving:
        """Return the design in sweep.json; raises `ValueError` if it is damaged."""
        design = Halving(content["reduction"], tuple(content["rungs"]))
        whole = all(isinstance(number, int) for number in (design.reduction, *design.rungs))
        if not whole or design.reduction < 2 or list(design.rungs) != sorted({*design.rungs}) or design.rungs[0] < 1:
            raise ValueError("the design of halving is damaged")
        return design


@dataclass(frozen=True)
class Stop:
    """A setting that was stopped: after which epoch, at which rank of how many, and its value there."""

    epochs: int
    rank: int
    of: int
    value: float


@dataclass(frozen=True)
class Progress:
    """The settings still in the race before the ``rung`` (None: all are over), and those that were stopped."""

    rung: int | None
    going_on: tuple[int, ...]
    stopped: Mapping[int, Stop]


def kept(settings: int, reduction: int) -> int:
    """Return how many settings go on."""
    return math.ceil(settings / reduction)


def design(settings: int, epochs: int, reduction: int = REDUCTION, first: int | None = None) -> Halving:
    """Return the rungs: from the last one, ``epochs``, each is the next divided by ``reduction``.

    There are as many as it takes to be left with one setting, but none below one epoch. From a given ``first`` rung,
    each is the one before times ``reduction``, and the last ``epochs``.
    """
    if settings < 2:
        raise RequestError(f"{NAME}: needs two or more settings to choose from, for example optimizer.lr=0.01,0.1,1")
    if first is not None and first >= epochs:
        raise RequestError(
            f"--first-rung {first}: must be fewer epochs than trainer.epochs={epochs}, after which the last ones end"
        )
    if epochs < 2:
        raise RequestError(f"{NAME}: trainer.epochs={epochs} cannot be cut short; set 3 or more, for example 27")
    if first is not None:
        return Halving(reduction, _upwards(settings, epochs, reduction, first))
    rungs, left = [epochs], settings
    while left > 1:
        left = kept(left, reduction)
        rung = round(epochs / reduction ** len(rungs))
        if rung < 1 or rung >= rungs[0]:
            break
        rungs.insert(0, rung)
    return Halving(reduction, tuple(rungs))


def _upwards(settings: int, epochs: int, reduction: int, first: int) -> tuple[int, ...]:
    rungs, rung = list[int](), first
    while settings > 1 and rung < epochs:
        rungs.append(rung)
        settings, rung = kept(settings, reduction), rung * reduction
    return (*rungs, epochs)


def progress(halving: Halving, values: Sequence[Mapping[int, float]]) -> Progress:
    """Return who goes on, from the value of each setting at each rung that it has reached.

    A setting without a value at a rung where others have one has not reached it: that rung is the next. NaN is the
    value of a setting whose runs failed; it comes last. Of equals, the earlier one goes on.
    """
    going_on, stopped = list(range(len(values))), dict[int, Stop]()
    for i, epochs in enumerate(halving.rungs):
        if any(epochs not in values[setting] for setting in going_on):
            return Progress(i, tuple(going_on), stopped)
        if epochs == halving.rungs[-1]:
            break
        ranked = sorted(going_on, key=lambda setting: -_finite(values[setting][epochs]))
        best = kept(len(ranked), halving.reduction)
        for rank, setting in enumerate(ranked[best:], best + 1):
            stopped[setting] = Stop(epochs, rank, len(ranked), values[setting][epochs])
        going_on = sorted(ranked[:best])
    return Progress(None, tuple(going_on), stopped)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
