"""Preprocessing of pictures as in the dataset that a network was trained on.

``digit``, as in MNIST (LeCun et al. 1998, section III-A): size-normalised to fit a 20 x 20 box with its aspect ratio
kept and grey levels from antialiasing, then placed in 28 x 28 by its centre of mass. Measured on MNIST itself: the
longer side is 20 in every image, and the centre of mass is at pixel 14.0 after whole-pixel shifts. EMNIST has a box of
24, centred (Cohen et al. 2017). scikit-learn's digits are all 8 high, and three in four of them 6 wide: ink is
stretched to that size. ``object``, as in Fashion-MNIST (Xiao et al. 2017, section 2): uniform margins are trimmed, the
longer side becomes that of the network, light on dark, centred; grey levels are kept. ``raw``: the picture is only
resized.

A picture of the network's size is taken as it is only where it looks like one of the dataset: a drawing of 28 x 28 that
fills the frame is no image of MNIST.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from mnistlab.data.formats.record import Options
from mnistlab.inference.predict import grouping, segmentation
from mnistlab.inference.predict.image_io import Picture, UnreadableError
from mnistlab.runs.saved_run import SavedRun

DARK_RIM = 16  # the largest median of the border pixels for which a small picture counts as already light on dark
THIN = 2.0  # pixels in a box of 20: MNIST's strokes have about 3, and strokes thinner than this become faint dots
THIN_ON = 28  # pixels of the network's side from which on the width of strokes is checked
THICKENED_SIDE = 160  # pixels: larger digits are made smaller before, or a wide dilation would take minutes
INKED = 32  # the level from which on a pixel of an image of MNIST counts as inked
NEARLY_WHITE = 224  # the level from which on it is no longer grey
BOX = (-3, 2)  # how much shorter or longer than the box the longer side of its ink may be
OFF_CENTRE = 2.5  # pixels of its centre of mass from the middle
LEAST_GREY = 0.1  # of the inked pixels: antialiasing leaves at least so many
MARGIN_LEVELS = 13  # 5 % of the levels: Fashion-MNIST trimmed margins within 5 % of the corner's colour


class Way(Enum):
    """How a picture is prepared."""

    digit = "digit"
    object = "object"
    raw = "raw"


@dataclass(frozen=True)
class Style:
    """The preprocessing of a dataset: its kind, the size of the box for the ink, and how it is centred."""

    way: Way
    box: float = 20 / 28  # of the network's side
    by_mass: bool = True
    width: float | None = None  # of the network's side, if ink is stretched to this width and the box's height
    several: bool = True  # a picture may show several digits


MNIST = Style(Way.digit)
EMNIST = Style(Way.digit, 24 / 28, by_mass=False)
FULL = Style(Way.digit, 1.0, by_mass=False, several=False)  # a character of hiragana has several parts
STYLES = {
    "mnist": MNIST,
    "mnist5k": MNIST,
    "emnist_digits": EMNIST,
    "emnist_letters": EMNIST,
    "emnist_balanced": EMNIST,
    "emnist_byclass": EMNIST,
    "emnist_bymerge": EMNIST,
    "emnist_mnist": EMNIST,
    "kmnist": FULL,
    "digits": Style(Way.digit, 1.0, by_mass=False, width=6 / 8),
    "fashion_mnist": Style(Way.object),
}
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Prepared:
    """The input of the network, (h, w) uint8, and a description of the preprocessing.

    ``box`` is where the digit is in the original picture: left, top, width, height in pixels. ``line`` is its line of
    digits, counted from 0.
    """

    image: np.ndarray
    done: str
    box: tuple[int, int, int, int]
    line: int = 0


def style_of(dataset: str | None, class_names: tuple[str, ...], shape: tuple[int, int]) -> Style:
    """Return the style of a dataset; for a model file alone that of MNIST, if it takes ten digits of 28 x 28 pixels.

    The user's own data was only resized, and so are pictures for it.
    """
    if dataset is None and class_names == DIGITS and shape == (28, 28):
        return MNIST
    return STYLES.get(dataset or "", Style(Way.raw))


def prepare(picture: Picture, shape: tuple[int, int], style: Style, dark: bool | None) -> Prepared:
    """Return a picture of one digit or object as input for a network with images of ``shape``.

    ``dark`` as in `segmentation.find`; where it is None, a picture that looks like one of the dataset is not changed.
    """
    (prepared,) = prepare_all(picture, shape, replace(style, several=False), dark)
    return prepared


def prepare_all(
    picture: Picture, shape: tuple[int, int], style: Style, dark: bool | None, like: Options | None = None
) -> list[Prepared]:
    """Return the inputs for the digits of a picture in reading order: one, unless ``style.several`` allows more.

    A picture that is only resized is exchanged and inverted ``like`` the pictures in training; ``dark`` overrides that.
    """
    grey, like = picture.grey, like or Options()
    whole = (0, 0, picture.width, picture.height)
    if style.way is Way.raw:
        return [Prepared(*_raw(grey, shape, like.invert if dark is None else dark, bool(like.transpose)), whole)]
    if (same := _as_it_is(grey, shape, style, dark)) is not None:
        return [Prepared(*same, whole)]
    if style.way is Way.object:
        return [Prepared(*_object(grey, shape, dark), whole)]
    ink = segmentation.find(grey, dark)
    of_digits = (
        [(*_amount_of(ink, each), each.line) for each in grouping.split(ink.mask)]
        if style.several
        else [(ink.amount, (0, 0), 0)]
    )
    prepared = []
    x, y = picture.width / grey.shape[1], picture.height / grey.shape[0]
    for amount, (top, left), line in of_digits:
        image, done, (rows, columns) = _digit(amount, shape, style)
        sides = round(x * (left + columns.start)), round(y * (top + rows.start))
        ends = round(x * (left + columns.stop)), round(y * (top + rows.stop))
        box = (*sides, ends[0] - sides[0], ends[1] - sides[1])
        prepared.append(
            Prepared(image, ", ".join(["dark on light" if ink.dark else "light on dark", *done]), box, line)
        )
    return prepared


def _as_it_is(
    grey: np.ndarray, shape: tuple[int, int], style: Style, dark: bool | None
) -> tuple[np.ndarray, str] | None:
    """Return a picture that looks like one of the dataset, or like its negative, unchanged; None for any other."""
    if grey.shape != shape:
        return None
    for image, done in ((grey, "unchanged"), (255 - grey, "dark on light, unchanged")):
        if dark is not None and dark is not (image is not grey):
            continue
        if not is_light_on_dark(image):
            continue
        if image.min() == image.max():
            raise UnreadableError("blank: all pixels are equal")
        if _in_frame(image, style):
            return image, done
    return None


def is_light_on_dark(grey: np.ndarray) -> bool:
    """Return whether a picture has a dark rim, as the images of MNIST have."""
    return bool(np.median(_rim(grey)) <= DARK_RIM)


def _in_frame(image: np.ndarray, style: Style) -> bool:
    """Return whether the ink of a light-on-dark image has the place, the size and the grey levels of the dataset."""
    inked = image >= INKED
    side = min(image.shape)
    if style.way is not Way.digit or side < THIN_ON or style.box == 1:  # nothing distinguishes these
        return True
    if not inked.any():
        return False
    rows, columns = _span(inked)
    longer = max(rows.stop - rows.start, columns.stop - columns.start)
    least, most = (round(style.box * side) + more * side / 28 for more in BOX)
    if style.by_mass:
        centre = _centre_of_mass(image.astype(np.float64))
    else:
        centre = (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2
    off = max(abs(c - s / 2) for c, s in zip(centre, image.shape, strict=True))
    return (
        least <= longer <= most
        and off <= OFF_CENTRE * side / 28
        and float((image[inked] < NEARLY_WHITE).mean()) > LEAST_GREY
    )


def _amount_of(ink: segmentation.Ink, digit: grouping.Digit) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the ink of one digit without that of its neighbours, and the place of its upper left corner."""
    from scipy import ndimage

    margin = max(2, round(max(ink.mask.shape) / 300) + 1)
    top, left = max(digit.rows.start - margin, 0), max(digit.columns.start - margin, 0)
    around = slice(top, digit.rows.stop + margin), slice(left, digit.columns.stop + margin)
    own = np.zeros(ink.mask[around].shape, bool)
    own[digit.rows.start - top : digit.rows.stop - top, digit.columns.start - left : digit.columns.stop - left] = (
        digit.mask
    )
    others = ndimage.binary_dilation(ink.mask[around] & ~own, iterations=margin - 1) & ~own
    return np.where(others, 0, ink.amount[around]), (top, left)


