"""How kernels are compiled, kept and called.

A *kernel* is a C function ``void kernel(const int64 *arguments, int64 part)``. It is compiled when its address is first
asked for, on its own, and kept in a folder of this machine, so that a network costs only the kernels that it uses, once.
Kernels get addresses and sizes, never arrays: a whole training step is then a table of integers (`program`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mnistlab.nn.kernels import vector_ir as vir
from mnistlab.system.directories import cache_folder

PARTS = 4  # a step is cut into so many parts, whatever the number of threads, so that its bits do not depend on it
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "boundscheck": False,
    "fastmath": {"contract", "reassoc", "nsz"},  # sums need reassoc to vectorise; NaN and infinities keep their meaning
}


def source_hash() -> str:
    """Return a hash of the kernels' source: numba itself would not see a change in a function that another one calls."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def folder() -> Path:
    """Return the folder of the compiled kernels: below NUMBA_CACHE_DIR, MNISTLAB_CACHE or the user's cache folder."""


    root = os.environ.get("NUMBA_CACHE_DIR")
    return (Path(root) if root else cache_folder()) / "kernels" / source_hash()


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Let numba keep what is declared meanwhile in `folder`; it decides where when a function is declared."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder())
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def helper(function: Callable[..., Any]) -> Any:
    """Declare a function that kernels call; it becomes part of them."""
    return numba.njit(**OPTIONS)(function)


class Kernel:
    """A C function of int64 arguments, compiled at the first use of its `address`."""

    def __init__(self, function: Callable[..., None], signature: Any) -> None:
        self.function, self.signature = function, signature
        self.name = function.__name__
        self._compiled: Any = None

    @property
    def address(self) -> int:
        """The address of the machine code."""
        if self._compiled is None:
            with kept():
                self._compiled = numba.cfunc(self.signature, cache=True, **OPTIONS)(self.function)
        return int(self._compiled.address)


ARGUMENTS = types.CPointer(types.int64)


def kernel(function: Callable[[Any, int], None]) -> Kernel:
    """Declare a kernel, which takes its arguments and the part of the work to do, one of PARTS."""
    return Kernel(function, types.void(ARGUMENTS, types.int64))


def subroutine(arguments: int) -> Callable[[Callable[..., None]], Kernel]:
    """Declare a C function that kernels call by its address: one copy of its machine code serves them all."""
    return lambda function: Kernel(function, types.void(*[types.int64] * arguments))


def called(arguments: int) -> Any:
    """Return the intrinsic ``call(address, *arguments)`` of a `subroutine`."""

    def emit(b: Any, address: Any, *operands: Any) -> None:
        kind = ir.FunctionType(ir.VoidType(), [vir.INT] * arguments)
        b.call(b.inttoptr(address, kind.as_pointer()), operands)

    return vir.instruction(1 + arguments, emit)


@intrinsic
def floats_at(context: Any, address: Any) -> Any:
    """The address as a pointer to float32."""
    return types.CPointer(types.float32)(types.int64), lambda _c, b, _s, args: vir.pointer(b, args[0])


@intrinsic
def doubles_at(context: Any, address: Any) -> Any:
    """The address as a pointer to float64."""
    return types.CPointer(types.float64)(types.int64), lambda _c, b, _s, args: vir.pointer(b, args[0], ir.DoubleType())


@intrinsic
def ints_at(context: Any, address: Any) -> Any:
    """The address as a pointer to int64."""
    return ARGUMENTS(types.int64), lambda _c, b, _s, args: vir.pointer(b, args[0], vir.INT)


@intrinsic
def bytes_at(context: Any, address: Any) -> Any:
    """The address as a pointer to uint8."""
    return types.CPointer(types.uint8)(types.int64), lambda _c, b, _s, args: vir.pointer(b, args[0], vir.BYTE)


@intrinsic
def real(context: Any, bits: Any) -> Any:
    """The float64 of these 64 bits: arguments are integers."""
    return types.float64(types.int64), lambda _c, b, _s, args: b.bitcast(args[0], ir.DoubleType())


def bits(value: float) -> int:
    """Return the 64 bits of a float64 as an integer: the inverse of `real`."""
    return struct.unpack("<q", struct.pack("<d", value))[0]


@helper
def share(total: int, part: int, parts: int) -> tuple[int, int]:
    """Return start and stop of a part of ``total``."""
    return total * part // parts, total * (part + 1) // parts
