"""Bad files and requests through the real command line: what each ends in, how long it takes and how much it eats.

Every case is one command in a process of its own, forked from one that has everything imported, in an empty folder
with the bad file in it. A case passes where the command ends within `SECONDS` and `MEGABYTES`, with status 0 (the
damage did no harm: a pixel has another value), 1 or 2, says one line where it is not 0, shows no traceback, and has
written nothing outside the folders that it was given.

Usage: python stress/hostile.py [--cases N] [--seed N] [--kind NAME]
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SECONDS, MEGABYTES = 10, 1024
SIDE, IMAGES = 6, 40
TRAIN = ["train", "experiment=smoke", "data.limit=null", "data.test_limit=null", "report.plots=none"]
TRAIN += ["trainer.epochs=1", "trainer.batch_size=8", "model=softmax", "hydra.run.dir=out"]
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class Case:
    """A command, and what makes its files in the folder in which it then runs."""

    kind: str
    what: str
    arguments: list[str]
    make: Callable[[Path], None]


@dataclass(frozen=True)
class Ended:
    """How a case ended; ``fault`` says what is wrong with that, and is empty where nothing is."""

    case: Case
    status: int
    seconds: float
    megabytes: float
    said: str
    fault: str


# ---- sound files, from which damaged ones are made


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


# ---- damage


def damaged(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Return what was done, and the content with it: bits, bytes, pieces, lengths."""
    data, at = bytearray(content), rng.randrange(max(1, len(content)))
    head = rng.randrange(min(64, len(content)))
    match rng.randrange(9):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
            return f"bit of byte {at} turned", bytes(data)
        case 1:
            data[head] = rng.randrange(256)
            return f"byte {head} of the head is {data[head]}", bytes(data)
        case 2:
            return f"cut off after {at} bytes", bytes(data[:at])
        case 3:
            return f"{at} bytes in front are missing", bytes(data[at:])
        case 4:
            return "junk at the end", bytes(data) + rng.randbytes(rng.randrange(1, 4000))
        case 5:
            return f"junk of {len(data)} bytes", rng.randbytes(len(data))
        case 6:
            size = rng.randrange(1, 64)
            data[head : head + size] = rng.choice([b"\xff", b"\0", b"\x7f"]) * size
            return f"{size} equal bytes at {head}", bytes(data)
        case 7:
            other = rng.randrange(len(data))
            low, high = sorted((at, other))
            return f"bytes {low} to {high} twice", bytes(data[:high] + data[low:])
        case _:
            data[head : head + 4] = struct.pack(rng.choice("<>") + "I", rng.choice([2**31, 2**32 - 1, 2**24, 0, 1]))
            return f"a length at {head}", bytes(data)


def put(path: str, content: bytes) -> Callable[[Path], None]:
    """Return what writes one file."""

    def make(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)

    return make


