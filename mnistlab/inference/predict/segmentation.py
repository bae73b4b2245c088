"""Segmentation of ink and paper: whether ink is darker or lighter, the brightness of the paper, and where ink is.

Grey levels vary over a photograph with shadows and lighting, often more than faint ink differs from paper. So the paper
is estimated first, as a quadratic surface through the rim and then a morphological opening of the remainder (Serra
1982), and a single threshold (Otsu 1979) is applied to the difference. What stands out and is no digit, such as a
frame, a ruled line or the table around a page, is then painted over, and everything is estimated again: a black frame
would otherwise set the threshold, and pencil inside it would count as paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistlab.inference.predict import clutter
from mnistlab.inference.predict.image_io import UnreadableError

COARSE = 96  # pixels of the longer side on which the paper is estimated
RIM = 0.08  # of the shorter side; the rim is mostly paper
LEAST_CONTRAST = 12.0  # grey levels between ink and paper; less is only the grain of the paper
LEAST_SEPARATION = 4.0  # the same in standard deviations of the paper's noise
LEAST_PART = 0.04  # of the largest connected part: smaller ones are specks
LEAST_FREE = 0.05  # likewise: with such a part away from the edge, those at the edge are taken for a frame or a shadow
LEAST_BELOW = 0.2  # of the contrast of a frame that the ink in it has at least
LEAST_SHARE = 0.04  # of the picture's longer side: what is shorter is no digit that was hidden by a frame
MOST_LAYERS = 3  # a table, then a frame on the page, then ruled lines
CROP = "on a background as uneven as they are; crop the picture to the digits"
NO_INK = "no ink: all grey levels are about equal"


@dataclass(frozen=True)
class Ink:
    """``amount`` (h, w) is 0 on paper and 1 in ink, ``mask`` is true in ink, ``dark`` if ink was darker than paper."""

    amount: np.ndarray
    mask: np.ndarray
    dark: bool


@dataclass(frozen=True)
class Contrast:
    """What differs from the background: ``amount`` (h, w), ``mask`` above the threshold, ``faint`` above less."""

    amount: np.ndarray
    mask: np.ndarray
    faint: np.ndarray
    dark: bool
    levels: float  # between the means on both sides of the threshold


def find(grey: np.ndarray, dark: bool | None = None) -> Ink:
    """Return the ink of a picture (h, w) uint8; ``dark``: whether ink is darker than paper, None to detect it.

    Raises `UnreadableError` for a picture without ink.
    """
    from scipy import ndimage

    seen = _contrast(grey, dark)
    for _ in range(MOST_LAYERS):
        other = clutter.find(seen.mask, seen.faint)
        if other is None:
            break
        grey = clutter.filled(grey, other)
        try:
            below = _contrast(grey, dark)
        except UnreadableError:  # it was all there is
            break
        if below.levels < LEAST_BELOW * seen.levels or _longest(below.mask) < LEAST_SHARE * max(grey.shape):
            break
        seen = below
    mask = _parts(seen.mask)
    near = ndimage.binary_dilation(mask, iterations=max(1, round(max(grey.shape) / 300)))
    return Ink(np.where(near, seen.amount, 0).astype(np.float32), mask, seen.dark)


def _contrast(grey: np.ndarray, dark: bool | None) -> Contrast:
    from scipy import ndimage

    levels = grey.astype(np.float32)
    coarse = _coarse(levels)
    surface = _surface(coarse)
    if dark is None:
        # ink is a small part of a picture and far from the rest: the sum of cubed differences has its sign
        dark = float(((coarse - surface) ** 3).sum()) < 0
    signed = (levels - _enlarged(surface, levels.shape)) * (-1 if dark else 1)
    coarse = _coarse(signed)
    side = max(3, max(coarse.shape) // 2)
    paper = ndimage.grey_opening(coarse, (side, side))
    amount = signed - _enlarged(paper, levels.shape)
    smooth = ndimage.gaussian_filter(amount, max(levels.shape) / 500)
    if np.ptp(smooth) < LEAST_CONTRAST:
        raise UnreadableError(NO_INK)
    threshold, contrast = otsu(smooth)
    if contrast < LEAST_CONTRAST:
        raise UnreadableError(NO_INK)
    mask = smooth > threshold
    paper_only = smooth[~mask]
    base = float(np.median(paper_only))
    noise = float(1.4826 * np.median(np.abs(paper_only - base)))
    if contrast < LEAST_SEPARATION * noise:
        raise UnreadableError(_marks(mask))
    # from halfway between paper and threshold to as far beyond it: the paper's grain is below, ink saturates
    reach = threshold - base
    amount = np.clip((amount - base - 0.5 * reach) / reach, 0, 1)
    return Contrast(amount, mask, smooth > base + max(0.5 * reach, 3 * noise), dark, contrast)


def _marks(mask: np.ndarray) -> str:
    """Return the reason for refusing a picture in which nothing stands out from many small marks."""
    from scipy import ndimage

    _, count = ndimage.label(mask, np.ones((3, 3)))
    marks = f"{count:,} marks" if count > 1 else "one mark"
    return f"no digit stands out: there are {marks}, the longest of {_longest(mask)} pixels, {CROP}"


def _longest(mask: np.ndarray) -> int:
    """Return the longer side of the largest connected part."""
    from scipy import ndimage

    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    return max((max(s.stop - s.start for s in box) for box in ndimage.find_objects(labels)), default=0)


def otsu(values: np.ndarray) -> tuple[float, float]:
    """Return the threshold that maximises the variance between the two classes, and the difference of their means."""
    counts, edges = np.histogram(values, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1].astype(float)
    above = values.size - below
    total = np.cumsum(counts * centres)
    mean_below = total[:-1] / np.maximum(below, 1)
    mean_above = (total[-1] - total[:-1]) / np.maximum(above, 1)
    between = below * above * (mean_above - mean_below) ** 2
    best = int(np.argmax(between))
    return float(edges[best + 1]), float(mean_above[best] - mean_below[best])


def _surface(coarse: np.ndarray) -> np.ndarray:
    """Return the quadratic surface through the rim, fitted without outliers."""
    h, w = coarse.shape
    y, x = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing="ij"))
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    thick = max(1, round(RIM * min(h, w)))
    rim = np.ones((h, w), bool)
    rim[thick:-thick, thick:-thick] = False
    values, at_rim = coarse[rim], terms[rim.ravel()]
    fitted = np.full(values.shape, np.median(values))
    for _ in range(4):
        away = np.abs(values - fitted)
        kept = away <= max(4.0, 2.5 * 1.4826 * float(np.median(away)))
        solution, *_ = np.linalg.lstsq(at_rim[kept], values[kept], rcond=None)
        fitted = at_rim @ solution
    # a surface through few points is meaningless beyond the range of the levels
    return np.clip(terms @ solution, coarse.min(), coarse.max()).reshape(h, w)


def _parts(mask: np.ndarray) -> np.ndarray:
    """Return the connected parts that may be digits: no specks, and none at the edge if there are others.

    Beside several digits, a part at the edge that is about as tall is one more.
    """
    from scipy import ndimage

    labels, count = ndimage.label(mask, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    free = sizes.copy()
    free[edge] = 0
    if free.max() < LEAST_FREE * sizes.max():
        return (sizes >= max(1.0, LEAST_PART * sizes.max()))[labels]
    heights = np.array([0, *(box[0].stop - box[0].start for box in ndimage.find_objects(labels))])
    tall = heights[(free > 0) & (heights >= 0.5 * heights[free > 0].max())]
    if len(tall) > 1:
        like = (heights >= 0.7 * np.median(tall)) & (heights <= 1.5 * np.median(tall)) & (sizes <= 2 * free.max())
        free = np.where(like, sizes, free)
    return (free >= max(1.0, LEAST_PART * free.max()))[labels]


def _coarse(levels: np.ndarray) -> np.ndarray:
    """Return the picture averaged down to at most `COARSE` pixels per side."""
    from PIL import Image

    h, w = levels.shape
    factor = max(h, w) / COARSE
    if factor <= 1:
        return levels
    size = max(3, round(w / factor)), max(3, round(h / factor))
    return np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BOX))


def _enlarged(coarse: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    from PIL import Image

    h, w = shape
    return np.asarray(Image.fromarray(coarse.astype(np.float32)).resize((w, h), Image.Resampling.BILINEAR))
