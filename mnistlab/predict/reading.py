"""Picture files of any kind, size and depth as grey levels, dark 0 to light 255."""

from __future__ import annotations

import io
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnistlab.errors import RequestError

if TYPE_CHECKING:
    from PIL import Image

STDIN = "-"
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm", ".webp"}  # of files in folders
MOST_PIXELS = 2**26  # an A4 page scanned at 600 dpi has 35 million, the largest telephones take 50 million
MOST_BYTES = 2**28  # of a file
WORKING_SIDE = 640  # larger pictures are averaged down to between this and twice this: strokes stay pixels wide


class UnreadableError(Exception):
    """A picture that cannot be read or has nothing in it; the message says why, without its name."""


@dataclass(frozen=True)
class Picture:
    """Grey levels (height, width) uint8, at most twice `WORKING_SIDE` a side, and the size that the file had."""

    grey: np.ndarray
    width: int
    height: int


def expand(given: list[str]) -> list[str]:
    """Return the files that were named; a folder stands for the pictures in it, numbers in their order."""
    files: list[str] = []
    for name in given:
        path = Path(name)
        if name != STDIN and path.is_dir():
            inside = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.name[0] != "."]
            if not inside:
                raise RequestError(f"{name}: this folder holds no picture ({', '.join(sorted(SUFFIXES))})")
            files += map(str, sorted(inside, key=_natural))
        else:
            files.append(name)
    if files.count(STDIN) > 1:
        raise RequestError("-: standard input holds one picture; name it once")
    return files


def read(name: str) -> Picture:
    """Return the picture of a file, or of standard input for ``-``; `UnreadableError` says what is wrong with it.

    The camera's turn (EXIF) is undone. Colours become grey as ITU-R 601 weighs them, 16 bits become 8. What is
    transparent is white, or black where the picture has white only and would vanish. Of frames the first counts.
    """
    from PIL import Image

    content = _bytes(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked here, before any pixel is unpacked
            with Image.open(io.BytesIO(content)) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise UnreadableError(
                        f"it claims {image.width:,} x {image.height:,} pixels, more than the {MOST_PIXELS:,} that are"
                        " accepted; make it smaller"
                    )
                return _decoded(image)
    except UnreadableError:
        raise
    except Image.DecompressionBombError:
        raise UnreadableError(
            f"it claims more than the {MOST_PIXELS:,} pixels that are accepted; make it smaller"
        ) from None
    except MemoryError:
        raise UnreadableError("there is not enough memory for it; make it smaller") from None
    except Exception as error:  # Pillow's decoders raise many kinds
        raise UnreadableError(
            f"it cannot be read as a picture ({type(error).__name__}); save it as PNG or JPEG"
        ) from None


def _bytes(name: str) -> bytes:
    try:
        if name == STDIN:
            content = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            if not Path(name).is_file():
                raise UnreadableError("there is no such file" if not Path(name).exists() else "it is no file")
            with Path(name).open("rb") as file:
                content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        raise UnreadableError(f"it cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not content:
        raise UnreadableError("it is empty")
    if len(content) > MOST_BYTES:
        raise UnreadableError(f"it has more than the {MOST_BYTES:,} bytes that are accepted")
    return content


def _decoded(image: Image.Image) -> Picture:
    from PIL import ImageOps

    width, height = image.size
    image.draft("L", (WORKING_SIDE, WORKING_SIDE))  # JPEG can be unpacked at a half, a quarter, an eighth of its size
    turned = ImageOps.exif_transpose(image)
    if turned.size != image.size:
        width, height = height, width
    grey = _grey(turned)
    if (factor := max(grey.size) // WORKING_SIDE) > 1:
        grey = grey.reduce(factor)
    return Picture(np.asarray(grey, np.uint8), width, height)


def _grey(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode.startswith("I"):  # Pillow's own conversion would clip 16 bits at 255
        return Image.fromarray((np.clip(np.asarray(image), 0, 65535).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode == "F":
        levels = np.nan_to_num(np.asarray(image, np.float64))
        return Image.fromarray(np.clip(levels * (255 if levels.max() <= 1 else 1), 0, 255).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("L")
    layered = image.convert("LA" if image.mode in ("L", "LA", "La") else "RGBA")
    for paper in (255, 0):
        below = Image.new("RGBA", layered.size, (paper, paper, paper, 255))
        below.alpha_composite(layered.convert("RGBA"))
        grey = below.convert("L")
        low, high = grey.getextrema()
        if low != high:
            break
    return grey


def _natural(path: Path) -> tuple[bool, int, str]:
    """Sort 2 before 10, and numbers before words."""
    return (not path.stem.isdecimal(), int(path.stem) if path.stem.isdecimal() else 0, path.name)
