"""What a claims file may say: units, types, and names of metrics and classes, checked before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mnistlab.papers import metrics, reading
from mnistlab.system.errors import RequestError

BEATS = {"text": "t", "beats": ["a", "b"], "metric": "test.accuracy"}
WITHIN = {"text": "t", "within": ["a", "b"], "metric": "test.accuracy", "margin": 0.02}
ABOVE = {"text": "t", "above": 0.5, "row": "a", "metric": "test.accuracy"}
BELOW = {"text": "t", "below": 0.5, "row": "a", "metric": "test.accuracy"}
WEAKEST = {"text": "t", "weakest": ["5"], "row": "a"}
MISTAKEN = {"text": "t", "mistaken": ["4", "9"], "row": "a"}


def refusal(folder: Path, claim: Mapping[str, Any] | None = None, **of_row: Any) -> str:
    """Return why a file with this claim, or with these keys of a row, is refused; nothing if it is not."""
    path = folder / "own.yaml"
    rows = {"a": {"train": "model=softmax", **of_row}, "b": {"train": "model=lenet5"}}
    path.write_text(yaml.safe_dump({"title": "T", "rows": rows, "claims": [dict(claim)] if claim else []}))
    try:
        reading.read(path)
    except RequestError as error:
        assert "\n" not in str(error)
        return str(error).removeprefix("own.yaml: ")
    return ""


@pytest.mark.parametrize("claim", [BEATS, WITHIN, ABOVE, BELOW, WEAKEST, MISTAKEN], ids=lambda claim: [*claim][1])
def test_the_claims_that_are_changed_below_are_right_as_they_are(claim: Mapping[str, Any], tmp_path: Path) -> None:
    assert refusal(tmp_path, claim) == ""


@pytest.mark.parametrize(
    ("claim", "change", "said"),
    [
        (
            WITHIN,
            {"margin": 2},
            "claims[0].margin=2: must be from 0 to below 1, since test.accuracy is a proportion: 2 points are 0.02, ",
        ),
        (BELOW, {"below": 90}, "claims[0].below=90: must be from 0 to below 1, since test.accuracy is a proportion"),
        (BELOW, {"below": 1}, "claims[0].below=1: must be from 0 to below 1"),
        (ABOVE, {"above": 90}, "claims[0].above=90: must be from 0 to below 1"),
        (ABOVE, {"above": -0.1}, "claims[0].above=-0.1: must be from 0 to below 1"),
        (WITHIN, {"margin": 1.5, "metric": "test.roc_auc.macro"}, "claims[0].margin=1.5: must be from 0 to below 1"),
        (BEATS, {"lower": "false"}, "claims[0].lower=false: must be true or false, without quotes"),
        (BEATS, {"metric": 5}, "claims[0].metric=5: must be a word"),
        (BEATS, {"metric": ["test.loss"]}, "claims[0].metric=['test.loss']: must be a word"),
        (BEATS, {"metric": "test.acuracy"}, "claims[0].metric=test.acuracy: no such metric; must be gap, parameters, "),
        (BEATS, {"text": ["t"]}, "claims[0].text: must be a text"),
        (WEAKEST, {"weakest": []}, "claims[0].weakest=[]: must be different classes, at least one"),
        (WEAKEST, {"weakest": ["5", "5"]}, "claims[0].weakest=['5', '5']: must be different classes, at least one"),
        (WEAKEST, {"weakest": [True]}, "claims[0].weakest=True: must be the name of a class; put it in quotes"),
        (MISTAKEN, {"mistaken": ["4", "4"]}, "claims[0].mistaken=['4', '4']: must be different classes"),
        (MISTAKEN, {"mistaken": ["4"]}, "claims[0].mistaken: must be two classes"),
    ],
    ids=str,
)
def test_a_wrong_value_of_a_claim_is_refused(
    claim: Mapping[str, Any], change: Mapping[str, Any], said: str, tmp_path: Path
) -> None:
    assert refusal(tmp_path, {**claim, **change}).startswith(said)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("reported", {"test.accuracy": "80"}, ".test.accuracy=80: must be from 0 to 1, since test.accuracy is a prop"),
        ("reported", {"test.accuracy": "0e5"}, ".test.accuracy=0e5: must be from 0 to 1"),
        ("reported", {"test.accuracy": 0.9}, '.test.accuracy=0.9: must be in quotes, as "0.90", since its last digit'),
        ("reported", {"test.accuracy": True}, ".test.accuracy=True: must be a number as printed"),
        ("reported", {"test.loss": "1e999"}, ".test.loss=1e999: must be a number as printed"),
        ("reported", {"test.acuracy": "0.9"}, "=test.acuracy: no such metric; must be gap, parameters, or train, "),
        ("reported", {"parameters": "50890.0"}, '.parameters=50890.0: must be a whole number in digits, for example "'),
        ("reported", {"parameters": "2.6e4"}, ".parameters=2.6e4: must be a whole number in digits"),
        ("also", ["test.lost"], "=test.lost: no such metric"),
        ("also", 5, "=5: must be a list of words"),
        ("pictures", 5, "=5: must be a list of words"),
        ("about", "false", "=false: must be true or false, without quotes"),
        ("at_least", 1, "=1: must be true or false, without quotes"),
        ("quick", {"overrides": 5}, ".overrides=5: must be a list of words"),
        ("near", {"overrides": ["optimizer.lr=1"]}, ".why: is missing; add for example why: a smaller learning rate"),
        ("near", {"why": "w"}, ".overrides: is missing; add for example overrides: optimizer.lr=0.1"),
        ("minutes", True, "=True: must be a number of 0 or more"),
        ("kind", "explore", "=explore: is that of a paper's row; leave it out"),
    ],
    ids=str,
)
def test_a_wrong_value_of_a_row_is_refused(key: str, value: Any, said: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, **{key: value}).startswith(f"rows.a.{key}{said}")


@pytest.mark.parametrize(
    "of_row",
    [
        {"also": "test.loss"},
        {"reported": {"test.accuracy": "1.00", "parameters": 25450, "test.loss": "3.1"}},
        {"reported": {"test.roc_auc.per_class.5": "1"}},
        {"about": True, "at_least": False},
    ],
)
def test_a_right_value_of_a_row_is_accepted(of_row: Mapping[str, Any], tmp_path: Path) -> None:
    assert refusal(tmp_path, **of_row) == ""


def test_a_single_metric_in_also_is_one_metric(tmp_path: Path) -> None:
    assert refusal(tmp_path, also="test.loss") == ""
    assert reading.read(tmp_path / "own.yaml").rows["own/a"].also == ("test.loss",)


def test_a_loss_has_any_margin(tmp_path: Path) -> None:
    assert refusal(tmp_path, {**WITHIN, "metric": "test.loss", "margin": 1.5}) == ""
    assert refusal(tmp_path, {**BELOW, "metric": "parameters", "below": 1e5}) == ""


def test_two_lists_of_claims_are_refused_with_the_line_of_the_second(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("title: T\nrows: {a: {train: model=softmax}}\nclaims: []\nclaims: []\n")
    with pytest.raises(RequestError, match=r"own\.yaml: line 4, column 1: found duplicate key claims; correct it"):
        reading.read(tmp_path / "own.yaml")


def test_a_claim_about_a_paper_that_is_not_in_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "papers.yaml"
    rows = {"lin": {"title": "T", "rows": {"simple_nn": {}}}}
    claim = {**ABOVE, "row": "lin/simple_nn", "paper": "lim"}
    path.write_text(yaml.safe_dump({"papers": rows, "claims": [claim]}))
    with pytest.raises(RequestError, match=r"claims\[0\]\.paper=lim: must be one of lin \(did you mean lin\?\)"):
        reading.read(path)


def test_the_metrics_are_those_that_an_evaluation_returns() -> None:
    for name in ("test.accuracy", "train.macro.f1", "validation.roc_auc.macro", "gap", "parameters"):
        assert metrics.is_known(name), name
    for name in ("test", "epochs", "test.per_class", "tests.accuracy", "test.accuracy.per_class.5"):
        assert not metrics.is_known(name), name
