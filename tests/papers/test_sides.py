"""What a claim or a figure is about: the runs of one setting, by seed, with the metric that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import record, write_run

from mnistlab.papers import claims, reading, results, runner
from mnistlab.papers.results import Result
from mnistlab.papers.spec import Claim, Row
from mnistlab.runs.record import Record
from mnistlab.system.errors import RequestError

Command = Callable[..., Any]


def row(kind: str = "runs", reported: Mapping[str, str] | None = None, **others: Any) -> Row:
    settings = {"also": (), "about": False, "at_least": False, "near": None, "pictures": (), "command": "", **others}
    budgets = {"full": 3, "quick": 1}
    nothing: dict[str, tuple[str, ...]] = {"full": (), "quick": ()}
    return Row("own", "a", kind, reported or {}, minutes=1, seeds=budgets, overrides=nothing, is_own=True, **settings)


def judged(runs: Sequence[Record], form: str = "above", **settings: Any) -> tuple[str, str]:
    given = {"row": "own/a", "metric": "validation.accuracy", "text": "so it is", **settings}
    found = claims.judge(Claim("own", "so it is", form, given), {"own/a": Result(row(), tuple(runs))})
    return found.verdict, found.numbers


def by_init(**accuracies: Sequence[float]) -> list[Record]:
    return [record(s, v, {"init": init}) for init, values in accuracies.items() for s, v in enumerate(values)]


BOTH = by_init(random=(0.60, 0.61, 0.62), kaiming=(0.95, 0.951, 0.952))


def test_runs_of_several_settings_are_no_row_until_one_is_named() -> None:
    with pytest.raises(
        RequestError, match=r"^a: its runs have several settings \(init=random; init=kaiming\); name one"
    ):
        judged(BOTH, above=0.9)
    assert judged(BOTH, above=0.9, row="own/a init=kaiming")[0] == "holds"
    assert judged(BOTH, above=0.9, row="own/a init=random")[0] == "does not hold"
    assert judged(BOTH, above=0.9, row="own/a init=zero") == ("not run", "no runs of a init=zero")


def test_a_figure_of_runs_of_several_settings_is_refused() -> None:
    result = Result(row(reported={"validation.accuracy": "0.95"}), tuple(BOTH))
    with pytest.raises(RequestError, match="several settings"):
        results.judge(result, "validation.accuracy")


def test_runs_of_the_same_seed_count_once_as_their_mean() -> None:
    result = Result(row(), (record(0, 0.9), record(0, 0.92), record(1, 0.95)))
    assert result.values("validation.accuracy") == pytest.approx({0: 0.91, 1: 0.95})


@pytest.mark.parametrize("form", ["weakest", "mistaken"])
def test_classes_are_those_of_the_setting_that_is_named(form: str) -> None:
    def run(seed: int, init: str, recalls: Sequence[float]) -> Record:
        per_class = [{"class": str(i), "recall": value} for i, value in enumerate(recalls)]
        wrong = [round(100 * (1 - value)) for value in recalls]
        matrix = [[100 - wrong[0], wrong[0], 0], [wrong[1], 100 - wrong[1], 0], [0, 0, 100]]
        return record(seed, 0.9, {"init": init}, test={"per_class": per_class, "confusion_matrix": matrix})

    runs = [run(s, "random", (0.5 + s / 100, 0.9, 1.0)) for s in range(6)]
    runs += [run(s, "kaiming", (0.9, 0.5 + s / 100, 1.0)) for s in range(6)]
    named = {"weakest": ["0"], "mistaken": ["0", "1"]}[form]
    assert judged(runs, form, row="own/a init=random", **{form: named})[0] == "holds"
    assert judged(runs, form, row="own/a init=kaiming", **{form: named})[0] == "does not hold"
    assert judged(runs, form, row="own/a init=random", **{form: ["7", "1"]}) == (
        "no such class",
        f"{form}: a init=random has no class 7; its classes are 0, 1, 2",
    )


def test_a_metric_that_no_run_has_is_said_on_the_page() -> None:
    verdict, numbers = judged(by_init(random=(0.6, 0.7)), above=0.9, metric="test.acuracy")
    assert verdict == "no such metric"
    assert numbers.startswith("a: its runs have no metric test.acuracy; they have ")
    assert numbers.endswith("(did you mean test.accuracy?)")
    result = Result(row(reported={"test.acuracy": "0.95"}), (record(0, 0.9),))
    assert results.judge(result, "test.acuracy") == "no such metric"


def test_all_classes_cannot_be_the_weakest() -> None:
    per_class = [{"class": name, "recall": 0.9} for name in "01"]
    runs = [record(seed, 0.9, test={"per_class": per_class}) for seed in range(6)]
    assert judged(runs, "weakest", weakest=["0", "1"])[0] == "no such class"
    assert judged(runs, "weakest", weakest=["0"])[0] == "not distinguishable"


def test_of_losses_and_errors_the_lower_one_is_better_as_in_compare() -> None:
    runs = [
        record(seed, 0.9, {"init": init}, test={"accuracy": 0.9, "loss": loss + seed / 1000})
        for init, loss in (("a", 0.4), ("b", 0.8))
        for seed in range(6)
    ]
    lower_first = [["own/a init=a", "own/a init=b"]]
    assert judged(runs, "beats", beats=lower_first, metric="test.loss")[0] == "holds"
    assert judged(runs, "beats", beats=[lower_first[0][::-1]], metric="test.loss")[0] == "does not hold"
    assert judged(runs, "beats", beats=lower_first, metric="test.loss", lower=False)[0] == "does not hold"


def test_a_single_run_decides_nothing() -> None:
    one = record(0, 0.95, test={"accuracy": 0.9, "correct": 900, "n": 1000})
    verdict, numbers = judged([one], above=0.8, metric="test.accuracy")
    assert verdict == "not judged (one seed)"
    assert numbers == "test.accuracy: 90.00 (87.98 to 91.71; one run: the sample of images alone)"  # Wilson 1927
    for others, figure in (({"at_least": True}, "0.8"), ({}, "0.8"), ({}, "0.99")):
        result = Result(row(reported={"test.accuracy": figure}, **others), (one,))
        assert results.judge(result, "test.accuracy") == "one run"


def test_beyond_the_margin_is_corrected_for_the_number_of_pairs() -> None:
    # differences 0.0256, 0.03, 0.0344 against 0.02: t = 0.01 sqrt(3) / 0.0044 = 3.94, 2 degrees of freedom, p = 0.03
    runs = [record(s, v, {"init": "a"}) for s, v in enumerate((0.9256, 0.93, 0.9344))]
    runs += [record(s, 0.90, {"init": name}) for name in "bc" for s in range(3)]
    pairs = [[f"own/a init={name}", "own/a init=a"] for name in "bc"]
    assert judged(runs, "within", within=pairs[:1], margin=0.02)[0] == "does not hold"
    assert judged(runs, "within", within=pairs, margin=0.02)[0] == "not distinguishable"


def test_a_margin_is_in_points_only_where_the_metric_is_in_per_cent() -> None:
    runs = [
        record(s, 0.9, {"init": init}, test={"accuracy": 0.9, "roc_auc": {"macro": 0.9 + s / 1e4 + shift}})
        for init, shift in (("a", 0.0), ("b", 0.0001))
        for s in range(3)
    ]
    pair = [["own/a init=a", "own/a init=b"]]
    assert judged(runs, "within", within=pair, metric="test.roc_auc.macro", margin=0.02)[1].endswith("margin 0.0200")
    assert judged(runs, "within", within=pair, metric="test.accuracy", margin=0.02)[1].endswith("margin 2.00 points")


# epochs


def trained(given: int, taken: int, words: tuple[str, ...]) -> Result:
    run = record(0, 0.9, {"trainer.epochs": given}, epochs=taken)
    return Result(row("train", words=words), (run,))


@pytest.mark.parametrize(
    ("given", "taken", "words", "said"),
    [
        (50, 17, ("trainer.epochs=50",), ""),  # stopped early, by its own rule
        (20, 20, ("trainer.epochs=10",), ""),
        (5, 5, ("trainer.epochs=10",), " (5 of 10 epochs)"),
        (2, 2, ("model=softmax",), " (2 of 10 epochs)"),  # ten is the default
    ],
)
def test_runs_with_fewer_epochs_than_planned_are_cut_short(
    given: int, taken: int, words: tuple[str, ...], said: str
) -> None:
    assert trained(given, taken, words).shortened == said


def test_the_values_of_a_sweep_are_counted_as_hydra_does_and_the_seed_is_none_of_its_settings() -> None:
    swept = row("train", words=("optimizer.lr=range(1,4)", "init=random,kaiming", "seed=0,1"))
    assert runner.grid(swept) == {"optimizer.lr": 3, "init": 2}
    assert runner.grid(row("train", words=("experiment=best_ensemble",))) == {}  # seed: range(5)
    assert runner.grid(row("train", words=("experiment=macalinao/lr_sweep",))) == {"optimizer.lr": 4}


# files


SWEPT = """\
title: A sweep
rows:
  swept: {{train: "model=mlp_1hidden model.units=16,128"{more}}}
