"""Flip, crop, erasing, mixup and lists of them: what they do to an image, what is drawn, and what is refused."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mnistlab.config import compose, schema
from mnistlab.data.augmentation import (
    AUGMENTS,
    Augment,
    Border,
    Combined,
    Crop,
    Erasing,
    Fill,
    Flip,
    Mixup,
    Shift,
)
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream

OURS = {
    "flip": Flip(),
    "crop": Crop(),
    "erasing": Erasing(),
    "erasing, noise": Erasing(fill=Fill.noise),
    "crop then affine": Combined([{"crop": {"border": "edge"}}, "affine"]),
    "affine then erasing": Combined(),
}
N = 4000


def pictures(n, shape=(9, 7), seed=0):
    return np.random.default_rng(seed).integers(1, 256, (n, *shape), dtype=np.uint8)


def started(augment, images, seed=0):
    """Return a copy of the augmentation with the draws of one epoch over the images."""
    augment = replace(augment)
    augment.start_epoch(images, np.random.default_rng(seed))
    return augment


# what each does, on arrays small enough to be read


def test_a_flip_mirrors_left_to_right():
    images = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    assert started(Flip(1), images).batch(images).tolist() == [[[3, 2, 1], [6, 5, 4]]]
    assert started(Flip(0), images).batch(images).tolist() == images.tolist()


@pytest.mark.parametrize(
    ("border", "expected"),
    [
        (Border.zeros, [[0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 4, 0], [0, 0, 0, 0]]),
        (Border.edge, [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]),
        (Border.reflect, [[4, 3, 4, 3], [2, 1, 2, 1], [4, 3, 4, 3], [2, 1, 2, 1]]),
    ],
)
def test_a_crop_is_a_window_of_the_padded_image(border, expected):
    images = np.repeat(np.array([[[1, 2], [3, 4]]], np.uint8), 200, axis=0)
    windows = [np.array(expected)[i : i + 2, j : j + 2].tolist() for i, j in np.ndindex(3, 3)]
    crops = started(Crop(1, border), images).batch(images).tolist()
    assert all(crop in windows for crop in crops)
    assert all(window in crops for window in windows)


def test_all_windows_of_a_crop_are_equally_probable():
    images = np.zeros((N, 5, 5), np.uint8)
    images[:, 2, 2] = 1
    crops = started(Crop(1, Border.zeros), images).batch(images)
    counts = crops[:, 1:4, 1:4].sum(axis=0, dtype=int)
    assert counts.sum() == N
    assert abs(counts - N / 9).max() < 5 * np.sqrt(N * 8 / 81)  # five sigma of the binomial distribution


def test_a_crop_with_zeros_is_a_shift():
    images = pictures(300)
    shifts, crops = (started(how, images).batch(images) for how in (Shift(2), Crop(2, Border.zeros)))
    for shift, crop in zip(shifts, crops, strict=True):
        assert shift.any()
        assert crop.any()
    assert {(image > 0).sum() for image in shifts} == {(image > 0).sum() for image in crops}


def test_an_erased_rectangle_has_the_area_and_the_aspect_that_were_asked_for():
    images = pictures(N, (40, 40))
    erased = started(Erasing(1, 0.1, 0.3, 0.5), images).batch(images) == 0
    heights, widths = erased.any(axis=2).sum(axis=1), erased.any(axis=1).sum(axis=1)
    assert (erased.sum(axis=(1, 2)) == heights * widths).all()  # rectangles
    area, aspect = heights * widths / 1600, heights / widths
    # a side of 9 to 31 pixels is rounded by half a pixel at most
    assert 0.09 < area.min() < 0.11
    assert 0.29 < area.max() < 0.32
    assert area.mean() == pytest.approx(0.2, abs=5 * 0.2 / np.sqrt(12 * N) + 0.001)
    assert 0.45 < aspect.min() < 0.55
    assert 1.8 < aspect.max() < 2.2
    assert np.log(aspect).mean() == pytest.approx(0, abs=5 * 2 * np.log(2) / np.sqrt(12 * N))
    # every pixel may be erased, and those in the middle more often
    assert erased.any(axis=0).all()
    assert erased[:, 20, 20].mean() > erased[:, 0, 0].mean()


def test_so_many_images_are_flipped_and_erased_as_the_probability_says():
    images = pictures(N)
    for how in (Flip(0.3), Erasing(0.3, 0.1, 0.2)):
        changed = (started(how, images).batch(images) != images).any(axis=(1, 2)).mean()
        assert changed == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / N))


def test_cutout_erases_one_square_of_every_image():
    images = pictures(50, (28, 28))
    erased = started(Erasing(1, 0.25, 0.25, 1), images).batch(images) == 0
    assert (erased.any(axis=2).sum(axis=1) == 14).all()
    assert (erased.any(axis=1).sum(axis=1) == 14).all()


def test_a_rectangle_too_long_for_the_image_is_cut_to_it():
    images = pictures(50, (4, 30))
    erased = started(Erasing(1, 1, 1, 1), images).batch(images) == 0  # a square of 11 pixels in an image of 4 x 30
    assert (erased.sum(axis=(1, 2)) == 4 * 11).all()


def test_noise_fills_a_rectangle_with_pixels_of_all_values():
    images = np.zeros((N, 8, 8), np.uint8)
    noise = started(Erasing(1, 1, 1, 1, Fill.noise), images).batch(images)
    counts = np.bincount(noise[:256].reshape(-1), minlength=256)
    assert counts.min() > 0
    assert noise.mean() == pytest.approx(127.5, abs=5 * 74 / np.sqrt(noise[:256].size))


def test_mixup_is_the_weighted_mean_of_two_images_and_of_their_targets():
    images, labels = np.array([[[200]], [[0]], [[100]]], np.uint8), np.array([7, 8, 9])
    mixup = started(Mixup(1.0), images)
    mixed, first, rows, (second, share) = mixup.step(images, labels, None)
    assert rows is None
    assert first.tolist() == [7, 8, 9]
    value = dict(zip([7, 8, 9], [200, 0, 100], strict=True))
    for pixel, one, other, s in zip(mixed.reshape(-1), first, second, share, strict=True):
        assert other != one
        assert 0.5 <= s <= 1
        assert pixel == np.rint(np.float32(s) * value[one] + (1 - np.float32(s)) * value[other])


def test_the_shares_of_mixup_are_the_larger_of_two_that_sum_to_one():
    mixup = started(Mixup(1.0), pictures(N))
    assert mixup._share.min() >= 0.5
    assert mixup._share.mean() == pytest.approx(0.75, abs=5 * 0.5 / np.sqrt(12 * N))  # uniform on [0.5, 1]
    slight = started(Mixup(0.01), pictures(N))
    assert (slight._share > 0.99).mean() > 0.9


def test_a_batch_of_one_image_is_mixed_with_itself():
    images = pictures(1)
    mixed, labels, _, (second, _) = started(Mixup(), images).step(images, np.array([3]), np.array([0]))
    np.testing.assert_array_equal(mixed, images)
    assert labels.tolist() == second.tolist() == [3]


def test_the_others_of_mixup_differ_from_epoch_to_epoch_in_the_same_order():
    images, mixup, rng = pictures(100), Mixup(), np.random.default_rng(0)
    partners = set()
    for _ in range(5):
        mixup.start_epoch(images, rng)
        partners.add(tuple(mixup.step(images, np.arange(100), None).mixture[0]))
    assert len(partners) == 5


# lists


def test_the_parts_of_a_list_follow_each_other():
    images = pictures(60)
    combined = started(Combined(["flip", {"crop": {"padding": 1}}]), images, seed=3)
    rng, flip, crop = np.random.default_rng(3), Flip(), Crop(1)
    flip.start_epoch(images, rng)
    crop.start_epoch(images, rng)
    rows = np.array([5, 9, 33])
    np.testing.assert_array_equal(combined.batch(images, rows), crop.change(flip.batch(images, rows), rows))


def test_mixup_in_a_list_mixes_the_changed_images():
    images, labels = pictures(40), np.arange(40) % 4
    augment = started(Combined(["flip", {"mixup": {"alpha": 1.0}}]), images)
    mixed, _, _, (second, share) = augment.step(images, labels, np.arange(10))
    mixed = mixed.copy()
    flipped = augment.steps[0].batch(images, np.arange(10)).astype(np.float32)
    turn = 1 + augment.steps[1]._turn % 9
    expected = share[:, None, None] * (flipped - np.roll(flipped, turn, 0)) + np.roll(flipped, turn, 0)
    np.testing.assert_allclose(mixed, expected, atol=0.51)
    assert second.tolist() == np.roll(labels[:10], turn).tolist()


def test_a_list_on_the_command_line_is_short_for_combined():
    short = schema.experiment(compose.compose(["augment=[affine,erasing]"])).augment
    assert short == Combined(["affine", "erasing"])
    assert compose.compose(["augment=[affine,erasing]"]) == compose.compose(
        ["augment=combined", "augment.parts=[affine,erasing]"]
    )
    with_settings = schema.experiment(compose.compose(["augment=[flip,{crop:{padding:4,border:edge}}]"])).augment
    assert with_settings.steps == [Flip(), Crop(4, Border.edge)]


def test_a_list_in_the_defaults_of_an_experiment_is_refused_with_the_cure(command):
    folder = Path("conf/experiment")
    folder.mkdir(parents=True)
    (folder / "two.yaml").write_text("# @package _global_\ndefaults:\n  - override /augment: [affine, erasing]\n")
    result = command("train", "--config-dir", "conf", "experiment=two")
    message = "Affine and Erasing are options of one group; choose one, or augment: combined with its parts"
    assert (result.status, result.err.strip()) == (2, f"mnistlab train: error: {message}")


@dataclass
class Darker(Augment):
    """A plug-in."""

    by: int = 2

    def start_epoch(self, images, rng):
        pass

    def change(self, images, rows):
        images //= self.by
        return images


@dataclass
class Old(Augment):
    """A plug-in of the first release, with a step of its own that returns three values."""

    def start_epoch(self, images, rng):
        pass

    def step(self, images, labels, rows):
        return images, labels, rows


def test_a_plug_in_can_be_a_part(monkeypatch):
    monkeypatch.setitem(AUGMENTS, "darker", Darker)
    monkeypatch.setitem(AUGMENTS, "old", Old)
    images = pictures(5)
    combined = started(Combined([{"darker": {"by": 4}}, "darker"]), images)
    np.testing.assert_array_equal(combined.batch(images), images // 4 // 2)
    with pytest.raises(RequestError, match=r"parts\.1=old: this augmentation must be the first of the parts"):
        Combined(["flip", "old"])


# draws


@pytest.mark.parametrize("name", OURS)
def test_an_epoch_is_a_function_of_the_stream(name):
    images = pictures(30)

    def epochs(seed):
        augment, rng = replace(OURS[name]), stream(seed, "augment")
        shown = []
        for _ in range(2):
            augment.start_epoch(images, rng)
            shown.append(augment.batch(images).copy())
        return shown

    first, second = epochs(0)
    np.testing.assert_array_equal([first, second], epochs(0))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, epochs(1)[0])


@pytest.mark.parametrize("shape", [(9, 7), (28, 28), (3, 3)])
@pytest.mark.parametrize("name", OURS)
def test_a_batch_holds_the_images_of_its_rows_however_it_is_cut(name, shape):
    images, labels = pictures(100, shape), np.arange(100)
    images.setflags(write=False)  # as those of a file in memory
    augment = started(OURS[name], images)
    whole = augment.batch(images).copy()
    assert (whole.shape, whole.dtype) == (images.shape, np.uint8)
    order = np.random.default_rng(1).permutation(100)
    for size in (1, 3, 64, 100):
        for start in range(0, 100, size):
            rows = order[start : start + size]
            shown, shown_labels, *none = augment.step(images, labels, rows)
            np.testing.assert_array_equal(shown, whole[rows])
            np.testing.assert_array_equal(shown_labels, rows)
            assert none == [None, None]


@pytest.mark.parametrize("name", [*OURS, "mixup"])
def test_augmentation_without_a_random_stream_is_refused(name):
    augment = replace(OURS.get(name, Mixup()))
    with pytest.raises(RequestError, match="augment=None: augmentation is random and needs a generator"):
        augment.start_epoch(pictures(3), None)


# what is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Flip(1.5), "probability=1.5: the probability of a flip must be between 0 and 1"),
        (lambda: Crop(-1), "padding=-1: the padding (pixels) must be a whole number of 0 or more"),
        (lambda: Crop(9).check(28, 9), "padding=9: must be smaller than the images, which have 28 x 9 pixels; pad by"),
        (lambda: Erasing(-0.1), "probability=-0.1: the probability of an erased rectangle must be between 0 and 1"),
        (lambda: Erasing(0.5, 0.3, 0.2), "smallest=0.3: must be at most largest=0.2"),
        (lambda: Erasing(largest=2), "largest=2: the largest area (fraction) must be between 0 and 1"),
        (lambda: Erasing(aspect=0), "aspect=0: the least aspect ratio must be above 0 and at most 1"),
        (lambda: Mixup(0), "alpha=0: alpha must be positive"),
        (lambda: Combined([]), "parts=[]: must name one augmentation or more, as in [affine,erasing]"),
        (
            lambda: Combined(["afine"]),
            "parts.0=afine: choose one of shift, affine, elastic, stroke_width, flip, crop, erasing",
        ),
        (lambda: Combined(["none"]), "parts.0=none: choose one of shift, affine"),
        (lambda: Combined([{"flip": {}, "crop": {}}]), "parts.0={'flip': {}, 'crop': {}}: must be a name, or a name"),
        (lambda: Combined([{"flip": {"prob": 1}}]), "parts.0.flip.prob: unknown setting; it takes probability"),
        (lambda: Combined(["flip", {"crop": {"padding": -1}}]), "parts.1.crop.padding=-1: the padding (pixels) must"),
        (lambda: Combined([{"crop": {"border": "wrap"}}]), "parts.0.crop.border=wrap: choose one of zeros, reflect"),
        (lambda: Combined(["mixup", "mixup"]), "parts.1: images can be mixed only once; remove one of them"),
        (lambda: Combined(["flip", "crop"]).check(2, 2), "parts.1.crop.padding=2: must be smaller than the images"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(RequestError, match="^" + re.escape(message)):
        make()


def test_a_part_is_refused_with_its_key_in_the_configuration():
    with pytest.raises(
        RequestError, match=r"^augment\.parts\.1\.erasing\.smallest=0\.5: must be at most largest=0\.2$"
    ):
        schema.experiment(compose.compose(["augment=[affine,{erasing:{smallest:0.5}}]"]))
