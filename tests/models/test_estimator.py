"""NetworkClassifier: what scikit-learn asks of an estimator, and that it is the engine's network inside."""

import copy
import io
import pickle
import sys
import warnings

import joblib
import numpy as np
import pytest
from helpers import processes
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from mnistlab import NetworkClassifier
from mnistlab.nn import kernels
from mnistlab.nn.initializers import Xavier
from mnistlab.nn.network import Network
from mnistlab.nn.optimizers import Adam, Nesterov
from mnistlab.nn.schedules import Constant, Cosine
from mnistlab.system.errors import RequestError
from mnistlab.training.loop import Diverged

CONV = [{"conv": {"filters": 6, "kernel": 3}}, "relu", "maxpool", "flatten"]
VARIANTS = [
    NetworkClassifier(),
    NetworkClassifier(early_stopping=True),
    NetworkClassifier(dropout=0.2),
    NetworkClassifier(optimizer="nesterov", learning_rate_init=0.05, hidden_layer_sizes=(30, 20), activation="tanh"),
    NetworkClassifier(layers=[{"dense": {"units": 40}}, "elu"], schedule="cosine", init="xavier", l1=1e-5),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(VARIANTS)
def test_every_check_of_scikit_learn_holds(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, random_state=0, stratify=y)


def small(**settings):
    return NetworkClassifier(**{"hidden_layer_sizes": 20, "tol": None, "max_iter": 4, "random_state": 0, **settings})


def same(one, other):
    return np.array_equal(one.network_.theta, other.network_.theta)


@pytest.fixture(scope="module")
def few(digits):
    return digits[0][:500], digits[2][:500]


# scikit-learn's own means


@pytest.mark.process
def test_the_package_gives_it_without_importing_scikit_learn_before():
    code = (
        "import sys, mnistlab; assert not {'sklearn', 'numpy'} & {*sys.modules}; mnistlab.NetworkClassifier; "
        "assert not {'hydra', 'matplotlib', 'pooch'} & {*sys.modules}"
    )
    processes.run([sys.executable, "-c", code], check=True)
    import mnistlab

    with pytest.raises(AttributeError, match="module 'mnistlab' has no attribute 'NetworkClasifier'"):
        _ = mnistlab.NetworkClasifier


def test_a_pipeline_in_a_search(few):
    model = make_pipeline(StandardScaler(), small(max_iter=10))
    grid = {
        "networkclassifier__optimizer": ["adam", Nesterov(momentum=0.8)],
        "networkclassifier__learning_rate_init": np.array([1e-5, 0.02]),
        "networkclassifier__hidden_layer_sizes": [(30,), (np.int64(20), 10)],
    }
    search = GridSearchCV(model, grid, cv=3).fit(*few)
    assert search.best_params_["networkclassifier__learning_rate_init"] == 0.02
    assert search.best_score_ > 0.85


def test_a_clone_is_unfitted_and_trains_the_same(few):
    model = small(optimizer=Adam(beta1=0.8), init=Xavier(), dropout=[0.1, 0.2]).fit(*few)
    twin = clone(model)
    with pytest.raises(NotFittedError):
        twin.predict(few[0])
    assert same(twin.fit(*few), model)


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize(
    "store",
    [lambda model: pickle.loads(pickle.dumps(model)), through_joblib, copy.deepcopy],  # noqa: S301
    ids=["pickle", "joblib", "deepcopy"],
)
@pytest.mark.parametrize(
    "settings",
    [
        {"dropout": 0.3},
        {"layers": [CONV[0], "batchnorm", *CONV[1:]], "image_shape": (8, 8), "optimizer": "momentum"},
    ],
    ids=["dropout", "convolutional"],
)
def test_what_was_stored_predicts_the_same_bytes_and_learns_on_as_if_it_had_not_been(few, store, settings):
    X, y = few
    model = small(batch_size=64, **settings).partial_fit(X, y, classes=range(10))
    stored = store(model)
    assert stored.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()
    assert not np.shares_memory(stored.network_.theta, model.network_.theta)
    for _ in range(2):
        model.partial_fit(X, y)
        stored.partial_fit(X, y)
    assert same(stored, model)


def test_a_pickle_holds_no_working_memory(few):
    model = small().fit(*few)
    parameters = model.network_.theta.nbytes
    assert len(pickle.dumps(model)) < 3 * parameters + 8000  # theta and Adam's two moments


# training


@pytest.mark.parametrize("batch_size", [50, 500])
@pytest.mark.parametrize("settings", [{}, {"dropout": 0.2, "optimizer": "momentum"}], ids=["adam", "dropout"])
def test_partial_fit_k_times_is_fit_with_k_epochs(few, settings, batch_size):
    whole = small(max_iter=3, batch_size=batch_size, **settings).fit(*few)
    parts = small(max_iter=3, batch_size=batch_size, **settings)
    for _ in range(3):
        parts.partial_fit(*few, classes=range(10))
    assert same(parts, whole)
    assert parts.loss_curve_ == whole.loss_curve_
    assert (parts.n_iter_, whole.n_iter_) == (1, 3)


def test_warm_start_goes_on_where_it_was(few):
    whole = small(max_iter=6).fit(*few)
    parts = small(max_iter=3, warm_start=True).fit(*few)
    first = list(parts.loss_curve_)
    parts.fit(*few)
    assert same(parts, whole)
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.loss_curve_[:3] == first
    assert not same(small(max_iter=3).fit(*few).fit(*few), whole)  # without it, fit begins anew


def test_warm_start_takes_new_parameters_of_the_training(few):
    model = small(warm_start=True).fit(*few)
    before = model.network_.theta.copy()
    model.set_params(learning_rate_init=1e-12).fit(*few)
    np.testing.assert_allclose(model.network_.theta, before, atol=1e-9)
    model.set_params(optimizer="sgd", learning_rate_init=0.1).fit(*few)
    assert np.abs(model.network_.theta - before).max() > 1e-3


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.2}, {"early_stopping": True}], ids=str)
def test_the_same_seed_gives_the_same_weights_and_another_others(few, settings):
    one, again, other = (small(random_state=seed, **settings).fit(*few) for seed in (3, 3, 4))
    assert same(one, again)
    assert not same(one, other)
    states = [small(random_state=np.random.RandomState(seed), **settings).fit(*few) for seed in (3, 3, 4)]
    assert same(states[0], states[1])
    assert not same(states[0], states[2])
    assert not same(small(random_state=None, **settings).fit(*few), small(random_state=None, **settings).fit(*few))


