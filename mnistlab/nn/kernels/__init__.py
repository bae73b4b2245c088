"""Compiled kernels for training: the NumPy layers' work in machine code made for small networks, by numba.

The NumPy layers remain the reference, and do whatever has no kernel here. `docs/explanation/kernels.md` explains the
design. In the order of reading: `vector_ir` (register tiles and vector code), `jit` (what a kernel is), `product`,
`maps`, `direct` and `winograd` (convolutions), `norm`, `dense`, `losses`, `updates`, `transport`; then `program` (a
table of calls), `groups` (layers to calls), `plan` (a step) and `engine` (in the place of a network's layers).
"""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
from typing import TYPE_CHECKING

import numpy as np

from mnistlab.system.errors import RequestError

if TYPE_CHECKING:
    from mnistlab.nn.kernels.engine import Engine
    from mnistlab.nn.network import Network

INSTALL = "pip install '.[fast]'"
# With colours in its own messages, numba would end every process on a terminal with an escape sequence
os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")

MACHINES = ("x86_64", "AMD64")
PAY_FROM = 4e11  # floating-point operations of a training: about ten seconds of the NumPy layers
THREADS_PAY_FROM = 15_000_000  # operations of a forward pass: below, a step takes less than half a millisecond


@functools.cache
def unavailable() -> str | None:
    """Return why kernels cannot be used here, None where they can."""
    if platform.machine() not in MACHINES:
        return f"kernels are for x86-64 processors so far, and this one is {platform.machine()}"
    if importlib.util.find_spec("numba") is None:
        return f"numba is not installed; {INSTALL}"
    try:
        from mnistlab.nn.kernels.vector_ir import FEATURES
    except ImportError as error:
        return f"numba cannot be imported ({error}); {INSTALL}"
    return None if FEATURES.get("avx2") and FEATURES.get("fma") else "this processor has no AVX2"


def check() -> None:
    """Raise a `RequestError` where kernels cannot be used."""
    if reason := unavailable():
        raise RequestError(f"{reason}, or use numpy", key="kernels", value="numba")


def compiled_for(network: Network, threads: int) -> Engine:
    """Return the kernels of a network; raise `RequestError` where there are none."""
    check()
    if network.dtype != np.float32:
        raise RequestError(
            f"kernels compute in float32, not {np.dtype(network.dtype)}; give float32, or use numpy",
            key="kernels",
            value="numba",
        )
    from mnistlab.nn.kernels.engine import Engine

    return Engine(network, threads)


def pay(network: Network, images: int) -> bool:
    """Return whether a training that goes through so many images, epochs included, repays the start of the kernels."""
    return 3 * sum(layer.flops() for layer in network.layers) * images >= PAY_FROM


def gains_from_threads(network: Network, batch: int) -> bool:
    """Return whether a step of the kernels is so long that several threads pay."""
    return sum(layer.flops() for layer in network.layers) * batch >= THREADS_PAY_FROM
