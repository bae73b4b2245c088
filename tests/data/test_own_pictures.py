"""Folders of pictures as people have them, read as a person sees them; what is left out is counted and named."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image

from mnistlab.data.formats import picture_folders, pictures
from mnistlab.data.sources.own import OnError
from mnistlab.data.sources.registry import SOURCES
from mnistlab.system.errors import RequestError

RNG = np.random.default_rng(1)


def picture(side=8):
    return RNG.integers(0, 256, (side, side), np.uint8)


def make(root: Path, classes=("cat", "dog"), n=5, first=0):
    for name in classes:
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(first, first + n):
            Image.fromarray(picture()).save(root / name / f"{i}.png")
    return root


def read(root, **options):
    return SOURCES["auto"](path=str(root), **options).read()


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "Validation", "Testing"), ("tr", "dev", "te")]
)
def test_sets_under_their_usual_names(tmp_path, names):
    for name, n in zip(names, (6, 3, 2), strict=True):
        make(tmp_path / "wrapped" / "mine" / name, n=n)
    pool = read(tmp_path / "wrapped")
    assert (len(pool.train), len(pool.validation), len(pool.test)) == (12, 6, 4)
    assert pool.class_names == ("cat", "dog")


def test_what_is_left_out_is_counted_and_named(tmp_path, caplog):
    make(tmp_path / "train")
    (tmp_path / "train" / "cow").mkdir()
    (tmp_path / "train" / "cat" / "notes.docx").touch()
    (tmp_path / "train" / "cat" / ".DS_Store").touch()
    make(tmp_path / "__MACOSX" / "train")
    (tmp_path / "test").mkdir()
    for i in range(3):
        Image.fromarray(picture()).save(tmp_path / "test" / f"{i}.png")
    pool = read(tmp_path)
    assert len(pool.train) + len(pool.test) == 10
    for message in (
        "the class folder 'cow' in train/ without pictures: left out",
        "1 files that are no pictures: left out (cat/notes.docx)",
        "test/ has 3 pictures without labels and is left out",
    ):
        assert message in caplog.text


def test_broken_pictures_are_left_out_counted_and_named(tmp_path, caplog):
    make(tmp_path)
    (tmp_path / "cat" / "1.png").write_bytes(b"no picture")
    (tmp_path / "dog" / "2.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(RequestError, match=r"cat/1\.png cannot be read as an image"):
        read(tmp_path)
    pool = read(tmp_path, on_error=OnError.skip)
    assert len(pool.train) + len(pool.test) == 8
    assert "2 pictures left out (cat/1.png cannot be read as an image (UnidentifiedImageError); repair" in caplog.text
    assert "dog/2.png is a Git LFS pointer" in caplog.text


def encoded(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def test_transparency_is_put_on_paper_as_a_person_sees_it():
    alpha = np.zeros((8, 8), np.uint8)
    alpha[2:6, 3:5] = 255
    black, white = np.zeros((8, 8, 4), np.uint8), np.full((8, 8, 4), 255, np.uint8)
    black[..., 3] = white[..., 3] = alpha
    seen, done = pictures.decoded("a", encoded(Image.fromarray(black), "PNG"))
    np.testing.assert_array_equal(seen, 255 - alpha)
    assert done == ["with transparency, put on white"]
    np.testing.assert_array_equal(pictures.decoded("a", encoded(Image.fromarray(white), "PNG"))[0], alpha)
    palette = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 2).convert("P")
    assert pictures.decoded("a", encoded(palette, "PNG", transparency=0))[0].min() < 255
    opaque = np.dstack([picture(), picture(), picture(), np.full((8, 8), 255, np.uint8)])
    expected = np.asarray(Image.fromarray(opaque[..., :3]).convert("L"))
    np.testing.assert_array_equal(pictures.decoded("a", encoded(Image.fromarray(opaque), "PNG"))[0], expected)


def test_photographs_are_turned_as_their_exif_data_says():
    image = Image.fromarray(np.repeat(np.arange(8, dtype=np.uint8)[None] * 30, 8, axis=0))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    seen, done = pictures.decoded("a", encoded(image, "PNG", exif=exif))
    np.testing.assert_array_equal(seen, np.rot90(np.asarray(image), -1))
    assert done == ["turned as their EXIF data says"]


@pytest.mark.parametrize(("bits", "levels"), [(8, 256), (12, 4096), (16, 65536)])
def test_16_bit_pictures_with_fewer_levels_are_scaled_by_those(tmp_path, bits, levels):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(3):
            grey = (np.arange(64).reshape(8, 8) * (levels - 1) // 63).astype(np.uint16)
            Image.fromarray(grey).save(tmp_path / name / f"{i}.png")
    image = read(tmp_path).train.images[0]
    assert (image.min(), image.max()) == (0, 255)


def deep(path: Path, level, side=8):
    """Write a picture of one grey level with 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side), level, np.uint16)).save(path)


