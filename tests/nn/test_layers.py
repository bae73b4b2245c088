"""Dense, Dropout and Flatten by hand."""

import numpy as np
import pytest

from mnistlab.nn.layers import Dense, Dropout, Flatten, layer_name
from mnistlab.system.errors import RequestError


def dense(W, b):
    made = Dense(len(W))
    made.build((len(W[0]),))
    made.dtype = np.float64
    made.params = {"W": np.array(W, float), "b": np.array(b, float)}
    made.grads = {name: np.full_like(array, np.nan) for name, array in made.params.items()}
    return made


def test_dense_forward_and_backward_by_hand():
    layer = dense([[1, 2], [3, 4], [5, 6]], [0.5, -0.5, 0])
    x = np.array([[1, 0], [2, 1]], float)  # two samples: (1, 2) and (0, 1)
    # W (1, 2) + b = (1+4+.5, 3+8-.5, 5+12+0),  W (0, 1) + b = (2+.5, 4-.5, 6+0)
    np.testing.assert_array_equal(layer.forward(x), [[5.5, 2.5], [10.5, 3.5], [17, 6]])

    dy = np.array([[1, 0], [0, 2], [1, 1]], float)
    dx = layer.backward(dy)
    # dW_ij = sum over the samples of dy_i x_j: (1, 2), 2 (0, 1), (1, 2) + (0, 1)
    np.testing.assert_array_equal(layer.grads["W"], [[1, 2], [0, 2], [1, 3]])
    np.testing.assert_array_equal(layer.grads["b"], [1 + 0, 0 + 2, 1 + 1])
    # W^T (1, 0, 1) = (1+5, 2+6),  W^T (0, 2, 1) = (6+5, 8+6)
    np.testing.assert_array_equal(dx, [[6, 11], [8, 14]])


def test_dense_writes_its_gradients_anew_and_spares_dx_if_nobody_needs_it():
    layer = dense([[1, 2]], [0])
    layer.forward(np.array([[1.0], [2.0]]))
    for _ in range(2):
        layer.backward(np.array([[3.0]]), need_dx=False)
    np.testing.assert_array_equal(layer.grads["W"], [[3, 6]])
    np.testing.assert_array_equal(layer.grads["b"], [3])


def test_dense_has_weights_of_units_by_fan_in():
    layer = Dense(3)
    assert layer.build((5,)) == (3,)
    assert (layer.weights(), layer.biases(), layer.fans()) == ({"W": (3, 5)}, {"b": (3,)}, (5, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(0), "units=0: the number of units must be a whole number of 1 or more"),
        (lambda: Dense(2.5), "units=2.5: the number of units must be a whole number of 1 or more"),
        (lambda: Dense(3).build((1, 8, 8)), "dense: takes a vector, got a map of 1 x 8 x 8; put flatten before it"),
        (lambda: Dropout(1.0), "rate=1.0: the dropout rate must be at least 0 and below 1"),
        (lambda: Dropout(-0.1), "rate=-0.1: the dropout rate must be at least 0 and below 1"),
        (lambda: Dropout(float("nan")), "rate=nan: must be a number"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value) == message


def test_flatten_is_a_view_with_the_batch_last():
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    layer = Flatten()
    assert layer.build((1, 2, 3)) == (6,)
    y = layer.forward(x)
    assert np.shares_memory(x, y)
    np.testing.assert_array_equal(y[:, 1], x[0, :, :, 1].ravel())  # row after row of the image
    np.testing.assert_array_equal(layer.backward(y), x)


def test_dropout_zeroes_or_scales_and_backward_uses_the_same_mask():
    layer = Dropout(0.75)
    layer.dtype = np.float64
    x = np.ones((20, 10))
    y = layer.forward(x, np.random.default_rng(0))
    assert set(np.unique(y)) == {0, 4}  # 1 / (1 - 0.75)
    np.testing.assert_array_equal(layer.backward(np.ones((20, 10))), y)
    np.testing.assert_array_equal(x, 1)  # not in place unless the network says so


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_keeps_the_mean_and_drops_at_its_rate(rate, dtype):
    layer, n = Dropout(rate), 200_000
    layer.dtype = dtype
    y = layer.forward(np.ones((200, n // 200), dtype), np.random.default_rng(1))
    assert y.dtype == dtype
    five_sigma = 5 * np.sqrt(rate * (1 - rate) / n)
    assert abs(np.mean(y == 0) - rate) < five_sigma
    assert abs(y.mean(dtype=np.float64) - 1) < five_sigma / (1 - rate)


def test_dropout_is_off_in_inference_and_at_rate_zero():
    x = np.ones((3, 4), np.float32)
    assert Dropout(0.5).forward(x, None) is x
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    layer = Dropout(0.0)
    assert layer.forward(x, rng) is x
    assert rng.bit_generator.state == before  # nothing drawn
    assert layer.backward(x) is x


def test_dropout_draws_a_new_mask_for_every_batch():
    layer, rng, x = Dropout(0.5), np.random.default_rng(0), np.ones((50, 20), np.float32)
    first = layer.forward(x, rng).copy()
    assert not np.array_equal(first, layer.forward(x, rng))


def test_working_arrays_are_allocated_once_a_shape_and_do_not_pile_up():
    layer = Dense(2)
    assert layer.array("y", (2, 5)) is layer.array("y", (2, 5))
    assert layer.array("y", (2, 5)) is not layer.array("y", (2, 6))
    for batch in range(1000):
        layer.array("y", (2, batch))
    assert len(layer._arrays) <= 32


def test_layers_are_named_as_in_yaml():
    assert [layer_name(cls) for cls in (Dense, Dropout, Flatten)] == ["dense", "dropout", "flatten"]
    assert Dropout(0.2).spec() == {"dropout": {"rate": 0.2}}
    assert Flatten().spec() == {"flatten": {}}
