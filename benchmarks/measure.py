"""One measurement in a process of its own: prints one JSON line.

    python benchmarks/measure.py PEER WORKLOAD --epochs N [--threads N] [--gemm] [key=value ...]

PEER is ours (with kernels if numba is installed), numpy (ours without kernels), torch, channels_last (PyTorch's other
memory layout), compiled or compiled_channels_last (the same with torch.compile), jax or sklearn.

The seconds of an epoch are those of whole training steps (gather, forward, backward, update) over all batches in a
fresh order. Of a measurement the best epoch after the first counts: in the first one, peers compile. The peak of the
process's memory is that with the data, mnistlab and the peer's library.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from functools import partial
from types import ModuleType
from typing import Any
from unittest import mock

import mnistlab.runs.pipeline as run  # isort: skip  # before NumPy, as in the command: it sets how long OpenBLAS's threads spin
import jax_peer
import numpy as np
import peers
from load import Watch, peak_memory
from workloads import EVERY, compose

from mnistlab.config.schema import Experiment
from mnistlab.data.dataset import Dataset
from mnistlab.nn import conv, kernels, layers
from mnistlab.nn.network import Network
from mnistlab.runs.compute import Compute, choose
from mnistlab.system.errors import RequestError
from mnistlab.training.components import RandomStreams
from mnistlab.training.config import Kernels
from mnistlab.training.loop import fit


def ours(made: Experiment, dataset: Dataset, network: Network, threads: int, kind: str = "numpy") -> list[float]:
    """Train as `mnistlab train` does and return the seconds of each epoch from its history."""
    compute = Compute(threads, kind)
    compute.use(network, made.trainer.batch_of(len(dataset.train)))
    with compute.limits():
        streams = RandomStreams.from_seed(made.seed)
        history = fit(network, dataset.train, dataset.validation, made.components, streams)
    return [epoch.seconds for epoch in history.epochs]


PEERS = {
    "ours": ours,
    "numpy": ours,
    "torch": peers.torch,
    "channels_last": partial(peers.torch, channels_last=True),
    "compiled": partial(peers.torch, compiled=True),
    "compiled_channels_last": partial(peers.torch, compiled=True, channels_last=True),
    "jax": jax_peer.jax,
    "sklearn": peers.sklearn,
}
LAYOUTS = {"channels_last": "torch", "compiled_channels_last": "compiled"}  # of the peer of this name


class Matmul:
    """`np.matmul` with a stop-watch."""

    seconds = 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Multiply."""
        started = time.perf_counter()
        product = np.matmul(*args, **kwargs)
        self.seconds += time.perf_counter() - started
        return product


def gemm_share(made: Experiment, dataset: Dataset, network: Network, threads: int) -> float:
    """Return the share of our training time spent in `np.matmul` as the layers call it."""
    matmul, numpy = Matmul(), ModuleType("numpy")
    numpy.__dict__.update(vars(np), matmul=matmul)
    with mock.patch.object(layers, "np", numpy), mock.patch.object(conv, "np", numpy):
        seconds = ours(made, dataset, network, threads)
    if not matmul.seconds:
        raise RequestError("--gemm: no layer ever called np.matmul; measure what it calls instead")
    return matmul.seconds / sum(seconds)


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the measurement that was asked for."""
    made = compose(EVERY[arguments.workload], arguments.epochs, arguments.overrides)
    dataset = run.load_data(made)
    network = run.build(made, dataset)
    wanted = "numba" if arguments.peer == "ours" and not arguments.gemm and not kernels.unavailable() else "numpy"
    made.trainer.kernels = Kernels(wanted)
    chosen = choose(made, network, len(dataset.train))
    work = (made, dataset, network, arguments.threads or chosen.threads)
    result: dict[str, object] = {"peer": arguments.peer, "workload": arguments.workload, "threads": work[3]}
    if arguments.peer in ("ours", "numpy"):
        result["kernels"] = wanted
    if arguments.peer in LAYOUTS:
        result |= {"peer": LAYOUTS[arguments.peer], "layout": "channels_last"}
    watch, before = Watch(_with_children), peak_memory()
    if arguments.gemm:
        return {**result, "gemm_share": gemm_share(*work), "foreign": watch.foreign()}
    train = PEERS[arguments.peer]
    seconds = train(*work, kind=wanted) if arguments.peer == "ours" else train(*work)
    if arguments.peer == "sklearn":
        result["left_out"] = peers.sklearn_activation(network)[1]
    result |= {"before": before, "peak": peak_memory()}
    return {**result, "seconds": min(seconds[1:]), "epochs": seconds, "foreign": watch.foreign()}


def _with_children() -> float:
    return sum(os.times()[:4])  # of the compilers that it starts, too


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("workload", choices=EVERY)
    parser.add_argument("--epochs", type=int, default=2, help="the first one only warms up")
    parser.add_argument("--threads", type=int, help="of BLAS; by default what trainer.threads=auto chooses")
    parser.add_argument("--gemm", action="store_true", help="measure the share of np.matmul instead")
    parser.add_argument("overrides", nargs="*", help="of the configuration, data=mnist for instance")
    return parser


if __name__ == "__main__":
    try:
        print(json.dumps(measure(parser().parse_intermixed_args())))
    except (RequestError, ImportError, RuntimeError) as error:
        sys.exit(f"measure: error: {' '.join(str(error).split())[:300]}")
