"""Arrays for kernels: on cache lines, zero at first, shared by the plans of one network."""

from __future__ import annotations

from typing import Any

import numpy as np

LINE = 64  # bytes: a vector across two cache lines costs two loads


class Memory:
    """Named arrays. One name is one layout per image, so that a plan for fewer images may use a larger plan's array."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}
        self.grown = 0  # how often an array was replaced by a larger one: older plans then hold the old one's address

    def array(self, name: str, size: int, dtype: Any = np.float32) -> np.ndarray:
        """Return the array of that name with at least ``size`` elements, zero where nobody wrote."""
        array = self._arrays.get(name)
        if array is None or array.size < size:
            self.grown += array is not None
            array = self._arrays[name] = aligned(size, dtype)
        return array

    def table(self, *parts: np.ndarray) -> np.ndarray:
        """Return the sums of all combinations of the parts, the last running fastest: a table of offsets (int64)."""
        total = np.zeros(1, np.int64)
        for part in parts:
            total = (total[:, None] + np.asarray(part, np.int64)).reshape(-1)
        return np.ascontiguousarray(total)


def aligned(size: int, dtype: Any = np.float32) -> np.ndarray:
    """Return zeros that begin on a cache line, with a whole line behind them."""
    width = np.dtype(dtype).itemsize
    raw = np.zeros(size * width + 2 * LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size * width].view(dtype)


def padded(n: int, multiple: int) -> int:
    """Return the least multiple that is not below n."""
    return -(-n // multiple) * multiple


def address(array: np.ndarray) -> int:
    """Return the address of an array's first element."""
    return int(array.__array_interface__["data"][0])  # a third of the time of array.ctypes.data
