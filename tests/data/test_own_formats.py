"""The files that people have, by format: each is recognised by its content and read as its maker meant it."""

from __future__ import annotations

import bz2
import gzip
import io
import logging
import pickle
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.data_files import images_and_labels, write_four

from mnistlab.data import idx_format
from mnistlab.data.formats import isolated
from mnistlab.data.loading import load, load_all
from mnistlab.data.sources.own import OnError
from mnistlab.data.sources.registry import SOURCES
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream

X, Y = images_and_labels(60, side=6)
FLAT = X.reshape(60, 36)


def read(path: Path | str, **options):
    return SOURCES["auto"](path=str(path), **options).read()


def everything(pool):
    """Return all images and labels of a pool as a sorted list."""
    sets = [part for part in (pool.train, pool.validation, pool.test) if part is not None]
    return sorted((int(c), bytes(x)) for part in sets for x, c in zip(part.images, part.labels, strict=True))


ALL = sorted((int(c), bytes(x)) for x, c in zip(X, Y, strict=True))


def same(pool, images=X, labels=Y):
    return everything(pool) == sorted((int(c), bytes(x)) for x, c in zip(images, labels, strict=True))


# ---- NumPy archives


NPZ = {
    "X_train": {"X_train": X[:40], "y_train": Y[:40], "X_test": X[40:], "y_test": Y[40:]},
    "data and target": {"data": FLAT, "target": Y},
    "x and y": {"x": X, "y": Y},
    "arr_0 and arr_1": {"arr_0": X, "arr_1": Y},
    "trainX": {"trainX": X[:40], "trainY": Y[:40], "testX": X[40:], "testY": Y[40:]},
    "labels (n, 1)": {"images": X, "labels": Y[:, None]},
    "one-hot labels": {"images": X, "labels": np.eye(10, dtype=np.float32)[Y]},
    "floats from 0 to 1": {"images": (X / 255).astype(np.float32), "labels": Y},
    "doubles from -1 to 1": {"images": X / 127.5 - 1, "labels": Y},
    "int8 that wrapped": {"images": X.view(np.int8), "labels": Y},
    "int16 that wrapped": {"images": X.view(np.int8).astype(np.int16), "labels": Y},
    "channels first": {"images": X[:, None], "labels": Y},
    "channels last": {"images": X[..., None], "labels": Y},
    "grey in three channels": {"images": np.repeat(X[..., None], 3, axis=3), "labels": Y},
    "images last": {"images": np.moveaxis(X, 0, -1), "labels": Y},
    "words": {"images": X, "labels": np.array(list("abcdefghij"))[Y]},
    "labels from 1": {"images": X, "labels": Y + 1},
    "16 bits": {"images": X.astype(np.uint16) * 257, "labels": Y},
}


@pytest.mark.parametrize("layout", NPZ)
def test_arrays_under_any_names_and_in_any_range(tmp_path, layout):
    np.savez(tmp_path / "a.npz", **NPZ[layout])
    pool = read(tmp_path / "a.npz")
    assert same(pool)
    assert pool.name == "npz"
    assert len(pool.class_names) == 10


def test_a_validation_part_is_the_validation_set(tmp_path):
    parts = {"train": slice(0, 30), "val": slice(30, 45), "test": slice(45, 60)}
    arrays = {
        f"{part}_{kind}": a[rows] for part, rows in parts.items() for kind, a in (("images", X), ("labels", Y[:, None]))
    }
    np.savez(tmp_path / "medmnist.npz", **arrays)
    source = SOURCES["npz"](path=str(tmp_path / "medmnist.npz"))
    data = load(source, stream(0, "split"))
    np.testing.assert_array_equal(data.validation.images, X[30:45])
    assert [len(data.train), len(data.test)] == [30, 15]
    assert len(load_all(source, stream(0, "split"))[1]) == 60
    assert len(load(SOURCES["npz"](path=source.path, validation=0), stream(0, "split")).validation) == 0


def test_a_test_file_with_the_test_set_alone(tmp_path):
    np.savez(tmp_path / "train.npz", x_train=X[:40], y_train=Y[:40])
    np.savez(tmp_path / "other.npz", x_test=X[40:], y_test=Y[40:])
    pool = read(tmp_path / "train.npz", test_path=str(tmp_path / "other.npz"))
    np.testing.assert_array_equal(pool.test.images, X[40:])
    with pytest.raises(RequestError, match=r"other\.npz holds x_test, y_test; must hold x_train"):
        read(tmp_path / "other.npz")


