"""The audit of data: label errors as cleanlab ranks them, copies that are all found, the files and their command."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistlab.analysis.audit import duplicates, label_errors
from mnistlab.analysis.audit.audit import audited
from mnistlab.data.dataset import Pool, Split
from mnistlab.data.sources.bundled import Digits
from mnistlab.metrics import ranking
from mnistlab.system.errors import RequestError


def flipped(share: float, seed: int = 0, n: int = 3000, classes: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels of which a share is wrong, which those are, and probabilities of a fallible model."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    wrong = rng.random(n) < share
    labels = np.where(wrong, (truth + rng.integers(1, classes, n)) % classes, truth)
    logits = rng.normal(0, 1.5, (n, classes))
    logits[np.arange(n), truth] += 5
    p = np.exp(logits)
    return labels, wrong, p / p.sum(axis=1, keepdims=True)


def auroc(wrong: np.ndarray, score: np.ndarray) -> float:
    area = ranking.area_and_precision(ranking.counts(wrong, score))[0]
    assert area is not None
    return area


def as_cleanlab(labels: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return label quality and confident joint by the formulas of the paper, one image after the other."""
    n, k = p.shape
    thresholds = [np.mean([p[i, j] for i in range(n) if labels[i] == j]) for j in range(k)]
    joint = np.zeros((k, k), int)
    for i in range(n):
        confident = [j for j in range(k) if p[i, j] >= thresholds[j]]
        if confident:
            joint[labels[i], max(confident, key=lambda j: p[i, j])] += 1
    return np.array([p[i, labels[i]] for i in range(n)]), joint


@pytest.mark.parametrize("share", [0.01, 0.03, 0.1])
def test_flipped_labels_are_ranked_as_by_the_paper(share: float) -> None:
    labels, wrong, p = flipped(share)
    found = label_errors.find(labels, p)
    quality, joint = as_cleanlab(labels, p)
    assert abs(auroc(wrong, -found.quality) - auroc(wrong, -quality)) < 0.01
    assert auroc(wrong, -found.quality) > 0.97
    np.testing.assert_array_equal(label_errors.confident_joint(labels, p), joint)
    flagged = found.is_error
    assert wrong[flagged].mean() > 0.6  # most of what counts as an error is one
    assert flagged[wrong].mean() > 0.5  # and most errors are found


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_flipped_labels_are_ranked_as_by_cleanlab(share: float) -> None:
    cleanlab = pytest.importorskip("cleanlab", reason="cleanlab is an oracle for this test only")
    labels, wrong, p = flipped(share)
    theirs = cleanlab.rank.get_label_quality_scores(labels, p)
    found = label_errors.find(labels, p)
    assert abs(auroc(wrong, -found.quality) - auroc(wrong, -theirs)) < 0.01
    issues = cleanlab.filter.find_label_issues(labels, p, filter_by="confident_learning")
    assert (issues != found.is_error).mean() < 0.005


def test_a_label_error_by_hand() -> None:
    # thresholds: mean of .9 .8 .3 = .667 for class 0, of .6 .9 .2 = .567 for class 1
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6], [0.1, 0.9], [0.8, 0.2]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(label_errors.thresholds(labels, p), [2 / 3, 1.7 / 3])
    found = label_errors.find(labels, p)
    assert found.is_error.tolist() == [False, False, True, False, False, True]
    assert found.suggested.tolist() == [0, 0, 1, 1, 1, 0]
    assert found.ranked().tolist() == [5, 2, 3, 1, 0, 4]


def test_a_class_without_images_is_never_suggested() -> None:
    found = label_errors.find(np.array([0, 0, 1]), np.array([[0.2, 0.1, 0.7], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]]))
    assert not found.is_error.any()
    with pytest.raises(RequestError, match="one label is needed for each row"):
        label_errors.find(np.array([0]), np.zeros((2, 2)))


# --- copies ---


