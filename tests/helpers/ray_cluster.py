"""A Ray cluster on this machine: a head without cores and two nodes of one core, each with a loopback address."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from helpers import processes
from helpers.processes import wait_until
from helpers.slurm import free_ports

MARK = "MNISTLAB_TEST_RAY"  # in the environment of everything that a cluster has started
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
HEAD, NODES = "127.0.0.1", ("127.0.0.2", "127.0.0.3")
MEMORY = 100_000_000  # bytes of a node's object store


@dataclass
class RayCluster:
    """A running cluster."""

    folder: Path
    address: str
    environment: dict[str, str]
    raylets: dict[str, int] = field(default_factory=dict)  # the process of each node

    def start_node(self, ip: str, *words: str) -> None:
        """Start a node, or with other words the head, and remember its process."""
        words = words or (f"--address={self.address}", "--num-cpus=1")
        common = (f"--node-ip-address={ip}", f"--object-store-memory={MEMORY}", "--disable-usage-stats", *words)
        processes.run([*RAY, "start", *common], env=self.environment, check=True, capture_output=True)
        running = {pid for pid, _ in self.processes() if "/raylet " in processes.title(pid)}
        (self.raylets[ip],) = running - {*self.raylets.values()}

    def kill_node(self, ip: str) -> None:
        """Kill a node with all its workers, as a machine that loses its power."""
        raylet = self.raylets.pop(ip)
        processes.kill((raylet, *processes.children(raylet)))

    def workers(self, ip: str) -> list[int]:
        """Return the processes of a node that run, or may run, tasks."""
        return processes.children(self.raylets[ip])

    def processes(self) -> list[tuple[int, dict[str, str]]]:
        return list(processes.having(MARK, str(self.folder)))

    def stop(self) -> None:
        """End everything that the cluster has started."""
        for raylet in self.raylets.values():
            processes.kill((raylet, *processes.children(raylet)))
        processes.kill(pid for pid, _ in self.processes())
        wait_until(lambda: not self.processes(), 30, "the processes of Ray end")


@contextmanager
def cluster(folder: Path, variables: dict[str, str]) -> Iterator[RayCluster]:
    """Run a cluster with its files in a folder; ``variables`` are in the environment of its tasks."""
    (port,) = free_ports(1)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    ray = RayCluster(folder, f"{HEAD}:{port}", {**kept, **variables, MARK: str(folder)})
    try:
        head = ("--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={folder}")
        ray.start_node(HEAD, *head)
        for ip in NODES:
            ray.start_node(ip)
        yield ray
    finally:
        ray.stop()
