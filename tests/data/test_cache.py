import json
import multiprocessing
import os

import numpy as np
import pytest

from mnistlab.data import cache


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "source.txt"
    path.write_text("1 2 3")
    return path


class Parser:
    def __init__(self, path):
        self.path, self.calls = path, 0

    def __call__(self):
        self.calls += 1
        values = np.array(self.path.read_text().split(), np.int64)
        return cache.Parsed({"values": values}, {"from": self.path.name}, ["a note"])


def entry_folder():
    return next(path for path in (cache.folder() / "parsed").iterdir() if path.is_dir())


def test_the_second_reading_is_the_mapped_array(file, caplog):
    parser = Parser(file)
    first, second = (cache.parsed("test", [file], {}, parser) for _ in range(2))
    assert parser.calls == 1
    np.testing.assert_array_equal(second.arrays["values"], [1, 2, 3])
    assert not second.arrays["values"].flags.writeable
    assert first.info == second.info
    assert second.info["from"] == "source.txt"
    assert caplog.text.count("a note") == 2, "notes are repeated"


def test_other_content_or_options_are_parsed_anew(file):
    parser = Parser(file)
    cache.parsed("test", [file], {"a": 1}, parser)
    cache.parsed("test", [file], {"a": 2}, parser)
    assert parser.calls == 2
    stat = file.stat()
    file.write_text("4 5 6")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    np.testing.assert_array_equal(cache.parsed("test", [file], {"a": 1}, parser).arrays["values"], [4, 5, 6])


def flip_last_byte(folder):
    content = bytearray((folder / "values.npy").read_bytes())
    content[-1] ^= 1
    (folder / "values.npy").write_bytes(content)


def shorten(folder):
    content = (folder / "values.npy").read_bytes()
    (folder / "values.npy").write_bytes(content[:-4])


def forget_a_checksum(folder):
    sidecar = json.loads((folder / "entry.json").read_text())
    del sidecar["checksums"]
    (folder / "entry.json").write_text(json.dumps(sidecar))


def change_a_fact(folder):
    sidecar = json.loads((folder / "entry.json").read_text())
    (folder / "entry.json").write_text(json.dumps({**sidecar, "info": [1]}))


def put_a_pipe(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)


DAMAGE = {
    "a flipped bit": flip_last_byte,
    "a short array": shorten,
    "an empty array": lambda folder: (folder / "values.npy").write_bytes(b""),
    "no array": lambda folder: (folder / "values.npy").unlink(),
    "a broken sidecar": lambda folder: (folder / "entry.json").write_text("{"),
    "a list for a sidecar": lambda folder: (folder / "entry.json").write_text("[]"),
    "a sidecar without checksums": forget_a_checksum,
    "other facts": change_a_fact,
    "a pipe for an array": lambda folder: put_a_pipe(folder, "values.npy"),
    "a pipe for a sidecar": lambda folder: put_a_pipe(folder, "entry.json"),
    "brackets for a sidecar": lambda folder: (folder / "entry.json").write_text("[" * 200_000),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_built_again(file, damage):
    parser = Parser(file)
    cache.parsed("test", [file], {}, parser)
    DAMAGE[damage](entry_folder())
    for _ in range(2):
        np.testing.assert_array_equal(cache.parsed("test", [file], {}, parser).arrays["values"], [1, 2, 3])
    assert parser.calls == 2


def test_an_unwritable_cache_is_said_and_done_without(file, monkeypatch, caplog):
    monkeypatch.setenv("MNISTLAB_CACHE", str(file))  # a file, where a folder is needed
    parsed = cache.parsed("test", [file], {}, Parser(file))
    np.testing.assert_array_equal(parsed.arrays["values"], [1, 2, 3])
    assert "cannot be written (Not a directory); continuing without it" in caplog.text


def test_a_full_disk_is_said_and_done_without(file, monkeypatch, caplog):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    parsed = cache.parsed("test", [file], {}, Parser(file))
    assert parsed.info["sha256"]
    assert "No space left on device" in caplog.text
    assert not [path for path in (cache.folder() / "parsed").iterdir() if path.is_dir()], "nothing half-written is left"


def test_what_a_killed_process_left_is_cleared(file):
    cache.parsed("test", [file], {}, Parser(file))
    left = entry_folder().with_name(f"{entry_folder().name}.abc")
    left.mkdir()
    DAMAGE["no array"](next(path for path in left.parent.iterdir() if path.is_dir() and path != left))
    cache.parsed("test", [file], {}, Parser(file))
    assert not left.exists()


def read_once(path, log):
    def build():
        with log.open("a") as file:
            file.write("built\n")
        return cache.Parsed({"values": np.arange(100_000)}, {})

    assert cache.parsed("test", [path], {}, build).arrays["values"][-1] == 99_999


@pytest.mark.process
def test_processes_build_an_entry_once(file, tmp_path):
    log = tmp_path / "log"
    spawn = multiprocessing.get_context("fork")
    workers = [spawn.Process(target=read_once, args=(file, log)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert log.read_text() == "built\n"


def test_the_content_hash_is_of_names_shapes_and_values():
    one = {"a": np.array([1, 2], np.int64)}
    assert cache.content_hash(one) == cache.content_hash({"a": np.array([1, 2], ">i8")})
    assert cache.content_hash(one) != cache.content_hash({"a": np.array([[1, 2]], np.int64)})
    assert cache.content_hash(one) != cache.content_hash({"b": one["a"]})