def test_the_loss_falls_and_training_ends_when_it_no_longer_does():
    X, y = load_iris(return_X_y=True)
    model = NetworkClassifier(optimizer="sgd", learning_rate_init=0.1, max_iter=2000, tol=1e-3, random_state=0)
    model.fit(StandardScaler().fit_transform(X), y)
    curve = model.loss_curve_
    assert curve[-1] < curve[0] / 3
    assert len(curve) == model.n_iter_ < 2000
    assert (model.loss_, model.best_loss_) == (curve[-1], min(curve))
    assert model.validation_scores_ is model.best_validation_score_ is None
    # it ended at the first epoch that was the eleventh in a row not to fall by 0.001 below the best before
    best = np.minimum.accumulate(curve)
    slow = [i for i in range(1, len(curve)) if curve[i] > best[i - 1] - 1e-3]
    assert slow[-11:] == list(range(len(curve) - 11, len(curve)))


def test_training_that_was_cut_off_warns_unless_a_number_of_epochs_was_asked_for(few):
    with pytest.warns(
        ConvergenceWarning, match=r"^max_iter=2: the training loss is still falling; train longer, or set tol"
    ):
        small(max_iter=2, tol=1e-4).fit(*few)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert small(max_iter=2).fit(*few).n_iter_ == 2


def test_early_stopping_keeps_the_best_epoch(digits):
    X, _, y, _ = digits
    model = NetworkClassifier(early_stopping=True, learning_rate_init=0.01, n_iter_no_change=3, random_state=0).fit(
        X, y
    )
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ < 200
    assert model.best_validation_score_ == max(scores)
    assert max(scores[-4:]) < max(scores) + 1e-4
    best = NetworkClassifier(
        early_stopping=True, learning_rate_init=0.01, max_iter=int(np.argmax(scores)) + 1, tol=None, random_state=0
    ).fit(X, y)
    assert same(model, best)


