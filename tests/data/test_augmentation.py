"""Augmentation by warps: where pixels go, what is drawn, that a batch is cheap, and that only training sees it."""

import math
import tracemalloc
from dataclasses import astuple, dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from mnistlab.config import compose, options, schema
from mnistlab.data.augmentation import (
    AUGMENTS,
    Affine,
    Batch,
    Elastic,
    NoAugment,
    Shift,
    StrokeWidth,
    Table,
    Warp,
    affine_fields,
    affine_matrix,
    fields,
    gaussian_matrix,
)
from mnistlab.data.augmentation.strokes import Strokes
from mnistlab.nn.architectures import MLP
from mnistlab.nn.initializers import Kaiming
from mnistlab.nn.optimizers import SGD
from mnistlab.nn.regularization import Regularization
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream
from mnistlab.training.components import Components, RandomStreams
from mnistlab.training.config import TrainerConfig, TrainMetrics
from mnistlab.training.loop import Diverged, fit

WARPS = {name: cls() for name, cls in AUGMENTS.items() if issubclass(cls, Warp)}
SHAPES = [(28, 28), (8, 8), (5, 17), (1, 1), (1, 9), (300, 2)]


def pictures(n, shape=(28, 28), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def digits(n):
    """Images with a bright square in the middle: what a warp does to it can be seen."""
    images = np.zeros((n, 28, 28), np.uint8)
    images[:, 10:18, 10:18] = 200
    return images


def warped(image, y, x):
    """Warp one image by one field."""
    image = np.asarray(image, np.uint8)
    table, out = Table(1, *image.shape), np.empty((1, *image.shape), np.uint8)
    table.store(slice(0, 1), np.asarray(y, np.float32)[None], np.asarray(x, np.float32)[None])
    table.warp(image[None], None, np.zeros(1, np.int64), out)
    return out[0].tolist()


def mapped(image, angle=0.0, factor=1.0, slant=0.0, down=0.0, right=0.0):
    """Map one image by one affine map."""
    matrix = affine_matrix(np.array([angle]), factor, slant)
    y, x = affine_fields(*np.shape(image), matrix, np.array([down]), np.array([right]))
    return warped(image, y[0], x[0])


# what a map does, on arrays small enough to be read

CROSS = [[0, 1, 0], [2, 3, 4], [0, 5, 0]]


@pytest.mark.parametrize(
    ("image", "how", "expected"),
    [
        (CROSS, {}, CROSS),
        (CROSS, {"down": 1}, [[0, 0, 0], [0, 1, 0], [2, 3, 4]]),
        (CROSS, {"right": -1}, [[1, 0, 0], [3, 4, 0], [5, 0, 0]]),
        (CROSS, {"down": 3}, [[0, 0, 0]] * 3),
        (CROSS, {"down": -1e9, "right": 1e9}, [[0, 0, 0]] * 3),
        (CROSS, {"angle": math.pi / 2}, [[0, 4, 0], [1, 3, 5], [0, 2, 0]]),  # counter-clockwise
        (CROSS, {"angle": math.pi}, [[0, 5, 0], [4, 3, 2], [0, 1, 0]]),
        (CROSS, {"slant": 1}, [[0, 0, 1], [2, 3, 4], [5, 0, 0]]),  # leans to the right
        # half a pixel to the right: each is the mean of itself and its left neighbour, halves are rounded up
        ([[10, 20, 21]], {"right": 0.5}, [[5, 15, 21]]),
        # a quarter down, a half to the right: 3/4 of (0 + 40) / 2 = 15, and so on; above and to the left are zeros
        ([[40, 80], [120, 160]], {"down": 0.25, "right": 0.5}, [[15, 45], [50, 120]]),
        # twice as large about the middle: places -1/4, 1/4, 3/4, ... of the inner pixels at 1 and 2
        ([[0, 100, 200, 0]], {"factor": 2}, [[75, 125, 175, 150]]),
        # half as large: places -1.5, 0.5, 2.5, 4.5
        ([[80, 100, 200, 40]], {"factor": 0.5}, [[0, 90, 120, 0]]),
        ([[7]], {"right": 0.5}, [[4]]),
    ],
)
def test_a_map_on_a_small_array(image, how, expected):
    if how.get("factor"):  # one line high: a change of size would read above and below it
        height = 5
        image, expected = [image[0]] * height, expected[0]
        assert mapped(image, **how)[height // 2] == expected
    else:
        assert mapped(image, **how) == expected


def test_a_field_says_for_each_pixel_where_it_is_read():
    y, x = [[0, 0, 1], [1, -1, 2]], [[2, 0, 1], [1.5, 0, 0]]
    assert warped([[1, 2, 3], [4, 5, 7]], y, x) == [[3, 1, 5], [6, 0, 0]]


@pytest.mark.parametrize("shape", SHAPES)
def test_scipy_reads_the_same_up_to_rounding(shape):
    rng = np.random.default_rng(1)
    image = pictures(1, shape)[0]
    places = rng.uniform(-3, np.array(shape)[:, None, None] + 2, (2, *shape))
    padded = np.pad(image.astype(float), 4)  # so that scipy, too, fades to 0 over one pixel
    expected = map_coordinates(padded, places + 4, order=1)
    np.testing.assert_allclose(warped(image, *places), expected, atol=2.5)  # of 255: places are rounded to 1/256


def test_the_weights_of_a_pixel_sum_to_one_and_are_the_bilinear_ones():
    table, rng = Table(20, 6, 5), np.random.default_rng(0)
    y, x = (rng.integers(0, 4 * 256, (2, 20, 6, 5)) / 256).astype(np.float32)
    table.store(slice(0, 20), y, x)
    weights = table.weights.reshape(20, 4, 6, 5).astype(int)
    assert (weights.sum(axis=1) == 256).all()
    dy, dx = y % 1, x % 1
    exact = np.stack([(1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx], axis=1)
    np.testing.assert_allclose(weights / 256, exact, atol=1 / 256)  # rounded so that they do sum to one


# what is drawn


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "nothing",
    [Shift(0), Affine(0, 0, 0, 0), Elastic(0, 0, 0, 0, alpha=0), StrokeWidth(0, 0, 0, 0, 0, 0)],
    ids=lambda a: type(a).__name__,
)
def test_amounts_of_zero_give_back_the_images(nothing, shape):
    images = pictures(40, shape)
    nothing.start_epoch(images, np.random.default_rng(0))
    np.testing.assert_array_equal(nothing.batch(images), images)


def test_shifts_are_all_whole_shifts_in_the_range_and_no_others():
    image = np.zeros((7, 7), np.uint8)
    image[3, 3] = 255
    images = np.broadcast_to(image, (500, 7, 7))
    shift = Shift(2)
    shift.start_epoch(images, np.random.default_rng(0))
    moved = shift.batch(images)
    assert (np.sort(moved.reshape(500, -1), axis=1)[:, -2:] == [0, 255]).all()
    places, counts = np.unique(moved.reshape(500, -1).argmax(axis=1), return_counts=True)
    assert places.tolist() == [7 * (3 + down) + 3 + right for down in range(-2, 3) for right in range(-2, 3)]
    assert counts.min() > 5  # 20 expected


@pytest.mark.parametrize(
    ("affine", "measure", "low", "high"),
    [
        # from the differences of places along a line and down a column, which are those of the inverse map
        (Affine(rotation=10, scale=0, shear=0, shift=0), lambda f: np.degrees(np.arcsin(-f[0, :, 0, 1])), -10, 10),
        (Affine(rotation=0, scale=0.1, shear=0, shift=0), lambda f: 1 / f[1, :, 0, 1], 0.9, 1.1),
        (Affine(rotation=0, scale=0, shear=0.1, shift=0), lambda f: f[1, :, 1, 0], -0.1, 0.1),
    ],
    ids=["rotation", "scale", "shear"],
)
def test_each_amount_is_uniform_in_its_range(affine, measure, low, high):
    fields = np.stack(affine.fields(np.random.default_rng(0), 3000, 9, 9))
    drawn = measure(fields - fields[:, :, :1, :1])
    assert low <= drawn.min() < low + 0.01 * (high - low)
    assert high >= drawn.max() > high - 0.01 * (high - low)
    assert drawn.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))


