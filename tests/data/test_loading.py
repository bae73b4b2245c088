import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.data_files import images_and_labels
from helpers.tables import thinned

from mnistlab.data.dataset import Pool, Scaling, Source, Split, ValidationFrom
from mnistlab.data.loading import describe, has_own_test, load, load_all, outline
from mnistlab.data.sources.registry import SOURCES
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream


@dataclass
class Made(Source):
    """100 training rows of ten classes and 20 test rows; pixel 0 of an image is its row number."""

    n: int = 100
    absent: int = -1

    def read(self):
        images, labels = images_and_labels(self.n)
        images[:, 0, 0] = np.arange(self.n)
        labels[labels == self.absent] = 0
        test_images, test_labels = images_and_labels(20, seed=1)
        test = Split(test_images, test_labels.astype(np.int64))
        return Pool("made", Split(images, labels.astype(np.int64)), test, tuple("0123456789"), {"sha256": "x"})


def loaded(seed=0, **options):
    return load(Made(**options), stream(seed, "split"))


def numbers(part):
    return part.images[:, 0, 0].tolist()


def test_a_tenth_is_held_out_of_each_class():
    data = loaded()
    assert (len(data.train), len(data.validation), len(data.test)) == (90, 10, 20)
    assert sorted(data.validation.labels) == list(range(10))
    assert sorted(numbers(data.train) + numbers(data.validation)) == list(range(100))
    assert numbers(data.train) == sorted(numbers(data.train)), "rows keep their order"


@pytest.mark.parametrize(("share", "rows"), [(0.25, 25), (30, 30), (0, 0), (0.0, 0), (1, 1), (99, 99)])
def test_validation_by_fraction_or_count(share, rows):
    assert len(loaded(validation=share).validation) == rows


def test_validation_from_the_first_rows():
    data = loaded(validation=5, validation_from=ValidationFrom.first)
    assert numbers(data.validation) == [0, 1, 2, 3, 4]
    assert numbers(data.train) == list(range(5, 100))


@pytest.mark.parametrize("validation", [0, 7])
def test_nothing_is_copied_that_needs_no_selection(validation):
    source = Made(validation=validation, validation_from=ValidationFrom.first)
    pool = source.read()
    source.read = lambda: pool
    assert load(source, stream(0, "split")).train.images.base is pool.train.images


def test_limit_is_stratified_and_keeps_the_order():
    data = loaded(limit=50, validation=0.2)
    assert (len(data.train), len(data.validation)) == (40, 10)
    np.testing.assert_array_equal(np.bincount(data.train.labels), [4] * 10)
    assert numbers(data.train) == sorted(numbers(data.train))
    assert not set(numbers(data.train)) & set(numbers(data.validation))


def test_the_seed_decides_the_split_and_never_the_test_part():
    first, again, other = loaded(seed=1), loaded(seed=1), loaded(seed=2)
    assert numbers(first.validation) == numbers(again.validation) != numbers(other.validation)
    tests = [loaded(seed=seed, test_limit=10).test for seed in (1, 2)]
    np.testing.assert_array_equal(tests[0].images, tests[1].images)
    np.testing.assert_array_equal(np.bincount(tests[0].labels), [1] * 10)


def test_all_rows_are_those_of_the_three_parts_in_their_order():
    made, rows = Made(limit=50), stream(3, "split")
    of_parts = load(made, stream(3, "split"))
    dataset, whole = load_all(made, rows)
    assert len(whole) == 50 + 20
    assert numbers(whole)[:50] == sorted(numbers(of_parts.train) + numbers(of_parts.validation))
    assert np.array_equal(whole.images[50:], of_parts.test.images)
    assert len(dataset.test) == 20
    assert has_own_test(made)


def test_a_source_without_a_test_part_is_not_cut(tmp_path):
    labels = np.arange(3)
    np.savez(tmp_path / "own.npz", images=np.zeros((3, 4, 4), np.uint8), labels=labels)
    source = SOURCES["npz"](path=str(tmp_path / "own.npz"))
    with pytest.raises(RequestError, match="class 0 would have no training rows left"):
        load(source, stream(0, "split"))
    dataset, whole = load_all(source, stream(0, "split"))
    assert whole.labels.tolist() == [0, 1, 2]
    assert (len(dataset.test), has_own_test(source)) == (0, False)
    assert source.cuts  # the source itself is as it was


def test_parts_have_the_promised_types():
    data = loaded(limit=60)
    for part in (data.train, data.validation, data.test):
        assert part.images.dtype == np.uint8
        assert part.labels.dtype == np.int64
        assert part.images.flags.c_contiguous


