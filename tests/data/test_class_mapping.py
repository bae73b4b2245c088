"""Classes of one dataset in those of another, matched by name."""

import numpy as np
import pytest

from mnistlab.data.class_mapping import relabel
from mnistlab.data.dataset import Split
from mnistlab.system.errors import RequestError

DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt/top", "Ankle boot", "Bag")


def part(*labels):
    return Split(np.zeros((len(labels), 2, 2), np.uint8), np.array(labels, np.int64))


@pytest.mark.parametrize(
    ("names", "wanted", "labels", "expected"),
    [
        (("3", "7"), DIGITS, [0, 1, 1], [3, 7, 7]),
        (DIGITS[::-1], DIGITS, [0, 9], [9, 0]),
        (("bag", "t-shirt_top", "ANKLE BOOT"), CLOTHES, [0, 1, 2], [2, 0, 1]),
        (("7", "cat"), DIGITS, [0, 0], [7, 7]),  # no image is a cat
        (("a", "A"), ("A", "a", "b"), [0, 1], [1, 0]),
    ],
)
def test_classes_are_matched_by_name(names, wanted, labels, expected):
    assert relabel(part(*labels), names, wanted).labels.tolist() == expected


def test_the_same_classes_change_nothing():
    same = part(1, 2)
    assert relabel(same, DIGITS, list(DIGITS)) is same


@pytest.mark.parametrize(
    ("names", "wanted", "unknown"),
    [
        (CLOTHES, ("0", "1", "2"), "T-shirt/top"),  # as many, but what is a 0 of clothes?
        (("0", "x", "2"), DIGITS, "x"),
        (("a", "A", "b"), ("a", "b", "c"), "A"),  # both cannot be a
        (("A", "b", "c"), ("a", "A!", "b"), "A"),  # it could be two
        (("!", "a", "b"), ("a", "b", "?"), "!"),  # nothing is left of their names to compare
    ],
)
def test_a_class_without_counterpart_is_refused(names, wanted, unknown):
    with pytest.raises(RequestError) as caught:
        relabel(part(0, 1, 2), names, wanted)
    said = f"the class {unknown!r} is not one of the model's ({', '.join(wanted)}); classes are matched by name"
    assert str(caught.value) == said


def test_of_many_classes_some_are_listed():
    with pytest.raises(RequestError, match=r"\(0, 1, .*, 11, \.\.\. \(47 in all\)\)"):
        relabel(part(0), ("x",), tuple(map(str, range(47))))