def test_float32_is_trained_in_float32(few):
    X, y = few
    for dtype in (np.float32, np.float64):
        model = small().fit(X.astype(dtype), y)
        assert model.network_.theta.dtype == model.predict_proba(X).dtype == dtype
    assert small().fit((X * 16).astype(int), y).network_.theta.dtype == np.float64


def test_verbose_prints_the_loss_of_every_epoch(few, capsys):
    model = small(max_iter=2, verbose=True).fit(*few)
    assert capsys.readouterr().out == "".join(
        f"Iteration {i + 1}, loss = {loss:.8f}\n" for i, loss in enumerate(model.loss_curve_)
    )


# sample weights


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.2}, {"early_stopping": True}], ids=str)
def test_a_weight_of_two_is_the_sample_twice_where_all_make_one_batch(settings):
    X, y = load_iris(return_X_y=True)
    weights = np.random.default_rng(0).integers(0, 3, len(y))
    settings = {"max_iter": 50, "batch_size": 1000, "alpha": 0.5, **settings}
    weighted = small(**settings).fit(X, y, weights).network_.theta
    repeated = small(**settings).fit(X.repeat(weights, 0), y.repeat(weights)).network_.theta
    np.testing.assert_allclose(weighted, repeated, rtol=1e-8, atol=1e-12)
    assert not np.allclose(weighted, small(**settings).fit(X, y).network_.theta, rtol=1e-3)


def test_weights_turn_the_decision(few):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 2)), rng.integers(0, 2, 400)  # nothing can be learnt but how frequent a class is
    for heavy in (0, 1):
        model = small(batch_size=50, learning_rate_init=0.01).fit(X, y, np.where(y == heavy, 10.0, 0.1))
        assert (model.predict(X) == heavy).all()
        assert model.predict_proba(X)[:, heavy].mean() > 0.9


def test_equal_weights_are_none(few):
    X, y = few
    plain, weighted = small(batch_size=64).fit(X, y), small(batch_size=64, alpha=0.0001 * 7).fit(X, y, np.full(500, 7))
    np.testing.assert_allclose(weighted.network_.theta, plain.network_.theta, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(500), "zero"),
        (np.full(500, -1.0), "Negative values"),
        (np.ones(499), r"sample_weight.shape == \(499,\)"),
    ],
)
def test_weights_that_cannot_be(few, weights, message):
    with pytest.raises(ValueError, match=message):
        small().fit(*few, weights)


# labels


def test_labels_may_be_words(few):
    X, y = few
    words = np.array([f"digit {label}" for label in y])
    model, plain = small().fit(X, words), small().fit(X, y)
    assert list(model.classes_) == [f"digit {i}" for i in range(10)]
    assert same(model, plain)
    assert (model.predict(X) == [f"digit {label}" for label in plain.predict(X)]).all()


def test_two_classes_and_one(few):
    X, y = few
    model = small(max_iter=20, learning_rate_init=0.02).fit(X, y > 4)
    assert model.score(X, y > 4) > 0.9
    assert model.predict_proba(X).shape == (500, 2)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))
    assert (small().fit(X, np.full(500, 3)).predict_proba(X) == 1).all()


def test_a_class_that_the_first_call_did_not_name_is_refused(few):
    X, y = few
    model = small().partial_fit(X, y, classes=range(10))
    with pytest.raises(RequestError, match=r"^y=10: not one of the classes \[.*\], fixed in the first fit$"):
        model.partial_fit(X, y + 3)
    with pytest.raises(RequestError, match=r"^classes=None: the first call of partial_fit must name all classes$"):
        small().partial_fit(X, y)


def test_labels_in_a_column_are_taken_with_a_warning(few):
    X, y = few
    with pytest.warns(DataConversionWarning):
        assert same(small().fit(X, y[:, None]), small().fit(X, y))


# the engine inside