def test_scaling():
    assert (loaded().shift, loaded().scale) == (0.0, 1 / 255)
    assert (loaded(scaling=Scaling.none).shift, loaded(scaling=Scaling.none).scale) == (0.0, 1.0)


def test_standardising_knows_the_training_part_only():
    data = loaded(scaling=Scaling.standardize, limit=50)
    scaled = (data.train.images - data.shift) * data.scale
    assert scaled.mean() == pytest.approx(0, abs=1e-12)
    assert scaled.std() == pytest.approx(1, rel=1e-12)


def test_a_class_without_training_rows_is_noted(caplog):
    loaded(absent=7)
    assert "made: the training set has no rows of class 7" in caplog.text


def test_description_counts_every_class():
    table = describe(loaded())
    assert table["rows"] == {"train": 90, "validation": 10, "test": 20}
    assert table["classes"][3] == {"class": "3", "train": 9, "validation": 1, "test": 2}
    assert table["provenance"]["sha256"] == "x"
    json.dumps(table)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": -1}, "validation=-1: the number of rows must be zero or more"),
        ({"validation": 1.0}, "validation=1.0: a fraction must be at least 0 and below 1"),
        ({"validation": float("nan")}, "validation=nan: a fraction"),
        ({"validation": "much"}, "validation=much: must be a fraction such as 0.1 or a number of rows such as 5000"),
        ({"validation": True}, "validation=True: must be a fraction"),
        ({"validation": None}, "validation=None: must be a fraction"),
        ({"validation": 100}, "validation=100: the training pool has 100 rows, and at least one must be left"),
        ({"validation": 50, "limit": 50}, "validation=50: the training pool has 50 rows"),
        ({"validation": 0.001}, "validation=0.001: less than one of the 100 rows"),
        ({"limit": 0}, "limit=0: the number of training rows must be a whole number of 1 or more"),
        ({"limit": 101}, "limit=101: the training pool has only 100 rows"),
        ({"limit": 9}, "limit=9: there are 10 classes, and each needs a row"),
        ({"test_limit": -3}, "test_limit=-3: the number of test rows"),
        ({"test_limit": 21}, "test_limit=21: the test set has only 20 rows"),
        ({"test_limit": 5}, "test_limit=5: there are 10 classes"),
    ],
)
def test_impossible_requests(options, message):
    with pytest.raises(RequestError) as caught:
        loaded(**options)
    assert message in str(caught.value)


def test_few_rows_are_fine_without_stratification():
    data = loaded(limit=5, stratify=False, validation=0, test_limit=4)
    assert (len(data.train), len(data.test)) == (5, 4)


def test_standardising_a_constant_is_refused():
    source = Made(scaling=Scaling.standardize)
    pool = source.read()
    pool.train.images[:] = 3
    source.read = lambda: pool
    with pytest.raises(RequestError, match="scaling=standardize: all training pixels have the same value"):
        load(source, stream(0, "split"))


CONF = Path(__file__).parents[2] / "conf" / "data"


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_builds_its_source(file):
    text = file.read_text()
    options = yaml.safe_load(text)
    schema = next(iter(options.pop("defaults")[0].split("/")[-1].split("@")))
    SOURCES[schema](**options)
    assert text.startswith("# ")


OUTLINED = [
    ("mnist5k", {}),
    ("mnist5k", {"limit": 333, "validation": 0.25}),
    ("mnist5k", {"validation": 0}),
    ("mnist5k", {"validation": 77, "validation_from": ValidationFrom.first}),
    ("digits", {}),
    ("digits", {"test": 97, "limit": 500, "validation": 0.15}),
]


@pytest.mark.parametrize(("source", "options"), thinned(OUTLINED, 4))
def test_what_is_known_of_published_data_is_what_loading_gives(source, options):
    made = SOURCES[source](**options)
    known, data = outline(made, stream(0, "split")), load(made, stream(0, "split"))
    assert (known.name, known.image_shape) == (data.name, data.train.images.shape[1:])
    assert known.classes == len(data.class_names)
    assert (known.train, known.validation) == (len(data.train), len(data.validation))


def test_more_rows_than_published_are_refused_as_in_loading():
    made = SOURCES["mnist5k"](limit=4001)
    with pytest.raises(RequestError) as of_outline:
        outline(made, stream(0, "split"))
    with pytest.raises(RequestError) as of_load:
        load(made, stream(0, "split"))
    assert str(of_outline.value) == str(of_load.value)


def test_own_data_are_read_for_their_outline():
    known = outline(Made(), stream(0, "split"))
    assert (known.name, known.image_shape, known.classes) == ("made", loaded().train.images.shape[1:], 10)
    assert (known.train, known.validation) == (90, 10)