@pytest.mark.parametrize(("shape", "pixels"), [((28, 28), 2), ((14, 14), 1), ((14, 28), 1), ((56, 70), 4)])
def test_the_shift_of_an_affine_map_grows_with_the_shorter_side(shape, pixels):
    y, x = Affine(rotation=0, scale=0, shear=0, shift=2).fields(np.random.default_rng(0), 2000, *shape)
    for drawn in (y[:, 0, 0], x[:, 0, 0]):
        assert np.abs(drawn).max() == pytest.approx(pixels, rel=0.01)


@pytest.mark.parametrize(("shape", "s"), [((28, 28), 1), ((8, 8), 8 / 28), ((28, 40), 1), ((56, 56), 2)])
def test_displacements_have_the_root_mean_square_of_the_docstring_at_every_pixel(shape, s):
    elastic = Elastic(alpha=34, sigma=4)
    drawn = np.stack(elastic.displacements(np.random.default_rng(0), 4000, *shape))
    stated = 34 / (4 * math.sqrt(12 * math.pi))
    assert stated == pytest.approx(1.38, abs=0.005)
    assert stated * Elastic().alpha / 34 == pytest.approx(0.98, abs=0.005)
    assert np.sqrt((drawn**2).mean()) == pytest.approx(s * stated, rel=0.03)
    at_each = np.sqrt((drawn**2).mean(axis=1))
    np.testing.assert_allclose(at_each, s * stated, rtol=0.1)
    assert np.abs(drawn.mean(axis=1)).max() < 0.1 * s * stated
    assert abs((drawn[0] * drawn[1]).mean()) < 0.1 * (s * stated) ** 2  # down and to the right are drawn apart


