"""The best of each: chosen by validation within each seed, so that choosing does not make a difference look real."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.runs import group, record

from mnistlab.analysis import comparison_table
from mnistlab.analysis.best_over import best_over
from mnistlab.analysis.compare import compare
from mnistlab.runs.record import grouped
from mnistlab.statistics import policy
from mnistlab.system.errors import RequestError


def runs(values, seeds=6):
    """A run for every (init, lr) and seed; values are (validation, test) accuracies by seed."""
    return [
        record(seed, validation, {"init": init, "o.lr": lr}, test={"accuracy": test, "loss": 1 - test})
        for (init, lr), found in values.items()
        for seed, (validation, test) in enumerate(found[:seeds])
    ]


# (validation, test) by seed: of a, 0.1 has the better validation in seed 1 only
BY_HAND = {
    ("a", 0.1): [(0.70, 0.91), (0.90, 0.60), (0.70, 0.92)],
    ("a", 0.5): [(0.80, 0.71), (0.80, 0.99), (0.80, 0.73)],
    ("b", 0.1): [(0.60, 0.50), (0.60, 0.52), (0.60, 0.51)],
    ("b", 0.5): [(0.50, 0.80), (0.50, 0.80), (0.50, 0.80)],
}


def test_an_example_by_hand():
    # a: 0.5 in seeds 0 and 2 (test .71, .73), 0.1 in seed 1 (.60); b: always 0.1 (.50 .52 .51)
    found = compare(runs(BY_HAND), best_over=("o.lr",))
    assert found.metric == "test.accuracy"
    values = {one.name: one.values("test.accuracy") for one in found.groups}
    assert values == {"init=a": {0: [0.71], 1: [0.60], 2: [0.73]}, "init=b": {0: [0.50], 1: [0.52], 2: [0.51]}}
    assert found.notes == (
        "o.lr is chosen by validation.accuracy in each seed; init=a: 0.5 in 2 of 3 seeds, 0.1 in 1; init=b: 0.1 in "
        "every seed",
    )
    assert "note: o.lr is chosen by validation.accuracy in each seed" in comparison_table.text(found)


def test_a_loss_is_chosen_by_the_validation_loss_and_a_smaller_one_is_better():
    records = [
        record(0, 0.5, {"init": init, "o.lr": lr}, validation={"loss": loss, "accuracy": 0.5}, test={"loss": lr})
        for init in "ab"
        for lr, loss in ((1.0, 0.5), (2.0, 0.25))
    ]
    found = compare(records, "test.loss", best_over=("o.lr",))
    assert [one.values("test.loss") for one in found.groups] == [{0: [2.0]}, {0: [2.0]}]


def test_it_goes_together_with_a_factor():
    values = {key: [(v + s / 1000, t + s / 1000) for s, (v, t) in enumerate(of)] for key, of in BY_HAND.items()}
    records = [
        record(one.seed, one.value("validation.accuracy"), {**one.settings, "m": m}, test=one.metrics["test"])
        for one in runs(values)
        for m in "xy"
    ]
    found = compare(records, best_over=("o.lr",), factor="init")
    assert found.verdicts[0].text.startswith("a beats b, averaged over 2 values of m, by ") or "not dist" in (
        found.verdicts[0].text
    )
    assert [one.name for one in found.groups] == ["init=a", "init=b"]


def test_the_only_factor_that_is_left_needs_no_average():
    by_factor, alone = (compare(runs(BY_HAND), best_over=("o.lr",), factor=factor) for factor in ("init", None))
    assert [v.text for v in by_factor.verdicts] == [v.text for v in alone.verdicts]


def test_a_seed_that_is_still_training_is_left_out():
    waiting = record(0, 0.5, {"init": "a", "o.lr": 0.9}, state="running")
    failed = record(1, 0.5, {"init": "a", "o.lr": 0.9}, state="failed")
    found = compare([*runs(BY_HAND), waiting, failed], best_over=("o.lr",))
    seeds = {one.name: sorted(record.seed for record in one.records) for one in found.groups}
    assert seeds == {"init=a": [1, 2], "init=b": [0, 1, 2]}


LEFT_OUT = "left out, as some candidates have no result there: "


def test_a_seed_without_a_candidate_is_left_out():
    """Else the best of fewer candidates would count as the best of all."""
    some = [one for one in runs(BY_HAND) if (one.settings["init"], one.settings["o.lr"], one.seed) != ("b", 0.1, 2)]
    found = compare(some, best_over=("o.lr",))
    assert {one.name: sorted(one.values("test.accuracy")) for one in found.groups} == {
        "init=a": [0, 1, 2],
        "init=b": [0, 1],
    }
    assert found.notes[-1] == f"{LEFT_OUT}init=b in seed 2"


def test_a_setting_whose_seeds_all_wait_is_said():
    waiting = [record(seed, 0.5, {"init": "b", "o.lr": 0.9}, state="running") for seed in range(3)]
    found = compare([*runs(BY_HAND), *group({"init": "c", "o.lr": 0.1}, [0.5] * 3), *waiting], best_over=("o.lr",))
    assert [one.name for one in found.groups] == ["init=a", "init=c"]
    assert found.notes[-1] == f"{LEFT_OUT}init=b in every seed"


@pytest.mark.parametrize("state", ["pruned", "failed"])
def test_a_candidate_that_was_stopped_has_lost_and_its_seed_counts(state):
    stopped = [record(seed, 0.5, {"init": init, "o.lr": 0.9}, state=state) for init in "ab" for seed in range(3)]
    some = [one for one in runs(BY_HAND) if (one.settings["init"], one.settings["o.lr"], one.seed) != ("b", 0.5, 2)]
    stopped.append(record(2, 0.5, {"init": "b", "o.lr": 0.5}, state=state))
    found = compare([*some, *stopped], best_over=("o.lr",))
    assert [sorted(one.values("test.accuracy")) for one in found.groups] == [[0, 1, 2]] * 2
    assert LEFT_OUT not in " ".join(found.notes)


@pytest.mark.parametrize(
    ("state", "cure"),
    [
        ("running", "wait for the runs that are still training"),
        ("interrupted", "6 are unfinished; continue them with `mnistlab resume`"),
    ],
)
def test_if_no_seed_is_complete_the_error_says_why(state, cure):
    waiting = [record(seed, 0.5, {"init": init, "o.lr": 0.9}, state=state) for init in "ab" for seed in range(3)]
    with pytest.raises(RequestError, match=cure):
        compare([*runs(BY_HAND), *waiting], best_over=("o.lr",))


def test_if_every_seed_lacks_a_candidate_the_error_says_so():
    some = [one for one in runs(BY_HAND) if (one.seed == 0) == (one.settings["o.lr"] == 0.1)]
    with pytest.raises(RequestError, match="train the candidates that are missing"):
        compare(some, best_over=("o.lr",))


def test_different_numbers_of_candidates_are_said():
    some = {key: of for key, of in BY_HAND.items() if key != ("b", 0.5)}
    assert compare(runs(some), best_over=("o.lr",)).notes[1] == (
        "the best is chosen among different numbers of candidates (init=a 2, init=b 1); more find better ones"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"best_over": ("lr",)}, "--best-over lr: must be a setting that varies: init, o.lr"),
        ({"best_over": ("init", "o.lr")}, "--best-over init,o.lr: no other setting varies"),
        (
            {"best_over": ("o.lr",), "metric": "validation.accuracy"},
            "--best-over o.lr --metric validation.accuracy: the",
        ),
    ],
)
def test_a_choice_that_would_not_be_honest_or_has_no_sense(options, message):
    with pytest.raises(RequestError, match=message):
        compare(runs(BY_HAND), **options)


def test_without_a_validation_set_nothing_can_be_chosen():
    records = [record(0, 0.5, {"init": a, "o.lr": lr}, validation={}) for a in "ab" for lr in (1, 2)]
    with pytest.raises(RequestError, match=r"--best-over o.lr: needs runs with validation.accuracy and test.accuracy"):
        compare(records, best_over=("o.lr",))


def no_difference(rng, candidates=(1, 8), seeds=6):
    """All networks are equally good; validation and test are two independent samples of images."""
    return {
        (init, lr): [tuple(pair) for pair in 0.9 + rng.normal(0, 0.01, (seeds, 2))]
        for init, count in zip("ab", candidates, strict=True)
        for lr in range(count)
    }


def naive(records):
    """The usual mistake: the value with the best test accuracy in each seed, tested by the same accuracies."""
    values = {init: {} for init in "ab"}
    for one in records:
        best = values[one.settings["init"]]
        best[one.seed] = [max(*best.get(one.seed, [0]), one.value("test.accuracy"))]
    return policy.difference(values["a"], values["b"]).p <= 0.05


def test_choosing_among_more_candidates_finds_no_difference_where_there_is_none():
    """One value of b against the best of eight of a: by validation in each seed at the nominal rate, 5 % at most.

    The control chooses by the test accuracies that it then tests, and finds differences that do not exist.
    """
    rng, sweeps = np.random.default_rng(0), 300
    ours = usual = 0
    for _ in range(sweeps):
        records = runs(no_difference(rng))
        chosen, _notes = best_over(grouped(records), ("o.lr",), "test.accuracy")
        ours += policy.difference(*(one.values("test.accuracy") for one in chosen)).p <= 0.05
        usual += naive(records)
    limit = sweeps * 0.05 + 4 * np.sqrt(sweeps * 0.05 * 0.95)
    assert ours <= limit
    assert usual > limit


def test_a_real_difference_is_found():
    rng = np.random.default_rng(1)
    values = no_difference(rng, (8, 8))
    values = {
        key: [(v + 0.05 * (key[0] == "a"), t + 0.05 * (key[0] == "a")) for v, t in of] for key, of in values.items()
    }
    (verdict,) = compare(runs(values), best_over=("o.lr",)).verdicts
    assert verdict.distinguishable
    assert verdict.text.startswith("a beats b by ")


def test_a_group_of_one_value_is_compared_too():
    assert (
        len(compare([*runs(BY_HAND), *group({"init": "c", "o.lr": 0.1}, [0.5] * 3)], best_over=("o.lr",)).groups) == 3
    )