def test_sets_of_different_ranges_are_refused(tmp_path):
    for train, test in ((X / 255, X), (X, X / 127.5 - 1)):
        np.savez(tmp_path / "a.npz", x_train=train, y_train=Y, x_test=test, y_test=Y)
        with pytest.raises(RequestError, match=r"images have pixels up to 1, but the \w+ images up to 255; scale both"):
            read(tmp_path / "a.npz")


def test_keys_name_the_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", pictures_of_cats=X, breeds=Y, noise=X)
    assert same(read(tmp_path / "a.npz", keys=["pictures_of_cats", "breeds"]))
    with pytest.raises(
        RequestError, match=r"a.npz has no array 'cats' \(keys\); it holds breeds, noise, pictures_of_cats"
    ):
        read(tmp_path / "a.npz", keys=["cats", "breeds"])


@pytest.mark.parametrize("prefix", ["kmnist", "k49", "X_kannada_MNIST"])
def test_pairs_of_archives_with_one_array_each(tmp_path, prefix):
    for part, rows in (("train", slice(0, 40)), ("test", slice(40, 60))):
        for kind, array in (("imgs", X), ("labels", Y)):
            name = (
                f"{prefix}-{part}-{kind}.npz"
                if prefix[0] == "k"
                else f"{'X' if kind == 'imgs' else 'y'}{prefix[1:]}_{part}.npz"
            )
            np.savez(tmp_path / name, arr_0=array[rows])
    pool = read(tmp_path)
    assert same(pool)
    np.testing.assert_array_equal(pool.test.images, X[40:])


# ---- NPY


def test_npy_files_of_parts_and_of_classes(tmp_path):
    (tmp_path / "parts").mkdir()
    for name, array in (("X_train", FLAT[:40]), ("y_train", Y[:40]), ("X_test", FLAT[40:]), ("y_test", Y[40:])):
        np.save(tmp_path / "parts" / f"{name}.npy", array)
    assert same(read(tmp_path / "parts"))
    (tmp_path / "classes").mkdir()
    for name, digit in (("cat", 0), ("dog", 1), ("hot dog", 2)):
        np.save(tmp_path / "classes" / f"full_numpy_bitmap_{name}.npy", FLAT[digit == Y])
    pool = read(tmp_path / "classes", test=3)
    assert pool.class_names == ("cat", "dog", "hot dog")
    assert same(pool, X[Y < 3], Y[Y < 3])
    np.save(tmp_path / "images.npy", X)
    np.save(tmp_path / "labels.npy", Y)
    pool = SOURCES["auto"](path=str(tmp_path / "images.npy"), train_labels=str(tmp_path / "labels.npy")).read()
    assert same(pool)
    with pytest.raises(RequestError, match="the training images have no labels, which training needs; name their file"):
        read(tmp_path / "images.npy")


# ---- IDX


def dashed(folder: Path) -> Path:
    """Write a folder of folders named like their IDX file, with the same files, dotted, beside."""
    write_four(folder, suffix="")
    for file in list(folder.iterdir()):
        inside = folder / file.name / file.name
        shutil.copy(file, folder / file.name.replace("-idx", ".idx"))
        content = file.read_bytes()
        file.unlink()
        inside.parent.mkdir()
        inside.write_bytes(content)
    return folder


@pytest.mark.parametrize("option", ["auto", "idx"])
def test_folders_of_dashed_folders_with_dotted_files_beside(tmp_path, option):
    pool = SOURCES[option](path=str(dashed(tmp_path / "archive"))).read()
    assert (len(pool.train), len(pool.test)) == (60, 20)


def idx_bytes(array, code):
    return bytes((0, 0, code, array.ndim)) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def test_labels_of_qmnist_are_column_0(tmp_path):
    for part, rows in (("train", slice(0, 40)), ("test", slice(40, 60))):
        idx_format.write(tmp_path / f"qmnist-{part}-images-idx3-ubyte.gz", X[rows])
        table = np.zeros((len(Y[rows]), 8), ">i4")
        table[:, 0], table[:, 1:] = Y[rows], np.arange(7)
        (tmp_path / f"qmnist-{part}-labels-idx2-int").write_bytes(idx_bytes(table, 0x0C))
    pool = read(tmp_path)
    assert same(pool)
    assert "labels of QMNIST, column 0" in pool.provenance["read_as"]


