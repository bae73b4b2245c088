"""Claims about a sweep that added seeds until it was decided follow its plan, or say that they do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import KAIMING, RANDOM, write_run, write_until_decided

from mnistlab.statistics.sequential import Design

Command = Callable[..., Any]
BY_DESIGN = "p = 0.062 after Bonferroni for 2 looks"  # 2 looks, 2 of 2^6 sign patterns
CAUTION = "seeds were added until validation.accuracy was decided, which this test does not allow for"
WIDE = 0.01  # a margin far beyond the differences, which are .0012 to .0020


def judged(command: Command, rows: str, claim: str, metric: str = "validation.accuracy") -> str:
    Path("own.yaml").write_text(f"title: T\nrows: {{{rows}}}\nclaims: [{{text: t, metric: {metric}, {claim}}}]\n")
    out: str = command("claims", "own.yaml").out
    return out


def sweep(place: str, alpha: float = 0.05, margin: float | None = None, looks: tuple[int, ...] = (3, 6)) -> None:
    design = Design("validation.accuracy", looks, alpha, margin, 0)
    write_until_decided(Path(place), {"kaiming": KAIMING, "random": RANDOM}, design)


@pytest.mark.parametrize(
    ("alpha", "pair", "label"),
    [
        (0.05, "ud init=kaiming, ud init=random", "not distinguishable  t"),
        (0.1, "ud init=kaiming, ud init=random", "holds                t"),
        (0.1, "ud init=random, ud init=kaiming", "does not hold        t"),
    ],
)
def test_a_pair_is_judged_by_the_plan(alpha: float, pair: str, label: str, command: Command) -> None:
    sweep("ud", alpha)
    out = judged(command, "ud: {runs: [ud]}", f"beats: [{pair}]")
    assert f"\n{label}\n" in out
    assert BY_DESIGN in out
    assert CAUTION not in out
    assert ("; level 0.1" in out) == (alpha == 0.1)


def test_lower_is_the_other_way_round(command: Command) -> None:
    sweep("ud", 0.1)
    out = judged(command, "ud: {runs: [ud]}", "beats: [ud init=random, ud init=kaiming], lower: true")
    assert "\nholds                t\n" in out


def test_the_jobs_of_the_sweep_are_its_runs_too(command: Command) -> None:
    sweep("ud")
    rows = ", ".join(f"{name}: {{runs: [{', '.join(f'ud/{i}' for i in numbers)}]}}"
                     for name, numbers in (("k", range(6)), ("r", range(6, 12))))  # fmt: skip
    assert BY_DESIGN in judged(command, rows, "beats: [k, r]")


def test_equivalence_is_judged_by_the_plan_within_its_own_margin(command: Command) -> None:
    sweep("ud", margin=WIDE, looks=(6,))
    within = "within: [ud init=kaiming, ud init=random]"
    out = judged(command, "ud: {runs: [ud]}", f"{within}, margin: {WIDE}")
    assert "\nholds                t\n" in out
    assert "kaiming and random are equivalent within 1 point" in out
    out = judged(command, "ud: {runs: [ud]}", f"{within}, margin: 0.02")
    assert f"margin 2.00 points; {CAUTION}" in out


def test_what_the_plan_does_not_decide_is_tested_with_a_caution(command: Command) -> None:
    sweep("ud")
    for seed in range(6):
        write_run(Path(f"other{seed}"), RANDOM[seed], config={"seed": seed})
    rows = f"ud: {{runs: [ud]}}, other: {{runs: [{', '.join(f'other{seed}' for seed in range(6))}]}}"
    assert CAUTION in judged(command, rows, "beats: [ud init=kaiming, other]")
    pair = "beats: [ud init=kaiming, ud init=random]"
    assert BY_DESIGN in judged(command, rows, pair)
    assert CAUTION in judged(command, rows, pair, metric="test.accuracy")


def test_compare_says_that_seeds_were_added_where_it_cannot_follow_the_plan(command: Command) -> None:
    sweep("ud")
    write_run(Path("other"), 0.9, config={"seed": 0}, overrides=["init=zero"])
    warning = "some seeds were added until a sweep was decided; these tests do not allow for that"
    assert warning not in command("compare", "ud").out
    assert warning in command("compare", "ud", "other").out
    assert warning in command("compare", *(f"ud/{i}" for i in range(1, 12))).out
