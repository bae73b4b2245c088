"""Convolution: golden integers, what padding and stride mean, the two ways to an output that is pooled, errors."""

import numpy as np
import pytest
from helpers.networks import network

from mnistlab.nn.activations import ReLU
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.layers import Dense, Flatten
from mnistlab.nn.pooling import AvgPool2D, GlobalAvgPool, MaxPool2D
from mnistlab.system.errors import RequestError

IMAGE = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], float)
KERNEL = np.array([[1, 2], [3, 4]], float)


def conv(x, kernel, bias=0, **settings):
    """y of one filter on one image, and the layer, ready for backward."""
    layer = Conv2D(filters=1, kernel=len(kernel), **settings)
    layer.dtype = np.float64
    layer.build((1, *x.shape))
    layer.params = {"W": kernel[None, :, :, None].copy(), "b": np.array([float(bias)])}
    layer.grads = {name: np.zeros_like(value) for name, value in layer.params.items()}
    return layer.forward(x[None, :, :, None].copy())[0, :, :, 0], layer


GOLDEN = {
    "valid": ({}, [[37, 47], [67, 77]]),
    "bias": ({"bias": 100}, [[137, 147], [167, 177]]),
    "padding 1": (
        {"padding": 1},
        [[4, 11, 18, 9], [18, 37, 47, 21], [36, 67, 77, 33], [14, 23, 26, 9]],
    ),
    "padding 1, stride 2": ({"padding": 1, "stride": 2}, [[4, 18], [36, 77]]),
    "same: the odd zero comes last": ({"padding": "same"}, [[37, 47, 21], [67, 77, 33], [23, 26, 9]]),
    "same, stride 2": ({"padding": "same", "stride": 2}, [[37, 21], [23, 9]]),
    "stride 2 leaves the last row and column out": ({"stride": 2}, [[37]]),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_outputs(case):
    settings, expected = GOLDEN[case]
    np.testing.assert_array_equal(conv(IMAGE, KERNEL, **settings)[0], expected)


def test_golden_gradients():
    _, layer = conv(IMAGE, KERNEL)
    dx = layer.backward(np.array([[1, 10], [100, 1000]], float)[None, :, :, None])
    np.testing.assert_array_equal(layer.grads["W"][0, :, :, 0], [[5421, 6532], [8754, 9865]])
    np.testing.assert_array_equal(layer.grads["b"], [1111])
    np.testing.assert_array_equal(dx[0, :, :, 0], [[1, 12, 20], [103, 1234, 2040], [300, 3400, 4000]])


def test_channels_are_summed_and_each_filter_has_its_own_weights():
    layer = Conv2D(filters=2, kernel=1)
    layer.dtype = np.float64
    assert layer.build((3, 1, 2)) == (2, 1, 2)
    layer.params = {"W": np.array([[1, 10, 100], [0, 0, 1]], float).reshape(2, 1, 1, 3), "b": np.array([0.0, 5.0])}
    x = np.array([[1, 2], [3, 4], [5, 6]], float).reshape(3, 1, 2, 1)
    np.testing.assert_array_equal(layer.forward(x).reshape(2, 2), [[531, 642], [10, 11]])


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "out"),
    [
        (28, 5, 1, "valid", 24),
        (28, 5, 1, "same", 28),
        (28, 4, 1, "same", 28),
        (28, 3, 2, "same", 14),
        (27, 3, 2, "same", 14),
        (7, 3, 3, "same", 3),
        (28, 5, 1, 2, 28),
        (28, 1, 3, "valid", 10),
        (5, 5, 1, "valid", 1),
        (3, 5, 1, 1, 1),
    ],
)
def test_the_size_of_the_output(size, kernel, stride, padding, out):
    assert Conv2D(4, kernel, stride, padding).build((2, size, size + 1))[:2] == (4, out)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("between", [[], [ReLU]])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("settings", [{}, {"padding": "same"}, {"stride": 2}, {"padding": 2}], ids=str)
