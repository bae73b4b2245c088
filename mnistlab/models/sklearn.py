"""scikit-learn models with the same `predict` as the networks: images in, probabilities out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar
from warnings import catch_warnings, simplefilter

import numpy as np

from mnistlab.data.dataset import Dataset
from mnistlab.system.errors import Key, RequestError, RunError, choice, fraction, not_negative, number, positive, whole

FOLDS = 5  # of the calibration
SLOW_FROM = 10_000  # training images of a support vector machine, whose training time grows with their square
SECONDS = 3e-9  # of a support vector machine, times images^2 and features: for digits, within a factor of three


class Probabilities(Enum):
    """The source of a support vector machine's probabilities."""

    scores = "scores"  # softmax of the decision values, which ranks the classes but is not calibrated
    calibrated = "calibrated"  # Platt scaling with five-fold cross-validation, which takes five times as long


@dataclass
class SklearnModel:
    """Options of every scikit-learn model: the preprocessing steps.

    ``standardize`` scales every pixel to mean 0 and variance 1; ``pca`` is the number of principal components to keep,
    or the share of the variance that they must explain. Both are fitted on the training set only.
    """

    pca: int | float | None = None
    standardize: bool = False
    note: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if isinstance(self.pca, float):
            if not 0 < self.pca < 1:
                raise RequestError(
                    "must be a number of components, 1 or more, or the share of the variance that they explain, "
                    "above 0 and below 1",
                    key="pca",
                    value=self.pca,
                )
        elif self.pca is not None:
            whole("pca", self.pca, 1, "the number of principal components")

    def estimator(self, seed: int, threads: int) -> Any:
        """Return the estimator itself."""
        raise NotImplementedError

    def pipeline(self, seed: int, threads: int) -> Any:
        """Return the pipeline of the preprocessing steps and the estimator."""
        from sklearn.decomposition import PCA
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        front = [StandardScaler()] if self.standardize else []
        if self.pca is not None:
            front.append(PCA(self.pca, random_state=seed))
        return make_pipeline(*front, self.estimator(seed, threads))

    def check(self, labels: np.ndarray, features: int) -> None:
        """Refuse settings that do not fit the training set with these labels (n,) and so many pixels per image."""
        most = min(len(labels), features)
        if isinstance(self.pca, int) and self.pca > most:
            message = f"{len(labels):,} images of {features} pixels have at most {most:,} components; use fewer"
            raise RequestError(message, key="pca", value=self.pca)
        if len(np.unique(labels)) < 2:
            raise RequestError("the training set has only one class; at least two are needed")

    def adapt(self, pipeline: Any, images: int) -> None:
        """Adapt the pipeline to the number of training images."""

    def guess(self, images: int, features: int) -> str:
        """Return an estimate of the time as one line, or an empty string if it is short."""
        return ""

    @property
    def kind_of_probabilities(self) -> str:
        """What `predict` returns, if that is not simply the model's own probabilities."""
        return ""


def features(images: np.ndarray, shift: float, scale: float) -> np.ndarray:
    """Return images as rows of (pixel - shift) * scale, float64."""
    return (images.reshape(len(images), -1) - shift) * scale


