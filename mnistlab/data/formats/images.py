"""Arrays of images in any layout as (n, height, width), upright."""

from __future__ import annotations

import math

import numpy as np

from mnistlab.data.formats.record import IN_WORDS, Part
from mnistlab.data.idx_format import BadFileError

CHANNELS = (1, 2, 3, 4)


def laid_out(part: str, content: Part, shape: tuple[int, int] | None, padded: bool, remarks: list[str]) -> np.ndarray:
    """Return the images as (n, height, width), grey; ``shape`` is that of flat images, square by default.

    Layouts: (n, h, w), (n, h, w, channels), (n, channels, h, w), (n, h * w), and each with n last.
    """
    images, count = content.images, len(content.labels) if content.labels is not None else None
    if images.dtype.kind not in "uifb":
        raise BadFileError(f"the {IN_WORDS[part]} images hold values of type {images.dtype}; must be numbers")
    if images.dtype.kind == "b":
        images = images.view(np.uint8)
    if images.ndim < 2 or not images.size:
        raise BadFileError(f"{_named(part)} has the shape {images.shape}; must be (n, height, width) with n > 0")
    if count is not None and images.shape[0] != count and images.shape[-1] == count:
        remarks.append("the last axis counts the images")
        images = np.moveaxis(images, -1, 0)
    if count is not None and len(images) != count:
        raise BadFileError(f"there are {len(images):,} {IN_WORDS[part]} images but {count:,} labels")
    if images.ndim == 2:
        return _from_flat(part, images, shape, padded, remarks)
    if images.ndim == 3 and images.shape[1] == 1 and _side(images.shape[2]):
        return _from_flat(part, images[:, 0], shape, padded, remarks)
    while images.ndim > 4 and 1 in images.shape[1:]:
        images = np.squeeze(images, 1 + images.shape[1:].index(1))
    if images.ndim == 4:
        images = _one_channel(images, remarks)
    if images.ndim != 3:
        raise BadFileError(
            f"{_named(part)} has the shape {content.images.shape}; must be (n, height, width) with n > 0"
        )
    return images


def _named(part: str) -> str:
    return f"the array of {IN_WORDS[part]} images"


def _side(pixels: int) -> int | None:
    side = math.isqrt(pixels)
    return side if side * side == pixels and side > 1 else None


def _from_flat(
    part: str, images: np.ndarray, shape: tuple[int, int] | None, padded: bool, remarks: list[str]
) -> np.ndarray:
    """Return flat images as (n, height, width)."""
    pixels = images.shape[1]
    if shape is not None:
        wanted = math.prod(shape)
        if pixels < wanted and padded:
            images = np.pad(images, ((0, 0), (0, wanted - pixels)))
        elif pixels != wanted:
            raise BadFileError(
                f"the {IN_WORDS[part]} images have {pixels} pixels; {shape[0]} x {shape[1]} needs {wanted}; set shape"
            )
        return images.reshape(-1, *shape)
    if padded and not _side(pixels):
        side = math.isqrt(pixels) + 1
        remarks.append(f"{pixels} pixels, the rest of {side} x {side} filled with zeros")
        images, pixels = np.pad(images, ((0, 0), (0, side * side - pixels))), side * side
    if (square := _side(pixels)) is not None:
        return images.reshape(-1, square, square)
    if pixels % 3 == 0 and (square := _side(pixels // 3)) is not None:
        remarks.append("three colour planes, converted to grey")
        return _grey(np.moveaxis(images.reshape(-1, 3, square, square), 1, -1))
    raise BadFileError(
        f"the {IN_WORDS[part]} images have {pixels} pixels, which do not form a square; set shape=[height,width]"
    )


def _one_channel(images: np.ndarray, remarks: list[str]) -> np.ndarray:
    """Return (n, h, w, channels) or (n, channels, h, w) as grey (n, h, w)."""
    if images.shape[3] not in CHANNELS and images.shape[1] in CHANNELS:
        images = np.moveaxis(images, 1, -1)
    channels = images.shape[3]
    if channels == 1:
        return images[..., 0]
    if channels not in CHANNELS:
        raise BadFileError(f"images of {channels} channels; must have 1 (grey), 3 (colour) or 4 (with transparency)")
    remarks.append("colour images, converted to grey")
    return _grey(images[..., : channels if channels == 3 else 1 if channels == 2 else 3])


def _grey(images: np.ndarray) -> np.ndarray:
    """Return the ITU-R 601 luma, as Pillow computes it for bytes: (19595 R + 38470 G + 7471 B + 2^15) / 2^16."""
    if images.shape[-1] == 1:
        return images[..., 0]
    grey = np.empty(images.shape[:3], np.uint8 if images.dtype == np.uint8 else np.float32)
    for start in range(0, len(images), 1024):
        block = images[start : start + 1024]
        if images.dtype == np.uint8:
            red, green, blue = (block[..., c].astype(np.uint32) for c in range(3))
            grey[start : start + len(block)] = (19595 * red + 38470 * green + 7471 * blue + 2**15) >> 16
        else:
            grey[start : start + len(block)] = block @ np.array([0.299, 0.587, 0.114])
    return grey


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Return uint8 images resized to size x size (bilinear)."""
    from PIL import Image

    if images.shape[1:] == (size, size):
        return images
    result = np.empty((len(images), size, size), np.uint8)
    for i, image in enumerate(images):
        result[i] = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    return result
