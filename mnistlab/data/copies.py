"""Images that are in two sets: exact copies, and near copies such as the same picture encoded twice.

Both are found by hashes in time that grows with the number of images. The near copies are a lower bound: two images
are compared only if they agree in a coarse hash, and count if they correlate by at least `CORRELATION`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistlab.data.dataset import Split

GRID = 8  # cells a side of the coarse hash
CORRELATION = 0.995
MOST = 100_000  # images of a set that are compared for near copies
PAIRS = 2_000_000  # compared at most


@dataclass(frozen=True)
class Copies:
    """The number of images of a set that are also in another, pixel for pixel or nearly."""

    exact: int
    near: int


def count(images: Split, others: Split) -> Copies:
    """Return how many of ``images`` are copies of ``others``; images of one grey level do not count."""
    if not len(images) or not len(others) or images.images.shape[1:] != others.images.shape[1:]:
        return Copies(0, 0)
    drawn = _drawn(images.images)
    same = np.isin(_hashes(images.images), _hashes(others.images)) & drawn
    rest = np.flatnonzero(drawn & ~same)
    near = 0
    if 0 < len(rest) <= MOST and len(others) <= MOST and min(images.images.shape[1:]) >= GRID:
        near = int(_near(images.images, rest, others.images).sum())
    return Copies(int(same.sum()), near)


def _drawn(images: np.ndarray) -> np.ndarray:
    flat = images.reshape(len(images), -1)
    return flat.max(axis=1) != flat.min(axis=1)


def _hashes(images: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash of each image: its bytes, eight at a time, times odd numbers drawn once, summed mod 2^64."""
    flat = images.reshape(len(images), -1)
    words = -(-flat.shape[1] // 8)
    odd = np.random.default_rng(0).integers(0, 2**63, words, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    hashes = np.empty(len(flat), np.uint64)
    for start in range(0, len(flat), 4096):
        block = flat[start : start + 4096]
        padded = np.zeros((len(block), words * 8), np.uint8)
        padded[:, : block.shape[1]] = block
        mixed = padded.view(np.uint64) * odd
        hashes[start : start + len(block)] = (mixed ^ (mixed >> np.uint64(29))).sum(axis=1, dtype=np.uint64)
    return hashes


def _near(images: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return whether each of these rows nearly equals another image with the same coarse hash."""
    found = np.zeros(len(rows), bool)
    mine, theirs = _cells(images[rows]), _cells(others)
    compared = 0
    for levels in (3, 5):  # steps of grey; an image near a step in one is seldom near one in the other
        a, b = _coarse(mine, levels), _coarse(theirs, levels)
        order = np.argsort(b, kind="stable")
        first, last = np.searchsorted(b[order], a, "left"), np.searchsorted(b[order], a, "right")
        for i in np.flatnonzero(~found & (last > first)):
            chosen = order[first[i] : min(last[i], first[i] + 64)]
            compared += len(chosen)
            if compared > PAIRS:
                return found
            found[i] = _correlation(images[rows[i]], others[chosen]) >= CORRELATION
    return found


def _cells(images: np.ndarray) -> np.ndarray:
    """Return the mean grey of each cell of a grid, from 0 to 1 within each image."""
    height, width = images.shape[1:]
    rows, columns = (np.linspace(0, side, GRID + 1).astype(int)[:-1] for side in (height, width))
    cells = np.empty((len(images), GRID * GRID), np.float32)
    for start in range(0, len(images), 4096):
        block = np.add.reduceat(images[start : start + 4096].astype(np.float32), rows, axis=1)
        cells[start : start + len(block)] = np.add.reduceat(block, columns, axis=2).reshape(len(block), -1)
    area = np.outer(np.diff([*rows, height]), np.diff([*columns, width])).reshape(-1)
    cells /= area
    low, high = cells.min(axis=1, keepdims=True), cells.max(axis=1, keepdims=True)
    scaled: np.ndarray = (cells - low) / np.maximum(high - low, 1e-6)
    return scaled


def _coarse(cells: np.ndarray, levels: int) -> np.ndarray:
    """Return a 64-bit hash of the cells in a few steps of grey."""
    steps = np.minimum((cells * levels).astype(np.uint8), levels - 1)
    return _hashes(steps[:, None, :])


def _correlation(image: np.ndarray, others: np.ndarray) -> float:
    """Return the highest correlation of an image with one of the others."""
    a = image.reshape(-1).astype(np.float64)
    b = others.reshape(len(others), -1).astype(np.float64)
    a -= a.mean()
    b -= b.mean(axis=1, keepdims=True)
    norms = np.sqrt((b**2).sum(axis=1) * (a**2).sum())
    return float((b @ a / np.maximum(norms, 1e-12)).max())
