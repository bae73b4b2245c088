import dataclasses
import gzip
import hashlib
import time
import zipfile

import numpy as np
import pytest
from helpers.data_files import images_and_labels, write_four

from mnistlab.data import catalog, idx_format
from mnistlab.data.loading import load
from mnistlab.data.sources import published
from mnistlab.data.sources.published import catalogue, fetch
from mnistlab.data.sources.registry import SOURCES
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream


def source(name="mnist", **options):
    return SOURCES["named"](name=name, **options)


def never(*args, **kwargs):
    raise AssertionError("nothing must be downloaded here")


@pytest.fixture(autouse=True)
def offline(monkeypatch, request):
    if "mirror" not in request.fixturenames:
        monkeypatch.setattr(published, "fetch", never)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("below", ["", "mnist"])
def test_root_holds_the_files_or_their_folder(tmp_path, suffix, below, caplog):
    write_four(tmp_path / "root" / below, suffix=suffix)
    data = load(source(root=str(tmp_path / "root")), stream(0, "split"))
    assert (len(data.train), len(data.validation), len(data.test)) == (54, 6, 20)
    assert data.provenance["found"] == "root"
    assert data.provenance["sha256_expected"] is False
    assert "the content differs from the published files" in caplog.text


def test_names_with_a_dot_are_found_too(four):
    for file in list(four.iterdir()):
        file.rename(file.with_name(file.name.replace("-idx", ".idx")))
    assert len(source(root=str(four)).read().train) == 60


def test_the_order_of_places(tmp_path, monkeypatch):
    places = {
        "system": tmp_path / "system" / "mnist",
        "cache": tmp_path / "cache" / "datasets" / "mnist",
        "MNISTLAB_DATA": tmp_path / "given" / "mnist",
    }
    (tmp_path / "given").mkdir()
    monkeypatch.setenv("MNISTLAB_DATA", str(tmp_path / "given"))
    assert published.locate("mnist") is None
    for where, folder in places.items():
        write_four(folder)
        assert published.locate("mnist") == (where, folder)
    assert source().read().provenance["path"] == str(places["MNISTLAB_DATA"])


def test_tiny_is_recognised_as_published(tiny):
    assert source("tiny", root=str(tiny)).read().provenance["sha256_expected"] is True


def test_the_hash_does_not_depend_on_packing(tmp_path):
    hashes = {
        source(root=str(write_four(tmp_path / f"as{suffix}", suffix=suffix))).read().provenance["sha256"]
        for suffix in ("", ".gz")
    }
    assert len(hashes) == 1


def truncate(folder):
    idx_format.write(folder / "train-images-idx3-ubyte.gz", images_and_labels(60)[0])
    plain = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(plain[:500]))


def label_ten(folder):
    idx_format.write(folder / "t10k-labels-idx1-ubyte.gz", np.array([10] * 20, np.uint8))


def fewer_labels(folder):
    idx_format.write(folder / "train-labels-idx1-ubyte.gz", images_and_labels(59)[1])


def other_size(folder):
    idx_format.write(folder / "t10k-images-idx3-ubyte.gz", images_and_labels(20, side=5)[0])


