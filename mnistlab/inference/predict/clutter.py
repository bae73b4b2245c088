"""What stands out in a picture and is no digit: the surroundings of a page, frames, and the lines of ruled paper.

All are found in a mask of what differs from the background. The outline of a page is a quadrilateral: the four points
farthest along the diagonals then span it, but only 2 / pi of an ellipse, so that a zero is no page. A frame is
along three sides of its box at least. Lines are found with a Hough transform (Duda & Hart 1972) of thin runs of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST_TOUCH = 0.25  # of the shorter side: a part with so many pixels at the edge is a table, a thumb or a shadow
LEAST_PAGE, LEAST_OF_BOX = 0.25, 0.65  # the shares of the picture and of its own box that a page takes at least
QUADRILATERAL = 0.85  # the common share of the filled and the spanned area
SOLID = 0.8  # the share of the filled area that is paper
LEAST_FRAME, HOLLOW = 0.4, 0.4  # of each side of the picture that a frame takes at least, and of its box at most
BAND, ALONG = 0.08, 0.7  # the width of the rim of a frame's box, and how much of a side it must run along
THICK = 0.03  # of the shorter side: thicker strokes are no ruled lines
STEEPEST = 0.14  # the largest slope of a line: eight degrees
COLUMNS = 256  # that are looked at for lines
UNBROKEN = 0.8  # of its length that is seen of a line
LEAST_LINE = 0.4  # of the picture's width: the shortest line
AT_EDGE = 0.03  # of the width: a line that begins and ends so near to the edges is none of a digit
PARALLEL = 3  # so many lines are ruled, also where they end before the edges
MOST_LINES = 60


def page(mask: np.ndarray) -> np.ndarray | None:
    """Return the inside of a page or a screen, without its edge, in a mask of what differs from the picture's rim.

    None if there is none.
    """
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    for i, box in enumerate(ndimage.find_objects(labels)[:count]):
        part = labels[box] == i + 1
        if part.size < LEAST_PAGE * mask.size:
            continue
        filled = ndimage.binary_fill_holes(part)
        area = float(filled.sum())
        if area < LEAST_OF_BOX * part.size or part.sum() < SOLID * area or not _is_quadrilateral(filled):
            continue
        inside = np.zeros(mask.shape, bool)
        inside[box] = ndimage.binary_erosion(filled, iterations=max(1, round(0.02 * min(part.shape))))
        return inside
    return None


def find(mask: np.ndarray, faint: np.ndarray) -> np.ndarray | None:
    """Return the pixels (h, w) of lines, frames and what lies at the edge; None if there are none.

    ``mask`` is true where the picture differs from its background; ``faint`` contains weaker differences too.
    """
    from scipy import ndimage

    other = ruled(faint)
    beside = ndimage.binary_dilation(other, np.ones((3, 3)), iterations=2)
    labels, count = ndimage.label(mask & ~ndimage.binary_dilation(other, np.ones((3, 3))), np.ones((3, 3)))
    boxes = ndimage.find_objects(labels)
    border = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
    touching = np.bincount(border, minlength=count + 1) >= max(3.0, LEAST_TOUCH * min(mask.shape))
    near_line = np.bincount(labels[beside], minlength=count + 1) > 0
    for i, box in enumerate(boxes):
        h, w = (side.stop - side.start for side in box)
        corner = near_line[i + 1] and max(h, w) <= _thickest(mask) + 2  # what remains where lines meet
        large = h >= LEAST_FRAME * mask.shape[0] and w >= LEAST_FRAME * mask.shape[1]
        if corner or touching[i + 1] or (large and _is_frame(labels[box] == i + 1)):
            other[box] |= labels[box] == i + 1
    return other if other.any() else None


def _is_frame(part: np.ndarray) -> bool:
    """Return whether a hollow part runs along at least three sides of its box."""
    h, w = part.shape
    if min(h, w) < 8 or part.sum() > HOLLOW * part.size:
        return False
    near_y, near_x = max(1, round(BAND * h)), max(1, round(BAND * w))
    along = (part[:near_y].any(0), part[-near_y:].any(0), part[:, :near_x].any(1), part[:, -near_x:].any(1))
    return sum(side.mean() >= ALONG for side in along) >= 3


def _is_quadrilateral(filled: np.ndarray) -> bool:
    """Return whether a shape is about the same as the quadrilateral of its points farthest along the diagonals."""
    from PIL import Image, ImageDraw

    y, x = np.nonzero(filled)
    corners = [int(f(s)) for s, f in ((x + y, np.argmin), (x - y, np.argmax), (x + y, np.argmax), (x - y, np.argmin))]
    drawn = Image.new("1", filled.shape[::-1])
    ImageDraw.Draw(drawn).polygon([(int(x[i]), int(y[i])) for i in corners], fill=1, outline=1)
    spanned = np.asarray(drawn, bool)
    return bool((spanned & filled).sum() >= QUADRILATERAL * (spanned | filled).sum())


@dataclass(frozen=True)
class Line:
    """A nearly horizontal line: its ends, its height in the middle, and the runs (column, top, bottom) on it."""

    left: int
    right: int
    height: float
    runs: np.ndarray


def ruled(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of ruled lines, and of straight frames that a digit may touch, without the crossing strokes."""
    lines, down = _lines(mask), _lines(mask.T)
    out = np.zeros(mask.shape, bool)
    _draw(out, _not_of_digits(lines, mask.shape[1]))
    _draw(out.T, _not_of_digits(down, mask.shape[0]))
    for across, upright in _rectangles(lines, down, mask.shape):
        _draw(out, across)
        _draw(out.T, upright)
    return out


