"""Encoded pictures (PNG, JPEG, HEIC, ...) as grey images, as a person sees them."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import numpy as np

from mnistlab.data.formats.record import Options
from mnistlab.data.idx_format import LARGEST, BadFileError, refuse_impostors
from mnistlab.system.errors import needs

MOST_PIXELS = 2**24  # of one image, before it is resized
NAMED = 3  # of the pictures that are left out
DEPTHS = (8, 10, 12, 14, 16)  # bits of grey levels that cameras and scanners write into 16


class Stack:
    """The pictures of a set, all of one size; with ``on_error=skip`` those that cannot be read are left out.

    Grey levels of 16 bits are kept until the last picture: all are scaled by the highest level of any, or of other
    sets too (`bits`).
    """

    def __init__(self, count: int, options: Options) -> None:
        self.count, self.options = count, options
        self.array: np.ndarray | None = None
        self.wide: dict[int, np.ndarray] = {}
        self.names: list[str] = []
        self.kept: list[int] = []
        self.skipped: list[str] = []
        self.done_to: Counter[str] = Counter()
        self.remarks: list[str] = []
        self.warnings: list[str] = []

    def add(self, name: str, content: bytes) -> None:
        """Add a picture; ``name`` is used in messages."""
        place = len(self.names) + len(self.skipped)
        try:
            self._add(name, content)
            self.kept.append(place)
        except BadFileError as error:
            if not self.options.skip:
                raise
            self.skipped.append(str(error))

    def _add(self, name: str, content: bytes) -> None:
        size = self.options.size
        image, done = decoded(name, content)
        wide = image if image.dtype != np.uint8 else None
        if wide is not None:
            image = np.zeros(image.shape, np.uint8)
        elif size is not None:
            image = resized(image, size)
        if size is not None and image.shape != (size, size):
            image = np.zeros((size, size), np.uint8)
        if self.array is None:
            if image.size * self.count > LARGEST:
                raise BadFileError(
                    f"{self.count:,} images of {by(image)} are more than {LARGEST:,} bytes; set size, e.g. size=28"
                )
            self.array = np.empty((self.count, *image.shape), np.uint8)
        if image.shape != self.array.shape[1:]:
            raise BadFileError(
                f"{name} is {by(image)}, but {self.names[0]} is {by(self.array[0])} (height x width);"
                " set size, e.g. size=28"
            )
        if wide is not None:
            if wide.nbytes + sum(image.nbytes for image in self.wide.values()) > 2 * LARGEST:
                raise BadFileError(
                    f"the 16-bit pictures up to {name} have more than {2 * LARGEST:,} bytes; make them smaller"
                )
            self.wide[len(self.names)] = wide
        self.array[len(self.names)] = image
        self.names.append(name)
        self.done_to.update(done)

    @property
    def bits(self) -> int:
        """Return the bits of the grey levels of the 16-bit pictures; 0 if there are none."""
        if not self.wide:
            return 0
        highest = max(int(image.max()) for image in self.wide.values())
        return depth(highest)

    def done(self, where: str, bits: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return the images (n, height, width) and the numbers of those that were read.

        ``bits`` are those of the 16-bit pictures of all sets, if there are several.
        """
        if self.array is None:
            why = f": {self.skipped[0]}" if self.skipped else "; add some"
            raise BadFileError(f"{where} contains no images{why}")
        if self.wide:
            bits = max(bits, self.bits)
            for i, image in self.wide.items():
                grey = (image >> (bits - 8)).astype(np.uint8)
                self.array[i] = grey if self.options.size is None else resized(grey, self.options.size)
            if bits < 16:
                self.remarks.append(f"16-bit pictures with grey levels of {bits} bits")
        self.remarks += [f"{count:,} pictures {what}" for what, count in sorted(self.done_to.items())]
        if self.skipped:
            shown = "; ".join(self.skipped[:NAMED]) + ("; ..." if self.skipped[NAMED:] else "")
            self.warnings.append(f"{where}: {len(self.skipped):,} pictures left out ({shown})")
        return self.array[: len(self.names)], np.array(self.kept, np.int64)