def all_of(*steps: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for step in steps:
            step(folder)

    return make


# ---- kinds of cases


def idx_cases(rng: random.Random) -> Iterator[Case]:
    arguments = [*TRAIN, "data=idx", "data.path=data"]
    sound = sound_idx()

    def case(what: str, changed: dict[str, bytes]) -> Case:
        return Case("idx", what, arguments, all_of(*(put(f"data/{n}", c) for n, c in (sound | changed).items())))

    zeros = zlib.compressobj(9, zlib.DEFLATED, 31)
    header = bytes((0, 0, 8, 3)) + struct.pack(">3I", 2_000_000, 28, 28)
    bomb = zeros.compress(header) + b"".join(zeros.compress(bytes(2**20)) for _ in range(1500)) + zeros.flush()
    yield case("gzip bomb of 1.5 GB, its header true", {NAMES[0]: bomb})
    small = bytes((0, 0, 8, 3)) + struct.pack(">3I", IMAGES, SIDE, SIDE)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(small) + b"".join(packer.compress(bytes(2**20)) for _ in range(1500)) + packer.flush()
    yield case("gzip bomb behind a small header", {NAMES[0]: bomb})
    yield case("images and labels exchanged", {NAMES[0]: sound[NAMES[1]], NAMES[1]: sound[NAMES[0]]})
    yield case("a label of 200", {NAMES[1]: idx_bytes(np.full(IMAGES, 200))})
    yield case("images of 0 x 0", {NAMES[0]: idx_bytes(np.zeros((IMAGES, 0, 0)))})
    yield case("images that claim 4 billion rows", {NAMES[0]: header[:4] + struct.pack(">3I", 2**32 - 1, 28, 28)})
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
        yield case(f"{name}: {what}", {name: content})


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
        "a line of 50 MB": lines[0].encode() + b"\n" + b"1," * 25_000_000,
        "a header of 50 MB": b"a," * 25_000_000,
        "an open quote": lines[0].encode() + b'\n"' + b"1,2\n" * 200_000,
        "a million columns": ",".join(["label", *(f"pixel{i}" for i in range(1_000_000))]).encode() + b"\n1\n",
        "gzip bomb": gzip.compress(lines[0].encode() + b"\n" + bytes(600 * 2**20), 9, mtime=0),
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
        yield Case("csv", what, arguments, put("data.csv", content))


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
    big = io.BytesIO()
    with zipfile.ZipFile(big, "w", zipfile.ZIP_DEFLATED) as archive:
        head = (descr % "1900000, 28, 28").encode().ljust(117) + b"\n"
        with archive.open("images.npy", "w", force_zip64=True) as file:
            file.write(b"\x93NUMPY\x01\0" + struct.pack("<H", 118) + head)
            for _ in range(1420):
                file.write(bytes(2**20))
            file.write(bytes(1900000 * 784 - 1420 * 2**20))
        archive.writestr("labels.npy", zipped(sound, "labels.npy"))
    for what, content in {
        "a member of 1.5 GB": big.getvalue(),
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
        "a pickle": b"\x80\x04\x95\x1e\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x01a\x94\x85\x94R\x94.",
    }.items():
        yield Case("npz", what, arguments, put("data.npz", content))
    while True:
        if rng.random() < 0.5:
            what, content = damaged(sound, rng)
        else:
            name = rng.choice(("images.npy", "labels.npy"))
            what, inner = damaged(zipped(sound, name), rng)
            content = rezipped(sound, name, inner)
        yield Case("npz", what, arguments, put("data.npz", content))


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
        yield Case("folder", f"{kind}: {what}", arguments, all_of(others, put(f"data/a/bad.{suffix}", content)))


def model_cases(rng: random.Random, sound: bytes) -> Iterator[Case]:
    """Damage a saved model, the bytes of its file or what its header says, and score it."""
    arguments = ["evaluate", "model.safetensors", "data=mnist5k", "data.test_limit=50", "report.plots=none"]
    arguments += ["--to", "out"]
    length = struct.unpack("<Q", sound[:8])[0]
    header, body = json.loads(sound[8 : 8 + length]), sound[8 + length :]
    about = json.loads(header["__metadata__"]["mnistlab"])

    def with_header(text: str) -> bytes:
        return struct.pack("<Q", len(text.encode())) + text.encode() + body

    def with_about(changed: object) -> bytes:
        return with_header(json.dumps({**header, "__metadata__": {"mnistlab": json.dumps(changed)}}))

    nan = np.frombuffer(body, np.float32).copy()
    nan[5] = np.nan
    architecture = about["architecture"]
    fixed = {
        "a header of 2^60 bytes": struct.pack("<Q", 2**60) + sound[8:],
        "a header of 100 MB": struct.pack("<Q", 10**8) + b" " * 10**8,
        "deep brackets": with_header("[" * 100_000),
        "a deep description": with_header(json.dumps({**header, "__metadata__": {"mnistlab": "[" * 100_000}})),
        "NaN weights": sound[: 8 + length] + nan.tobytes(),
        "no description": with_header(json.dumps({k: v for k, v in header.items() if k != "__metadata__"})),
        "a list for a description": with_about([1, 2]),
        "another format": with_about({**about, "format": "other"}),
        "a path among the tensors": with_header(
            json.dumps({f"../{k}" if k[0] != "_" else k: v for k, v in header.items()})
        ),
    }
    for key, values in {
        "layers": [
            "x",
            [],
            ["system"],
            [{"dense": {"units": 10**12}}],
            [{"os.system": {}}],
            [{"dense": {"units": -1}}],
        ],
        "image_shape": [[0, 0], [10**9, 10**9], "x", [28]],
        "classes": [0, -1, 10**9, "ten", None, 11],
        "loss": ["pickle", 3, "__import__"],
        "output": ["x", None],
        "scale": ["x", None, float("inf"), 1e308],
        "label_smoothing": [2, "x"],
    }.items():
        for value in values:
            fixed[f"{key}={str(value)[:30]}"] = with_about({**about, "architecture": {**architecture, key: value}})
    for value in ([], ["a"] * 10, [1] * 10, "0123456789", ["\x1b[2J" + str(i) for i in range(10)]):
        fixed[f"class_names={str(value)[:20]}"] = with_about({**about, "class_names": value})
    for what, content in fixed.items():
        yield Case("model", what, arguments, put("model.safetensors", content))
    while True:
        what, content = damaged(sound, rng)
        if rng.random() < 0.5:
            text = json.dumps(header)
            at = rng.randrange(len(text))
            what, content = (
                f"header: character {at}",
                with_header(text[:at] + rng.choice('{}[]",:0-x') + text[at + 1 :]),
            )
        yield Case("model", what, arguments, put("model.safetensors", content))


def override_cases(rng: random.Random) -> Iterator[Case]:
    """Write nonsense on the command line, and in YAML files."""
    keys = ["optimizer.lr", "model.hidden", "trainer.epochs", "trainer.batch_size", "data.limit", "data.validation"]
    keys += ["regularization.dropout", "schedule.warmup", "seed", "model", "optimizer", "data", "init", "report.images"]
    keys += ["model.layers", "trainer.monitor", "hydra.run.dir", "experiment", "data.path", "model.activation", "hydra"]
    values = [
        "-1",
        "0",
        "nan",
        "inf",
        "1e999",
        "null",
        "[]",
        "{}",
        "''",
        "x" * 5000,
        "[[[[1]]]]",
        "{a:{b:{c:1}}}",
        "true",
    ]
    values += [
        "../../etc/passwd",
        "/etc/passwd",
        "${env:HOME}",
        "${oc.env:HOME}",
        "${.lr}",
        "${seed}",
        "9" * 400,
        "\u202e",
    ]
    values += [
        "\x1b[2J",
        "💥",
        "a,b,c",
        "choice(1,2)",
        "range(0,10)",
        "1e-400",
        "0x7f",
        "1_000",
        "'\"",
        "\\",
        "%s%n",
        "==",
    ]
    values += [
        "[1,2,",
        "{a:",
        "(",
        "@",
        "os.system",
        "${resolver:x}",
        "glob(*)",
        "!!python/object:os.system",
        "-0.0",
        "1:2",
    ]
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(8)
    )
    for what, text in {
        "an alias bomb": "# @package _global_\n" + bomb,
        "an alias to itself": "# @package _global_\nmodel: &m\n  x: *m\n",
        "a python object": "# @package _global_\nmodel: !!python/object/apply:os.system ['touch was-here']\n",
        "tabs": "# @package _global_\n\tmodel: x\n",
        "a list": "- 1\n- 2\n",
        "a number": "3\n",
        "binary": "\x00\x01\x02",
        "deep": "# @package _global_\nmodel: " + "[" * 2000,
        "a loop of defaults": "defaults: [/experiment/bad]\n",
        "defaults upwards": "defaults: [../../../etc/passwd]\n",
        "an interpolation loop": "# @package _global_\noptimizer:\n  lr: ${optimizer.lr}\n",
        "a target": "# @package _global_\nmodel:\n  _target_: os.system\n",
        "a huge number": "# @package _global_\nseed: " + "9" * 5000 + "\n",
        "keys that are no text": "# @package _global_\n1: 2\n? [1, 2]\n: 3\n",
        "ten MB": "# @package _global_\nmodel: '" + "x" * 10**7 + "'\n",
    }.items():
        arguments = ["train", "--config-dir=c", "+experiment=bad", "report.plots=none", "hydra.run.dir=out"]
        for name in (["train", "--config-dir=c", "experiment=bad", *arguments[3:]], arguments):
            yield Case("yaml", what, name, put("c/experiment/bad.yaml", text.encode()))
    while True:
        chosen = [f"{rng.choice(('', '', '', '+', '++', '~'))}{rng.choice(keys)}={rng.choice(values)}"]
        if rng.random() < 0.3:
            chosen.append(f"{rng.choice(keys)}={rng.choice(values)}")
        if rng.random() < 0.1:
            chosen = ["".join(rng.choice("=+~[]{}(),:'\"$ \\abc.01-\n\t@") for _ in range(rng.randrange(1, 30)))]
        command = rng.choice((["train"], ["train"], ["explain"], ["train", "-m"]))
        if rng.random() < 0.05:
            chosen = ["".join(map(chr, rng.sample(range(32, 0x2000), 12)))]
        rest = [] if command == ["explain"] else ["trainer.epochs=1", "data.limit=100", "data.test_limit=50"]
        where = {("train",): ["hydra.run.dir=out"], ("train", "-m"): ["hydra.sweep.dir=out", "hydra/launcher=basic"]}
        plain = ["report.plots=none"] if rest else []
        given = [*command, *rest, *plain, *where.get(tuple(command), []), *chosen]
        yield Case("overrides", " ".join(chosen)[:60], given, lambda folder: None)


