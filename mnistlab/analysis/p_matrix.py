"""The p-values of all pairs of groups as a matrix, corrected together, also where there are too many for sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistlab.runs.record import Group
from mnistlab.statistics import policy

if TYPE_CHECKING:
    from mnistlab.analysis.compare import Comparison

MOST = 40  # groups; of more, those at the top of the table
FEWEST = 4  # groups; three pairs need no matrix


def p_matrix(comparison: Comparison) -> np.ndarray | None:
    """Return the corrected p of every pair of the first 40 groups, NaN on the diagonal and where there is no test.

    They are those of the verdicts, if every pair has one, and are otherwise computed in the same way: by the test of
    the policy for so many pairs, corrected by Holm's method for all of them. None for fewer than four groups, with a
    baseline, and if no pair was tested.
    """
    groups = comparison.groups[:MOST]
    if len(comparison.groups) < FEWEST or comparison.question.baseline or comparison.epoch:
        return None
    matrix = np.full((len(groups), len(groups)), math.nan)
    if len(comparison.verdicts) == comparison.pairs:
        by_names = {frozenset((v.first, v.second)): v.p for v in comparison.verdicts if v.outcome}
        for i, j in combinations(range(len(groups)), 2):
            matrix[i, j] = matrix[j, i] = by_names.get(frozenset((groups[i].name, groups[j].name)), math.nan)
    else:
        for (i, j), p in zip(combinations(range(len(groups)), 2), _p_values(comparison, groups), strict=True):
            matrix[i, j] = matrix[j, i] = p
    return matrix if np.isfinite(matrix).any() else None


def as_json(comparison: Comparison) -> dict[str, Any] | None:
    """Return the names of the groups and the rows of the matrix, null where there is no p."""
    matrix = p_matrix(comparison)
    if matrix is None:
        return None
    rows = [[None if math.isnan(p) else p for p in row] for row in matrix.tolist()]
    return {"groups": [group.name for group in comparison.groups[:MOST]], "p": rows}


def _p_values(comparison: Comparison, groups: Sequence[Group]) -> list[float]:
    values = [group.values(comparison.metric) for group in groups]
    differences = [policy.difference(a, b, comparison.pairs) for a, b in combinations(values, 2)]
    return policy.corrected(differences, comparison.pairs)
