"""The environment of a run: everything needed to repeat it, or to find out why the results differ."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import mnistlab
from mnistlab.system.flatten import flat
from mnistlab.system.readers import read_json_or_empty

PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "matplotlib",
    "hydra-core",
    "omegaconf",
    "safetensors",
    "mlxtend",
    "pillow",
    "threadpoolctl",
    "numba",
)


DECIDING = (
    *("mnistlab", "seed", "threads", "kernels", "python", "packages", "platform"),
    *("cpu", "blas", "simd", "variables", "git_commit", "data", "plugins", "imports"),
)

# Variables that NumPy, BLAS and OpenMP read and that may change results, and where data is looked for
VARIABLES = ("BLIS_", "GOTO_", "KMP_", "MKL_", "NPY_", "OMP_", "OPENBLAS_", "VECLIB_", "MNISTLAB_DATA")
SET_BY_SKLEARN = ("variables.KMP_DUPLICATE_LIB_OK", "variables.KMP_INIT_AT_FORK")


def environment(
    seed: int, threads: int, kernels: str, data: dict[str, Any], command: list[str], config_hash: str
) -> dict[str, Any]:
    """Return the content of environment.json."""
    return {
        "mnistlab": mnistlab.__version__,
        "command": command,
        "directory": str(Path.cwd()),
        "seed": seed,
        "threads": threads,
        "kernels": kernels,
        "config_hash": config_hash,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": all_cores(),
        "blas": _blas(),
        "simd": _simd(),
        "variables": {name: value for name, value in sorted(os.environ.items()) if name.startswith(VARIABLES)},
        "git_commit": _git_commit(),
        "data": data,
    }


def resumed(path: Path, now: dict[str, Any], continues: bool) -> dict[str, Any]:
    """Return environment.json of a resumed run: the original one, with the time and differences of each resumption.

    A run that does not continue from a saved state owes nothing to the earlier attempt: only its command is kept.
    """
    was = read_json_or_empty(path)
    if not was:
        return now
    before = was.get("resumed")
    entry = {"at": datetime.now(UTC).astimezone().isoformat(timespec="seconds"), "command": now["command"]}
    if continues:
        entry["differs"] = {key: there for key, (_, there) in differences(was, now).items()}
        kept = {**now, **was, "config_hash": now["config_hash"]}
    else:
        entry["from_start"] = True
        kept = {**now, "command": was.get("command", now["command"])}
    return {**kept, "resumed": [*(before if isinstance(before, list) else []), entry]}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the differences between two environments that may change results: dotted key -> both values.

    A process lists the BLAS libraries that are loaded in it, and a worker of a sweep has loaded those of more packages
    than a single run. Where one list is a part of the other, nothing is known to differ. Variables that scikit-learn
    sets when it is imported are no difference, either.
    """
    was, now = (
        {key: value for key, value in flat(content) if key.partition(".")[0] in DECIDING} for content in (before, after)
    )
    keys = [key for key in {**was, **now} if was.get(key) != now.get(key)]
    keys = [key for key in keys if key not in SET_BY_SKLEARN]
    if "blas" in keys and _is_part(was.get("blas"), now.get("blas")):
        keys.remove("blas")
    return {key: (was.get(key), now.get(key)) for key in keys}


def _is_part(first: Any, second: Any) -> bool:
    """Return whether all entries of one of two lists are in the other; an empty list says nothing."""
    if not isinstance(first, list) or not isinstance(second, list) or not first or not second:
        return False
    few, many = sorted((first, second), key=len)
    return all(entry in many for entry in few)


def all_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except (OSError, ValueError):
        pass
    return platform.processor() or platform.machine()


def _blas() -> list[dict[str, Any]]:
    from threadpoolctl import threadpool_info

    keep = ("internal_api", "version", "architecture", "threading_layer")
    return [{key: library.get(key) for key in keep} for library in threadpool_info() if library["user_api"] == "blas"]


def _simd() -> list[str]:
    extensions = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return [*extensions.get("baseline", []), *extensions.get("found", [])]


def _git_commit() -> str | None:
    """Return the commit of the source tree, with ``+`` if files differ from it; None for an installed package."""
    root = Path(mnistlab.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=5)
    return done.stdout.strip()
