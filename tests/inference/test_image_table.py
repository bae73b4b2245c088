"""Tables of images to classify: the columns and arrays that people have, and what is refused."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.networks import network

from mnistlab.data.dataset import Pool
from mnistlab.data.formats import scaling
from mnistlab.data.formats.record import Options
from mnistlab.data.sources.registry import SOURCES
from mnistlab.inference.predict import image_table, inputs
from mnistlab.nn.layers import Dense, Flatten
from mnistlab.runs import paths
from mnistlab.runs.saved_run import SavedRun
from mnistlab.system.errors import RequestError

SHAPE = (3, 3)
PIXELS = np.arange(18).reshape(2, 9) * 14


def csv(path: str, header: str, rows: list[list[object]], separator: str = ",") -> str:
    lines = ([header] if header else []) + [separator.join(map(str, row)) for row in rows]
    text = "\n".join(lines) + "\n"
    Path(path).write_bytes(gzip.compress(text.encode()) if path.endswith(".gz") else text.encode())
    return path


HEADER = ",".join(f"pixel{i}" for i in range(9))


@pytest.mark.parametrize(
    ("header", "before", "after", "ids", "id_name", "labels"),
    [
        (HEADER, [], [], ["1", "2"], "ImageId", None),  # Kaggle's digit recognizer
        (f"id,{HEADER}", ["7"], [], ["7", "7"], "id", None),  # Kannada MNIST
        (f"label,{HEADER}", ["4"], [], ["1", "2"], "ImageId", ["4", "4"]),
        (f"{HEADER},Label", [], ["4"], ["1", "2"], "ImageId", ["4", "4"]),
        (",".join(f"{r}x{c}" for r in (1, 2, 3) for c in (1, 2, 3)), [], [], ["1", "2"], "ImageId", None),
        ("", [], [], ["1", "2"], "ImageId", None),
        ("", ["4"], [], ["1", "2"], "ImageId", ["4", "4"]),
    ],
    ids=["kaggle", "an id", "a label", "a label at the end", "rows by columns", "no header", "a label, no header"],
)
def test_the_columns_of_a_csv_file(
    header: str, before: list[str], after: list[str], ids: list[str], id_name: str, labels: list[str] | None
) -> None:
    for separator in (",", ";", "\t"):
        rows = [[*before, *row, *after] for row in PIXELS.tolist()]
        table = image_table.read(csv("test.csv", header.replace(",", separator), rows, separator), SHAPE)
        assert np.array_equal(table.images, PIXELS.reshape(2, 3, 3))
        assert (table.ids, table.id_name, table.labels, table.note) == (ids, id_name, labels, "")


def test_a_first_column_that_counts_is_no_label() -> None:
    rows = [[i, *row] for i, row in enumerate(PIXELS.tolist(), 10)]
    table = image_table.read(csv("test.csv", "", rows), SHAPE)
    assert (table.ids, table.labels) == (["10", "11"], None)


def test_ids_and_labels_are_the_text_of_the_file() -> None:
    rows = [["0001", *row, label] for row, label in zip([*PIXELS.tolist()] * 2, ["", "NA", "07", "cat"], strict=True)]
    table = image_table.read(csv("test.csv", f"id,{HEADER},label", rows), SHAPE)
    assert (table.ids, table.labels) == (["0001"] * 4, ["", "NA", "07", "cat"])
    assert [inputs.truth(label, ["NA", "cat"]) for label in table.labels or ()] == [None, "NA", None, "cat"]
    table = image_table.read(csv("test.csv", "", [[f"0{i}", *PIXELS[0].tolist()] for i in range(3)]), SHAPE)
    assert table.ids == ["00", "01", "02"]
    table = image_table.read(csv("test.csv", "", [["4", *PIXELS[0].tolist()], ["", *PIXELS[1].tolist()]]), SHAPE)
    assert table.labels == ["4", ""]


LEVELS = np.random.default_rng(3).integers(0, 256, (12, 9))
ROWS = [[i % 3, *row] for i, row in enumerate(LEVELS.tolist())]
FEW = [[i % 3, *row] for i, row in enumerate((LEVELS // 17).tolist())]
NAMES = [f"pixel{i}" for i in range(9)]


@pytest.mark.parametrize(
    ("name", "header", "rows", "options"),
    [
        ("emnist-test.csv", "", ROWS, {}),
        ("emnist-test.csv", "", ROWS, {"transpose": False}),
        ("a.csv", "", ROWS, {"transpose": True, "invert": True}),
        ("a.csv", ",".join(["label", *NAMES[::-1]]), ROWS, {}),
        ("a.csv", ",".join(["label", *map(str, range(9))]), ROWS, {}),
        ("a.csv", ",".join(map(str, range(10))), ROWS, {}),
        ("a.csv", "", [row[1:] + row[:1] for row in ROWS], {}),
        ("a.csv", ",".join(["kind", *NAMES]), ROWS, {"label": "kind"}),
        ("a.csv", ",".join(["label", *NAMES[:8]]), [row[:9] for row in ROWS], {"shape": [2, 4]}),
        ("a.csv", "", FEW, {}),
        ("a.csv", "", [[label, *(v * 4 for v in row)] for label, *row in ROWS], {}),
        ("a.csv", "", [[label, *(v / 25 for v in row)] for label, *row in ROWS], {}),
        ("a.csv", "", [[label, *(v / 80 - 1.3 for v in row)] for label, *row in ROWS], {}),
        ("a.csv", "", [[label, *(v - 256 * (v > 127) for v in row)] for label, *row in ROWS], {}),
    ],
    ids=["emnist", "emnist upright", "transposed, inverted", "columns backwards", "numbered columns", "a header of "
         "numbers", "the label last", "a named label", "2 x 4", "0 to 15", "10 bits", "0 to 10.2",
         "standardised", "signed bytes"],
)  # fmt: skip
def test_a_table_is_read_as_in_training(
    name: str, header: str, rows: list[list[object]], options: dict[str, object]
) -> None:
    path = csv(name, header, rows)
    pool = SOURCES["auto"](path=path, test_path=path, **options).read()
    assert isinstance(pool, Pool)
    scale = pool.provenance.get("range")
    like = image_table.Trained(
        Options(**options),  # type: ignore[arg-type]
        tuple(pool.provenance.get("read_as", ())),
        scale=scaling.Range(**scale) if scale else None,
    )
    table = image_table.read(path, SHAPE, like)
    assert np.array_equal(table.images, pool.train.images)
    assert table.labels is not None
    assert [int(label) for label in table.labels] == pool.train.labels.tolist()
    if "label" in options:  # Kaggle's test.csv has no labels
        unlabelled = image_table.read(csv("test.csv", HEADER, [row[1:] for row in rows]), SHAPE, like)
        assert np.array_equal(unlabelled.images, pool.train.images)


def test_a_dark_table_is_not_scaled_unless_the_data_of_the_run_was() -> None:
    path = csv("a.csv", "", FEW)
    assert image_table.read(path, SHAPE).images.max() == 14
    like = image_table.Trained(scale=scaling.Range(0, 255 / 15, remark="pixels 0 to 15, divided by 15"))
    assert image_table.read(path, SHAPE, like).images.max() == 14 * 17


def test_fractions_may_go_beyond_the_range_of_the_runs_own_images() -> None:
    like = image_table.Trained(scale=scaling.Range(0, 25.5, remark="pixels 0 to 10, scaled to 0 to 255"))
    np.save("a.npy", np.full((1, 3, 3), 2.5))
    assert image_table.read("a.npy", SHAPE, like).images.max() == 64
    np.save("a.npy", np.array([[[11.5, 5, 0]] * 3]))
    assert image_table.read("a.npy", SHAPE, like).images[0, 0].tolist() == [255, 128, 0]
    np.save("a.npy", np.array([[[99.5, 5, 0]] * 3]))
    assert image_table.read("a.npy", SHAPE, like).images[0, 0].tolist() == [100, 5, 0], "grey levels"


@pytest.mark.parametrize("damage", [None, 3, {}, {"factor": 0}, {"factor": "x"}, {"offset": float("nan")}])
def test_a_damaged_record_of_the_range_is_none(tmp_path: Path, damage: object) -> None:
    whole = {"offset": 0, "factor": 2, "wrap": False, "remark": ""}
    about = {"range": whole | damage if isinstance(damage, dict) and damage else damage}
    run = SavedRun("run", tmp_path, network([Flatten(), Dense(3)]), ("a", "b", "c"), "", {}, {"data": about})
    (tmp_path / ".hydra").mkdir()
    (tmp_path / paths.CONFIG).write_text("{data: {path: a.csv}, seed: 1}")
    (tmp_path / paths.HYDRA_CONFIG).write_text("{hydra: {runtime: {choices: {data: csv}}}}")
    assert image_table.trained(run).scale is None
    about["range"] = whole
    assert image_table.trained(run).scale == scaling.Range(0, 2)


def test_how_a_run_read_its_data_is_in_its_files(tmp_path: Path) -> None:
    run = SavedRun("run", tmp_path, network([Flatten(), Dense(3)]), ("a", "b", "c"), "", {}, {})
    assert image_table.trained(run) == image_table.Trained()  # a model file alone
    (tmp_path / ".hydra").mkdir()
    (tmp_path / paths.CONFIG).write_text("{data: {path: a.csv, invert: true, shape: [2, 4]}, seed: 1}")
    (tmp_path / paths.HYDRA_CONFIG).write_text("{hydra: {runtime: {choices: {data: csv}}}}")
    run = replace(run, environment={"data": {"read_as": ["no header"]}})
    assert image_table.trained(run) == image_table.Trained(Options(invert=True, shape=(2, 4)), ("no header",))
    assert image_table.trained(replace(run, environment={"data": [1]})).remarks == ()


def test_a_compressed_file_is_unpacked() -> None:
    assert np.array_equal(
        image_table.read(csv("t.csv.gz", HEADER, PIXELS.tolist()), SHAPE).images, PIXELS.reshape(2, 3, 3)
    )


@pytest.mark.parametrize("name", ["x_test", "images", "anything"])
@pytest.mark.parametrize("shape", [(2, 3, 3), (2, 9), (2, 3, 3, 1), (2, 1, 3, 3)])
def test_the_images_of_an_archive(name: str, shape: tuple[int, ...]) -> None:
    np.savez("a.npz", **{name: PIXELS.reshape(shape), "other": np.zeros(5)})
    assert np.array_equal(image_table.read("a.npz", SHAPE).images, PIXELS.reshape(2, 3, 3))
    np.save("a.npy", PIXELS.reshape(shape))
    assert np.array_equal(image_table.read("a.npy", SHAPE).images, PIXELS.reshape(2, 3, 3))


def test_the_labels_of_an_archive_belong_to_its_images() -> None:
    np.savez("a.npz", x_train=PIXELS, y_train=[1, 2], x_test=PIXELS[:1], y_test=[3])
    table = image_table.read("a.npz", SHAPE)
    assert (table.labels, len(table.images)) == (["3"], 1)


def test_values_up_to_one_are_black_to_white_and_that_is_said() -> None:
    np.save("a.npy", PIXELS / 255)
    table = image_table.read("a.npy", SHAPE)
    assert np.array_equal(table.images.reshape(2, 9), PIXELS)
    assert table.note == "values from 0 to 1 are taken as black to white"
    np.save("b.npy", np.full((1, 8, 8), 16))
    assert image_table.read("b.npy", (8, 8)).images.max() == 255


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "test.csv: the file is empty"),
        (HEADER.encode(), "test.csv: the file has a header but no rows"),
        (b"pixel0,pixel1,pixel2\n1,2,3\n", "3 columns of pixels form no square, and the model takes 3 x 3 pixels"),
        (f"{HEADER}\n1,2,3,4,x,6,7,8,9\n".encode(), "line 2, column pixel4: not a number; repair that line"),
        (f"{HEADER}\n1,2,3,4,5,6,7,8,300\n".encode(), "holds values from 1 to 300; must be from 0 to 255"),
        (f"{HEADER}\n1,2\n".encode(), "line 2, column pixel2: not a number"),
        (f"{HEADER}\n{'1,' * 12}1\n".encode(), "test.csv: cannot be read as images (Length of header"),
        (
            f"{HEADER}\n{'1' * 1000}\n".encode(),
            "line 2 is longer than 640 bytes; its cells cannot be those of the first",
        ),
        (f"{HEADER},pixel0\n".encode(), "line 1 names the column 'pixel0' twice"),
        (b"\xff\xfe\x00", "test.csv: cannot be read as images"),
        (gzip.compress(HEADER.encode() * 1000, mtime=0)[:60], "test.csv: cannot be read as images"),
    ],
)
def test_what_cannot_be_read_says_why(content: bytes, message: str) -> None:
    Path("test.csv").write_bytes(content)
    with pytest.raises(RequestError) as error:
        image_table.read("test.csv", SHAPE)
    assert message in str(error.value)
    assert len(str(error.value)) <= 300


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros(5)}, "a.npz: holds a (5,); must hold images, an array (n, height, width) of numbers"),
        ({"a": np.zeros((2, 3, 3)), "b": np.zeros((2, 3, 3))}, "holds a, b; name the one to classify images"),
        ({"images": np.full((1, 3, 3), -1)}, "holds values from -1 to -1; must be from 0 to 255, or from 0 to 1"),
        ({"images": np.array([None])}, "a.npz: cannot be read as images"),
    ],
)
def test_archives_without_images_are_refused(arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez("a.npz", **arrays)
    with pytest.raises(RequestError) as error:
        image_table.read("a.npz", SHAPE)
    assert message in str(error.value)
