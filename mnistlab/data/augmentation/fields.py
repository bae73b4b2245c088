"""Augmentation by fields: random warps, drawn as a table per epoch.

A *field* gives for every output pixel the place (y, x) in the image where it is read, with bilinear interpolation
between pixels; everything outside the image is 0, the background. Each epoch draws a table of fields, and assigns one
of them to every training image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistlab.data.augmentation.base import Augment, needed

FIELDS = 2048  # of a table: more of them would take longer to draw, and would not fit in the cache
TABLE_BYTES = 2**25  # larger images have fewer fields, so that memory stays bounded
PIECE_PIXELS = 64 * 28 * 28  # pixels that are drawn or warped at once, for the same reason
ONE = 256  # places and weights are whole multiples of 1/256


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
        """Draw a table of fields, and which of them each image gets."""
        rng = needed(rng)
        n, height, width = images.shape
        count = min(n, FIELDS, max(1, TABLE_BYTES // (12 * height * width)))
        table: Table | None = getattr(self, "_table", None)
        if table is None or (table.count, table.height, table.width) != (count, height, width):
            table = self._table = Table(count, height, width)
        for start in range(0, count, table.piece):
            part = slice(start, min(start + table.piece, count))
            table.store(part, *self.fields(rng, part.stop - start, height, width))
        self._field_of = rng.permutation(n) % count

    def batch(self, images: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        warped = self._room(len(images) if rows is None else len(rows), images)
        self._table.warp(images, rows, self._field_of, warped)
        return warped

    def change(self, images: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        warped = self._room(len(images), images)
        self._table.warp(images, None, self._field_of if rows is None else self._field_of[rows], warped)
        return warped


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