def test_files_of_emnist_are_upright_by_their_name(tmp_path):
    for part, rows in (("train", slice(0, 40)), ("test", slice(40, 60))):
        idx_format.write(tmp_path / f"emnist-digits-{part}-images-idx3-ubyte.gz", X[rows].transpose(0, 2, 1))
        idx_format.write(tmp_path / f"emnist-digits-{part}-labels-idx1-ubyte.gz", Y[rows])
    assert same(read(tmp_path))
    assert same(read(tmp_path, transpose=False), X.transpose(0, 2, 1))
    rows = [",".join(map(str, [c, *x.T.reshape(-1)])) for x, c in zip(X, Y, strict=True)]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "emnist-digits-train.csv").write_text("\n".join(rows))
    assert same(read(tmp_path / "other" / "emnist-digits-train.csv"))
    shutil.copy(tmp_path / "other" / "emnist-digits-train.csv", tmp_path / "other" / "mine.csv")
    assert same(read(tmp_path / "other" / "mine.csv", transpose=True))


def test_idx_files_of_other_types_are_scaled(tmp_path):
    (tmp_path / "train-images-idx3-float").write_bytes(idx_bytes((X / 255).astype(">f4"), 0x0D))
    idx_format.write(tmp_path / "train-labels-idx1-ubyte", Y)
    assert same(read(tmp_path))


# ---- tables


def lines(separator=",", header=False, at_end=False, index=False, words=None, pixels=FLAT, name="pixel"):
    labels = Y if words is None else np.array(words)[Y]
    rows = [[*x, c] if at_end else [c, *x] for x, c in zip(pixels.tolist(), labels.tolist(), strict=True)]
    names = [f"{name}{i}" for i in range(36)]
    names = [*names, "label"] if at_end else ["label", *names]
    if index:
        rows, names = [[i, *row] for i, row in enumerate(rows)], ["", *names]
    return "\n".join(separator.join(map(str, row)) for row in ([names] if header else []) + rows) + "\n"


def with_margin():
    """Return images with a border of zeros, as those of digits, and their table without a header."""
    images = X.copy()
    images[:, 0] = images[:, -1] = images[:, :, 0] = images[:, :, -1] = 0
    return images


BORDERED = with_margin()
CSV = {
    "no header": lines(pixels=BORDERED.reshape(60, 36)),
    "no header, label last": lines(at_end=True, pixels=BORDERED.reshape(60, 36)),
    "semicolons": lines(";", header=True, pixels=BORDERED.reshape(60, 36)),
    "tabs": lines("\t", pixels=BORDERED.reshape(60, 36)),
    "spaces": lines(" ", at_end=True, pixels=BORDERED.reshape(60, 36)),
    "several spaces": lines("   ", pixels=BORDERED.reshape(60, 36)),
    "pixel_0000 and an index column": "\n".join(
        [",".join(["", *(f"pixel_{i:04}" for i in range(36)), "class"])]
        + [
            ",".join(map(str, [i, *x, c]))
            for i, (x, c) in enumerate(zip(BORDERED.reshape(60, 36).tolist(), Y.tolist(), strict=True))
        ]
    ),
    "index column, no header": lines(index=True, pixels=BORDERED.reshape(60, 36)),
    "a header of numbers": ",".join(["label", *map(str, range(36))]) + "\n" + lines(pixels=BORDERED.reshape(60, 36)),
    "a header of words and numbers": lines(header=True, name="Feature ", pixels=BORDERED.reshape(60, 36)),
    "byte order mark and CRLF": "\ufeff" + lines(header=True, pixels=BORDERED.reshape(60, 36)).replace("\n", "\r\n"),
    "one label column of another name": lines(header=True, pixels=BORDERED.reshape(60, 36)).replace("label", "species"),
    "decimal commas": "\n".join(
        ";".join([str(c), *(f"{v / 255:.6f}".replace(".", ",") for v in x)])
        for x, c in zip(BORDERED.reshape(60, 36).tolist(), Y.tolist(), strict=True)
    ),
    "one-hot columns at the end": "\n".join(
        " ".join([*(f"{v:.4f}" for v in x), *("1" if k == c else "0" for k in range(10))])
        for x, c in zip(BORDERED.reshape(60, 36).tolist(), Y.tolist(), strict=True)
    ),
}


