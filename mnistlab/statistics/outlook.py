"""What the tests of the policy will be able to see, before anything has been trained."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mnistlab.statistics import policy, power, tests


@dataclass(frozen=True)
class Outlook:
    """So many settings with so many common seeds: the test that will be used, and what it needs and finds.

    ``effect`` is the smallest difference that the test finds with a probability of 80 %, in standard deviations of the
    differences of a pair; NaN without a test.
    """

    settings: int
    seeds: int
    pairs: int
    test: str | None
    exact_needs: int
    effect: float

    @property
    def text(self) -> str:
        """Return it in one line."""
        seeds = f"{self.seeds} seed{'s' if self.seeds != 1 else ''}"
        if self.pairs == 0:
            return f"{seeds} of one setting: a mean with its interval, and nothing to compare"
        pairs = f"{self.pairs:,} pair{'s' if self.pairs != 1 else ''}"
        if self.test is None:
            return (
                f"{seeds}: no test; {policy.FEWEST} seeds allow a paired t-test, and {self.exact_needs} the exact test "
                f"for {pairs}"
            )
        finds = f"finds differences of {self.effect:.1f} standard deviations of the pairs in 80 % of cases"
        if self.test == "paired t":
            return f"{seeds}: paired t only; the exact test needs {self.exact_needs} seeds for {pairs}; {finds}"
        return f"{seeds}: the exact test for {pairs}, which needs {self.exact_needs}; {finds}"


def outlook(settings: int, seeds: int) -> Outlook:
    """Return what can be seen with so many settings, all with the same seeds.

    The power is that of the t-test on normally distributed differences, at the level divided by the number of pairs.
    """
    pairs = settings * (settings - 1) // 2
    test = policy.test_of(seeds, pairs) if pairs else None
    return Outlook(settings, seeds, pairs, test, power.fewest_pairs(pairs), _effect(seeds, pairs) if test else math.nan)


def _effect(seeds: int, pairs: int) -> float:
    """Return the standardised difference that is found with the usual power, by bisection."""
    low, high = 0.0, 1.0
    level = tests.LEVEL / pairs
    while power.t_power(seeds, high, level, True) < power.POWER and high < 1e6:
        high *= 2
    while high - low > 0.001 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power.t_power(seeds, middle, level, True) >= power.POWER else (middle, high)
    return high
