"""Pixels of any range as 8-bit grey levels: scaled by the values that are there, and said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mnistlab.data.idx_format import BadFileError

PIECE = 2**20  # values at a time
STRAY = 0.01  # share of the values other than zero; less is damage, more is another range


@dataclass(frozen=True)
class Range:
    """The range of pixels: ``offset`` is added, then ``factor`` multiplied; ``wrap`` is 256 for int8 that wrapped."""

    offset: float = 0.0
    factor: float = 1.0
    wrap: bool = False
    remark: str = ""

    @property
    def as_it_is(self) -> bool:
        """Return whether the pixels are bytes already."""
        return self == Range()

    @property
    def span(self) -> tuple[float, float]:
        """Return the values that become black and white; of bytes that wrapped, the lowest and the highest."""
        return (-128, 255) if self.wrap else (-self.offset, 255 / self.factor - self.offset)


@dataclass
class Values:
    """What the pixels of all sets are: their extremes, and how many are fractions, negative, or above 255."""

    low: float = np.inf
    high: float = -np.inf
    used: int = 0  # other than zero
    fractions: int = 0
    negative: int = 0
    above: int = 0

    def share(self, count: int) -> float:
        """Return a count as a share of the values other than zero."""
        return count / max(self.used, 1)

    @property
    def are_shares(self) -> bool:
        """Return whether they are fractions from 0 or -1 to 1."""
        return self.low >= -1 and self.high <= 1 and self.share(self.fractions) >= STRAY


def together(values: Iterable[Values]) -> Values:
    """Return what the pixels of several sets are."""
    sets = list(values)
    return Values(
        min(one.low for one in sets), max(one.high for one in sets), sum(one.used for one in sets),
        sum(one.fractions for one in sets), sum(one.negative for one in sets), sum(one.above for one in sets),
    )  # fmt: skip


def refuse_mixed(values: Mapping[str, Values]) -> None:
    """Raise `BadFileError` if one set has fractions to 1, and another grey levels to 255 or more; keys are words."""
    share = next((part for part, one in values.items() if one.are_shares), None)
    level = next((part for part, one in values.items() if one.high > 16), None)
    if share is not None and level is not None:
        raise BadFileError(
            f"the {share} images have pixels up to {values[share].high:.4g}, but the {level} images up to"
            f" {values[level].high:.4g}; scale both in the same way"
        )


def pieces(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the values of an array, a million at a time."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, PIECE):
        yield flat[start : start + PIECE]


def survey(arrays: list[np.ndarray]) -> Values:
    """Return what the pixels are; raises `BadFileError` for values that are not finite."""
    values = Values()
    for array in arrays:
        for piece in pieces(array):
            low, high = piece.min(), piece.max()
            if not (np.isfinite(low) and np.isfinite(high)):
                stray = piece[~np.isfinite(piece)][0]
                raise BadFileError(f"the images hold {stray}; pixels must be numbers; repair the file")
            values.low, values.high = min(values.low, float(low)), max(values.high, float(high))
            values.used += int(np.count_nonzero(piece))
            if piece.dtype.kind == "f":
                values.fractions += int((piece != np.trunc(piece)).sum())
            if low < 0:
                values.negative += int((piece < 0).sum())
            if high > 255:
                values.above += int((piece > 255).sum())
    return values


def range_of(values: Values, bits: int = 64) -> Range | None:
    """Return the range of pixels of which `values` are known; None if only a few values do not fit the others.

    ``bits`` is the size of the whole numbers of the file: 8-bit numbers below zero have wrapped.
    """
    low, high = values.low, values.high
    if low < 0:
        return _signed(values, bits)
    if values.fractions:
        if high <= 1:
            return Range(0, 255, remark="pixels 0 to 1, multiplied by 255")
        if values.share(values.fractions) < STRAY:
            return None
        if high <= 16:
            return Range(0, 255 / high, remark=f"pixels 0 to {high:g}, scaled to 0 to 255")
        if high <= 255:
            return Range(remark="pixels 0 to 255 with fractions, rounded")
    if high <= 1:
        return Range(0, 255, remark="pixels are 0 and 1, multiplied by 255") if high > 0 else Range()
    if high <= 16:
        top = 15 if high in (13, 14, 15) else 16 if high > 8 else 8 if high > 4 else high
        return Range(0, 255 / top, remark=f"pixels 0 to {top:g}, divided by {top:g}")
    if high <= 255:
        return Range()
    if values.share(values.above) < STRAY:
        return None
    levels = next((2**bits for bits in (10, 12, 14, 16) if high < 2**bits), None)
    if levels is None:
        raise BadFileError(f"the images hold {high:g}; pixels must be from 0 to 65535; scale them first")
    return Range(0, 255 / (levels - 1), remark=f"pixels 0 to {levels - 1}, divided by {levels // 256}")


def _signed(values: Values, bits: int) -> Range | None:
    """Return the range of pixels of which some are below zero."""
    low, high = values.low, values.high
    if values.fractions == 0 and low >= -128 and high <= 127 and low < -1:
        if bits == 8:
            return Range(wrap=True, remark="signed bytes below zero taken as 128 to 255")
        if values.share(values.negative) < STRAY:
            return None
        if low == -128 and values.negative * 2 > values.used:
            return Range(128, 1, remark="pixels -128 to 127, 128 added")
        return Range(wrap=True, remark="whole numbers below zero taken as bytes that wrapped (256 added)")
    if values.share(values.negative) < STRAY:
        return None
    if low >= -1 and high <= 1:
        return Range(1, 127.5, remark="pixels -1 to 1, scaled to 0 to 255")
    if low >= -0.5 and high <= 0.5:
        return Range(0.5, 255, remark="pixels -0.5 to 0.5, scaled to 0 to 255")
    if high <= low:
        return Range(-low)
    return Range(-low, 255 / (high - low), remark=f"pixels {low:.4g} to {high:.4g}, scaled to 0 to 255")


def as_bytes(array: np.ndarray, scale: Range) -> np.ndarray:
    """Return the pixels as C-contiguous uint8 of the same shape."""
    if scale.as_it_is and array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    result = np.empty(array.shape, np.uint8)
    flat, done = result.reshape(-1), 0
    for piece in pieces(np.ascontiguousarray(array)):
        if scale.wrap:
            scaled = piece.astype(np.int64) & 255
        else:
            scaled = np.clip(np.rint((piece.astype(np.float64) + scale.offset) * scale.factor), 0, 255)
        flat[done : done + len(piece)] = scaled
        done += len(piece)
    return result


def refuse_stray(name: str, array: np.ndarray) -> None:
    """Raise `BadFileError` with the first value that is not a whole number from 0 to 255."""
    for piece in pieces(array):
        wrong = ~((piece >= 0) & (piece <= 255))
        if piece.dtype.kind == "f":
            wrong |= piece != np.trunc(piece)
        if wrong.any():
            raise BadFileError(f"{name} holds {piece[wrong.argmax()]}; must be whole numbers from 0 to 255")
