"""Pooling: golden integers, ties, odd sizes, windows that overlap, errors."""

import numpy as np
import pytest

from mnistlab.nn.pooling import AvgPool2D, GlobalAvgPool, MaxPool2D
from mnistlab.system.errors import RequestError

MAP = np.array([[1, 1, 0, 2], [1, 1, 2, 0], [5, 3, 4, 4], [3, 5, 4, 4]], float)


def pooled(layer, x, dy=None):
    """y, and dx if dy is given, of one channel and one image."""
    layer.dtype = np.float64
    layer.build((1, *x.shape))
    y = layer.forward(x[None, :, :, None].copy())
    if dy is None:
        return y.reshape(y.shape[1:-1] or ())
    return layer.backward(np.array(dy, float)[None, :, :, None])[0, :, :, 0]


def test_max_pooling_takes_the_largest():
    np.testing.assert_array_equal(pooled(MaxPool2D(2), MAP), [[1, 2], [5, 4]])


def test_the_gradient_goes_to_the_largest_and_of_equal_ones_to_the_first_row_by_row():
    dx = pooled(MaxPool2D(2), MAP, [[10, 20], [30, 40]])
    np.testing.assert_array_equal(dx, [[10, 0, 0, 20], [0, 0, 0, 0], [30, 0, 40, 0], [0, 0, 0, 0]])


def test_ties_in_overlapping_windows_add_up():
    dx = pooled(MaxPool2D(2, stride=1), MAP, [[1, 10, 100], [1000, 10_000, 100_000], [2, 20, 200]])
    np.testing.assert_array_equal(dx, [[1, 0, 0, 100], [0, 0, 10, 0], [1002, 0, 110_200, 0], [0, 20, 0, 0]])


def test_max_pooling_of_three_by_three():
    np.testing.assert_array_equal(pooled(MaxPool2D(3), MAP), [[5]])
    np.testing.assert_array_equal(pooled(MaxPool2D(3), MAP, [[7]])[2], [7, 0, 0, 0])


def test_average_pooling_and_its_gradient():
    np.testing.assert_array_equal(pooled(AvgPool2D(2), MAP), [[1, 1], [4, 4]])
    dx = pooled(AvgPool2D(2), MAP, [[4, 8], [12, 16]])
    np.testing.assert_array_equal(dx, [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]])


def test_average_pooling_of_overlapping_windows():
    x = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(pooled(AvgPool2D(2, stride=1), x), [[2, 3], [5, 6]])
    dx = pooled(AvgPool2D(2, stride=1), x, [[4, 8], [12, 16]])
    np.testing.assert_array_equal(dx, [[1, 3, 2], [4, 10, 6], [3, 7, 4]])


@pytest.mark.parametrize("pool", [MaxPool2D, AvgPool2D])
@pytest.mark.parametrize("shape", [(5, 4), (4, 5), (5, 5), (3, 3)])
def test_an_edge_that_no_whole_window_covers_takes_no_part(pool, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    h, w = shape[0] // 2, shape[1] // 2
    np.testing.assert_array_equal(pooled(pool(2), x), pooled(pool(2), x[: 2 * h, : 2 * w]))
    dx = pooled(pool(2), x, np.ones((h, w)))
    assert dx.shape == shape
    assert not dx[2 * h :].any()
    assert not dx[:, 2 * w :].any()


@pytest.mark.parametrize(
    ("size", "stride", "shape", "out"),
    [(2, None, (7, 6), (3, 3)), (3, None, (7, 6), (2, 2)), (3, 2, (7, 6), (3, 2)), (2, 3, (8, 5), (3, 2))],
)
def test_the_size_of_the_output(size, stride, shape, out):
    assert MaxPool2D(size, stride).build((5, *shape)) == (5, *out)


def test_global_average_pooling():
    np.testing.assert_array_equal(pooled(GlobalAvgPool(), MAP), MAP.mean())
    layer = GlobalAvgPool()
    assert layer.build((2, 2, 3)) == (2,)
    layer.forward(np.ones((2, 2, 3, 1), np.float32))
    dx = layer.backward(np.array([[6], [12]], np.float32))
    np.testing.assert_allclose(dx[:, :, :, 0], [np.full((2, 3), 1), np.full((2, 3), 2)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxPool2D(0), "size=0: the size of the window (pixels) must be a whole number of 1 or more"),
        (lambda: AvgPool2D(2, stride=0), "stride=0: the stride (pixels) must be a whole number of 1 or more"),
        (lambda: MaxPool2D(2).build((3, 1, 1)), "maxpool: size 2 does not fit a 1 x 1 map; use a smaller"),
        (lambda: AvgPool2D(3).build((3, 5, 2)), "avgpool: size 3 does not fit a 5 x 2 map"),
        (lambda: GlobalAvgPool().build((3,)), "globalavgpool: takes a map (channels x height x width), got a vector"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(("size", "stride"), [(2, None), (2, 2), (3, 2), (2, 1), (3, None), (2, 3)])
@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("integers", [True, False], ids=["many ties", "no ties"])
def test_pytorch_agrees_on_maps_of_any_size(kind, size, stride, integers):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed: `make .venv/.bench`")
    rng = np.random.default_rng(size)
    for shape in [(2, 7, 6), (3, 5, 9), (1, 8, 8)]:
        x = rng.integers(0, 3, (*shape, 4)).astype(float) if integers else rng.standard_normal((*shape, 4))
        layer = {"max": MaxPool2D, "avg": AvgPool2D}[kind](size, stride)
        layer.dtype = np.float64
        layer.build(shape)
        y = layer.forward(x.copy()).copy()
        dy = rng.standard_normal(y.shape)
        image = torch.tensor(x.transpose(3, 0, 1, 2).copy(), requires_grad=True)
        out = {"max": torch.nn.functional.max_pool2d, "avg": torch.nn.functional.avg_pool2d}[kind](image, size, stride)
        out.backward(torch.tensor(dy.transpose(3, 0, 1, 2).copy()))
        np.testing.assert_allclose(y, out.detach().numpy().transpose(1, 2, 3, 0), rtol=1e-12)
        dx = layer.backward(dy.copy())
        np.testing.assert_allclose(dx, image.grad.numpy().transpose(1, 2, 3, 0), rtol=1e-12, atol=1e-12)