@pytest.mark.parametrize("form", CSV)
def test_tables_in_all_their_forms(tmp_path, form):
    (tmp_path / "a.csv").write_text(CSV[form], encoding="utf-8", newline="")
    assert same(read(tmp_path / "a.csv"), BORDERED)


def test_words_are_class_names_in_natural_order(tmp_path):
    names = [f"normal_{i + 1}" for i in range(9)] + ["normal_10"]
    (tmp_path / "a.csv").write_text(lines(words=names))
    pool = read(tmp_path / "a.csv")
    assert pool.class_names == tuple(names)
    assert same(pool)
    (tmp_path / "b.csv").write_text(lines(words=names, header=True, at_end=True))
    assert read(tmp_path / "b.csv").class_names == tuple(names)


def test_the_label_column_by_name_and_number(tmp_path):
    (tmp_path / "a.csv").write_text(lines(header=True, at_end=True).replace("label", "kind"))
    for label in ("kind", 36, -1, "36"):
        assert same(read(tmp_path / "a.csv", label=label))
    with pytest.raises(RequestError) as error:
        read(tmp_path / "a.csv", label="digit")
    assert "no column 'digit' in line 1 (pixel0, pixel1, pixel2, ...)" in str(error.value)
    assert len(str(error.value)) < 300


def test_labels_in_a_file_of_their_own(tmp_path):
    (tmp_path / "csvTrainImages 60x36.csv").write_text("\n".join(",".join(map(str, x)) for x in FLAT.tolist()))
    (tmp_path / "csvTrainLabel 60x1.csv").write_text("\n".join(map(str, (Y + 1).tolist())))
    assert same(read(tmp_path))


def test_the_label_column_of_a_file_of_labels(tmp_path):
    images, labels = tmp_path / "images.csv", tmp_path / "labels.csv"
    images.write_text("\n".join(",".join(map(str, x)) for x in FLAT.tolist()))
    labels.write_text("class,kind\n" + "\n".join(f"{int(c) % 2},{c}" for c in Y))
    assert same(SOURCES["auto"](train_images=str(images), train_labels=str(labels), label="kind").read())


def test_kaggles_test_file_has_no_labels_and_is_left_out(tmp_path, caplog):
    (tmp_path / "train.csv").write_text(lines(header=True))
    header = ",".join(f"pixel{i}" for i in range(36))
    (tmp_path / "test.csv").write_text(header + "\n" + "\n".join(",".join(map(str, x)) for x in FLAT[:9].tolist()))
    (tmp_path / "sample_submission.csv").write_text("ImageId,Label\n1,0\n2,0\n")
    assert same(read(tmp_path))
    assert "test.csv has 9 images without labels and is left out" in caplog.text
    with pytest.raises(RequestError, match="have no labels, which training needs"):
        read(tmp_path / "test.csv")


def test_bad_rows_are_left_out_counted_and_named(tmp_path, caplog):
    rows = lines(header=True).split("\n")
    rows[4], rows[9] = rows[4].replace(",", ",x", 1), "1,2"
    (tmp_path / "a.csv").write_text("\n".join(rows))
    with pytest.raises(RequestError, match="line 5, column pixel0: 'x"):
        read(tmp_path / "a.csv")
    pool = read(tmp_path / "a.csv", on_error=OnError.skip)
    assert len(pool.train) + len(pool.test) == 58
    assert "a.csv: 2 bad lines left out (5, 10)" in caplog.text