def test_predictions_are_those_of_the_network(few):
    X, y = few
    model = small().fit(X, y)
    assert isinstance(model.network_, Network)
    probabilities = model.network_.predict(X.reshape(-1, 1, 64))
    np.testing.assert_array_equal(model.predict_proba(X), probabilities)
    np.testing.assert_array_equal(model.predict(X), probabilities.argmax(axis=1))
    hidden = np.maximum(X @ model.coefs_[0] + model.intercepts_[0], 0)
    assert [W.shape for W in model.coefs_] == [(64, 20), (20, 10)]
    logits = hidden @ model.coefs_[1] + model.intercepts_[1]
    np.testing.assert_array_equal(logits.argmax(axis=1), model.predict(X))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("activation", ["relu", "logistic", "tanh", "identity"])
@pytest.mark.parametrize(
    ("optimizer", "theirs"),
    [("sgd", {"momentum": 0.0}), (Nesterov(momentum=0.8), {"momentum": 0.8})],
    ids=["sgd", "nesterov"],
)
def test_from_the_same_weights_five_epochs_are_those_of_mlpclassifier(few, optimizer, theirs, activation, weighted):
    X, y = few
    weights = np.random.default_rng(0).uniform(0.1, 3, len(y)) if weighted else None
    shared = {"hidden_layer_sizes": (12, 8), "activation": activation, "alpha": 0.3, "batch_size": 60}
    shared |= {"shuffle": False, "random_state": 0}
    unmoved, peer = (
        MLPClassifier(solver="sgd", learning_rate_init=rate, **shared, **theirs).partial_fit(X, y, classes=range(10))
        for rate in (1e-300, 0.2)
    )
    peer = MLPClassifier(solver="sgd", learning_rate_init=0.2, **shared, **theirs)
    ours = NetworkClassifier(optimizer=optimizer, learning_rate_init=1e-300, **shared)
    ours.partial_fit(X, y, classes=range(10)).set_params(learning_rate_init=0.2)
    for place, given in zip([*ours.coefs_, *ours.intercepts_], [*unmoved.coefs_, *unmoved.intercepts_], strict=True):
        place[...] = given
    for _ in range(5):
        peer.partial_fit(X, y, weights, classes=range(10))
        ours.partial_fit(X, y, weights)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), rtol=1e-8, atol=1e-12)
    for mine, other in zip(ours.coefs_ + ours.intercepts_, peer.coefs_ + peer.intercepts_, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-7, atol=1e-10)


@pytest.mark.slow
def test_on_digits_it_is_as_accurate_as_mlpclassifier(digits):
    X, X_test, y, y_test = digits
    scores = {NetworkClassifier: [], MLPClassifier: []}
    for cls, found in scores.items():
        for seed in range(3):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                found.append(
                    cls((64,), max_iter=60, learning_rate_init=0.003, random_state=seed).fit(X, y).score(X_test, y_test)
                )
    assert np.mean(scores[NetworkClassifier]) > 0.965
    assert np.mean(scores[NetworkClassifier]) > np.mean(scores[MLPClassifier]) - 0.01  # 450 images: +-0.015 by chance


def test_a_convolutional_network_reads_rows_as_images(digits):
    X, X_test, y, y_test = digits
    model = NetworkClassifier(
        layers=CONV, image_shape=(8, 8), learning_rate_init=0.01, batch_size=64, max_iter=15, tol=None, random_state=0
    )
    assert model.fit(X, y).score(X_test, y_test) > 0.96
    assert model.network_.tensors()["1.conv.W"].shape[0] == 6
    assert [W.shape for W in model.coefs_] == [(6 * 3 * 3, 10)]


@pytest.mark.parametrize(
    "settings",
    [
        {"l2": 0.1},
        {"l1": 0.1},
        {"max_norm": 0.1},
        {"dropout": 0.5},
        {"label_smoothing": 0.3},
        {"schedule": "cosine"},
        {"schedule": Cosine(floor=0.5)},
        {"init": "orthogonal"},
        {"activation": [{"leaky_relu": {"slope": 0.3}}]},
        {"shuffle": False},
        {"optimizer": Adam(beta1=0.5)},
    ],
    ids=str,
)
def test_every_parameter_changes_the_training(few, settings):
    assert not same(small(batch_size=64, **settings).fit(*few), small(batch_size=64).fit(*few))


def test_l2_is_alpha_over_the_size_of_the_batch(few):
    one, other = small(alpha=0.5 * 100, batch_size=100), small(alpha=0, l2=0.5, batch_size=100)
    np.testing.assert_allclose(one.fit(*few).network_.theta, other.fit(*few).network_.theta, rtol=1e-9)


