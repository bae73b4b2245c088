"""Corrections for multiple comparisons."""

from __future__ import annotations

import math
from collections.abc import Sequence


def holm(p_values: Sequence[float], comparisons: int = 0) -> list[float]:
    """Return p-values corrected for their number, which controls the probability of any false rejection.

    Holm 1979: the smallest of m p-values is multiplied by m, the next by m - 1, and so on, none below the one before.
    ``comparisons`` is a larger m, where some hypotheses have no p-value but belong to the family.
    """
    corrected, largest = [math.nan] * len(p_values), 0.0
    defined = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    m = max(len(defined), comparisons)
    for rank, i in enumerate(sorted(defined, key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (m - rank) * p_values[i]))
        corrected[i] = largest
    return corrected
