"""Strokes that are drawn wider or thinner: grey dilation and erosion by any number of pixels, also fractions of one."""

from __future__ import annotations

import numpy as np

ONE = 256  # amounts are whole multiples of 1/256 of a pixel


class Strokes:
    """Buffers that change the strokes of images (n, height, width) uint8, ``piece`` of them at a time.

    A pixel is added by the dilation with the cross of five pixels, their largest value, and taken away by the erosion,
    their smallest (Serra 1982). A fraction of a pixel is that part of the way to the next whole one. Outside the image
    is background.
    """

    def __init__(self, piece: int, height: int, width: int) -> None:
        self.piece = piece
        self.framed = np.zeros((piece, height + 2, width + 2), np.uint8)
        self.largest, self.smallest = np.empty((2, piece, height, width), np.uint8)
        self.way = np.empty((piece, height, width), np.uint16)

    def change(self, images: np.ndarray, amounts: np.ndarray) -> None:
        """Widen each image in place by its amount (n,) on every side of a stroke, in 1/256 pixel; negative: thin it."""
        for start in range(0, len(images), self.piece):
            part = slice(start, min(start + self.piece, len(images)))
            amount = amounts[part, None, None]
            for done in range(0, int(np.abs(amount).max(initial=0)), ONE):
                self._step(images[part], np.clip(amount - done, 0, ONE), np.clip(-amount - done, 0, ONE))

    def _step(self, images: np.ndarray, wider: np.ndarray, thinner: np.ndarray) -> None:
        n = len(images)
        framed, largest, smallest, way = (a[:n] for a in (self.framed, self.largest, self.smallest, self.way))
        framed[:, 1:-1, 1:-1] = images
        np.copyto(largest, images)
        np.copyto(smallest, images)
        for rows, columns in ((slice(0, -2), slice(1, -1)), (slice(2, None), slice(1, -1)),
                              (slice(1, -1), slice(0, -2)), (slice(1, -1), slice(2, None))):  # fmt: skip
            neighbour = framed[:, rows, columns]
            np.maximum(largest, neighbour, out=largest)
            np.minimum(smallest, neighbour, out=smallest)
        np.subtract(largest, images, out=largest)
        np.subtract(images, smallest, out=smallest)
        for change, share, combine in ((largest, wider, np.add), (smallest, thinner, np.subtract)):
            np.multiply(change, share.astype(np.uint16), out=way, dtype=np.uint16)
            np.add(way, ONE // 2, out=way)
            np.right_shift(way, 8, out=way)
            combine(images, way, out=images, casting="unsafe")
