import gzip
import io
import time

import numpy as np
import pytest
from helpers.data_files import images_and_labels

from mnistlab.data.formats import content, table_layout, tables
from mnistlab.data.loading import load
from mnistlab.data.sources.registry import SOURCES
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream

IMAGES, LABELS = images_and_labels(60, side=3, seed=4)
HEADER = "label," + ",".join(f"pixel{i}" for i in range(9))
ROWS = [",".join(map(str, [label, *image.reshape(-1)])) for image, label in zip(IMAGES, LABELS, strict=True)]
TABLE = "\n".join([HEADER, *ROWS]) + "\n"


@pytest.fixture
def read(tmp_path):
    def read(content, **options):
        path = tmp_path / "train.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return SOURCES["csv"](path=str(path), test=20, **options).read()

    return read


def everything(pool):
    rows = np.concatenate([pool.train.images, pool.test.images])
    return sorted(map(bytes, rows.reshape(len(rows), -1)))


VARIANTS = {
    "as Kaggle has it": TABLE,
    "gzip": gzip.compress(TABLE.encode()),
    "no newline at the end": TABLE.rstrip(),
    "Windows line ends": TABLE.replace("\n", "\r\n"),
    "byte order mark": b"\xef\xbb\xbf" + TABLE.encode(),
    "blank lines": TABLE.replace("\n", "\n\n"),
    "quoted": TABLE.replace(HEADER, '"' + HEADER.replace(",", '","') + '"'),
    "spaces": TABLE.replace(",", ", "),
    "numbers with a point": TABLE.replace(ROWS[0], ROWS[0].replace(",", ".0,")),
    "pixels from 1": TABLE.replace(HEADER, "label," + ",".join(f"pixel{i + 1}" for i in range(9))),
    "row x column": TABLE.replace(HEADER, "label," + ",".join(f"{i // 3 + 1}x{i % 3 + 1}" for i in range(9))),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_the_format(read, variant):
    assert everything(read(VARIANTS[variant])) == sorted(map(bytes, IMAGES.reshape(60, -1)))


def test_columns_go_by_name_and_number(read):
    order = [9, 3, 0, 7, 1, 2, 8, 6, 5, 4]
    shuffled = "\n".join(",".join(line.split(",")[i] for i in order) for line in TABLE.split()) + "\n"
    assert everything(read(shuffled)) == everything(read(TABLE))


def test_other_columns_are_ignored_and_said_to_be(read, caplog):
    table = "\n".join(f"{line},{'note' if i == 0 else 'x'}" for i, line in enumerate(TABLE.split())) + "\n"
    assert everything(read(table)) == everything(read(TABLE))
    assert "ignored columns: note" in caplog.text


def test_the_last_rows_of_each_class_are_the_test_part(read):
    pool = read(TABLE)
    np.testing.assert_array_equal(pool.test.images, IMAGES[40:])
    np.testing.assert_array_equal(pool.test.labels, LABELS[40:])


def test_a_test_file_of_its_own(read, tmp_path):
    (tmp_path / "test.csv").write_text("\n".join([HEADER, *ROWS[:10]]))
    pool = read(TABLE, test_path=str(tmp_path / "test.csv"))
    assert (len(pool.train), len(pool.test)) == (60, 10)
    assert set(pool.provenance["files"]["test"]) == {"test.csv"}


def test_shape_and_class_names(read):
    flat = "\n".join(line.rsplit(",", 1)[0] for line in TABLE.split())
    pool = read(flat, shape=[2, 4], class_names=[f"no {i}" for i in range(10)])
    assert pool.train.images.shape[1:] == (2, 4)
    assert pool.class_names[9] == "no 9"


def line(number, text):
    lines = TABLE.split("\n")
    lines[number - 1] = text
    return "\n".join(lines)


def cell(column, value, number=5):
    cells = TABLE.split("\n")[number - 1].split(",")
    cells[column] = value
    return line(number, ",".join(cells))


BAD = {
    "empty": ("", "train.csv is empty; copy or download it again"),
    "header only": (HEADER + "\n", "train.csv has a header but no rows"),
    "not text": (bytes(range(128, 256)) * 9, "is of an unknown format (its first bytes are 80 81 82 83)"),
    "no pixels": ("label,a,b\n1,2,3\n", "line 1 has no pixel columns"),
    "a pixel missing": (line(1, HEADER.replace("pixel4", "other")), "has the column pixel8 but not pixel4; add"),
    "a column twice": (line(1, HEADER.replace("pixel4", "pixel3")), "names the column 'pixel3' twice"),
    "a word": (cell(3, "abc"), "line 5, column pixel2: 'abc' is not a whole number from 0 to 255"),
    "no value": (cell(3, ""), "line 5, column pixel2: '' is not a whole number"),
    "not a number": (cell(3, "nan"), "line 5, column pixel2: 'nan'"),
    "a fraction": (cell(3, "0.5"), "line 5, column pixel2: '0.5' is not a whole number from 0 to 255"),
    "too bright": (cell(3, "256"), "line 5, column pixel2: '256' is not a whole number from 0 to 255"),
    "negative": (cell(3, "-1"), "line 5, column pixel2: '-1'"),
    "enormous": (cell(3, "9" * 30), "line 5, column pixel2: '" + "9" * 30 + "'"),
    "a label below zero": (cell(0, "-1"), "the label -1 usually marks images without a label"),
    "a fraction for a label": (cell(0, "1.5"), "row 4 of the training labels is 1.5; must be a whole number or a word"),
    "a short row": (line(5, "1,2,3"), "line 5 has 3 cells, but the header has 10"),
    "a long row": (line(5, ROWS[3] + ",7"), "line 5 has 11 cells, but the header has 10"),
    "all rows long": (
        TABLE.replace("\n", ",7\n").replace(HEADER + ",7", HEADER),
        "line 2 has 11 cells, but",
    ),
    "an endless line": (line(5, "1" * 3_000_000), "a line is longer than 704 bytes"),
    "a gzip cut short": (gzip.compress(TABLE.encode())[:-20], "train.csv is cut off"),
    "a corrupt gzip": (gzip.compress(TABLE.encode())[:-8] + bytes(8), "train.csv is corrupt"),
    "bad bytes": (TABLE.encode()[:-9] + b"\xff\xfe\n", "is not CSV text"),
}


@pytest.mark.parametrize("case", BAD)
def test_the_first_fault_is_named_by_line_column_and_value(read, case):
    content, message = BAD[case]
    with pytest.raises(RequestError) as caught:
        read(content)
    assert str(caught.value).startswith("path=")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_label_column_that_is_not_there_and_a_label_that_is_too_high(read):
    with pytest.raises(RequestError, match=r"no column 'digit' in line 1 \(label, pixel0, pixel1, ...\); set label to"):
        read(TABLE, label="digit")
    with pytest.raises(RequestError, match="training set: row 4 has the label 10, but the 10 classes are 0 to 9"):
        read(cell(0, "10"), classes=10)


OPTIONS = {
    "no path": ({"path": None}, "path=None: must be the path of a CSV file; set path"),
    "no such file": ({"path": "/nowhere/train.csv"}, "path=/nowhere/train.csv: no such file; check path"),
    "a folder": ({"path": "/proc/self/fd"}, "has no file of this format; correct path, or use data=auto"),
    "classes": ({"classes": 1}, "classes=1: the number of classes must be a whole number of 2 or more"),
    "many classes": ({"classes": 10**9}, "classes=1000000000: must be at most 10,000"),
    "no such user": ({"path": "~nobody-of-this-name/a.csv"}, "no such file"),
    "a long name": ({"path": "a" * 5000}, "cannot be read (File name too long)"),
    "names": (
        {"classes": 10, "class_names": ["a", "b"]},
        "must be 10 different names, one per class (classes=10), but has 2",
    ),
    "shape": ({"shape": [28]}, "shape=[28]: must be two positive whole numbers"),
    "side": ({"shape": [3, 0]}, "shape=[3, 0]: must be two positive whole numbers"),
    "test": ({"test": 1.5}, "test=1.5: a fraction must be at least 0 and below 1"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_bad_options(case):
    options, message = OPTIONS[case]
    with pytest.raises(RequestError) as caught:
        SOURCES["csv"](**options).read()
    assert message in str(caught.value)


def test_a_shape_that_does_not_fit_and_pixels_without_a_square(read):
    with pytest.raises(RequestError, match="the training images have 9 pixels; 4 x 4 needs 16; set shape"):
        read(TABLE, shape=[4, 4])
    with pytest.raises(RequestError, match="images have 8 pixels, which do not form a square; set shape"):
        read("\n".join(line.rsplit(",", 1)[0] for line in TABLE.split()))


def test_a_near_miss_of_the_path(read, tmp_path):
    read(TABLE)
    with pytest.raises(RequestError, match=r"no such file \(did you mean train.csv\?\)"):
        SOURCES["csv"](path=str(tmp_path / "trian.csv")).read()


def test_test_rows_that_cannot_be(read, tmp_path):
    path = str(tmp_path / "train.csv")
    read(TABLE)
    for test, message in (
        (0, "test=0: a test set is needed"),
        (60, "test=60: the data has 60 rows, and at"),
    ):
        with pytest.raises(RequestError, match=message):
            SOURCES["csv"](path=path, test=test).read()
    with pytest.raises(RequestError, match="test=59: class 0 would have no training rows left"):
        SOURCES["csv"](path=path, test=59).read()


def test_the_second_reading_parses_nothing(read, monkeypatch):
    first = everything(read(TABLE))
    stat = read.__closure__[0].cell_contents / "train.csv"
    monkeypatch.setattr(tables, "Table", None)
    assert everything(SOURCES["csv"](path=str(stat), test=20).read()) == first


@pytest.mark.slow
def test_kaggles_size_is_parsed_in_seconds(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (6000, 785))
    values[:, 0] %= 10
    text = io.StringIO()
    np.savetxt(text, values, fmt="%d", delimiter=",")
    path = tmp_path / "big.csv"
    path.write_text("label," + ",".join(f"pixel{i}" for i in range(784)) + "\n" + text.getvalue())
    start = time.perf_counter()
    data = load(SOURCES["csv"](path=str(path)), stream(0, "split"))
    assert time.perf_counter() - start < 3, "42,000 rows take about seven times as long"
    parts = (data.train, data.validation, data.test)
    assert sum(int(part.images.sum()) for part in parts) == values[:, 1:].sum()


def test_a_header_of_too_many_columns(read):
    names = ",".join(["label", *(f"pixel{i}" for i in range(table_layout.MOST_COLUMNS))])
    with pytest.raises(RequestError) as error:
        read(f"{names}\n1\n")
    assert str(error.value).endswith(
        "line 1 names 66,561 columns, more than the maximum of 66,560; save larger images as an .npz file"
    )


def test_what_unpacks_to_far_more_than_images_do_is_refused_before_it_is_parsed(read, monkeypatch):
    monkeypatch.setattr(content, "UNPACKED", 2**20)
    monkeypatch.setattr(tables.Table, "read", lambda self: pytest.fail("it was parsed"))
    packed = gzip.compress((HEADER + "\n" + "0,0,0,0,0,0,0,0,0,0\n" * 100_000).encode())
    assert len(packed) * content.DENSEST < 2**20
    with pytest.raises(
        RequestError, match=r"train.csv unpacks to more than 1,048,576 bytes, too many for a table of images"
    ):
        read(packed)


def test_an_infinite_cell_is_named_and_warns_of_nothing(read):
    with pytest.raises(RequestError, match=r"line 2, column pixel8: 'inf' is not a number; repair it"):
        read(f"{HEADER}\n1,0,0,0,0,0,0,0,0,inf\n")
