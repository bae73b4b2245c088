"""The rows of the papers, what our runs come to beside them, and the verdicts on claims."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.runs import record
from omegaconf import DictConfig
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from mnistlab.config import compose, options, schema
from mnistlab.papers import (
    claims,
    extra_tables,
    markdown,
    metrics,
    reading,
    results,
    runner,
    selection_bias,
    spec,
    tables,
)
from mnistlab.papers.results import Result
from mnistlab.papers.spec import Claim, Row
from mnistlab.system.errors import RequestError

FIGURES = reading.read()
TRAINED = [row for row in FIGURES.rows.values() if row.kind == "train"]
FILE = """\
papers:
  lin:
    title: A paper
    about: Its protocol.
    rows:
      simple_nn: {reported: {test.accuracy: "0.9698"}, seeds: 2, minutes: 1}
claims: []
"""


def test_every_experiment_in_a_folder_is_a_row_and_every_row_an_experiment() -> None:
    records = {"fashion/best_mlp", "fashion/best_cnn"}  # of no paper
    in_folders = {name for name in options.option_names("experiment") if "/" in name} - records
    assert in_folders == {row.id for row in TRAINED}


def composed(row: Row, budget: str = "full", near: bool = False) -> DictConfig:
    """Return the configuration of a row, without its seeds and its directory."""
    asked = runner.overrides(row, budget, 1, near)
    return composed_once(*(word for word in asked if not word.startswith(("seed=", "hydra."))))


@cache  # several tests want the same, and many rows are quick enough as they are
def composed_once(*words: str) -> DictConfig:
    return compose.compose(words)


@pytest.mark.slow
@pytest.mark.parametrize("row", TRAINED, ids=lambda row: row.id)
def test_a_row_composes_at_every_budget_and_near_the_figure(row: Row) -> None:
    hashes = set()
    for budget, near in (("full", False), ("quick", False), *([("full", True)] if row.near else [])):
        config = composed(row, budget, near)
        schema.experiment(config)
        if budget == "full":  # a quick run is never made near the figure, which is another experiment
            hashes.add(schema.config_hash(config))
    assert len(hashes) == (2 if row.near else 1)


@pytest.mark.parametrize("row", TRAINED, ids=lambda row: row.id)
def test_the_header_of_a_row_has_the_figures_of_the_paper(row: Row) -> None:
    header = (options.folder() / "experiment" / f"{row.id}.yaml").read_text()
    assert "# Paper: " in header
    for metric, figure in row.reported.items():
        digits = figure.partition(".")[2]
        in_per_cent = f"{100 * float(figure):.{max(0, len(digits) - 2)}f}"
        forms = (figure, in_per_cent, f"{float(figure):,.0f}", f"{float(figure):.4f}")
        assert metric == "parameters" or any(form in header for form in forms), (metric, figure)


@pytest.mark.slow
def test_the_parameters_that_lin_reports_are_those_of_our_networks() -> None:
    for row in TRAINED:
        if "parameters" in row.reported:
            made = schema.experiment(composed(row))
            network = made.model.network((28, 28), 10, made.regularization)
            assert network.theta.size == int(row.reported["parameters"])


@pytest.mark.slow
def test_the_epochs_of_a_row_are_found_through_what_it_is_based_on() -> None:
    for row in TRAINED:
        made = schema.experiment(composed(row))
        own = made.model.epochs if row.name == "mlpclassifier" else made.trainer.epochs
        assert runner.experiment_epochs(row) == (None if "svm" in row.name else own)


def test_a_directory_is_called_by_what_varies_so_that_more_seeds_add_to_it() -> None:
    rows = FIGURES.rows
    assert "hydra.sweep.subdir='seed=${seed}'" in runner.overrides(rows["lin/simple_nn"], "full", None)
    swept = runner.overrides(rows["macalinao/lr_sweep"], "full", 2)
    assert "hydra.sweep.subdir='optimizer.lr=${optimizer.lr},seed=${seed}'" in swept
    assert "seed=range(2)" in swept


def test_a_part_of_a_swept_row_in_a_claim_names_one_run_for_each_seed() -> None:
    pairs = [
        pair for claim in FIGURES.claims if claim.form in ("beats", "within") for pair in claim.settings[claim.form]
    ]
    for name, *settings in (side.split() for pair in pairs for side in pair):
        swept = runner.grid(FIGURES.rows[name.removesuffix(spec.NEAR)])
        assert {setting.partition("=")[0] for setting in settings} == set(swept), name


def test_papers_and_rows_are_chosen_in_the_order_of_the_file() -> None:
    chosen = FIGURES.choose(["lin/enhanced_nn", "ghimire", "ghimire/l2_42k"])
    assert [row.id for row in chosen][-1] == "lin/enhanced_nn"
    assert [row.paper for row in chosen[:-1]] == ["ghimire"] * 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("reported", "reportd"), "papers.lin.rows.simple_nn.reportd: unknown key; keys are about, also, "),
        (
            ('"0.9698"', '"n/a"'),
            'papers.lin.rows.simple_nn.reported.test.accuracy=n/a: must be a number as printed, for example "0.98"',
        ),
        (
            ("minutes: 1", "minutes: 1, kind: guess"),
            "papers.lin.rows.simple_nn.kind=guess: must be one of train, runs, explore, grid",
        ),
        (("claims: []", "claims: [{paper: lin, text: t, above: 1, row: lin/simpel_nn, metric: m}]"), "did you mean"),
        (("papers:", "paper:"), "paper: unknown key; keys are "),
        (("claims: []", "claims: ["), "papers.yaml: line 8, column 1: "),
    ],
)
def test_a_file_that_is_no_such_file_is_refused(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    (tmp_path / "papers.yaml").write_text(FILE.replace(*change))
    with pytest.raises(RequestError, match=r"papers\.yaml: ") as error:
        reading.read(tmp_path / "papers.yaml")
    assert said in " ".join(str(error.value).split())


# tables


def test_the_classes_are_the_means_of_the_runs_with_the_range_of_their_predictions() -> None:
    # class 3: of 4 images 3 are right, and 5 are predicted; then 1 of 4, with 1 predicted
    runs = [of_classes(0, [[3, 1], [2, 4]]), of_classes(1, [[1, 3], [0, 6]])]
    tuned = Result(FIGURES.rows["macalinao/tuned"], tuple(runs))
    paper = dataclasses.replace(FIGURES.papers[0], rows=(tuned.row,), pictures=(), exchanged=("macalinao/tuned",))
    ((title, text, table),) = extra_tables.of(paper, {"macalinao/tuned": tuned})
    assert title == "Classes of `macalinao/tuned`, as computed and exchanged (2 runs)"
    assert text.startswith("Means of the runs.")
    assert table is not None
    assert table[1] == [
        ["3", "0.800", "0.500", "0.533", "4", "0.500", "0.800", "1 to 5"],
        ["8", "0.733", "0.833", "0.764", "6", "0.833", "0.733", "5 to 9"],
    ]


def of_classes(seed: int, matrix: list[list[int]]) -> Any:
    """Return the record of a run with this confusion matrix of the classes 3 and 8."""
    predicted = np.repeat([3, 8] * 2, np.ravel(matrix))
    truth = np.repeat([3, 3, 8, 8], np.ravel(matrix))
    precision, recall, f1, support = precision_recall_fscore_support(truth, predicted)
    per_class = [
        {"class": name, "precision": p, "recall": r, "f1": f, "support": int(n)}
        for name, p, r, f, n in zip("38", precision, recall, f1, support, strict=True)
    ]
    return record(seed, 0.9, test={"accuracy": 0.9, "confusion_matrix": matrix, "per_class": per_class})


# measures


def test_the_auc_of_one_hot_predictions_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    predicted[:120] = truth[:120]
    expected = roc_auc_score(np.eye(4)[truth], np.eye(4)[predicted])
    assert metrics.one_hot_auc(confusion_matrix(truth, predicted)) == pytest.approx(expected, abs=1e-12)


def test_the_auc_of_one_hot_predictions_by_hand() -> None:
    # class 0: recall 3/4, specificity 4/6; class 1: recall 4/6, specificity 3/4: both (3/4 + 2/3) / 2
    assert metrics.one_hot_auc(np.array([[3, 1], [2, 4]])) == pytest.approx((0.75 + 2 / 3) / 2)
    assert math.isnan(metrics.one_hot_auc(np.array([[5]])))


def test_the_gap_is_the_distance_of_train_and_test_accuracy() -> None:
    run = record(0, 0.9, train={"accuracy": 0.97})  # test: 0.89
    assert metrics.value(run, "gap") == pytest.approx(0.08)
    assert metrics.value(record(0, 0.9, train={"accuracy": 0.81}), "gap") == pytest.approx(0.08)
    assert math.isnan(metrics.value(record(0, 0.9), "gap"))


def test_what_choosing_among_models_gains_by_hand() -> None:
    same = np.tile(np.array([True, False] * 50), (3, 1))
    assert abs(selection_bias.of_models(same, np.random.default_rng(0))) < 0.01  # nothing to choose
    rng = np.random.default_rng(1)
    noise = rng.random((20, 400)) < 0.9  # twenty models alike: the best of them was lucky
    assert selection_bias.of_models(noise, np.random.default_rng(0)) > 0.02
    assert selection_bias.of_epochs([0.9, 0.95, 0.93, 0.93], last=2) == pytest.approx(0.02)


# results: the paper's figure against the interval of a single run


def row(reported: Mapping[str, str], **others: Any) -> Row:
    settings = {"also": (), "about": False, "at_least": False, "near": None, "pictures": (), "command": "", **others}
    budgets = {"full": 2, "quick": 1}
    nothing: dict[str, tuple[str, ...]] = {"full": (), "quick": ()}
    return Row("lin", "simple_nn", "train", reported, minutes=1, seeds=budgets, overrides=nothing, **settings)


def result(
    values: Sequence[float], reported: str = "0.90", metric: str = "validation.accuracy", **others: Any
) -> Result:
    runs = [record(seed, value, epochs=100) for seed, value in enumerate(values)]
    return Result(row({metric: reported}, **others), tuple(runs))


def test_the_interval_of_a_single_run() -> None:
    # mean 0.90, sd 0.01, n 3: t(0.975, 2) = 4.3027, times 0.01 sqrt(1 + 1/3) = 0.04968
    low, high = results.spread_of_one(result([0.89, 0.90, 0.91]), "validation.accuracy") or (0, 0)
    assert (low, high) == pytest.approx((0.90 - 0.04968, 0.90 + 0.04968), abs=1e-5)


def test_the_interval_of_one_run_is_that_of_its_images() -> None:
    run = record(0, 0.9, test={"accuracy": 0.9, "correct": 90, "n": 100})
    one = Result(row({"test.accuracy": "0.9"}), (run,))
    assert results.spread_of_one(one, "test.accuracy") == pytest.approx((0.8256, 0.9448), abs=1e-4)  # Wilson 1927
    assert results.spread_of_one(one, "validation.loss") is None


def test_one_run_says_nothing_of_a_figure_without_an_interval() -> None:
    one = Result(row({"test.loss": "0.04"}), (record(0, 0.9, test={"loss": 0.05}),))
    assert results.judge(one, "test.loss") == "one run"


@pytest.mark.parametrize(
    ("values", "figure", "others", "verdict"),
    [
        ([0.899, 0.900, 0.901], "0.90", {}, "as reported"),
        ([0.909, 0.910, 0.911], "0.90", {}, "higher"),
        ([0.909, 0.910, 0.911], "0.91", {}, "as reported"),
        ([0.889, 0.890, 0.891], "0.90", {}, "lower"),
        ([0.8955, 0.8956, 0.8957], "0.90", {}, "as reported"),  # it was rounded
        ([0.8955, 0.8956, 0.8957], "0.900", {}, "lower"),
        ([0.8955, 0.8956, 0.8957], "9e-1", {}, "as reported"),  # 0.9, which may have been 0.85 to 0.95
        ([0.8412, 0.8413, 0.8414], "3e-1", {}, "higher"),
        ([0.64, 0.641, 0.642], "0.60", {"about": True}, "as reported"),
        ([0.989, 0.990, 0.991], "0.98", {"at_least": True}, "reached"),
        ([0.969, 0.970, 0.971], "0.98", {"at_least": True}, "not reached"),
        ([0.979, 0.980, 0.981], "0.98", {"at_least": True}, "not distinguishable"),
        ([0.86, 0.90, 0.94], "0.90", {}, "too wide to tell"),  # 70 to 100
        ([0.86, 0.90, 0.94], "0.60", {}, "higher"),
        ([], "0.98", {}, "not run"),
    ],
)
def test_a_figure_is_held_against_the_interval(
    values: Sequence[float], figure: str, others: Mapping[str, Any], verdict: str
) -> None:
    assert results.judge(result(values, figure, **others), "validation.accuracy") == verdict


def test_a_setting_that_was_chosen_is_no_share() -> None:
    runs = tuple(record(seed, 0.9, best={"C": 10.0}) for seed in range(3))
    found = Result(row({"best.C": "10"}), runs)
    assert results.spread_of_one(found, "best.C") == (10, 10)
    assert results.judge(found, "best.C") == "as reported"


def test_a_row_that_was_cut_short_says_so() -> None:
    runs = tuple(record(seed, 0.9, epochs=5) for seed in range(2))
    assert Result(row({"test.accuracy": "0.9"}), runs).shortened == " (5 of 100 epochs)"
    assert result([0.9, 0.9]).shortened == ""
    mixed = (record(0, 0.9, epochs=100), record(1, 0.9, epochs=10))
    assert Result(row({"test.accuracy": "0.9"}), mixed).shortened == " (10 of 100 epochs)"
    near = spec.Near(("trainer.epochs=180",), "more")
    assert Result(row({}, near=near), runs, near=True).shortened == " (5 of 180 epochs)"
    few = (record(0, 0.9, {"data.limit": 1000}, epochs=100),)
    assert Result(row({}), few).shortened == " (1,000 images)"


def of_epochs(epochs: int, name: str = "simple_nn") -> Result:
    runs = tuple(record(seed, 0.9, epochs=epochs) for seed in range(2))
    return Result(dataclasses.replace(row({"test.accuracy": "0.9"}), name=name), runs)


def test_rows_are_comparable_in_full_or_cut_alike() -> None:
    full, also_full = of_epochs(100, "simple_nn"), of_epochs(100, "enhanced_nn")
    five, also_five, ten = of_epochs(5, "simple_nn"), of_epochs(5, "enhanced_nn"), of_epochs(10, "simple_cnn")
    nothing = Result(row({}), ())
    assert results.comparable([full, also_full, nothing]) == [full, also_full]
    assert results.comparable([five, also_five]) == [five, also_five]
    assert results.comparable([five, ten]) == []
    assert results.comparable([full, ten, also_full]) == [full, also_full]


def test_runs_that_are_missing_are_said() -> None:
    assert (
        tables.rows_of(spec.Paper("lin", "", "", (row({}),)), {"lin/simple_nn": result([0.9])}, {})[1][0][5] == "1 of 2"
    )
    swept = FIGURES.rows["macalinao/lr_sweep"]
    assert Result(swept, (record(0, 0.9),)).missing == 4 * 6 - 1


def test_runs_that_are_not_completed_do_not_count() -> None:
    runs = (record(0, 0.9), record(1, 0.5, state="failed"))
    assert Result(row({}), runs).values("validation.accuracy") == {0: 0.9}


# verdicts

A = [0.9712, 0.9704, 0.9721, 0.9698, 0.9715, 0.9710]
B = [0.9700, 0.9690, 0.9701, 0.9684, 0.9703, 0.9692]  # every one below A's of the same seed: p = 2 / 64


def judged(form: str, given: Mapping[str, Any], **rows: Result) -> tuple[str, str]:
    claim = Claim("lin", "a claim", form, {"metric": "validation.accuracy", **given})
    found = claims.judge(claim, {f"lin/{name}": one for name, one in rows.items()})
    return found.verdict, found.numbers


PAIR = {"beats": [["lin/a", "lin/b"]]}
WIGGLE = (0, 3e-4, 1e-4, 4e-4, 1e-4, 5e-4)  # so that differences vary


@pytest.mark.parametrize(
    ("a", "b", "given", "verdict"),
    [
        (A, B, {}, "holds"),
        (B, A, {}, "does not hold"),
        (B, A, {"lower": True}, "holds"),
        (A, B, {"lower": True}, "does not hold"),
        (A, A[::-1], {}, "not distinguishable"),
        (A[:3], [x - 0.1 for x in B[:3]], {}, "holds"),  # too few for the exact test: paired t
        (A[:2], [x - 0.1 for x in B[:2]], {}, "not distinguishable"),  # too few for any test
        (A[:1], B[:1], {}, "not judged (one seed)"),
        (A, B[:1], {}, "not judged (one seed)"),
        (A, [], {}, "not run"),
    ],
)
def test_a_pair(a: Sequence[float], b: Sequence[float], given: Mapping[str, Any], verdict: str) -> None:
    assert judged("beats", {**PAIR, **given}, a=result(a), b=result(b))[0] == verdict


def test_a_verdict_on_rows_that_were_cut_short_says_so() -> None:
    a, b = (Result(row({}), tuple(record(s, v, epochs=5) for s, v in enumerate(values))) for values in (A, B))
    found = claims.judge(
        Claim("lin", "a claim", "beats", {**PAIR, "metric": "validation.accuracy"}), {"lin/a": a, "lin/b": b}
    )
    assert found.label == "holds (cut short)"
    assert found.numbers.endswith("; cut short: a (5 of 100 epochs), b (5 of 100 epochs)")


def test_rows_that_were_cut_to_different_lengths_are_not_judged() -> None:
    a = Result(row({}), tuple(record(s, v, epochs=5) for s, v in enumerate(A)))
    claim = Claim("lin", "a claim", "beats", {**PAIR, "metric": "validation.accuracy"})
    found = claims.judge(claim, {"lin/a": a, "lin/b": result(B)})
    assert found.label == "not judged (cut short)"
    assert found.numbers.startswith("validation.accuracy: a 97.10, b 96.95")


def test_the_numbers_of_a_pair() -> None:
    said = judged("beats", PAIR, a=result(A), b=result(B))[1]
    assert said == "validation.accuracy: a 97.10, b 96.95: +0.15 +/- 0.03 (6 seeds, sign-flip, p = 0.031)"


def test_several_pairs_hold_together_and_fail_by_one() -> None:
    given = {"beats": [["lin/a", "lin/b"], ["lin/b", "lin/c"]]}  # six pairs are too few for two exact tests: paired t
    low, high = (result([x + by + wiggle for x, wiggle in zip(A, WIGGLE, strict=True)]) for by in (-0.1, 0.02))
    assert judged("beats", given, a=high, b=result(A), c=low)[0] == "holds"
    assert judged("beats", given, a=low, b=result(A), c=low)[0] == "does not hold"
    assert judged("beats", given, a=high, b=result(A), c=result(A[::-1]))[0] == "not distinguishable"


def test_where_seeds_are_missing_the_pairs_decide_and_it_is_said() -> None:
    # the pairs: 96.97 and 96.92, 97.12 - 97.00, 97.04 - 96.90, 97.21 - 97.01: mean .1533, sd .0416; t = 6.38, p = .024
    said = judged("beats", PAIR, a=result(A[:3]), b=result([*B[:3], *[0.99] * 7]))
    assert said == (
        "holds",
        "validation.accuracy: a 97.12, b 96.97: +0.15 +/- 0.10 (3 seeds, paired t, p = 0.024; 7 runs without a partner "
        "of the same seed left out)",
    )


def test_differences_that_do_not_vary_have_no_p() -> None:
    verdict, numbers = judged("beats", PAIR, a=result([0.75] * 3), b=result([0.5] * 3))
    assert verdict == "not distinguishable"
    assert numbers.endswith(": +25.00 +/- 0.00 (3 seeds, paired t, no spread, so no t test applies)")


def test_single_runs_are_compared_on_their_test_images_but_the_claim_is_not_judged(tmp_path: Path) -> None:
    labels = np.zeros(40, np.int64)
    runs = {}
    for name, wrong in (("a", 0), ("b", 12)):
        (tmp_path / name).mkdir()
        probabilities = np.tile([1.0, 0.0], (40, 1))
        probabilities[:wrong] = [0.0, 1.0]
        np.savez(tmp_path / name / "predictions.npz", labels=labels, probabilities=probabilities)
        one = record(0, 1 - wrong / 40 + 0.01, place=str(tmp_path / name))
        runs[name] = Result(row({}), (one,))
    claim = Claim("lin", "a claim", "beats", {**PAIR, "metric": "test.accuracy"})
    found = claims.judge(claim, {f"lin/{name}": one for name, one in runs.items()})
    assert found.label == "not judged (one seed)"
    assert "one run each, McNemar, p = 0.0005" in found.numbers  # 2 / 2^12


def test_one_run_against_several_is_not_tested_even_where_there_are_predictions(tmp_path: Path) -> None:
    labels = np.zeros(40, np.int64)

    def run(seed: int, name: str, wrong: int) -> Any:
        place = tmp_path / f"{name}{seed}"
        place.mkdir()
        probabilities = np.tile([1.0, 0.0], (40, 1))
        probabilities[:wrong] = [0.0, 1.0]
        np.savez(place / "predictions.npz", labels=labels, probabilities=probabilities)
        return record(seed, 1 - wrong / 40 + 0.01, place=str(place))

    a, b = Result(row({}), (run(1, "a", 0),)), Result(row({}), (run(0, "b", 30), run(1, "b", 12)))
    for metric, means in (("test.accuracy", "a 100.00, b 47.50"), ("validation.accuracy", "a 101.00, b 48.50")):
        assert judged("beats", {**PAIR, "metric": metric}, a=a, b=b) == (
            "not judged (one seed)",
            f"{metric}: {means} (too few runs for a test)",
        )


def test_a_part_of_a_swept_row_is_named_by_its_settings() -> None:
    runs = [
        record(s, v + shift, {"optimizer.lr": lr}) for lr, shift in ((1.0, 0.1), (0.1, 0.0)) for s, v in enumerate(B)
    ]
    given = {"beats": [["lin/a optimizer.lr=1.0", "lin/a optimizer.lr=0.1"]]}
    assert judged("beats", given, a=Result(row({}), tuple(runs)))[0] == "holds"
    given = {"beats": [["lin/a optimizer.lr=1.0", "lin/a optimizer.lr=7"]]}
    verdict, numbers = judged("beats", given, a=Result(row({}), tuple(runs)))
    assert (verdict, numbers) == ("not run", "no runs of a optimizer.lr=7")


@pytest.mark.parametrize(
    ("margin", "verdict"),
    [(0.01, "holds"), (0.0016, "not distinguishable"), (0.001, "does not hold")],  # 0.15 +/- 0.03 points
)
def test_within_a_margin(margin: float, verdict: str) -> None:
    given = {"within": [["lin/a", "lin/b"]], "margin": margin}
    assert judged("within", given, a=result(A), b=result(B))[0] == verdict


@pytest.mark.parametrize(
    ("figure", "verdict"), [(0.96, "holds"), (0.971, "not distinguishable"), (0.98, "does not hold")]
)
def test_above_a_figure(figure: float, verdict: str) -> None:
    assert judged("above", {"above": figure, "row": "lin/a"}, a=result(A))[0] == verdict


def recalls(seed: int, values: Sequence[float]) -> Any:
    rows = [{"class": str(i), "recall": value} for i, value in enumerate(values)]
    return record(seed, 0.9, test={"per_class": rows})


@pytest.mark.parametrize(
    ("named", "verdict"),
    [(["1", "2"], "holds"), (["0", "1"], "does not hold"), (["2"], "holds")],
)
def test_the_weakest_classes(named: Sequence[str], verdict: str) -> None:
    wiggles = [np.roll(WIGGLE, 2 * i) for i in range(4)]
    runs = tuple(recalls(s, [x + w[s] for x, w in zip([0.98, 0.8, 0.7, 0.97], wiggles, strict=True)]) for s in range(6))
    found, numbers = judged("weakest", {"weakest": named, "row": "lin/a"}, a=Result(row({}), runs))
    assert found == verdict
    assert "6 seeds, paired t, " in numbers  # six pairs are too few for three or four exact tests
    assert " comparisons significant, largest p = " in numbers


def test_the_weakest_class_is_held_against_the_mean_of_each_other_not_against_the_lowest_of_every_run() -> None:
    # in every run another class is at .70, below the claimed .80, but their means are .82
    others = [[0.70 if seed % 3 == i else 0.88 for i in range(3)] for seed in range(6)]
    runs = tuple(recalls(seed, [0.80 + WIGGLE[seed], *others[seed]]) for seed in range(6))
    verdict, numbers = judged("weakest", {"weakest": ["0"], "row": "lin/a"}, a=Result(row({}), runs))
    assert verdict == "not distinguishable"
    assert "lowest recall: 0 80.0, 1 82.0 (6 seeds, paired t, 0 of 3 comparisons significant" in numbers


def test_classes_whose_differences_do_not_vary_are_said_to_have_no_test() -> None:
    runs = tuple(recalls(seed, [0.80, 0.90, 0.95 + WIGGLE[seed]]) for seed in range(6))
    verdict, numbers = judged("weakest", {"weakest": ["0"], "row": "lin/a"}, a=Result(row({}), runs))
    assert verdict == "not distinguishable"
    assert "1 of 2 comparisons significant, largest p = " in numbers
    assert numbers.endswith(" after Holm; 1 difference does not vary, so no t test applies)")


def confused(seed: int, pullover_for_shirt: int) -> Any:
    rows = [{"class": name, "recall": 0.9} for name in ("Pullover", "Coat", "Shirt")]
    matrix = [[900, 40, pullover_for_shirt + (0, 1, -1)[seed % 3]], [50 + seed, 900, 10], [30, 30, 900]]
    return record(seed, 0.9, test={"per_class": rows, "confusion_matrix": matrix})


@pytest.mark.parametrize(
    ("count", "seeds", "verdict"),
    [(60, 6, "holds"), (20, 6, "does not hold"), (60, 1, "not judged (one seed)"), (52, 6, "not distinguishable")],
)
def test_the_class_that_is_taken_for_another(count: int, seeds: int, verdict: str) -> None:
    runs = tuple(confused(seed, count) for seed in range(seeds))
    given = {"mistaken": ["Pullover", "Shirt"], "row": "lin/a"}
    found, numbers = judged("mistaken", given, a=Result(row({}), runs))
    assert found == verdict
    assert f"Pullover for Shirt {count}" in numbers


def falling(folder: Path, seed: int, fall: float, epochs: int = 80) -> Any:
    lines = [f"{e},{0.99 - (fall + seed / 1e4 if e > 50 else 0)}" for e in range(1, epochs + 1)]
    (folder / str(seed)).mkdir()
    (folder / str(seed) / "history.csv").write_text("epoch,val_accuracy\n" + "\n".join(lines) + "\n")
    return record(seed, 0.9, place=str(folder / str(seed)), epochs=epochs)


@pytest.mark.parametrize(
    ("fall", "seeds", "verdict"),
    [(0.01, 6, "holds"), (-0.01, 6, "does not hold"), (0.01, 1, "not judged (one seed)")],
)
def test_validation_accuracy_that_falls(tmp_path: Path, fall: float, seeds: int, verdict: str) -> None:
    runs = tuple(falling(tmp_path, seed, fall) for seed in range(seeds))
    given = {"falls": "lin/a", "after": 50}
    assert judged("falls", given, a=Result(row({}), runs))[0] == verdict


def test_a_run_that_ended_before_cannot_have_fallen(tmp_path: Path) -> None:
    runs = (falling(tmp_path, 0, 0.01, epochs=50),)
    assert judged("falls", {"falls": "lin/a", "after": 50}, a=Result(row({}), runs))[0] == "not run"


# the page


def test_the_page_shows_what_markdown_and_html_would_take_for_markup() -> None:
    claim = Claim("lin", "a | b <script>", "above", {"above": 0.5, "row": "lin/simple_nn", "metric": "m"})
    finding = claims.Finding(claim, "holds", "1 < 2 & 3")
    paper = spec.Paper("lin", "One <b> title", "about", (row({"test.accuracy": "0.97"}),))
    known = spec.Figures((paper,), (claim,))
    runs = {"lin/simple_nn": Result(paper.rows[0], ())}
    text = markdown.markdown(known, runs, {}, [finding], {}, Path(), "mnistlab reproduce")
    assert "## One &lt;b> title" in text
    assert "| a \\| b &lt;script> | **holds** | 1 &lt; 2 &amp; 3 |" in text
    assert "| simple_nn | test.accuracy | 97 | - |  | 0 | not run |" in text


def test_a_figure_is_shown_as_the_paper_prints_it() -> None:
    assert tables.reported(row({"test.accuracy": "0.80307"}), "test.accuracy") == "80.307"
    assert tables.reported(row({"test.accuracy": "0.67"}), "test.accuracy") == "67"
    assert tables.reported(row({"test.accuracy": "0.60"}, about=True), "test.accuracy") == "about 60"
    assert tables.reported(row({"test.accuracy": "9.432e-1"}), "test.accuracy") == "94.32"
    assert tables.reported(row({"test.roc_auc.macro": "0.9956811"}), "test.roc_auc.macro") == "0.9956811"
    assert tables.reported(row({"test.loss": "0.0436"}), "test.loss") == "0.0436"
    assert tables.reported(row({"parameters": "25450"}), "parameters") == "25,450"
