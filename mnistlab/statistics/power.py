"""The number of seeds that are required to detect a difference."""

from __future__ import annotations

import math

from mnistlab.statistics.tests import LEVEL, Difference

POWER = 0.8  # for the recommended number of seeds
MOST_SEEDS = 10_000


def fewest_pairs(comparisons: int = 1) -> int:
    """Return the fewest pairs with which the sign-flip test can be significant: 2 / 2^n <= 0.05 / comparisons."""
    return math.ceil(math.log2(2 * max(1, comparisons) / LEVEL))


def seeds_needed(difference: Difference, comparisons: int = 1) -> int | None:
    """Return the number of seeds to detect a difference of this size with a power of 80 %, or None if too many.

    From the power of the t-test (noncentral t) at the level divided by the number of comparisons, with the observed
    standard deviation; never fewer than the exact test requires.
    """
    if not (difference.sd > 1e-9 * abs(difference.value) > 0):
        return None
    groups = 1 if difference.test == "sign-flip" else 2
    standardised = abs(difference.value) / difference.sd

    def power(n: int) -> float:
        from scipy.stats import nct, t

        freedom = groups * (n - 1)
        shift = standardised * math.sqrt(n / groups)
        limit = t.ppf(1 - LEVEL / comparisons / 2, freedom)
        return float(nct.sf(limit, freedom, shift))

    least = fewest_pairs(comparisons) if groups == 1 else 2
    if power(MOST_SEEDS) < POWER:
        return None
    low, high = least - 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high
