"""Tests of equivalence: two settings differ by less than a margin.

Two one-sided tests (TOST, Schuirmann 1987): the difference is shown to be above -margin, and to be below margin. The
p-value is the larger of the two. A difference that is not significant is no evidence of equivalence; this is. The
opposite, that the difference is *beyond* the margin, is shown by a single one-sided test: of the two hypotheses that
make up "within the margin", only the one on the side of the difference can be rejected wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mnistlab.statistics.tests import LEVEL, Difference, sign_flip


def exact(a: Sequence[float], b: Sequence[float], margin: float, level: float = LEVEL) -> float:
    """Return p of two one-sided sign-flip tests on pairs, whose differences are shifted by the margin.

    ``level`` is the smallest one with which p is compared.
    """
    d, scale = _scaled(a, b, margin)
    if not np.isfinite(d).all():
        return math.nan
    return max(sign_flip(x, "greater", level, scale) for x in (margin + d, margin - d))


def exact_beyond(a: Sequence[float], b: Sequence[float], margin: float, level: float = LEVEL) -> float:
    """Return p of a one-sided sign-flip test that the difference is beyond the margin, on the side of its mean."""
    d, scale = _scaled(a, b, margin)
    if not np.isfinite(d).all():
        return math.nan
    return sign_flip((d if d.mean() >= 0 else -d) - margin, "greater", level, scale)


def _scaled(a: Sequence[float], b: Sequence[float], margin: float) -> tuple[np.ndarray, float]:
    """Return the differences, and the largest of the numbers that are subtracted."""
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return x - y, float(max(np.abs((x, y)).max(), margin))


def by_t(d: Difference, margin: float, freedom: float) -> float:
    """Return p of two one-sided t-tests; NaN if the values do not vary."""
    from scipy.stats import t

    return float(t.sf((margin - abs(d.value)) / _error(d, freedom), freedom))


def beyond_by_t(d: Difference, margin: float, freedom: float) -> float:
    """Return p of a one-sided t-test that the difference is beyond the margin; NaN if the values do not vary."""
    from scipy.stats import t

    return float(t.cdf((margin - abs(d.value)) / _error(d, freedom), freedom))


def _error(d: Difference, freedom: float) -> float:
    """Return the standard error of a difference, from its 95 % confidence interval: half / t(0.975, freedom)."""
    from scipy.stats import t

    return d.half / t.ppf(0.975, freedom) if d.sd > 0 else math.nan


def welch_freedom(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the degrees of freedom of Welch's t-test (Welch-Satterthwaite); NaN if neither group has any spread."""
    first, second = (float(np.var(group, ddof=1)) / len(group) for group in (a, b))
    squares = first**2 / (len(a) - 1) + second**2 / (len(b) - 1)
    return (first + second) ** 2 / squares if squares else math.nan
