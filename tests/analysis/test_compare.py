"""Verdicts on groups of runs: an example by hand, word for word, and every path to one."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import KAIMING, RANDOM, group, kaiming_and_random, record, write_run
from scipy import stats

from mnistlab.analysis import comparison_table
from mnistlab.analysis.compare import as_json, compare
from mnistlab.analysis.verdict_text import higher_is_better, points, value_text
from mnistlab.statistics.corrections import holm
from mnistlab.statistics.tests import paired
from mnistlab.sweeps.records import of_paths
from mnistlab.system.errors import RequestError

ONE_EACH = (
    "too few runs to compare (1 and 1 run, 1 with a common seed); add 2 with common seeds, for example seed='range(3)'"
)
WIGGLE = (0, 3e-4, 1e-4, 4e-4, 1e-4, 5e-4)  # added to a group, so that its differences from another one vary


def texts(records, **options):
    return [verdict.text for verdict in compare(records, **options).verdicts]


def test_an_example_by_hand():
    # kaiming: mean 5.8260 / 6 = .9710; deviations in 1e-4: 2 -6 11 -12 5 0, squares 330, sd sqrt(66) = 8.124
    #   half 2.570582 * 8.124 / sqrt(6) = 8.526, that is 0.09 points
    # random: mean 5.8170 / 6 = .9695; 5 -5 6 -11 8 -3, squares 280, sd sqrt(56) = 7.483, half 7.853: 0.08 points
    # differences in points: .12 .14 .20 .14 .12 .18, mean .15, sd .03286, half .03449; p = 2 / 2^6 = 0.03125
    found = compare(kaiming_and_random())
    assert found.metric == "validation.accuracy"
    assert [one.name for one in found.groups] == ["init=kaiming", "init=random"]
    (verdict,) = found.verdicts
    assert verdict.distinguishable
    assert (verdict.first, verdict.second, verdict.p) == ("init=kaiming", "init=random", 0.03125)
    assert (
        verdict.text
        == "kaiming beats random by 0.15 +/- 0.03 points of validation.accuracy (6 seeds, exact test, p = 0.031)"
    )
    assert comparison_table.text(found) == (
        "init     runs  validation.accuracy (%)  test.accuracy (%)\n"
        "kaiming  6     97.10 +/- 0.09           96.10 +/- 0.09\n"
        "random   6     96.95 +/- 0.08           95.95 +/- 0.08\n"
        "\n"
        "kaiming beats random by 0.15 +/- 0.03 points of validation.accuracy (6 seeds, exact test, p = 0.031)"
    )


def test_a_difference_that_is_no_finding_says_how_many_seeds_would_show_it():
    # in 1e-4: 5 4 3 2 1 -1, p = 6 / 64 = 0.094; mean 14 / 6 = 2.333, squares 56 - 14^2 / 6 = 23.33, sd 2.160
    # half 2.570582 * 2.160 / sqrt(6) = 2.267; effect 2.333 / 2.160 = 1.080: 9 seeds by the tables of the t-test, one
    # more for the exact test, whose p comes in steps
    first = [0.9705, 0.9604, 0.9503, 0.9402, 0.9301, 0.9199]
    second = [0.97, 0.96, 0.95, 0.94, 0.93, 0.92]
    (verdict,) = compare([*group({"init": "a"}, first), *group({"init": "b"}, second)]).verdicts
    assert not verdict.distinguishable
    assert verdict.seeds_needed == 10
    assert verdict.text == (
        "a and b are not distinguishable: 0.02 +/- 0.02 points of validation.accuracy (6 seeds, exact test, p = 0.094)"
        "; about 10 seeds would be needed to detect 0.02"
    )


def test_several_groups_are_corrected_by_holm():
    # three groups of seven seeds that all lie apart: each p = 2 / 2^7 = 1/64, times 3 = 0.047
    apart = [
        one for i, name in enumerate("abc") for one in group({"init": name}, 0.9 - i / 100 + np.arange(7) ** 2 / 1e4)
    ]
    found = compare(apart)
    assert [verdict.p for verdict in found.verdicts] == [3 / 64] * 3
    assert [verdict.difference.p for verdict in found.verdicts] == [1 / 64] * 3
    assert found.verdicts[0].text.endswith("of validation.accuracy (7 seeds, exact test, p = 0.047 after Holm for 3)")
    # against a baseline there are two comparisons
    assert [verdict.p for verdict in compare(apart, baseline="c").verdicts] == [2 / 64] * 2


def test_six_seeds_of_three_groups_are_compared_by_the_paired_t_test_which_it_says():
    # the exact test needs seven seeds for three comparisons: 3 * 2 / 2^6 = 0.094
    spread = np.array([0, 1, 4, 9, 16, 25]) / 1e4
    values = [0.9 - i / 100 + (1 + i) * spread for i in range(3)]
    found = compare([one for name, value in zip("abc", values, strict=True) for one in group({"init": name}, value)])
    oracle = [stats.ttest_rel(values[i], values[j]).pvalue for i, j in ((0, 1), (0, 2), (1, 2))]
    assert [verdict.difference.test for verdict in found.verdicts] == ["paired t"] * 3
    assert [verdict.p for verdict in found.verdicts] == pytest.approx(holm(oracle), rel=1e-9)
    assert found.verdicts[0].text == (
        "a beats b by 0.91 +/- 0.10 points of validation.accuracy (6 seeds, paired t test, assumes normal differences, "
        "p = 9e-06 after Holm for 3)"
    )


def test_an_option_called_none_has_its_group_beside_it():
    runs = [*group({"regularization": "none"}, KAIMING), *group({"regularization": "dropout"}, RANDOM)]
    assert texts(runs)[0].startswith("regularization=none beats dropout by 0.15 ")


def test_pairs_are_made_of_equal_seeds_wherever_they_stand():
    shuffled = [*group({"init": "kaiming"}, KAIMING)[::-1], *group({"init": "random"}, RANDOM)]
    assert texts(shuffled) == texts(kaiming_and_random())


def test_a_group_with_more_seeds_is_paired_over_those_of_the_other():
    more = [*kaiming_and_random(), record(17, 0.5, {"init": "random"})]
    (verdict,) = compare(more).verdicts
    assert (verdict.difference.test, verdict.difference.n, verdict.p) == ("sign-flip", 6, 0.03125)
    assert verdict.text.endswith("(6 seeds, exact test, p = 0.031); 1 run without a partner of the same seed left out")


def test_other_seeds_are_compared_by_welch():
    first, second = group({"init": "a"}, KAIMING[:4]), group({"init": "b"}, RANDOM[:3], first_seed=100)
    (verdict,) = compare([*first, *second]).verdicts
    oracle = stats.ttest_ind(KAIMING[:4], RANDOM[:3], equal_var=False)
    assert verdict.difference.test == "Welch"
    assert verdict.p == pytest.approx(oracle.pvalue)
    # mean .970875 and .9697, difference .1175 points; effect 1.4: 9 each by the tables, for g is not d
    half = f"{oracle.confidence_interval().high * 100 - 0.1175:.2f}"
    assert verdict.text == (
        f"a and b are not distinguishable: 0.12 +/- {half} points of validation.accuracy (3 runs or more each, Welch's "
        f"t test, p = {oracle.pvalue:.3f}); about {verdict.seeds_needed} seeds each would be needed to detect 0.12"
    )
    assert verdict.seeds_needed == 10


def test_runs_without_a_seed_are_compared_by_welch():
    unknown = [record(None, value, {"init": "a"}) for value in KAIMING]
    (verdict,) = compare([*unknown, *group({"init": "b"}, RANDOM)]).verdicts
    assert verdict.difference.test == "Welch"


def test_a_copy_of_a_run_is_no_further_evidence():
    once = compare(kaiming_and_random())
    twice = compare([*kaiming_and_random(), *kaiming_and_random()])
    assert [v.p for v in twice.verdicts] == [v.p for v in once.verdicts]
    assert [means["validation.accuracy"].n for means in twice.means] == [6, 6]
    assert twice.warnings == ("12 of 24 runs are given twice, by settings and seed; each counts once",)


def test_single_runs_are_told_apart_by_test_predictions_and_it_is_said():
    write_run(Path("a"), 0.9, config={"optimizer": {"lr": 0.1}})
    write_run(Path("b"), 0.8, config={"optimizer": {"lr": 0.2}})
    for name, right in (("a", 40), ("b", 10)):
        chosen = np.array([0] * right + [1] * (50 - right))
        np.savez(f"{name}/predictions.npz", labels=np.zeros(50, int), probabilities=np.eye(2)[chosen])
    found = compare(of_paths(["a", "b"]))
    assert found.verdicts[0].difference.test == "McNemar"
    for metric in (found.metric, "train.accuracy"):
        assert (
            compare(of_paths(["a", "b"]), metric)
            .warnings[0]
            .startswith(f"single runs are compared by their test predictions, while the table is ordered by {metric}; ")
        )


@pytest.mark.parametrize(
    ("n", "m", "have", "add"),
    [
        (1, 1, "1 and 1 run, 1 with a common seed", 2),
        (1, 6, "1 and 6 runs, 1 with a common seed", 2),
        (6, 1, "6 and 1 run, 1 with a common seed", 2),
        (2, 2, "2 and 2 runs, 2 with a common seed", 1),
    ],
)
def test_fewer_than_three_runs_are_not_compared_and_it_says_how_many_to_add(n, m, have, add):
    records = [*group({"init": "a"}, KAIMING[:n]), *group({"init": "b"}, RANDOM[:m])]
    (verdict,) = compare(records).verdicts
    assert verdict.difference is None
    assert math.isnan(verdict.p)
    assert verdict.text == (
        f"a against b: too few runs to compare ({have}); add {add} with common seeds, for example seed='range(3)'"
    )


def test_only_comparisons_that_were_made_are_counted():
    (made, *others) = compare([*kaiming_and_random(), record(0, 0.5, {"init": "zeros"})]).verdicts
    assert made.p == 0.03125
    assert [verdict.difference for verdict in others] == [None, None]


def two_models(only_first, only_second, both, neither=0):
    """Write the predictions of two runs on the same images, all of class 0."""
    n = only_first + only_second + both + neither
    first, second = np.zeros((2, n), bool)
    first[: only_first + both] = True
    second[only_first : only_first + both + only_second] = True
    for name, right in (("a", first), ("b", second)):
        Path(name).mkdir()
        np.savez(f"{name}/predictions.npz", labels=np.zeros(n, int), probabilities=np.c_[right, ~right].astype(float))
    return [record(0, first.mean(), {"init": "a"}, place="a"), record(0, second.mean(), {"init": "b"}, place="b")]


def test_two_single_networks_are_compared_on_the_same_images_and_neither_setting_beats_the_other():
    # 10 and 2 images: p = 158 / 4096 = 0.0386; 8 of 100 images; half 1.959964 sqrt((.12 - .0064) / 100) = .0661
    (verdict,) = compare(two_models(10, 2, 80, 8)).verdicts
    assert verdict.metric == "test.accuracy"
    assert verdict.text == (
        "one run each: the trained model of a classifies 8.00 +/- 6.61 points more of the test images correctly than "
        "that of b (12 discordant images, McNemar, p = 0.039); two seeds of one setting may differ as much"
    )
    assert (verdict.distinguishable, verdict.seeds_needed) == (False, None)


def test_two_single_networks_that_are_alike_are_not_told_apart():
    # half 1.959964 sqrt((.03 - .0001) / 100) = .0339
    (text,) = texts(two_models(2, 1, 97))
    assert text == (
        "one run each: the trained models of a and b are not distinguishable on the test images: 1.00 +/- 3.39 points "
        "(3 discordant images, McNemar, p = 1.000); two seeds of one setting may differ as much"
    )


def test_models_on_other_data_or_without_predictions_are_not_compared():
    first, second = two_models(10, 2, 80)
    other_data = record(0, 0.5, {"init": "b"}, place="b", data_sha256="other")
    assert texts([first, other_data])[0].endswith(ONE_EACH)
    np.savez("b/predictions.npz", labels=np.ones(92, int), probabilities=np.zeros((92, 2)))
    assert texts([first, second])[0].endswith(ONE_EACH)
    np.savez("b/predictions.npz", labels=np.ones(92, int))
    assert texts([first, second])[0].endswith(ONE_EACH)
    Path("b/predictions.npz").write_bytes(b"")
    assert texts([first, second])[0].endswith(ONE_EACH)
    Path("b/predictions.npz").unlink()
    assert texts([first, second])[0].endswith(ONE_EACH)


@pytest.mark.parametrize(
    ("first_seed", "said"),
    [
        (0, "in each of 3 seeds; the differences do not vary"),
        (9, "in each run; the runs of each setting do not vary"),
    ],
)
def test_without_spread_no_p_is_named_but_who_is_ahead_and_what_would_test_it(first_seed, said):
    records = [*group({"init": "a"}, [0.75] * 3), *group({"init": "b"}, [0.5] * 3, first_seed)]
    (verdict,) = compare(records).verdicts
    assert not verdict.distinguishable
    assert math.isnan(verdict.p)
    assert verdict.text == (
        f"a is ahead of b by 25.00 points of validation.accuracy {said}, so no t test applies; 6 common seeds allow "
        "the exact test"
    )


@pytest.mark.parametrize("first_seed", [0, 9])
def test_values_that_differ_by_rounding_only_do_not_differ(first_seed):
    records = [*group({"init": "a"}, [0.1 + 0.2] * 3), *group({"init": "b"}, [0.3] * 3, first_seed)]
    (verdict,) = compare(records).verdicts
    assert (verdict.p, verdict.distinguishable) == (1.0, False)
    assert " are not distinguishable: 0.00 points of validation.accuracy (" in verdict.text


@pytest.mark.parametrize(
    ("settings", "start"),
    [
        # an option stands for itself, a value has its key
        ([{"optimizer": "adam"}, {"optimizer": "sgd"}], "adam beats sgd by"),
        ([{"optimizer.lr": 0.1}, {"optimizer.lr": 0.5}], "optimizer.lr=0.1 beats optimizer.lr=0.5 by"),
        ([{"a.x": 0.5}, {}], "a.x=0.5 beats a.x=null by"),
        ([{"m.hidden": [64, 32]}, {"m.hidden": [64]}], "m.hidden=[64,32] beats m.hidden=[64] by"),
    ],
)
def test_groups_are_called_by_what_differs(settings, start):
    first, second = settings
    (text,) = texts([*group(first, KAIMING), *group(second, RANDOM)])
    assert text.startswith(start)


def test_what_two_of_many_groups_share_is_said_once():
    records = [
        *group({"init": "kaiming", "lr": 0.1}, KAIMING),
        *group({"init": "random", "lr": 0.1}, RANDOM),
        *group({"init": "random", "lr": 0.5}, np.subtract(RANDOM, 0.2) + WIGGLE),
    ]
    first, second, third = texts(records)
    assert first.startswith("kaiming beats random (at lr=0.1) by 0.15 ")
    assert second.startswith("kaiming 0.1 beats random 0.5 by 20.13 ")
    assert third.startswith("0.1 beats 0.5 (at init=random) by 19.98 ")


def test_a_loss_is_better_when_it_is_small_and_has_no_per_cent():
    def runs(name, losses):
        return [record(i, 0.9, {"init": name}, test={"loss": loss}) for i, loss in enumerate(losses)]

    # differences .25 .25 .25 .25 .25 .5: mean 1.75 / 6 = .291667, sd .102062, half .107108
    found = compare([*runs("high", [0.5, 0.5, 0.5, 0.5, 0.5, 0.75]), *runs("low", [0.25] * 6)], "test.loss")
    assert [one.name for one in found.groups] == ["init=low", "init=high"]
    assert found.verdicts[0].text == "low beats high by 0.2917 +/- 0.1071 of test.loss (6 seeds, exact test, p = 0.031)"
    assert list(found.means[0]) == ["test.loss", "validation.accuracy", "test.accuracy"]


@pytest.mark.parametrize(
    ("metric", "higher", "per_cent", "text"),
    [
        ("test.accuracy", True, True, "12.34"),
        ("test.macro.f1", True, True, "12.34"),
        ("test.roc_auc.micro", True, True, "12.34"),
        ("validation.loss", False, False, "0.1234"),
        ("test.expected_calibration_error", False, True, "12.34"),
        ("parameters", False, False, "0"),
    ],
)
def test_the_direction_and_unit_of_metrics(metric, higher, per_cent, text):
    assert (higher_is_better(metric), points(metric), value_text(metric, 0.12341)) == (higher, per_cent, text)
    assert value_text(metric, math.nan) == "-"


def test_without_a_validation_part_the_test_part_is_compared_with_a_warning():
    unvalidated = [record(i, 0.9, {"init": name}, validation={}) for name in "ab" for i in range(2)]
    found = compare(unvalidated)
    assert found.metric == "test.accuracy"
    assert found.means[0]["validation.accuracy"].n == 0
    assert found.warnings == (
        "the table is ordered by test.accuracy; choosing its first row means selecting on the test set; select by "
        "validation.accuracy, and report the test accuracy of the selected settings",
    )


def test_one_group_chooses_nothing_and_is_not_warned():
    found = compare(group({}, KAIMING), "test.accuracy")
    assert (found.verdicts, found.warnings) == ((), ())
    assert comparison_table.text(found).splitlines()[1] == "            6     96.10 +/- 0.09     97.10 +/- 0.09"


def test_runs_on_other_data_are_warned_of():
    first, second = record(0, 0.9, {"init": "a"}), record(0, 0.9, {"init": "b"}, data_sha256="other")
    assert compare([first, second]).warnings == (
        "the runs used different data (data_sha256 differs), which may explain a difference",
    )


@pytest.mark.parametrize("key", ["data.validation", "data.limit", "data.test_limit", "data.stratify"])
def test_runs_with_another_split_are_warned_of(key):
    found = compare([record(0, 0.9, {key: 1}), record(0, 0.9, {key: 2})])
    assert found.warnings == (
        "the runs split the data differently (data.* differs), so they were trained on different images",
    )


def test_another_scaling_is_no_other_split():
    assert compare([record(0, 0.9, {"data.scaling": "unit"}), record(0, 0.9, {"data.scaling": "none"})]).warnings == ()


def test_runs_without_a_seed_are_warned_of():
    assert compare([record(None, 0.9)]).warnings == ("some runs have no recorded seed and cannot be paired",)


def test_up_to_two_hundred_pairs_have_a_verdict_each():
    # 21 * 20 / 2 = 210 pairs
    records = [record(0, 0.9, {"a.x": i}) for i in range(21)]
    assert len(compare(records).verdicts) == 20  # the first and each other one
    assert len(compare(records, baseline="a.x=3").verdicts) == 20
    assert len(compare(records[:20]).verdicts) == 190


def test_runs_that_are_not_completed_are_left_out_and_counted():
    others = [record(9, 0.1, {"init": "zeros"}, state=state) for state in ("failed", "pending", "failed")]
    found = compare([*kaiming_and_random(), *others])
    assert found.left_out == tuple(others)
    assert [one.name for one in found.groups] == ["init=kaiming", "init=random"]
    assert comparison_table.text(found).endswith("p = 0.031)\n\nnot compared: 2 failed, 1 pending")


def test_where_nothing_is_completed_there_is_nothing_to_compare():
    message = "no run is completed (1 failed, 1 running); wait for its first epoch"
    with pytest.raises(RequestError, match=f"^{re.escape(message)}$"):
        compare([record(0, 0.5, state="failed"), record(1, 0.5, state="running")])


GRID = [
    one for init in ("kaiming", "random") for lr in (0.1, 0.5) for one in group({"init": init, "o.lr": lr}, [0.9, 0.8])
]


@pytest.mark.parametrize("baseline", ["init=random o.lr=0.5", "o.lr=0.5 init=random", "random 0.5", "random o.lr=0.5"])
def test_a_baseline_is_named_by_settings_or_values_in_any_order(baseline):
    found = compare(GRID, baseline=baseline)
    assert [verdict.second for verdict in found.verdicts] == ["init=random o.lr=0.5"] * 3
    assert len({verdict.first for verdict in found.verdicts}) == 3


ALL = "init=kaiming o.lr=0.1; init=kaiming o.lr=0.5; init=random o.lr=0.1; init=random o.lr=0.5"


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ("xavier", f"--baseline xavier: no group matches; name the settings of one group: {ALL}"),
        ("init", f"--baseline init: no group matches; name the settings of one group: {ALL}"),
        ("random", f"--baseline random: 2 groups match; name the settings of one group: {ALL}"),
        ("random 0.9", f"--baseline random 0.9: no group matches; name the settings of one group: {ALL}"),
    ],
)
def test_a_baseline_that_is_not_one_group_is_refused(baseline, message):
    with pytest.raises(RequestError, match=f"^{re.escape(message)}$"):
        compare(GRID, baseline=baseline)


def test_of_many_groups_the_message_names_eight():
    with pytest.raises(RequestError, match=r"a.x=7; \.\.\.$"):
        compare([record(0, 0.9, {"a.x": i}) for i in range(9)], baseline="a.x=10")


@pytest.mark.parametrize(
    ("metric", "end"),
    [
        ("validation.acuracy", "or parameters (did you mean validation.accuracy?)"),
        ("accuracy", ""),
        ("test", ""),
        ("test.n", ""),
    ],
)
def test_a_metric_that_no_run_has_is_refused(metric, end):
    with pytest.raises(RequestError) as refused:
        compare([record(0, 0.5, parameters=7)], metric)
    assert str(refused.value).startswith(
        f"--metric {metric}: must be train, validation or test with one of accuracy, as in test.accuracy; or param"
    )
    assert str(refused.value).endswith(end)


def test_of_many_verdicts_the_terminal_shows_all_findings_first():
    # seven groups of ten seeds: 21 pairs; only the last one differs, from all the others: 6 findings
    stream = np.random.default_rng(3)
    base = stream.normal(0.9, 0.001, 10)
    records = [one for i in range(6) for one in group({"init": f"i{i}"}, base + stream.normal(0, 0.001, 10))]
    lines = comparison_table.text(compare([*records, *group({"init": "bad"}, base - 0.1)])).splitlines()[9:]
    assert all(" beats bad by " in line for line in lines[:6])
    assert all(" are not distinguishable: " in line and "(10 seeds, exact test, p = " in line for line in lines[6:-1])
    assert lines[-1] == f"{21 - len(lines) + 1} more pairs are not distinguishable, each with p = 1.000"
    assert not [line for line in lines[:-1] if "p = 1.000" in line]


def test_of_many_groups_the_terminal_shows_the_first():
    found = compare([record(0, 0.9 - i / 1000, {"a.x": i}) for i in range(45)])
    lines = comparison_table.text(found).splitlines()
    assert lines[40].split()[0] == "39"
    assert lines[41] == "... 5 more"
    assert comparison_table.text(found, most=2).splitlines()[3] == "... 43 more"


def test_markdown_has_table_verdicts_and_warnings():
    found = compare(kaiming_and_random(), "test.accuracy")
    assert comparison_table.markdown(found) == (
        "| init | runs | test.accuracy (%) | validation.accuracy (%) |\n"
        "| --- | --- | --- | --- |\n"
        "| kaiming | 6 | **96.10 +/- 0.09** | 97.10 +/- 0.09 |\n"
        "| random | 6 | 95.95 +/- 0.08 | 96.95 +/- 0.08 |\n"
        "\n"
        "Means over the seeds with 95 % confidence intervals. Bold: the best by test.accuracy.\n"
        "\n"
        "- kaiming beats random by 0.15 +/- 0.03 points of test.accuracy (6 seeds, exact test, p = 0.031)\n"
        "\n"
        f"> {found.warnings[0]}\n"
    )


def test_csv_has_plain_numbers():
    # 0.5 and 0.75: mean 0.625, sd 0.125 sqrt(2); half = t(0.975, 1) * 0.125 = 12.706205 * 0.125 = 1.588
    records = [*group({"m.hidden": [64, 32]}, [0.5, 0.75]), record(0, 0.25, {"m.hidden": [64]})]
    header, first, second = comparison_table.csv(compare(records)).splitlines()
    assert header == (
        "m.hidden,runs,validation.accuracy.mean,validation.accuracy.sd,validation.accuracy.half,"
        "test.accuracy.mean,test.accuracy.sd,test.accuracy.half"
    )
    assert first.startswith('"[64,32]",2,0.625,0.1767766952966369,1.588')
    assert second == "[64],1,0.25,,,0.24,,"


def test_json_holds_all_that_was_found():
    records = [*kaiming_and_random(), record(7, 0.5, {"init": "zeros"}, state="failed")]
    written = json.loads(json.dumps(as_json(compare(records)), allow_nan=False))
    keys = ["metric", "groups", "verdicts", "effects", "p_values", "warnings", "training", "left_out"]
    assert list(written) == keys
    assert (written["effects"], written["p_values"], written["training"]) == ([], None, [])
    kaiming = written["groups"][0]
    assert (kaiming["name"], kaiming["settings"], kaiming["seeds"]) == (
        "init=kaiming",
        {"init": "kaiming"},
        [*range(6)],
    )
    assert kaiming["runs"][0] == "kaiming 0"
    assert kaiming["validation.accuracy"]["n"] == 6
    assert kaiming["validation.accuracy"]["mean"] == pytest.approx(0.971)
    (verdict,) = written["verdicts"]
    assert verdict["difference"] == pytest.approx(0.0015)
    assert {key: verdict[key] for key in ("first", "second", "test", "n", "p", "p_holm", "distinguishable")} == {
        "first": "init=kaiming",
        "second": "init=random",
        "test": "sign-flip",
        "n": 6,
        "p": 0.03125,
        "p_holm": 0.03125,
        "distinguishable": True,
    }
    assert verdict["effect_size"] == pytest.approx(4.56436, abs=1e-5)  # 0.15 / 0.0328634
    assert written["left_out"] == [{"run": "zeros 7", "state": "failed", "error": None}]


def test_json_has_null_where_there_is_no_number():
    written = json.loads(
        json.dumps(as_json(compare([record(0, 0.9, {"a.x": 1}), record(0, 0.8, {"a.x": 2})])), allow_nan=False)
    )
    assert written["groups"][0]["validation.accuracy"] == {"n": 1, "mean": 0.9, "sd": None, "half": None}
    (verdict,) = written["verdicts"]
    assert {verdict[key] for key in ("test", "n", "difference", "half", "p", "p_holm", "effect_size")} == {None}


def test_the_corrected_p_of_every_verdict_is_holms_of_all():
    stream = np.random.default_rng(5)
    values = [stream.normal(0.9, 0.01, 8) for _ in range(4)]
    found = compare([one for i, value in enumerate(values) for one in group({"a.x": i}, value)])
    plain = [
        paired(values[a.settings["a.x"]], values[b.settings["a.x"]]).p
        for i, a in enumerate(found.groups)
        for b in found.groups[i + 1 :]
    ]
    assert [verdict.p for verdict in found.verdicts] == holm(plain)


@pytest.mark.slow
def test_what_a_model_does_not_use_is_not_said_of_it(command):
    """A support vector machine has no optimizer: two jobs that differ in it only are one experiment, run twice."""
    small = ("experiment=smoke", "report.plots=none", "trainer.threads=1", "hydra/launcher=basic")
    said = command("train", "-m", *small, "model=softmax,svm_linear", "optimizer=sgd,adam", "hydra.sweep.dir=s")
    assert said.status == 0, said.err
    line = next(line for line in said.out.splitlines() if line.startswith("svm_linear "))
    assert line.split()[:3] == ["svm_linear", "-", "2"]
    assert "one run each: the trained model of svm_linear classifies " in said.out
    assert " more of the test images correctly than that of softmax adam (" in said.out and "null" not in said.out
    rows = Path("s/summary.csv").read_text().splitlines()
    assert [row.split(",")[1:3] for row in rows[1:]] == [
        ["softmax", "sgd"],
        ["softmax", "adam"],
        ["svm_linear", ""],
        ["svm_linear", ""],
    ]
