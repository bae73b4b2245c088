"""Corruptions: noise, rotation and shifts of (n, height, width) uint8. Level 0 is the original image."""

from __future__ import annotations

import math

import numpy as np

ROWS = 4096  # images that are processed at a time, so that there are never floats for all of them


def noisy(images: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Return images with Gaussian noise: 255 clip(x / 255 + level z, 0, 1), rounded, with z ~ N(0, 1) per pixel.

    ``level`` is a standard deviation for pixels from 0 (black) to 1 (white). The same generator state gives the same z
    at every level, so that levels differ only in the strength of the noise.
    """
    if level == 0:
        return images
    changed = np.empty_like(images)
    for start in range(0, len(images), ROWS):
        part = images[start : start + ROWS]
        z = rng.standard_normal(part.shape, np.float32)
        z *= np.float32(255 * level)
        z += part
        changed[start : start + ROWS] = np.rint(np.clip(z, 0, 255, out=z), out=z)
    return changed


def rotated(images: np.ndarray, degrees: float) -> np.ndarray:
    """Return images rotated counterclockwise about their centre, with bilinear interpolation and 0 outside.

    A pixel of the result is a weighted mean of the four pixels around its original place, the same for every image.
    """
    if degrees == 0:
        return images
    height, width = images.shape[1:]
    places, weights = _sources(height, width, degrees)
    changed = np.empty_like(images)
    for start in range(0, len(images), ROWS):
        pixels = images[start : start + ROWS].reshape(len(images[start : start + ROWS]), -1)
        total = np.zeros(pixels.shape, np.float32)
        for place, weight in zip(places, weights, strict=True):
            total += pixels[:, place] * weight
        changed[start : start + ROWS] = np.rint(total, out=total).reshape(-1, height, width)
    return changed


def shifted(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Return images shifted by whole pixels, down and to the right (negative: up and to the left), with 0 outside."""
    if not down and not right:
        return images
    changed = np.zeros_like(images)
    height, width = images.shape[1:]
    to_y, to_x = slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0))
    from_y, from_x = slice(max(-down, 0), height - max(down, 0)), slice(max(-right, 0), width - max(right, 0))
    changed[:, to_y, to_x] = images[:, from_y, from_x]
    return changed


def _sources(height: int, width: int, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each pixel of the result, the flat indices of four pixels and their weights, both (4, pixels)."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    y, x = np.mgrid[:height, :width].reshape(2, -1).astype(np.float64)
    y -= (height - 1) / 2
    x -= (width - 1) / 2
    row = cos * y + sin * x + (height - 1) / 2  # rows count downwards, so this rotates counterclockwise on the screen
    column = cos * x - sin * y + (width - 1) / 2
    top, left = np.floor(row).astype(np.int64), np.floor(column).astype(np.int64)
    places, weights = [], []
    for down in (0, 1):
        for right in (0, 1):
            i, j = top + down, left + right
            inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
            share = np.abs(1 - down - (row - top)) * np.abs(1 - right - (column - left))
            places.append(np.where(inside, i * width + j, 0))
            weights.append(np.where(inside, share, 0))
    return np.array(places), np.array(weights, np.float32)