@pytest.mark.parametrize("sigma", [2, 4])
def test_displacements_are_smooth(sigma):
    # the autocorrelation of white noise under a Gaussian of sigma is a Gaussian of sqrt(2) sigma
    drawn, _ = Elastic(sigma=sigma).displacements(np.random.default_rng(0), 2000, 28, 60)
    middle = drawn[:, :, 20:40]  # far from the sides
    for lag in (1, 2, 4):
        found = (middle[:, :, :-lag] * middle[:, :, lag:]).mean() / (middle**2).mean()
        assert found == pytest.approx(math.exp(-(lag**2) / (4 * sigma**2)), abs=0.03)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0, 2.001, 3.0])
def test_smoothing_by_the_matrix_is_a_gaussian_filter(sigma):
    middle = gaussian_matrix(41, sigma)[20]
    expected = np.exp(-0.5 * ((np.arange(41) - 20) / sigma) ** 2)
    np.testing.assert_allclose(middle, expected / expected.sum(), atol=1e-7)


def redrawn(image, amount):
    images = np.array(image, np.uint8)[None].copy()
    Strokes(2, *images.shape[1:]).change(images, np.array([round(256 * amount)]))
    return images[0].tolist()


POINT = [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 200, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("image", "amount", "expected"),
    [
        (POINT, 0, POINT),
        # one pixel wider: the cross of five
        (POINT, 1, [[0, 0, 0, 0, 0], [0, 0, 200, 0, 0], [0, 200, 200, 200, 0], [0, 0, 200, 0, 0], [0, 0, 0, 0, 0]]),
        # a quarter of the way from 0 to 200
        (POINT, 0.25, [[0, 0, 0, 0, 0], [0, 0, 50, 0, 0], [0, 50, 200, 50, 0], [0, 0, 50, 0, 0], [0, 0, 0, 0, 0]]),
        # one and a half: the rhombus of two pixels, whose outer pixels are half as bright
        (
            POINT,
            1.5,
            [
                [0, 0, 100, 0, 0],
                [0, 100, 200, 100, 0],
                [100, 200, 200, 200, 100],
                [0, 100, 200, 100, 0],
                [0, 0, 100, 0, 0],
            ],
        ),
        (POINT, -1, [[0] * 5] * 5),
        (POINT, -0.5, [[0] * 5] * 2 + [[0, 0, 100, 0, 0]] + [[0] * 5] * 2),
        # a square of three loses its edge; outside the image is background
        ([[90] * 3] * 3, -1, [[0, 0, 0], [0, 90, 0], [0, 0, 0]]),
        ([[90] * 3] * 3, 2, [[90] * 3] * 3),
    ],
)
def test_strokes_grow_and_shrink_by_fractions_of_a_pixel(image, amount, expected):
    assert redrawn(image, amount) == expected