@pytest.mark.parametrize("shape", [(8, 8), (9, 7), (6, 11)])
def test_an_output_written_for_pooling_gives_the_same_as_the_plain_one(shape, settings, channels, between, batch):
    layers = [Conv2D(channels, 1), Conv2D(3, 3, **settings), *(cls() for cls in between), MaxPool2D(2)]
    made = network([*layers, Flatten(), Dense(3)], shape)
    rng = np.random.default_rng(0)
    x, dz = rng.standard_normal((1, *shape, batch)), rng.standard_normal((3, batch))
    z = made.forward(x.copy(), rng).copy()
    dx, grad = made.backward(dz.copy(), input_gradient=True).copy(), made.grad.copy()

    assert made.layers[1].even
    made.layers[1]._write(phases=False, even=False)
    for layer in made.layers:
        layer.in_place = False
    np.testing.assert_allclose(made.forward(x.copy(), rng), z, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(made.backward(dz.copy(), input_gradient=True), dx, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(made.grad, grad, rtol=1e-12, atol=1e-12)


def test_the_first_convolution_shares_windows_and_writes_phases_when_it_is_pooled():
    made = network([Conv2D(2, 3), MaxPool2D(2), Conv2D(2, 2), MaxPool2D(2), Flatten(), Dense(3)], (10, 10))
    assert [layer.phases for layer in made.layers if isinstance(layer, Conv2D)] == [True, False]
    assert made.layers[0].forward(np.zeros((1, 10, 10, 5))).shape == (2, 2, 2, 4, 4, 5)


def test_a_convolution_that_is_not_pooled_two_by_two_is_written_plainly():
    for then in ([], [MaxPool2D(3)], [MaxPool2D(2, stride=1)], [Conv2D(2, 2), MaxPool2D(2)]):
        made = network([Conv2D(2, 3), *then, Flatten(), Dense(3)], (10, 10))
        assert not made.layers[0].even
        assert not made.layers[0].phases


def test_activations_are_whole_maps_whatever_the_layout_inside():
    layers = [Conv2D(2, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(3)]
    made = network(layers, (8, 9))
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 9), dtype=np.uint8)
    found = made.activations(images)
    assert [a.shape for a in found] == [(2, 6, 7, 4), (2, 6, 7, 4), (2, 3, 3, 4), (18, 4), (3, 4)]
    x = images.transpose(1, 2, 0)[None] / 255
    w, b = made.layers[0].params["W"][1, :, :, 0], made.layers[0].params["b"][1]
    np.testing.assert_allclose(found[0][1, 5, 6, 2], (x[0, 5:8, 6:9, 2] * w).sum() + b)
    np.testing.assert_array_equal(found[1], np.maximum(found[0], 0))
    np.testing.assert_array_equal(found[2][:, 0, 0], found[1][:, :2, :2].max(axis=(1, 2)))
    np.testing.assert_allclose(found[-1], made.forward(x), rtol=1e-12)


ERRORS = {
    "units for a kernel": (lambda: Conv2D(3, 0), "kernel=0: the size of the kernel (pixels) must be a whole number"),
    "filters": (lambda: Conv2D(-2, 3), "filters=-2: the number of filters must be a whole number of 1 or more"),
    "padding": (lambda: Conv2D(1, 3, padding="full"), "padding=full: the padding, unless it is valid or same, must"),
    "padding of zeros only": (lambda: Conv2D(1, 3, padding=3), "padding=3: must be below kernel=3; more only adds"),
    "stride": (lambda: Conv2D(1, 3, stride=0), "stride=0: the stride (pixels) must be a whole number of 1 or more"),
    "too large a kernel": (
        lambda: Conv2D(1, 5).build((1, 4, 9)),
        "conv: kernel 5 does not fit a 4 x 9 map; use a",
    ),
    "too large a kernel, padded": (
        lambda: Conv2D(1, 7, padding=1).build((1, 4, 9)),
        "conv: kernel 7 does not fit a 4 x 9 map padded to 6 x 11; use a smaller one, more padding, or less pooling",
    ),
    "after flatten": (
        lambda: Conv2D(1, 3).build((784,)),
        "conv: takes a map (channels x height x width), got a vector of 784; put it before the flatten or globalavg",
    ),
    "after globalavgpool": (
        lambda: network([Conv2D(2, 3), GlobalAvgPool(), Conv2D(2, 1)], (8, 8)),
        "layers: layer 3 conv: takes a map (channels x height x width), got a vector of 2; put it before the "
        "flatten or globalavgpool that made one of it",
    ),
    "too many filters": (
        lambda: network([Conv2D(10**23, 1), Flatten(), Dense(3)], (8, 8)),
        "layers: layer 1 conv: up to here they take 200,000,000,000,000,000,000,000 parameters, more than 268,435,456",
    ),
    "maps too large": (
        lambda: network([Conv2D(1000, 1, padding="same"), Conv2D(2, 30, padding="same")], (28, 28)),
        # outputs and windows: 1,000 x 784 + 784 and 2 x 784 + 30 x 30 x 1,000 x 784
        "layers: layer 2 conv: up to here they take 706,386,352 numbers for one image, more than 268,435,456; use",
    ),
    "in a network": (
        lambda: network([Conv2D(2, 3), MaxPool2D(2), Conv2D(2, 4)], (8, 8)),
        "layers: layer 3 conv: kernel 4 does not fit a 3 x 3 map",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_does_not_fit_is_refused(case):
    make, message = ERRORS[case]
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value).startswith(message)


def random_case(seed):
    rng = np.random.default_rng(seed)
    kernel, stride = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    shape = (int(rng.integers(1, 4)), *(int(n) for n in rng.integers(kernel + 1, 14, 2)))
    return rng, shape, int(rng.integers(1, 5)), kernel, stride, int(rng.integers(0, kernel)), int(rng.integers(1, 5))


@pytest.mark.parametrize("pool", [None, "maxpool", "avgpool"])
@pytest.mark.parametrize("seed", range(25))
def test_pytorch_agrees_in_float64_on_random_shapes(seed, pool):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed: `make .venv/.bench`")
    functional = torch.nn.functional
    rng, shape, filters, kernel, stride, padding, batch = random_case(seed)
    first = Conv2D(filters, kernel, stride, padding)
    size = min(first.build(shape)[1:])
    pools = {None: [], "maxpool": [MaxPool2D(2)], "avgpool": [AvgPool2D(2)]}[pool] if size > 1 else []
    layers = [Conv2D(shape[0], 1), first, *pools, Flatten(), Dense(3)]
    made = network(layers, shape[1:], seed=seed)
    x, dz = rng.standard_normal((1, *shape[1:], batch)), rng.standard_normal((3, batch))
    z = made.forward(x.copy(), rng).copy()
    dx = made.backward(dz.copy(), input_gradient=True)

    def theirs(layer):
        w = torch.tensor(layer.params["W"])
        return (w.permute(0, 3, 1, 2) if w.ndim == 4 else w).clone().requires_grad_(), torch.tensor(
            layer.params["b"], requires_grad=True
        )

    weights = [theirs(layer) for layer in layers if layer.params]
    image = torch.tensor(x.transpose(3, 0, 1, 2).copy(), requires_grad=True)
    h = functional.conv2d(functional.conv2d(image, *weights[0]), *weights[1], stride=stride, padding=padding)
    if pools:
        h = functional.max_pool2d(h, 2) if pool == "maxpool" else functional.avg_pool2d(h, 2)
    out = functional.linear(h.flatten(1), *weights[2])
    out.backward(torch.tensor(dz.T.copy()))

    close = {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(z, out.detach().numpy().T, **close)
    np.testing.assert_allclose(dx, image.grad.numpy().transpose(1, 2, 3, 0), **close)
    for layer, (w, b) in zip([layer for layer in layers if layer.params], weights, strict=True):
        gradient = w.grad.permute(0, 2, 3, 1) if w.ndim == 4 else w.grad
        np.testing.assert_allclose(layer.grads["W"], gradient.numpy(), **close)
        np.testing.assert_allclose(layer.grads["b"], b.grad.numpy(), **close)
