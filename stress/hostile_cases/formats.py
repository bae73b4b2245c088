"""Bad files of the formats that `data=auto` recognises: bombs, cut-off files, wrong types, bytes changed at random."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from hostile_cases import Case, Content, damaged, put
from hostile_cases.bombs import MB, gzipped
from hostile_cases.data import IMAGES, SIDE, TRAIN, labels, pixels, read_by, sound_csv, sound_png

ARGUMENTS = [*TRAIN, "data=auto", "data.path=data", "data.test=0.5"]


def libsvm() -> bytes:
    rows = zip(labels().tolist(), pixels().reshape(IMAGES, -1).tolist(), strict=True)
    return "".join(f"{c} {' '.join(f'{i + 1}:{v}' for i, v in enumerate(x) if v)}\n" for c, x in rows).encode()


def arff() -> bytes:
    attributes = [f"@attribute pixel{i} numeric" for i in range(SIDE**2)] + ["@attribute class {0,1,2,3,4,5,6,7,8,9}"]
    rows = zip(labels().tolist(), pixels().reshape(IMAGES, -1).tolist(), strict=True)
    return "\n".join(["@relation x", *attributes, "@data", *(",".join(map(str, [*x, c])) for c, x in rows)]).encode()


def mat(**options: bool) -> bytes:
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, {"dataset": {"train": {"images": pixels(), "labels": labels()[:, None]}}}, **options)
    return buffer.getvalue()


def hdf5() -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("train/data", data=pixels(), compression="gzip")
        file["train/target"] = labels()
    return buffer.getvalue()


def parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pictures = [{"bytes": sound_png(), "path": None}] * IMAGES
    pq.write_table(pa.table({"image": pictures, "label": labels().tolist()}), buffer)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def tarred(*members: tuple[str, bytes, bytes]) -> bytes:
    """Return a tar file of (name, type, content or link)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content) if kind == tarfile.REGTYPE else 0
            member.linkname = content.decode() if kind != tarfile.REGTYPE else ""
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def pictures_in_zip() -> bytes:
    return zipped(**{f"d__{c}__{i}.png": sound_png() for c in "ab" for i in range(4)})


