"""The network: one flat vector, batches and chunks, prediction, and its description as plain data."""

import json

import numpy as np
import pytest
from helpers.networks import PAIRS, images_and_labels, network

from mnistlab.nn import network as module
from mnistlab.nn.activations import ACTIVATIONS, ELU, LeakyReLU, ReLU, Tanh
from mnistlab.nn.architectures import network_from_spec
from mnistlab.nn.layers import Dense, Dropout, Flatten
from mnistlab.nn.losses import LOSSES, probabilities
from mnistlab.nn.network import Network
from mnistlab.system.errors import RequestError


def mlp(**settings):
    return network([Flatten(), Dense(5), Tanh(), Dense(3)], **settings)


def test_weights_come_first_then_biases_and_layers_hold_views():
    made = mlp()  # 4 pixels, 5 hidden units, 3 classes
    assert made.n_weights == 5 * 4 + 3 * 5
    assert made.theta.size == made.grad.size == made.n_weights + 5 + 3
    hidden, output = made.layers[1], made.layers[3]
    made.theta[:] = np.arange(made.theta.size)
    np.testing.assert_array_equal(hidden.params["W"], np.arange(20).reshape(5, 4))
    np.testing.assert_array_equal(output.params["W"], np.arange(20, 35).reshape(3, 5))
    np.testing.assert_array_equal(hidden.params["b"], np.arange(35, 40))
    np.testing.assert_array_equal(output.params["b"], np.arange(40, 43))
    for layer in (hidden, output):
        assert all(np.shares_memory(array, made.theta) for array in layer.params.values())
        assert all(np.shares_memory(array, made.grad) for array in layer.grads.values())
    assert list(made.tensors()) == ["2.dense.W", "4.dense.W", "2.dense.b", "4.dense.b"]
    assert all(np.shares_memory(array, made.theta) for array in made.tensors().values())


@pytest.mark.parametrize(("loss", "output"), PAIRS)
@pytest.mark.parametrize("rows", [None, np.array([9, 0, 3, 3, 7, 11, 2])])
def test_the_gradient_over_chunks_is_the_gradient(loss, output, rows, monkeypatch):
    images, labels = images_and_labels(n=12)
    made = mlp(loss=loss, output=output)
    value, hits = made.gradient(images, labels, rows)
    gradient = made.grad.copy()
    monkeypatch.setattr(module, "CHUNK", 5)  # the last chunk is shorter
    chunked = made.gradient(images, labels, rows)
    assert chunked == (pytest.approx(value, rel=1e-12), hits)
    np.testing.assert_allclose(made.grad, gradient, rtol=1e-11, atol=1e-14)


def test_all_rows_and_no_rows_named_are_the_same():
    images, labels = images_and_labels()
    made = mlp(dtype=np.float32)
    value = made.gradient(images, labels)
    gradient = made.grad.copy()
    assert made.gradient(images, labels, np.arange(len(images))) == value
    np.testing.assert_array_equal(made.grad, gradient)


def test_rows_choose_the_batch():
    images, labels = images_and_labels()
    made, rows = mlp(), np.array([7, 2, 2])
    value = made.gradient(images, labels, rows)
    gradient = made.grad.copy()
    assert made.gradient(images[rows], labels[rows]) == value
    np.testing.assert_array_equal(made.grad, gradient)


def test_a_batch_of_another_size_in_between_changes_nothing():
    images, labels = images_and_labels()
    made = mlp()
    made.gradient(images, labels)
    gradient = made.grad.copy()
    for n in range(1, 12):
        made.gradient(images, labels, np.arange(n))
    made.gradient(images, labels)
    np.testing.assert_array_equal(made.grad, gradient)


