"""What the tests of the policy will be able to see, before anything has been trained."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mnistlab.statistics import policy, power, tests

PRECISION = 0.005  # of an effect, which is printed with one decimal place


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

    The power is that of the test that will be used, on normally distributed differences, at the level divided by the
    number of pairs. That of the exact test is simulated up to 14 seeds; for more, it is taken to be the t-test's, to
    which it comes close unless dozens of settings are compared.
    """
    pairs = settings * (settings - 1) // 2
    test = policy.test_of(seeds, pairs) if pairs else None
    return Outlook(settings, seeds, pairs, test, power.fewest_pairs(pairs), _effect(test, seeds, pairs))


def _effect(test: str | None, seeds: int, pairs: int) -> float:
    """Return the standardised difference that is found with the usual power, by bisection; NaN without a test."""
    if test is None:
        return math.nan
    level = tests.LEVEL / pairs
    exact = test == "sign-flip" and seeds <= tests.EXACT_TO

    def is_detected(effect: float) -> bool:
        if exact:
            return power.exact_power(seeds, effect, level) >= power.POWER
        return power.t_power(seeds, effect, level, power.Spread(1.0)) >= power.POWER

    low, high = 0.0, 1.0
    while not is_detected(high) and high < 1e6:
        high *= 2
    while high - low > PRECISION * high:
        middle = (low + high) / 2
        low, high = (low, middle) if is_detected(middle) else (middle, high)
    return high
