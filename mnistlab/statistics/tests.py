"""Is a difference real, or noise? Intervals, exact tests and the number of seeds that would be needed.

Accuracies of runs with other seeds are few and not normal; where the seeds match, the test is an exact one that
assumes no distribution. All arithmetic that SciPy has is SciPy's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from warnings import catch_warnings, simplefilter

import numpy as np

LEVEL = 0.05  # of every test, after Holm's correction
POWER = 0.8  # of the number of seeds that is recommended
EXACT_TO = 14  # pairs: 2^14 sign patterns are enumerated, beyond them 20,000 are drawn
MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Mean:
    """Mean of n values, their standard deviation and half the width of the 95 % t-interval; NaN where n is 1."""

    n: int
    mean: float
    sd: float
    half: float


@dataclass(frozen=True)
class Difference:
    """How the values of two groups differ: first minus second.

    ``half`` is half the width of the 95 % t-interval of the difference, ``effect`` the standardised difference:
    d_z = mean / sd of the pairs, or Hedges' g of independent groups. ``p`` is not corrected for other comparisons.
    """

    test: str  # sign-flip, Welch, McNemar
    n: int  # pairs, or runs of the smaller group, or images that the two models told apart
    value: float
    half: float
    p: float
    effect: float
    sd: float  # of the pairs, or pooled over independent groups


def mean_of(values: Sequence[float]) -> Mean:
    """Return mean, standard deviation (n - 1) and t-interval: mean +/- t(0.975, n - 1) sd / sqrt(n)."""
    x = np.asarray(values, dtype=float)
    if len(x) < 2:
        return Mean(len(x), float(x.mean()) if len(x) else math.nan, math.nan, math.nan)
    sd = float(x.std(ddof=1))
    return Mean(len(x), float(x.mean()), sd, _t(len(x) - 1) * sd / math.sqrt(len(x)))


def paired(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Compare values of the same seeds by the sign-flip permutation test on their differences, two-sided.

    If nothing distinguishes the groups, each difference might as well have the other sign: p is the share of the 2^n
    sign patterns whose mean is at least as far from zero (Fisher 1935, section 21).
    """
    from scipy.stats import permutation_test

    d = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    summary = mean_of(d)
    if not np.isfinite(d).all():
        p = math.nan
    elif len(d) < 2 or not d.round(12).any():
        p = 1.0
    else:
        found = permutation_test(
            (d,),
            lambda x, axis: np.mean(x, axis=axis).round(12),  # ties are ties, whatever the last bits say
            permutation_type="samples",
            vectorized=True,
            n_resamples=2 ** len(d) if len(d) <= EXACT_TO else 20_000,
            rng=np.random.default_rng(0),
        )
        p = float(found.pvalue)
    effect = summary.mean / summary.sd if summary.sd > 1e-9 * abs(summary.mean) else math.nan
    return Difference("sign-flip", len(d), summary.mean, summary.half, p, effect, summary.sd)


def independent(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Compare values of different seeds by Welch's t-test, which does not assume equal variances (Welch 1947)."""
    from scipy.stats import ttest_ind

    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    value = float(x.mean() - y.mean())
    n, m = len(x), len(y)
    pooled = math.sqrt(((n - 1) * x.var(ddof=1) + (m - 1) * y.var(ddof=1)) / (n + m - 2))
    if pooled <= 1e-12 * max(np.abs(x).max(), np.abs(y).max()):  # no spread to hold the difference against
        return Difference("Welch", min(n, m), value, math.nan, 1.0 if value == 0 else math.nan, math.nan, 0.0)
    with catch_warnings():
        simplefilter("ignore", RuntimeWarning)  # of values that are nearly the same: the spread of one group may be 0
        found = ttest_ind(x, y, equal_var=False)
        low, high = found.confidence_interval(0.95)
    correction = 1 - 3 / (4 * (n + m) - 9)  # Hedges 1981
    return Difference(
        "Welch", min(n, m), value, float(high - low) / 2, float(found.pvalue), correction * value / pooled, pooled
    )


def mcnemar(first_right: np.ndarray, second_right: np.ndarray) -> Difference:
    """Compare two models on the same images by McNemar's exact test, two-sided.

    Only the images count that one model has right and the other wrong; without a difference each is as likely to
    favour the one as the other (McNemar 1947). The interval is Wald's, of the difference of two paired shares.
    """
    from scipy.stats import binomtest

    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    told_apart, images = only_first + only_second, len(first_right)
    value = (only_first - only_second) / images
    p = float(binomtest(only_first, told_apart).pvalue) if told_apart else 1.0
    half = 1.959964 * math.sqrt(max(told_apart / images - value**2, 0.0) / images)
    effect = (only_first - only_second) / told_apart if told_apart else 0.0
    return Difference("McNemar", told_apart, value, half, p, effect, math.nan)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, so that one false finding among all stays below the level.

    Holm 1979: the smallest is multiplied by m, the next by m - 1, and so on, none below the one before it.
    """
    corrected, largest = [math.nan] * len(p_values), 0.0
    known = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    for rank, i in enumerate(sorted(known, key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(known) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def fewest_pairs(comparisons: int = 1) -> int:
    """Return how many pairs the sign-flip test needs for any p below the level: 2 / 2^n <= 0.05 / comparisons."""
    return math.ceil(math.log2(2 * max(1, comparisons) / LEVEL))


def seeds_needed(difference: Difference, comparisons: int = 1) -> int | None:
    """Return how many seeds a difference of this size needs to be found four times out of five, or None if too many.

    By the power of the t-test (noncentral t) at the level divided by the number of comparisons, with the spread that
    was seen; never fewer than the exact test can use.
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


def _t(freedom: int) -> float:
    from scipy.special import stdtrit  # a twentieth of the import time of scipy.stats

    return float(stdtrit(freedom, 0.975))
