"""Weighted samples: copies are merged or kept together, whatever the order and the weights."""

import numpy as np
import pytest

from mnistlab.data.weighted_samples import Samples
from mnistlab.system.errors import RequestError

A, B, C = [[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]


def samples(images, labels, weights=None, dtype=np.float64):
    return Samples(np.array(images, dtype), np.array(labels), None if weights is None else np.array(weights, dtype))


def as_set(found):
    weights = np.ones(len(found)) if found.weights is None else found.weights
    return {
        (*image.ravel(), label, weight)
        for image, label, weight in zip(found.images, found.labels, weights, strict=True)
    }


def test_copies_become_one_sample_of_their_summed_weight():
    merged = samples([A, B, A, C], [0, 1, 0, 1], [1, 2, 0.5, 3]).merged()
    assert as_set(merged) == {(1, 2, 0, 1.5), (3, 4, 1, 2), (5, 6, 1, 3)}
    assert as_set(samples([A, B, A], [0, 1, 0]).merged()) == {(1, 2, 0, 2), (3, 4, 1, 1)}


def test_the_same_image_with_another_label_is_another_sample():
    assert as_set(samples([A, A], [0, 1]).merged()) == {(1, 2, 0, 1), (1, 2, 1, 1)}


def test_samples_without_weights_and_copies_have_no_weights_after_it():
    assert samples([A, B], [0, 1]).merged().weights is None


def test_neither_order_nor_copies_change_what_is_merged():
    rng = np.random.default_rng(0)
    images, labels, counts = rng.random((9, 1, 4)), rng.integers(0, 3, 9), rng.integers(1, 4, 9)
    weighted = samples(images, labels, counts).merged()
    shuffled = rng.permutation(int(counts.sum()))
    repeated = samples(images.repeat(counts, 0)[shuffled], labels.repeat(counts)[shuffled]).merged()
    for name in ("images", "labels", "weights"):
        np.testing.assert_array_equal(getattr(weighted, name), getattr(repeated, name))


def test_weights_have_the_dtype_of_the_images():
    assert samples([A, A, B], [0, 0, 1], dtype=np.float32).merged().weights.dtype == np.float32


def test_a_split_is_stratified_and_keeps_copies_together():
    rng = np.random.default_rng(0)
    distinct, labels = rng.random((40, 1, 3)), np.arange(40) % 2
    whole = samples(distinct.repeat(3, 0), labels.repeat(3))
    train, validation = whole.split(0.25, np.random.default_rng(1))
    assert (len(train), len(validation)) == (90, 30)
    assert np.bincount(validation.labels).tolist() == [15, 15]
    assert not {*train.images.ravel()} & {*validation.images.ravel()}
    again, _ = samples(distinct, labels, np.full(40, 3)).split(0.25, np.random.default_rng(1))
    assert {*again.images.ravel()} == {*train.images.ravel()}


@pytest.mark.parametrize(("fraction", "held_out"), [(0.01, 1), (0.5, 2), (0.99, 3)])
def test_both_parts_of_a_split_have_a_sample(fraction, held_out):
    train, validation = samples([A, B, C, [[7.0, 8.0]]], [0, 0, 0, 0]).split(fraction, np.random.default_rng(0))
    assert (len(train), len(validation)) == (4 - held_out, held_out)


def test_one_distinct_sample_cannot_be_split():
    with pytest.raises(RequestError) as error:
        samples([A, A], [0, 0]).split(0.5, np.random.default_rng(0))
    assert (
        str(error.value)
        == "n_samples=1: early_stopping needs at least two samples, one for training and one for validation"
    )
