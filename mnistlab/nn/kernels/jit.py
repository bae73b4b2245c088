"""How kernels are compiled, kept and called.

A *kernel* is a C function ``void kernel(const int64 *arguments, int64 part)``. It is compiled on its own when
its address is first needed, and cached on disk, so that a network costs only the kernels that it uses, and only once.
Kernels get addresses and sizes, never arrays: a whole training step is then a table of integers (`program`).
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba import extending, types

from mnistlab.nn.kernels import vector_ir as vir
from mnistlab.system.directories import cache_folder

log = logging.getLogger("mnistlab.nn")
intrinsic: Any = extending.intrinsic

PARTS = 4  # a step is cut into so many parts, whatever the number of threads, so that its bits do not depend on it
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "boundscheck": False,
    "fastmath": {"contract", "reassoc", "nsz"},  # sums need reassoc to vectorise; NaN and infinities keep their meaning
}


@functools.cache
def source_hash() -> str:
    """Return a hash of the kernels' source: numba's own cache misses a change in a function that another one calls."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def folder() -> Path:
    """Return the folder of the compiled kernels: below NUMBA_CACHE_DIR, MNISTLAB_CACHE or the user's cache folder."""
    root = os.environ.get("NUMBA_CACHE_DIR")
    return (Path(root) if root else cache_folder()) / "kernels" / source_hash()


@functools.cache
def writable() -> bool:
    """Return whether compiled kernels can be kept in `folder`; if not, every process compiles them anew."""
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError as error:
        log.warning(
            "%s: cannot be written (%s), so kernels are compiled anew each time; set MNISTLAB_CACHE to another folder",
            place,
            error.strerror or error,
        )
        return False


def compiled(name: str, compile_function: Callable[[bool], Any]) -> Any:
    """Return what ``compile_function(cache)`` returns, with the cache if there is one.

    A damaged file of the cache is removed and written again. Processes that need the same kernel at once compile it
    one after the other, which is once.
    """
    if not writable():
        return compile_function(False)
    import filelock

    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder())  # where a function is kept is decided at its declaration
    try:
        with filelock.FileLock(folder() / f"{name}.lock"):
            try:
                return compile_function(True)
            except Exception:  # numba reads its files with pickle, which may fail in any way
                for path in files_of(name):
                    path.unlink(missing_ok=True)
                return compile_function(True)
    finally:
        config.CACHE_DIR = before


def files_of(name: str) -> list[Path]:
    """Return the files of a kernel in the cache: an index and the machine code; none if it is not compiled."""
    return sorted(path for kind in ("nbi", "nbc") for path in folder().glob(f"*/*.{name}-*.{kind}"))


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
    def is_compiled(self) -> bool:
        """Whether the machine code exists, in this process or in the cache."""
        return self._compiled is not None or bool(files_of(self.name))

    @property
    def address(self) -> int:
        """The address of the machine code."""
        if self._compiled is None:
            self._compiled = compiled(
                self.name, lambda cache: numba.cfunc(self.signature, cache=cache, **OPTIONS)(self.function)
            )
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
