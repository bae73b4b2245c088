"""Images that occur twice: identical ones, and copies with noise, other brightness, or a shift by a few pixels.

The similarity of two images is the correlation of their pixels: 1 for images that differ in brightness and contrast
only. All pairs at or above a threshold are found, without comparing all pixels of all pairs: with P the projection on a
few principal axes and r the length of what it leaves of a unit vector, Cauchy and Schwarz give

    a . b  =  Pa . Pb + (a - Pa) . (b - Pb)  <=  Pa . Pb + r_a r_b,

which is one product of vectors that have r as one more element. The pairs that pass are compared in full. It is done
twice: with the images as they are, and moved so that their centres of mass coincide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mnistlab.system.errors import RequestError

THRESHOLD = 0.98
AXES = 96
SAMPLE = 2000  # images from which the axes are taken
ROWS, COLUMNS = 1024, 8192  # of one block of the product
MOST_PAIRS = 200_000
SLACK = 1e-4  # the rounding errors of float32 products of unit vectors are below it


@dataclass(frozen=True)
class Pair:
    """Two images by their rows, the first before the second."""

    first: int
    second: int
    similarity: float
    is_identical: bool


def find(images: np.ndarray, threshold: float = THRESHOLD) -> list[Pair]:
    """Return the pairs of images (n, height, width) at least as similar as ``threshold``, the most similar first.

    Of images that are identical pixel by pixel, each is paired with the first of them only, and the first alone is
    compared with others. Raises `RequestError` if more than `MOST_PAIRS` are not identical.
    """
    firsts, copies = identical(images)
    pairs = {(first, second): Pair(first, second, 1.0, True) for first, second in copies}
    near: dict[tuple[int, int], float] = {}
    distinct = images[firsts]
    for version in (distinct, centred(distinct)):
        for i, j, similarity in _similar(unit_vectors(version), threshold):
            key = int(firsts[i]), int(firsts[j])
            near[key] = max(near.get(key, 0.0), similarity)
            if len(near) > MOST_PAIRS:
                raise RequestError(f"--similarity {threshold:g}: more than {MOST_PAIRS:,} pairs; use a higher one")
    pairs |= {(i, j): Pair(i, j, min(similarity, 1.0), False) for (i, j), similarity in near.items()}
    return sorted(pairs.values(), key=lambda pair: (not pair.is_identical, -pair.similarity, pair.first, pair.second))


def identical(images: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return the rows of the first of each set of identical images, rising, and (first, other) for all others."""
    flat = np.ascontiguousarray(images.reshape(len(images), -1))
    as_bytes = flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize)))[:, 0]
    _, first_of, inverse = np.unique(as_bytes, return_index=True, return_inverse=True)
    firsts = first_of[inverse.reshape(-1)]
    others = np.flatnonzero(firsts != np.arange(len(images)))
    return np.sort(first_of), [(int(firsts[row]), int(row)) for row in others]


def unit_vectors(images: np.ndarray) -> np.ndarray:
    """Return (n, pixels) float32: each image without its mean, of length 1; zeros if all its pixels are equal."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.divide(flat, length, out=np.zeros_like(flat), where=length > 1e-3)


def centred(images: np.ndarray) -> np.ndarray:
    """Return the images, each rolled by whole pixels so that its centre of mass is at the centre.

    The mass of a pixel is its distance from the image's most frequent border grey level, the background.
    """
    count, height, width = images.shape
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    background = np.median(border, axis=1)
    mass = np.abs(images.astype(np.int16) - background[:, None, None].astype(np.int16))
    up = _offset(mass.sum(axis=2, dtype=np.int64))
    left = _offset(mass.sum(axis=1, dtype=np.int64))
    rows = (np.arange(height)[None] + up[:, None]) % height
    columns = (np.arange(width)[None] + left[:, None]) % width
    moved: np.ndarray = images[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved


def _offset(mass: np.ndarray) -> np.ndarray:
    """Return how far the centres of mass of rows (n, length) are from the middle, in whole numbers.

    With whole numbers only, no rounding error can tell an image from its copy: floor(S / T - (length - 1) / 2 + 1 / 2),
    where T is the mass and S / T its centre.
    """
    length = mass.shape[1]
    total = np.maximum(mass.sum(axis=1), 1)
    return np.asarray((2 * (mass @ np.arange(length)) - (length - 2) * total) // (2 * total))


def _similar(vectors: np.ndarray, threshold: float) -> Iterator[tuple[int, int, float]]:
    """Yield (i, j, similarity), i < j, for all pairs of unit vectors at or above the threshold."""
    bounded = _bounded(vectors)
    for start in range(0, len(vectors), ROWS):
        rows = bounded[start : start + ROWS]
        for column in range(start, len(vectors), COLUMNS):
            bounds = rows @ bounded[column : column + COLUMNS].T
            i, j = np.nonzero(bounds >= threshold - SLACK)
            i, j = i + start, j + column
            later = j > i
            i, j = i[later], j[later]
            for part in range(0, len(i), ROWS * 8):
                some, others = i[part : part + ROWS * 8], j[part : part + ROWS * 8]
                similarity = np.einsum("ij,ij->i", vectors[some], vectors[others])
                kept = similarity >= threshold - 1e-6
                yield from zip(some[kept].tolist(), others[kept].tolist(), similarity[kept].tolist(), strict=True)


def _bounded(vectors: np.ndarray) -> np.ndarray:
    """Return the projection of the vectors on their principal axes, and as a last element the length of the rest."""
    sample = vectors[:: max(1, len(vectors) // SAMPLE)]
    axes = np.linalg.eigh(sample.T @ sample)[1][:, -AXES:]  # a tenth of the time of a singular value decomposition
    projected = vectors @ axes
    lengths = np.square(vectors).sum(axis=1) - np.square(projected).sum(axis=1)
    rest = np.sqrt(np.maximum(lengths, 0.0))
    return np.ascontiguousarray(np.concatenate([projected, rest[:, None]], axis=1))
