"""Models of scikit-learn: the same splits, metrics and files as a network, and nothing of what they do not use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.tables import thinned

from mnistlab.config import options, schema
from mnistlab.config.compose import compose
from mnistlab.data.loading import load
from mnistlab.data.sources.registry import SOURCES
from mnistlab.models.sklearn import SKLEARN_MODELS, Fitted, SklearnModel, features
from mnistlab.runs import record
from mnistlab.sweeps import records

Command = Callable[..., Any]
OPTIONS = [name for name in options.option_names("model") if issubclass(schema.schema_of("model", name), SklearnModel)]
SMALL = ("data=digits", "data.limit=300", "report.plots=none", "trainer.threads=1")
FEW = {
    "gradient_boosting": ["model.iterations=5"],
    "mlpclassifier": ["model.epochs=30"],
    "random_forest": ["model.trees=5"],
}


@pytest.fixture(scope="module")
def digits() -> Any:
    return load(SOURCES["digits"](limit=300), np.random.default_rng(0))


def model(option: str, *overrides: str) -> SklearnModel:
    made = schema.experiment(compose([f"model={option}", *FEW.get(option, []), *overrides])).model
    assert isinstance(made, SklearnModel)
    return made


def test_every_schema_has_an_option() -> None:
    assert {schema.schema_of("model", name) for name in OPTIONS} == set(SKLEARN_MODELS.values())


@pytest.mark.parametrize("option", OPTIONS)
def test_every_model_gives_probabilities_and_learns(option: str, digits: Any) -> None:
    fitted = Fitted(model(option), digits, 0, 1)
    probs = fitted.predict(digits.test.images)
    assert probs.shape == (len(digits.test), 10)
    assert (probs >= 0).all()
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    assert (probs.argmax(axis=1) == digits.test.labels).mean() > 0.5
    assert fitted.predict(digits.test.images[:0]).shape == (0, 10)


def test_a_machine_is_the_one_of_scikit_learn(digits: Any) -> None:
    from sklearn.svm import SVC

    fitted = Fitted(model("svm_rbf", "model.C=10", "model.gamma=0.01"), digits, 0, 1)
    shown = digits.test.images.reshape(len(digits.test), -1) * digits.scale
    x = features(digits.train.images, digits.shift, digits.scale)
    theirs = SVC(C=10, gamma=0.01, break_ties=True).fit(x, digits.train.labels)
    assert np.array_equal(fitted.predict(digits.test.images).argmax(axis=1), theirs.predict(shown))
    assert fitted.learned == {
        "probabilities": "the softmax of the decision values",
        "support_vectors": len(theirs.support_),
    }


def test_calibrated_probabilities_are_those_of_cross_validated_sigmoids(digits: Any) -> None:
    fitted = Fitted(model("svm_linear", "model.probabilities=calibrated"), digits, 0, 1)
    probs = fitted.predict(digits.test.images)
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    assert probs.max() > 0.9


def test_components_and_scaling_stand_in_front_and_know_the_training_part_only(digits: Any) -> None:
    fitted = Fitted(model("knn", "model.pca=12", "model.standardize=true"), digits, 0, 1)
    scaler, pca, _ = (step for _, step in fitted.pipeline.steps)
    x = features(digits.train.images, digits.shift, digits.scale)
    np.testing.assert_allclose(scaler.mean_, x.mean(axis=0))
    assert pca.components_.shape == (12, 64)
    assert fitted.learned["components"] == 12


def test_a_class_that_was_never_seen_has_probability_zero(digits: Any) -> None:
    from dataclasses import replace

    without = np.flatnonzero(digits.train.labels != 3)
    fitted = Fitted(model("knn"), replace(digits, train=digits.train.take(without)), 0, 1)
    assert (fitted.predict(digits.test.images)[:, 3] == 0).all()


def test_a_run_leaves_what_goes_with_it_and_nothing_of_a_network(command: Command) -> None:
    result = command("train", *SMALL, "model=svm_rbf", "report.plots=all", "hydra.run.dir=run")
    assert result.status == 0, result.err
    assert "SVM (scikit-learn)" in result.out and "Adam" not in result.out
    names = {path.name for path in Path("run").iterdir()}
    assert names == {
        *(".hydra", "status.json", "environment.json", "metrics.json", "predictions.npz", "train.log", "plots"),
        *("classification_report.csv", "confusion_matrix.csv", "roc.csv", "precision_recall.csv"),
        *("class_distribution.csv", "mistakes.npz", "samples.npz", "report.html", "run.json"),
    }
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["learner"] == "scikit-learn"
    assert not {"epochs", "best_epoch", "kept_epoch", "stopped_early"} & {*metrics}
    assert {path.stem for path in Path("run/plots").glob("*.png")} >= {"confusion_matrix", "roc"}
    assert "curves" not in {path.stem for path in Path("run/plots").iterdir()}


@pytest.mark.slow
def test_a_curve_says_what_ranks_its_images(command: Command) -> None:
    for kind, said in (("scores", "the softmax of the decision values"), ("calibrated", "Platt's sigmoids")):
        words = ("data.limit=200", "data.test_limit=100", f"model.probabilities={kind}", f"hydra.run.dir={kind}")
        assert command("train", "model=svm_linear", *words).status == 0
        assert f"Images are ranked by {said}" in Path(kind, "plots", "roc.txt").read_text()
        assert json.loads(Path(kind, "metrics.json").read_text())["probabilities"].startswith(said)


def test_the_same_seed_gives_the_same_bytes(command: Command) -> None:
    for place in ("a", "b"):
        assert command("train", *SMALL, "model=random_forest", "model.trees=5", f"hydra.run.dir={place}").status == 0
    assert Path("a/metrics.json").read_bytes() == Path("b/metrics.json").read_bytes()


@pytest.mark.slow
def test_what_it_does_not_use_makes_no_other_experiment(command: Command) -> None:
    for place, lr in (("a", 0.1), ("b", 0.2)):
        assert command("train", *SMALL, "model=knn", f"optimizer.lr={lr}", f"hydra.run.dir={place}").status == 0
    assert len(record.grouped(records.of_paths(["a", "b"]))) == 1
    found = [record.read(Path(place)).state.config_hash for place in "ab"]
    assert found[0] == found[1]


def test_what_it_does_not_use_is_said(command: Command) -> None:
    result = command("train", *SMALL, "model=knn", "optimizer=adam", "trainer.epochs=3", "trainer.threads=1")
    assert result.status == 0
    assert "warning: optimizer=adam, trainer.epochs=3: a scikit-learn model does not use this setting\n" in result.err
    assert "its own ways" not in command("train", *SMALL, "model=knn", "trainer.threads=1", "report.plots=none").err


@pytest.mark.slow
def test_learners_of_all_kinds_stand_in_one_table(command: Command) -> None:
    request = ("model=knn,svm_linear,softmax", "trainer.epochs=3", "hydra/launcher=basic", "hydra.sweep.dir=s")
    result = command("train", "-m", *SMALL, *request)
    assert result.status == 0, result.err
    assert [group.name for group in record.grouped(records.of_sweep(Path("s")))] == [
        "model=knn",
        "model=svm_linear",
        "model=softmax",
    ]


@pytest.mark.slow
def test_a_sweep_of_them_names_its_experiments_and_draws_no_training(command: Command) -> None:
    words = ("experiment=oxford/svm_rbf,oxford/svm_linear", "data=digits", "data.limit=100", "report.plots=core")
    assert command("train", "-m", *words, "hydra/launcher=basic", "hydra.sweep.dir=s").status == 0
    assert sorted(path.stem for path in Path("s/plots").glob("*.png")) == ["ranking"]
    text = Path("s/summary.md").read_text()
    assert "| 0 | oxford/svm_rbf | completed |" in text
    assert "| 1 | oxford/svm_linear | completed |" in text


WRONG = [
    (
        ["model=svm_rbf", "model.pca=0.0"],
        "model.pca=0.0: must be a number of components, 1 or more, or the share of the variance that they explain, "
        "above 0 and below 1",
    ),
    (["model=mlpclassifier", "model.hidden=64"], "model.hidden=64: must be a list, for example hidden=[64]"),
    (
        ["model=svm_rbf", "data.limit=30", "data.validation=0", "model.probabilities=calibrated"],
        "model.probabilities=calibrated: calibration uses 5-fold cross-validation, but one class has only 3 "
        "training images; ",
    ),
    (["model=knn", "model.neighbours=0"], "model.neighbours=0: the number of neighbours must be"),
    (["model=knn", "model.neighbours=1000"], "model.neighbours=1000: the training set has only "),
    (["model=knn", "model.pca=65"], "model.pca=65: "),
    (["model=knn", "model.pca=1.5"], "model.pca=1.5: "),
    (["model=knn", "model.p=0.5"], "model.p=0.5: must be 1 or more"),
    (["model=svm_rbf", "model.C=-1"], "model.C=-1.0: the cost must be positive"),
    (["model=svm_rbf", "model.gamma=wide"], "model.gamma=wide: choose one of scale, auto"),
    (["model=svm_rbf", "model.kernel=cubic"], "model.kernel=cubic: choose one of "),
    (["model=svm_rbf", "model.hidden=[3]"], "model.hidden: unknown key; model=svm_rbf has "),
    (["model=mlpclassifier", "model.activation=gelu"], "model.activation=gelu: choose one of "),
    (["model=random_forest", "model.trees=0"], "model.trees=0: the number of trees must be"),
    (["model=gradient_boosting", "model.leaves=1"], "model.leaves=1: the number of leaves"),
]


@pytest.mark.parametrize(("overrides", "message"), thinned(WRONG, 3))
def test_a_wrong_setting_is_one_line(overrides: list[str], message: str, command: Command) -> None:
    result = command("train", *SMALL, *overrides)
    assert (result.status, result.out.count("test accuracy")) == (2, 0)
    (line,) = result.err.splitlines()
    assert line.startswith(f"mnistlab train: error: {message}")


@pytest.mark.parametrize("name", ["explain", "gradcheck"])
def test_there_are_no_layers_to_look_at(name: str, command: Command) -> None:
    result = command(name, "model=knn")
    assert (result.status, result.err) == (
        2,
        f"mnistlab {name}: error: model: KNN is a scikit-learn model and has no layers; choose a network, "
        "for example model=lenet5\n",
    )


def test_its_model_cannot_be_evaluated_again(command: Command) -> None:
    assert command("train", *SMALL, "model=knn", "hydra.run.dir=run").status == 0
    result = command("evaluate", "run")
    assert result.status == 2
    assert "run: scikit-learn models are not saved, because that would need pickle" in result.err


def test_a_machine_on_many_images_says_how_long_it_will_take() -> None:
    made = model("svm_rbf")
    assert made.guess(9_999, 784) == ""
    assert "takes about 142 min" in made.guess(60_000, 784) or "min, and four times that" in made.guess(60_000, 784)


def test_what_has_not_converged_says_so(command: Command) -> None:
    result = command("train", *SMALL, "model=logistic", "model.iterations=1", "hydra.run.dir=run")
    assert result.status == 0
    assert result.err == (
        "warning: Logistic (scikit-learn) has not converged in 1 iterations; "
        "increase model.iterations or model.epochs\n"
    )
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert (metrics["iterations"], metrics["converged"]) == (1, False)


def test_batches_are_no_larger_than_the_training_part(command: Command) -> None:
    words = ("model=mlpclassifier", "model.epochs=2", "data.limit=100", "data.validation=0", "hydra.run.dir=run")
    assert "batch_size" not in command("train", *SMALL, *words).err


def test_boosting_learns_from_all_images_as_often_as_it_was_told() -> None:
    assert model("gradient_boosting").estimator(0, 1).early_stopping is False


def test_what_scikit_learn_cannot_fit_is_a_failed_run(command: Command) -> None:
    words = ("model=svm_poly", "model.degree=150", "model.coef0=1e300", "hydra.run.dir=run")
    result = command("train", *SMALL, *words)
    assert result.status == 1
    assert result.err.startswith("mnistlab train: error: SVM (scikit-learn) could not be fitted: ")
    assert result.err.count("\n") == 1