def test_strokes_are_changed_by_amounts_between_thinner_and_wider():
    images = np.zeros((2000, 29, 29), np.uint8)
    images[:, :, 13:16] = 240  # an upright stroke of three pixels
    augment = StrokeWidth(0, 0, 0, 0, thinner=1, wider=2)
    augment.start_epoch(images, np.random.default_rng(0))
    width = augment.batch(images)[:, 14].sum(axis=1) / 240
    s = 29 / 28  # the numbers are those of 28 pixels
    assert 3 - 2 * s <= width.min() < 3 - 2 * s + 0.05
    assert 3 + 4 * s - 0.05 < width.max() <= 3 + 4 * s + 0.02
    assert width.mean() == pytest.approx(3 + s, abs=0.1)  # uniform


@pytest.mark.parametrize("name", WARPS)
def test_an_epoch_is_a_function_of_the_stream(name):
    images = digits(30)

    def epochs(seed):
        augment, rng = replace(WARPS[name]), stream(seed, "augment")
        shown = []
        for _ in range(2):
            augment.start_epoch(images, rng)
            shown.append(augment.batch(images).copy())
        return shown

    first, second = epochs(0)
    again, other = epochs(0), epochs(1)
    np.testing.assert_array_equal([first, second], again)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other[0])
    assert len(np.unique(first.reshape(30, -1), axis=0)) > 10  # the images of an epoch are warped differently