def depth(highest: int) -> int:
    """Return the bits of the grey levels of pictures whose highest level is this: the next of `DEPTHS`, if there is."""
    return next((bits for bits in DEPTHS if highest < 2**bits), highest.bit_length())


def by(image: np.ndarray) -> str:
    """Return the size of an image in words."""
    return f"{image.shape[0]} x {image.shape[1]}"


def resized(image: np.ndarray, size: int) -> np.ndarray:
    """Return a grey image resized to size x size (bilinear)."""
    from PIL import Image

    if image.shape == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR), np.uint8)


def decoded(name: str, content: bytes) -> tuple[np.ndarray, list[str]]:
    """Return a picture as grey levels, uint8 or uint16, and what was done to it.

    It is turned as its EXIF data says, and put on white where it is transparent, or on black if what is visible of it
    is light. Raises `BadFileError`.
    """
    from PIL import Image, ImageOps

    refuse_impostors(name, content[:200])
    if missing := missing_reader(content):
        raise BadFileError(f"{name} is {missing}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked here, before any pixel is unpacked
            with Image.open(io.BytesIO(content)) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise BadFileError(
                        f"{name} has {image.width:,} x {image.height:,} pixels, more than the maximum of"
                        f" {MOST_PIXELS:,}; make it smaller or remove it"
                    )
                done: list[str] = []
                upright: Image.Image = image
                if image.getexif().get(0x0112, 1) in range(2, 9):
                    upright = ImageOps.exif_transpose(image)
                    done.append("turned as their EXIF data says")
                if upright.mode.startswith("I"):
                    return np.clip(np.asarray(upright), 0, 65535).astype(np.uint16), done
                if upright.mode == "F":
                    return _of_floats(name, np.asarray(upright)), done
                if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
                    return _on_paper(upright, done), done
                return np.asarray(upright.convert("L"), np.uint8), done
    except BadFileError:
        raise
    except Image.DecompressionBombError:
        raise BadFileError(f"{name} has more than the maximum of {MOST_PIXELS:,} pixels; remove it") from None
    except Exception as error:  # Pillow's decoders raise many kinds of errors
        raise BadFileError(f"{name} cannot be read as an image ({type(error).__name__}); repair or remove it") from None


def _of_floats(name: str, levels: np.ndarray) -> np.ndarray:
    if not np.isfinite(levels).all():
        raise BadFileError(f"{name} holds pixels that are not numbers; repair or remove it")
    high = float(levels.max())
    return np.clip(np.rint(levels * (255 if 0 < high <= 1 else 1)), 0, 255).astype(np.uint8)


def _on_paper(image: Any, done: list[str]) -> np.ndarray:
    """Return the grey levels of a picture with transparency on paper."""
    alpha, grey = layers(image)
    if alpha.min() == 1:
        return grey
    paper = paper_for([(alpha, grey)])
    done.append(f"with transparency, put on {'black' if paper == 0 else 'white'}")
    return laid_on(paper, alpha, grey)


def layers(image: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the opacity of a picture, from 0 to 1, and its grey levels."""
    rgba = image.convert("RGBA")
    return np.asarray(rgba.getchannel("A"), np.float32) / 255, np.asarray(rgba.convert("RGB").convert("L"))


def paper_for(strips: Iterable[tuple[np.ndarray, np.ndarray]]) -> int:
    """Return the grey of the paper for a picture in strips: white, or black if what is visible of it is light."""
    light = opacity = 0.0
    for alpha, grey in strips:
        light += float((alpha * grey).sum(dtype=np.float64))
        opacity += float(alpha.sum(dtype=np.float64))
    return 0 if light > 127.5 * opacity else 255


def laid_on(paper: int, alpha: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Return a picture of which the opacity and the grey levels are known as it looks on paper."""
    return np.rint(alpha * grey + (1 - alpha) * paper).astype(np.uint8)


def missing_reader(content: bytes) -> str:
    """Register the reader of HEIC files if this is one; say which package is missing, or return an empty text."""
    if content[4:8] != b"ftyp" or content[8:11] == b"avi":
        return ""
    if find_spec("pillow_heif") is None:
        return f"a HEIC picture: {needs('pillow-heif', 'formats')}"
    import pillow_heif

    pillow_heif.register_heif_opener()
    return ""
