"""Weighted samples: images, labels and weights."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from mnistlab.data.splitting import draw
from mnistlab.system.errors import RequestError


@dataclass(frozen=True)
class Samples:
    """Images (n, height, width), labels (n,) int64, and weights (n,) above zero, or None if all are equal."""

    images: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: np.ndarray) -> Samples:
        """Return a copy of the samples in these rows."""
        return Samples(self.images[rows], self.labels[rows], None if self.weights is None else self.weights[rows])

    def merged(self) -> Samples:
        """Return the distinct samples, each with the summed weight of its copies, in an order of their own.

        The order depends on the samples alone, not on their copies or their input order.
        """
        first, group = self._groups()
        alike = self.weights is None and len(first) == len(self)
        weights = None if alike else np.bincount(group, self.weights).astype(self.images.dtype)
        return Samples(self.images[first], self.labels[first], weights)

    def split(self, fraction: float, rng: np.random.Generator) -> tuple[Samples, Samples]:
        """Return a training and a validation set, the latter with a fraction of the distinct samples, stratified.

        Copies of a sample stay together, so that none is in both the training and the validation set.
        A sample of weight two is equivalent to two samples.
        """
        first, group = self._groups()
        if len(first) < 2:
            raise RequestError(
                "early_stopping needs at least two samples, one for training and one for validation",
                key="n_samples",
                value=1,
            )
        count = min(max(1, round(fraction * len(first))), len(first) - 1)
        chosen = np.zeros(len(first), bool)
        chosen[draw(self.labels[first], count, True, rng)] = True
        held_out = chosen[group]
        return self.take(np.flatnonzero(~held_out)), self.take(np.flatnonzero(held_out))

    def _groups(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the first row of each distinct sample, in the order of their hashes, and the sample of each row."""
        rows = np.ascontiguousarray(self.images).reshape(len(self), -1)
        hashes = b"".join(
            blake2b(row.data, digest_size=16, key=int(label).to_bytes(8, "little")).digest()
            for row, label in zip(rows, self.labels, strict=True)
        )
        _, first, group = np.unique(np.frombuffer(hashes, "V16"), return_index=True, return_inverse=True)
        return first, group
