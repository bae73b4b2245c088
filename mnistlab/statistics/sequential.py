"""Seeds until decided: paired settings are compared at a few numbers of seeds that are declared beforehand.

Testing after every seed and stopping at the first significant result finds differences that do not exist. Here the
level is spent: with L looks, each look tests at alpha / L (Bonferroni), and the pairs of a look are corrected by Holm's
method, so that over all looks and pairs the probability of any false finding is at most alpha. The tests are the
sign-flip tests on pairs of equal seeds: exact up to 14 seeds, from random sign patterns beyond, where a small level is
met by counting all of them or drawing more. A pair that is decided is not tested again, and a setting whose pairs are
all decided needs no further seeds. A setting of which a run has failed is not tested at looks that need this run; its
pairs remain in the number of comparisons.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from mnistlab.statistics import equivalence, tests
from mnistlab.statistics.corrections import holm
from mnistlab.statistics.power import fewest_pairs
from mnistlab.statistics.tests import Difference

LOOKS = (8, 12, 16, 24)
Pair = tuple[int, int]  # places of two settings


@dataclass(frozen=True)
class Design:
    """What is decided, and when: declared before the first run. ``margin`` is in units of the metric.

    ``settings`` is their planned number; 0 if it is that of the settings that have values.
    """

    metric: str
    looks: tuple[int, ...]
    alpha: float
    margin: float | None
    first_seed: int
    settings: int = 0

    def pairs(self, settings: int = 0) -> int:
        """Return the number of pairs of the planned settings, or of so many if there are more."""
        settings = max(settings, self.settings)
        return settings * (settings - 1) // 2

    def seeds(self, look: int) -> range:
        """Return the seeds of a look."""
        return range(self.first_seed, self.first_seed + look)


@dataclass(frozen=True)
class Decision:
    """The tests of a pair at its latest look. The p-values are corrected for all pairs and looks."""

    look: int
    difference: Difference
    p: float
    differs: bool
    p_equivalence: float
    is_equivalent: bool

    @property
    def is_final(self) -> bool:
        """Whether the pair needs no further seeds."""
        return self.differs or self.is_equivalent


@dataclass(frozen=True)
class Progress:
    """The decisions so far, and the look for which runs are missing; None if there is no further one.

    ``untested`` are the pairs that are undecided and get no further seeds, since runs of a setting have failed.
    """

    decisions: Mapping[Pair, Decision]
    look: int | None
    settings: tuple[int, ...]  # that need the seeds of that look
    untested: tuple[Pair, ...] = ()


def default_looks(settings: int, alpha: float = tests.LEVEL) -> tuple[int, ...]:
    """Return those of the usual looks at which the exact test can decide something, given the number of settings."""
    looks: tuple[int, ...] = LOOKS
    while len(looks) > 1 and looks[0] < fewest_seeds(len(looks), settings, alpha):
        looks = looks[1:]
    return looks


def fewest_seeds(looks: int, settings: int, alpha: float = tests.LEVEL) -> int:
    """Return the fewest seeds with which the exact test can be significant after the corrections."""
    return fewest_pairs(looks * settings * (settings - 1) // 2, alpha)


def progress(values: Sequence[Mapping[int, float]], design: Design, failed: Collection[int] = frozenset()) -> Progress:
    """Return what is decided, from the values of each setting by seed.

    ``failed`` are the places of the settings that will not have all values; the others go on without them. The result
    depends on the seeds of the looks alone, however many more there are, and so can be computed again at any time.
    """
    pairs = list(combinations(range(len(values)), 2))
    decisions: dict[Pair, Decision] = {}
    for look in design.looks:
        incomplete = {i for i, of in enumerate(values) if any(seed not in of for seed in design.seeds(look))}
        lost = incomplete.intersection(failed)
        undecided = [pair for pair in pairs if pair not in decisions or not decisions[pair].is_final]
        open_pairs = [pair for pair in undecided if lost.isdisjoint(pair)]
        untested = tuple(pair for pair in undecided if not lost.isdisjoint(pair))
        settings = tuple(sorted({setting for pair in open_pairs for setting in pair}))
        if not incomplete.isdisjoint(settings):
            return Progress(decisions, look, settings, untested)
        if open_pairs:
            decisions |= _tested(open_pairs, values, look, decisions, design)
    return Progress(decisions, None, (), untested)


def _tested(
    open_pairs: Sequence[Pair],
    values: Sequence[Mapping[int, float]],
    look: int,
    earlier: Mapping[Pair, Decision],
    design: Design,
) -> dict[Pair, Decision]:
    sides = [[[values[setting][seed] for seed in design.seeds(look)] for setting in pair] for pair in open_pairs]
    pairs = design.pairs(len(values))
    level = design.alpha / (len(design.looks) * pairs)
    differences = [tests.paired(a, b, level) for a, b in sides]
    # Only pairs that were found to differ leave the family of the differences, and correspondingly for equivalence
    differing = sum(decision.differs for decision in earlier.values())
    p_values = _spent([d.p for d in differences], pairs - differing, design)
    alike: list[float] = [float("nan")] * len(open_pairs)
    if design.margin is not None:
        equal = sum(decision.is_equivalent for decision in earlier.values())
        uncorrected = [equivalence.exact(a, b, design.margin, level) for a, b in sides]
        alike = _spent(uncorrected, pairs - equal, design)
    return {
        pair: Decision(look, d, p, p <= design.alpha, p_alike, p_alike <= design.alpha)
        for pair, d, p, p_alike in zip(open_pairs, differences, p_values, alike, strict=True)
    }


def _spent(p_values: Sequence[float], family: int, design: Design) -> list[float]:
    return [min(1.0, len(design.looks) * p) for p in holm(p_values, family)]
