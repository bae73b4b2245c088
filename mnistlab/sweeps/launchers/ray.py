"""Jobs as Ray tasks, on this machine or a cluster. A job whose node is lost goes on elsewhere, from its checkpoint."""

from __future__ import annotations

import logging
import os
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mnistlab.sweeps.job import Job
from mnistlab.sweeps.launchers.base import Launcher, one_line
from mnistlab.sweeps.launchers.node import Site, missing_module, on_node
from mnistlab.system.errors import RequestError, number, whole
from mnistlab.system.signals import GRACE, handlers_kept

LOG = logging.getLogger("mnistlab")
POLL = 30.0  # seconds between two checks that the cluster still has a node for the jobs
REACHES = 10.0  # seconds to reach the head of a cluster
RETRIES = 3
# Nothing of Ray's own on the terminal: neither the logs of its processes nor its usage notice
QUIET = {"log_to_driver": False, "include_dashboard": False, "logging_level": "error"}


def ray(jobs: Sequence[Job], settings: Mapping[str, Any], of: int) -> Launcher:
    """Run the jobs as Ray tasks, on this machine or on the cluster at ``ray.init.address``.

    ``ray.init`` and ``ray.remote`` are passed on unchanged, except ``max_retries``: a job whose worker or node is lost
    starts again that many times, on any node, and goes on from its checkpoint. A task has one core unless ``num_cpus``
    is set.
    """
    import ray as library

    options = settings.get("ray") or {}
    remote = {"num_cpus": 1, "max_retries": RETRIES, **(options.get("remote") or {})}
    retries = whole("hydra.launcher.ray.remote.max_retries", remote.pop("max_retries"), 0)
    cores = number("hydra.launcher.ray.remote.num_cpus", remote["num_cpus"])
    started = not library.is_initialized()
    if started:
        _start(library, options.get("init") or {})
    running: dict[Any, Job] = {}
    again = Counter[int]()
    try:
        _refuse_too_many_cores(library, cores)
        task, site = library.remote(max_retries=0, **remote)(on_node), Site.of(jobs)
        running = {task.remote(job, max(1, int(cores)), site): job for job in jobs}
        while running:
            done, _ = library.wait(list(running), timeout=POLL)
            if not done and _most_cores(library) < cores:
                LOG.warning("no node of the Ray cluster is left for %d jobs; waiting for one", len(running))
            for future in done:
                job = running.pop(future)
                was_lost, reason = _ended(library, future)
                if was_lost and again[job.entry.number] < retries:
                    again[job.entry.number] += 1
                    LOG.warning("job %d: %s; it goes on elsewhere from its checkpoint", job.entry.number, reason)
                    running[task.remote(job, max(1, int(cores)), site)] = job
                else:
                    yield job, reason
    finally:
        for left in running:
            library.cancel(left)
        if running:
            library.wait(list(running), num_returns=len(running), timeout=GRACE)
        if started:
            library.shutdown()


def _start(library: Any, init: Mapping[str, Any]) -> None:
    _refuse_unreachable(str(init.get("address") or os.environ.get("RAY_ADDRESS", "")))
    try:
        with handlers_kept():
            library.init(**{**QUIET, **init})
    except (ConnectionError, TypeError, ValueError, RuntimeError) as error:
        raise RequestError(f"hydra.launcher.ray.init: {' '.join(str(error).split())[:250]}") from None


def _refuse_unreachable(address: str) -> None:
    """Refuse an address at which nobody listens, which Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if "/" in host or not host or not port.isdecimal():
        return  # auto, local, or a client's ray://HOST:PORT
    try:
        socket.create_connection((host, int(port)), REACHES).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError(
            f"hydra.launcher.ray.init.address={address}: no Ray cluster answers there ({reason}); "
            "start one with `ray start --head`"
        ) from None


def _ended(library: Any, future: Any) -> tuple[bool, str | None]:
    """Return whether the process of a task was lost, and why it was lost or could not run its job."""
    from ray.exceptions import RayError, RayTaskError

    try:
        signal = library.get(future)
    except RayTaskError as error:  # the job, or what had to be imported for it, raised an error
        return False, missing_module(str(error)) or one_line(error.cause)
    except RayError as error:
        missing = missing_module(str(error))
        return not missing, missing or f"its worker was lost ({type(error).__name__})"
    return signal is not None, f"its worker was stopped by signal {signal}" if signal is not None else None


def _refuse_too_many_cores(library: Any, cores: float) -> None:
    """Refuse a task that no node has the cores for: Ray would let it wait for ever."""
    if 0 < (most := _most_cores(library)) < cores:
        raise RequestError(
            f"hydra.launcher.ray.remote.num_cpus={cores:g}: the largest node of the cluster has {most:g}"
        )


def _most_cores(library: Any) -> float:
    return max((node["Resources"].get("CPU", 0.0) for node in library.nodes() if node["Alive"]), default=0.0)