def test_objects_that_are_given_are_left_as_they_were(few):
    optimizer, schedule = Adam(lr=0.02), Constant()
    before = vars(optimizer).copy(), vars(schedule).copy()
    small(optimizer=optimizer, schedule=schedule).fit(*few)
    assert (vars(optimizer), vars(schedule)) == before


def test_a_number_for_the_rate_replaces_that_of_the_optimizer(few):
    assert same(
        small(optimizer=Adam(lr=0.5), learning_rate_init=0.02).fit(*few), small(optimizer=Adam(lr=0.02)).fit(*few)
    )


# what is refused, in fit and not before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"optimizer": "adm"},
            "optimizer=adm: choose one of sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw (did you mean adam?)",
        ),
        ({"learning_rate_init": -1}, "learning_rate_init=-1: the learning rate must be positive"),
        (
            {"schedule": "cos"},
            "schedule=cos: choose one of constant, step, exponential, cosine, one_cycle, plateau "
            "(did you mean cosine?)",
        ),
        ({"alpha": -1}, "alpha=-1: the factor of the L2 penalty must be zero or more"),
        ({"l1": -1}, "l1=-1: the factor of the L1 penalty must be zero or more"),
        ({"dropout": 1.0}, "dropout=1.0: a dropout rate must be at least 0 and below 1"),
        (
            {"dropout": [0.1] * 4},
            "dropout=[0.1, 0.1, 0.1, 0.1]: 4 rates for 1 hidden layer(s); give one number, 1 rates, or 2 "
            "with the input's first",
        ),
        (
            {"hidden_layer_sizes": (10, 0)},
            "hidden_layer_sizes=0: the number of hidden units must be a whole number of 1 or more",
        ),
        ({"activation": "rleu"}, None),
        (
            {"activation": ["relu", "relu"]},
            "activation=['relu', 'relu']: 2 activations for 1 hidden layer(s) [20]; give one name, or one per layer",
        ),
        ({"batch_size": 0}, "batch_size=0: the batch size, unless it is auto, must be a whole number of 1 or more"),
        ({"max_iter": 2.5}, "max_iter=2.5: the number of epochs must be a whole number of 1 or more"),
        ({"tol": -1}, "tol=-1: the least improvement, unless it is None, must be zero or more"),
        ({"validation_fraction": 1}, "validation_fraction=1: must be above 0 and below 1"),
        ({"n_iter_no_change": 0}, "n_iter_no_change=0: the patience (epochs) must be a whole number of 1 or more"),
        ({"early_stopping": "yes"}, "early_stopping=yes: choose one of True, False"),
        ({"image_shape": (8, 9), "layers": CONV}, "image_shape=(8, 9): X must have 72 features, but has 64"),
        ({"image_shape": 8, "layers": CONV}, "image_shape=8: must be (height, width)"),
        ({"layers": CONV}, None),
        ({"layers": ["rellu"]}, None),
        ({"layers": 3}, "layers=3: must be a list of layers"),
        (
            {"batch_size": 1, "layers": ["batchnorm"]},
            "batch_size=1: layer 2 batchnorm would normalise one value per channel or unit at a time, which "
            "equals its own mean; use larger batches, or leave out batchnorm",
        ),
        (
            {"dropout": 0.5, "layers": [{"dense": {"units": 5}}, {"dropout": {"rate": 0.5}}]},
            "dropout=0.5: layers has dropout of its own; set one of them",
        ),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_one_line_when_it_is_used(few, settings, message):
    model = small(**settings)
    with pytest.raises(RequestError) as error:
        model.fit(*few)
    said = str(error.value)
    assert isinstance(error.value, ValueError)
    assert "\n" not in said
    assert said == message or message is None
    assert said.startswith(next(iter(settings)))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            {"early_stopping": True},
            "early_stopping=True: partial_fit trains for one epoch only; set early_stopping=False, or use fit",
        ),
        (
            {"schedule": "cosine"},
            "schedule=cosine: partial_fit trains for one epoch only; set schedule=constant, or use fit",
        ),
    ],
)
def test_there_is_no_partial_fit_where_it_would_have_to_know_what_comes(settings, reason):
    assert not hasattr(small(**settings), "partial_fit")
    with pytest.raises(AttributeError) as error:
        _ = small(**settings).partial_fit
    assert str(error.value.__cause__) == reason
    assert hasattr(small(schedule=Constant()), "partial_fit")