SCALES = {
    "16": (np.minimum(FLAT // 15, 16), "pixels 0 to 16, divided by 16", 255 / 16),
    "1": (FLAT // 128, "pixels are 0 and 1, multiplied by 255", 255),
}


@pytest.mark.parametrize("scale", SCALES)
def test_pixels_are_scaled_by_what_is_there_and_that_is_said(tmp_path, scale, caplog):
    pixels, remark, factor = SCALES[scale]
    (tmp_path / "optdigits.tra").write_text(lines(at_end=True, pixels=pixels))
    (tmp_path / "optdigits.tes").write_text(lines(at_end=True, pixels=pixels[::-1]))
    with caplog.at_level(logging.INFO):
        pool = read(tmp_path)
    np.testing.assert_array_equal(pool.train.images.reshape(60, 36), np.rint(pixels * factor))
    assert remark in pool.provenance["read_as"]
    assert remark in caplog.text


# ---- the formats of collections


def libsvm(images, labels):
    rows = [
        f"{c} " + " ".join(f"{i + 1}:{v}" for i, v in enumerate(x) if v)
        for x, c in zip(images.tolist(), labels.tolist(), strict=True)
    ]
    return ("\n".join(rows) + "\n").encode()


@pytest.mark.parametrize("packed", [False, True])
def test_libsvm_plain_and_packed_with_zeros_left_out(tmp_path, packed):
    flat = BORDERED.reshape(60, 36)
    name = tmp_path / ("mnist.bz2" if packed else "mnist")
    name.write_bytes(bz2.compress(libsvm(flat, Y)) if packed else libsvm(flat, Y))
    pool = read(name)
    assert same(pool, BORDERED)
    assert pool.name == "libsvm"
    (tmp_path / "mnist.t").write_bytes(libsvm(flat[:20], Y[:20]))
    with_test = SOURCES["auto"](path=str(name), test_path=str(tmp_path / "mnist.t")).read()
    assert (len(with_test.train), len(with_test.test)) == (60, 20)


def test_libsvm_indices_count_from_the_same_number_in_all_files(tmp_path, caplog):
    caplog.set_level(logging.INFO, "mnistlab.data")
    flat = FLAT.copy()
    flat[:40, 0], flat[40:, 0] = 9, 0  # no row of the test file has index 0
    flat[:, -1] = 9
    for name, rows in (("mnist", slice(0, 40)), ("mnist.t", slice(40, 60))):
        shifted = np.pad(flat[rows, 1:], ((0, 0), (0, 1)))  # libsvm() counts from 1
        zero = [f"0:{v} " if v else "" for v in flat[rows, 0]]
        body = libsvm(shifted, Y[rows]).decode().splitlines()
        (tmp_path / name).write_text("\n".join(row[:2] + z + row[2:] for row, z in zip(body, zero, strict=True)) + "\n")
    pool = read(tmp_path / "mnist", test_path=str(tmp_path / "mnist.t"))
    np.testing.assert_array_equal(pool.train.images.reshape(40, 36), flat[:40])
    np.testing.assert_array_equal(pool.test.images.reshape(20, 36), flat[40:])
    assert "indices from 0" in caplog.text


def test_libsvm_with_an_endless_index_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"1 1:3 2147483647:1\n" * 3)
    with pytest.raises(RequestError, match="a has the index 2,147,483,647 in 4 rows, more than the maximum of"):
        read(tmp_path / "a")


def test_arff(tmp_path):
    header = ["% comment", "@RELATION mnist", "", *(f"@ATTRIBUTE pixel{i + 1} real" for i in range(36))]
    names = ["'one dog'", "two", "three", "'4'", "e", "f", "g", "h", "i", "j"]
    header += [f"@ATTRIBUTE class {{{','.join(names)}}}", "@DATA"]
    rows = [",".join([*map(str, x), names[c]]) for x, c in zip(FLAT.tolist(), Y.tolist(), strict=True)]
    (tmp_path / "a.arff").write_text("\n".join([*header, *rows]))
    pool = read(tmp_path / "a.arff")
    assert pool.class_names == ("one dog", "two", "three", "4", "e", "f", "g", "h", "i", "j")
    assert same(pool)


def test_mat_of_emnist_mnist_original_and_one_array_per_class(tmp_path):
    from scipy.io import savemat

    def part(rows):
        return {"images": X[rows].transpose(0, 2, 1).reshape(-1, 36), "labels": Y[rows][:, None] + 1}

    mapping = np.array([[i + 1, ord("A") + i] for i in range(10)])
    savemat(
        tmp_path / "emnist-letters.mat",
        {"dataset": {"train": part(slice(0, 40)), "test": part(slice(40, 60)), "mapping": mapping}},
        do_compression=True,
    )
    pool = read(tmp_path / "emnist-letters.mat")
    assert same(pool)
    assert pool.class_names == tuple("ABCDEFGHIJ")
    savemat(tmp_path / "mnist-original.mat", {"data": FLAT.T, "label": Y[None].astype(float)})
    assert same(read(tmp_path / "mnist-original.mat"))
    savemat(
        tmp_path / "mnist_all.mat",
        {f"{p}{d}": FLAT[d == Y][r] for d in range(10) for p, r in (("train", slice(4)), ("test", slice(4, 6)))},
    )
    assert same(read(tmp_path / "mnist_all.mat"))


def test_code_beside_the_data_is_never_run(tmp_path, monkeypatch):
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(tmp_path / "d.mat", {"X": FLAT, "y": Y})
    (tmp_path / "numpy.py").write_text("open('was_run', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    arrays, _ = isolated.arrays_of("mat", Path("d.mat"))
    np.testing.assert_array_equal(arrays["X"], FLAT)
    assert not (tmp_path / "was_run").exists()


def test_hdf5_with_groups_of_parts(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "usps.h5", "w") as file:
        for part, rows in (("train", slice(0, 40)), ("test", slice(40, 60))):
            file[f"{part}/data"], file[f"{part}/target"] = (FLAT[rows] / 255).astype(np.float32), Y[rows]
    pool = read(tmp_path / "usps.h5")
    assert same(pool)
    assert pool.name == "hdf5"


def test_hdf5_kept_in_other_files_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret").write_bytes(bytes(10_000))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["labels"] = Y
        file.create_dataset("images", (60, 36), "u1", external=[(str(tmp_path / "secret"), 0, 60 * 36)])
    with pytest.raises(RequestError, match=r"a\.h5: images is kept in other files, which are not read"):
        read(tmp_path / "a.h5")


def test_parquet_with_encoded_pictures_and_class_names(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (tmp_path / "data").mkdir()
    names = [f"n{i}" for i in range(10)]
    about = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    import json

    for part, rows in (("train", slice(0, 40)), ("test", slice(40, 60))):
        pictures = [{"bytes": png(x), "path": f"{i}.png"} for i, x in enumerate(X[rows])]
        table = pa.table({"image": pictures, "label": Y[rows].astype(np.int64)})
        table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
        pq.write_table(table.slice(0, 12), tmp_path / "data" / f"{part}-00000-of-00002.parquet")
        pq.write_table(table.slice(12), tmp_path / "data" / f"{part}-00001-of-00002.parquet")
    pool = read(tmp_path)
    assert same(pool)
    assert pool.class_names == tuple(names)
    assert len(pool.test) == 20


def test_parquet_with_a_column_of_pixels_each(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {f"pixel{i}": FLAT[:, i] for i in range(36)}
    pq.write_table(pa.table({"kind": Y, **columns}), tmp_path / "a.parquet")
    assert same(read(tmp_path / "a.parquet", label="kind"))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({0: 18, 1: 54}, "row 1 of the column 'image' has a list of 18, but others have 36; repair the file"),
        ({7: None}, "row 8 of the column 'image' has no list, but others have 36; repair the file"),
    ],
)
def test_parquet_with_lists_of_several_lengths_is_refused(tmp_path, bad, message):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    lists = FLAT.tolist()
    for row, length in bad.items():
        lists[row] = None if length is None else (2 * lists[row])[:length]
    pq.write_table(pa.table({"image": lists, "label": Y}), tmp_path / "a.parquet")
    with pytest.raises(RequestError, match=re.escape(f"a.parquet: {message}")):
        read(tmp_path / "a.parquet")


def test_parquet_with_a_short_row_in_a_list_of_rows_is_refused(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    lists = X.tolist()
    pq.write_table(pa.table({"image": lists, "label": Y}), tmp_path / "a.parquet")
    assert same(read(tmp_path / "a.parquet"))
    lists[4][5].pop()
    pq.write_table(pa.table({"image": lists, "label": Y}), tmp_path / "a.parquet")
    with pytest.raises(RequestError, match=r"row 5 of the column 'image' has a list of 5, but others have 6"):
        read(tmp_path / "a.parquet")


def test_lists_of_several_lengths_beside_encoded_pictures_do_not_matter(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pictures, boxes = [{"bytes": png(x)} for x in X], [[1] * (i % 3) for i in range(60)]
    pq.write_table(pa.table({"boxes": boxes, "image": pictures, "label": Y}), tmp_path / "a.parquet")
    assert same(read(tmp_path / "a.parquet"))


@pytest.mark.parametrize("missing", [None, "", " "])
def test_a_row_without_a_label_is_no_class(tmp_path, missing):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    words = ["cat", "dog"] * 30
    words[4] = missing
    pq.write_table(pa.table({"image": FLAT.tolist(), "label": words}), tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", images=X, labels=np.array([word or "" for word in words]))
    for name in ("a.parquet", "a.npz"):
        with pytest.raises(RequestError, match="row 5 of the training labels is empty; label or remove it"):
            read(tmp_path / name)


def test_parquet_with_pixels_in_another_order(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {name: FLAT[:, int(name[5:])] for name in sorted(f"pixel{i}" for i in range(36))}
    pq.write_table(pa.table({**columns, "label": Y}), tmp_path / "a.parquet")
    assert same(read(tmp_path / "a.parquet"))


def test_a_mapping_of_words_in_hdf5_is_no_mapping_of_codes(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"], file["labels"] = X, Y
        file["mapping"] = np.array([[b"0", b"a"], [b"1", b"b"]])
    assert same(read(tmp_path / "a.h5"))


def png(image):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("package", ["h5py", "pyarrow"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, package):
    from mnistlab.data.formats import containers

    magic = b"\x89HDF\r\n\x1a\n" if package == "h5py" else b"PAR1"
    (tmp_path / "a").write_bytes(magic + bytes(100))
    monkeypatch.setattr(containers, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=rf"the package {package} is not installed; run pip install '.\[formats\]'"):
        read(tmp_path / "a")


# ---- archives


def test_archives_of_pictures_and_of_tables(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for i, (x, c) in enumerate(zip(X, Y, strict=True)):
            archive.writestr(f"mine/{c}/{i}.png", png(x))
        archive.writestr("__MACOSX/mine/0/._0.png", b"x")
        archive.writestr("../outside.png", png(X[0]))
    assert same(read(tmp_path / "a.zip"))
    assert not (tmp_path.parent / "outside.png").exists()
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for name, content in (("d/train.csv", lines(header=True)), ("d/notes.md", "x")):
            member = tarfile.TarInfo(name)
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
        link = tarfile.TarInfo("d/test.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert same(read(tmp_path / "a.tar.gz"))


def test_a_test_file_beside_a_folder_of_tables(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.csv").write_text(lines(header=True))
    np.savez(tmp_path / "other.npz", images=X[:7], labels=Y[:7])
    pool = read(tmp_path / "mine", test_path=str(tmp_path / "other.npz"))
    assert (len(pool.train), len(pool.test)) == (60, 7)


@pytest.mark.parametrize("key", ["test_path", "train_labels"])
@pytest.mark.parametrize("what", ["folder of pictures", "archive", "folder of tables"])
def test_files_that_would_not_be_read_are_refused(tmp_path, key, what):
    (tmp_path / "mine").mkdir()
    (tmp_path / "other.csv").write_text("label\n0\n")
    path = tmp_path / "mine"
    if what == "archive":
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("train.csv", lines(header=True))
    elif what == "folder of tables":
        for role, rows in (("images", FLAT.tolist()), ("labels", Y[:, None].tolist())):
            (path / f"{role}.csv").write_text("\n".join(",".join(map(str, row)) for row in rows))
    else:
        for c in range(2):
            (path / str(c)).mkdir()
            (path / str(c) / "0.png").write_bytes(png(X[0]))
    with pytest.raises(RequestError, match=rf"^{key}=.*other.csv: is not read beside .*; add it to that, or name"):
        read(path, **{key: str(tmp_path / "other.csv")})


def test_an_archive_must_hold_the_format_that_was_asked_for(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train.csv", lines(header=True))
    assert same(SOURCES["csv"](path=str(tmp_path / "a.zip")).read())
    with pytest.raises(RequestError, match=r"a\.zip has no file of this format; correct path, or use data=auto"):
        SOURCES["auto"](path=str(tmp_path / "a.zip"), format="hdf5").read()


# ---- what is refused, and how


IMPOSTORS = {
    "LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n",
        "is a Git LFS pointer, not the file",
    ),
    "HTML": (b"\n<!DOCTYPE html><html><head><title>404</title>", "is a web page, perhaps an error page saved as data"),
    "pickle": (gzip.compress(pickle.dumps(((X, Y), (X, Y)))), "is a pickle, which can run programs when it is opened"),
    "Excel": (None, "is an Office document; save its table as CSV"),
    "JSON": (b'{"images": []}', "is JSON; save the images as .npz or CSV"),
    "SQLite": (b"SQLite format 3\0" + bytes(100), "is an SQLite database"),
    "picture": (png(X[0]), "is a single picture; training needs a folder"),
}


@pytest.mark.parametrize("suffix", ["csv", "npz", "gz"])
@pytest.mark.parametrize("what", IMPOSTORS)
def test_what_is_no_data_is_named_for_what_it_is(tmp_path, what, suffix):
    content, message = IMPOSTORS[what]
    if content is None:
        with zipfile.ZipFile(tmp_path / f"a.{suffix}", "w") as archive:
            archive.writestr("[Content_Types].xml", "")
    else:
        (tmp_path / f"a.{suffix}").write_bytes(content)
    with pytest.raises(RequestError) as error:
        read(tmp_path / f"a.{suffix}")
    assert f"a.{suffix} {message}" in str(error.value)
    assert len(str(error.value)) < 300 + len(str(tmp_path))


def test_impostors_of_published_files_are_named(tiny, tmp_path):
    (tiny / "train-images-idx3-ubyte.gz").write_bytes(IMPOSTORS["LFS"][0])
    with pytest.raises(RequestError, match=r"train-images-idx3-ubyte\.gz is a Git LFS pointer"):
        SOURCES["named"](name="tiny", root=str(tiny)).read()


# ---- labels and copies


def test_class_names_and_gaps(tmp_path):
    np.savez(tmp_path / "a.npz", images=X, labels=Y * 2)
    pool = read(tmp_path / "a.npz")
    assert pool.class_names == ("0", "2", "4", "6", "8", "10", "12", "14", "16", "18")
    assert same(pool)
    np.savez(tmp_path / "b.npz", images=X, labels=Y + 5)
    assert read(tmp_path / "b.npz", label_offset=5).class_names == tuple("0123456789")
    np.savez(tmp_path / "c.npz", images=X, labels=Y, class_names=np.array(list("zyxwvutsrq")))
    assert read(tmp_path / "c.npz").class_names == tuple("zyxwvutsrq")
    with pytest.raises(RequestError, match=r"class_names=\['a', 'b'\]: "):
        read(tmp_path / "c.npz", class_names=["a", "b"])
    np.savez(tmp_path / "d.npz", images=X, labels=np.where(Y % 2, 1, -1))
    assert read(tmp_path / "d.npz").class_names == ("-1", "1")


def test_copies_across_parts_are_counted(tmp_path, caplog):
    from mnistlab.data.sources.bundled import Digits

    images = Digits().read().train.images[:300]
    labels = np.arange(300) % 10
    near = np.clip(images[:20].astype(int) + 2, 0, 255).astype(np.uint8)
    test = np.concatenate([images[:30], near, images[-1:] // 2 + 40])
    np.savez(tmp_path / "a.npz", x_train=images, y_train=labels, x_test=test, y_test=labels[:51])
    read(tmp_path / "a.npz")
    assert "51 test images are also in the training set (30 pixel for pixel, " in caplog.text
    caplog.clear()
    np.savez(tmp_path / "b.npz", x_train=images[:150], y_train=labels[:150], x_test=images[150:], y_test=labels[150:])
    read(tmp_path / "b.npz")
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []


def test_invert_and_size(tmp_path):
    np.savez(tmp_path / "a.npz", images=X, labels=Y)
    assert same(read(tmp_path / "a.npz", invert=True), 255 - X)
    assert read(tmp_path / "a.npz", size=9).train.images.shape[1:] == (9, 9)


def test_the_data_is_said_in_one_line(tmp_path, caplog):
    np.savez(tmp_path / "a.npz", images=X / 255, labels=Y + 1)
    with caplog.at_level(logging.INFO):
        read(tmp_path / "a.npz")
    assert caplog.messages == [
        "data    a.npz is a NumPy archive: 60 training images of 6 x 6 in 10 classes; pixels 0 to 1, multiplied by 255;"
        " labels 1 to 10, shifted to 0 to 9"
    ]
