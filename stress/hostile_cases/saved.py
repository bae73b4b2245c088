"""Damaged models, runs, sweeps and searches, read again by the commands that do so."""

from __future__ import annotations

import io
import json
import os
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from hostile_cases import Case, Content, all_of, damaged, put
from hostile_cases.bombs import aliases, png

SMALL = ["experiment=smoke", "trainer.epochs=1", "model.hidden=[4]", "report.plots=none", "data.limit=60"]
SMALL += ["data.test_limit=30", "data.validation=20", "trainer.batch_size=8"]
GRID = ["gridsearch", "optimizer.lr=0.1,0.2", *SMALL, "--cv", "2", "--jobs", "1", "-q"]
SOUND = {  # what makes the directories that are then damaged
    "run": ["train", *SMALL, "hydra.run.dir=run"],
    "sweep": ["train", "-m", *SMALL, "seed=0,1", "hydra.sweep.dir=sweep", "hydra/launcher=basic", "-q"],
    "search": [
        "tune",
        "optimizer.lr=log(0.01,0.5)",
        *SMALL,
        *["--trials", "2", "--jobs", "1", "--seeds", "1", "--to", "search", "-q"],
    ],
    "grid": [*GRID, "--to", "grid"],
}
MORE = [  # the commands that are given the run with something else in place of a file, besides those for damage
    ["resume", "run", "trainer.epochs=2"],
    ["report", "run", "report.plots=core", "-q"],
    ["doctor", "run"],
    ["predict", "run", "digit.png"],
]
NO_FILES = [("a link to a folder", "/usr"), ("a link to nothing", "nothing")]
READ = [".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", "environment.json", "metrics.json"]
READ += ["status.json", "history.csv", "mistakes.npz", "predictions.npz", "checkpoint.safetensors", "model.safetensors"]


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
        "a header of 100 MB": lambda: struct.pack("<Q", 10**8) + b" " * 10**8,
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


def run_cases(rng: random.Random, sound: dict[str, bytes]) -> Iterator[Case]:
    """Damage one file of a run, or of its configuration, and have it read again by the commands that do so."""
    commands = [["evaluate", "run", "--to", "out"], ["compare", "run"], ["resume", "run"]]
    commands.append(["rerun", "run", "--to", "out"])
    others = product([*commands, *MORE], [("a link to /dev/zero", "/dev/zero"), *NO_FILES], sound, rng)
    damage = _again("run", sound, rng, commands, fixed(".hydra/config.yaml", "metrics.json", "environment.json"))
    yield from product([*commands, *MORE], [("a pipe", "pipe")], sound)
    yield from islice(damage, 30)
    large = all_of(*(put(f"run/{n}", c) for n, c in sound.items()), put("digit.png", lambda: png(8190)))
    yield Case("run", "predict, a picture of 67 million pixels", ["predict", "run", "digit.png"], large)
    for one in others:
        yield one
        yield next(damage)
    yield from damage


def product(
    commands: list[list[str]],
    kinds: Sequence[tuple[str, str]],
    sound: dict[str, bytes],
    rng: random.Random | None = None,
) -> Iterator[Case]:
    """Give every command every file of a run with every kind of thing in its place, or the same in random order.

    Each command reads the files in its own way, so that what one refuses another may wait for.
    """
    cases = [(command, name, *kind) for command in commands for name in READ for kind in kinds]
    if rng:
        rng.shuffle(cases)
    for command, name, what, content in cases:
        rest = all_of(*(put(f"run/{n}", c) for n, c in sound.items() if n != name), put("digit.png", digit))
        made = all_of(rest, set_down(f"run/{name}", content))
        yield Case("run", f"{' '.join(command)}, {name}: {what}", command, made)


def digit() -> bytes:
    """Return a picture of a stroke."""
    from PIL import Image

    image, file = Image.new("L", (40, 40), 255), io.BytesIO()
    image.paste(0, (18, 8, 23, 32))
    image.save(file, "PNG")
    return file.getvalue()


def sweep_cases(rng: random.Random, sound: dict[str, bytes]) -> Iterator[Case]:
    """Damage one file of a sweep, that of a job now and then, and have it gone on with, or compared."""
    commands = [["resume", "sweep", "hydra/launcher=basic", "-q"], ["compare", "sweep"]]
    yield from _again("sweep", sound, rng, commands, fixed("sweep.json", "multirun.yaml", "0_seed=0/metrics.json"))


def search_cases(rng: random.Random, sound: dict[str, bytes]) -> Iterator[Case]:
    """Damage one file of a search, its database now and then, and go on with it."""
    commands = [["tune", "--resume", "search", "--trials", "2", "--jobs", "1", "-q"]]
    yield from _again("search", sound, rng, commands, fixed("study.sqlite3", "tune.json"))


def grid_cases(rng: random.Random, sound: dict[str, bytes]) -> Iterator[Case]:
    """Damage one file of a grid search, and ask for the same search there."""
    sound = {name: content for name, content in sound.items() if not name.startswith("refit/")}  # or it is complete
    yield from _again("grid", sound, rng, [[*GRID, "--to", "grid"]], fixed("gridsearch.json", "folds.csv"))


def fixed(*names: str) -> Iterator[tuple[str, str, Content | str]]:
    """Yield a file, what is done to it, and its content or what it links to."""
    for name in names:
        yield name, "empty", b""
        yield name, "deep brackets", b"[" * 200_000
        yield name, "a list", b"[1, 2]"
        yield name, "NaN", b'{"a": NaN, "test": Infinity}'
        yield name, "an alias bomb", aliases().encode()
        yield name, "50 MB", lambda: b'{"a": "' + b"x" * 50_000_000 + b'"}'
        yield name, "a link to itself", name.rpartition("/")[2]
        yield name, "a link to /dev/zero", "/dev/zero"
        yield name, "a link to a folder", "/usr"
        yield name, "a pipe", "pipe"


def _again(
    kind: str,
    sound: dict[str, bytes],
    rng: random.Random,
    commands: list[list[str]],
    first: Iterator[tuple[str, str, Content | str]],
) -> Iterator[Case]:
    texts = [name for name in sound if name.endswith((".json", ".yaml", ".csv"))]
    others = [name for name in sound if name.endswith((".npz", ".safetensors", ".sqlite3"))]
    turns = cycle(commands)

    def case(name: str, what: str, content: Content | str) -> Case:
        rest = all_of(*(put(f"{kind}/{n}", c) for n, c in sound.items() if n != name))
        command = next(turns)
        return Case(kind, f"{command[0]}, {name}: {what}", command, all_of(rest, set_down(f"{kind}/{name}", content)))

    for name, what, content in first:
        if name in sound:
            yield case(name, what, content)
    while True:
        name = rng.choice(texts if not others or rng.random() < 0.6 else others)
        what, content = damaged(sound[name], rng)
        if name.endswith((".json", ".yaml")) and rng.random() < 0.5:
            words = sound[name].decode().split(" ")
            at = rng.randrange(len(words))
            words[at] = rng.choice(["null", "-1", "[1,2]", '"x"', "../../x", "1e999", "{}", "!!python/name:os.system"])
            what, content = f"word {at} is {words[at]}", " ".join(words).encode()
        yield case(name, what, content)


def set_down(path: str, content: Content | str) -> Callable[[Path], None]:
    """Return what writes a file, or where its content is text makes a link to that, or a pipe."""
    if not isinstance(content, str):
        return put(path, content)

    def make(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if content == "pipe":
            os.mkfifo(folder / path)
        else:
            (folder / path).symlink_to(content)

    return make