def run_cases(rng: random.Random, sound: dict[str, bytes]) -> Iterator[Case]:
    """Damage one file of a run, or of its configuration, and have it read again by the commands that do so."""
    texts = [name for name in sound if name.endswith((".json", ".yaml", ".csv"))]
    others = [name for name in sound if name.endswith((".npz", ".safetensors"))]
    commands = [["evaluate", "run", "--to", "out"], ["compare", "run"], ["resume", "run"]]
    while True:
        name = rng.choice(texts if rng.random() < 0.6 else others)
        what, content = damaged(sound[name], rng)
        if name.endswith((".json", ".yaml")) and rng.random() < 0.5:
            words = sound[name].decode().split(" ")
            at = rng.randrange(len(words))
            words[at] = rng.choice(["null", "-1", "[1,2]", '"x"', "../../x", "1e999", "{}", "!!python/name:os.system"])
            what, content = f"word {at} is {words[at]}", " ".join(words).encode()
        files = all_of(*(put(f"run/{n}", content if n == name else c) for n, c in sound.items()))
        command = rng.choice(commands)
        yield Case("run", f"{command[0]}, {name}: {what}", command, files)


# ---- running them


def cases(count: int, seed: int, kinds: list[str] | None = None) -> list[Case]:
    """Return so many cases, the fixed ones of every kind first and the rest drawn in turn."""
    run = sound_run()
    streams = {
        "idx": idx_cases,
        "csv": csv_cases,
        "npz": npz_cases,
        "folder": folder_cases,
        "model": lambda rng: model_cases(rng, run["model.safetensors"]),
        "overrides": override_cases,
        "run": lambda rng: run_cases(rng, run),
    }
    chosen = {
        kind: make(random.Random(f"{kind} {seed}")) for kind, make in streams.items() if kind in (kinds or streams)
    }
    share = -(-count // len(chosen))
    return [next(stream) for stream in chosen.values() for _ in range(share)][:count]


def sound_run() -> dict[str, bytes]:
    """Return the files of a run, from which damaged ones are made."""
    with tempfile.TemporaryDirectory() as place:
        words = ["train", "experiment=smoke", "report.plots=none", "trainer.epochs=1", "model.hidden=[8]"]
        case = Case("", "", [*words, "hydra.run.dir=run"], lambda folder: None)
        ended = forked(case, Path(place))
        if ended.status:
            raise SystemExit(f"the sound run failed: {ended.said}")
        root = Path(place) / "run"
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def forked(case: Case, folder: Path) -> Ended:
    """Run one case in a process of its own, in this folder."""
    case.make(folder)
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    said = folder.parent / f"{folder.name}.said"
    started = time.monotonic()
    child = os.fork()
    if not child:
        _as_child(case, folder, said)
    status, seconds, usage = _wait(child, started)
    text = said.read_text(errors="replace")
    said.unlink()
    outside = [
        path
        for path in folder.rglob("*")
        if path.relative_to(folder).parts[0] not in ("out", "run", "outputs")
        and before.get(path) != path.lstat().st_mtime_ns
        and not path.is_dir()
    ]
    megabytes = usage.ru_maxrss / 1024
    fault = _fault(status, seconds, megabytes, text, outside)
    return Ended(case, status, seconds, megabytes, text.strip(), fault)


def _wait(child: int, started: float) -> tuple[int, float, resource.struct_rusage]:
    while True:
        found, code, usage = os.wait4(child, os.WNOHANG)
        seconds = time.monotonic() - started
        if found:
            return (os.waitstatus_to_exitcode(code), seconds, usage)
        if seconds > 3 * SECONDS:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)


