"""The launchers by their names in ``hydra/launcher``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mnistlab.sweeps.job import Job
from mnistlab.sweeps.launchers.base import Launcher
from mnistlab.sweeps.launchers.basic import basic
from mnistlab.sweeps.launchers.joblib import joblib
from mnistlab.sweeps.launchers.ray import ray
from mnistlab.sweeps.launchers.slurm import check, queued, slurm, submit
from mnistlab.sweeps.launchers.submitit import local

LAUNCHERS: dict[str, Callable[[Sequence[Job], Mapping[str, Any], int], Launcher]] = {
    "basic": basic,
    "joblib": joblib,
    "ray": ray,
    "submitit_local": local,
    "submitit_slurm": slurm,
}
# Launchers with a queue that outlasts this process: which jobs are in it, and how to submit jobs without waiting
QUEUED: dict[str, Callable[[Sequence[Job], Mapping[str, Any]], frozenset[int]]] = {"submitit_slurm": queued}
SUBMIT: dict[str, Callable[[Sequence[Job], Mapping[str, Any]], list[str]]] = {"submitit_slurm": submit}
# What a launcher can refuse before the first job
CHECKS: dict[str, Callable[[Mapping[str, Any]], None]] = {"submitit_slurm": check}
