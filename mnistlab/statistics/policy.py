"""The choice of the significance test: one policy for every comparison of settings.

For ``comparisons`` tests at once, whose p-values Holm's method corrects:

1. At least as many common seeds as the exact test needs to be significant: sign-flip permutation test on the pairs.
2. Fewer, but at least three: paired t-test, which assumes normally distributed differences.
3. Fewer than three, but three runs or more in each group: Welch's t-test, all runs as independent samples.
4. Otherwise there is no verdict.

Where there are pairs they alone decide; runs without a partner are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mnistlab.statistics import corrections, power, tests
from mnistlab.statistics import equivalence as tost
from mnistlab.statistics.tests import LEVEL, Difference

FEWEST = 3  # pairs, or runs of each group: with two, a t-test hardly finds anything, and its level depends on normality
ALONE = "without a partner of the same seed left out"
Values = Mapping[Any, Sequence[float]]  # of a metric, by seed; runs without a recorded seed are under None


def common_seeds(*groups: Values) -> list[int]:
    """Return the seeds of which every group has one run."""
    of_first = (seed for seed in groups[0] if seed is not None)
    return sorted(seed for seed in of_first if all(len(group.get(seed, ())) == 1 for group in groups))


def is_comparable(first: Values, second: Values) -> bool:
    """Return whether there are enough runs for a test."""
    return len(common_seeds(first, second)) >= FEWEST or min(count(first), count(second)) >= FEWEST


def difference(first: Values, second: Values, comparisons: int = 1) -> Difference | None:
    """Return how two groups of runs differ, first minus second, by the test of the policy; None if there is none."""
    sample = _sample(first, second)
    if sample is None:
        return None
    a, b, paired = sample
    if not paired:
        return tests.independent(a, b)
    if test_of(len(a), comparisons) != "sign-flip":
        return tests.paired_t(a, b)
    return tests.paired(a, b, LEVEL / max(1, comparisons))


def test_of(pairs: int, comparisons: int = 1) -> str | None:
    """Return the test that is used for so many pairs of runs with a common seed; None if there are too few."""
    if pairs < FEWEST:
        return None
    return "sign-flip" if pairs >= power.fewest_pairs(comparisons) else "paired t"


def equivalence(first: Values, second: Values, d: Difference | None, margin: float, comparisons: int = 1) -> float:
    """Return p of the hypothesis that two groups differ by the margin or more; NaN if there is no test.

    It is of the same kind as the test of their difference ``d``, on the same runs, and not corrected.
    """
    return _against_margin(first, second, d, margin, comparisons, tost.exact, tost.by_t)


def beyond(first: Values, second: Values, d: Difference | None, margin: float, comparisons: int = 1) -> float:
    """Return p of the hypothesis that two groups differ by the margin or less; NaN if there is no test.

    It is of the same kind as the test of their difference ``d``, on the same runs, and not corrected.
    """
    return _against_margin(first, second, d, margin, comparisons, tost.exact_beyond, tost.beyond_by_t)


def _against_margin(
    first: Values,
    second: Values,
    d: Difference | None,
    margin: float,
    comparisons: int,
    exact: Callable[..., float],
    by_t: Callable[..., float],
) -> float:
    sample = _sample(first, second)
    if d is None or sample is None:
        return math.nan
    a, b, _ = sample
    if d.test == "sign-flip":
        return exact(a, b, margin, LEVEL / max(1, comparisons))
    return by_t(d, margin, d.n - 1 if d.test == "paired t" else tost.welch_freedom(a, b))


def _sample(first: Values, second: Values) -> tuple[list[float], list[float], bool] | None:
    """Return the values to test, and whether they are pairs; None if there are too few."""
    seeds = common_seeds(first, second)
    if len(seeds) >= FEWEST:
        return [first[seed][0] for seed in seeds], [second[seed][0] for seed in seeds], True
    if min(count(first), count(second)) < FEWEST:
        return None
    a, b = ([value for values in group.values() for value in values] for group in (first, second))
    return a, b, False


def corrected(differences: Sequence[Difference | None], comparisons: int = 0) -> list[float]:
    """Return the p-values of comparisons that are made together, corrected by Holm's method; NaN where there is none.

    ``comparisons`` is their number where these are only some of them: the best against all others are chosen among all
    pairs by the results, and are corrected for all pairs.

    A difference that does not vary, to which no t-test applies, is a comparison too, so that the number of comparisons
    by which a test was chosen is the one by which its p-value is corrected.
    """
    made = [d for d in differences if d is not None]
    p_values = iter(corrections.holm([1.0 if math.isnan(d.p) else d.p for d in made], comparisons))
    of_all = [next(p_values) if d is not None else math.nan for d in differences]
    return [math.nan if d is None or math.isnan(d.p) else p for d, p in zip(differences, of_all, strict=True)]


def left_out(first: Values, second: Values) -> int:
    """Return the number of runs that `difference` leaves out because they have no partner."""
    seeds = common_seeds(first, second)
    return count(first) + count(second) - 2 * len(seeds) if len(seeds) >= FEWEST else 0


def missing(first: Values, second: Values) -> str:
    """Return what to add so that two groups can be compared."""
    seeds = len(common_seeds(first, second))
    have = f"{count(first)} and {count(second)} run{'s' if count(second) != 1 else ''}, {seeds} with a common seed"
    return (
        f"too few runs to compare ({have}); add {FEWEST - seeds} with common seeds, for example seed='range({FEWEST})'"
    )


def count(group: Values) -> int:
    """Return the number of runs."""
    return sum(len(values) for values in group.values())
