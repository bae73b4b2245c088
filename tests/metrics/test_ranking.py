"""Rankings: bit for bit those of scikit-learn, with and without equal scores."""

import numpy as np
import pytest
from sklearn import metrics as sk

from mnistlab.metrics import classification, ranking


@pytest.mark.parametrize("levels", [2, 3, 20, 10**9])
@pytest.mark.parametrize("n", [2, 3, 40, 3000])
def test_curves_are_those_of_scikit_learn(n, levels):
    rng = np.random.default_rng(n)
    truth, score = rng.permutation(np.arange(n) % 2 == 0), rng.integers(0, levels, n) / levels
    counts = ranking.counts(truth, score)
    for ours, theirs in zip(ranking.roc(counts), sk.roc_curve(truth, score), strict=True):
        assert np.array_equal(ours, theirs)
    recall, precision, threshold = ranking.precision_recall(counts)
    expected = sk.precision_recall_curve(truth, score, drop_intermediate=True)
    assert np.array_equal(precision, expected[0][::-1])
    assert np.array_equal(recall, expected[1][::-1])
    assert np.array_equal(threshold[1:], expected[2][::-1])
    fpr, tpr, _ = sk.roc_curve(truth, score, drop_intermediate=False)
    area, average_precision = ranking.area_and_precision(counts)
    assert area == sk.auc(fpr, tpr)
    assert average_precision == pytest.approx(sk.average_precision_score(truth, score), rel=1e-12)


@pytest.mark.parametrize(("k", "n"), [(2, 30), (3, 7), (10, 5000)])
def test_scores_of_the_classes_are_those_of_scikit_learn(k, n):
    rng = np.random.default_rng(k)
    y, p = rng.permutation(np.arange(n) % k), rng.dirichlet(np.ones(k), n)
    found = classification.evaluate(y, p, [str(c) for c in range(k)], ranked=False)
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        y, p.argmax(axis=1), labels=range(k), zero_division=0
    )
    for key, expected in {"precision": precision, "recall": recall, "f1": f1, "support": support}.items():
        assert [row[key] for row in found["per_class"]] == expected.tolist()
    assert classification.f1_macro(y, p) == sk.f1_score(y, p.argmax(axis=1), labels=np.unique(y), average="macro")
    assert "roc_auc" not in found
    assert "average_precision" not in found
