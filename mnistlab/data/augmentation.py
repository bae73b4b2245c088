"""Augmentation: random warps of the training images, new in every epoch; validation and test images are never warped.

A *field* gives for every output pixel the place (y, x) in the image where it is read, with bilinear interpolation
between pixels; everything outside the image is 0, the background. Each epoch draws a table of fields, and assigns one
of them to every training image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnistlab.data.strokes import Strokes
from mnistlab.system.errors import RequestError, between, fraction, not_negative, whole

FIELDS = 2048  # of a table: more of them would take longer to draw, and would not fit in the cache
TABLE_BYTES = 2**25  # larger images have fewer fields, so that memory stays bounded
PIECE_PIXELS = 64 * 28 * 28  # pixels that are drawn or warped at once, for the same reason
SIDE = 28  # the side of an image to which lengths in pixels refer, where the docstring says so
ONE = 256  # places and weights are whole multiples of 1/256


@dataclass
class Augment:
    """Base class: `start_epoch` draws random numbers, then `step` is called for every batch."""

    def check(self, height: int, width: int) -> None:
        """Refuse what does not go with images of this size."""

    def start_epoch(self, images: np.ndarray, rng: np.random.Generator | None) -> None:
        """Draw everything that is random in the next epoch over these training images."""
        raise NotImplementedError

    def batch(self, images: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return these rows of the images (None: all of them), augmented for this epoch, (n, height, width) uint8.

        The array is overwritten by the next call.
        """
        raise NotImplementedError

    def step(
        self, images: np.ndarray, labels: np.ndarray, rows: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return the images, labels and rows that a training step uses instead of these."""
        raise NotImplementedError


@dataclass
class NoAugment(Augment):
    """The training images as they are."""

    def start_epoch(self, images: np.ndarray, rng: np.random.Generator | None) -> None:
        pass

    def batch(self, images: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        return images if rows is None else images[rows]

    def step(
        self, images: np.ndarray, labels: np.ndarray, rows: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        return images, labels, rows


@dataclass
class Warp(Augment):
    """Base class of augmentation by fields, which a subclass draws in `fields`.

    A table has as many fields as there are training images, at most 2,048 and 32 MB. Every field is assigned to the
    same number of images (to within one), and the images that share a field are drawn at random.
    """

    def fields(self, rng: np.random.Generator, count: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw fields: the coordinates y and x at which pixels are read, each (count, height, width) float32."""
        raise NotImplementedError

    def start_epoch(self, images: np.ndarray, rng: np.random.Generator | None) -> None:
        if rng is None:
            raise RequestError(
                "augmentation is random and needs a generator; pass one as rng", key="augment", value=None
            )
        n, height, width = images.shape
        count = min(n, FIELDS, max(1, TABLE_BYTES // (12 * height * width)))
        table: Table | None = getattr(self, "_table", None)
        if table is None or (table.count, table.height, table.width) != (count, height, width):
            table = self._table = Table(count, height, width)
            self._images, self._labels = np.empty((0, height, width), np.uint8), np.empty(0, np.int64)
        for start in range(0, count, table.piece):
            part = slice(start, min(start + table.piece, count))
            table.store(part, *self.fields(rng, part.stop - start, height, width))
        self._field_of = rng.permutation(n) % count

    def batch(self, images: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        n = len(images) if rows is None else len(rows)
        if len(self._images) < n:
            self._images = np.empty((n, *images.shape[1:]), np.uint8)
        self._table.warp(images, rows, self._field_of, self._images[:n])
        return self._images[:n]

    def step(
        self, images: np.ndarray, labels: np.ndarray, rows: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        if rows is not None:
            if len(self._labels) < len(rows):
                self._labels = np.empty(len(rows), np.int64)
            labels = np.take(labels, rows, out=self._labels[: len(rows)], mode="clip")
        return self.batch(images, rows), labels, None


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


@dataclass
class StrokeWidth(Affine):
    """Strokes of another width, combined with the affine distortion, for pens unlike those of the training set.

    Each image draws anew in every epoch, uniformly from -``thinner`` to ``wider``, by how many pixels its strokes
    grow on each side: by grey dilation, or where the number is negative by erosion (Serra 1982). The numbers apply to
    images whose shorter side is 28 pixels, and are scaled for other sizes.
    """

    thinner: float = 0.5
    wider: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        between("thinner", self.thinner, 0, 5, "the largest number of pixels taken away on each side")
        between("wider", self.wider, 0, 5, "the largest number of pixels added on each side")

    def start_epoch(self, images: np.ndarray, rng: np.random.Generator | None) -> None:
        super().start_epoch(images, rng)
        assert rng is not None  # checked by the base class
        n, height, width = images.shape
        drawn = rng.uniform(-self.thinner, self.wider, n) * (min(height, width) / SIDE)
        self._amounts = np.rint(ONE * drawn).astype(np.int32)
        self._strokes = Strokes(self._table.piece, height, width)

    def batch(self, images: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        warped = super().batch(images, rows)
        self._strokes.change(warped, self._amounts if rows is None else self._amounts[rows])
        return warped


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


class Table:
    """Fields in a form that warps images quickly.

    An image gets a frame of zeros. A field stores, for every output pixel, the upper left of the four framed pixels p
    around its place, and their weights w, whole numbers that sum to 256: the output is (sum of w p + 128) // 256, which
    fits in 16 bits.
    """

    def __init__(self, count: int, height: int, width: int) -> None:
        self.count, self.height, self.width = count, height, width
        pixels, framed = height * width, (height + 2) * (width + 2)
        self.piece = piece = max(1, PIECE_PIXELS // pixels)
        self.corners = np.empty((count, pixels), np.int32)
        self.weights = np.empty((count, 4, pixels), np.uint16)
        self.around = (0, 1, width + 2, width + 3)  # the four pixels, counted from the upper left one

        self.chosen, self.gathered = np.empty(piece, np.int64), np.empty((piece, height, width), np.uint8)
        self.framed = np.zeros((piece, height + 2, width + 2), np.uint16)
        self.origins = np.arange(0, piece * framed, framed)[:, None]
        self.w = np.empty((piece, 4, pixels), np.uint16)
        self.corner, self.places = np.empty((piece, pixels), np.int32), np.empty((piece, pixels), np.int64)
        self.total, self.term = np.empty((2, piece, pixels), np.uint16)

    def store(self, part: slice, y: np.ndarray, x: np.ndarray) -> None:
        """Store these fields as ``part`` of the table; places are rounded to 1/256 of a pixel."""
        top, down = self._split(y, self.height)
        left, right = self._split(x, self.width)
        np.multiply(top, self.width + 2, out=top)
        np.add(top, left, out=self.corners[part])
        both = (down * right + ONE // 2) >> 8
        w = self.weights[part]
        w[:, 3] = both
        np.subtract(right, both, out=w[:, 1], casting="unsafe")
        np.subtract(down, both, out=w[:, 2], casting="unsafe")
        np.subtract(ONE - down, right - both, out=w[:, 0], casting="unsafe")

    def warp(self, images: np.ndarray, rows: np.ndarray | None, field_of: np.ndarray, out: np.ndarray) -> None:
        """Warp these rows of the images (None: all), each with its field of the table, into ``out``."""
        for start in range(0, len(out), self.piece):
            part = slice(start, min(start + self.piece, len(out)))
            chosen, gathered = self.chosen[: part.stop - start], self.gathered[: part.stop - start]
            if rows is None:
                chosen, gathered = field_of[part], images[part]
            else:
                np.take(field_of, rows[part], out=chosen, mode="clip")
                np.take(images, rows[part], axis=0, out=gathered, mode="clip")
            self._warp(gathered, chosen, out[part])

    def _warp(self, images: np.ndarray, chosen: np.ndarray, out: np.ndarray) -> None:
        n = len(images)
        self.framed[:n, 1:-1, 1:-1] = images
        pixels = self.framed.reshape(-1)  # the frame of the next line or image also serves the one before
        corner, places, w, total, term = (a[:n] for a in (self.corner, self.places, self.w, self.total, self.term))
        np.take(self.weights, chosen, axis=0, out=w, mode="clip")
        np.take(self.corners, chosen, axis=0, out=corner, mode="clip")
        np.copyto(places, corner)
        np.add(places, self.origins[:n], out=places)
        total.fill(ONE // 2)
        for i, offset in enumerate(self.around):
            np.take(pixels[offset:], places, out=term, mode="clip")
            np.multiply(term, w[:, i], out=term)
            np.add(total, term, out=total)
        np.right_shift(total, 8, out=total)
        np.copyto(out.reshape(total.shape), total, casting="unsafe")

    def _split(self, place: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the framed pixel before each place, and the distance from it in 1/256, flattened per field.

        Places outside the image are read from its frame.
        """
        scaled = np.multiply(place, ONE)
        np.clip(scaled, -ONE, ONE * side, out=scaled)
        np.rint(scaled, out=scaled)
        fixed = scaled.astype(np.int32).reshape(len(place), -1)
        np.add(fixed, ONE, out=fixed)
        return fixed >> 8, fixed & (ONE - 1)


AUGMENTS: dict[str, type[Any]] = {
    "none": NoAugment,
    "shift": Shift,
    "affine": Affine,
    "elastic": Elastic,
    "stroke_width": StrokeWidth,
}