def test_the_gradient_of_the_batch_is_the_mean_over_single_samples():
    images, labels = images_and_labels(n=6)
    made = mlp()
    singles = []
    for i in range(6):
        made.gradient(images, labels, np.array([i]))
        singles.append(made.grad.copy())
    made.gradient(images, labels)
    np.testing.assert_allclose(made.grad, np.mean(singles, axis=0), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("rows", [None, np.array([5, 0, 11, 3, 3, 8, 7])])
def test_the_weighted_gradient_over_chunks_is_that_of_the_whole_batch(rows, monkeypatch):
    images, labels = images_and_labels(n=12)
    weights = np.linspace(0.5, 3, 12 if rows is None else len(rows))
    made = mlp()
    whole = made.gradient(images, labels, rows, weights=weights)
    expected = made.grad.copy()
    monkeypatch.setattr(module, "CHUNK", 5)
    assert made.gradient(images, labels, rows, weights=weights) == pytest.approx(whole, rel=1e-12)
    np.testing.assert_allclose(made.grad, expected, rtol=1e-10, atol=1e-14)
    made.gradient(images, labels, rows)
    assert not np.allclose(made.grad, expected, rtol=1e-3)


def test_images_may_be_floats_of_either_size_in_turn():
    pixels, labels = images_and_labels()
    made = mlp()
    rows, expected = np.array([4, 1, 7]), []
    for dtype in (np.uint8, np.float64, np.float32, np.uint8):
        loss, _ = made.gradient(pixels.astype(dtype), labels, rows)
        expected.append((loss, *made.grad))
    assert expected[1:] == expected[:-1]


def test_predictions_of_a_float64_network_are_float64():
    assert mlp().predict(images_and_labels()[0]).dtype == np.float64


def test_pixels_are_shifted_and_scaled_and_images_left_alone():
    images, _ = images_and_labels(n=3)
    made = network([Flatten(), Dense(3)], shift=33.0, scale=0.02)
    W, b = made.layers[1].params.values()
    before = images.copy()
    z = W @ ((images.reshape(3, 4) - 33.0) * 0.02).T + b[:, None]
    np.testing.assert_allclose(made.predict(images), probabilities(z, "softmax").T, rtol=1e-6)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_predictions_are_float32_rows_that_sum_to_one_whatever_the_chunk(output, monkeypatch):
    images, _ = images_and_labels(n=11)
    made = mlp(loss="binary_cross_entropy", output=output, dtype=np.float32)
    p = made.predict(images)
    assert (p.shape, p.dtype) == ((11, 3), np.float32)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    monkeypatch.setattr(module, "CHUNK", 4)
    np.testing.assert_allclose(made.predict(images), p, rtol=1e-5)
    assert made.predict(images[:0]).shape == (0, 3)


def test_no_images_have_predictions_but_nothing_else():
    images, labels = np.empty((0, 2, 2), np.uint8), np.empty(0, int)
    made = mlp()
    assert made.predict(images).shape == (0, 3)
    for method in (made.score, made.gradient, lambda images, _: made.activations(images)):
        with pytest.raises(RequestError, match=r"^images=0: must be one image or more"):
            method(images, labels)


def test_what_overflows_in_inference_is_not_finite_and_warns_of_nothing():
    images, labels = images_and_labels()
    made = mlp(dtype=np.float32, scale=1e300)
    made.theta[:] = 3e38
    assert np.isnan(made.predict(images)).all()
    assert np.isnan(made.score(images, labels)[0])
    assert made.first_not_finite(images, None) == "layer 1 flatten"
    assert not np.isfinite(made.activations(images)[-1]).any()


def test_the_score_is_loss_and_accuracy_of_the_predictions(monkeypatch):
    images, labels = images_and_labels()
    made = mlp()
    p = made.predict(images)
    loss = -np.log(p[np.arange(12), labels]).mean()
    expected = pytest.approx((loss, np.mean(p.argmax(axis=1) == labels)), rel=1e-6)
    assert made.score(images, labels) == expected
    monkeypatch.setattr(module, "CHUNK", 5)
    assert made.score(images, labels) == expected


def test_dropout_is_live_in_the_gradient_only():
    images, labels = images_and_labels()
    made = network([Flatten(), Dense(20), Dropout(0.5), Dense(3)])
    steady = made.predict(images)
    losses = {made.gradient(images, labels, None, np.random.default_rng(seed))[0] for seed in range(5)}
    assert len(losses) == 5
    np.testing.assert_array_equal(made.predict(images), steady)
    assert made.gradient(images, labels)[0] == pytest.approx(made.score(images, labels)[0])  # no generator, no dropout


# In place, an activation writes over what it was given: never what the layer before it reads again.
@pytest.mark.parametrize(
    ("layers", "in_place"),
    [
        ([Flatten(), Dense(5), ReLU(), Dropout(0.5), Dense(3)], [2]),
        ([Flatten(), Dense(5), Dropout(0.5), ReLU(), Dropout(0.5), Dense(3)], [2, 3]),
        ([Flatten(), Dropout(0.5), Dense(3)], [1]),
        ([Flatten(), Dense(5), Tanh(), ReLU(), Dense(3)], [2]),
        ([Flatten(), Dense(5), Tanh(), ACTIVATIONS["identity"](), ReLU(), Dense(3)], [2]),
        ([Flatten(), Dense(5), Tanh(), Dropout(0.0), ReLU(), Dense(3)], [2]),
        ([Flatten(), Dense(5), ACTIVATIONS["gelu"](), Dense(3)], []),
    ],
)
def test_where_layers_work_in_place(layers, in_place):
    made = network(layers)
    assert [i for i, layer in enumerate(made.layers) if layer.in_place] == in_place


def test_logits_that_the_last_layer_reads_again_survive_the_loss():
    images, labels = images_and_labels()
    made = network([Flatten(), Dense(3), Tanh()])
    made.gradient(images, labels)
    y = made.layers[2].y
    assert np.abs(y).max() < 1  # not y - max y, which the loss works with
    np.testing.assert_allclose(probabilities(y, "softmax").T, made.predict(images), rtol=1e-6)


@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_the_description_survives_json_and_gives_the_same_predictions(loss, output):
    images, labels = images_and_labels()
    layers = [Flatten(), Dropout(0.1), Dense(5), LeakyReLU(0.2), Dense(4), ELU(0.5), Dense(3)]
    made = network(layers, loss=loss, output=output, smoothing=0.1, dtype=np.float32, shift=3.5, scale=0.01)
    spec = json.loads(json.dumps(made.spec()))
    again = network_from_spec(spec)
    assert again.spec() == made.spec()
    again.theta[:] = made.theta
    np.testing.assert_array_equal(again.predict(images), made.predict(images))
    assert again.score(images, labels) == made.score(images, labels)


def test_the_description_is_plain():
    assert mlp(smoothing=0.1).spec() == {
        "layers": [{"flatten": {}}, {"dense": {"units": 5}}, {"tanh": {}}, {"dense": {"units": 3}}],
        "image_shape": [2, 2],
        "classes": 3,
        "loss": "cross_entropy",
        "output": "softmax",
        "label_smoothing": 0.1,
        "shift": 0.0,
        "scale": 1 / 255,
    }


def test_norms_by_layer():
    made = mlp()
    made.theta[:], made.grad[:] = 2, 3
    assert made.norms() == [
        ("layer 2 dense", pytest.approx(2 * 20**0.5), pytest.approx(3 * 20**0.5)),
        ("layer 4 dense", pytest.approx(2 * 15**0.5), pytest.approx(3 * 15**0.5)),
    ]


@pytest.mark.parametrize(("place", "title"), [("2.dense.W", "layer 2 dense"), ("4.dense.b", "layer 4 dense")])
def test_the_first_layer_that_is_not_finite_is_named(place, title):
    images, _ = images_and_labels()
    made = mlp()
    assert made.first_not_finite(images, None) is None
    made.tensors()[place][0] = np.nan
    assert made.first_not_finite(images, None) == title
    assert made.first_not_finite(images, np.array([3, 1])) == title


def build(layers, classes=3):
    return Network(layers, (2, 2), LOSSES["cross_entropy"](classes))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: build([Dense(3)]),
            "layers: layer 1 dense: takes a vector, got a map of 1 x 2 x 2; put flatten before it",
        ),
        (
            lambda: build([Flatten(), Dense(3)], 10),
            "layers: the last one gives 3 outputs for 10 classes; end them with dense: {units: 10}, which",
        ),
        (lambda: build([ReLU()], 4), "layers: the last one gives 1 x 2 x 2 outputs for 4 classes"),
        (
            lambda: build([Flatten(), Dense(3)]).predict(np.zeros((5, 28, 28), np.uint8)),
            "images=28x28: this network takes 2 x 2 pixels",
        ),
        (
            lambda: network_from_spec(mlp().spec() | {"layers": ["flatten", "denze"]}),
            "layers.1=denze: choose one of",
        ),
        (lambda: network_from_spec(mlp().spec() | {"loss": "os.system"}), "loss=os.system: choose one of"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value).startswith(message)
