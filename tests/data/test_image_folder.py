import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mnistlab.data.sources.registry import SOURCES
from mnistlab.system.errors import RequestError

RNG = np.random.default_rng(0)


def make(root, classes=("cat", "dog"), n=5, side=6):
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(RNG.integers(0, 256, (side, side), np.uint8)).save(root / name / f"{i}.png")
    return root


def read(root, **options):
    return SOURCES["folder"](path=str(root), **options).read()


def test_a_folder_a_class(tmp_path):
    root = make(tmp_path / "a", classes=("10", "9", "x"), n=11)
    pool = read(root, test=3)
    assert pool.class_names == ("9", "10", "x"), "numbers by value, then words"
    np.testing.assert_array_equal(pool.train.images[2], np.asarray(Image.open(root / "9" / "2.png")))
    np.testing.assert_array_equal(pool.test.images[0], np.asarray(Image.open(root / "9" / "10.png")))
    np.testing.assert_array_equal(np.bincount(pool.train.labels), [10, 10, 10])


def test_train_and_test_folders(tmp_path):
    make(tmp_path / "a" / "train")
    make(tmp_path / "a" / "test", n=2)
    pool = read(tmp_path / "a")
    assert (len(pool.train), len(pool.test)) == (10, 4)
    assert set(pool.provenance["files"]) == {"train/", "test/"}


def test_kinds_of_images_become_grey(tmp_path):
    root = make(tmp_path / "a")
    colour = np.zeros((6, 6, 3), np.uint8)
    colour[..., 0] = 255
    Image.fromarray(colour).save(root / "cat" / "0.png")  # red has the luma 0.299 * 255 = 76.2
    Image.fromarray(np.full((6, 6), 0x80FF, np.uint16)).save(root / "cat" / "1.png")
    Image.fromarray(np.full((6, 6), 7, np.uint8)).save(root / "cat" / "2.bmp")
    (root / "cat" / "2.png").unlink()
    (root / "cat" / "readme.txt").touch()
    (root / ".hidden").mkdir()
    images = read(root, test=2).train.images
    assert [int(image[0, 0]) for image in images[:3]] == [76, 0x80, 7]


def test_size_makes_all_alike(tmp_path):
    root = make(tmp_path / "a")
    Image.fromarray(np.full((9, 12), 50, np.uint8)).save(root / "dog" / "0.png")
    with pytest.raises(RequestError, match=r"dog/0.png is 9 x 12, but cat/0.png is 6 x 6 .*; set size, e.g. size=28"):
        read(root)
    assert read(root, size=8).train.images.shape[1:] == (8, 8)


def test_the_hash_changes_with_a_pixel(tmp_path):
    root = make(tmp_path / "a")
    before = read(root).provenance["sha256"]
    Image.fromarray(np.zeros((6, 6), np.uint8)).save(root / "cat" / "0.png")
    assert read(root).provenance["sha256"] != before


def png_that_claims(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cat/0.png cannot be read as an image (UnidentifiedImageError); repair or remove it"),
        (b"no image", "cat/0.png cannot be read as an image"),
        (png_that_claims(6, 6), "cat/0.png cannot be read as an image"),
        (png_that_claims(9000, 9000), "cat/0.png has 9,000 x 9,000 pixels, more than the maximum of 16,777,216"),
        (png_that_claims(60000, 60000), "cat/0.png has more than the maximum of 16,777,216 pixels"),
    ],
)
def test_an_unreadable_image_is_named(tmp_path, content, message):
    root = make(tmp_path / "a")
    (root / "cat" / "0.png").write_bytes(content)
    with pytest.raises(RequestError) as caught:
        read(root, size=28)
    assert str(caught.value).startswith(f"path={root}: ")
    assert message in str(caught.value)


def test_folders_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    make(tmp_path / "one", classes=("cat",))
    make(tmp_path / "hollow")
    (tmp_path / "hollow" / "cow").mkdir()
    make(tmp_path / "apart" / "train")
    make(tmp_path / "apart" / "test", classes=("cat", "cow"))
    make(tmp_path / "sizes" / "train")
    make(tmp_path / "sizes" / "test", side=7)
    cases = {
        "file": "is a file; must be a folder",
        "gone": "no such folder",
        "empty": "empty/ has no subfolders; must have one folder of images per class",
        "one": "there is only one class, 'cat'; at least two are needed",
        "apart": "test/ has the class 'cow', which train/ does not have",
        "sizes": r"training and test images differ in size \(6 x 6 and 7 x 7\).*; set size",
    }
    for name, message in cases.items():
        with pytest.raises(RequestError, match=message):
            read(tmp_path / name)
    with pytest.raises(RequestError, match="path=None: must be the path of a folder"):
        SOURCES["folder"]().read()
    with pytest.raises(RequestError, match="size=0: the side of an image in pixels must be"):
        read(tmp_path / "one", size=0)


@pytest.mark.parametrize("name", [b"\xff\xfe.png", b"a\nb.png", b"\x1b[2J.png"])
def test_a_name_that_is_no_text(tmp_path, name):
    for label in "ab":
        (tmp_path / label).mkdir()
        for i in range(3):
            Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / label / f"{i}.png")
    (tmp_path / "a" / os.fsdecode(name)).write_bytes((tmp_path / "a" / "0.png").read_bytes())
    with pytest.raises(RequestError, match=r"path=.*: the name '.*png' in .*/ is not text; rename it") as error:
        SOURCES["folder"](path=str(tmp_path)).read()
    assert str(error.value).isascii() and str(error.value).isprintable()