class Fitted:
    """A fitted model; ``predict(images)`` returns probabilities (n, classes), 0 for classes without training images."""

    def __init__(self, model: SklearnModel, dataset: Dataset, seed: int, threads: int) -> None:
        from sklearn.exceptions import ConvergenceWarning

        self.name = f"{type(model).__name__} (scikit-learn)"
        self.shift, self.scale, self.classes = dataset.shift, dataset.scale, len(dataset.class_names)
        self.pipeline, self.kind = model.pipeline(seed, threads), model.kind_of_probabilities
        x = features(dataset.train.images, self.shift, self.scale)
        model.adapt(self.pipeline, len(x))
        with catch_warnings(record=True) as warned:
            simplefilter("always")
            try:
                self.pipeline.fit(x, dataset.train.labels)
            except (ValueError, ArithmeticError) as error:  # from scikit-learn and LAPACK
                raise RunError(f"{self.name} could not be fitted: {' '.join(str(error).split())}") from None
        self.converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in warned)
        others = [warning for warning in warned if not issubclass(warning.category, ConvergenceWarning)]
        self.warnings = list(
            dict.fromkeys(f"{self.name}: {' '.join(str(warning.message).split())}" for warning in others)
        )
        if not self.converged:
            self.warnings.append(
                f"{self.name} has not converged in {self.learned.get('iterations', 'its')} iterations; "
                "increase model.iterations or model.epochs"
            )

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return probabilities, float64."""
        probs = np.zeros((len(images), self.classes))
        if not len(images):
            return probs
        x = features(images, self.shift, self.scale)
        classes = self.pipeline.classes_
        if hasattr(self.pipeline, "predict_proba"):
            probs[:, classes] = self.pipeline.predict_proba(x)
            return probs
        scores = self.pipeline.decision_function(x)
        scores = np.column_stack([-scores, scores]) if scores.ndim == 1 else scores
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        probs[:, classes] = shares / shares.sum(axis=1, keepdims=True)
        return probs

    @property
    def learned(self) -> dict[str, Any]:
        """Return facts about the fitted model: support vectors, parameters, components, the kind of probabilities."""
        last = self.pipeline[-1]
        facts: dict[str, Any] = {"probabilities": self.kind} if self.kind else {}
        iterations: Any = getattr(last, "n_iter_", None)
        if iterations is not None and np.size(iterations) == 1:
            facts["iterations"] = int(np.max(iterations))
            facts["converged"] = self.converged
        if hasattr(last, "n_support_"):
            facts["support_vectors"] = int(np.sum(last.n_support_))
        if hasattr(last, "coefs_"):
            facts["parameters"] = sum(map(np.size, [*last.coefs_, *last.intercepts_]))
        elif hasattr(last, "coef_") and not hasattr(last, "n_support_"):
            facts["parameters"] = int(np.size(last.coef_) + np.size(last.intercept_))
        if "pca" in self.pipeline.named_steps:
            facts["components"] = int(self.pipeline.named_steps["pca"].n_components_)
        return facts


class Kernel(Enum):
    """The kernels of a support vector machine; d is ``degree``, r is ``coef0``."""

    linear = "linear"  # x . y
    poly = "poly"  # (gamma x . y + r)^d
    rbf = "rbf"  # exp(-gamma |x - y|^2)
    sigmoid = "sigmoid"  # tanh(gamma x . y + r)


@dataclass
class SVM(SklearnModel):
    """Support vector machines, one for each pair of classes (Cortes & Vapnik 1995; LIBSVM).

    ``C`` is the cost of a violated margin. ``gamma`` is a number, or ``scale``: 1 / (features x variance), or
    ``auto``: 1 / features. ``coef0`` is the r of the poly and sigmoid kernels.
    """

    kernel: Kernel = Kernel.rbf
    C: float = 1.0
    gamma: Any = "scale"
    degree: int = 3
    coef0: float = 0.0
    probabilities: Probabilities = Probabilities.scores

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("C", self.C, "the cost")
        if isinstance(self.gamma, str):
            choice("gamma", self.gamma, ("scale", "auto"))
        else:
            positive("gamma", self.gamma, "the width")
        whole("degree", self.degree, 1, "the degree of the polynomial")
        number("coef0", self.coef0)

    def estimator(self, seed: int, threads: int) -> Any:
        """Return the estimator of scikit-learn, not yet fitted."""
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.svm import SVC

        kernel = self.kernel.value
        machine = SVC(C=self.C, kernel=kernel, gamma=self.gamma, degree=self.degree, coef0=self.coef0, cache_size=500)
        if self.probabilities is Probabilities.scores:
            return machine
        return CalibratedClassifierCV(machine, method="sigmoid", cv=FOLDS, ensemble=False, n_jobs=threads)

    @property
    def kind_of_probabilities(self) -> str:
        if self.probabilities is Probabilities.scores:
            return "the softmax of the decision values"
        return "Platt's sigmoids of the decision values"

    def check(self, labels: np.ndarray, features: int) -> None:
        super().check(labels, features)
        counts = np.bincount(labels)
        if self.probabilities is Probabilities.calibrated and (rarest := int(counts[counts > 0].min())) < FOLDS:
            few = f"calibration uses {FOLDS}-fold cross-validation, but one class has only {rarest} training images"
            cure = "; use more images, or ", Key("probabilities"), "=scores"
            raise RequestError(few, *cure, key="probabilities", value="calibrated")

    def guess(self, images: int, features: int) -> str:
        """Return how long fitting takes, in words; nothing for few images."""
        width = self.pca if isinstance(self.pca, int) else features
        seconds = SECONDS * images**2 * width * (5 if self.probabilities is Probabilities.calibrated else 1)
        if images < SLOW_FROM:
            return ""
        return (
            f"a support vector machine on {images:,} images takes about {math.ceil(seconds / 60)} min, and four times "
            "as long with twice as many; data.limit=5000 takes a minute, and model.pca=50 is faster"
        )


class Weights(Enum):
    """How the votes of the neighbours are weighted."""

    uniform = "uniform"  # all alike
    distance = "distance"  # by the inverse of the distance


@dataclass
class KNN(SklearnModel):
    """A majority vote of the ``neighbours`` nearest training images, in the norm ``p`` (Cover & Hart 1967)."""

    neighbours: int = 5
    weights: Weights = Weights.uniform
    p: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("neighbours", self.neighbours, 1, "the number of neighbours")
        if number("p", self.p) < 1:
            raise RequestError("must be 1 or more", key="p", value=self.p)

    def check(self, labels: np.ndarray, features: int) -> None:
        super().check(labels, features)
        if self.neighbours > len(labels):
            message = f"the training set has only {len(labels):,} images; use fewer"
            raise RequestError(message, key="neighbours", value=self.neighbours)

    def estimator(self, seed: int, threads: int) -> Any:
        from sklearn.neighbors import KNeighborsClassifier

        return KNeighborsClassifier(self.neighbours, weights=self.weights.value, p=self.p, n_jobs=threads)


@dataclass
class Logistic(SklearnModel):
    """Softmax regression by L-BFGS; ``C`` is the inverse of the L2 penalty, as in scikit-learn."""

    C: float = 1.0
    iterations: int = 300

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("C", self.C, "the inverse penalty")
        whole("iterations", self.iterations, 1, "the largest number of iterations")

    def estimator(self, seed: int, threads: int) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=self.C, max_iter=self.iterations, random_state=seed)


@dataclass
class RandomForest(SklearnModel):
    """The mean vote of ``trees`` decision trees, each on a bootstrap sample (Breiman 2001)."""

    trees: int = 100
    depth: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("trees", self.trees, 1, "the number of trees")
        if self.depth is not None:
            whole("depth", self.depth, 1, "the largest depth")

    def estimator(self, seed: int, threads: int) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(self.trees, max_depth=self.depth, random_state=seed, n_jobs=threads)


@dataclass
class GradientBoosting(SklearnModel):
    """Boosted trees over binned pixels (scikit-learn's histogram gradient boosting, after Ke et al. 2017)."""

    iterations: int = 100
    lr: float = 0.1
    leaves: int = 31

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("iterations", self.iterations, 1, "the number of iterations")
        positive("lr", self.lr, "the learning rate")
        whole("leaves", self.leaves, 2, "the number of leaves of a tree")

    def estimator(self, seed: int, threads: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            max_iter=self.iterations,
            learning_rate=self.lr,
            max_leaf_nodes=self.leaves,
            random_state=seed,
            early_stopping=False,  # train on all images for the configured number of iterations
        )


@dataclass
class MLPClassifier(SklearnModel):
    """scikit-learn's multi-layer perceptron, with its own optimizer: mnistlab's group optimizer does not apply.

    ``activation``, ``solver``, ``momentum`` and ``early_stopping`` are parameters of MLPClassifier, ``schedule`` is its
    ``learning_rate``, ``nesterov`` is its ``nesterovs_momentum`` (with ``solver=sgd``). ``alpha`` is its L2 penalty,
    divided by the number of images in a batch; ``patience`` is its ``n_iter_no_change``.
    """

    hidden: Any = field(default_factory=lambda: [100])
    activation: str = "relu"
    solver: str = "adam"
    alpha: float = 1e-4
    batch_size: int = 200
    lr: float = 1e-3
    schedule: str = "constant"
    momentum: float = 0.9
    nesterov: bool = True
    epochs: int = 50
    early_stopping: bool = False
    patience: int = 10
    tol: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.hidden = [100] if self.hidden is None else self.hidden  # null on the command line
        if not isinstance(self.hidden, Sequence) or isinstance(self.hidden, str):
            raise RequestError(f"must be a list, for example hidden=[{self.hidden}]", key="hidden", value=self.hidden)
        for units in self.hidden:
            whole("hidden", units, 1, "the number of units")
        choice("activation", self.activation, ("identity", "logistic", "tanh", "relu"))
        choice("solver", self.solver, ("lbfgs", "sgd", "adam"))
        choice("schedule", self.schedule, ("constant", "invscaling", "adaptive"))
        not_negative("alpha", self.alpha, "the penalty")
        whole("batch_size", self.batch_size, 1, "the batch size")
        positive("lr", self.lr, "the learning rate")
        fraction("momentum", self.momentum, "the momentum")
        whole("epochs", self.epochs, 1, "the number of epochs")
        whole("patience", self.patience, 1, "the patience (epochs)")
        not_negative("tol", self.tol, "the least improvement")

    def estimator(self, seed: int, threads: int) -> Any:
        from sklearn.neural_network import MLPClassifier as Perceptron

        return Perceptron(
            hidden_layer_sizes=tuple(self.hidden),
            activation=self.activation,
            solver=self.solver,
            alpha=self.alpha,
            batch_size=self.batch_size,
            learning_rate_init=self.lr,
            learning_rate=self.schedule,
            momentum=self.momentum,
            nesterovs_momentum=self.nesterov,
            max_iter=self.epochs,
            early_stopping=self.early_stopping,
            n_iter_no_change=self.patience,
            tol=self.tol,
            random_state=seed,
        )

    def adapt(self, pipeline: Any, images: int) -> None:
        learnt = int(0.9 * images) if self.early_stopping else images  # the rest is scikit-learn's validation set
        pipeline[-1].set_params(batch_size=max(1, min(self.batch_size, learnt)))


SKLEARN_MODELS: dict[str, type[SklearnModel]] = {
    "svm": SVM,
    "knn": KNN,
    "logistic": Logistic,
    "random_forest": RandomForest,
    "gradient_boosting": GradientBoosting,
    "mlpclassifier": MLPClassifier,
}
