"""Principal components of images: the directions of the largest variance, and the scores of images along them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistlab.system.errors import RequestError

CHUNK = 4096  # images that are converted to float64 at once
MOST = 4096  # rows of the matrix whose eigenvectors are computed, in a time that grows with their cube


@dataclass(frozen=True)
class Components:
    """The ``mean`` image (pixels,), ``axes`` (components, pixels) and ``variances`` (components,) in descending order.

    Axes are orthonormal. The sign of an axis is arbitrary; it is chosen so that the element with the largest absolute
    value is positive. Variances have the denominator n - 1.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    total: float  # the variance of all pixels together

    @property
    def shares(self) -> np.ndarray:
        """Return the fraction of the total variance that each component explains."""
        return self.variances / self.total

    @property
    def cumulative(self) -> np.ndarray:
        """Return the fraction of the variance that the first 1, 2, ... components explain together."""
        return np.minimum(np.cumsum(self.shares), 1.0)

    def needed(self, share: float) -> int:
        """Return the number of components that explain at least this fraction of the variance."""
        return min(int(np.searchsorted(self.cumulative, share - 1e-12)) + 1, len(self.variances))

    def project(self, images: np.ndarray, count: int, scale: float) -> np.ndarray:
        """Return the scores (n, count) of images (n, height, width): scale * (image - mean) . axis, float64."""
        scores = np.empty((len(images), count))
        for start in range(0, len(images), CHUNK):
            part = images[start : start + CHUNK].reshape(-1, self.mean.size)
            scores[start : start + CHUNK] = (part - self.mean) @ self.axes[:count].T * scale
        return scores


def principal_components(images: np.ndarray) -> Components:
    """Return the components of images (n, height, width) of whole numbers, in the units of their pixels.

    The axes are the eigenvectors of the covariance matrix S = 1/(n-1) sum_i (x_i - m)(x_i - m)^T, the variances its
    eigenvalues (Pearson 1901; Hotelling 1933). The sums of pixels and of their products are whole numbers below 2^53
    and so exact in float64, in any order of addition. With fewer images than pixels, the singular values of the centred
    images are used instead, whose squares are (n-1) times the nonzero eigenvalues.

    Raises `RequestError` if there is no variance, or if the matrix would be too large.
    """
    rows = images.reshape(len(images), -1)
    n, pixels = rows.shape
    if n < 2:
        raise RequestError(f"only {n} image; components need two or more")
    if min(n, pixels) > MOST:
        raise RequestError(
            f"{images.shape[1]} x {images.shape[2]} pixels: above {MOST:,} pixels, components are computed from "
            f"at most {MOST:,} images; use smaller images, or set data.limit={MOST}"
        )
    if not (rows != rows[0]).any():
        raise RequestError(f"all {n:,} images are identical, so there is no variance to explain")
    sums = rows.sum(axis=0, dtype=np.float64)
    mean = sums / n
    if n > pixels:
        products = np.zeros((pixels, pixels))
        for start in range(0, n, CHUNK):
            part = rows[start : start + CHUNK].astype(np.float64)
            products += part.T @ part
        covariance = (products - np.outer(sums, mean)) / (n - 1)
        variances, vectors = np.linalg.eigh(covariance)
        variances, axes = variances[::-1], vectors.T[::-1]
        total = float(np.trace(covariance))
    else:
        centred = rows - mean
        _, singular, axes = np.linalg.svd(centred, full_matrices=False)
        variances, axes = singular[:-1] ** 2 / (n - 1), axes[:-1]  # n centred images span n - 1 dimensions
        total = float(np.vdot(centred, centred)) / (n - 1)
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
    axes = axes * np.where(largest < 0, -1.0, 1.0)[:, None]
    return Components(mean, axes, np.maximum(variances, 0.0), total)
