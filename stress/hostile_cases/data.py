"""Bad files of images and labels: IDX, CSV, npz, folders of images, and entries of the cache."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from hostile_cases import Case, Content, all_of, damaged, put
from hostile_cases.bombs import MB, csv_lines, gzipped, idx_header, npz_of_bzip2, npz_of_zeros

SIDE, IMAGES = 6, 40
TRAIN = ["train", "experiment=smoke", "data.limit=null", "data.test_limit=null", "report.plots=none"]
TRAIN += ["trainer.epochs=1", "trainer.batch_size=8", "model=softmax", "hydra.run.dir=out"]
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx_bytes(array: np.ndarray) -> bytes:
    """Return an IDX file of unsigned bytes."""
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + np.ascontiguousarray(array, np.uint8).tobytes()


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (IMAGES, SIDE, SIDE), dtype=np.uint8)


def labels() -> np.ndarray:
    return np.arange(IMAGES, dtype=np.uint8) % 10


def sound_idx() -> dict[str, bytes]:
    return dict(zip(NAMES, map(idx_bytes, (pixels(), labels(), pixels(), labels())), strict=True))


def sound_csv() -> bytes:
    header = ",".join(["label", *(f"pixel{i}" for i in range(SIDE * SIDE))])
    rows = [",".join(map(str, [label, *image.reshape(-1)])) for label, image in zip(labels(), pixels(), strict=True)]
    return ("\n".join([header, *rows]) + "\n").encode()


def sound_npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **(arrays or {"images": pixels(), "labels": labels()}))
    return buffer.getvalue()


def sound_png(kind: str = "PNG") -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels()[0]).save(buffer, kind)
    return buffer.getvalue()


REST = {  # of the commands that read data, what follows them
    "train": TRAIN,
    "data show": ["data", "show", "data.limit=null", "data.test_limit=null", "--to", "out"],
    "explore pca": ["explore", "pca", "report.plots=none", "--points", "20", "--to", "out"],
    "gridsearch": [
        *[
            "gridsearch",
            "model=knn",
            "model.neighbours=1,2",
            "report.plots=none",
            "--cv",
            "2",
            "--jobs",
            "1",
            "--to",
            "out",
            "-q",
        ]
    ],
}


def read_by(arguments: list[str], rng: random.Random) -> list[str]:
    """Return a command that reads the data which the arguments of `train` name."""
    chosen = [text for text in arguments[len(TRAIN) :] if text.startswith("data")]
    return [*REST[rng.choices(list(REST), (20, 2, 2, 1))[0]], *chosen]


def idx_cases(rng: random.Random) -> Iterator[Case]:
    arguments = [*TRAIN, "data=idx", "data.path=data"]
    sound = sound_idx()

    def case(what: str, changed: Mapping[str, Content]) -> Case:
        return Case("idx", what, arguments, all_of(*(put(f"data/{n}", c) for n, c in {**sound, **changed}.items())))

    bomb = gzipped(idx_header(2_000_000, 28, 28), 2_000_000 * 784)
    yield case("gzip bomb of 1.5 GB, its header true", {NAMES[0]: bomb})
    yield case("gzip bomb behind a small header", {NAMES[0]: gzipped(idx_header(IMAGES, SIDE, SIDE), 1500 * MB)})
    much = {NAMES[0]: gzipped(idx_header(855_000, 28, 28), 855_000 * 784), NAMES[1]: idx_bytes(np.full(855_000, 200))}
    yield case("640 MB and a label for each image, none of which is of a class", much)
    yield case("images and labels exchanged", {NAMES[0]: sound[NAMES[1]], NAMES[1]: sound[NAMES[0]]})
    yield case("a label of 200", {NAMES[1]: idx_bytes(np.full(IMAGES, 200))})
    yield case("images of 0 x 0", {NAMES[0]: idx_bytes(np.zeros((IMAGES, 0, 0)))})
    yield case("images that claim 4 billion rows", {NAMES[0]: idx_header(2**32 - 1, 28, 28)})
    yield case("test images of another size", {NAMES[2]: idx_bytes(np.zeros((IMAGES, 3, 9)))})
    for what, make in {
        "a folder in a file's place": lambda f: (f / "data" / NAMES[0]).mkdir(parents=True),
        "a link to itself": lambda f: (f / "data" / NAMES[0]).symlink_to(f / "data" / NAMES[0]),
        "a link to /dev/zero": lambda f: (f / "data" / NAMES[0]).symlink_to("/dev/zero"),
        "a pipe": lambda f: os.mkfifo(f / "data" / NAMES[0]),
        "a link to nowhere": lambda f: (f / "data" / NAMES[0]).symlink_to("/nowhere/at/all"),
    }.items():
        rest = all_of(*(put(f"data/{n}", c) for n, c in sound.items() if n != NAMES[0]))
        yield Case("idx", what, arguments, all_of(rest, make))
    while True:
        name = rng.choice(NAMES)
        content = sound[name]
        if rng.random() < 0.4:  # inside the compression, or the compressed bytes themselves
            content = gzip.compress(damaged(content, rng)[1] if rng.random() < 0.5 else content, mtime=0)
        what, content = damaged(content, rng)
        made = case(f"{name}: {what}", {name: content})
        yield Case(made.kind, made.what, read_by(arguments, rng), made.make)


def csv_cases(rng: random.Random) -> Iterator[Case]:
    arguments = [*TRAIN, "data=csv", "data.path=data.csv", "data.test=0.2"]
    sound = sound_csv()
    lines = sound.decode().splitlines()
    cells = [
        "-1",
        "256",
        "1e400",
        "nan",
        "",
        "x",
        "0x10",
        "1.5",
        '"',
        "9" * 400,
        "\0",
        "١",
        "=1+1",
        "1;2",
        "inf",
        "True",
    ]
    for what, content in {
        "empty": b"",
        "a header only": lines[0].encode() + b"\n",
        "no header": "\n".join(lines[1:]).encode(),
        "UTF-16": sound.decode().encode("utf-16"),
        "NUL bytes": b"\0" * 5000,
        "a line of 50 MB": lambda: lines[0].encode() + b"\n" + b"1," * 25_000_000,
        "a header of 50 MB": lambda: b"a," * 25_000_000,
        "an open quote": lines[0].encode() + b'\n"' + b"1,2\n" * 200_000,
        "a million columns": lambda: ",".join(["label", *(f"pixel{i}" for i in range(1_000_000))]).encode() + b"\n1\n",
        "a gzip bomb of sound lines": csv_lines(lines[0], "0," * 36 + "0", 10**7),
        "gzip bomb": gzipped(lines[0].encode() + b"\n", 600 * MB),
        "every column twice": (lines[0] + "," + lines[0]).encode() + b"\n",
        "pixel0 and pixel9999999": b"label,pixel0,pixel9999999\n1,2,3\n",
        "places 1x1 to 9999x9999": b"label,1x1,9999x9999\n1,2,3\n",
    }.items():
        yield Case("csv", what, arguments, put("data.csv", content))
    while True:
        if rng.random() < 0.5:
            what, content = damaged(sound, rng)
        else:
            row, cell = rng.randrange(len(lines)), rng.choice(cells)
            parts = lines[row].split(",")
            at = rng.randrange(len(parts))
            if rng.random() < 0.3:
                parts[at : at + rng.randrange(3)] = [cell] * rng.randrange(4)
            else:
                parts[at] = cell
            what = f"line {row + 1}, cell {at} is {cell[:20]!r}"
            content = "\n".join([*lines[:row], ",".join(parts), *lines[row + 1 :]]).encode()
        yield Case("csv", what, read_by(arguments, rng), put("data.csv", content))


def npz_cases(rng: random.Random) -> Iterator[Case]:
    arguments = [*TRAIN, "data=npz", "data.path=data.npz", "data.test=0.2"]
    sound = sound_npz()

    def member(name: str, header: str, body: bytes = b"") -> bytes:
        text = header.encode().ljust(117) + b"\n"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + body)
            archive.writestr("labels.npy", zipped(sound, "labels.npy"))
        return buffer.getvalue()

    descr = "{'descr': '|u1', 'fortran_order': False, 'shape': (%s), }"
    for what, content in {
        "a member of 1.5 GB": npz_of_zeros(zipped(sound, "labels.npy"), 1_900_000),
        "a bomb of bzip2": npz_of_bzip2(zipped(sound, "images.npy"), zipped(sound, "labels.npy")),
        "objects": sound_npz(images=np.array([{}] * IMAGES, object), labels=labels()),
        "a shape of 10^18": member("images.npy", descr % "1000000000000000000,"),
        "a negative shape": member("images.npy", descr % "-5, 6, 6"),
        "code for a header": member("images.npy", "__import__('os').system('touch /tmp/mnistlab-was-here')"),
        "a header of brackets": member("images.npy", "(" * 100 + ")" * 16),
        "text": sound_npz(images=np.array(["a"] * IMAGES), labels=labels()),
        "complex numbers": sound_npz(images=pixels() * 1j, labels=labels()),
        "NaN pixels": sound_npz(images=np.full((IMAGES, 6, 6), np.nan), labels=labels()),
        "NaN labels": sound_npz(images=pixels(), labels=np.full(IMAGES, np.nan)),
        "five dimensions": sound_npz(images=pixels()[:, None, None], labels=labels()),
        "no dimensions": sound_npz(images=np.array(3), labels=np.array(3)),
        "no rows": sound_npz(images=pixels()[:0], labels=labels()[:0]),
        "one row": sound_npz(images=pixels()[:1], labels=labels()[:1]),
        "labels for half": sound_npz(images=pixels(), labels=labels()[:20]),
        "no images": sound_npz(labels=labels()),
        "a path for a name": renamed(sound, "images.npy", "../../images.npy"),
        "an absolute path": renamed(sound, "images.npy", "/tmp/images.npy"),
        "a pickle": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x01a\x94\x85\x94R\x94.",
    }.items():
        yield Case("npz", what, arguments, put("data.npz", content))
    while True:
        if rng.random() < 0.5:
            what, content = damaged(sound, rng)
        else:
            name = rng.choice(("images.npy", "labels.npy"))
            what, inner = damaged(zipped(sound, name), rng)
            content = rezipped(sound, name, inner)
        yield Case("npz", what, read_by(arguments, rng), put("data.npz", content))


def cache_cases(rng: random.Random) -> Iterator[Case]:
    """Damage what is kept of a file that was read before: then it is read again, and the run is none the worse."""
    from mnistlab.data.sources.by_format import NpzSource

    arguments = [*TRAIN, "data=npz", "data.path=data.npz", "data.test=0.2"]

    def make(damage: Callable[[Path], object]) -> Callable[[Path], None]:
        def made(folder: Path) -> None:
            put("data.npz", sound_npz())(folder)
            before = os.environ["MNISTLAB_CACHE"]
            os.environ["MNISTLAB_CACHE"] = str(folder / "cache")
            try:
                NpzSource(path=str(folder / "data.npz")).read()
            finally:
                os.environ["MNISTLAB_CACHE"] = before
            damage(next(path for path in (folder / "cache/parsed").iterdir() if path.is_dir()))

        return made

    def case(what: str, damage: Callable[[Path], object]) -> Case:
        return Case("cache", what, arguments, make(damage), {"MNISTLAB_CACHE": "cache"})

    def with_entry(**changed: object) -> Callable[[Path], object]:
        def damage(entry: Path) -> None:
            sidecar = json.loads((entry / "entry.json").read_text())
            (entry / "entry.json").write_text(json.dumps({**sidecar, **changed}))

        return damage

    def replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
        def damage(entry: Path) -> None:
            (entry / name).unlink()
            make(entry / name)

        return damage

    yield case("the entry is a file", lambda entry: (shutil.rmtree(entry), entry.write_text("x")))
    yield case("the entry is a link to a folder", lambda entry: (shutil.rmtree(entry), entry.symlink_to("/usr")))
    yield case("the lock is a folder", lambda entry: (Path(f"{entry}.lock").unlink(), Path(f"{entry}.lock").mkdir()))
    yield case("half of another process's work", lambda entry: Path(f"{entry}.abcdefgh").mkdir())
    yield case("no entry.json", replaced("entry.json", lambda path: None))
    yield case("arrays that lead out", with_entry(checksums={"../../../data": 0, "/etc/passwd": 0}))
    yield case("no arrays", with_entry(checksums={}))
    yield case("other notes", with_entry(notes=3))
    yield case("other facts", with_entry(info=[1]))
    yield case("facts without the hash", with_entry(info={}))
    yield case("a link to /dev/zero", replaced("train_images.npy", lambda path: path.symlink_to("/dev/zero")))
    yield case("a link to itself", replaced("train_images.npy", lambda path: path.symlink_to(path)))
    yield case("a pipe", replaced("train_images.npy", os.mkfifo))
    yield case("a pickle", replaced("train_images.npy", lambda path: path.write_bytes(b"\x80\x04N.")))
    yield case("a pipe for entry.json", replaced("entry.json", os.mkfifo))
    yield case("100 MB of brackets", replaced("entry.json", lambda path: path.write_bytes(b"[" * 10**8)))
    while True:
        name = rng.choice(("entry.json", "train_images.npy", "train_labels.npy"))
        chance = random.Random(rng.random())

        def damage(entry: Path, name: str = name, chance: random.Random = chance) -> None:
            (entry / name).write_bytes(damaged((entry / name).read_bytes(), chance)[1])

        yield case(f"{name} is damaged", damage)


def zipped(content: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(name)


def rezipped(content: bytes, name: str, inner: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for one in old.namelist():
            new.writestr(one, inner if one == name else old.read(one))
    return buffer.getvalue()


def renamed(content: bytes, name: str, other: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for one in old.namelist():
            new.writestr(other if one == name else one, old.read(one))
    return buffer.getvalue()


def folder_cases(rng: random.Random) -> Iterator[Case]:
    arguments = [*TRAIN, "data=folder", "data.path=data", "data.size=6", "data.test=0.5"]
    sound = {kind: sound_png(kind) for kind in ("PNG", "BMP", "GIF", "TIFF", "JPEG", "PPM", "WEBP")}

    def others(folder: Path) -> None:
        for name in "ab":
            for i in range(4):
                put(f"data/{name}/{i}.png", sound["PNG"])(folder)

    def png(width: int, height: int) -> bytes:
        ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        chunk = struct.pack(">I", 13) + ihdr + struct.pack(">I", zlib.crc32(ihdr))
        idat = b"IDAT" + zlib.compress(bytes(10**7), 9)
        return (
            b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", len(idat) - 4) + idat + struct.pack(">I", zlib.crc32(idat))
        )

    text = b"tEXt" + b"a\0" + b"b" * 100
    for what, make in {
        "an image of 60,000 x 60,000": put("data/a/bad.png", png(60_000, 60_000)),
        "an image of 2^31 x 1": put("data/a/bad.png", png(2**31 - 1, 1)),
        "an image of 0 x 0": put("data/a/bad.png", png(0, 0)),
        "text with an image's name": put("data/a/bad.png", b"not an image"),
        "an empty image": put("data/a/bad.png", b""),
        "a vector image": put("data/a/bad.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "a PNG of chunks": put("data/a/bad.png", sound["PNG"][:33] + struct.pack(">I", 2**31 - 1) + text),
        "a folder with an image's name": lambda f: (f / "data/a/bad.png").mkdir(parents=True),
        "a link to itself": lambda f: (f / "data/a/bad.png").symlink_to(f / "data/a/bad.png"),
        "a link to /dev/zero": lambda f: (f / "data/a/bad.png").symlink_to("/dev/zero"),
        "a pipe": lambda f: os.mkfifo(f / "data/a/bad.png"),
        "a class that links to its parent": lambda f: (f / "data/c").symlink_to(f / "data"),
        "an empty class": lambda f: (f / "data/c").mkdir(),
        "a name that is no text": lambda f: (f / "data/a" / os.fsdecode(b"\xff\xfe.png")).write_bytes(sound["PNG"]),
        "a class of control characters": lambda f: put("data/a\n\x1b[2Jb/1.png", sound["PNG"])(f),
        "a class with a long name": lambda f: put(f"data/{'x' * 200}/1.png", sound["PNG"])(f),
    }.items():
        yield Case("folder", what, arguments, all_of(others, make))
    while True:
        kind = rng.choice(list(sound))
        what, content = damaged(sound[kind], rng)
        suffix = kind.lower() if rng.random() < 0.8 else "png"
        make = all_of(others, put(f"data/a/bad.{suffix}", content))
        yield Case("folder", f"{kind}: {what}", read_by(arguments, rng), make)
