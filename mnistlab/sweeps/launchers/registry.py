"""The launchers by their names in ``hydra/launcher``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mnistlab.sweeps.job import Job
from mnistlab.sweeps.launchers.base import Launcher
from mnistlab.sweeps.launchers.basic import basic
from mnistlab.sweeps.launchers.joblib import joblib
from mnistlab.sweeps.launchers.ray import ray
from mnistlab.sweeps.launchers.submitit import submitit

LAUNCHERS: dict[str, Callable[[Sequence[Job], Mapping[str, Any], int], Launcher]] = {
    "basic": basic,
    "joblib": joblib,
    "ray": ray,
    "submitit_local": submitit,
    "submitit_slurm": submitit,
}
