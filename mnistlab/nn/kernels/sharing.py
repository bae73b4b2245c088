"""How threads share the parts of a call: each part is claimed by one of them, and all wait until every part is done.

A call has a *board* of STRIDE int64 in memory that the threads share: for each part, the turn in which it was last
claimed, and at DONE the parts that are done, of all turns. A turn is one run of the table of calls, counted from 1, so
that nothing has to be cleared between two runs. No thread waits for another to arrive, only for parts that another one
is computing: with fewer threads than expected, or with one that comes late, the others do its parts.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types

from mnistlab.nn.kernels import vector_ir as vir
from mnistlab.nn.kernels.jit import PARTS, helper, intrinsic

STRIDE, DONE = 16, 8  # two cache lines: who waits for the second does not slow down claims in the first
SPINS = 20_000  # looks at the board before a waiting thread yields its core: some tens of microseconds
EVERYWHERE = "seq_cst"  # the order of memory: what a part has written is seen by all when it counts as done


@intrinsic
def _exchange(_context: Any, address: Any, value: Any) -> Any:
    """Write an int64 and return what was there, in one step."""

    def generate(_context: Any, b: Any, _signature: Any, values: Sequence[Any]) -> Any:
        return b.atomic_rmw("xchg", vir.pointer(b, values[0], vir.INT), values[1], EVERYWHERE)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def _increment(_context: Any, address: Any) -> Any:
    """Add 1 to an int64, in one step."""

    def generate(context: Any, b: Any, _signature: Any, values: Sequence[Any]) -> Any:
        b.atomic_rmw("add", vir.pointer(b, values[0], vir.INT), vir.number(1), EVERYWHERE)
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def _read(_context: Any, address: Any) -> Any:
    """Return an int64 as other threads have left it."""

    def generate(_context: Any, b: Any, _signature: Any, values: Sequence[Any]) -> Any:
        return b.load_atomic(vir.pointer(b, values[0], vir.INT), EVERYWHERE, 8)

    return types.int64(types.int64), generate


@intrinsic
def _yield_core(_context: Any, function: Any) -> Any:
    """Call a C function without arguments: the system's, which lets another thread have the core."""

    def generate(context: Any, b: Any, _signature: Any, values: Sequence[Any]) -> Any:
        b.call(b.inttoptr(values[0], ir.FunctionType(ir.IntType(32), []).as_pointer()), [])
        return context.get_dummy_value()

    return types.void(types.int64), generate


def yielding() -> int:
    """Return the address of the system's function that yields the core; 0 where there is none by that name."""
    if os.name != "posix":
        return 0
    return int(ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p).value or 0)


@helper
def claim(board: int, part: int, turn: int) -> bool:
    """Return whether this thread is to do the part in this turn: true for exactly one."""
    return _exchange(board + 8 * part, turn) != turn


@helper
def finish(board: int) -> None:
    """Count a part as done."""
    _increment(board + 8 * DONE)


@helper
def wait(board: int, turn: int, yield_core: int) -> None:
    """Return when all parts of this turn are done."""
    looks = 0
    while _read(board + 8 * DONE) < PARTS * turn:
        looks += 1
        if looks > SPINS and yield_core:
            _yield_core(yield_core)
