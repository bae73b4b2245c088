"""The choice of the significance test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mnistlab.statistics import tests
from mnistlab.statistics.tests import Difference

Values = Mapping[int | None, Sequence[float]]  # of a metric, by seed; runs without a recorded seed are under None


def difference(first: Values, second: Values) -> Difference | None:
    """Return how two groups of runs differ, by the test that suits their runs; None if there are too few.

    If every seed of the smaller group is also in the other one, pairs of runs with the same seed are compared by the
    sign-flip test; otherwise two or more runs on each side are compared as independent samples (Welch).
    """
    common = sorted(
        seed for seed in first.keys() & second.keys() if seed is not None and len(first[seed]) == len(second[seed]) == 1
    )
    if len(common) >= 2 and len(common) == min(len(first), len(second)):
        return tests.paired([first[seed][0] for seed in common], [second[seed][0] for seed in common])
    a, b = ([value for values in group.values() for value in values] for group in (first, second))
    return tests.independent(a, b) if len(a) >= 2 and len(b) >= 2 else None