def mat_bomb(size: int) -> Callable[[], bytes]:
    """Return what makes a MATLAB file of one compressed element that unpacks to so many bytes."""

    def make() -> bytes:
        packer = zlib.compressobj(1)
        packed = packer.compress(struct.pack("<II", 14, size))
        packed += b"".join(packer.compress(bytes(MB)) for _ in range(size // MB)) + packer.flush()
        return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(packed)) + packed

    return make


def mat_of_cells(depth: int) -> Callable[[], bytes]:
    """Return what makes a MATLAB file of cells in cells."""

    def make() -> bytes:
        head = struct.pack("<IIII", 6, 8, 1, 0) + struct.pack("<IIii", 5, 8, 1, 1) + struct.pack("<II", 1, 0)
        sizes = [len(head) * (depth - i) + 8 * (depth - i - 1) for i in range(depth)]
        body = b"".join(struct.pack("<II", 14, size) + head for size in sizes)
        return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + body

    return make


def sound() -> dict[str, Callable[[], bytes]]:
    """Return a maker of a sound file of each format whose package is installed."""
    made: dict[str, Callable[[], bytes]] = {
        "libsvm": libsvm,
        "libsvm, bzip2": lambda: bz2.compress(libsvm()),
        "arff": arff,
        "mat": mat,
        "mat, compressed": lambda: mat(do_compression=True),
        "csv without header": lambda: sound_csv().partition(b"\n")[2],
        "csv, gzip": lambda: gzip.compress(sound_csv().partition(b"\n")[2], mtime=0),
        "npy": lambda: npy(pixels()),
        "zip of pictures": pictures_in_zip,
        "tar of a table": lambda: tarred(("train.csv", tarfile.REGTYPE, sound_csv())),
    }
    if find_spec("h5py"):
        made["hdf5"] = hdf5
    if find_spec("pyarrow"):
        made["parquet"] = parquet
    return made


def hand_written() -> dict[str, Content]:
    """Return bad files that were thought of."""
    cases: dict[str, Content] = {
        "empty": b"",
        "libsvm with an index of 2^31": b"1 1:1 2147483647:2\n0 1:1\n" * 9,
        "libsvm with an index of 10^18": b"1 1:1 999999999999999999:2\n0 1:1\n" * 9,
        "libsvm with an index of 10^7 in the middle": b"1 9999999:2 1:1\n0 1:1\n" * 200,
        "libsvm of words": b"1 a:b\n0 c:d\n",
        "libsvm, a bzip2 bomb": lambda: bz2.compress(b"1 1:1\n" * 100_000_000, 1),
        "numbers for a regular expression": b"1" + b",1" * 20_000 + b" x\n" + b"2,2\n",
        "digits without end": b"1" * 300_000,
        "arff without data": arff().partition(b"@data")[0],
        "arff of a million attributes": lambda: (
            b"@relation x\n" + b"@attribute a numeric\n" * 1_000_000 + b"@data\n1\n"
        ),
        "arff, sparse": b"@relation x\n@attribute a numeric\n@attribute b numeric\n@data\n{0 1, 1 2}\n",
        "arff, a line of 30 MB": lambda: arff() + b"\n" + b"1," * 15_000_000,
        "mat bomb of 2 GB": mat_bomb(2000 * MB),
        "mat of cells in 2,000 cells": mat_of_cells(2000),
        "mat of a claim": b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 14, 2**32 - 1),
        "hdf5 of nothing": b"\x89HDF\r\n\x1a\n" + bytes(2000),
        "parquet of nothing": b"PAR1" + bytes(50) + b"PAR1",
        "parquet with a footer of 4 GB": b"PAR1" + bytes(50) + b"\xff\xff\xff\x7fPAR1",
        "npy of objects": npy_of("|O", (3,)),
        "npy that claims 10^15": npy_of("|u1", (10**15,)),
        "npy, a gzip bomb": gzipped(npy_of("|u1", (10**9,)), 1000 * MB),
        "zip bomb": lambda: zipped(**{"train.csv": bytes(600 * MB)}),
        "zip that leads out": zipped(**{"../../out.csv": sound_csv(), "/tmp/out.csv": sound_csv()}),
        "zip of an empty folder": zipped(**{"a__b__": b""}),
        "zip of a zip": zipped(**{"a.zip": pictures_in_zip()}),
        "tar of links": tarred(
            ("train.csv", tarfile.SYMTYPE, b"/etc/passwd"), ("test.csv", tarfile.LNKTYPE, b"train.csv")
        ),
        "tar of a device": tarred(("train.csv", tarfile.CHRTYPE, b"")),
        "tar, a gzip bomb": gzipped(tarred_head(900 * MB), 900 * MB),
        "pickle": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x01a\x94\x85\x94R\x94.",
        "web page": b"<!DOCTYPE html><html></html>",
        "json": json.dumps({"a": 1}).encode(),
    }
    return cases


def npy_of(descr: str, shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + bytes(100)


def tarred_head(size: int) -> bytes:
    member = tarfile.TarInfo("train.csv")
    member.size = size
    return member.tobuf()


def format_cases(rng: random.Random) -> Iterator[Case]:
    for what, content in hand_written().items():
        yield Case("formats", what, ARGUMENTS, put("data", content))
    for what, make in {
        "a folder of links to itself": lambda f: ((f / "data").mkdir(), (f / "data" / "a").symlink_to(f / "data")),
        "a folder of pipes": lambda f: ((f / "data").mkdir(), os.mkfifo(f / "data" / "train.csv")),
        "a link to /dev/zero": lambda f: (f / "data").symlink_to("/dev/zero"),
        "a link to /proc": lambda f: (f / "data").symlink_to("/proc"),
        "deep folders": lambda f: Path(f / "data", *["d"] * 60).mkdir(parents=True),
    }.items():
        yield Case("formats", what, ARGUMENTS, make)
    files = {name: make() for name, make in sound().items()}
    while True:
        name = rng.choice(list(files))
        what, content = damaged(files[name], rng)
        yield Case("formats", f"{name}: {what}", read_by(ARGUMENTS, rng), put("data", content))
