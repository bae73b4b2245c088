"""Several digits in a picture: which parts are one digit, and in which order they are read."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mnistlab.data.sources.bundled import Mnist5k
from mnistlab.inference.predict import grouping
from mnistlab.inference.predict.image_io import Picture, UnreadableError
from mnistlab.inference.predict.preprocessing import MNIST, STYLES, prepare_all

SIZE = (28, 28)


def mask_of(*boxes: tuple[int, int, int, int], shape: tuple[int, int] = (100, 200)) -> np.ndarray:
    """True in these boxes (top, left, height, width)."""
    mask = np.zeros(shape, bool)
    for top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = True
    return mask


def lefts(mask: np.ndarray) -> list[int]:
    return [digit.columns.start for digit in grouping.split(mask)]


def test_digits_are_read_from_left_to_right() -> None:
    assert lefts(mask_of((20, 90, 50, 20), (25, 10, 50, 20), (15, 50, 50, 20))) == [10, 50, 90]


def test_lines_are_read_from_top_to_bottom_even_where_they_slope() -> None:
    rows = [(10 + 4 * i, 30 * i, 30, 15) for i in range(6)] + [(55 + 4 * i, 30 * i, 30, 15) for i in range(6)]
    digits = grouping.split(mask_of(*rows, shape=(130, 200)))
    assert [digit.line for digit in digits] == [0] * 6 + [1] * 6
    assert [digit.columns.start for digit in digits] == [0, 30, 60, 90, 120, 150] * 2


@pytest.mark.parametrize(
    "parts",
    [
        [(30, 20, 40, 25), (22, 30, 5, 25)],  # the bar of a 5 above its body
        [(30, 20, 40, 25), (30, 35, 8, 20)],  # beside it, overlapping in x
        [(10, 20, 30, 25), (42, 20, 30, 25)],  # an 8 of two rings
        [(20, 20, 25, 15), (20, 37, 50, 6)],  # an open 4
    ],
    ids=["a bar above", "a bar beside", "two rings", "an open four"],
)
def test_pieces_of_one_digit_are_joined(parts: list[tuple[int, int, int, int]]) -> None:
    assert len(grouping.split(mask_of(*parts))) == 1


def test_digits_of_equal_height_that_lean_over_each_other_are_two() -> None:
    assert lefts(mask_of((20, 20, 50, 30), (20, 46, 50, 30))) == [20]  # they touch
    lean = np.zeros((100, 200), bool)
    for y in range(50):
        for left in (20, 45):
            lean[70 - y, left + y // 2 : left + y // 2 + 8] = True
    assert lefts(lean) == [20, 45]


def test_specks_belong_to_a_digit_nearby_or_to_none() -> None:
    (digit,) = grouping.split(mask_of((20, 20, 50, 30), (72, 30, 4, 4), (20, 150, 5, 5)))
    assert (digit.rows, digit.columns) == (slice(20, 76), slice(20, 50))


def test_too_many_marks_are_no_digits() -> None:
    with pytest.raises(UnreadableError, match=r"2,500 separate marks are too many for digits; crop the picture"):
        grouping.split(np.kron(np.eye(50, dtype=bool) | True, np.pad(np.ones((7, 7), bool), 2)))
    with pytest.raises(UnreadableError, match=r"625 digits are more than the maximum of 500"):
        grouping.split(np.kron(np.ones((25, 25), bool), np.pad(np.ones((12, 9), bool), 3)))


def row_of(images: np.ndarray, gap: int = 20, side: int = 90) -> np.ndarray:
    """Write images of MNIST beside each other on paper."""
    tiles = []
    for image in images:
        large = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))
        columns = np.flatnonzero(large.max(0) > 100)
        tiles.append(np.pad(large[:, columns[0] : columns[-1] + 1], ((30, 30), (gap // 2, gap // 2))))
    ink = np.pad(np.concatenate(tiles, axis=1), ((0, 0), (30, 30))).astype(float) / 255
    return np.rint(230 - 190 * ink).astype(np.uint8)


def test_every_digit_of_a_row_is_prepared_as_if_it_were_alone() -> None:
    images = Mnist5k().read().test.images[[5, 205, 605, 905]]
    grey = row_of(images)
    digits = prepare_all(Picture(grey, 2 * grey.shape[1], 2 * grey.shape[0]), SIZE, MNIST, None)
    assert len(digits) == 4
    for image, digit in zip(images, digits, strict=True):
        assert np.corrcoef(digit.image.ravel().astype(float), image.ravel().astype(float))[0, 1] > 0.85
    for digit in digits:  # in pixels of the original, which was twice as large
        left, top, width, height = (side // 2 for side in digit.box)
        assert (grey[top : top + height, left : left + width] < 100).any()
    assert [digit.box[0] for digit in digits] == sorted(digit.box[0] for digit in digits)


def test_digits_of_mnist_are_single(shared_cache: object) -> None:
    """2 of 323 real photographs of one digit were taken for several."""
    images = Mnist5k().read().train.images[::40]
    counts = []
    for image in images:
        large = 255 - np.asarray(Image.fromarray(np.pad(image, 4)).resize((180, 180), Image.Resampling.BICUBIC))
        counts.append(len(prepare_all(Picture(large, 180, 180), SIZE, MNIST, None)))
    assert np.mean(np.array(counts) == 1) >= 0.98


def test_a_character_of_several_parts_is_one() -> None:
    grey = row_of(Mnist5k().read().test.images[[5, 205]])
    assert len(prepare_all(Picture(grey, *grey.shape[::-1]), SIZE, STYLES["kmnist"], None)) == 1
