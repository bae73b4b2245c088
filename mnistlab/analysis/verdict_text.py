"""The words of a verdict: what is compared, by how much, by which test, and what would be needed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mnistlab.runs.record import Group
from mnistlab.statistics import power
from mnistlab.statistics.tests import LEVEL, Difference
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text


@dataclass(frozen=True)
class Family:
    """The comparisons made at once, and the looks at growing numbers of seeds, for which p is corrected; its level."""

    tests: int
    looks: int = 1
    level: float = LEVEL

    @property
    def correction(self) -> str:
        """Return `` after Holm for 3 and Bonferroni for 4 looks, level 0.1``, or what of it applies.

        The level goes without saying where it is the usual one.
        """
        holm = f"Holm for {self.tests}" if self.tests > 1 else ""
        looks = f"Bonferroni for {self.looks} looks" if self.looks > 1 else ""
        after = f" after {' and '.join(filter(None, (holm, looks)))}" if holm or looks else ""
        return f"{after}, level {self.level:g}" if self.level != LEVEL else after


def points(metric: str) -> bool:
    """Return whether a metric is a proportion, which is printed in per cent."""
    return higher_is_better(metric) or metric.endswith("expected_calibration_error")


def check_margin(margin: float | None, metric: str) -> None:
    """Raise `RequestError` for a margin in points that no difference can exceed."""
    if margin is not None and points(metric) and margin > 100:
        raise RequestError(f"--margin {margin:g}: must be 100 or less, since {metric} is in per cent; for example 0.2")


def higher_is_better(metric: str) -> bool:
    """Return whether higher values of a metric are better: not for losses, errors and numbers of parameters."""
    return not metric.endswith(("loss", "error", "parameters"))


def value_text(metric: str, value: float, digits: int = 2) -> str:
    """Return a value as text: proportions in per cent without the sign, others with four digits."""
    if math.isnan(value):
        return "-"
    if metric == "parameters":
        return f"{value:,.0f}"
    return f"{100 * value:.{digits}f}" if points(metric) else f"{value:.4g}"


def names_of(a: Group, b: Group) -> tuple[str, str, str]:
    """Return names for two groups, from the settings in which they differ, and a note on what they share.

    An option needs no key: kaiming, lenet5. A value has its key, optimizer.lr=0.1, and so has the option none.
    """
    differ = [key for key in a.settings if as_text(a.settings[key]) != as_text(b.settings.get(key))]
    shared = [f"{key}={as_text(a.settings[key])}" for key in a.settings if key not in differ and a.uses(key)]
    first, second = (
        " ".join(_name(key, group.settings[key]) for key in differ if group.uses(key)) or "the default"
        for group in (a, b)
    )
    return first, second, (f" (at {' '.join(shared)})" if shared else "") + a.averaged


def _name(key: str, value: Any) -> str:
    text = as_text(value)
    unclear = text in ("none", "null", "true", "false")  # "none beats dropout" would mean the opposite
    return f"{key}={text}" if "." in key or unclear else text


def about_networks(names: tuple[str, str, str], d: Difference, p: float, family: Family) -> str:
    """Return the verdict on two single runs: about these trained models, never about their settings."""
    better, worse, shared = names
    images = f"{d.n:,} discordant image{'s' if d.n != 1 else ''}"
    amount = f"{value_text('test.accuracy', abs(d.value))} +/- {value_text('test.accuracy', d.half)} points"
    p_value = f"p = {p_in_words(p)}{family.correction}"
    differ = (
        f"the trained model of {better} classifies {amount} more of the test images correctly than that of {worse}"
        if p <= LEVEL
        else f"the trained models of {better} and {worse} are not distinguishable on the test images: {amount}"
    )
    return f"one run each: {differ}{shared} ({images}, McNemar, {p_value}); two seeds of one setting may differ as much"


def about_settings(
    names: tuple[str, str, str],
    metric: str,
    d: Difference,
    p: float,
    distinguishable: bool,
    needed: int | None,
    family: Family,
) -> str:
    """Return the verdict on two settings."""
    better, worse, shared = names
    size, amount, used = value_text(metric, abs(d.value)), _amount(metric, d), _used(d)
    if math.isnan(p):
        return without_spread(names, metric, d, family)
    p_value = f"p = {p_in_words(p)}{family.correction}"
    if distinguishable:
        return f"{better} beats {worse}{shared} by {amount} of {metric} ({used}, {p_value})"
    text = f"{better} and {worse}{shared} are not distinguishable: {amount} of {metric} ({used}, {p_value})"
    if needed is not None and d.value:
        text += f"; about {needed:,} seeds{'' if d.test != 'Welch' else ' each'} would be needed to detect {size}"
    return text


def without_spread(names: tuple[str, str, str], metric: str, d: Difference, family: Family) -> str:
    """Return the verdict on two settings with values or differences that do not vary, to which no t-test applies."""
    better, worse, shared = names
    how = f"and {worse}{shared} have equal values"
    if math.isnan(d.p):  # it is 1 where the values are equal
        how = f"is ahead of {worse}{shared} by {_amount(metric, d)}"
    always = "run; the runs of each setting" if d.test == "Welch" else f"of {d.n} seeds; the differences"
    text = f"{better} {how} of {metric} in each {always} do not vary, so no t test applies"
    return f"{text}; {power.fewest_pairs(family.tests)} common seeds allow the exact test"


def equivalent(
    names: tuple[str, str, str],
    metric: str,
    d: Difference,
    p: float,
    distinguishable: bool,
    family: Family,
    margin: float,
    p_equivalence: float,
) -> str:
    """Return the verdict on two settings that differ by less than the margin."""
    better, worse, shared = names
    text = (
        f"{better} and {worse}{shared} are equivalent within {_size(metric, margin)}: {_amount(metric, d)} of {metric} "
        f"({_used(d, one_sided=True)}, p = {p_in_words(p_equivalence)}{family.correction})"
    )
    return f"{text}; {better} is ahead by less than that (p = {p_in_words(p)})" if distinguishable else text


def undecided(
    names: tuple[str, str, str], metric: str, d: Difference, p: float, family: Family, margin: float,
    p_equivalence: float, needed: int | None = None, needed_for_equivalence: int | None = None,
) -> str:  # fmt: skip
    """Return the verdict on two settings that are shown neither to differ nor to be equivalent."""
    if math.isnan(p_equivalence):
        return without_spread(names, metric, d, family)
    better, worse, shared = names
    text = (
        f"{better} and {worse}{shared.rstrip(',')}: undecided, {_amount(metric, d)} of {metric} ({_used(d)}; "
        f"difference p = {p_in_words(p)}, equivalence within {_size(metric, margin)} p = {p_in_words(p_equivalence)}"
        f"{family.correction})"
    )
    each = " each" if d.test == "Welch" else ""
    if needed is not None and d.value:
        text += f"; about {needed:,} seeds{each} would be needed to detect {value_text(metric, abs(d.value))}"
    if needed_for_equivalence is not None:
        text += f"; about {needed_for_equivalence:,}{each} would show equivalence if there were no difference"
    return text


def against_the_order(names: tuple[str, str, str], metric: str, d: Difference, p: float) -> str:
    """Return the verdict on two settings of which their common seeds say the opposite of the means of all runs."""
    better, worse, shared = names
    p_value = "" if math.isnan(p) else f" (p = {p_in_words(p)})"
    return (
        f"{better} and {worse}{shared.rstrip(',')}: no verdict; {better} is ahead by {_amount(metric, d)} of {metric} "
        f"in the {d.n} common seeds{p_value} but behind in the mean of all runs; run both with the same seeds"
    )


def _amount(metric: str, d: Difference) -> str:
    half = "" if math.isnan(d.half) or not d.sd else f" +/- {value_text(metric, d.half)}"
    return f"{value_text(metric, abs(d.value))}{half}{' points' if points(metric) else ''}"


def _size(metric: str, margin: float) -> str:
    return f"{100 * margin:g} point{'' if round(margin, 9) == 0.01 else 's'}" if points(metric) else f"{margin:g}"


def _used(d: Difference, one_sided: bool = False) -> str:
    """Return the number of runs and the test, or its two one-sided forms, which test equivalence."""
    two, s, assumes = ("two one-sided ", "s", "assume") if one_sided else ("", "", "assumes")
    return {
        "sign-flip": f"{d.n} seeds, {two}exact test{s}",
        "paired t": f"{d.n} seeds, {two}paired t test{s}, {assumes} normal differences",
    }.get(d.test, f"{d.n} runs or more each, {two}Welch's t test{s}")


def p_in_words(p: float) -> str:
    """Return a p value as text."""
    if p == 0:
        return "0 (below 1e-300)"
    return "undefined" if math.isnan(p) else f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"
