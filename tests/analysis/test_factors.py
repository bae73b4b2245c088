"""The effect of one setting over all values of the others: the average in a seed is one observation, by hand."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from helpers.runs import group
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistlab.analysis import comparison_table
from mnistlab.analysis.compare import as_json, compare, effects
from mnistlab.analysis.factors import levels
from mnistlab.runs.record import grouped
from mnistlab.statistics import policy
from mnistlab.system.errors import RequestError


def grid(values, seeds=6):
    """A run for every (init, lr) and seed, whose accuracy is values[init, lr][seed]."""
    return [one for (init, lr), found in values.items() for one in group({"init": init, "o.lr": lr}, found[:seeds])]


# In points over 90, six seeds. kaiming leads by 1 or more at both rates, in every seed:
#   means over the rates: kaiming 3 3.5 4 3 3.5 4, random 1 1 2 1.5 1.5 1; differences 2 2.5 2 1.5 2 3
POINTS = {
    ("kaiming", 0.1): (4, 4, 5, 4, 4, 5),
    ("kaiming", 0.5): (2, 3, 3, 2, 3, 3),
    ("random", 0.1): (1, 1, 2, 1, 2, 1),
    ("random", 0.5): (1, 1, 2, 2, 1, 1),
}
TWO_RATES = {key: [0.9 + value / 100 for value in of] for key, of in POINTS.items()}


def test_an_example_by_hand():
    # differences 2 2.5 2 1.5 2 3: mean 13 / 6 = 2.1667, squares 29.5 - 169/6 = 1.3333, sd sqrt(1.3333 / 5) = 0.5164
    # half 2.570582 * 0.5164 / sqrt(6) = 0.5419; all of one sign, p = 2 / 2^6 = 0.03125
    found = compare(grid(TWO_RATES), factor="init")
    assert [one.name for one in found.groups] == ["init=kaiming", "init=random"]
    assert found.means[0]["validation.accuracy"].mean == pytest.approx(0.935)
    assert [verdict.text for verdict in found.verdicts] == [
        "kaiming beats random, averaged over 2 values of o.lr, by 2.17 +/- 0.54 points of validation.accuracy "
        "(6 seeds, exact test, p = 0.031)"
    ]
    assert comparison_table.table(found)[1][0][:2] == ["kaiming", "12"]


def test_twelve_rates_are_no_more_seeds_than_one():
    """The runs of one seed are one observation: with two seeds there is no test, however large the grid."""
    values = {(init, lr): [0.9 - 0.1 * (init == "b") + lr / 100] * 2 for init in "ab" for lr in range(12)}
    (verdict,) = compare(grid(values), factor="init").verdicts
    assert verdict.difference is None
    assert verdict.text == (
        "a against b, averaged over 12 values of o.lr: too few runs to compare (2 and 2 runs, 2 with a common seed); "
        "add 1 with common seeds, for example seed='range(3)'"
    )


def test_where_several_settings_vary_their_effects_come_before_the_pairs():
    found = compare(grid(TWO_RATES))
    assert [one.question.factor for one in effects(found)] == ["init", "o.lr"]
    text = comparison_table.text(found)
    assert text.index("effect of init\nkaiming beats random, averaged") < text.index("effect of o.lr\n")
    assert text.index("effect of o.lr\n") < text.index("pairs\n")
    listed = as_json(found)["effects"]
    assert [(one["factor"], len(one["verdicts"])) for one in listed] == [("init", 1), ("o.lr", 1)]
    assert effects(compare(group({"init": "a"}, TWO_RATES["random", 0.1]))) == []


def test_a_reversed_order_is_said_with_its_place_and_its_p():
    # at 0.1 kaiming leads by 5 points, at 0.5 random by 1, in every seed with some noise
    noise = np.array([0, 1, 2, 1, 0, 2]) / 1e4
    values = {
        ("kaiming", 0.1): 0.95 + noise,
        ("random", 0.1): 0.90 + noise**2,
        ("kaiming", 0.5): 0.90 + noise,
        ("random", 0.5): 0.91 - noise**2,
    }
    (text,) = [verdict.text for verdict in compare(grid(values), factor="init").verdicts]
    assert text.startswith("kaiming beats random, averaged over 2 values of o.lr, by 2.")
    assert "; at o.lr=0.5 random is ahead by 0.99 +/- 0.01 points (p = " in text
    assert text.endswith(" after Holm for 2)")
    values["random", 0.5] = 0.90 + noise[::-1] + 5e-6  # no order at all
    (text,) = [verdict.text for verdict in compare(grid(values), factor="init").verdicts]
    assert "; at o.lr=0.5 random is ahead by 0.00 +/- " in text
    assert ", perhaps by chance (p = " in text


def test_what_not_all_values_have_is_left_out_of_all_and_said():
    holes = {**TWO_RATES, ("kaiming", 1.0): [0.95] * 6}  # random diverges at this rate
    found = compare(grid(holes), factor="init")
    assert found.verdicts[0].text == compare(grid(TWO_RATES), factor="init").verdicts[0].text
    assert found.notes == ("not all values of init have all runs; left out of the averages: o.lr=1",)
    runs = [
        one for one in grid(TWO_RATES) if (one.settings["o.lr"], one.settings["init"], one.seed) != (0.1, "random", 3)
    ]
    found = compare(runs, factor="init")
    assert found.verdicts[0].difference.n == 5
    assert found.notes == ("not all values of init have all runs; left out of the averages: seed=3",)
    runs = [*grid(TWO_RATES), *group({"init": "zeros", "o.lr": 9.0}, [0.1])]
    found = compare(runs, factor="init")
    assert [one.name for one in found.groups] == ["init=kaiming", "init=random"]
    assert "init=zeros" in found.notes[0]


def test_the_other_settings_may_be_several():
    values = {(init, lr): found for (init, lr), found in TWO_RATES.items()}
    runs = [
        one
        for (init, lr), found in values.items()
        for model in ("a", "b")
        for one in group({"init": init, "o.lr": lr, "model": model}, found)
    ]
    assert "averaged over 4 settings of model and o.lr," in compare(runs, factor="init").verdicts[0].text


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        ("init", "--factor init: must be a setting that varies: a, o.lr"),
        ("o.lrr", "--factor o.lrr: must be a setting that varies: a, o.lr (did you mean o.lr?)"),
        ("a", "--factor a: no two of its values have runs with the same o.lr and seed; train them with the same ones"),
    ],
)
def test_a_factor_that_cannot_be_compared(factor, message):
    places = [("x", 0.1), ("x", 0.2), ("y", 0.3), ("y", 0.4)]
    runs = [one for a, lr in places for one in group({"a": a, "o.lr": lr}, [0.5])]
    with pytest.raises(RequestError, match="^" + re.escape(message)):
        compare(runs, factor=factor)


def test_a_single_setting_has_no_average():
    runs = [*group({"init": "a"}, [0.5]), *group({"init": "b"}, [0.6])]
    with pytest.raises(RequestError, match="--factor init: no other setting varies; leave it out"):
        compare(runs, factor="init")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_complete_part_is_left_of_any_grid(data):
    """Of whatever runs there are, the levels that remain have the same settings and seeds."""
    places = list(itertools.product("ab", (0.1, 0.2, 0.3), range(4)))
    there = data.draw(st.lists(st.sampled_from(places), unique=True, min_size=1))
    runs = [one for init, lr, seed in there for one in group({"init": init, "o.lr": lr}, [0.5 + lr], seed)]
    try:
        found = compare(runs, factor="init")
    except RequestError:
        common = [(lr, seed) for init, lr, seed in there if init == "a" and ("b", lr, seed) in there]
        varied = {init for init, *_ in there}, {lr for _, lr, _ in there}
        assert not common or min(map(len, varied)) < 2
        return
    runs_of = [
        {(one.settings["o.lr"], one.seed) for cell in level.cells for one in cell.records} for level in found.groups
    ]
    wanted = set(itertools.product({lr for lr, _ in runs_of[0]}, found.groups[0].seeds))
    assert wanted <= runs_of[0] & runs_of[1]


def simulated(rng, seeds=6):
    """No effect of init: its values differ by noise only, while the rates and the seeds matter much."""
    of_seed, of_rate = rng.normal(0, 0.02, seeds), rng.normal(0, 0.05, 4)
    return {(init, lr): 0.8 + of_seed + of_rate[lr] + rng.normal(0, 0.01, seeds) for init in "ab" for lr in range(4)}


def test_no_effect_is_found_at_the_nominal_rate():
    # six seeds, exact test: p = 2/64 where all differences have one sign, so 3.1 % false findings; 300 sweeps, 4 sigma
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(300):
        (a, b), _notes = levels(grouped(grid(simulated(rng))), "init", "validation.accuracy")
        found += policy.difference(a.values("validation.accuracy"), b.values("validation.accuracy")).p <= 0.05
    assert found <= 300 * 0.05 + 4 * np.sqrt(300 * 0.05 * 0.95)
    assert found >= 1  # the test can find something