def test_16_bit_pictures_of_other_sizes_are_left_out_like_others(tmp_path, caplog):
    for name in ("cat", "dog"):
        for i in range(4):
            deep(tmp_path / name / f"{i}.png", 65535, side=9 if (name, i) == ("dog", 3) else 8)
    pool = read(tmp_path, on_error=OnError.skip)
    assert len(pool.train) + len(pool.test) == 7
    assert (pool.train.images == 255).all()
    assert "1 pictures left out (dog/3.png is 9 x 9, but cat/0.png is 8 x 8" in caplog.text


def test_16_bit_pictures_of_all_sets_have_one_scale(tmp_path):
    for part, level in (("train", 4095), ("test", 1000)):
        for name in ("cat", "dog"):
            for i in range(3):
                deep(tmp_path / part / name / f"{i}.png", level)
    pool = read(tmp_path)
    assert pool.train.images.max() == 255
    assert pool.test.images.max() == 1000 >> 4


@pytest.mark.parametrize("suffix", ["jfif", "avif", "heic", "webp", ""])
def test_other_encodings_beside_png(tmp_path, suffix):
    make(tmp_path)
    image = Image.fromarray(np.full((8, 8), 200, np.uint8)).convert("RGB")
    form = {"jfif": "JPEG", "avif": "AVIF", "heic": "HEIF", "webp": "WEBP", "": "PNG"}[suffix]
    if suffix == "heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    (tmp_path / "cat" / ("0" + (f".{suffix}" if suffix else ""))).write_bytes(encoded(image, form))
    pool = read(tmp_path, test=2)
    assert len(pool.train) + len(pool.test) == 11
    assert abs(int(pool.train.images[0].mean()) - 200) < 4 or abs(int(pool.train.images[1].mean()) - 200) < 4


def test_heic_needs_a_package_that_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    make(tmp_path)
    (tmp_path / "cat" / "0.heic").write_bytes(bytes(4) + b"ftypheic" + bytes(40))
    with pytest.raises(RequestError, match=r"cat/0.heic is a HEIC picture: the package pillow-heif is not installed"):
        read(tmp_path)


def flat(root: Path, names):
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(picture()).save(root / name)
    return root


def test_labels_in_a_table_beside_the_pictures(tmp_path, caplog):
    flat(tmp_path / "images", [f"{i}.png" for i in range(12)])
    rows = [f"{i}.png,{'cat' if i % 2 else 'dog'}" for i in range(11)]
    (tmp_path / "labels.csv").write_text("\n".join(["filename,label", *rows]))
    pool = read(tmp_path)
    assert pool.class_names == ("cat", "dog")
    assert len(pool.train) + len(pool.test) == 11
    assert "1 pictures that labels.csv does not name: left out (11.png)" in caplog.text


