"""What the kinds of bad input share: a case, and ways of damaging a file."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """A command, and what makes its files in the folder in which it then runs."""

    kind: str
    what: str
    arguments: list[str]
    make: Callable[[Path], None]
    environment: dict[str, str] = field(default_factory=dict)


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


Content = bytes | Callable[[], bytes]  # large ones are made when they are needed: a fork has its parent's memory


def put(path: str, content: Content) -> Callable[[Path], None]:
    """Return what writes one file."""

    def make(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content if isinstance(content, bytes) else content())

    return make


def all_of(*steps: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for step in steps:
            step(folder)

    return make
