"""A table of calls to kernels, and what runs it: one compiled call, with no Python between the layers.

Row i of the table is (address of the kernel, arguments...). Every row is done in PARTS parts, one after the other or
shared among threads, and is complete before the next begins.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types

from mnistlab.nn.kernels import vector_ir as vir
from mnistlab.nn.kernels.jit import OPTIONS, PARTS, Kernel, compiled, intrinsic, ints_at

# Threads of libgomp that wait for work spin for milliseconds, which beside another busy process stalls every step. Some
# microseconds span the pause between two calls. It is read when numba starts its threads.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

njit: Any = numba.njit
config: Any = numba.config
COLUMNS = 48


@intrinsic
def _call(context: Any, function: Any, arguments: Any, part: Any) -> Any:
    """Call the kernel at an address."""

    def generate(context: Any, b: Any, _signature: Any, values: Sequence[Any]) -> Any:
        function, arguments, part = values
        kind = ir.FunctionType(ir.VoidType(), [vir.INT.as_pointer(), vir.INT])
        b.call(b.inttoptr(function, kind.as_pointer()), [vir.pointer(b, arguments, vir.INT), part])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


def _serial(first: int, calls: int) -> None:
    for i in range(calls):
        row = first + 8 * i * COLUMNS
        for part in range(PARTS):
            _call(ints_at(row)[0], row + 8, part)


def _parallel(first: int, calls: int) -> None:
    for i in range(calls):
        row = first + 8 * i * COLUMNS
        for part in numba.prange(PARTS):
            _call(ints_at(row)[0], row + 8, part)


SIGNATURE = types.void(types.int64, types.int64)
RUNNERS = {False: _serial, True: _parallel}  # by whether there are several threads
_runners: dict[bool, Any] = {}


def runner(threads: int) -> Any:
    """Return what runs a table at an address, on one thread or more."""
    several = threads > 1
    if several not in _runners:
        function = RUNNERS[several]
        options = {**OPTIONS, "parallel": several}
        _runners[several] = compiled(function.__name__, lambda cache: njit(SIGNATURE, cache=cache, **options)(function))
    if several:
        numba.set_num_threads(min(threads, PARTS, config.NUMBA_NUM_THREADS))
    return _runners[several]


class Program:
    """Calls to kernels in order, each with its integers."""

    def __init__(self) -> None:
        self.calls: list[tuple[Kernel, tuple[int, ...]]] = []

    def add(self, kernel: Kernel, *arguments: int) -> int:
        """Append a call and return its row."""
        self.calls.append((kernel, tuple(int(argument) for argument in arguments)))
        return len(self.calls) - 1

    @cached_property
    def table(self) -> np.ndarray:
        """The table (calls, COLUMNS) of int64; its elements may be written, for what changes from step to step."""
        table = np.zeros((len(self.calls), COLUMNS), np.int64)
        for row, (kernel, arguments) in zip(table, self.calls, strict=True):
            row[0] = kernel.address
            row[1 : 1 + len(arguments)] = arguments
        self._first = int(table.ctypes.data)
        return table

    def run(self, threads: int) -> None:
        """Run all calls."""
        calls = len(self.table)
        runner(threads)(self._first, calls)
