"""Which files of a folder are images, and in which order they are taken."""

from pathlib import Path

import pytest

from mnistlab.data.image_formats import is_image, natural_order


def test_numbers_come_before_words_and_by_their_value():
    names = ["b.png", "10.png", "a.png", "2.jpg", "1.png", "2.png", "img2.png", "img10.png"]
    order = ["1.png", "2.jpg", "2.png", "10.png", "a.png", "b.png", "img2.png", "img10.png"]
    assert [path.name for path in sorted(map(Path, names), key=natural_order)] == order


@pytest.mark.parametrize(
    ("name", "expected"), [("a.png", True), ("A.JPEG", True), (".a.png", False), ("a.txt", False), ("png", False)]
)
def test_an_image_is_known_by_its_suffix_and_not_hidden(name, expected):
    assert is_image(Path("folder", name)) is expected
