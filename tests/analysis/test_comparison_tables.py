"""Tables for a publication: the best is bold, a dagger marks what may be as good, and one setting makes columns."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.runs import group, kaiming_and_random, record, write_run

from mnistlab.analysis import comparison_table
from mnistlab.analysis.compare import compare
from mnistlab.statistics.sequential import Design
from mnistlab.system.errors import RequestError

Command = Callable[..., Any]
BASE = np.array((0.951, 0.949, 0.950, 0.952, 0.948, 0.950, 0.951, 0.949))
WOBBLE = np.tile((0.0005, -0.0004), 4)


def three():
    """kaiming is best, xavier as good, random worse by far."""
    values = {"kaiming": BASE, "xavier": BASE - WOBBLE - 1e-4, "random": BASE - 0.1 - np.arange(8) / 1e4}
    return compare([one for name, accuracies in values.items() for one in group({"init": name}, accuracies)])


def grid():
    runs = []
    for i, init in enumerate(("random", "kaiming")):
        for k, lr in enumerate((0.1, 0.01, 0.002)):
            runs += group({"init": init, "optimizer.lr": lr}, BASE - 0.1 * i - 0.01 * k - np.arange(8) * (i + k) / 1e4)
    return compare(runs)


def test_the_best_is_bold_and_a_dagger_marks_what_is_not_shown_to_differ():
    header, rows = comparison_table.marked(three())
    assert header[:3] == ["init", "runs", "validation.accuracy (%)"]
    assert [row[2] for row in rows] == ["**95.00 +/- 0.11**", "94.98 +/- 0.12†", "84.97 +/- 0.11"]
    assert [row[3][-1] for row in rows] == ["1", "2", "1"]  # the other column has no marks
    assert comparison_table.caption(three()) == (
        "Means over the seeds with 95 % confidence intervals. Bold: the best by validation.accuracy. "
        "†: not shown to be different from the best."
    )


def test_with_another_baseline_than_the_best_there_is_no_dagger():
    # xavier is as good as kaiming, but random is compared with one of them only
    runs = [one for each in three().groups for one in each.records]
    for baseline in ("random", "xavier"):
        found = compare(runs, baseline=baseline)
        assert comparison_table.marks(found) == ["**{}**", "{}", "{}"]
        assert "†" not in comparison_table.caption(found)
    assert comparison_table.marks(compare(runs, baseline="kaiming")) == ["**{}**", "{}†", "{}"]


def test_a_group_with_too_few_runs_to_test_is_not_shown_to_differ():
    values = {"kaiming": BASE, "random": BASE - 0.1 - np.arange(8) / 1e4, "xavier": BASE[:1] - 0.2}
    found = compare([one for name, of in values.items() for one in group({"init": name}, of)])
    assert comparison_table.marks(found) == ["**{}**", "{}", "{}†"]


def test_where_no_group_has_enough_runs_for_a_test_any_of_them_may_be_as_good_as_the_best():
    found = compare([one for i, init in enumerate("abc") for one in group({"init": init}, BASE[:2] - i / 10)])
    assert [v.outcome for v in found.verdicts] == [None] * 3
    assert comparison_table.marks(found) == ["**{}**", "{}†", "{}†"]
    assert comparison_table.caption(found).endswith(
        "Bold: the best by validation.accuracy. †: not shown to be different from the best."
    )


def test_a_group_without_the_metric_has_no_mark_and_is_not_told_to_add_runs():
    runs = kaiming_and_random()
    runs += [
        replace(record(seed, 0.9, {"init": init}), metrics={}) for init in ("xavier", "zeros") for seed in range(6)
    ]
    found = compare(runs, "validation.accuracy")
    assert comparison_table.marks(found) == ["**{}**", "{}", "{}", "{}"]
    texts = {verdict.text for verdict in found.verdicts if verdict.difference is None}
    assert texts == {
        *(
            f"{a} against {b}: {b} has no validation.accuracy"
            for a in ("kaiming", "random")
            for b in ("xavier", "zeros")
        ),
        "xavier against zeros: xavier and zeros have no validation.accuracy",
    }


def test_a_group_that_differs_is_not_marked_because_the_difference_is_within_the_margin():
    found = compare(kaiming_and_random(), margin=0.25)
    assert [(v.outcome, v.distinguishable) for v in found.verdicts] == [("equivalent", True)]
    assert comparison_table.marks(found) == ["**{}**", "{}"]


def test_single_runs_have_no_marks():
    found = compare([record(0, 0.9, {"init": "a"}), record(0, 0.8, {"init": "b"})])
    assert comparison_table.marks(found) == ["{}", "{}"]


def test_a_pivot_has_a_column_for_each_value_and_numbers_in_order():
    header, rows = comparison_table.pivot(grid(), "init")
    assert header == ["optimizer.lr", "init=kaiming", "init=random"]
    assert [row[0] for row in rows] == ["0.002", "0.01", "0.1"]
    assert rows[2][2] == "**95.00 +/- 0.11**"
    header, rows = comparison_table.pivot(grid(), "optimizer.lr")
    assert header == ["init", "optimizer.lr=0.002", "optimizer.lr=0.01", "optimizer.lr=0.1"]
    assert [row[0] for row in rows] == ["kaiming", "random"]


def test_a_combination_without_runs_is_a_dash():
    places = ((1, 1), (1, 2), (2, 2))
    runs = [one for i, (a, b) in enumerate(places) for one in group({"a": a, "b": b}, BASE - i / 10)]
    assert [row[1:] for row in comparison_table.pivot(compare(runs), "b")[1]] == [
        ["**95.00 +/- 0.11**", "85.00 +/- 0.11"],
        ["-", "75.00 +/- 0.11"],
    ]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("inti", "--by inti: must be a setting that differs: init, optimizer.lr (did you mean init?)"),
        ("seed", "--by seed: must be a setting that differs: init, optimizer.lr"),
    ],
)
def test_a_pivot_by_what_does_not_differ_is_refused(key, said):
    with pytest.raises(RequestError) as error:
        comparison_table.pivot(grid(), key)
    assert str(error.value) == said


@pytest.mark.parametrize("by", [None, "init"])
def test_latex_has_as_many_cells_in_each_row_as_columns_and_closes_what_it_opens(by):
    text = comparison_table.latex(grid(), by)
    body = [line for line in text.splitlines() if not line.startswith("%")]
    columns = re.match(r"\\begin\{tabular\}\{([lr]+)\}", body[0])
    rows = [line for line in body if line.endswith(r"\\")]
    assert columns
    assert [len(re.split(r"(?<!\\)&", row)) for row in rows] == [len(columns[1])] * len(rows)
    assert len(rows) == (7 if by is None else 4)
    assert r"\textbf{95.00 $\pm$ 0.11}" in text
    assert body[-1] == r"\end{tabular}"
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert body.count(rule) == 1
    assert re.sub(r"\\[{}]", "", text).count("{") == re.sub(r"\\[{}]", "", text).count("}")


def test_latex_escapes_names_and_has_the_verdicts_as_comments():
    runs = [*group({"data.name_%": "a_b"}, BASE), *group({"data.name_%": "c&d"}, BASE - WOBBLE)]
    text = comparison_table.latex(compare(runs))
    assert r"data.name\_\%" in text
    assert r"a\_b" in text
    assert r"c\&d" in text
    assert r"$^{\dagger}$" in text
    assert "\n% note: data.name_%=a_b and data.name_%=c&d are not distinguishable: " in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX engine is installed")
@pytest.mark.parametrize("by", [None, "init"])
def test_latex_compiles(by, tmp_path):
    table = comparison_table.latex(grid(), by)
    document = f"\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{table}\\end{{document}}\n"
    (tmp_path / "table.tex").write_text(document)
    done = subprocess.run(["pdflatex", "-halt-on-error", "table.tex"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


# with a margin


def test_a_difference_within_the_margin_is_equivalent_and_one_beyond_is_better():
    found = compare(kaiming_and_random(), margin=0.2)
    (verdict,) = found.verdicts
    # all of .2 - d and .2 + d are above 0, but one difference is .2 and its shifted value 0: p = 2 / 2^6
    assert (verdict.outcome, verdict.p_equivalence) == ("equivalent", pytest.approx(2 / 64))
    assert verdict.text == (
        "kaiming and random are equivalent within 0.2 points: 0.15 +/- 0.03 points of validation.accuracy (6 seeds, "
        "two one-sided exact tests, p = 0.031); kaiming is ahead by less than that (p = 0.031)"
    )
    (verdict,) = compare(kaiming_and_random(), margin=0.1).verdicts
    assert verdict.outcome == "better"
    assert verdict.text.startswith("kaiming beats random by 0.15 +/- 0.03 points of validation.accuracy (6 seeds, ")


def test_what_is_neither_is_undecided_and_says_what_either_would_need():
    runs = [*group({"init": "a"}, [0.90, 0.91, 0.92, 0.93]), *group({"init": "b"}, [0.91, 0.90, 0.92, 0.925])]
    (verdict,) = compare(runs, margin=1).verdicts
    assert verdict.outcome == "undecided"
    assert re.fullmatch(
        r"a and b: undecided, 0\.13 \+/- 1\.36 points of validation\.accuracy \(4 seeds, paired t test, assumes normal "
        r"differences; difference p = 0\.7\d\d, equivalence within 1 point p = 0\.06\d\); about \d+ seeds would be "
        r"needed to detect 0\.13; about \d+ would show equivalence if there were no difference",
        verdict.text,
    )


@pytest.mark.parametrize(
    ("settings", "runs", "first_seed", "said"),
    [
        (2, 5, 0, "in each of 5 seeds; the differences do not vary, so no t test applies; 6"),
        (3, 6, 0, "in each of 6 seeds; the differences do not vary, so no t test applies; 7"),
        (2, 3, 9, "in each run; the runs of each setting do not vary, so no t test applies; 6"),
    ],
)
def test_of_equal_values_a_margin_says_how_many_seeds_would_show_that_they_are_equivalent(
    settings, runs, first_seed, said
):
    records = [one for i in range(settings) for one in group({"init": "abc"[i]}, [0.9] * runs, i * first_seed)]
    for verdict in compare(records, margin=0.2).verdicts:
        assert verdict.outcome == "undecided"
        assert verdict.text.endswith(
            f" have equal values of validation.accuracy {said} common seeds allow the exact test"
        )


def test_a_sweep_until_decided_is_judged_at_the_level_of_its_design():
    # a wobble of .0005 against a margin of .0004: p of equivalence is above .05 and below .9
    runs = [*group({"init": "a"}, BASE), *group({"init": "b"}, BASE - WOBBLE)]
    lenient, strict = (
        compare(runs, design=Design("validation.accuracy", (8,), alpha, 0.0004, 0)).verdicts[0] for alpha in (0.9, 0.05)
    )
    assert 0.05 < lenient.p_equivalence == strict.p_equivalence <= 0.9
    assert (lenient.outcome, strict.outcome) == ("equivalent", "undecided")
    assert (lenient.is_decided, strict.is_decided) == (True, False)


@pytest.mark.parametrize(
    ("looks", "alpha", "end"),
    [
        ((6, 8), 0.1, ", p = 0.062 after Bonferroni for 2 looks, level 0.1)"),  # 2 * 2 / 2^6
        ((6,), 0.1, ", p = 0.031, level 0.1)"),
        ((6,), 0.05, ", p = 0.031)"),
    ],
)
def test_a_sweep_until_decided_names_another_level_than_the_usual_one(looks, alpha, end):
    design = Design("validation.accuracy", looks, alpha, None, 0)
    (verdict,) = compare(kaiming_and_random(), design=design).verdicts
    assert verdict.text.startswith("kaiming beats random by ")
    assert verdict.text.endswith(end)


def test_the_margin_of_a_loss_is_in_its_own_units():
    runs = [record(seed, 0.9, {"init": n}, test={"loss": 0.5 + seed / 100 + d * seed / 1000})
            for n, d in (("a", 1), ("b", -1)) for seed in range(6)]  # fmt: skip
    (verdict,) = compare(runs, "test.loss", margin=0.05).verdicts
    assert verdict.outcome == "equivalent"
    assert " are equivalent within 0.05: 0.005" in verdict.text
    assert compare(runs, "test.loss", margin=1000).verdicts[0].outcome == "equivalent"


def test_every_pair_has_an_outcome_in_json(tmp_path: Path, command: Command) -> None:
    for init, accuracies in (("a", BASE), ("b", BASE - WOBBLE)):
        for seed, accuracy in enumerate(accuracies):
            config = {"seed": seed, "init": {"scale": len(init)}}
            overrides = [f"init={init}", f"seed={seed}"]
            write_run(tmp_path / f"{init}{seed}", accuracy, config=config, choices={"init": init}, overrides=overrides)
    places = sorted(map(str, tmp_path.iterdir()))
    result = command("compare", *places, "--margin", "0.5", "--json")
    assert '"outcome": "equivalent"' in result.out
    assert '"margin": 0.005' in result.out
    assert command("compare", *places, "--by", "init", "--format", "latex").out.count("tabular") == 2
    assert command("compare", *places, "--by", "init").out.splitlines()[0].split() == ["init=a", "init=b"]
    assert command("compare", *places, "--to", "tables").status == 0
    assert sorted(path.name for path in Path("tables").iterdir()) == [
        "compare.csv", "compare.json", "compare.md", "compare.tex",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--margin", "0"], "--margin 0: must be a number above 0"),
        (
            ["--margin", "1000"],
            "--margin 1000: must be 100 or less, since validation.accuracy is in per cent; for example 0.2",
        ),
        (["--margin", "much"], "--margin much: must be a number above 0"),
        (["--by", "init", "--json"], "--by init: JSON has every group by itself; use table, csv, markdown or latex"),
    ],
)
def test_a_wrong_option_is_refused(arguments: list[str], said: str, tmp_path: Path, command: Command) -> None:
    result = command("compare", str(write_run(tmp_path / "a")), *arguments)
    assert (result.status, result.err) == (2, f"mnistlab compare: error: {said}\n")
