"""`mnistlab data convert`: what is read, written in the one form that is read again without assumptions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.data_files import images_and_labels

from mnistlab.data.sources.registry import SOURCES
from mnistlab.inference.predict import image_table

Command = Callable[..., Any]
X, Y = images_and_labels(60, side=6)


def test_what_is_converted_reads_the_same(command: Command) -> None:
    names = np.array([f"class {i}" for i in range(10)])
    arrays = {"x_train": X[:30] / 255, "y_train": Y[:30] + 1, "x_test": X[50:] / 255, "y_test": Y[50:] + 1}
    np.savez("größe (1).npz", x_val=X[30:50] / 255, y_val=Y[30:50] + 1, class_names=names, **arrays)
    assert command("data", "convert", "größe (1).npz", "--to", "folder/my.npz").status == 0
    with np.load("folder/my.npz") as saved:
        assert sorted(saved.files) == sorted(
            [
                "class_names",
                "upright",
                *(f"{part}_{kind}" for part in ("train", "val", "test") for kind in ("images", "labels")),
            ]
        )
        np.testing.assert_array_equal(saved["val_images"], X[30:50])
        assert saved["train_labels"].tolist() == Y[:30].tolist()
    pools = [SOURCES["auto"](path=path).read() for path in ("größe (1).npz", "folder/my.npz")]
    assert pools[0].class_names == pools[1].class_names == tuple(names)
    assert pools[0].provenance["sha256"] == pools[1].provenance["sha256"]
    assert "read_as" not in pools[1].provenance, "nothing is assumed"


def test_no_test_set_is_cut_and_overrides_apply(command: Command) -> None:
    np.savez("a.npz", images=X, labels=Y)
    assert command("data", "convert", "a.npz", "data.size=3", "data.invert=true", "--to", "b.npz").status == 0
    with np.load("b.npz") as saved:
        assert sorted(saved.files) == ["class_names", "train_images", "train_labels", "upright"]
        assert saved["train_images"].shape == (60, 3, 3)


def test_images_are_upright_once_and_for_all_whatever_the_file_is_called(command: Command) -> None:
    np.savez("emnist.npz", images=X.transpose(0, 2, 1), labels=Y)
    assert command("data", "convert", "emnist.npz", "--to", "emnist_small.npz").status == 0
    assert np.array_equal(SOURCES["auto"](path="emnist_small.npz", test=2).uncut().read().train.images, X)
    assert np.array_equal(image_table.read("emnist_small.npz", (6, 6)).images, X)
    turned = SOURCES["auto"](path="emnist_small.npz", transpose=True).uncut().read().train.images
    assert np.array_equal(turned, X.transpose(0, 2, 1)), "the user decides"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.npz"], "name the data and the file, as in `mnistlab data convert PATH --to my.npz`"),
        (["a.npz", "--to", "b.csv"], "--to b.csv: must end in .npz, the format that is written"),
        (["nowhere", "--to", "b.npz"], "data.path=nowhere: no such file; check path"),
    ],
)
def test_requests_that_cannot_be(command: Command, words: list[str], message: str) -> None:
    result = command("data", "convert", *words)
    assert (result.status, Path("b.npz").exists()) == (2, False)
    assert message in result.err
