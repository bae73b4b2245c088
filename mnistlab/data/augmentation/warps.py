"""The warps: shifts, affine maps and elastic distortion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnistlab.data.augmentation.fields import Warp
from mnistlab.system.errors import RequestError, between, fraction, not_negative, whole

SIDE = 28  # the side of an image to which lengths in pixels refer, where the docstring says so


@dataclass
class Shift(Warp):
    """Shift each image by whole pixels, drawn uniformly from -pixels to pixels, vertically and horizontally."""

    pixels: int = 2

    def __post_init__(self) -> None:
        whole("pixels", self.pixels, 0, "the largest shift (pixels)")

    def check(self, height: int, width: int) -> None:
        if self.pixels >= min(height, width):
            raise RequestError(
                f"this shifts images of {height} x {width} pixels out of the frame; shift by less",
                key="pixels",
                value=self.pixels,
            )

    def fields(self, rng: np.random.Generator, count: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        down, right = rng.integers(-self.pixels, self.pixels, (2, count), endpoint=True).astype(np.float32)
        return affine_fields(height, width, np.broadcast_to(np.eye(2), (count, 2, 2)), down, right)


@dataclass
class Affine(Warp):
    """Rotate, scale, shear and shift each image about its centre; each amount is drawn independently and uniformly.

    The angle is within +-``rotation`` degrees. Height and width are scaled by the same factor, within 1 +- ``scale``.
    Shearing moves a pixel sideways by k times its height above the centre, with k (a tangent, not an angle) within
    +-``shear``. The image is shifted by up to ``shift`` pixels vertically and horizontally; the number applies to
    images whose shorter side is 28 pixels, and is scaled for other sizes.
    """

    rotation: float = 10.0
    scale: float = 0.1
    shear: float = 0.1
    shift: float = 1.0

    def __post_init__(self) -> None:
        between("rotation", self.rotation, 0, 180, "the largest angle (degrees)")
        fraction("scale", self.scale, "the largest scaling")
        between("shear", self.shear, 0, 10, "the largest shear")
        if not_negative("shift", self.shift, "the largest shift (pixels)") >= SIDE:
            raise RequestError(
                f"this shifts images out of the frame; shift by less than {SIDE}", key="shift", value=self.shift
            )

    def fields(self, rng: np.random.Generator, count: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the displacements of affine maps drawn at random."""
        angle, factor, slant, down, right = rng.uniform(-1, 1, (5, count))
        matrix = affine_matrix(np.radians(self.rotation * angle), 1 + self.scale * factor, self.shear * slant)
        shift = self.shift * min(height, width) / SIDE
        return affine_fields(height, width, matrix, shift * down, shift * right)


@dataclass
class Elastic(Affine):
    """Elastic distortion combined with the affine one. Simard, Steinkraus & Platt 2003, section 2.

    The vertical and the horizontal displacements of the pixels are drawn independently. Each is alpha G r G^T, with r
    uniform in [-1, 1] at every pixel, and G a Gaussian of standard deviation ``sigma`` pixels in each direction whose
    weights sum to 1. Each displacement has mean 0 and a root mean square of alpha / (sigma sqrt(12 pi)) pixels (for a
    sigma of one pixel or more): 0.98 by default, and 1.38 with the paper's alpha of 34 (the paper does not say what its
    Gaussian sums to). Where a Gaussian is cut off at the border, its weights are scaled so that the root mean square
    stays the same.

    Alpha and sigma apply to images whose shorter side is 28 pixels. For a side that is s times as long, sigma becomes
    s sigma and alpha becomes s^2 alpha, so that images of all sizes are deformed alike, by s times as many pixels.
    """

    alpha: float = 24.0
    sigma: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        between("sigma", self.sigma, 0.1, 100, "the width of the Gaussian (pixels)")
        most = SIDE * self.sigma * math.sqrt(12 * math.pi)  # a root mean square of the whole side
        if not_negative("alpha", self.alpha, "the strength of the distortion") >= most:
            raise RequestError(
                f"with sigma={self.sigma} this moves pixels out of the frame; use less than {most:.4g}",
                key="alpha",
                value=self.alpha,
            )

    def fields(self, rng: np.random.Generator, count: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the displacements of an affine map and of a smooth random field, added."""
        y, x = super().fields(rng, count, height, width)
        down, right = self.displacements(rng, count, height, width)
        np.add(y, down, out=y)
        np.add(x, right, out=x)
        return y, x

    def displacements(
        self, rng: np.random.Generator, count: int, height: int, width: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw displacements down and to the right, in pixels, each (count, height, width) float32."""
        s = min(height, width) / SIDE
        down, across = gaussian_matrix(height, s * self.sigma), gaussian_matrix(width, s * self.sigma)
        r = rng.random((height, 2 * count * width), np.float32)  # laid out so that each product is one large one
        np.multiply(r, 2, out=r)
        np.subtract(r, 1, out=r)
        lines = np.matmul(down, r).reshape(-1, width)
        smooth = np.matmul(lines, across.T * np.float32(s * s * self.alpha), out=r.reshape(-1, width))
        fields = smooth.reshape(height, 2, count, width).transpose(1, 2, 0, 3)
        return fields[0], fields[1]


def affine_matrix(angle: Any, factor: Any, slant: Any) -> np.ndarray:
    """Return rotation x scale x slant as (..., 2, 2) matrices that map (down, right) about the centre of the image.

    A positive ``angle`` (radians) rotates counterclockwise on the screen, a positive ``slant`` leans to the right.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    ones, zeros = np.ones_like(cos), np.zeros_like(cos)
    lean = np.stack([np.stack([ones, zeros], -1), np.stack([-slant * ones, ones], -1)], -2)
    return np.asarray(factor)[..., None, None] * (turn @ lean)


def affine_fields(
    height: int, width: int, matrix: np.ndarray, down: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the fields that map an image by each matrix (count, 2, 2) about its centre, then shift it.

    A field gives the place to read from, so it is the inverse map: place = centre + M^-1 (pixel - shift - centre).
    """
    inverse = np.linalg.inv(matrix)
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
    y = np.arange(height) - centre_y - np.asarray(down)[:, None]  # (count, height)
    x = np.arange(width) - centre_x - np.asarray(right)[:, None]

    def places(i: int, centre: float) -> np.ndarray:
        from_y = (centre + inverse[:, i, 0, None] * y).astype(np.float32)
        from_x = (inverse[:, i, 1, None] * x).astype(np.float32)
        return from_y[:, :, None] + from_x[:, None, :]

    return places(0, centre_y), places(1, centre_x)


def gaussian_matrix(size: int, sigma: float) -> np.ndarray:
    """Return the (size, size) matrix that smooths along one axis; all its rows have the norm of a complete Gaussian."""
    if sigma > 2:
        norm = 1 / math.sqrt(2 * math.sqrt(math.pi) * sigma)  # from integrals, which differ from the sums by 1e-17
    else:
        kernel = np.exp(-0.5 * (np.arange(-12, 13) / sigma) ** 2)
        norm = float(np.linalg.norm(kernel) / kernel.sum())
    pixels = np.arange(size)
    rows = np.exp(-0.5 * ((pixels[:, None] - pixels) / sigma) ** 2)
    return (rows * (norm / np.linalg.norm(rows, axis=1, keepdims=True))).astype(np.float32)
