"""All kernels: which are compiled, for which processor and where."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import binding

from mnistlab.nn.kernels import dense, direct, losses, norm, product, transport, updates, winograd
from mnistlab.nn.kernels.jit import Kernel, files_of, folder
from mnistlab.nn.kernels.program import RUNNERS, runner
from mnistlab.nn.kernels.vector_ir import LANES, WIDE

MODULES = (product, direct, winograd, norm, dense, transport, losses, updates)


@dataclass(frozen=True)
class Row:
    """A kernel, and the bytes of its files; 0 if it is not compiled."""

    name: str
    size: int


def kernels() -> list[Kernel]:
    """Return all kernels, in the order of the modules."""
    return [value for module in MODULES for value in vars(module).values() if isinstance(value, Kernel)]


def rows() -> list[Row]:
    """Return a row for each kernel, and for what runs them."""
    names = [kernel.name for kernel in kernels()] + [function.__name__ for function in RUNNERS.values()]
    return [Row(name, sum(path.stat().st_size for path in files_of(name))) for name in names]


def compile_all(announce: Callable[[str], None]) -> None:
    """Compile what is not compiled yet."""
    for kernel in kernels():
        if not files_of(kernel.name):
            announce(kernel.name)
        assert kernel.address
    for several, function in RUNNERS.items():
        if not files_of(function.__name__):
            announce(function.__name__)
        runner(several)


def clear() -> int:
    """Remove the compiled kernels of this version and of earlier ones; return how many this version had."""
    count = sum(bool(row.size) for row in rows())
    shutil.rmtree(folder().parent, ignore_errors=True)
    return count


def processor() -> str:
    """Return the processor that kernels are compiled for."""
    return f"{binding.get_host_cpu_name()}, {'AVX-512' if WIDE else 'AVX2'}, {LANES} numbers per vector"
