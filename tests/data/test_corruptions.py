"""Noise and rotation: what they do to an image, and that level 0 does nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mnistlab.data.corruptions import ROWS, noisy, rotated, shifted
from mnistlab.system.random import stream

rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (20, 12, 12), dtype=np.uint8)
WIDE = rng.integers(0, 256, (5, 8, 13), dtype=np.uint8)


def test_level_zero_is_the_image_as_it_was() -> None:
    assert noisy(IMAGES, 0, rng) is IMAGES
    assert rotated(IMAGES, 0) is IMAGES


@pytest.mark.parametrize("quarters", [1, 2, 3, 4, -1])
def test_a_quarter_turn_is_rot90(quarters: int) -> None:
    assert np.array_equal(rotated(IMAGES, 90 * quarters), np.rot90(IMAGES, quarters, axes=(1, 2)))


@pytest.mark.parametrize("degrees", [15, 45, -30, 7.3, 200])
@pytest.mark.parametrize("images", [IMAGES, WIDE], ids=["square", "wide"])
def test_rotation_is_bilinear_with_zeros_outside(images: np.ndarray, degrees: float) -> None:
    expected = [ndimage.rotate(x.astype(float), degrees, reshape=False, order=1, mode="grid-constant") for x in images]
    # SciPy's angle counts the same way; half a grey level is rounding
    assert np.abs(rotated(images, degrees) - np.array(expected)).max() <= 0.5 + 1e-3


def test_noise_has_its_standard_deviation_and_is_clipped() -> None:
    grey = np.full((500, 28, 28), 128, np.uint8)
    changed = noisy(grey, 0.1, stream(0, "noise")).astype(float)
    assert changed.std() / 255 == pytest.approx(0.1, rel=0.01)
    assert changed.mean() == pytest.approx(128, abs=0.5)
    black = noisy(np.zeros((500, 28, 28), np.uint8), 0.1, stream(0, "noise"))
    assert (black == 0).mean() == pytest.approx(0.5, abs=0.02)  # half the noise is negative, and cut off
    assert noisy(grey, 10, stream(0, "noise")).max() == 255


def test_noise_is_the_same_at_every_level_but_for_its_strength() -> None:
    grey = np.full((3, 28, 28), 128, np.uint8)
    weak, strong = (noisy(grey, level, stream(5, "noise")).astype(float) - 128 for level in (0.05, 0.1))
    assert np.abs(strong - 2 * weak).max() <= 1.5
    assert not np.array_equal(noisy(grey, 0.1, stream(6, "noise")), strong + 128)


def test_images_are_changed_in_pieces_without_a_seam() -> None:
    many = np.zeros((ROWS + 2, 4, 4), np.uint8)
    many[:, 1] = 200
    assert np.array_equal(rotated(many, 30)[-1], rotated(many[:1], 30)[0])
    z = stream(0, "noise").standard_normal(many.shape, np.float32)
    expected = np.rint(np.clip(many + 255 * 0.2 * z, 0, 255))
    assert np.abs(noisy(many, 0.2, stream(0, "noise")) - expected).max() <= 1


@pytest.mark.parametrize(
    ("down", "right", "expected"),
    [
        (0, 0, [[1, 2, 3], [4, 5, 6]]),
        (1, 0, [[0, 0, 0], [1, 2, 3]]),
        (0, -1, [[2, 3, 0], [5, 6, 0]]),
        (-1, 2, [[0, 0, 4], [0, 0, 0]]),
        (2, 0, [[0, 0, 0], [0, 0, 0]]),
    ],
)
def test_a_shift_moves_whole_pixels_with_zeros_behind_it(down: int, right: int, expected: list[list[int]]) -> None:
    image = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    assert shifted(image, down, right).tolist() == [expected]