BAD = {
    "truncated": (truncate, "train-images-idx3-ubyte.gz ends after 500 of 976 bytes"),
    "label out of range": (label_ten, "test labels: row 1 has the label 10, but the 10 classes are 0 to 9"),
    "counts": (
        fewer_labels,
        "-images-idx3-ubyte.gz holds 60 images but train-labels-idx1-ubyte.gz holds 59 labels",
    ),
    "sizes": (other_size, "training and test images differ in size"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_in_root(four, case):
    spoil, message = BAD[case]
    spoil(four)
    with pytest.raises(RequestError) as caught:
        source(root=str(four)).read()
    assert str(caught.value).startswith(f"root={four}: ")
    assert message in str(caught.value)
    assert str(caught.value).endswith("fetch it again with `mnistlab data fetch mnist`")


def test_a_root_that_is_no_place(tmp_path, four):
    (tmp_path / "file").touch()
    (tmp_path / "nothing").mkdir()
    (four / "t10k-labels-idx1-ubyte.gz").unlink()
    cases = {
        tmp_path / "fuor": r"no such folder \(did you mean four\?\)",
        tmp_path / "file": r"this is a file; must be a folder \(mnist's files\)",
        tmp_path / "nothing": "no train-images-idx3-ubyte and no train-labels",
        four: r": no t10k-labels-idx1-ubyte \(.gz or not\) there",
    }
    for root, message in cases.items():
        with pytest.raises(RequestError, match=message):
            source(root=str(root)).read()


def test_an_unknown_name_is_met_with_a_suggestion():
    with pytest.raises(RequestError, match=r"name=kmnst: choose one of .* \(did you mean kmnist\?\)"):
        source("kmnst")


def test_mnistlab_data_must_be_a_folder_with_whole_datasets(tmp_path, monkeypatch, four, caplog):
    monkeypatch.setenv("MNISTLAB_DATA", str(tmp_path / "gone"))
    with pytest.raises(RequestError, match=r"name=mnist: MNISTLAB_DATA=.*gone is not a folder"):
        source().read()
    monkeypatch.setenv("MNISTLAB_DATA", str(four))
    (four / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(RequestError, match="four lacks train-labels-idx1-ubyte"):
        source().read()
    assert {row["name"] for row in catalogue()} >= set(catalog.REGISTRY)
    assert "lacks train-labels" in caplog.text


def test_another_datasets_files_are_not_taken_for_this_one(tiny):
    with pytest.raises(RequestError, match="the files are those of tiny; keep each dataset in a folder of its own"):
        source("kmnist", root=str(tiny)).read()


def test_emnist_is_turned_and_its_letters_count_from_zero(tmp_path, monkeypatch):
    entry = catalog.REGISTRY["emnist_letters"]
    images, _ = images_and_labels(26)
    for i, file in enumerate(entry.files):
        idx_format.write(tmp_path / file, images if i % 2 == 0 else np.arange(1, 27, dtype=np.uint8))
    pool = source("emnist_letters", root=str(tmp_path)).read()
    np.testing.assert_array_equal(pool.train.images[3], images[3].T)
    np.testing.assert_array_equal(pool.train.labels, np.arange(26))
    assert pool.class_names[0] == "A"


def test_class_names_are_as_many_as_published():
    counts = {name: len(entry.class_names) for name, entry in catalog.REGISTRY.items()}
    expected = {"mnist": 10, "fashion_mnist": 10, "kmnist": 10}
    expected |= {"emnist_balanced": 47, "emnist_digits": 10, "emnist_letters": 26}
    assert counts == expected | {"emnist_byclass": 62, "emnist_bymerge": 47, "emnist_mnist": 10}


def test_the_catalogue_says_what_is_where(tmp_path):
    write_four(tmp_path / "cache" / "datasets" / "mnist")
    rows = {row["name"]: row for row in catalogue()}
    assert rows["mnist"]["found"].endswith("datasets/mnist")
    assert rows["kmnist"]["found"] is None
    assert rows["mnist5k"]["download"] is None


# downloads, from a loopback mirror


def test_fetch_from_a_good_mirror_and_load(mirror, tiny):
    folder = fetch("tiny", mirrors=[mirror.serve("good", tiny)])
    assert sorted(path.name for path in folder.glob("*.gz")) == sorted(path.name for path in tiny.iterdir())
    assert source("tiny").read().provenance["found"] == "cache"


def test_load_downloads_what_is_nowhere_and_says_so(mirror, tiny, monkeypatch, caplog):
    url = mirror.serve("good", tiny)
    monkeypatch.setattr(published, "fetch", lambda name: fetch(name, mirrors=[url]))
    pool = source("tiny").read()
    assert pool.provenance["found"] == "downloaded"
    assert pool.provenance["sha256_expected"] is True
    assert "tiny is not on this machine; downloading" in caplog.text


def test_a_dead_mirror_and_a_wrong_hash_move_on_to_the_next(mirror, tiny, tmp_path, caplog):
    wrong = mirror.serve("wrong", write_four(tmp_path / "other", train=61))
    good = mirror.serve("good", tiny)
    fetch("tiny", tmp_path / "to", mirrors=["http://127.0.0.1:9/", mirror.url + "/none/", wrong, good])
    assert len(source("tiny", root=str(tmp_path / "to")).read().train) == 60
    assert "127.0.0.1:9/train-images-idx3-ubyte.gz failed (no connection); trying the next mirror" in caplog.text
    assert "failed (HTTP status 404)" in caplog.text
    assert "failed (wrong content: SHA-256" in caplog.text


def test_when_all_mirrors_fail_each_is_listed_with_its_reason(mirror, tiny, caplog):
    mirror.pages["/page/train-images-idx3-ubyte.gz"] = b"<html>moved</html>"
    start = time.perf_counter()
    with pytest.raises(RequestError) as caught:
        fetch("tiny", mirrors=["http://127.0.0.1:9/", f"{mirror.url}/none", f"{mirror.url}/page"])
    assert time.perf_counter() - start < 2
    message = str(caught.value)
    assert message.startswith(
        "name=tiny: no mirror could provide it: http://127.0.0.1:9/train-images-idx3-ubyte.gz: no connection; "
    )
    assert "/none/train-images-idx3-ubyte.gz: HTTP status 404; " in message
    assert "the file is a web page" in message
    assert "set root to it" in message
    assert "\n" not in message
    assert caplog.messages[1].endswith("failed (HTTP status 404); trying the next mirror")
    assert caplog.messages[2].endswith(")")  # there is no next one
    assert not [path for path in published._cached("tiny").iterdir() if path.suffix != ".lock" and path.name != ".lock"]


def test_a_broken_connection_is_tried_again(mirror, tiny, monkeypatch):
    monkeypatch.setattr(published.download.time, "sleep", lambda seconds: None)
    url = mirror.serve("good", tiny)
    page = "/good/train-images-idx3-ubyte.gz"
    whole = mirror.pages[page]
    mirror.pages[page] = [503, (whole[:100], len(whole)), whole]
    fetch("tiny", mirrors=[url])
    assert mirror.asked.count(page) == 3


def test_a_partial_file_moves_on_in_the_end(mirror, tiny, monkeypatch, caplog):
    monkeypatch.setattr(published.download.time, "sleep", lambda seconds: None)
    good = mirror.serve("good", tiny)
    broken = mirror.serve("broken", tiny)
    mirror.pages["/broken/t10k-images-idx3-ubyte.gz"] = (b"\x1f\x8b", 1000)
    fetch("tiny", mirrors=[broken, good])
    assert "/broken/t10k-images-idx3-ubyte.gz failed (the connection was lost)" in caplog.text


def test_complete_files_are_kept_and_broken_ones_fetched_again(mirror, tiny, tmp_path):
    url = mirror.serve("good", tiny)
    folder = fetch("tiny", tmp_path, mirrors=[url])
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(b"broken")
    mirror.asked.clear()
    fetch("tiny", tmp_path, mirrors=[url])
    assert mirror.asked == ["/good/train-labels-idx1-ubyte.gz"]


def test_an_endless_file_is_cut_off(mirror, tiny):
    mirror.pages["/big/train-images-idx3-ubyte.gz"] = bytes(2**20)
    with pytest.raises(RequestError, match="it is longer than 112,576 bytes"):
        fetch("tiny", mirrors=[f"{mirror.url}/big/"])


def test_the_md5_of_the_packed_file_counts_where_it_is_all_that_is_known(mirror, tiny, tmp_path, monkeypatch):
    md5 = {idx_format.stem(file): hashlib.md5(file.read_bytes()).hexdigest() for file in tiny.iterdir()}
    entry = catalog.Named("", "other", 60, 20, catalog.DIGITS, 1, (), md5=md5)
    monkeypatch.setitem(catalog.REGISTRY, "other", entry)
    wrong = mirror.serve("wrong", write_four(tmp_path / "wrong", train=61))
    with pytest.raises(RequestError, match=r"wrong content: MD5 [0-9a-f]{12}\.\.\., must be"):
        fetch("other", mirrors=[wrong])
    assert fetch("other", mirrors=[mirror.serve("good", tiny)]).name == "other"


def test_an_archive_gives_all_its_datasets_at_once(mirror, tmp_path, monkeypatch):
    names = ("emnist_balanced", "emnist_digits", "emnist_letters")
    archive = tmp_path / "gzip.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in names:
            for member in catalog.REGISTRY[name].files:
                file.writestr(f"gzip/{member}.gz", name)
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    for name in names:
        monkeypatch.setitem(catalog.REGISTRY, name, dataclasses.replace(catalog.REGISTRY[name], archive_md5=md5))
    mirror.pages["/gzip.zip"] = archive.read_bytes()
    mirror.pages["/other.zip"] = b"PK"
    folder = fetch("emnist_letters", mirrors=[f"{mirror.url}/other.zip", f"{mirror.url}/gzip.zip"])
    assert len(list(folder.glob("*.gz"))) == 12
    assert not (folder / "archive.zip").exists()
    fetch("emnist_digits", mirrors=[f"{mirror.url}/gzip.zip"])
    assert mirror.asked == ["/other.zip", "/gzip.zip"]


def test_a_place_that_cannot_be_written(mirror, tiny, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=r"name=tiny: .* cannot be written"):
        fetch("tiny", tmp_path / "file", mirrors=[mirror.url])


# the full files


@pytest.mark.parametrize(("name", "mean", "deviation"), [("mnist", 0.1307, 0.3081), ("fashion_mnist", 0.2860, 0.3530)])
def test_the_published_files(real_data, name, mean, deviation):
    from mnistlab.data.dataset import Scaling

    options = {"name": name, "validation": 0, "scaling": Scaling.standardize}
    data = load(SOURCES["named"](**options), stream(0, "split"))
    assert (len(data.train), len(data.test)) == (60_000, 10_000)
    assert data.provenance["sha256_expected"] is True
    assert data.shift / 255 == pytest.approx(mean, abs=1e-4)
    assert 1 / data.scale / 255 == pytest.approx(deviation, abs=1e-4)


@pytest.mark.slow
def test_cached_mnist_loads_quickly(real_data):
    load(source(), stream(0, "split"))
    times = []
    for _ in range(3):
        start = time.perf_counter()
        load(source(), stream(0, "split"))
        times.append(time.perf_counter() - start)
    assert min(times) < 0.15


def test_files_directly_in_the_environments_folder_are_taken_for_what_they_are_only(tiny, tmp_path, monkeypatch):
    """All such datasets have the same four file names: those of one must not stand for another."""
    folder = tmp_path / "flat"
    folder.mkdir()
    for path in tiny.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("MNISTLAB_DATA", str(folder))
    assert published.locate("tiny") == ("MNISTLAB_DATA", folder)
    assert published.locate("mnist") is None
    assert published.locate("kmnist") is None


LAYOUTS = {
    "torchvision": lambda base, files: files.rename(base / "MNIST" / "raw"),
    "torchvision, its inner folder": lambda base, files: files.rename(base / "raw"),
    "a folder for each file": lambda base, files: [
        (file.rename(base / "tmp"), file.mkdir(), (base / "tmp").rename(file / file.name))
        for file in list(files.iterdir())
    ],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("by_root", [True, False])
def test_the_layouts_of_other_libraries_are_found(tmp_path, monkeypatch, layout, by_root):
    (tmp_path / "data" / "MNIST").mkdir(parents=True)
    files = write_four(tmp_path / "data" / "mnist", suffix="")
    LAYOUTS[layout](tmp_path / "data", files)
    monkeypatch.setenv("MNISTLAB_DATA", "" if by_root else str(tmp_path / "data"))
    pool = SOURCES["named"](name="mnist", root=str(tmp_path / "data") if by_root else None).read()
    assert (len(pool.train), len(pool.test)) == (60, 20)
