"""The set of pictures that look like photographs: its files, that a seed makes the same ones, and its table."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnistlab.data.sources.bundled import Mnist5k
from mnistlab.models import model_file
from mnistlab.nn.architectures import MLP
from mnistlab.nn.initializers import Kaiming
from mnistlab.nn.regularization import Regularization

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def photographs() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield import_module("photographs")


@pytest.mark.slow
def test_a_seed_makes_the_same_pictures_of_every_kind(photographs: Any) -> None:
    test = Mnist5k().read().test
    for folder, seed in (("one", 0), ("again", 0), ("other", 1)):
        photographs.make(Path(folder), test, 1, seed)
    files = sorted(path.relative_to("one") for path in Path("one").rglob("*.*"))
    assert {path.parts[0] for path in files} == {*photographs.ONE, *photographs.SEVERAL}
    for path in files:
        assert (Path("one") / path).read_bytes() == (Path("again") / path).read_bytes()
        with Image.open(Path("one") / path) as picture:
            assert min(picture.size) >= 5
        assert set(path.parts[1]) <= set("0123456789 ")
    assert sorted(path.relative_to("other") for path in Path("other").rglob("*.*")) != files


def test_the_table_has_a_row_for_every_kind_and_counts_unreadable_pictures(photographs: Any) -> None:
    rng = np.random.default_rng(0)
    for kind in ("marker", "several"):
        place = Path("set", kind, "11" if kind == "several" else "1")
        place.mkdir(parents=True)
        scene = photographs.page(rng, Mnist5k().read().test.images[105], None)
        Image.fromarray(scene.picture(rng)).save(place / "0.png")
        (place / "1.png").write_bytes(b"not a picture")
    network = MLP(hidden=[8]).network((28, 28), 10, Regularization())
    network.initialise(Kaiming(), rng)
    Path("run").mkdir()
    model_file.save_model(Path("run/model.safetensors"), network, tuple("0123456789"))
    lines = photographs.measure(Path("set"), ["run"]).splitlines()
    assert [line.split(" | ")[0] for line in lines] == [
        "| kind",
        "|---|---|---|",
        "| marker",
        "| several",
        "| all of one digit",
    ]
    assert lines[2].split(" | ")[1] == "2"
    assert lines[2].count("%") == 1


def test_a_thin_pen_draws_thinner_strokes_than_a_thick_one(photographs: Any) -> None:
    digit = Mnist5k().read().test.images[805]
    thin, thick = (float(photographs.strokes(digit, 200, width, 0).sum()) for width in (4, 16))
    assert 2 < thick / thin < 6
