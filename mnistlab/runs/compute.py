"""How the arithmetic of a run is done: by which kernels, and on how many threads."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from threadpoolctl import threadpool_limits

from mnistlab.config import schema
from mnistlab.nn import kernels
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.network import Network
from mnistlab.runs.environment import all_cores
from mnistlab.system.console import HINT, LOG
from mnistlab.training.config import Kernels


@dataclass(frozen=True)
class Compute:
    """The number of threads, of BLAS or of the kernels, and ``numpy`` or ``numba``. Results depend on both."""

    threads: int
    kernels: str = "numpy"

    @contextlib.contextmanager
    def limits(self) -> Iterator[None]:
        """Limit the threads of the libraries: beside kernels on several threads, those of BLAS would only disturb."""
        with threadpool_limits(1 if self.kernels == "numba" else self.threads):
            yield

    def use(self, network: Network, batch: int) -> None:
        """Make the network compute in this way, and compile the kernels for batches of this size if necessary."""
        if self.kernels != "numba":
            return
        with schema.prefixed("trainer"):
            network.use_kernels(self.threads)
        assert network.engine is not None
        started, missing = time.perf_counter(), [k for k in network.engine.kernels(batch) if not k.is_compiled]
        if missing:
            LOG.info("kernels compiling %d, once per machine ...", len(missing))
            for kernel in missing:
                assert kernel.address
            LOG.info("kernels compiled in %.0f s", time.perf_counter() - started)

    def use_if_possible(self, network: Network, name: str) -> None:
        """Make the network of a saved run compute in this way, or say why it does not."""
        reason = kernels.unavailable() if self.kernels == "numba" else None
        if reason:
            LOG.warning("%s: computed by NumPy, with other last digits than the run (%s)", name, reason)
        elif self.kernels == "numba":
            network.use_kernels(self.threads)


def choose(
    experiment: schema.Experiment, network: Network | None, n: int, cores: int | None = None, quiet: bool = False
) -> Compute:
    """Return what ``trainer.kernels`` and ``trainer.threads`` ask for, for a training on n images.

    With auto, the amount of work alone decides on the kernels, never what a cache contains, so that results do not
    depend on it. Threads: one unless the layers are large; large layers use all ``cores``, those of the machine or a
    job's share of them.
    """
    cores = cores or all_cores()
    kind = "numpy" if network is None else _kernels(experiment, network, n, quiet)
    threads = experiment.trainer.threads
    if threads != "auto":
        if int(threads) > all_cores() and not quiet:
            LOG.warning(
                "trainer.threads=%s: this machine has %d cores, and more threads only slow it", threads, all_cores()
            )
        return Compute(int(threads), kind)
    if network is None:
        return Compute(cores, kind)
    batch = experiment.trainer.batch_of(n)
    pays = kernels.gains_from_threads(network, batch) if kind == "numba" else network.gains_from_threads(batch)
    return Compute(cores if pays else 1, kind)


def _kernels(experiment: schema.Experiment, network: Network, n: int, quiet: bool) -> str:
    wanted = experiment.trainer.kernels
    if wanted is Kernels.numba:
        with schema.prefixed("trainer"):
            kernels.check()
    if wanted is not Kernels.auto:
        return wanted.value
    if not kernels.pay(network, n * experiment.trainer.epochs):
        return "numpy"
    reason = kernels.unavailable()
    if reason and not quiet:
        LOG.log(HINT, "compiled kernels would train this network %s faster: %s", speedup(network), reason)
    return "numpy" if reason else "numba"


def speedup(network: Network) -> str:
    """Return how much faster the kernels are than the NumPy layers, as measured in benchmarks/results."""
    return "2 to 3 times" if any(isinstance(layer, Conv2D) for layer in network.layers) else "1.2 to 1.7 times"