def test_a_warm_up_as_long_as_the_training_is_refused(few):
    with pytest.raises(RequestError, match=r"^warmup=3: the warm-up must be shorter than max_iter=3$"):
        small(schedule=Constant(warmup=3), max_iter=3).fit(*few)


def test_a_loss_that_is_not_finite_says_where_and_what_to_try(few):
    X, y = few
    with pytest.raises(Diverged) as error:
        small(optimizer="sgd", learning_rate_init=1e30).fit(X.astype(np.float32) * 1e6, y)
    assert "overflowed first, with learning_rate_init=1e+30; try learning_rate_init=1e+29, or scale" in str(error.value)


def test_sparse_features_are_refused(few):
    from scipy.sparse import csr_array

    with pytest.raises(TypeError, match="dense data is required"):
        small().fit(csr_array(few[0]), few[1])


def test_a_first_fit_that_fails_leaves_it_unfitted() -> None:
    estimator = NetworkClassifier(hidden_layer_sizes=-1)
    with pytest.raises(RequestError):
        estimator.fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(NotFittedError):
        estimator.predict(np.eye(4))


def test_partial_fit_is_told_the_same_classes_or_none() -> None:
    estimator = NetworkClassifier((4,), random_state=0)
    estimator.partial_fit(np.eye(4), [0, 1, 0, 1], classes=[0, 1, 2])
    estimator.partial_fit(np.eye(4), [0, 1, 0, 1], classes=[2, 1, 0])
    with pytest.raises(RequestError, match=r"classes=\[0, 1\]: differ from those of the first call, \[0, 1, 2\]"):
        estimator.partial_fit(np.eye(4), [0, 1, 0, 1], classes=[0, 1])
    assert estimator.classes_.tolist() == [0, 1, 2]


def test_a_warm_start_keeps_its_layers() -> None:
    estimator = NetworkClassifier((4,), warm_start=True, max_iter=2, tol=None, random_state=0)
    estimator.fit(np.eye(4), [0, 1, 0, 1])
    estimator.set_params(learning_rate_init=0.1).fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(RequestError, match="warm_start=True: the layers, activations, dropout or smoothing"):
        estimator.set_params(hidden_layer_sizes=(5,)).fit(np.eye(4), [0, 1, 0, 1])


def test_an_activation_that_is_nothing_is_named() -> None:
    with pytest.raises(RequestError, match="activation=None: must be a name, "):
        NetworkClassifier((4,), activation=None).fit(np.eye(4), [0, 1, 0, 1])


@pytest.mark.skipif(kernels.unavailable() is not None, reason="kernels cannot be used here")
@pytest.mark.parametrize("weighted", [False, True])
def test_kernels_train_the_same_model_as_numpy(weighted: bool) -> None:
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype("f4")
    weights = np.random.default_rng(0).uniform(0.5, 2, len(X)) if weighted else None
    fitted = [
        NetworkClassifier((40,), max_iter=5, tol=None, random_state=0, kernels=name).fit(X, y, sample_weight=weights)
        for name in ("numpy", "numba")
    ]
    np.testing.assert_allclose(fitted[1].loss_curve_, fitted[0].loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(fitted[1].predict_proba(X), fitted[0].predict_proba(X), atol=1e-3)
    again = pickle.loads(pickle.dumps(fitted[1]))  # noqa: S301
    assert (again.predict_proba(X) == fitted[1].predict_proba(X)).all()


def test_kernels_need_float32_and_a_name_that_exists() -> None:
    X, y = load_digits(return_X_y=True)
    with pytest.raises(ValueError, match=r"kernels=numba: kernels compute in float32, not float64; give float32, or"):
        NetworkClassifier(kernels="numba").fit(X, y)
    with pytest.raises(ValueError, match="kernels=fast: choose one of auto, numpy, numba"):
        NetworkClassifier(kernels="fast").fit(X, y)