def test_one_table_of_labels_for_the_same_names_in_several_sets(tmp_path):
    rows = []
    for part, few in (("train", "cat"), ("test", "dog")):
        flat(tmp_path / part, [f"{i}.png" for i in range(12)])
        rows += [f"{part}/{i}.png,{few if i < 2 else {'cat': 'dog', 'dog': 'cat'}[few]}" for i in range(12)]
    (tmp_path / "labels.csv").write_text("\n".join(["filename,label", *rows]))
    pool = read(tmp_path)
    assert np.bincount(pool.train.labels).tolist() == [2, 10]
    assert np.bincount(pool.test.labels).tolist() == [10, 2]


def test_the_label_column_of_a_table_beside_the_pictures(tmp_path):
    flat(tmp_path, [f"{i}.png" for i in range(12)])
    rows = [f"{i}.png,{'ab'[i % 2]},{'xyz'[i % 3]}" for i in range(12)]
    (tmp_path / "labels.csv").write_text("\n".join(["filename,class,kind", *rows]))
    assert read(tmp_path).class_names == ("a", "b")
    for label in ("kind", 2, -1):
        assert read(tmp_path, label=label).class_names == ("x", "y", "z")
    with pytest.raises(RequestError, match=r"label=letter: labels\.csv: there is no column 'letter' in line 1"):
        read(tmp_path, label="letter")


def test_a_table_of_many_columns_must_say_which_is_the_label(tmp_path):
    flat(tmp_path, [f"{i}.png" for i in range(12)])
    rows = [f"{i}.png,{640 + i % 2},480,{'cat' if i % 3 else 'dog'}" for i in range(12)]
    (tmp_path / "meta.csv").write_text("\n".join(["filename,width,height,species", *rows]))
    message = (
        "meta.csv has 4 columns and none with a known name of labels; set label to the column of labels"
        " (filename, width, height, species)"
    )
    with pytest.raises(RequestError, match=re.escape(message)):
        read(tmp_path)
    for label in ("species", -1):
        pool = read(tmp_path, label=label)
        assert pool.class_names == ("cat", "dog")
        assert f"labels of {tmp_path.name}/ from meta.csv, column 'species'" in pool.provenance["read_as"]


def test_a_column_that_only_counts_is_no_label(tmp_path):
    flat(tmp_path, [f"{i}.png" for i in range(12)])
    rows = [f"{i},{i}.png,{'cat' if i % 3 else 'dog'}" for i in range(12)]
    (tmp_path / "meta.csv").write_text("\n".join([",filename,species", *rows]))
    assert read(tmp_path).class_names == ("cat", "dog")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_pictures_with_spaces_in_their_names_are_labelled_by_a_table(tmp_path, separator):
    names = [f"{('Anna May', 'Bob Lee', 'Carl Roe')[i % 3]} scan {i}.png" for i in range(12)]
    flat(tmp_path, names)
    rows = [f"{name}{separator}{'cat' if i % 4 else 'dog'}" for i, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join([f"file name{separator}label", *rows]))
    assert read(tmp_path).class_names == ("cat", "dog")


def test_a_table_beside_the_pictures_that_is_not_used_is_named(tmp_path, caplog):
    flat(tmp_path, [f"{c}_{i}.png" for c in ("cat", "dog") for i in range(4)])
    (tmp_path / "notes.csv").write_text("day,place\n1,here\n2,there\n")
    assert read(tmp_path).class_names == ("cat", "dog")
    assert "notes.csv is not used: it has no column with the names of the pictures" in caplog.text


def test_two_folders_of_one_set_are_refused(tmp_path):
    for name in ("train", "train_extra", "test"):
        make(tmp_path / name)
    message = "train/ and train_extra/ are both named after the training set; join them, or move one elsewhere"
    with pytest.raises(RequestError, match=re.escape(message)):
        read(tmp_path)
    shutil.rmtree(tmp_path / "train_extra")
    (tmp_path / "train_extra").mkdir()
    assert len(read(tmp_path).train) == 10, "one without pictures does not matter"


