"""Occlusion: the drop in the probability of a class when a patch covers a part of the image."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

SIDE = 5 / 28  # of the patch, as a fraction of the image's shorter side; at least 3 pixels
PLACES = 16  # positions of the patch in each direction, at most
COPIES = 2**24  # pixels of covered images that are classified at once


def patch_side(height: int, width: int) -> int:
    """Return the side of the patch in pixels for images of this size."""
    shorter = min(height, width)
    return min(max(3, round(SIDE * shorter)), shorter)


def occlude(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, classes: np.ndarray, fill: int
) -> np.ndarray:
    """Return p(class) without a patch minus p(class) with it, (n, rows, columns), for images (n, h, w).

    The image is divided into rows x columns equal parts; element (r, c) is for the patch centred on part (r, c),
    without any of its pixels outside the image. ``classes`` are the classes whose probabilities are measured, one per
    image; ``fill`` is the grey level of the patch. Any model with ``predict`` works. Zeiler & Fergus 2014, section 4.2,
    where the patch is grey and the class is the true one.
    """
    _, height, width = images.shape
    side = patch_side(height, width)
    downwards, across = _starts(height, side), _starts(width, side)
    corners = [(max(top, 0), top + side, max(left, 0), left + side) for top in downwards for left in across]
    drops = np.empty((len(images), len(corners)), np.float32)
    before = predict(images)[np.arange(len(images)), classes]
    at_once = max(1, COPIES // (height * width))
    for i, image in enumerate(images):
        for start in range(0, len(corners), at_once):
            some = corners[start : start + at_once]
            covered = np.repeat(image[None], len(some), axis=0)
            for copy, (top, bottom, left, right) in zip(covered, some, strict=True):
                copy[top:bottom, left:right] = fill
            drops[i, start : start + at_once] = before[i] - predict(covered)[:, classes[i]]
    return drops.reshape(len(images), len(downwards), len(across))


def _starts(length: int, side: int) -> list[int]:
    """Return the start of the patch at each of its positions in one direction; negative if outside the image."""
    count = math.ceil(length / math.ceil(length / PLACES))
    return [math.floor((i + 0.5) * length / count - side / 2 + 0.5) for i in range(count)]
