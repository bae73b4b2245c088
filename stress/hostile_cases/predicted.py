"""Damaged tables of images and photographs, for `mnistlab predict` and `mnistlab evaluate` of a sound run."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hostile_cases import Case, Content, all_of, damaged, put
from hostile_cases.bombs import MB, csv_lines, gzipped, npz_of_zeros, png
from hostile_cases.data import sound_csv, sound_npz, sound_png
from hostile_cases.saved import digit

CELLS = ("-1", "256", "1e400", "nan", "", "x", "0x10", '"', "9" * 400, "\0", "1;2", "inf")


def predicted_cases(rng: random.Random, run: dict[str, bytes]) -> Iterator[Case]:
    """Damage a table of images, or one of the pictures of a folder with classes."""
    model = put("run/model.safetensors", run["model.safetensors"])
    pixels = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    header = ",".join(f"pixel{i}" for i in range(784))
    lines = [header, *(",".join(map(str, image.reshape(-1))) for image in pixels)]
    table, arrays = "\n".join(lines).encode(), sound_npz(x_test=pixels)

    def case(what: str, name: str, content: Content) -> Case:
        return Case("predicted", f"{name}: {what}", ["predict", "run", name], all_of(model, put(name, content)))

    def photographs(what: str, content: Content) -> Case:
        arguments = ["evaluate", "run", "data=folder", "data.path=photos", "--split", "all", "--as", "digit"]
        made: list[Callable[[Path], None]] = [put(f"photos/{k}/a.png", digit()) for k in (1, 7)]
        whole = [*arguments, "report.plots=none", "--to", "out", "-q"]
        return Case("predicted", f"a picture: {what}", whole, all_of(model, *made, put("photos/7/b.png", content)))

    for what, content in {
        "empty": b"",
        "a header only": header.encode(),
        "of another size": sound_csv(),
        "UTF-16": table.decode().encode("utf-16"),
        "a line of 50 MB": lambda: header.encode() + b"\n" + b"1," * 25_000_000,
        "a header of 50 MB": lambda: b"a," * 25_000_000,
        "an open quote": header.encode() + b'\n"' + b"1,2\n" * 200_000,
        "a million columns": lambda: ",".join(f"pixel{i}" for i in range(1_000_000)).encode() + b"\n1\n",
        "a gzip bomb of lines": csv_lines(header, "0," * 36 + "0", 10**7),
        "gzip bomb": gzipped(header.encode() + b"\n", 600 * MB),
    }.items():
        yield case(what, "test.csv", content)
    yield case("a member of 1.5 GB", "test.npz", npz_of_zeros(arrays[:10], 1_900_000))
    for what, archive in {
        "objects": sound_npz(x_test=np.array([{}] * 20, object)),
        "NaN": sound_npz(x_test=np.full((20, 28, 28), np.nan)),
        "no rows": sound_npz(x_test=pixels[:0]),
        "text": sound_npz(x_test=np.array(["a"] * 20)),
    }.items():
        yield case(what, "test.npz", archive)
    yield photographs("a bomb", lambda: png(8190))
    yield photographs("of another size", sound_png())
    while True:
        kind = rng.randrange(4)
        if kind == 0:
            yield case(*_swap(damaged(arrays, rng), "test.npz"))
        elif kind == 1:
            yield case(*_swap(damaged(table, rng), "test.csv"))
        elif kind == 2:
            yield photographs(*damaged(digit(), rng))
        else:
            row, cell = rng.randrange(len(lines)), rng.choice(CELLS)
            cells = lines[row].split(",")
            at = rng.randrange(len(cells))
            cells[at : at + rng.randrange(3)] = [cell] * rng.randrange(4)
            text = "\n".join([*lines[:row], ",".join(cells), *lines[row + 1 :]])
            yield case(f"line {row + 1}, cell {at} is {cell[:20]!r}", "test.csv", text.encode())


def _swap(done: tuple[str, bytes], name: str) -> tuple[str, str, bytes]:
    return done[0], name, done[1]
