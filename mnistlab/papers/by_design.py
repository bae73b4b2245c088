"""Claims about settings of a sweep that added seeds until it was decided: judged by its plan, as in `compare`.

A test at the number of seeds at which such a sweep stopped would find too many differences, since the sweep stops when
it has found one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from mnistlab.analysis.compare import compare
from mnistlab.analysis.verdicts import Verdict
from mnistlab.statistics.tests import LEVEL
from mnistlab.sweeps import records

Runs = Collection[Path]


@dataclass(frozen=True)
class Decided:
    """The verdict of the plan on a pair of sides; ``turned`` if its first setting is that of the second side."""

    verdict: Verdict
    turned: bool
    alpha: float

    @property
    def sign(self) -> int:
        """Return 1 if the metric is higher on the first side, -1 if on the second, 0 if no difference is shown."""
        d = self.verdict.difference
        if d is None or not self.verdict.distinguishable:
            return 0
        return 1 if (d.value > 0) != self.turned else -1

    @property
    def text(self) -> str:
        """Return the verdict in the words of `compare`, with the level of the plan if it is another one than usual."""
        return self.verdict.text + (f"; level {self.alpha:g}" if self.alpha != LEVEL else "")


def of_pairs(pairs: Sequence[tuple[Runs, Runs]], metric: str, margin: float | None = None) -> list[Decided] | None:
    """Return what the plan of a sweep says about pairs of its settings; None if they are not all of one such sweep.

    It says nothing of another metric or margin than its own.
    """
    sweeps = records.until_decided(_all(pairs))
    if len(sweeps) != 1 or (design := sweeps[0].design) is None or design.metric != metric:
        return None
    if margin is not None and (design.margin is None or not math.isclose(design.margin, margin)):
        return None
    comparison = compare(records.of_sweep(sweeps[0].directory), design=design)
    groups = {run.directory.resolve(): i for i, group in enumerate(comparison.groups) for run in group.records}
    verdicts = dict(zip(combinations(range(len(comparison.groups)), 2), comparison.verdicts, strict=True))
    decided = []
    for pair in pairs:
        first, second = ({groups.get(run.resolve(), -1) for run in side} for side in pair)
        if len(first) != 1 or len(second) != 1 or -1 in first | second or first == second:
            return None
        (a,), (b,) = first, second
        decided.append(Decided(verdicts[min(a, b), max(a, b)], a > b, design.alpha))
    return decided


def caution(pairs: Sequence[tuple[Runs, Runs]]) -> str:
    """Return a warning about tests that do not follow the plan of the sweep that some of these runs are of."""
    metrics = dict.fromkeys(sweep.design.metric for sweep in records.until_decided(_all(pairs)) if sweep.design)
    if not metrics:
        return ""
    return f"; seeds were added until {', '.join(metrics)} was decided, which this test does not allow for"


def _all(pairs: Sequence[tuple[Runs, Runs]]) -> list[Path]:
    return [run for pair in pairs for side in pair for run in side]