def _as_child(case: Case, folder: Path, said: Path) -> None:
    status = 70
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**31, 2**31))
        os.chdir(folder)
        sink = os.open(os.devnull, os.O_RDWR)
        error = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(sink, 0)
        os.dup2(sink, 1)
        os.dup2(error, 2)
        from mnistlab import cli

        try:
            status = cli.dispatch(case.arguments)
        except SystemExit as stop:
            status = int(stop.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    os._exit(status)


def _fault(status: int, seconds: float, megabytes: float, said: str, outside: list[Path]) -> str:
    lines = [line for line in said.splitlines() if line and not line.startswith("warning: ")]
    if seconds > SECONDS:
        return f"took {seconds:.1f} s"
    if status not in (0, 1, 2):
        return f"ended with {status}"
    if "Traceback" in said:
        return "a traceback"
    if status and len(lines) != 1:
        return f"{len(lines)} lines"
    if status and ": error: " not in said:
        return "no error line"
    if "shows the traceback" in said or "the traceback is in" in said:
        return "an error that was not foreseen"
    if megabytes > MEGABYTES:
        return f"{megabytes:.0f} MB"
    if outside:
        return f"wrote {outside[0]}"
    return ""


def warm() -> None:
    """Import what the commands need, so that every fork has it."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import importlib

    for name in ("run", "sweep.command", "evaluate_command", "compare_command", "model_commands", "records"):
        importlib.import_module(f"mnistlab.{name}")
    import pandas  # noqa: F401
    import sklearn.metrics  # noqa: F401
    from PIL import Image

    Image.init()


def run_all(chosen: list[Case], say: Callable[[Ended], None]) -> list[Ended]:
    """Run the cases one after the other."""
    ended = []
    with tempfile.TemporaryDirectory() as place:
        os.environ["MNISTLAB_CACHE"] = str(Path(place) / "cache")
        for number, case in enumerate(chosen):
            folder = Path(place) / str(number)
            folder.mkdir()
            ended.append(forked(case, folder))
            shutil.rmtree(folder, ignore_errors=True)
            say(ended[-1])
    return ended


def main() -> int:
    parser = argparse.ArgumentParser(description="bad files and requests through the command line")
    parser.add_argument("--cases", type=int, default=1400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", help="idx, csv, npz, folder, model, overrides or run")
    asked = parser.parse_args()
    warm()
    chosen = cases(asked.cases, asked.seed, asked.kind)

    def say(ended: Ended) -> None:
        if ended.fault:
            case = ended.case
            print(
                f"FAULT {case.kind}: {case.what}: {ended.fault}\n      {case.arguments}\n      {ended.said[-300:]}",
                flush=True,
            )

    started = time.monotonic()
    ended = run_all(chosen, say)
    print(
        f"\n{'kind':10} {'cases':>6} {'status 0':>9} {'1':>5} {'2':>5} {'faults':>7} {'slowest, s':>11} {'largest, MB':>12}"
    )
    for kind in dict.fromkeys(case.kind for case in chosen):
        mine = [one for one in ended if one.case.kind == kind]
        counts = [sum(one.status == status for one in mine) for status in (0, 1, 2)]
        faults = sum(bool(one.fault) for one in mine)
        slowest, largest = max(one.seconds for one in mine), max(one.megabytes for one in mine)
        print(
            f"{kind:10} {len(mine):>6} {counts[0]:>9} {counts[1]:>5} {counts[2]:>5} {faults:>7} {slowest:>11.1f} "
            f"{largest:>12.0f}"
        )
    print(f"{len(ended)} cases in {time.monotonic() - started:.0f} s")
    return int(any(one.fault for one in ended))


if __name__ == "__main__":
    sys.exit(main())