@pytest.mark.parametrize("name", WARPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_holds_the_images_of_its_rows_however_it_is_cut(name, shape):
    augment, images, labels = replace(WARPS[name]), pictures(100, shape), np.arange(100)
    augment.start_epoch(images, np.random.default_rng(0))
    whole = augment.batch(images).copy()
    assert (whole.shape, whole.dtype) == (images.shape, np.uint8)
    order = np.random.default_rng(1).permutation(100)
    for size in (1, 3, 16, 64, 100):
        for start in range(0, 100, size):
            rows = order[start : start + size]
            shown, shown_labels, *none = augment.step(images, labels, rows)
            np.testing.assert_array_equal(shown, whole[rows])
            np.testing.assert_array_equal(shown_labels, rows)
            assert none == [None, None]
    shown, shown_labels, *none = augment.step(images, labels, None)
    np.testing.assert_array_equal(shown, whole)
    assert shown_labels is labels
    assert none == [None, None]


def test_images_of_a_file_in_memory_are_only_read():
    images = pictures(20)
    images.setflags(write=False)
    augment = Elastic()
    augment.start_epoch(images, np.random.default_rng(0))
    assert augment.batch(images, np.arange(5)).shape == (5, *images.shape[1:])


def test_augmentation_without_a_random_stream_is_refused():
    with pytest.raises(
        RequestError, match="augment=None: augmentation is random and needs a generator; pass one as rng"
    ):
        Shift().start_epoch(pictures(3), None)


def test_without_augmentation_the_step_takes_what_is_there():
    none, images, labels, rows = NoAugment(), pictures(9), np.arange(9), np.array([3, 1])
    none.start_epoch(images, None)  # draws nothing
    assert none.step(images, labels, rows) == Batch(images, labels, rows)
    assert none.batch(images) is images
    np.testing.assert_array_equal(none.batch(images, rows), images[rows])


sides = st.integers(1, 12)
amounts = st.builds(
    Elastic,
    rotation=st.floats(0, 180),
    scale=st.floats(0, 0.99),
    shear=st.floats(0, 10),
    shift=st.floats(0, 27.99),
    alpha=st.floats(0, 17),  # the most that the least sigma allows
    sigma=st.floats(0.1, 100),
)


@given(height=sides, width=sides, augment=amounts, seed=st.integers(0, 9), value=st.integers(0, 255))
def test_pixels_stay_between_the_background_and_the_brightest(height, width, augment, seed, value):
    images = np.full((5, height, width), value, np.uint8)
    augment.start_epoch(images, np.random.default_rng(seed))
    assert augment.batch(images).max() <= value
    images = pictures(5, (height, width), seed)
    assert (augment.batch(images).max(axis=(1, 2)) <= images.max(axis=(1, 2))).all()
    images[...] = 0
    assert not augment.batch(images).any()


# what it costs


@pytest.mark.parametrize("name", WARPS)
@pytest.mark.parametrize("batch", [1, 64, 1000, None])
def test_a_batch_allocates_no_arrays(name, batch):
    augment, images, labels = replace(WARPS[name]), pictures(1200), np.arange(1200)
    augment.start_epoch(images, np.random.default_rng(0))
    rows = None if batch is None else np.random.default_rng(0).permutation(1200)[:batch]

    def batches(n):
        for _ in range(n):
            augment.step(images, labels, rows)

    batches(3)
    tracemalloc.start()
    try:
        batches(1)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        batches(100 if batch and batch <= 64 else 5)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 64 * 1024


@pytest.mark.parametrize(
    ("n", "shape", "fields"), [(300, (28, 28), 300), (5000, (28, 28), 2048), (3000, (64, 64), 682), (7, (600, 400), 7)]
)
def test_a_table_has_as_many_fields_as_there_are_images_and_room(n, shape, fields, monkeypatch):
    monkeypatch.setattr(Table, "store", lambda *_: None)
    augment, images = Shift(), np.broadcast_to(np.uint8(0), (n, *shape))
    augment.start_epoch(images, np.random.default_rng(0))
    shared = np.bincount(augment._field_of)
    assert len(shared) == fields
    assert shared.max() - shared.min() <= 1  # every field serves equally many images


def test_the_table_of_an_epoch_is_drawn_into_the_memory_of_the_last():
    augment, images = Elastic(), pictures(100)
    augment.start_epoch(images, np.random.default_rng(0))
    table = augment._table
    augment.start_epoch(images, np.random.default_rng(0))
    assert augment._table is table
    augment.start_epoch(images[:50], np.random.default_rng(0))
    assert augment._table is not table
    assert len(augment.batch(images[:50])) == 50


def test_fields_drawn_in_pieces_are_all_stored(monkeypatch):
    monkeypatch.setattr(fields, "FIELDS", 30)
    images, augment = digits(60), Elastic()
    augment.start_epoch(images, np.random.default_rng(0))
    assert len(np.unique(augment.batch(images).reshape(60, -1), axis=0)) == 30


# what is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Shift(pixels=-1), "pixels=-1: the largest shift (pixels) must be a whole number of 0 or more"),
        (lambda: Affine(rotation=-1), "rotation=-1: the largest angle (degrees) must be between 0 and 180"),
        (lambda: Affine(rotation=181), "rotation=181: the largest angle (degrees) must be between 0 and 180"),
        (lambda: Affine(scale=1.0), "scale=1.0: the largest scaling must be at least 0 and below 1"),
        (lambda: Affine(shear=-0.1), "shear=-0.1: the largest shear must be between 0 and 10"),
        (lambda: Affine(shear=1e17), "shear=1e+17: the largest shear must be between 0 and 10"),
        (lambda: Affine(shift=28), "shift=28: this shifts images out of the frame; shift by less than 28"),
        (lambda: Affine(shift=1e300), "shift=1e+300: this shifts images out of the frame; shift by less than 28"),
        (lambda: Affine(shift=math.nan), "shift=nan: must be a number"),
        (lambda: Elastic(alpha=-34), "alpha=-34: the strength of the distortion must be zero or more"),
        # 28 sigma sqrt(12 pi) = 28 x 4 x 6.1399 = 687.67
        (
            lambda: Elastic(alpha=1e300),
            "alpha=1e+300: with sigma=4.0 this moves pixels out of the frame; use less than 687.7",
        ),
        (lambda: Elastic(sigma=0.0), "sigma=0.0: the width of the Gaussian (pixels) must be between 0.1 and 100"),
        (
            lambda: Elastic(sigma=0.09),
            "sigma=0.09: the width of the Gaussian (pixels) must be between 0.1 and 100",
        ),
        (lambda: Elastic(sigma=101), "sigma=101: the width of the Gaussian (pixels) must be between 0.1 and 100"),
        (
            lambda: StrokeWidth(thinner=-1),
            "thinner=-1: the largest number of pixels taken away on each side must be between 0 and 5",
        ),
        (
            lambda: StrokeWidth(wider=6),
            "wider=6: the largest number of pixels added on each side must be between 0 and 5",
        ),
        (lambda: Elastic(scale=-0.1), "scale=-0.1: the largest scaling must be at least 0 and below 1"),
        (
            lambda: Shift(pixels=8).check(8, 28),
            "pixels=8: this shifts images of 8 x 28 pixels out of the frame; shift by less",
        ),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value) == message


