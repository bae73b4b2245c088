"""Many groups: the best against all others, a matrix of p, and nothing that is said dozens of times."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.runs import group, record

from mnistlab.analysis import comparison_table
from mnistlab.analysis.compare import as_json, compare
from mnistlab.analysis.p_matrix import p_matrix
from mnistlab.statistics.corrections import holm
from mnistlab.statistics.tests import paired_t


def spread(count, seeds=4, gap=0.01):
    """So many groups, each better than the next by the gap, with noise."""
    rng = np.random.default_rng(0)
    return {f"v{i:02}": 0.9 - gap * i + rng.normal(0, 1e-3, seeds) for i in range(count)}


def runs(values):
    return [one for name, of in values.items() for one in group({"x": name}, of)]


def test_of_many_groups_the_best_is_compared_with_all_others_corrected_for_all_pairs():
    values = spread(22)  # 231 pairs
    found = compare(runs(values))
    assert [(v.first, v.second) for v in found.verdicts] == [("x=v00", f"x=v{i:02}") for i in range(1, 22)]
    oracle = [paired_t(values["v00"], values[f"v{i:02}"]).p for i in range(1, 22)]
    assert [v.p for v in found.verdicts] == pytest.approx(holm(oracle, 231))
    assert found.verdicts[-1].text.endswith("after Holm for 231)")
    assert found.warnings[-1] == (
        "22 groups make 231 pairs; the best is compared with the 21 next, corrected for all 231 pairs since the "
        "results chose it; --baseline compares with another one"
    )


def test_with_a_baseline_the_number_of_groups_does_not_matter():
    found = compare(runs(spread(22)), baseline="v05")
    assert len(found.verdicts) == 21
    assert "after Holm for 21)" in found.verdicts[0].text


def test_the_matrix_has_the_p_of_every_pair():
    few = compare(runs(spread(5)))
    matrix = p_matrix(few)
    assert matrix is not None
    by_pair = {(v.first, v.second): v.p for v in few.verdicts}
    assert matrix[3, 1] == matrix[1, 3] == by_pair["x=v01", "x=v03"]
    assert np.isnan(np.diag(matrix)).all()


def test_the_matrix_of_many_groups_is_that_of_all_pairs_at_once():
    values = spread(22)
    matrix = p_matrix(compare(runs(values)))
    names = list(values)
    pairs = [(i, j) for i in range(22) for j in range(i + 1, 22)]
    oracle = holm([paired_t(values[names[i]], values[names[j]]).p for i, j in pairs])
    assert [matrix[i, j] for i, j in pairs] == pytest.approx(oracle)


def test_of_very_many_groups_the_first_forty_have_a_matrix():
    assert p_matrix(compare(runs(spread(45, 3)))).shape == (40, 40)


@pytest.mark.parametrize("count", [2, 3])
def test_few_pairs_need_no_matrix(count):
    assert p_matrix(compare(runs(spread(count)))) is None


def test_single_runs_have_no_matrix():
    assert p_matrix(compare([record(0, 0.5 + i / 100, {"x": i}) for i in range(6)])) is None
    assert as_json(compare([record(0, 0.5 + i / 100, {"x": i}) for i in range(6)]))["p_values"] is None


def test_the_matrix_on_the_terminal():
    text = comparison_table.text(compare(runs(spread(22))))
    lines = text[text.index("p, corrected for 231 pairs") :].splitlines()
    assert lines[0].split() == ["p,", "corrected", "for", "231", "pairs", *map(str, range(1, 22))]
    assert lines[1].split() == ["1", "x=v00"]
    assert len(lines[22].split()) == 2 + 21
    assert {cell for line in lines[1:23] for cell in line.split()[2:]} <= {
        "<.01", "1", *(f"{p / 100:.2f}".lstrip("0") for p in range(1, 100))
    }  # fmt: skip
    assert "p, corrected for" not in comparison_table.text(compare(runs(spread(5))))


def test_a_p_of_one_is_not_printed_for_every_pair():
    same = runs(dict.fromkeys("abcdefgh", (0.5, 0.6, 0.7)))  # 28 pairs
    found = compare(same)
    lines = comparison_table.verdict_lines(found.verdicts)
    assert lines == [(False, "28 pairs are not distinguishable, each with p = 1.000")]
    assert comparison_table.text(found).count("1.000") == 1
    assert comparison_table.markdown(found).count("1.000") == 1
    assert comparison_table.latex(found).count("1.000") == 1
    assert len(as_json(found)["verdicts"]) == 28


def test_a_few_are_said_in_full_and_what_is_decided_comes_first():
    alike = compare(runs(dict.fromkeys("abc", (0.5, 0.6, 0.7))))
    assert [text for _, text in comparison_table.verdict_lines(alike.verdicts)] == [v.text for v in alike.verdicts]
    values = {**dict.fromkeys("bcde", (0.5, 0.6, 0.7)), "a": [0.9, 1.0, 1.1001]}
    lines = comparison_table.verdict_lines(compare(runs(values)).verdicts)
    assert [found for found, _ in lines] == [True] * 4 + [False]
    assert lines[-1][1] == "6 more pairs are not distinguishable, each with p = 1.000"


def test_too_few_runs_of_many_pairs_are_said_once():
    lines = comparison_table.verdict_lines(compare(runs(dict.fromkeys("abcde", (0.5, 0.6)))).verdicts)
    assert lines == [
        (
            False,
            "10 pairs: too few runs to compare (2 and 2 runs, 2 with a common seed); add 1 with common seeds, for "
            "example seed='range(3)'",
        )
    ]


def test_one_more_pair_is_one():
    values = spread(6, gap=1e-5)
    lines = comparison_table.verdict_lines(compare(runs(values)).verdicts, most=14)
    others = [text for found, text in lines if not found and "..." in text]
    assert others in ([], ["... 1 more pair is not distinguishable"])


def test_a_setting_that_alone_did_not_fail_is_named():
    keys = ["seed", "x"]
    failed = [record(seed, math.nan, {"x": x}, state="failed", overridden=keys) for x in "bc" for seed in range(2)]
    completed = [record(seed, 0.5, {"x": "a", "y": 1}, overridden=[*keys, "y"]) for seed in range(2)]
    found = compare([*completed, *failed])
    assert comparison_table.table(found)[0][0] == "x"
    assert found.groups[0].name == "x=a"