def _not_of_digits(lines: list[Line], width: int) -> list[Line]:
    if len(lines) >= PARALLEL:
        return lines
    return [line for line in lines if line.left <= AT_EDGE * width and line.right >= (1 - AT_EDGE) * width - 1]


def _rectangles(
    lines: list[Line], down: list[Line], shape: tuple[int, ...]
) -> list[tuple[tuple[Line, Line], tuple[Line, Line]]]:
    """Return the pairs of lines and of upright lines that form a rectangle."""
    near_x, near_y = 0.05 * shape[1], 0.05 * shape[0]
    found = []
    for i, top in enumerate(lines):
        for bottom in lines[i + 1 :]:
            if abs(top.left - bottom.left) > near_x or abs(top.right - bottom.right) > near_x:
                continue
            low, high = sorted((top.height, bottom.height))
            sides = [
                next(
                    (
                        one
                        for one in down
                        if abs(one.height - x) <= near_x
                        and abs(one.left - low) <= near_y
                        and abs(one.right - high) <= near_y
                    ),
                    None,
                )
                for x in ((top.left + bottom.left) / 2, (top.right + bottom.right) / 2)
            ]
            if sides[0] is not None and sides[1] is not None:
                found.append(((top, bottom), (sides[0], sides[1])))
    return found


def _draw(out: np.ndarray, lines: list[Line] | tuple[Line, ...]) -> None:
    for line in lines:
        for column, top, bottom in line.runs:
            out[max(top - 1, 0) : bottom + 1, column] = True


def _runs(mask: np.ndarray) -> np.ndarray:
    """Return the vertical runs of true pixels as rows (column, top, bottom), with ``bottom`` after the last pixel."""
    steps = np.diff(np.pad(mask.T, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    column, top = np.nonzero(steps == 1)
    _, bottom = np.nonzero(steps == -1)
    return np.stack([column, top, bottom], axis=1)


def _lines(mask: np.ndarray) -> list[Line]:
    """Return the thin, straight, nearly horizontal lines of a mask, the longest first."""
    height, width = mask.shape
    runs = _runs(mask)
    runs = runs[runs[:, 2] - runs[:, 1] <= _thickest(mask)]
    if len(runs) > MOST_LINES * width:  # a texture: lines would be found everywhere
        return []
    step = -(-width // COLUMNS)
    near = max(1.5, height / 200)  # how far the middle of a run may be from the line
    slopes = np.linspace(-STEEPEST, STEEPEST, 57)
    lines: list[Line] = []
    while len(runs) and len(lines) < MOST_LINES:
        sample = runs[runs[:, 0] % step == 0]
        middle, from_centre = (sample[:, 1] + sample[:, 2]) / 2, sample[:, 0] - width / 2
        votes, slope, offset = 0, 0.0, 0.0
        for candidate in slopes:
            places = np.rint((middle - candidate * from_centre) / near).astype(int)
            low = places.min(initial=0)
            counts = np.bincount(places - low, minlength=2)
            both = counts[:-1] + counts[1:]  # a line between two bins has its votes in both
            if both.size and both.max() > votes:
                votes, slope, offset = int(both.max()), float(candidate), near * (int(both.argmax()) + low + 0.5)
        if votes * step < LEAST_LINE * UNBROKEN * width:
            break
        on = _on(runs, np.array([0.0, slope, offset]), width, 2 * near)
        if len(np.unique(runs[on, 0])) >= 3:  # a page is curved: the line is drawn again as a parabola
            x, y = runs[on, 0] - width / 2, (runs[on, 1] + runs[on, 2]) / 2
            on = _on(runs, np.polyfit(x, y, 2), width, 2 * near)
        columns = np.unique(runs[on, 0])
        if not len(columns):
            break
        left, right = int(columns[0]), int(columns[-1])
        length = right - left + 1
        if length >= LEAST_LINE * width and len(columns) + _hidden(mask, runs[on], left, right) >= UNBROKEN * length:
            if not lines:  # the others are parallel
                slopes = slopes[np.abs(slopes - slope) <= 0.03]
            lines.append(Line(left, right, float(((runs[on, 1] + runs[on, 2]) / 2).mean()), runs[on]))
        runs = runs[~on]
    return lines


def _thickest(mask: np.ndarray) -> int:
    return max(2, round(THICK * min(mask.shape)))


def _hidden(mask: np.ndarray, runs: np.ndarray, left: int, right: int) -> int:
    """Return in how many columns the line is behind a thicker stroke."""
    columns = np.setdiff1d(np.arange(left, right + 1), runs[:, 0])
    order = np.argsort(runs[:, 0])
    rows = np.interp(columns, runs[order, 0], (runs[order, 1] + runs[order, 2] - 1) / 2)
    return int(mask[np.rint(rows).astype(int), columns].sum())


def _on(runs: np.ndarray, curve: np.ndarray, width: int, near: float) -> np.ndarray:
    return np.asarray(np.abs((runs[:, 1] + runs[:, 2]) / 2 - np.polyval(curve, runs[:, 0] - width / 2)) <= near)


def filled(grey: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return a picture whose pixels in ``other``, and those beside them, are like the nearest remaining ones."""
    from scipy import ndimage

    beside = ndimage.binary_dilation(other, np.ones((3, 3)), iterations=max(1, round(max(grey.shape) / 320)))
    if beside.all():
        beside = other
    kept = ~beside
    size = max(3, round(max(grey.shape) / 128) | 1)
    weight = ndimage.uniform_filter(kept.astype(np.float32), size)
    mean = ndimage.uniform_filter(np.where(kept, grey, 0).astype(np.float32), size) / np.maximum(weight, 1e-6)
    rows, columns = ndimage.distance_transform_edt(beside, return_distances=False, return_indices=True)
    return np.where(kept, grey, np.clip(mean[rows, columns], 0, 255)).astype(np.uint8)
