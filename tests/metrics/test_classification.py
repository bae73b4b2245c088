"""The metrics: by hand on small cases, against scikit-learn on large ones, and where classes are missing."""

import json
import math
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import processes
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistlab.metrics import classification as ev
from mnistlab.system.errors import RequestError, RunError

NAMES = ["a", "b", "c"]
# six images of three classes; the predictions are a a b b c a, so that rows 1 and 5 are mistakes
LABELS = np.array([0, 1, 1, 1, 2, 2])
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.7, 0.2], [0.2, 0.5, 0.3], [0.1, 0.3, 0.6], [0.5, 0.1, 0.4]],
    dtype=np.float32,
)


def drawn(n, k, signal=1.0, seed=0):
    """Labels of every class, and float32 probabilities that lean towards them."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % k)
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), y] += signal
    p = np.exp(logits)
    return y, (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


@st.composite
def predictions(draw):
    n, k = draw(st.integers(1, 40)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    p = rng.integers(1, draw(st.sampled_from([2, 4, 100])), (n, k)).astype(np.float32)  # small ranges make ties
    return rng.integers(0, k, n), p / p.sum(axis=1, keepdims=True)


def test_accuracy_loss_and_top2_by_hand():
    m = ev.evaluate(LABELS, PROBABILITIES, NAMES)
    assert (m["n"], m["correct"], m["accuracy"]) == (6, 4, 4 / 6)
    # -ln of the probabilities of the truth: .8 .3 .7 .5 .6 .4
    assert m["loss"] == pytest.approx(-math.log(0.8 * 0.3 * 0.7 * 0.5 * 0.6 * 0.4) / 6, rel=1e-6)
    assert m["top2_accuracy"] == 1.0  # both mistakes have the truth in second place


def test_per_class_scores_by_hand():
    m = ev.evaluate(LABELS, PROBABILITIES, NAMES)
    assert m["confusion_matrix"] == [[1, 0, 0], [1, 2, 0], [1, 0, 1]]
    assert m["per_class"] == [
        # predicted three times, once rightly; F1 = 2 (1/3) 1 / (4/3)
        {"class": "a", "precision": pytest.approx(1 / 3), "recall": 1.0, "f1": 0.5, "support": 1},
        {"class": "b", "precision": 1.0, "recall": pytest.approx(2 / 3), "f1": pytest.approx(0.8), "support": 3},
        {"class": "c", "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2},
    ]
    assert m["macro"]["f1"] == pytest.approx((0.5 + 0.8 + 2 / 3) / 3)
    assert m["weighted"]["f1"] == pytest.approx((0.5 + 3 * 0.8 + 2 * 2 / 3) / 6)
    assert m["weighted"]["recall"] == pytest.approx(m["accuracy"])
    assert m["most_confused"] == [
        {"truth": "b", "predicted": "a", "count": 1},
        {"truth": "c", "predicted": "a", "count": 1},
    ]


def test_ranking_scores_by_hand():
    m = ev.evaluate(LABELS, PROBABILITIES, NAMES)
    # b: images of b score .3 .7 .5, the others .1 .3 .1; of the 9 pairs 8 are in order and .3 = .3 counts half
    assert m["roc_auc"]["per_class"]["b"] == pytest.approx(8.5 / 9)
    # precision at each rise of recall: 1/1, 2/2, then 3 of 4 at the tie
    assert m["average_precision"]["per_class"]["b"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert m["roc_auc"]["per_class"]["a"] == 1.0
    assert m["roc_auc"]["macro"] == pytest.approx(np.mean(list(m["roc_auc"]["per_class"].values())))


def test_calibration_error_by_hand():
    # two bins are in use: (.6, .667] with confidence .65 twice, one right; (.867, .933] with .9 twice, both right
    p = np.array([[0.65, 0.35], [0.65, 0.35], [0.9, 0.1], [0.9, 0.1]])
    m = ev.evaluate(np.array([0, 1, 0, 0]), p, ["a", "b"])
    assert m["expected_calibration_error"] == pytest.approx((2 * abs(0.5 - 0.65) + 2 * abs(1 - 0.9)) / 4)


@pytest.mark.parametrize(
    ("correct", "n", "interval"),
    [
        # Newcombe 1998, table I (the score method)
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (20, 20, (0.8389, 1.0)),
    ],
)
def test_wilson_interval_is_the_published_one(correct, n, interval):
    assert ev.wilson(correct, n) == pytest.approx(interval, abs=5e-5)


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.01, 0.999))
def test_wilson_interval_holds_the_accuracy(counts, confidence):
    low, high = ev.wilson(*counts, confidence)
    assert 0 <= low <= counts[0] / counts[1] <= high <= 1


@pytest.mark.parametrize("arguments", [(1, 0), (-1, 5), (6, 5), (1, 5, 0.0), (1, 5, 1.0)])
def test_wilson_refuses_what_is_no_proportion(arguments):
    with pytest.raises(RequestError, match=r"^(correct|confidence)="):
        ev.wilson(*arguments)


@pytest.mark.parametrize(("n", "k", "signal"), [(500, 2, 0.5), (2000, 10, 2.0), (2350, 47, 1.0)])
def test_agrees_with_scikit_learn(n, k, signal):
    from sklearn import metrics as sk

    y, p32 = drawn(n, k, signal)
    p = p32.astype(float) / p32.astype(float).sum(axis=1, keepdims=True)
    m = ev.evaluate(y, p32, [str(c) for c in range(k)])
    one_hot = np.eye(k, dtype=int)[y]
    assert m["loss"] == sk.log_loss(y, p)
    assert m["accuracy"] == sk.accuracy_score(y, p.argmax(axis=1))
    assert m["macro"]["f1"] == pytest.approx(sk.f1_score(y, p.argmax(axis=1), average="macro"), rel=1e-12)
    for average in ("macro", "micro"):
        auc, ap = (sk.roc_auc_score, sk.average_precision_score)
        assert m["roc_auc"][average] == pytest.approx(auc(one_hot, p, average=average), rel=1e-12)
        assert m["average_precision"][average] == pytest.approx(ap(one_hot, p, average=average), rel=1e-12)
    if k > 2:
        assert m["top2_accuracy"] == sk.top_k_accuracy_score(y, p, k=2)
    assert m["confusion_matrix"] == sk.confusion_matrix(y, p.argmax(axis=1)).tolist()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(predictions(), st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(prediction, random):
    y, p = prediction
    names = [str(c) for c in range(p.shape[1])]
    order = list(range(len(y)))
    random.shuffle(order)
    m, shuffled = ev.evaluate(y, p, names), ev.evaluate(y[order], p[order], names)
    assert json.dumps(m["confusion_matrix"]) == json.dumps(shuffled["confusion_matrix"])
    assert m["roc_auc"]["micro"] == pytest.approx(shuffled["roc_auc"]["micro"], rel=1e-12)
    assert m["loss"] == pytest.approx(shuffled["loss"], rel=1e-12)
    assert list(m) == list(shuffled)


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_what_always_holds(prediction):
    y, p = prediction
    m = ev.evaluate(y, p, [str(c) for c in range(p.shape[1])])
    assert json.loads(json.dumps(m, allow_nan=False)) == m  # plain numbers, no NaN
    assert np.sum(m["confusion_matrix"]) == m["n"] == len(y)
    assert np.trace(m["confusion_matrix"]) == m["correct"]
    assert m["accuracy_interval"][0] <= m["accuracy"] <= m["accuracy_interval"][1]
    assert m["accuracy"] <= m["top2_accuracy"] <= 1  # ties included
    assert 0 <= m["expected_calibration_error"] <= 1
    assert sum(row["support"] for row in m["per_class"]) == len(y)


def test_a_class_without_images_is_none_and_outside_the_macro_mean():
    m = ev.evaluate(np.array([0, 0, 1]), np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.1, 0.8, 0.1]]), NAMES)
    assert m["per_class"][2] == {"class": "c", "precision": None, "recall": None, "f1": None, "support": 0}
    assert m["roc_auc"]["per_class"]["c"] is None
    assert m["average_precision"]["per_class"]["c"] is None
    assert m["macro"]["recall"] == pytest.approx((0.5 + 1) / 2)
    assert m["roc_auc"]["macro"] == pytest.approx(np.mean([0.75, 1.0]))  # a: .7 and .1 against .1


def test_labels_of_one_class_only():
    p = np.array([[0.7, 0.3], [0.4, 0.6]])
    m = ev.evaluate(np.array([0, 0]), p, ["a", "b"])
    assert m["roc_auc"]["per_class"] == {"a": None, "b": None}
    assert m["roc_auc"]["macro"] is None
    assert m["average_precision"]["per_class"] == {"a": 1.0, "b": None}
    assert list(dict.fromkeys(ev.roc_curves(np.array([0, 0]), p, ["a", "b"])["curve"])) == ["micro"]
    with pytest.raises(RunError, match="only one class"):
        ev.SCORES["roc_auc_macro"](np.array([0, 0]), p)


def test_a_single_class():
    m = ev.evaluate(np.zeros(3, int), np.ones((3, 1), np.float32), ["only"])
    assert (m["accuracy"], m["loss"], m["top2_accuracy"], m["roc_auc"]["micro"]) == (1.0, 0.0, 1.0, None)
    assert ev.roc_curves(np.zeros(3, int), np.ones((3, 1)), ["only"])["curve"] == []


def test_an_empty_part():
    y, p = np.zeros(0, int), np.zeros((0, 3), np.float32)
    m = ev.evaluate(y, p, NAMES)
    assert m == {"n": 0}
    assert list(ev.classification_report(m)) == ["class", "precision", "recall", "f1", "support"]
    assert ev.roc_curves(y, p, NAMES)["curve"] == []
    assert ev.precision_recall_curves(y, p, NAMES)["curve"] == []
    assert len(ev.worst_mistakes(y, p)) == 0


def test_a_certain_mistake_has_a_finite_loss():
    m = ev.evaluate(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]], np.float32), ["a", "b"])
    assert m["loss"] == pytest.approx(-math.log(np.finfo(float).eps) / 2)


@pytest.mark.parametrize(
    "row", [[np.nan, 0.5, 0.5], [np.inf, 0, 0], [-0.1, 0.6, 0.5], [0.2, 0.2, 0.2], [0, 0, 0]], ids=str
)
def test_rows_that_are_no_probabilities_fail_the_run(row):
    p = PROBABILITIES.copy()
    p[3] = row
    for score in (ev.evaluate, ev.roc_curves, ev.precision_recall_curves):
        with pytest.raises(RunError, match=r"^probabilities\[3\]=.*sum to 1.*\(1 of 6"):
            score(LABELS, p, NAMES)
    for name, score in ev.SCORES.items():
        with pytest.raises(RunError, match=r"^probabilities\[3\]"):
            assert score(LABELS, p) == name


@pytest.mark.parametrize(
    ("labels", "probabilities", "key"),
    [
        (LABELS[:5], PROBABILITIES, "labels"),
        (LABELS, PROBABILITIES[:, :2], "probabilities"),
        (LABELS, PROBABILITIES[0], "probabilities"),
        (LABELS + 1, PROBABILITIES, "labels"),
        (LABELS - 1, PROBABILITIES, "labels"),
        (LABELS / 1.0, PROBABILITIES, "labels"),
    ],
)
def test_shapes_and_labels_that_do_not_fit(labels, probabilities, key):
    with pytest.raises(RequestError, match=rf"^{key}=.*: must (be|have) .+$"):
        ev.evaluate(labels, probabilities, NAMES)


def test_names_that_collide_are_told_apart():
    m = ev.evaluate(LABELS, PROBABILITIES, ["x", "micro", "x"])
    assert list(m["roc_auc"]["per_class"]) == ["x", "micro (class 1)", "x (class 2)"]
    curves = ev.roc_curves(LABELS, PROBABILITIES, ["x", "micro", "x"])
    assert list(dict.fromkeys(curves["curve"])) == ["x", "micro (class 1)", "x (class 2)", "micro", "macro"]


@pytest.mark.parametrize(("k", "signal"), [(2, 0.0), (10, 0.0), (10, 3.0)])
def test_thinned_curves_keep_their_area(k, signal):
    from sklearn.metrics import auc

    y, p = drawn(20_000, k, signal)
    names = [str(c) for c in range(k)]
    m = ev.evaluate(y, p, names)
    roc, pr = (pd.DataFrame(table) for table in ev.curves(y, p, names))
    for name, rows in roc.groupby("curve"):
        expected = m["roc_auc"]["per_class"].get(name) or m["roc_auc"][name]
        assert auc(rows["fpr"], rows["tpr"]) == pytest.approx(expected, abs=1e-3)
    for name, rows in pr.groupby("curve"):
        expected = m["average_precision"]["per_class"].get(name) or m["average_precision"][name]
        area = np.sum(np.diff(rows["recall"]) * rows["precision"].to_numpy()[1:])
        assert area == pytest.approx(expected, abs=1e-3)
    for curves in (roc, pr):
        assert curves.groupby("curve").size().max() <= ev.POINTS
        assert curves.groupby("curve")[curves.columns[1]].is_monotonic_increasing.all()


def test_roc_curve_by_hand():
    rows = pd.DataFrame(ev.roc_curves(LABELS, PROBABILITIES, NAMES))
    b = rows[rows["curve"] == "b"]
    # falling threshold: .7 and .5 are images of b, at .3 one of b and one other, at .1 the two others
    assert b["fpr"].tolist() == pytest.approx([0, 0, 0, 1 / 3, 1], abs=1e-6)
    assert b["tpr"].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1, 1], abs=1e-6)
    assert b["threshold"].tolist() == pytest.approx([np.inf, 0.7, 0.5, 0.3, 0.1])
    assert rows.loc[rows["curve"] == "macro", "threshold"].isna().all()


def test_classification_report_is_a_table_with_averages():
    report = pd.DataFrame(ev.classification_report(ev.evaluate(LABELS, PROBABILITIES, NAMES))).set_index("class")
    assert list(report.index) == ["a", "b", "c", "accuracy", "macro avg", "weighted avg"]
    assert report.loc["accuracy", "f1"] == pytest.approx(4 / 6)
    assert np.isnan(report.loc["accuracy", "precision"])
    assert report["support"].tolist() == [1, 3, 2, 6, 6, 6]


def test_worst_mistakes_come_most_confident_first_and_ties_in_order():
    assert ev.worst_mistakes(LABELS, PROBABILITIES).tolist() == [1, 5]
    assert ev.worst_mistakes(LABELS, PROBABILITIES, count=1).tolist() == [1]
    p = np.full((4, 2), 0.5)
    assert ev.worst_mistakes(np.array([1, 0, 1, 1]), p).tolist() == [0, 2, 3]


def test_scores_are_the_metrics():
    m = ev.evaluate(LABELS, PROBABILITIES, NAMES)
    expected = {
        "loss": m["loss"],
        "accuracy": m["accuracy"],
        "f1_macro": m["macro"]["f1"],
        "roc_auc_macro": m["roc_auc"]["macro"],
        "top2_accuracy": m["top2_accuracy"],
    }
    assert {name: score(LABELS, PROBABILITIES) for name, score in ev.SCORES.items()} == pytest.approx(expected)
    assert set(ev.SCORES) >= ev.LOWER_IS_BETTER == {"loss"}


@pytest.mark.process
def test_importing_is_light():
    heavy = "{'sklearn', 'pandas', 'matplotlib', 'scipy'}"
    code = f"import sys, mnistlab.metrics.classification; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    processes.run([sys.executable, "-c", code], check=True)