def test_a_folder_of_pictures_beside_the_sets_is_named(tmp_path, caplog):
    for name in ("train", "test", "extra", "more/below"):
        make(tmp_path / name)
    (tmp_path / "docs").mkdir()
    read(tmp_path)
    for name in ("extra", "more"):
        assert f"{name}/ beside train/ is not named after a set: left out" in caplog.text
    assert "docs/" not in caplog.text


def test_a_folder_of_many_pictures_is_listed_without_comparing_all_with_all(tmp_path, monkeypatch):
    make(tmp_path, n=1)
    for i in range(300):
        (tmp_path / "cat" / f"{i}.png").touch()
    compared, equal = 0, PurePath.__eq__

    def counting(one, other):
        nonlocal compared
        compared += 1
        return equal(one, other)

    monkeypatch.setattr(PurePath, "__eq__", counting)
    picture_folders.find(tmp_path, str(tmp_path), False)
    assert compared < 1000


def test_a_table_with_two_labels_of_one_picture_is_refused(tmp_path):
    flat(tmp_path, [f"{i}.png" for i in range(4)])
    (tmp_path / "labels.csv").write_text("0.png,cat\n1.png,cat\n2.png,dog\n3.png,dog\n1.png,dog\n")
    with pytest.raises(RequestError, match=r"labels.csv gives 1.png two labels, 'cat' and 'dog'; remove one"):
        read(tmp_path)


@pytest.mark.parametrize("form", ["{c}_{i:04}.png", "img_{i:04}_{c}.png", "{c}.{i}.png", "{c} ({i}).png", "{c}{i}.png"])
def test_labels_in_the_names_of_the_files(tmp_path, form):
    flat(tmp_path, [form.format(c=c, i=i) for c in ("cat", "dog", "cow") for i in range(4)])
    pool = read(tmp_path)
    assert pool.class_names == ("cat", "cow", "dog")
    assert len(pool.train) + len(pool.test) == 12


def test_pictures_without_any_labels_are_refused(tmp_path):
    flat(tmp_path, [f"{i}.png" for i in range(12)])
    with pytest.raises(RequestError, match="has no subfolders; must have one folder of images per class"):
        read(tmp_path)


def test_folders_are_in_natural_order(tmp_path):
    make(tmp_path, classes=("normal_10", "normal_2", "normal_1"))
    assert read(tmp_path).class_names == ("normal_1", "normal_2", "normal_10")


def test_class_names_give_the_classes_their_order(tmp_path):
    make(tmp_path, classes=("cat",), n=4)
    make(tmp_path, classes=("dog",), n=6)
    pool = read(tmp_path, class_names=["dog", "cat"])
    assert pool.class_names == ("dog", "cat")
    assert np.bincount([*pool.train.labels, *pool.test.labels]).tolist() == [6, 4]


def test_subfolders_of_a_class_are_its_own(tmp_path):
    make(tmp_path / "30", classes=("hsf_0", "hsf_1"))
    make(tmp_path / "31", classes=("hsf_0", "hsf_1"))
    pool = read(tmp_path)
    assert pool.class_names == ("30", "31")
    assert len(pool.train) + len(pool.test) == 20


def test_links_moved_to_another_class_are_read_again(tmp_path):
    pool = flat(tmp_path / "pool", [f"{i}.png" for i in range(8)])
    for i in range(8):
        link = tmp_path / "set" / ("cat" if i < 4 else "dog") / f"{i}.png"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(pool / f"{i}.png")

    def counts():
        data = read(tmp_path / "set")
        return np.bincount([*data.train.labels, *data.test.labels]).tolist()

    assert counts() == [4, 4]
    (tmp_path / "set" / "dog" / "4.png").rename(tmp_path / "set" / "cat" / "4.png")
    assert counts() == [5, 3]


def test_copies_and_class_names_of_a_folder(tmp_path, caplog):
    make(tmp_path / "train")
    shutil.copytree(tmp_path / "train", tmp_path / "test")
    pool = read(tmp_path, class_names=["yes", "no"])
    assert pool.class_names == ("yes", "no")
    assert "10 of 10 test images are also in the training set (10 pixel for pixel)" in caplog.text
