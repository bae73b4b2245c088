"""The mean of probabilities, and disagreement, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mnistlab.models.ensemble import disagreement, mean_disagreement, mean_over_shifts, mean_probabilities

A = np.array([[0.8, 0.2], [0.4, 0.6], [0.9, 0.1], [0.5, 0.5]], np.float32)
B = np.array([[0.6, 0.4], [0.8, 0.2], [0.3, 0.7], [0.0, 1.0]], np.float32)


def test_the_mean_is_arithmetic() -> None:
    expected = [[0.7, 0.3], [0.6, 0.4], [0.6, 0.4], [0.25, 0.75]]
    assert mean_probabilities([A, B]) == pytest.approx(np.array(expected))
    assert mean_probabilities([A, B]).dtype == np.float32


def test_the_mean_of_one_is_that_one() -> None:
    third = np.full((1, 3), 1 / 3, np.float32)
    assert np.array_equal(mean_probabilities([third]), third)
    assert np.array_equal(mean_probabilities([third] * 3), third)


def test_disagreement_is_the_share_of_different_predictions() -> None:
    # A says 0 1 0 0 (the first of equals), B says 0 0 1 1
    pairs = disagreement([A, B, A])
    assert pairs.tolist() == [[0, 0.75, 0], [0.75, 0, 0.75], [0, 0.75, 0]]
    of_each, of_all = mean_disagreement(pairs)
    assert of_each == [0.375, 0.75, 0.375]
    assert of_all == 0.5


def test_the_mean_over_shifts_is_that_of_all_shifts_up_to_so_many_pixels() -> None:
    images = np.zeros((1, 5, 5), np.uint8)
    images[0, 2, 2] = 1

    def places(moved: np.ndarray) -> np.ndarray:
        return moved.reshape(1, -1).astype(np.float64)

    mean = mean_over_shifts(places, images, 1).reshape(5, 5)
    np.testing.assert_allclose(mean[1:4, 1:4], 1 / 9)
    assert mean.sum() == pytest.approx(1)
    np.testing.assert_array_equal(mean_over_shifts(places, images, 0), places(images))
