"""The number of seeds that are required to detect a difference."""

from __future__ import annotations

import math

import numpy as np

from mnistlab.statistics.tests import EXACT_TO, LEVEL, Difference

POWER = 0.8  # for the recommended number of seeds
MOST_SEEDS = 10_000
SIMULATED = 4_000  # samples of each size at most
PATTERNS = 2**22  # sign patterns times samples that are evaluated at once


def fewest_pairs(comparisons: int = 1, level: float = LEVEL) -> int:
    """Return the fewest pairs with which the sign-flip test can be significant: 2 / 2^n <= level / comparisons."""
    return math.ceil(math.log2(2 * max(1, comparisons) / level))


def seeds_needed(difference: Difference, comparisons: int = 1) -> int | None:
    """Return the number of seeds to detect a difference of this size with a power of 80 %, or None if too many.

    It is the power of the test that the policy would use with so many seeds, at the level divided by the number of
    comparisons, for normal values with the observed standardised difference. It is more than there are already.
    """
    if not (difference.sd > 1e-9 * abs(difference.value) > 0):
        return None
    standardised, level = abs(difference.value) / difference.sd, LEVEL / max(1, comparisons)
    paired = difference.test != "Welch"
    if t_power(MOST_SEEDS, standardised, level, paired) < POWER:
        return None
    low, high = 2, MOST_SEEDS  # the t-test needs as many or fewer than the exact one: that is where the search begins
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if t_power(middle, standardised, level, paired) >= POWER else (middle, high)
    n = max(high, difference.n + 1, 3)
    fewest = fewest_pairs(comparisons)
    while paired and fewest <= n <= EXACT_TO and exact_power(n, standardised, level) < POWER:
        n += 1
    return n


def seeds_for_equivalence(difference: Difference, margin: float, comparisons: int = 1) -> int | None:
    """Return the number of seeds that show equivalence with a power of 80 % if the settings do not differ at all.

    It is the power of two one-sided t-tests for normal values with the observed spread, at the level divided by the
    number of comparisons: 2 F(margin / error - t) - 1. It is more than there are already; None if too many.
    """
    from scipy.stats import t

    groups = 2 if difference.test == "Welch" else 1
    level = LEVEL / max(1, comparisons)

    def enough(n: int) -> bool:
        freedom, error = groups * (n - 1), difference.sd * math.sqrt(groups / n)
        return 2 * t.cdf(margin / error - t.ppf(1 - level, freedom), freedom) - 1 >= POWER

    if not difference.sd > 0 or not enough(MOST_SEEDS):
        return None
    low, high = 2, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return max(high, difference.n + 1, 3)


def t_power(n: int, standardised: float, level: float, paired: bool) -> float:
    """Return the power of the two-sided t-test with n pairs, or n runs in each of two groups (noncentral t)."""
    from scipy.stats import nct, t

    groups = 1 if paired else 2
    freedom = groups * (n - 1)
    limit = t.ppf(1 - level / 2, freedom)
    return float(nct.sf(limit, freedom, standardised * math.sqrt(n / groups)))


def exact_power(n: int, standardised: float, level: float) -> float:
    """Return the power of the sign-flip test with n pairs, from simulated normal differences with a fixed seed.

    The simulation ends early where the power is clearly above or below the one that is wanted.
    """
    differences = np.random.default_rng(0).normal(standardised, 1, (SIMULATED, n)).astype(np.float32)
    half = np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1  # a pattern and its opposite are equally far from zero
    signs = (1 - 2 * half).astype(np.float32)
    observed, found, done = np.abs(differences.sum(axis=1)) - 1e-4, 0, 0  # the sums are rounded
    step = max(1, min(500, PATTERNS // len(signs)))
    for start in range(0, SIMULATED, step):
        sums = differences[start : start + step] @ signs.T
        as_far = np.count_nonzero(np.abs(sums, out=sums) >= observed[start : start + step, None], axis=1)
        found, done = found + int((as_far <= level * len(signs)).sum()), done + len(sums)
        if abs(found / done - POWER) > 5 * math.sqrt(POWER * (1 - POWER) / done):
            break
    return found / done
