"""Picture files of any format, size and depth as grey levels from 0 (dark) to 255 (light)."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnistlab.data.formats import pictures

if TYPE_CHECKING:
    from PIL import Image

STDIN = "-"
MOST_PIXELS = 2**26  # an A4 page scanned at 600 dpi has 35 million pixels, photographs of phones up to 50 million
MOST_BYTES = 2**28  # of a file
FRUGAL = {"PNG", "JPEG", "MPO", "BMP", "GIF", "TIFF", "PPM"}  # unpacked once; WebP and others need further copies
WORKING_SIDE = 640  # larger pictures are averaged down to between this and twice this: strokes stay pixels wide
STRIP = 256  # rows that are converted to grey at a time
TURN = 0x0112  # the EXIF tag of the camera's orientation


class UnreadableError(Exception):
    """A picture that cannot be read or is blank; the message is the reason without the name of the file."""


@dataclass(frozen=True)
class Picture:
    """Grey levels (height, width) uint8, at most twice `WORKING_SIDE` per side, and the original size."""

    grey: np.ndarray
    width: int
    height: int


def read(name: str) -> Picture:
    """Return the picture of a file, or of standard input for ``-``; `UnreadableError` gives the reason.

    The camera's rotation (EXIF) is undone. Colours become grey by ITU-R 601, 16 and 32 bits become 8. Transparent
    pixels become white, or black if what is visible is light, as in training. Of several frames, the first is used.
    """
    from PIL import Image

    content = _bytes(name)
    if missing := pictures.missing_reader(content):
        raise UnreadableError(missing)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked here, before any pixel is unpacked
            with Image.open(io.BytesIO(content)) as image:
                most = MOST_PIXELS if image.format in FRUGAL else MOST_PIXELS // 2
                if image.width * image.height > most:
                    raise UnreadableError(
                        f"{image.width:,} x {image.height:,} pixels are more than the maximum of {most:,};"
                        " make the picture smaller"
                    )
                return _decoded(image)
    except UnreadableError:
        raise
    except Image.DecompressionBombError:
        raise UnreadableError(f"more than the maximum of {MOST_PIXELS:,} pixels; make the picture smaller") from None
    except MemoryError:
        raise UnreadableError("not enough memory; make the picture smaller") from None
    except Exception as error:  # Pillow's decoders raise many kinds
        raise UnreadableError(f"cannot be read as a picture ({type(error).__name__}); save it as PNG or JPEG") from None


def _bytes(name: str) -> bytes:
    try:
        if name == STDIN:
            content = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            if not Path(name).is_file():
                raise UnreadableError("no such file" if not Path(name).exists() else "not a file")
            with Path(name).open("rb") as file:
                content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # a null byte in a name raises ValueError
        raise UnreadableError(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not content:
        raise UnreadableError("the file is empty")
    if len(content) > MOST_BYTES:
        raise UnreadableError(f"more than the maximum of {MOST_BYTES:,} bytes")
    return content


def _decoded(image: Image.Image) -> Picture:
    from PIL import ImageOps

    width, height = image.size
    image.draft("L", (WORKING_SIDE, WORKING_SIDE))  # JPEG can be unpacked at a half, a quarter or an eighth of its size
    grey = _grey(image)
    turn = image.getexif().get(TURN, 1)
    image.close()
    grey.getexif()[TURN] = turn
    turned = ImageOps.exif_transpose(grey)
    if turned.size != grey.size:
        width, height = height, width
    if (factor := max(turned.size) // WORKING_SIDE) > 1:
        turned = turned.reduce(factor)
    return Picture(np.asarray(turned, np.uint8), width, height)


def _grey(image: Image.Image) -> Image.Image:
    """Return a picture in grey, converted in strips to save memory."""
    if image.mode.startswith("I"):  # Pillow's own conversion would clip 16 bits at 255
        most = max(int(np.asarray(strip).max()) for _, strip in _strips(image))
        shift = pictures.depth(most) - 8
        return _by_strips(image, lambda strip: _image(np.clip(np.asarray(strip), 0, None) >> shift))
    if image.mode == "F":
        most = max(np.nan_to_num(np.asarray(strip)).max() for _, strip in _strips(image))
        scale = 255 if most <= 1 else 1
        return _by_strips(image, lambda strip: _image(np.nan_to_num(np.asarray(strip, np.float64)) * scale))
    if not image.has_transparency_data:
        return _by_strips(image, lambda strip: strip.convert("L"))
    paper = pictures.paper_for(pictures.layers(strip) for _, strip in _strips(image))
    return _by_strips(image, lambda strip: _image(pictures.laid_on(paper, *pictures.layers(strip))))


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield strips of a picture from top to bottom, each with the number of its first row."""
    for top in range(0, image.height, STRIP):
        yield top, image.crop((0, top, image.width, min(top + STRIP, image.height)))


def _by_strips(image: Image.Image, grey_of: Callable[[Image.Image], Image.Image]) -> Image.Image:
    from PIL import Image

    grey = Image.new("L", image.size)
    for top, strip in _strips(image):
        grey.paste(grey_of(strip), (0, top))
    return grey


def _image(levels: np.ndarray) -> Image.Image:
    from PIL import Image

    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
