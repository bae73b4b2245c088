import zipfile

import numpy as np
import pytest
from helpers.data_files import images_and_labels

from mnistlab.data import idx_format
from mnistlab.data.sources.registry import SOURCES
from mnistlab.system.errors import RequestError

X, Y = images_and_labels(40, side=5)


def write(path, **arrays):
    np.savez_compressed(path, **arrays)
    return str(path)


LAYOUTS = {
    "Keras": {"x_train": X, "y_train": Y, "x_test": X[:10], "y_test": Y[:10]},
    "named by part": {"train_images": X, "train_labels": Y, "test_images": X[:10], "test_labels": Y[:10]},
    "images and labels with a test set": {"images": X, "labels": Y, "test_images": X[:10], "test_labels": Y[:10]},
    "one channel": {"images": X[..., None], "labels": Y[:, None], "test_images": X[:10], "test_labels": Y[:10]},
    "flat": {"images": X.reshape(40, 25), "labels": Y, "test_images": X[:10].reshape(10, 25), "test_labels": Y[:10]},
    "whole floats": {"x_train": X.astype(float), "y_train": Y.astype(float), "x_test": X[:10], "y_test": Y[:10]},
    "Fortran order": {"x_train": np.asfortranarray(X), "y_train": Y, "x_test": X[:10], "y_test": Y[:10]},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_npz(tmp_path, layout):
    pool = SOURCES["npz"](path=write(tmp_path / "a.npz", **LAYOUTS[layout])).read()
    np.testing.assert_array_equal(pool.train.images, X)
    np.testing.assert_array_equal(pool.train.labels, Y)
    np.testing.assert_array_equal(pool.test.images, X[:10])
    assert pool.train.images.dtype == np.uint8
    assert pool.train.images.flags.c_contiguous


def test_npz_without_a_test_part_gives_its_last_rows(tmp_path):
    pool = SOURCES["npz"](path=write(tmp_path / "a.npz", images=X, labels=Y), test=10).read()
    np.testing.assert_array_equal(pool.test.images, X[30:])


BAD_NPZ = {
    "other names": ({"a": X, "b": X}, "a.npz holds a, b; must hold x_train, y_train, x_test, y_test or images, labels"),
    "labels missing": ({"x_train": X}, "the training images have no labels, which training needs"),
    "half a test set": ({"images": X, "labels": Y, "test_images": X}, "contains test_images alone"),
    "counts": ({"images": X, "labels": Y[:-1]}, "holds 40 train images but 39 labels"),
    "one too bright": (
        {"images": np.where(np.arange(1000).reshape(40, 5, 5) == 9, 999, X.astype(int)), "labels": Y},
        "the array of training images holds 999; must be whole numbers from 0 to 255",
    ),
    "nan": ({"images": np.where(X > 9, np.nan, X), "labels": Y}, "the images hold nan; pixels must be numbers"),
    "objects": (
        {"images": X, "labels": Y.astype(object)},
        "values of type object, which are Python objects (a pickle)",
    ),
    "no rows": ({"images": X[:0], "labels": Y[:0]}, "the images have the shape (0, 5, 5); at least one image"),
    "a label below zero": ({"images": X, "labels": Y.astype(int) - 1}, "the label -1 usually marks images without"),
    "soft labels": (
        {"images": X, "labels": np.full((40, 3), 1 / 3)},
        "training labels have the shape (40, 3); must be",
    ),
    "fractions": (
        {"images": X, "labels": Y / 2},
        "row 2 of the training labels is 0.5; must be a whole number or a word",
    ),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_bad_npz(tmp_path, case):
    arrays, message = BAD_NPZ[case]
    with pytest.raises(RequestError) as caught:
        SOURCES["npz"](path=write(tmp_path / "a.npz", **arrays)).read()
    assert str(caught.value).startswith(f"path={tmp_path}/a.npz: ")
    assert message in str(caught.value)


def test_npz_that_is_none(tmp_path):
    path = tmp_path / "a.npz"
    for content, message in (
        (b"", "a.npz is empty"),
        (b"PK\3\4garbage", "a.npz is not a valid .npz file"),
        (bytes(1000), "a.npz is of an unknown format"),
        (b"1,2\n3,4\n", "a.npz is a table, not a NumPy archive; read it with data=csv"),
    ):
        path.write_bytes(content)
        with pytest.raises(RequestError, match=message):
            SOURCES["npz"](path=str(path)).read()


def test_npz_cut_short_flipped_or_claiming_too_much(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, images=X, labels=Y)
    content = bytearray(path.read_bytes())
    content[400] ^= 1
    path.write_bytes(content)
    with pytest.raises(RequestError, match="not a valid"):
        SOURCES["npz"](path=str(path)).read()
    path.write_bytes(content[:-30])
    with pytest.raises(RequestError, match="not a valid"):
        SOURCES["npz"](path=str(path)).read()
    for n, message in ((10**7, "more than the maximum of 671,088,640"), (10**5, "ends after 128 of 78,400,000")):
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("images", "labels"):
                with archive.open(f"{name}.npy", "w") as file:
                    claim = {"descr": "|u1", "fortran_order": False, "shape": (n, 28, 28)}
                    np.lib.format.write_array_header_1_0(file, claim)
        with pytest.raises(RequestError, match=message):
            SOURCES["npz"](path=str(path)).read()


def test_npz_counts_are_compared_and_compression_is_known_before_an_array_is_read(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, images=X, labels=np.zeros(7))
    with pytest.raises(RequestError, match=rf"a.npz holds {len(X)} train images but 7 labels; write it with"):
        SOURCES["npz"](path=str(path)).read()
    np.savez(path, images=X, labels=Y)
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(
        RequestError, match=r"labels.npy uses a compression method that NumPy does not write; write it with"
    ):
        SOURCES["npz"](path=str(path)).read()


def test_idx_files_named_one_by_one(four, tmp_path):
    (four / "t10k-labels-idx1-ubyte.gz").rename(tmp_path / "other")
    with pytest.raises(
        RequestError, match=r"has t10k-images-idx3-ubyte.gz but no test labels; add the file, or set test_labels"
    ):
        SOURCES["idx"](path=str(four)).read()
    pool = SOURCES["idx"](path=str(four), test_labels=str(tmp_path / "other")).read()
    assert (len(pool.train), len(pool.test)) == (60, 20)
    with pytest.raises(RequestError, match="test_labels=nowhere: no such file"):
        SOURCES["idx"](path=str(four), test_labels="nowhere").read()


def test_idx_needs_a_path_and_labels_in_range(four):
    with pytest.raises(RequestError, match="path=None: must be the path of a folder of IDX files"):
        SOURCES["idx"]().read()
    with pytest.raises(RequestError, match="training set: row 6 has the label 5, but the 5 classes are 0 to 4"):
        SOURCES["idx"](path=str(four), classes=5).read()
    (four / "train-images-idx3-ubyte.gz").write_bytes(b"")
    with pytest.raises(RequestError, match=r"path=.*: train-images-idx3-ubyte.gz is empty; copy or download"):
        SOURCES["idx"](path=str(four)).read()


def test_idx_swapped_files_are_told(four):
    images, labels = four / "train-images-idx3-ubyte.gz", four / "train-labels-idx1-ubyte.gz"
    with pytest.raises(RequestError, match=r"holds images \(3 dimensions\), must hold labels"):
        SOURCES["idx"](path=str(four), train_images=str(labels), train_labels=str(images)).read()


def test_rectangular_idx_images(four):
    for part, n in (("train", 60), ("t10k", 20)):
        idx_format.write(four / f"{part}-images-idx3-ubyte.gz", np.zeros((n, 2, 7), np.uint8))
    assert SOURCES["idx"](path=str(four)).read().train.images.shape == (60, 2, 7)
