"""What every augmentation is: random changes of the training images, drawn anew for every epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mnistlab.system.errors import RequestError

Mixture = tuple[np.ndarray, np.ndarray]  # second labels (n,), and the share of the first ones (n,) float32


class Batch(NamedTuple):
    """What a training step uses: images and labels, of which it takes ``rows`` (None: all).

    With a ``mixture``, the target of image i is share_i times that of its label plus 1 - share_i times that of its
    second label.
    """

    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray | None = None
    mixture: Mixture | None = None


@dataclass
class Augment:
    """Base class: `start_epoch` draws everything that is random, then `step` is called for every batch.

    A subclass defines `start_epoch` and `change`.
    """

    def check(self, height: int, width: int) -> None:
        """Refuse what does not go with images of this size."""

    def start_epoch(self, images: np.ndarray, rng: np.random.Generator | None) -> None:
        """Draw everything that is random in the next epoch over these training images."""
        raise NotImplementedError

    def change(self, images: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        """Return a batch of images, (n, height, width) uint8, augmented for this epoch; it may be overwritten.

        ``rows`` are the places of these images among the training images (None: it is all of them, in order).
        """
        raise NotImplementedError

    def mixture(self, labels: np.ndarray, rows: np.ndarray | None) -> Mixture | None:
        """Return the mixture of a batch with these labels, if images are mixed."""
        return None

    def batch(self, images: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return these rows of the images (None: all of them), augmented for this epoch, (n, height, width) uint8.

        The array is overwritten by the next call.
        """
        gathered = self._room(len(images) if rows is None else len(rows), images)
        if rows is None:
            np.copyto(gathered, images)
        else:
            np.take(images, rows, axis=0, out=gathered, mode="clip")
        return self.change(gathered, rows)

    def step(self, images: np.ndarray, labels: np.ndarray, rows: np.ndarray | None) -> Batch:
        """Return what a training step uses instead of these rows of the images and labels."""
        augmented = self.batch(images, rows)
        if rows is not None:
            labels = labels[rows]
        return Batch(augmented, labels, None, self.mixture(labels, rows))

    def _room(self, n: int, like: np.ndarray) -> np.ndarray:
        """Return an array of n images of this size; it is the same memory every time."""
        room: np.ndarray | None = getattr(self, "_images", None)
        if room is None or len(room) < n or room.shape[1:] != like.shape[1:]:
            room = self._images = np.empty((n, *like.shape[1:]), np.uint8)
        return room[:n]


@dataclass
class NoAugment(Augment):
    """The training images as they are."""

    def start_epoch(self, images: np.ndarray, rng: np.random.Generator | None) -> None:
        pass

    def batch(self, images: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        return images if rows is None else images[rows]

    def step(self, images: np.ndarray, labels: np.ndarray, rows: np.ndarray | None) -> Batch:
        return Batch(images, labels, rows)


def needed(rng: np.random.Generator | None) -> np.random.Generator:
    """Return the generator, or refuse its absence."""
    if rng is None:
        raise RequestError("augmentation is random and needs a generator; pass one as rng", key="augment", value=None)
    return rng


def chosen(drawn: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    """Return what was drawn for these training images."""
    return drawn if rows is None else drawn[rows]
