"""The digits of a picture: connected parts of ink, joined where one digit has several, line by line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistlab.inference.predict.image_io import UnreadableError

LEAST_LENGTH = 0.4  # of the tallest part: shorter parts are pieces of a digit, or specks
FRAGMENT = 0.6  # of the longer of two parts: a shorter one may be a piece of the other
NEAR = 0.25  # of the tallest part: specks that are farther from every digit are left out
SMALLEST, SMALLEST_SHARE = 6, 0.012  # pixels, and share of the picture, of a digit in a picture of at least
SMALL_PICTURE = 64  # pixels of the longer side
MOST, MOST_PARTS = 500, 2000  # digits of one picture, and connected parts of its ink
CROP = "crop the picture to the digits"


@dataclass(frozen=True)
class Digit:
    """One digit: its box, the ink in it (h, w), and its line from the top of the picture, counted from 0."""

    rows: slice
    columns: slice
    mask: np.ndarray
    line: int


def split(mask: np.ndarray) -> list[Digit]:
    """Return the digits in reading order: line by line, from left to right.

    Parts that overlap in x are one digit, as the two strokes of a 5 are; so is a short piece close beside a longer one.
    Raises `UnreadableError` for marks that are too small or too many to be digits.
    """
    from scipy import ndimage

    labels, count = ndimage.label(mask, np.ones((3, 3)))
    boxes = np.array([[s[0].start, s[1].start, s[0].stop, s[1].stop] for s in ndimage.find_objects(labels)])
    sides = boxes[:, 2:] - boxes[:, :2]
    if max(mask.shape) >= SMALL_PICTURE and sides.max() < max(SMALLEST, SMALLEST_SHARE * max(mask.shape)):
        raise UnreadableError(
            f"only small marks: {count:,}, of at most {sides.max()} pixels in {mask.shape[1]} x {mask.shape[0]}; {CROP}"
        )
    if count > MOST_PARTS:
        raise UnreadableError(f"{count:,} separate marks are too many for digits; {CROP}")
    group = _with_specks(_joined(boxes), boxes)
    numbers = np.unique(group[group >= 0])
    if len(numbers) > MOST:
        raise UnreadableError(f"{len(numbers):,} digits are more than the maximum of {MOST}; {CROP}")
    kept = group >= 0
    outer = _outer(boxes[kept], np.searchsorted(numbers, group[kept]))
    digits = []
    for i, line in _reading_order(outer):
        top, left, bottom, right = outer[i]
        rows, columns = slice(top, bottom), slice(left, right)
        of_digit = np.concatenate([[False], group == numbers[i]])  # by label; 0 is the background
        digits.append(Digit(rows, columns, of_digit[labels[rows, columns]], line))
    return digits


def _joined(boxes: np.ndarray) -> np.ndarray:
    """Return the number of the digit of each part, after joining pieces until nothing changes."""
    from scipy.sparse.csgraph import connected_components

    group = np.arange(len(boxes))
    while True:
        outer = _outer(boxes, group)
        count, joined = connected_components(_belong(outer), directed=False)
        if count == len(outer):
            return group
        group = joined[group]


def _belong(boxes: np.ndarray) -> np.ndarray:
    """Return for every pair of boxes whether they are pieces of one digit, (n, n) bool."""
    (top, left, bottom, right), (height, width) = boxes.T, (boxes[:, 2:] - boxes[:, :2]).T
    across = np.minimum.outer(right, right) - np.maximum.outer(left, left)  # the overlap in x, negative for a gap
    down = np.minimum.outer(bottom, bottom) - np.maximum.outer(top, top)
    longest = np.maximum(height, width)
    long, short = np.maximum.outer(longest, longest), np.minimum.outer(longest, longest)
    tall = np.maximum.outer(height, height)
    share_x = across / np.minimum.outer(width, width)
    share_y = down / np.minimum.outer(height, height)
    piece = short < FRAGMENT * long
    beside = (down > 0) & (share_x >= np.where(piece, 0.25, 0.5))
    above = (down <= 0) & (-down <= np.where(piece, 0.3, 0.12) * tall) & (share_x >= np.where(piece, 0.3, 0.5))
    close = piece & (share_y >= 0.5) & (across <= 0) & (-across <= 0.08 * tall)
    return np.asarray(beside | above | close)


def _with_specks(group: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the groups with those that are too short joined to a digit nearby, or else -1."""
    outer = _outer(boxes, group)
    height, width = (outer[:, 2:] - outer[:, :2]).T
    tallest = height.max()
    is_digit = np.maximum(height, width) >= LEAST_LENGTH * tallest
    digits = np.flatnonzero(is_digit)
    number = np.arange(len(outer))
    for i in np.flatnonzero(~is_digit):
        gaps = np.maximum(outer[digits, :2] - outer[i, 2:], outer[i, :2] - outer[digits, 2:]).max(axis=1)
        number[i] = digits[gaps.argmin()] if gaps.min() <= NEAR * tallest else -1
    return number[group]


def _reading_order(boxes: np.ndarray) -> list[tuple[int, int]]:
    """Return (digit, line) in reading order. A digit is in the line of the nearest one to its right at its height."""
    top, left, bottom, right = boxes.T
    line = np.arange(len(boxes))
    for i in np.argsort(left, kind="stable"):
        down = np.minimum(bottom, bottom[i]) - np.maximum(top, top[i])
        after = (left + right > left[i] + right[i]) & (down >= 0.4 * np.minimum(bottom - top, bottom[i] - top[i]))
        if after.any():
            gaps = np.where(after, left - right[i], np.inf)
            line[line == line[i]] = line[int(gaps.argmin())]
    middles = {number: float(((top + bottom) / 2)[line == number].mean()) for number in np.unique(line)}
    place = {number: k for k, number in enumerate(sorted(middles, key=lambda number: middles[number]))}
    order = sorted(range(len(boxes)), key=lambda i: (place[line[i]], left[i]))
    return [(i, place[line[i]]) for i in order]


def _outer(boxes: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the box around the boxes of each group."""
    inside = [boxes[group == g] for g in range(group.max() + 1)]
    return np.array([np.concatenate([each[:, :2].min(axis=0), each[:, 2:].max(axis=0)]) for each in inside])
