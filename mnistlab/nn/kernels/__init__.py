"""Compiled kernels for training: the NumPy layers' work in machine code made for small networks, by numba.

The NumPy layers remain the reference, and do whatever has no kernel here. `docs/explanation/kernels.md` explains the
design. In the order of reading: `vector_ir` (register tiles and vector code), `jit` (what a kernel is), `product`,
`maps`, `direct` and `winograd` (convolutions), `dense`, `losses`, `updates`, `transport`; then `program` (a table of
calls), `groups` (layers to calls), `plan` (a step) and `engine` (in the place of a network's layers).
"""

from __future__ import annotations

import importlib.util
import platform
from typing import TYPE_CHECKING

from mnistlab.system.errors import RequestError

if TYPE_CHECKING:
    from mnistlab.nn.kernels.engine import Engine
    from mnistlab.nn.network import Network

INSTALL = "pip install '.[fast]'"
MACHINES = ("x86_64", "AMD64")


def unavailable() -> str | None:
    """Return why kernels cannot be used here, without importing numba; None where they can."""
    if platform.machine() not in MACHINES:
        return f"kernels are for x86-64 processors so far, and this one is {platform.machine()}"
    if importlib.util.find_spec("numba") is None:
        return f"numba is not installed; {INSTALL}"
    return None


def compiled_for(network: Network, threads: int) -> Engine:
    """Return the kernels of a network, or say as a `RequestError` why there are none."""
    reason = unavailable()
    if reason is None:
        try:
            from mnistlab.nn.kernels import engine
            from mnistlab.nn.kernels.vector_ir import FEATURES
        except ImportError as error:
            reason = f"numba cannot be imported ({error}); {INSTALL}"
        else:
            if FEATURES.get("avx2") and FEATURES.get("fma"):
                return engine.Engine(network, threads)
            reason = "this processor has no AVX2"
    raise RequestError(f"{reason}; or use numpy", key="kernels", value="numba")
