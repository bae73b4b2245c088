"""The number of seeds that are required to detect a difference."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mnistlab.statistics.tests import EXACT_TO, LEVEL, Difference

POWER = 0.8  # for the recommended number of seeds
MOST_SEEDS = 10_000
SIMULATED = 4_000  # samples of each size at most
PATTERNS = 2**22  # sign patterns times samples that are evaluated at once
ROUNDED = 1e-4  # of sums of numbers in single precision


def fewest_pairs(comparisons: int = 1, level: float = LEVEL) -> int:
    """Return the fewest pairs with which the sign-flip test can be significant: 2 / 2^n <= level / comparisons."""
    return math.ceil(math.log2(2 * max(1, comparisons) / level))


@dataclass(frozen=True)
class Spread:
    """What a t-test divides by: with n pairs, or n runs in each of two groups, the error is sd sqrt(groups / n).

    It has ``freedom`` (n - 1) degrees of freedom.
    """

    sd: float
    groups: int = 1
    freedom: float = 1.0


def spread_of(difference: Difference) -> Spread:
    """Return the spread of the pairs, or for Welch's test that of two groups of the same size.

    That is s^2 = (s1^2 + s2^2) / 2, whatever the sizes are now, and (s1^2 + s2^2)^2 / (s1^4 + s2^4) times n - 1 degrees
    of freedom (Welch-Satterthwaite).
    """
    if difference.test != "Welch":
        return Spread(difference.sd)
    first, second = (sd**2 for sd in difference.sds)
    if not first + second > 0:
        return Spread(0.0, 2)
    return Spread(math.sqrt((first + second) / 2), 2, (first + second) ** 2 / (first**2 + second**2))


def seeds_needed(difference: Difference, comparisons: int = 1) -> int | None:
    """Return the number of seeds to detect a difference of this size with a power of 80 %, or None if too many.

    It is the power of the test that the policy would use with so many seeds, at the level divided by the number of
    comparisons, for normal values with the observed spread. It is more than there are already.
    """
    if not (difference.sd > 1e-9 * abs(difference.value) > 0):
        return None
    spread, level = spread_of(difference), LEVEL / max(1, comparisons)
    standardised = abs(difference.value) / spread.sd
    return _fewest(
        difference,
        comparisons,
        lambda n: t_power(n, standardised, level, spread),
        lambda n: exact_power(n, standardised, level),
    )


def seeds_for_equivalence(difference: Difference, margin: float, comparisons: int = 1) -> int | None:
    """Return the number of seeds that show equivalence with a power of 80 % if the settings do not differ at all.

    It is the power of the two one-sided tests that the policy would use with so many seeds, for normal values with the
    observed spread, at the level divided by the number of comparisons; for the t-tests 2 F(margin / error - t) - 1. It
    is more than there are already; None if too many.
    """
    if not difference.sd > 0:
        return None
    from scipy.stats import t

    spread, level = spread_of(difference), LEVEL / max(1, comparisons)

    def by_t(n: int) -> float:
        freedom, error = spread.freedom * (n - 1), spread.sd * math.sqrt(spread.groups / n)
        return float(2 * t.cdf(margin / error - t.ppf(1 - level, freedom), freedom) - 1)

    return _fewest(difference, comparisons, by_t, lambda n: exact_equivalence_power(n, margin / spread.sd, level))


def _fewest(
    difference: Difference, comparisons: int, by_t: Callable[[int], float], exact: Callable[[int], float]
) -> int | None:
    """Return the fewest seeds, and more than there are, with which the test that is then used has the usual power."""
    if not by_t(MOST_SEEDS) >= POWER:
        return None
    low, high = 2, MOST_SEEDS  # the t-test needs as many or fewer than the exact one: that is where the search begins
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if by_t(middle) >= POWER else (middle, high)
    n, fewest = max(high, difference.n + 1, 3), fewest_pairs(comparisons)
    while difference.test != "Welch" and fewest <= n <= EXACT_TO and exact(n) < POWER:
        n += 1
    return n


def t_power(n: int, standardised: float, level: float, spread: Spread) -> float:
    """Return the power of the two-sided t-test for a difference in units of the spread (noncentral t)."""
    from scipy.stats import nct, t

    freedom = spread.freedom * (n - 1)
    limit = t.ppf(1 - level / 2, freedom)
    return float(nct.sf(limit, freedom, standardised * math.sqrt(n / spread.groups)))


def exact_power(n: int, standardised: float, level: float) -> float:
    """Return the power of the sign-flip test with n pairs, whose differences are normal with this mean and sd 1."""

    def is_detected(d: np.ndarray, signs: np.ndarray) -> np.ndarray:
        observed, sums = np.abs(d.sum(axis=1)) - ROUNDED, d @ signs.T
        return np.count_nonzero(np.abs(sums, out=sums) >= observed[:, None], axis=1) <= level * len(signs)

    return _simulated(n, standardised, is_detected)


def exact_equivalence_power(n: int, margin: float, level: float) -> float:
    """Return the power of two one-sided sign-flip tests with n pairs, whose differences are normal with sd 1."""

    def is_above(d: np.ndarray, signs: np.ndarray) -> np.ndarray:
        observed, sums = (d.sum(axis=1) - ROUNDED)[:, None], d @ signs.T
        as_far = np.count_nonzero(sums >= observed, axis=1) + np.count_nonzero(-sums >= observed, axis=1)
        return as_far <= level * 2 * len(signs)

    return _simulated(n, 0.0, lambda d, signs: is_above(margin + d, signs) & is_above(margin - d, signs))


def _simulated(n: int, mean: float, is_detected: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> float:
    """Return the share of simulated samples that are detected, given them and a half of all sign patterns.

    The other half are the opposites. The simulation, with a fixed seed, ends early where the power is clearly above or
    below the one that is wanted.
    """
    samples = np.random.default_rng(0).normal(mean, 1, (SIMULATED, n)).astype(np.float32)
    half = np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1
    signs = (1 - 2 * half).astype(np.float32)
    detected, done, step = 0, 0, max(1, min(500, PATTERNS // len(signs)))
    for start in range(0, SIMULATED, step):
        part = samples[start : start + step]
        detected, done = detected + int(is_detected(part, signs).sum()), done + len(part)
        if abs(detected / done - POWER) > 5 * math.sqrt(POWER * (1 - POWER) / done):
            break
    return detected / done
