"""What stands out and is no digit: frames, ruled and squared paper, the table around a page, screens."""

from __future__ import annotations

import numpy as np
import pytest

from mnistlab.inference.predict import clutter, segmentation
from mnistlab.inference.predict.image_io import Picture, UnreadableError
from mnistlab.inference.predict.preprocessing import MNIST, prepare, prepare_all

SIZE = (28, 28)


def page(shape: tuple[int, int] = (300, 240), paper: int = 225, pen: int = 60) -> np.ndarray:
    """A page with a seven, 120 pixels tall and 80 wide, with strokes of 12 pixels."""
    grey = np.full(shape, paper, np.uint8)
    grey[90:102, 70:150] = pen
    grey[90:210, 138:150] = pen
    return grey


def noisy(grey: np.ndarray, deviation: float = 2) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, deviation, grey.shape)
    return np.clip(grey + noise, 0, 255).astype(np.uint8)


def image_of(grey: np.ndarray) -> np.ndarray:
    return prepare(Picture(grey, grey.shape[1], grey.shape[0]), SIZE, MNIST, None).image


def alike(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel().astype(float), other.ravel().astype(float))[0, 1])


def framed(grey: np.ndarray, outer: int, thick: int, level: int = 5) -> np.ndarray:
    out = grey.copy()
    h, w = grey.shape
    out[outer : h - outer, outer : w - outer] = level
    inner = outer + thick
    out[inner : h - inner, inner : w - inner] = grey[inner : h - inner, inner : w - inner]
    return out


def ruled(grey: np.ndarray, distance: int, slope: float = 0.0, level: int = 120) -> np.ndarray:
    out = grey.copy()
    h, w = grey.shape
    x = np.arange(w)
    for start in range(-h, 2 * h, distance):
        y = np.rint(start + slope * x).astype(int)
        for thick in (0, 1):
            inside = (y + thick >= 0) & (y + thick < h)
            out[y[inside] + thick, x[inside]] = np.minimum(out[y[inside] + thick, x[inside]], level)
    return out


EXPECTED = image_of(page())


@pytest.mark.parametrize("pen", [60, 150], ids=["a pen", "a pencil"])
@pytest.mark.parametrize("outer", [0, 12], ids=["at the edge", "inside"])
@pytest.mark.parametrize("thick", [3, 14], ids=["a thin frame", "a thick frame"])
def test_a_black_frame_hides_neither_pen_nor_pencil(pen: int, outer: int, thick: int) -> None:
    assert alike(image_of(noisy(framed(page(pen=pen), outer, thick))), EXPECTED) > 0.95


def test_a_frame_that_a_digit_touches_is_taken_out_line_by_line() -> None:
    grey = framed(page(), 12, 3)
    grey[200:288, 138:150] = 60  # down to the frame
    image = image_of(noisy(grey))
    assert alike(image, image_of(np.where(grey == 5, 225, grey).astype(np.uint8))) > 0.9


@pytest.mark.parametrize("slope", [0.0, 0.05, -0.05])
@pytest.mark.parametrize("distance", [30, 55])
def test_ruled_lines_are_taken_out_and_the_strokes_that_cross_them_stay(slope: float, distance: int) -> None:
    assert alike(image_of(noisy(ruled(page(), distance, slope))), EXPECTED) > 0.8


def test_so_are_the_lines_of_squared_paper() -> None:
    squared = ruled(ruled(page(), 40).T.copy(), 40).T.copy()
    assert alike(image_of(noisy(squared)), EXPECTED) > 0.85


@pytest.mark.parametrize("pen", [60, 150])
def test_the_table_around_a_page_is_not_read(pen: int) -> None:
    table = np.pad(page(pen=pen), 40, constant_values=30)
    assert alike(image_of(noisy(table)), EXPECTED) > 0.95


def test_a_screen_in_a_light_room_is_read_light_on_dark() -> None:
    screen = np.pad(255 - page(), 30, constant_values=240)
    prepared = prepare(Picture(noisy(screen), 300, 360), SIZE, MNIST, None)
    assert prepared.done == "light on dark"
    assert alike(prepared.image, EXPECTED) > 0.95


def test_a_long_straight_digit_is_no_line_and_an_empty_zero_no_frame() -> None:
    one = np.full((200, 60), 230, np.uint8)
    one[4:196, 28:32] = 30
    assert image_of(noisy(one))[:, 14].max() > 200
    y, x = np.mgrid[-1:1:200j, -1:1:160j]
    zero = np.where(np.abs(np.hypot(y / 0.95, x / 0.95) - 0.92) < 0.06, 30, 230).astype(np.uint8)
    image = image_of(noisy(zero))
    assert image[12:16, 12:16].max() == 0
    assert image[14].max() > 200


def test_rows_of_sevens_are_no_ruled_paper() -> None:
    seven = page((300, 200))[70:230, 50:170]
    sheet = np.tile(seven, (4, 4))
    assert not clutter.ruled(sheet < 128).any()
    digits = prepare_all(Picture(sheet, *sheet.shape[::-1]), SIZE, MNIST, None)
    assert [digit.line for digit in digits] == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4


def test_nothing_but_a_frame_is_taken_for_the_digit() -> None:
    empty = framed(np.full((200, 200), 230, np.uint8), 30, 8)
    assert segmentation.find(empty).mask.any()


def test_a_picture_full_of_marks_says_what_is_there() -> None:
    grey = np.full((300, 300), 220, np.uint8)
    shift = np.random.default_rng(0).integers(0, 5, (30, 30, 2))
    for row in range(30):
        for column in range(30):
            top, left = 10 * row + shift[row, column, 0], 10 * column + shift[row, column, 1]
            grey[top : top + 2, left : left + 2] = 60
    with pytest.raises(UnreadableError, match=r"^only small marks: \d+, of at most \d+ pixels in 300 x 300; crop"):
        prepare_all(Picture(grey, 300, 300), SIZE, MNIST, None)


def test_marks_on_a_background_as_uneven_are_counted() -> None:
    rng = np.random.default_rng(0)
    texture = np.kron(rng.normal(128, 40, (60, 60)), np.ones((5, 5)))
    with pytest.raises(UnreadableError, match=r"^no digit stands out: there are \d+ marks, the longest of \d+ pixels"):
        prepare_all(Picture(np.clip(texture, 0, 255).astype(np.uint8), 300, 300), SIZE, MNIST, None)


def test_small_specks_on_a_large_page_are_no_digits() -> None:
    grey = np.full((600, 600), 230, np.uint8)
    for i in range(12):
        grey[40 * i + 60 : 40 * i + 64, 45 * i + 40 : 45 * i + 44] = 30
    with pytest.raises(UnreadableError, match=r"^only small marks: 12, of at most \d pixels in 600 x 600; crop"):
        prepare_all(Picture(grey, 600, 600), SIZE, MNIST, None)
