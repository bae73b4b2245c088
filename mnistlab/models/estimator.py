"""The networks as a scikit-learn estimator."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any
from warnings import warn

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
from threadpoolctl import ThreadpoolController

from mnistlab.data.weighted_samples import Samples
from mnistlab.models.estimator_params import Settings, parameter_names
from mnistlab.models.estimator_state import EstimatorState
from mnistlab.nn import kernels
from mnistlab.nn.initializers import Init
from mnistlab.nn.layers import Dense, Dropout
from mnistlab.nn.network import Network
from mnistlab.nn.optimizers import Optimizer
from mnistlab.nn.schedules import Constant, Schedule
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream
from mnistlab.training.components import Components
from mnistlab.training.config import TrainerConfig
from mnistlab.training.early_stopping import EarlyStopping
from mnistlab.training.loop import Diverged, History, TrainingLoop


@cache
def _blas() -> Any:
    """Return the controller of BLAS threads; finding the libraries takes longer than a small `partial_fit`."""
    return ThreadpoolController().select(user_api="blas")


def _goes_by_epochs(estimator: NetworkClassifier) -> bool:
    """Return True if a single epoch can be trained on its own, or raise an error."""
    for name, value, needed in (
        ("early_stopping", estimator.early_stopping, False),
        ("schedule", "constant" if estimator.schedule == Constant() else estimator.schedule, "constant"),
    ):
        if value != needed:
            raise RequestError(
                f"partial_fit trains for one epoch only; set {name}={needed}, or use fit", key=name, value=value
            )
    return True


class NetworkClassifier(ClassifierMixin, BaseEstimator):
    """A neural-network classifier for scikit-learn's pipelines, searches and scores.

    Parameters that `MLPClassifier` also has mean the same here, so that one can replace the other, except for the
    differences below. They are checked in `fit`: an invalid one raises a `RequestError`, which is a ``ValueError``.

    Args:
        hidden_layer_sizes: units of each hidden layer; a number means one layer.
        activation: one name for all hidden layers or a list with one per layer: relu, sigmoid (or logistic), tanh,
            leaky_relu, elu, gelu, ..., or with settings ``{"leaky_relu": {"slope": 0.1}}``.
        layers: the hidden layers as in conf/model, ``[{"conv": {"filters": 6, "kernel": 5}}, "relu", "flatten"]``,
            instead of ``hidden_layer_sizes`` and ``activation``; the output layer is added.
        image_shape: (height, width) if a row of X is an image, for ``layers`` that need images.
        optimizer: a name (sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw) or an object of `mnistlab.nn`.
        learning_rate_init: None means that of the optimizer: 0.001 for Adam, 0.1 for sgd, as in `mnistlab train`.
        schedule: a name (constant, step, exponential, cosine, one_cycle, plateau) or an object, over ``max_iter``.
        init: a name (kaiming, xavier, scaled, orthogonal, ...) or an object; biases start at zero.
        alpha: L2 penalty alpha / (2 n) sum w^2 on the weights, where n is the total weight of the samples of a batch.
        l1, l2: l1 sum |w| + l2/2 sum w^2, added to the mean loss of a batch whatever its size, as in mnistlab's YAML.
        dropout: the rate after each hidden dense layer, or a list with one per layer, preceded by that of the input if
            there is one more.
        max_norm: the largest norm of the incoming weights of a unit.
        label_smoothing: the fraction of a target that is spread evenly over all classes.
        batch_size: the maximum number of samples in a batch; ``auto`` is min(200, n).
        max_iter: the maximum number of epochs.
        shuffle: whether every epoch has a new random order.
        tol: without early stopping, training ends when the training loss has not fallen by ``tol`` for more than
            ``n_iter_no_change`` epochs; if ``max_iter`` comes first, there is a `ConvergenceWarning`. With None,
            training always lasts ``max_iter`` epochs, without a warning.
        early_stopping: hold out ``validation_fraction`` of the distinct samples, stratified; end when their accuracy
            has not risen by ``tol`` for more than ``n_iter_no_change`` epochs; keep the weights of the best epoch.
        validation_fraction: above 0 and below 1.
        n_iter_no_change: the number of epochs without progress.
        warm_start: `fit` continues from the last one: weights, the state of the optimizer, random streams.
        random_state: seeds independent streams for the initial weights, the order, dropout and the validation set.
        verbose: print the loss of every epoch.
        kernels: what trains: numpy, numba (compiled kernels; float32 only), or auto, which is numba for long trainings
            in float32 if it is installed.

    X is dense; float32 is trained in float32, everything else in float64. A sample of weight 2 is equivalent to two
    samples, one of weight 0 to none: up to rounding if all samples are in one batch, where copies share their dropout
    mask, and otherwise up to the random batches. Batch normalisation ignores weights.

    Attributes: ``classes_``, ``n_features_in_``, ``feature_names_in_``, ``n_iter_`` (epochs of the latest `fit`),
    ``loss_``, ``best_loss_`` and ``loss_curve_`` (mean loss of each epoch's batches, without penalties),
    ``validation_scores_`` and ``best_validation_score_`` (with early stopping, otherwise None), ``coefs_`` and
    ``intercepts_`` (of the dense layers), ``network_`` (the `mnistlab.nn.network.Network`).
    """

    classes_: np.ndarray
    loss_curve_: list[float]
    best_loss_: float
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    kernels: str = "auto"  # of estimators that version 0.1 pickled, which had no such parameter

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        layers: Sequence[Any] | None = None,
        image_shape: tuple[int, int] | None = None,
        optimizer: str | Optimizer = "adam",
        learning_rate_init: float | None = None,
        schedule: str | Schedule = "constant",
        init: str | Init = "kaiming",
        alpha: float = 0.0001,
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: Any = 0.0,
        max_norm: float | None = None,
        label_smoothing: float = 0.0,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        shuffle: bool = True,
        tol: float | None = 1e-4,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
        kernels: str = "auto",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.layers = layers
        self.image_shape = image_shape
        self.optimizer = optimizer
        self.learning_rate_init = learning_rate_init
        self.schedule = schedule
        self.init = init
        self.alpha = alpha
        self.l1 = l1
        self.l2 = l2
        self.dropout = dropout
        self.max_norm = max_norm
        self.label_smoothing = label_smoothing
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.kernels = kernels

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetworkClassifier:
        """Train on X (n, features) and labels y (n,); ``sample_weight`` (n,) are zero or more.

        Raises `mnistlab.training.loop.Diverged` if the loss is no longer finite.
        """
        settings = Settings.of(self.get_params(deep=False))
        fresh = not (self.warm_start and hasattr(self, "_training"))
        samples = self._samples(X, y, sample_weight, None, settings, fresh)
        if not fresh:
            self._refuse_other_layers(settings)
        validation = None
        if self.early_stopping:
            samples, validation = samples.split(settings.validation_fraction, stream(self._training.seed, "split"))
        self._train(samples, validation, settings, settings.max_iter)
        return self

    @available_if(_goes_by_epochs)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> NetworkClassifier:
        """Train for one epoch on these samples; the first call must name all ``classes`` that will occur.

        k calls with the same samples give the same weights as `fit` with ``max_iter=k`` and ``tol=None``. The method
        is not available with early stopping or a schedule, which depend on the whole training.
        """
        settings = replace(Settings.of(self.get_params(deep=False)), tol=None)
        fresh = not hasattr(self, "_training")
        if fresh and classes is None:
            raise RequestError("the first call of partial_fit must name all classes", key="classes", value=None)
        self._train(self._samples(X, y, sample_weight, classes, settings, fresh), None, settings, 1)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row of X, (n,)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities (n, classes) in the order of ``classes_``, in the dtype of the training."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), order="C", reset=False)
        return self.network_.predict(X.reshape(len(X), *self.network_.image_shape))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_training")

    @property
    def network_(self) -> Network:
        """Return the network; its images are the rows of X."""
        return self._training.network

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Return the weights (fan_in, units) of each dense layer."""
        return [layer.params["W"].T for layer in self.network_.layers if isinstance(layer, Dense)]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Return the biases (units,) of each dense layer."""
        return [layer.params["b"] for layer in self.network_.layers if isinstance(layer, Dense)]

    def _samples(self, X: Any, y: Any, sample_weight: Any, classes: Any, settings: Settings, fresh: bool) -> Samples:
        """Return the checked samples of positive weight; create the network if ``fresh``."""
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32), order="C", reset=fresh)
        check_classification_targets(y)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
            if not weights.any():
                raise RequestError("all weights are zero; at least one must be positive", key="sample_weight")
            counted = weights > 0
            if not counted.all():
                X, y, weights = X[counted], y[counted], weights[counted]
        earlier = None if fresh else self.classes_
        if fresh or classes is not None:
            self.classes_ = np.unique(y if classes is None else np.asarray(classes))
        if earlier is not None and not np.array_equal(earlier, self.classes_):
            previous, self.classes_ = self.classes_, earlier
            raise RequestError(
                f"differ from those of the first call, {earlier.tolist()}", key="classes", value=previous.tolist()
            )
        labels = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        if (unknown := self.classes_[labels] != y).any():
            raise RequestError(
                f"not one of the classes {self.classes_.tolist()}, fixed in the first fit",
                key="y",
                value=y[unknown][0],
            )
        if fresh:
            self._start(settings, X.dtype)
        X = X.astype(self.network_.dtype, copy=False)
        return Samples(X.reshape(len(X), *self.network_.image_shape), labels.astype(np.int64, copy=False), weights)

    def _refuse_other_layers(self, settings: Settings) -> None:
        now = settings.network(self.n_features_in_, len(self.classes_), self.network_.dtype)
        if now.spec() != self.network_.spec():
            raise RequestError(
                "the layers, activations, dropout or smoothing have changed since the first fit; "
                "set warm_start=False for a new network",
                key="warm_start",
                value="True",
            )

    def _start(self, settings: Settings, dtype: Any) -> None:
        network = settings.network(self.n_features_in_, len(self.classes_), dtype)
        network.initialise(settings.init, stream(settings.seed, "init"))
        self._training = EstimatorState(network, settings.seed)
        self.loss_curve_, self.best_loss_ = [], math.inf
        self.validation_scores_, self.best_validation_score_ = None, None

    @parameter_names()
    def _train(self, samples: Samples, validation: Samples | None, settings: Settings, epochs: int) -> None:
        state, network = self._training, self.network_
        samples, batch = self._batches(samples, settings)
        components = Components(
            settings.optimizer,
            settings.schedule,
            settings.regularization,
            TrainerConfig(epochs, batch, shuffle=bool(self.shuffle)),
        )
        threads = self._use_kernels(network, settings, len(samples) * epochs, batch)
        training = TrainingLoop(
            network, samples, None, components, state.streams, weights=samples.weights, records_norms=False
        )
        state.take_over(settings.optimizer)
        best = EarlyStopping(settings.stopping)
        kept = network if validation is not None else None
        best.take(0, self._best_value(validation), kept)

        def on_epoch(history: History) -> bool:
            """Record an epoch, and return whether to stop."""
            self.n_iter_, self.loss_ = len(history.epochs), history.epochs[-1].train_loss
            self.loss_curve_.append(self.loss_)
            if self.verbose:
                sys.stdout.write(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}\n")
            best.take(self.n_iter_, self._value(validation), kept)
            return best.stops_after(self.n_iter_)

        with _blas().limit(limits=threads):
            try:
                training.run(on_epoch=on_epoch)
            except Diverged as error:
                error.lr = settings.optimizer.lr  # the parameter, not the value of the schedule
                raise
            finally:
                network.engine = None  # predictions are those of the NumPy layers, also after unpickling
        if validation is not None:
            best.restore_weights(network)
        elif settings.tol is not None and not best.stops_after(epochs):
            warn(
                f"max_iter={epochs}: the training loss is still falling; train longer, or set tol=None to train "
                "for exactly max_iter epochs",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _use_kernels(self, network: Network, settings: Settings, images: int, batch: int) -> int | None:
        """Let kernels train, if that is wanted and pays; return the limit of BLAS threads."""
        wanted = settings.kernels == "numba"
        if settings.kernels == "auto" and network.dtype == np.float32:
            wanted = kernels.pay(network, images) and kernels.unavailable() is None
        if not wanted:
            return None if network.gains_from_threads(batch) else 1
        network.use_kernels((os.cpu_count() or 1) if kernels.gains_from_threads(network, batch) else 1)
        return 1

    def _batches(self, samples: Samples, settings: Settings) -> tuple[Samples, int]:
        """Return the samples for training, and the size of a batch."""
        batch = min(len(samples), settings.batch_size)
        if batch == len(samples) and any(isinstance(layer, Dropout) for layer in self.network_.layers):
            samples = samples.merged()  # copies share a dropout mask, so that a weight of two equals two copies
            batch = len(samples)
        if layer := self.network_.too_small_for(batch):
            raise RequestError(
                f"{layer} would normalise one value per channel or unit at a time, which equals its own "
                "mean; use larger batches, or leave out batchnorm",
                key="batch_size",
                value=self.batch_size,
            )
        return samples, batch

    def _best_value(self, validation: Samples | None) -> float:
        """Return the best value of the epochs before this training; minus infinity if there were none."""
        if validation is None:
            return -self.best_loss_
        return -math.inf if self.best_validation_score_ is None else self.best_validation_score_

    def _value(self, validation: Samples | None) -> float:
        """Record and return the value of the latest epoch: the validation accuracy, or minus the training loss."""
        if validation is None:
            self.best_loss_ = min(self.loss_, self.best_loss_)
            return -self.loss_
        hits = self.network_.predict(validation.images).argmax(axis=1) == validation.labels
        score = float(np.average(hits, weights=validation.weights))
        self.validation_scores_ = [*(self.validation_scores_ or []), score]
        self.best_validation_score_ = max(self.validation_scores_)
        return score
