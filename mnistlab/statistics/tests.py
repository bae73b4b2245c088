"""Significance tests of differences, with confidence intervals and effect sizes.

Accuracies over seeds are few and not normally distributed; where the seeds match, an exact test is used, which assumes
no distribution. SciPy does the arithmetic where it can.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from warnings import catch_warnings, simplefilter

import numpy as np

from mnistlab.statistics.intervals import mean_of
from mnistlab.statistics.sign_patterns import share_above

LEVEL = 0.05  # of every test, after Holm's correction
NOISE = 1e-12  # relative differences up to this are rounding
EXACT_TO = 14  # pairs: up to 2^14 sign patterns are enumerated at any level
DRAWN = 20_000  # sign patterns of more pairs
DRAWN_TO = 0.001  # the smallest level for which these are enough


@dataclass(frozen=True)
class Difference:
    """The difference between two groups of values, first minus second, and its test.

    ``half`` is the half-width of its 95 % confidence interval (t), ``effect`` is the standardised difference:
    d_z = mean / sd of the pairs, or Hedges' g of independent groups. ``p`` is not corrected for multiple comparisons.
    """

    test: str  # sign-flip, paired t, Welch, McNemar
    n: int  # pairs, or runs of the smaller group, or discordant images
    value: float
    half: float
    p: float
    effect: float
    sd: float  # of the pairs, or pooled over independent groups
    sds: tuple[float, float] = (math.nan, math.nan)  # of each of two independent groups


def paired(a: Sequence[float], b: Sequence[float], level: float = LEVEL) -> Difference:
    """Compare values of the same seeds by the sign-flip permutation test on their differences, two-sided.

    If the groups do not differ, each difference might as well have the other sign: p is the fraction of the 2^n sign
    patterns whose mean is at least as far from zero (Fisher 1935, section 21). ``level`` is the smallest one with which
    p is compared, after all corrections.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    d, scale = x - y, float(np.abs((x, y)).max(initial=0.0))
    summary = mean_of(d)
    if not np.isfinite(d).all():
        p = math.nan
    elif len(d) < 2 or not (np.abs(d) > NOISE * scale).any():
        p = 1.0
    else:
        p = sign_flip(d, level=level, scale=scale)
    effect = summary.mean / summary.sd if summary.sd > 1e-9 * abs(summary.mean) else math.nan
    return Difference("sign-flip", len(d), summary.mean, summary.half, p, effect, summary.sd)


def sign_flip(
    d: np.ndarray,
    alternative: Literal["two-sided", "greater"] = "two-sided",
    level: float = LEVEL,
    scale: float | None = None,
) -> float:
    """Return the fraction of the 2^n sign patterns of n differences whose mean is as far from zero, or as far above.

    Means that differ only by rounding are equal: by 1e-12 of ``scale``, the largest of the values that were subtracted,
    or without it the largest difference.

    Beyond 14 pairs it is estimated from 20,000 random patterns. Their smallest p is 1e-4, which decides nothing at the
    level of a test among hundreds: below a level of 0.001, all patterns are counted, or more of them are drawn.
    """
    from scipy.stats import permutation_test

    rounding = NOISE * (scale or float(np.abs(d).max()) or 1.0)
    if len(d) > EXACT_TO and level < DRAWN_TO:
        observed, rounding = float(d.sum()), rounding * len(d)
        if alternative == "greater":
            return share_above(d, observed - rounding, level)
        return min(1.0, 2 * share_above(d, abs(observed) - rounding, level))

    permutation = permutation_test(
        (d,),
        lambda x, axis: (np.mean(x, axis=axis) / rounding).round(),  # keeps ties equal
        permutation_type="samples",
        alternative=alternative,
        vectorized=True,
        n_resamples=2 ** len(d) if len(d) <= EXACT_TO else DRAWN,
        rng=np.random.default_rng(0),
    )
    return float(permutation.pvalue)


def paired_t(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Compare values of the same seeds by the paired t-test, which assumes normally distributed differences, two-sided.

    If the differences are all the same number, they have no spread to be compared with, and p is NaN; 1 if it is 0.
    """
    from scipy.stats import ttest_1samp

    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    d = np.where(np.abs(x - y) <= NOISE * np.maximum(np.abs(x), np.abs(y)), 0.0, x - y)
    summary = mean_of(d.tolist())
    if not summary.sd > 1e-9 * abs(summary.mean):
        p = 1.0 if summary.mean == 0 else math.nan
        return Difference("paired t", summary.n, summary.mean, 0.0, p, math.nan, 0.0)
    p = float(ttest_1samp(d, 0).pvalue)
    return Difference("paired t", summary.n, summary.mean, summary.half, p, summary.mean / summary.sd, summary.sd)


def independent(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Compare values of different seeds by Welch's t-test, which does not assume equal variances (Welch 1947)."""
    from scipy.stats import ttest_ind

    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    value = float(x.mean() - y.mean())
    n, m = len(x), len(y)
    pooled = math.sqrt(((n - 1) * x.var(ddof=1) + (m - 1) * y.var(ddof=1)) / (n + m - 2))
    noise = NOISE * max(np.abs(x).max(), np.abs(y).max())
    if pooled <= noise:  # no spread to compare the difference with
        return Difference("Welch", min(n, m), value, math.nan, 1.0 if abs(value) <= noise else math.nan, math.nan, 0.0)
    with catch_warnings():
        simplefilter("ignore", RuntimeWarning)  # about nearly identical values: the spread of one group may be 0
        welch = ttest_ind(x, y, equal_var=False)
        low, high = welch.confidence_interval(0.95)
    correction = 1 - 3 / (4 * (n + m) - 9)  # Hedges 1981
    half, effect = float(high - low) / 2, correction * value / pooled
    sds = float(x.std(ddof=1)), float(y.std(ddof=1))
    return Difference("Welch", min(n, m), value, half, float(welch.pvalue), effect, pooled, sds)


def mcnemar(first_right: np.ndarray, second_right: np.ndarray) -> Difference:
    """Compare two models on the same images by McNemar's exact test, two-sided.

    Only the discordant images count, which one model classifies correctly and the other does not; if the models do not
    differ, each is as likely to favour either of them (McNemar 1947). The interval is Wald's for the difference of two
    paired proportions.
    """
    from scipy.stats import binomtest

    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    discordant, images = only_first + only_second, len(first_right)
    value = (only_first - only_second) / images
    p = float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
    half = 1.959964 * math.sqrt(max(discordant / images - value**2, 0.0) / images)
    effect = (only_first - only_second) / discordant if discordant else 0.0
    return Difference("McNemar", discordant, value, half, p, effect, math.nan)
