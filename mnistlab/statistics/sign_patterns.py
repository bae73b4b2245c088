"""The share of sign patterns whose sum is far from zero, for levels that 20,000 random patterns cannot reach.

With n differences there are 2^n patterns. They need not be listed: of the sums of the two halves, 2^(n / 2) each, one
is sorted, and for every sum of the other a binary search tells how many of them are large enough (Horowitz and Sahni
1974, who searched for one sum in this way). 24 differences have 16.8 million patterns and take a millisecond.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

COUNTED_TO = 44  # differences: the sums of a half are 2^22 numbers, 32 MiB
PER_LEVEL = 20  # patterns beyond the observed one that are expected where p is the level
MOST = 10**8  # patterns that are drawn, some seconds; p is then 1e-8 or more
BATCH = 2**17  # patterns that are drawn at once
PART = 16  # differences whose 2^16 sums are listed


def share_above(d: np.ndarray, limit: float, level: float) -> float:
    """Return the share of the sign patterns of the differences whose sum is at least the limit.

    It is exact, unless the sums of the halves are more than the 20 / level random patterns that suffice, or than
    memory should hold. An estimate counts the observed pattern too, and so is never 0 (Phipson and Smyth 2010).
    """
    patterns = math.ceil(min(PER_LEVEL / level, MOST))
    if len(d) <= COUNTED_TO and 2 ** (len(d) // 2) <= patterns:
        return _counted(d, limit)
    return _drawn(d, limit, patterns)


def _counted(d: np.ndarray, limit: float) -> float:
    first, second = (np.sort(_sums(half)) for half in np.array_split(d, 2))
    too_small = int(np.searchsorted(second, limit - first).sum())  # in order, which is kinder to the cache
    patterns = len(first) * len(second)
    return (patterns - too_small) / patterns


def _drawn(d: np.ndarray, limit: float, patterns: int) -> float:
    stream, above = np.random.default_rng(0), 0
    tables = [_sums(part) for part in np.array_split(d, math.ceil(len(d) / PART))]
    for start in range(0, patterns, BATCH):
        sums = np.zeros(min(BATCH, patterns - start))
        for table in tables:
            sums += table[stream.integers(len(table), size=len(sums))]
        above += int(np.count_nonzero(sums >= limit))
    return (above + 1) / (patterns + 1)


def _sums(d: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the sums of all sign patterns."""
    sums = np.zeros(1)
    for x in d:
        sums = np.concatenate((sums + x, sums - x))
    return sums