def test_a_shift_that_leaves_something_in_sight_is_let_through():
    Shift(pixels=7).check(8, 28)
    Elastic().check(1, 1)


@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (300, 2)])
@pytest.mark.parametrize(
    "extreme",
    [
        Affine(180, 0.999999, 10, 27.999),
        Elastic(180, 0.999999, 10, 27.999, alpha=17.1, sigma=0.1),
        Elastic(180, 0.999999, 10, 27.999, alpha=687, sigma=4),
        Elastic(180, 0.999999, 10, 27.999, alpha=17_000, sigma=100),
    ],
    ids=str,
)
def test_the_largest_amounts_are_drawn_without_a_warning(extreme, shape):
    images, augment = pictures(200, shape), replace(extreme)
    for seed in range(5):
        augment.start_epoch(images, np.random.default_rng(seed))
        drawn = augment.batch(images)
        assert (drawn.shape, drawn.dtype) == (images.shape, images.dtype)


# the configuration


@pytest.mark.parametrize("option", options.option_names("augment"))
def test_the_yaml_of_an_option_shows_the_defaults_of_its_class(option):
    made = schema.experiment(compose.compose([f"augment={option}"])).augment
    assert made == AUGMENTS[option]()
    shown = compose.compose([f"augment={option}"]).augment
    text = (options.folder() / "augment" / f"{option}.yaml").read_text()
    for key in shown:
        value = getattr(shown[key], "name", shown[key])
        value = "".join(f"\n  - {part}" for part in value) if key == "parts" else f" {value}"
        assert f"\n{key}:{value}" in text


def test_amounts_are_set_and_checked_like_any_key():
    made = schema.experiment(compose.compose(["augment=elastic", "augment.alpha=20", "augment.rotation=0"]))
    assert astuple(made.augment) == (0.0, 0.1, 0.1, 1.0, 20.0, 4.0)
    with pytest.raises(RequestError, match=r"^augment\.sigma=-1\.0: the width of the Gaussian \(pixels\) must be"):
        schema.experiment(compose.compose(["augment=elastic", "augment.sigma=-1"]))
    with pytest.raises(RequestError, match=r"augment\.pixels: unknown key; augment=affine has rotation, scale, shear"):
        compose.compose(["augment=affine", "augment.pixels=2"])
    with pytest.raises(RequestError, match=r"augment\.pixels: unknown key; augment=none has no keys$"):
        compose.compose(["augment.pixels=2"])


def test_every_augmentation_has_an_option():
    assert set(options.option_names("augment")) == set(AUGMENTS)


def test_none_is_the_default():
    assert schema.experiment(compose.compose([])).augment == NoAugment()


# training


@dataclass
class Split:
    images: np.ndarray
    labels: np.ndarray


def part(n, seed=0):
    """Images with one bright line, whose label is whether it lies across, upright or not at all."""
    labels = np.arange(n) % 3
    images = np.random.default_rng(seed).integers(0, 50, (n, 12, 12), dtype=np.uint8)
    images[labels == 0, 5:7, 2:10] = 255
    images[labels == 1, 2:10, 5:7] = 255
    return Split(images, labels)


TRAIN, VALIDATION = part(60), part(30, seed=1)


def train(augmentation=None, trainer=None, seed=0, lr=0.1, **settings):
    """Fit with small defaults; return the network and the history."""
    network = MLP(hidden=[8]).network((12, 12), 3, Regularization())
    network.initialise(Kaiming(), stream(seed, "init"))
    trainer = trainer or TrainerConfig(epochs=3, batch_size=25)
    warped = {} if augmentation is None else {"augmentation": augmentation}
    components = Components(SGD(lr=lr), trainer=trainer, **warped)
    history = fit(network, TRAIN, VALIDATION, components, RandomStreams.from_seed(seed), **settings)
    return network, history