def _raw(grey: np.ndarray, shape: tuple[int, int], inverted: bool, transposed: bool) -> tuple[np.ndarray, str]:
    image, done = grey, []
    if transposed:
        image = np.ascontiguousarray(image.T)
        done.append("transposed")
    if inverted:
        image = 255 - image
        done.append("inverted")
    if image.shape != shape:
        image = _resized(image, shape)
        done.append("resized")
    return image, ", ".join(done) or "unchanged"


def _digit(
    amount: np.ndarray, shape: tuple[int, int], style: Style
) -> tuple[np.ndarray, list[str], tuple[slice, slice]]:
    """Return a digit, whose ink is ``amount`` from 0 to 1, as input, what was done to it, and its rows and columns."""
    box, done = style.box * min(shape), []
    rows, columns = _span(amount > 0.5)
    longer = max(rows.stop - rows.start, columns.stop - columns.start)
    inked = amount[rows, columns]
    if min(shape) >= THIN_ON and _missing(inked > 0.5, longer / 20) >= 1:
        factor = max(1, longer // THICKENED_SIDE)
        inked = _largest_of_blocks(inked, factor)
        inked = _thickened(inked, max(1, _missing(inked > 0.5, longer / factor / 20)))
        done.append("thickened")
    fitted = _fitted(inked.shape, round(box)) if style.width is None else (round(box), round(style.width * shape[1]))
    small = _resized(inked, fitted)
    top = small.max()
    small = np.clip(small / top if top > 0 else small, 0, 1)
    image = _placed(small, shape, _centre_of_mass(small) if style.by_mass else None)
    return np.rint(255 * image).astype(np.uint8), done, (rows, columns)


def _object(grey: np.ndarray, shape: tuple[int, int], dark: bool | None) -> tuple[np.ndarray, str]:
    rim = float(np.median(_rim(grey)))
    if dark is None:
        dark = rim > 127  # the object is then assumed to be darker than its background, which becomes black
    levels = 255.0 - grey if dark else grey.astype(np.float64)
    background = 255 - rim if dark else rim
    levels = np.clip(levels - background, 0, None) * (255 / max(255 - background, 1))
    if not (levels > MARGIN_LEVELS).any():
        raise UnreadableError("blank: all grey levels are about equal")
    rows, columns = _span(levels > MARGIN_LEVELS)
    small = _resized(levels[rows, columns].astype(np.float32), _fitted(levels[rows, columns].shape, min(shape)))
    image = _placed(small, shape, None)
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8), "dark on light" if dark else "light on dark"