claims:
  - {{text: t, above: 0.9, row: {row}, metric: test.accuracy}}
"""


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"row": "swept"}, "claims[0]: swept sweeps model.units; name one of its settings: swept model.units=..."),
        ({"row": "swept 16"}, "claims[0]: swept 16: 16 is no setting; must be key=value"),
        ({"row": "swept init=random"}, "claims[0]: swept sweeps model.units; name one of its settings"),
        (
            {"row": "swept model.units=16", "more": ', reported: {test.accuracy: "0.9"}'},
            "rows.swept.reported: the row sweeps model.units and has no single figure; make a row of the setting",
        ),
        ({"row": "swept model.units=16", "more": ", minutes: long"}, "rows.swept.minutes=long: must be a number of 0"),
    ],
)
def test_a_wrong_side_of_a_claim_is_refused_before_anything_is_trained(
    fields: dict[str, str], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(SWEPT.format(**{"more": "", **fields}))
    with pytest.raises(RequestError) as caught:
        reading.read(path)
    assert said in str(caught.value)


def test_settings_of_a_row_that_sweeps_nothing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "title: T\nrows: {a: {train: model=softmax}}\n"
        "claims: [{text: t, above: 1, row: a init=zero, metric: test.accuracy}]\n"
    )
    with pytest.raises(RequestError, match=r"claims\[0\]: a sweeps nothing; leave out init=zero"):
        reading.read(path)


def test_a_mistake_in_the_last_row_is_found_before_the_first_is_trained(tmp_path: Path, command: Command) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("title: T\nrows:\n  a: {train: experiment=smoke}\n  b: {train: optimizer.lrr=0.1}\n")
    result = command("claims", str(path))
    assert result.status == 2
    assert "optimizer.lrr" in result.err
    assert not Path("outputs").exists()


def test_a_sweep_of_existing_runs_has_a_table_of_its_settings(tmp_path: Path, command: Command) -> None:
    for init, values in (("random", (0.60, 0.61, 0.62)), ("kaiming", (0.95, 0.951, 0.952))):
        for seed, value in enumerate(values):
            write_run(tmp_path / f"{init}{seed}", value, config={"seed": seed, "init": {"name": init}})
    path = tmp_path / "own.yaml"
    names = ", ".join(f"{init}{seed}" for init in ("random", "kaiming") for seed in range(3))
    path.write_text(
        f"title: T\nrows:\n  both: {{runs: [{names}]}}\n"
        "claims: [{text: k, beats: [both init.name=kaiming, both init.name=random], metric: test.accuracy}]\n"
    )
    result = command("claims", str(path), "--to", "page")
    assert result.status == 0, result.err
    page = Path("page/claims.md").read_text()
    assert "| both | test.accuracy |  | see below |" in page
    assert "### `both`" in page
