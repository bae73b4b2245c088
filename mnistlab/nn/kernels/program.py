"""A table of calls to kernels, and what runs it: one compiled call, with no Python between the layers.

Row i of the table is (address of the kernel, arguments...). Every row is done in PARTS parts, one after the other or
shared among threads, and is complete before the next begins. Threads are started once for the whole table: starting
them for every row would take longer than a small row.
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

from mnistlab.nn.kernels import sharing
from mnistlab.nn.kernels import vector_ir as vir
from mnistlab.nn.kernels.jit import OPTIONS, PARTS, Kernel, compiled, intrinsic, ints_at
from mnistlab.nn.kernels.memory import address, aligned

# Threads of libgomp that wait for work spin for milliseconds, which beside another busy process stalls every step. The
# variable is read when numba starts its threads.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

njit: Any = numba.njit
config: Any = numba.config
COLUMNS = 48
YIELD_CORE = sharing.yielding()


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


def _parallel(first: int, calls: int, threads: int, boards: int, turn: int, yield_core: int) -> None:
    for thread in numba.prange(threads):
        for i in range(calls):
            row, board = first + 8 * i * COLUMNS, boards + 8 * i * sharing.STRIDE
            for n in range(PARTS):
                part = (thread * PARTS // threads + n) % PARTS  # from its own parts on: their data are in its cache
                if sharing.claim(board, part, turn):
                    _call(ints_at(row)[0], row + 8, part)
                    sharing.finish(board)
            sharing.wait(board, turn, yield_core)


RUNNERS = {False: _serial, True: _parallel}  # by whether there are several threads
_runners: dict[bool, Any] = {}


def runner(several: bool) -> Any:
    """Return what runs a table at an address, on one thread or on several."""
    if several not in _runners:
        function = RUNNERS[several]
        options = {**OPTIONS, "parallel": several}
        signature = types.void(*[types.int64] * (6 if several else 2))
        _runners[several] = compiled(function.__name__, lambda cache: njit(signature, cache=cache, **options)(function))
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

    @cached_property
    def boards(self) -> np.ndarray:
        """What the threads share about each call."""
        return aligned(len(self.calls) * sharing.STRIDE, np.int64)

    def run(self, threads: int) -> None:
        """Run all calls."""
        calls = len(self.table)
        if threads == 1:
            runner(False)(self._first, calls)
            return
        threads = min(threads, PARTS, config.NUMBA_NUM_THREADS)
        run = runner(True)  # before the number is set: it loads numba's threads
        numba.set_num_threads(threads)
        # Counted on the board and not here, where Ctrl-C may come between the count and the run
        turn = int(self.boards[sharing.DONE]) // PARTS + 1
        run(self._first, calls, threads, address(self.boards), turn, YIELD_CORE)