def numbers(history):
    return [replace(row, seconds=0.0) for row in history.epochs]


@pytest.mark.parametrize("name", WARPS)
def test_it_learns_from_augmented_images(name):
    _, history = train(WARPS[name], TrainerConfig(epochs=60, batch_size=10))
    assert history.epochs[-1].val_accuracy == 1


@pytest.mark.parametrize("batch_size", [25, "full"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(batch_size):
    def theta(seed):
        return train(Elastic(), TrainerConfig(epochs=2, batch_size=batch_size), seed)[0].theta.tobytes()

    assert theta(0) == theta(0)
    assert theta(0) != theta(1)


def test_none_is_as_if_there_were_no_augmentation():
    plain, without = train(None), train(NoAugment())
    assert plain[0].theta.tobytes() == without[0].theta.tobytes()
    assert numbers(plain[1]) == numbers(without[1])


def test_augmentation_that_changes_nothing_changes_no_number():
    plain, warp = train(None), train(Elastic(0, 0, 0, 0, alpha=0))
    assert plain[0].theta.tobytes() == warp[0].theta.tobytes()
    assert numbers(plain[1]) == numbers(warp[1])


@pytest.mark.parametrize("batch_size", [25, "full"])
def test_a_step_takes_the_augmented_images_of_its_rows_with_their_labels(batch_size, monkeypatch):
    shown, orders = [], []
    for augmentation in (None, Shift(1)):
        seen = []
        made = MLP(hidden=[8]).network((12, 12), 3, Regularization())
        gradient = type(made).gradient

        def watched(self, images, labels, rows, rng, weights, mixture, seen=seen, gradient=gradient):
            chosen = images if rows is None else images[rows]
            seen.append((chosen.copy(), (labels if rows is None else labels[rows]).copy()))
            return gradient(self, images, labels, rows, rng, weights)

        with monkeypatch.context() as patch:
            patch.setattr(type(made), "gradient", watched)
            train(augmentation, TrainerConfig(epochs=2, batch_size=batch_size))
        shown.append([images for images, _ in seen])
        orders.append([labels.tolist() for _, labels in seen])
    assert orders[0] == orders[1]  # augmentation leaves the order of the data alone
    for plain, augmented in zip(*shown, strict=True):
        assert plain.shape == augmented.shape
        assert not np.array_equal(plain, augmented)
        # each is its own image, moved by one pixel at most
        for before, after in zip(plain, augmented, strict=True):
            around = np.pad(before, 1)
            moves = [around[down : down + 12, right : right + 12] for down, right in np.ndindex(3, 3)]
            assert any(np.array_equal(after, move) for move in moves)


def test_each_epoch_is_drawn_anew():
    first, history = train(Shift(2), TrainerConfig(epochs=2, batch_size="full"))
    rng, augment = stream(0, "augment"), Shift(2)
    network = MLP(hidden=[8]).network((12, 12), 3, Regularization())
    network.initialise(Kaiming(), stream(0, "init"))
    for row in history.epochs:
        augment.start_epoch(TRAIN.images, rng)
        loss, _ = network.gradient(augment.batch(TRAIN.images), TRAIN.labels)
        assert loss == row.train_loss  # running metrics are of the augmented images
        network.theta -= np.float32(0.1) * network.grad
    np.testing.assert_array_equal(network.theta, first.theta)


def test_exact_metrics_and_validation_are_of_the_images_as_they_are():
    network, history = train(Elastic(), TrainerConfig(epochs=2, batch_size=25, train_metrics=TrainMetrics.exact))
    row = history.epochs[-1]
    assert (row.train_loss, row.train_accuracy) == network.score(TRAIN.images, TRAIN.labels)
    assert (row.val_loss, row.val_accuracy) == network.score(VALIDATION.images, VALIDATION.labels)


@pytest.mark.parametrize(("batch_size", "step"), [(25, 2), ("full", 1)])  # at a step, and at the end of an epoch
def test_a_loss_that_is_not_finite_is_named_with_layer_and_step(batch_size, step):
    with pytest.raises(Diverged, match=rf"at step {step} \(epoch 1\): layer 4 dense overflowed first"):
        train(Elastic(), TrainerConfig(epochs=2, batch_size=batch_size), lr=1e30)