def _missing(mask: np.ndarray, pixel: float) -> int:
    """Return how many pixels strokes must grow on each side to be `THIN` wide; ``pixel`` is a twentieth of the box."""
    return int((THIN * pixel - stroke_width(mask)) / 2 + 0.5)


def stroke_width(mask: np.ndarray) -> float:
    """Return the width of strokes in pixels.

    The distances to paper across a stroke of w pixels are 1, 2, ..., 2, 1. Their mean is m = (w + 1)^2 / (4 w), and of
    its two solutions w = 2 m - 1 + 2 sqrt(m^2 - m) is the larger.
    """
    from scipy import ndimage

    m = float(ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1][mask].mean())
    return 2 * m - 1 + 2 * math.sqrt(m * m - m)


def _largest_of_blocks(amount: np.ndarray, side: int) -> np.ndarray:
    """Return the largest value of every block of side x side pixels, which keeps strokes that are thinner than one."""
    h, w = amount.shape
    padded = np.pad(amount, ((0, -h % side), (0, -w % side)))
    return np.asarray(padded.reshape(padded.shape[0] // side, side, -1, side).max(axis=(1, 3)))


def _thickened(amount: np.ndarray, more: int) -> np.ndarray:
    from scipy import ndimage

    offsets = np.arange(-more, more + 1)
    disk = offsets[:, None] ** 2 + offsets**2 <= more**2 + 1
    return ndimage.grey_dilation(np.pad(amount, more), footprint=disk)


def _span(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns of the bounding box of the true elements."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _fitted(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    h, w = shape
    return max(1, round(side * h / max(h, w))), max(1, round(side * w / max(h, w)))


def _resized(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the image in this size; when reducing, Pillow's bilinear filter averages over all pixels."""
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize(shape[::-1], Image.Resampling.BILINEAR))


def _centre_of_mass(image: np.ndarray) -> tuple[float, float]:
    mass = float(image.sum())
    return (
        float(image.sum(axis=1) @ np.arange(image.shape[0])) / mass,
        float(image.sum(axis=0) @ np.arange(image.shape[1])) / mass,
    )


def _placed(image: np.ndarray, shape: tuple[int, int], centre: tuple[float, float] | None) -> np.ndarray:
    """Return ``image`` in a black one of ``shape``, with ``centre`` at the pixel (h/2, w/2), or else in the middle.

    Shifts are whole pixels, as in MNIST, and never move ink out of the frame.
    """
    out = np.zeros(shape, np.float64)
    starts = []
    for axis in (0, 1):
        free = shape[axis] - image.shape[axis]
        start = free // 2 if centre is None else round(shape[axis] / 2 - centre[axis])
        starts.append(min(max(start, 0), free))
    out[starts[0] : starts[0] + image.shape[0], starts[1] : starts[1] + image.shape[1]] = image
    return out


def _rim(grey: np.ndarray) -> np.ndarray:
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def style_of_run(run: SavedRun, way: str, several: bool = True) -> Style:
    """Return the preprocessing of pictures, that of the run's dataset or the requested one.

    With ``several``, a picture may show more than one digit, if each class is one character.
    """
    data = run.environment.get("data")
    name = data.get("name") if isinstance(data, dict) else None
    style = style_of(name if isinstance(name, str) else None, run.class_names, run.network.image_shape)
    if way not in ("auto", style.way.value):
        style = Style(Way(way))
    one_character = all(len(class_name) == 1 for class_name in run.class_names)
    return replace(style, several=several and style.several and one_character)
