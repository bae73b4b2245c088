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
MOST_MISFIT = 0.03  # of the range of levels: how far the rim may be from the surface through it
OPENINGS = (2, 4, 8)  # sides of the square, in parts of the picture's longer side
CLEAR = 10.0  # standard deviations of the paper that ink is away from it where the largest square will do
LEAST_PART = 0.04  # of the largest connected part: smaller ones are specks
LEAST_FREE = 0.25  # likewise: with such a part away from the edge, those at the edge are taken for a frame or a shadow
LEAST_BELOW = 0.2  # of the contrast of a frame that the ink in it has at least
LEAST_SHARE = 0.04  # of the picture's longer side: what is shorter is no digit that was hidden by a frame
MOST_LAYERS = 3  # a frame, the lines in it, and what they hid
MOST_PAGES = 2  # a page, and a printed field on it
PAGE_THRESHOLDS = (0.5, 0.25, 1.0)  # of Otsu's, in this order
LEAST_PAGE_CONTRAST = 25.0  # grey levels between a page and the table
CROP = "on an uneven background; crop the picture to the digits"
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
    noise: float  # the standard deviation of the background

    @property
    def is_clear(self) -> bool:
        """Return whether the difference stands out from the unevenness of the background."""
        return self.levels >= LEAST_SEPARATION * self.noise


def find(grey: np.ndarray, dark: bool | None = None) -> Ink:
    """Return the ink of a picture (h, w) uint8; ``dark``: whether ink is darker than paper, None to detect it.

    Raises `UnreadableError` for a picture without ink.
    """
    from scipy import ndimage

    grey, seen = _on_page(grey, dark)
    for _ in range(MOST_LAYERS):
        other = clutter.find(seen.mask, seen.faint)
        if other is None:
            break
        grey = clutter.filled(grey, other)
        try:
            below = _contrast(grey, dark)
        except UnreadableError:  # it was all there is
            break
        enough = below.levels >= LEAST_BELOW * seen.levels and _longest(below.mask) >= LEAST_SHARE * max(grey.shape)
        if seen.is_clear and not (enough and below.is_clear):
            break
        seen = below
    if not seen.is_clear:
        raise UnreadableError(_marks(seen.mask))
    mask = _parts(seen.mask)
    near = ndimage.binary_dilation(mask, iterations=max(1, round(max(grey.shape) / 300)))
    return Ink(np.where(near, seen.amount, 0).astype(np.float32), mask, seen.dark)


def _contrast(grey: np.ndarray, dark: bool | None) -> Contrast:
    from scipy import ndimage

    levels = grey.astype(np.float32)
    coarse = _coarse(levels)
    surface = _surface(coarse)
    if dark is None:
        dark = _is_dark(coarse, surface)
    signed = (levels - _enlarged(surface, levels.shape)) * (-1 if dark else 1)
    coarse = _coarse(signed)
    amount = signed - _enlarged(_paper(coarse), levels.shape)
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
    # from halfway between paper and threshold to as far beyond it: the paper's grain is below, ink saturates
    reach = threshold - base
    amount = np.clip((amount - base - 0.5 * reach) / reach, 0, 1)
    return Contrast(amount, mask, smooth > base + max(0.5 * reach, 3 * noise), dark, contrast, noise)


def _on_page(grey: np.ndarray, dark: bool | None) -> tuple[np.ndarray, Contrast]:
    """Return the picture with the surroundings of a page painted over, and what then differs from its background."""
    for _ in range(MOST_PAGES):
        if (outside := _outside_of_page(grey)) is None:
            break
        inner = clutter.filled(grey, outside)
        try:
            _contrast(inner, dark)
        except UnreadableError:  # a page without ink is a thick stroke
            break
        grey = inner
    return grey, _contrast(grey, dark)


def _outside_of_page(grey: np.ndarray) -> np.ndarray | None:
    """Return the pixels around a page or a screen that fills a large part of the picture; None if there is none."""
    coarse = _coarse(grey.astype(np.float32))
    signed = coarse - _surface(coarse)
    for levels in (signed, -signed):
        threshold, contrast = otsu(levels) if np.ptp(levels) >= LEAST_PAGE_CONTRAST else (0.0, 0.0)
        if contrast < LEAST_PAGE_CONTRAST or threshold <= 0:
            continue
        for share in PAGE_THRESHOLDS:  # the light may fall until the page is hardly lighter than the table
            inside = clutter.page(levels > share * threshold)
            if inside is not None and inside.any() and np.ptp(coarse[inside]) >= LEAST_CONTRAST:
                return _enlarged(inside, grey.shape) < 0.5
    return None


def _is_dark(coarse: np.ndarray, surface: np.ndarray) -> bool:
    """Return whether ink is darker than paper.

    Ink is a small part of a picture and far from the rest, so the sum of cubed differences has its sign. They are taken
    from the surface, or from the median around each place where the surface does not fit the rim because of a shadow.
    """
    from scipy import ndimage

    misfit = float(np.percentile(np.abs(coarse - surface)[_rim(coarse.shape)], 75))
    if misfit >= MOST_MISFIT * np.ptp(coarse):
        surface = ndimage.median_filter(coarse, max(3, max(coarse.shape) // 4))
    return float(((coarse - surface) ** 3).sum()) < 0


def _rim(shape: tuple[int, ...]) -> np.ndarray:
    """Return the mask of the pixels near the edge of a picture."""
    thick = max(1, round(RIM * min(shape)))
    rim = np.ones(shape, bool)
    rim[thick:-thick, thick:-thick] = False
    return rim


def _paper(coarse: np.ndarray) -> np.ndarray:
    """Return the opening by a square that no stroke fills: a large one, or where shadows need it a smaller one."""
    from scipy import ndimage

    best, clearest = None, 0.0
    for share in OPENINGS:
        side = max(3, max(coarse.shape) // share)
        paper = ndimage.grey_opening(coarse, (side, side))
        rest = coarse - paper
        threshold, contrast = otsu(rest) if np.ptp(rest) > 0 else (0.0, 0.0)
        below = rest[rest <= threshold]
        noise = 1.4826 * float(np.median(np.abs(below - np.median(below))))
        clear = contrast / max(noise, 1.0)
        if best is None or clear > clearest:
            best, clearest = paper, clear
        if clear >= CLEAR:
            break
    assert best is not None
    return best


def _marks(mask: np.ndarray) -> str:
    """Return the reason for refusing a picture in which nothing stands out from many small marks."""
    from scipy import ndimage

    _, count = ndimage.label(mask, np.ones((3, 3)))
    marks = f"there are {count:,} marks, the longest" if count > 1 else "there is one mark"
    return f"no digit stands out: {marks} of {_longest(mask)} pixels, {CROP}"


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
    rim = _rim(coarse.shape)
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