def planted(images: np.ndarray, kinds: int = 5, each: int = 12) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return images after which copies of some are appended, and the pairs."""
    rng = np.random.default_rng(1)
    inside = ~(images[:, [0, -1]].any(axis=(1, 2)) | images[:, :, [0, -1]].any(axis=(1, 2)))  # none is cut by a shift
    sources = rng.choice(np.flatnonzero(inside), kinds * each, replace=False)
    copies = []
    for i, source in enumerate(sources):
        image = images[source].astype(float)
        if i % kinds == 1:
            image += rng.normal(0, 6, image.shape)
        elif i % kinds == 2:
            image = 0.7 * image + 20
        elif i % kinds == 3:
            image = np.roll(image, (1, -1), (0, 1))
        elif i % kinds == 4:
            image[rng.integers(28), rng.integers(28)] = 255
        copies.append(np.clip(np.rint(image), 0, 255).astype(np.uint8))
    together = np.concatenate([images, np.array(copies)])
    return together, [(int(source), len(images) + i) for i, source in enumerate(sources)]


def mnist5k() -> np.ndarray:
    from mnistlab.data.sources.bundled import Mnist5k

    return np.asarray(Mnist5k().read().train.images)


@pytest.mark.slow
def test_all_planted_copies_are_found() -> None:
    images, pairs = planted(mnist5k()[::2])
    found = duplicates.find(images)
    assert {(pair.first, pair.second) for pair in found} >= set(pairs)
    assert len(found) < len(pairs) + 20
    identical = {(pair.first, pair.second) for pair in found if pair.is_identical}
    assert identical >= set(pairs[::5])
    assert [pair.similarity for pair in found] == sorted((pair.similarity for pair in found), reverse=True)


def test_they_are_those_of_comparing_all_pixels_of_all_pairs() -> None:
    images = planted(mnist5k()[::8], each=4)[0]
    found = {(pair.first, pair.second) for pair in duplicates.find(images, 0.9)}
    expected = set()
    for version in (images, duplicates.centred(images)):
        flat = version.reshape(len(images), -1).astype(float)
        r = np.corrcoef(flat)
        expected |= {(int(i), int(j)) for i, j in zip(*np.nonzero(r >= 0.9), strict=True) if i < j}
    firsts = set(duplicates.identical(images)[0].tolist())
    assert {pair for pair in found if set(pair) <= firsts} == {pair for pair in expected if set(pair) <= firsts}


def test_many_equal_images_are_paired_with_the_first_only() -> None:
    images = np.zeros((50, 4, 4), np.uint8)
    images[40:] = 7
    found = duplicates.find(images)
    assert [(pair.first, pair.second) for pair in found] == [
        *((0, i) for i in range(1, 40)),
        *((40, i) for i in range(41, 50)),
    ]
    assert all(pair.is_identical for pair in found)


def test_too_many_pairs_are_refused_as_soon_as_they_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 20, (100, 8, 8)).astype(np.uint8)
    images[:, :4] += 100  # all are alike
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 4950)
    assert len(duplicates.find(images, 0.5)) == 4950
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 4949)
    with pytest.raises(RequestError, match=r"^--similarity 0\.5: more than 4,949 pairs; use a higher one$"):
        duplicates.find(images, 0.5)


@pytest.mark.slow
def test_sixty_thousand_images_take_at_most_two_minutes(mnist: Path) -> None:
    from mnistlab.data.sources.published import NamedSource

    images, pairs = planted(np.asarray(NamedSource(name="mnist").read().train.images[:59_940]))
    started = time.process_time()
    found = duplicates.find(images)
    assert time.process_time() - started < 120
    assert {(pair.first, pair.second) for pair in found} >= set(pairs)


def audit_of(train: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    """Return the counts of the audit of some images, of which those of the test part are scored."""
    labels = [np.arange(len(images)) % 2 for images in (train, test)]
    pool = Pool("own", Split(train, labels[0]), Split(test, labels[1]), ("a", "b"))
    scored = np.arange(len(train), len(train) + len(test))
    return dict(audited(pool, scored, np.tile([[0.9, 0.1]], (len(test), 1)), {}, 0.98).about)


def test_all_of_several_identical_images_are_copies_of_what_the_first_is_a_copy_of() -> None:
    rng = np.random.default_rng(0)
    train = rng.integers(10, 245, (20, 28, 28)).astype(np.uint8)
    noisy = train[3] + rng.integers(0, 4, (28, 28)).astype(np.uint8)  # a copy with noise
    other = rng.integers(0, 255, (28, 28)).astype(np.uint8)
    about = audit_of(train, np.stack([noisy, noisy, noisy, other, train[5], other]))
    left = [line["n"] for line in about["scores"] if line["images"] == "without copies of training images"]
    assert left == [2]  # the other image and its copy in the test part


# --- the command ---


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_audit_by_cross_validation_writes_its_lists(command: Callable[..., Any]) -> None:
    pool = Digits().read()
    images = np.concatenate([pool.train.images, pool.test.images])
    labels = np.concatenate([pool.train.labels, pool.test.labels])
    images, labels = np.concatenate([images, images[:5]]), np.concatenate([labels, labels[:5]])
    labels[100:110] = (labels[100:110] + 3) % 10
    np.savez("own.npz", images=images, labels=labels)
    line = ["data", "audit", "data=npz", "data.path=own.npz", "model=mlp_1hidden", "trainer.epochs=8", "--folds", "3"]
    result = command(*line, "--to", "found", "--json")
    assert result.status == 0, result.err
    about = json.loads(result.out)
    assert (about["folder"], about["images"], about["scored"], about["by"]) == ("found", 1802, 1802, "3 folds")
    assert about["identical"] >= 5
    suspicious = rows(Path("found/label_errors.csv"))
    assert len(suspicious) == 1802
    qualities = [float(row["quality"]) for row in suspicious]
    assert qualities == sorted(qualities)
    assert sum(row["is_error"] == "1" for row in suspicious) == about["label_errors"]
    train, test = (
        np.load("own.npz")["labels"],
        rows(Path("found/duplicates.csv")),
    )
    assert len(train) == 1802
    assert sum(row["identical"] == "1" for row in test) >= 5
    kinds = [(line["part"], line["images"]) for line in about["scores"]]
    assert ("test", "without copies of training images") in kinds


def uniform(*_arguments: Any) -> np.ndarray:
    return np.full((1797, 10), 0.1)


def test_every_audit_has_its_own_folder_before_it_computes(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mnistlab.sweeps.gridsearch import out_of_sample

    claimed: list[int] = []

    def probabilities(*arguments: Any) -> np.ndarray:
        claimed.append(len(list(Path("outputs/audit").iterdir())))
        return uniform(*arguments)

    monkeypatch.setattr(out_of_sample, "probabilities", probabilities)
    folders = [
        json.loads(command("data", "audit", "data=digits", "--folds", folds, "--json").out)["folder"] for folds in "23"
    ]
    assert folders[1] == f"{folders[0]}-2"
    assert [json.loads(Path(folder, "audit.json").read_text())["by"] for folder in folders] == ["2 folds", "3 folds"]
    assert claimed == [1, 2]


def test_an_audit_that_fails_leaves_no_folder(command: Callable[..., Any]) -> None:
    assert command("data", "audit", "data=digits", "--folds", "5000").status == 2
    assert not Path("outputs").exists()


def test_a_job_of_a_sweep_is_a_run(command: Callable[..., Any]) -> None:
    Path("sweep/optimizer.lr=0.1,seed=0").mkdir(parents=True)
    result = command("data", "audit", "sweep/optimizer.lr=0.1,seed=0", "--folds", "3")
    assert "--folds 3: a run is audited by its own predictions" in result.err


@pytest.mark.slow
def test_an_audit_of_a_run_uses_its_validation_and_test_images(
    command: Callable[..., Any], train: Callable[..., Path]
) -> None:
    run = train("data.limit=600", "data.test_limit=200", "seed=4")
    result = command("data", "audit", str(run), "--to", "found")
    assert result.status == 0, result.err
    assert "5,000 images, 260 of them scored by the run" in result.out
    found = rows(Path("found/label_errors.csv"))
    assert {row["part"] for row in found} == {"train", "test"}
    from mnistlab.data.sources.bundled import Mnist5k
    from mnistlab.system.readers import read_arrays

    pool, saved = Mnist5k().read(), read_arrays(run / "predictions.npz")
    test = {int(row["row"]): row for row in found if row["part"] == "test"}
    assert sorted(test) == saved["rows"].tolist()
    for place, row in enumerate(saved["rows"]):
        assert int(test[row]["label"]) == pool.test.labels[row]
        expected = saved["probabilities"][place, saved["labels"][place]]
        assert float(test[row]["quality"]) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "audit", "nowhere"], "nowhere: no such"),
        (["data", "audit", "data=digits", "--folds", "1"], "--folds 1: must be a whole number of 2 or more"),
        (["data", "audit", "data=digits", "--similarity", "1.5"], "--similarity 1.5: must be a number from 0.5 to 1"),
        (["data", "audit", "data=digits", "data.limit=50"], "data.limit: an audit is of all images"),
        (["data", "audit", "data=digits", "--folds", "5000"], "--folds 5000: there are only 1,797 images"),
        (["data", "show", "data=digits", "--folds", "3"], "--folds 3: this option is for audit"),
        (["data", "list", "--similarity", "0.9"], "--similarity 0.9: this option is for audit"),
    ],
)
def test_a_wrong_request_is_one_line(command: Callable[..., Any], arguments: list[str], message: str) -> None:
    result = command(*arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"mnistlab data: error: {message}")
    assert result.err.count("\n") == 1
