"""A new sweep before its first job: its plan and manifest, checked; and its forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from mnistlab.config import compose
from mnistlab.runs import paths
from mnistlab.sweeps import forecast, halving, until_decided
from mnistlab.sweeps.grid import Plan, plan
from mnistlab.sweeps.launchers.joblib import shares
from mnistlab.sweeps.launchers.registry import CHECKS, LAUNCHERS, SUBMIT
from mnistlab.sweeps.manifest import Manifest
from mnistlab.sweeps.request import Request
from mnistlab.system import directories, files
from mnistlab.system.errors import RequestError, did_you_mean, needs


def designed(
    overrides: Sequence[str], config_dir: str | None, request: Request, detach: bool = False
) -> tuple[Plan, Manifest]:
    """Return the plan and the manifest of a new sweep; nothing is written."""
    planned, design, halving_design = plan(overrides, config_dir, shape=request.shape), None, None
    try:
        if request.until_decided is not None:
            design, points = until_decided.start(request.until_decided, planned)
            claimed = compose.quoted(planned.directory)  # a second plan would claim another
            notes = planned.notes
            planned = replace(plan([*overrides, f"hydra.sweep.dir={claimed}"], config_dir, added=points), notes=notes)
        if request.halving is not None:
            halving_design = halving.start(request.halving, planned)
        check_launcher(planned, detach)
        _refuse_taken(planned)
    except RequestError:
        directories.forget_empty(planned.directory)
        raise
    entries, started_in = tuple(job.entry for job in planned.jobs), str(Path.cwd())
    shape = request.shape
    sweep = Manifest(planned.directory, tuple(overrides), config_dir, started_in, entries, (), design, shape)
    return planned, replace(sweep, halving=halving_design)


def _refuse_taken(planned: Plan) -> None:
    """Refuse a directory that contains a sweep or a run, whose files those of the new sweep would replace."""
    directory, place = planned.directory, files.shown(planned.directory)
    label = f"hydra.sweep.dir={place}"
    if (directory / paths.SWEEP).exists():
        raise RequestError(f"{label}: already contains a sweep; `mnistlab resume {place}` continues it")
    if (directory / paths.STATUS).exists() or (directory / paths.HYDRA).is_dir():
        raise RequestError(f"{label}: already contains a run, whose report would be lost; choose another directory")
    for job in planned.jobs:
        if job.directory.exists():
            raise RequestError(f"{label}: {job.entry.directory} already exists; choose another")


def forecast_of(overrides: Sequence[str], config_dir: str | None, request: Request) -> forecast.Forecast:
    """Return what a new sweep will cost; nothing is left on the disk."""
    planned, sweep = designed(overrides, config_dir, request)
    try:
        return forecast.of(planned, planned.jobs, sweep)
    finally:
        directories.forget_empty(planned.directory)


def check_launcher(planned: Plan, detach: bool = False) -> None:
    """Refuse an unknown launcher, one whose package is not installed, and what it cannot do."""
    name = planned.launcher
    if name not in LAUNCHERS:
        raise RequestError(
            f"hydra/launcher={name}: choose one of {', '.join(LAUNCHERS)}{did_you_mean(name, LAUNCHERS)}"
        )
    package = name.partition("_")[0]
    if package not in ("basic", "joblib") and find_spec(package) is None:
        raise RequestError(f"hydra/launcher={name}: {needs(package, package)}")
    if name == "joblib":
        shares(planned.launcher_settings, len(planned.jobs))
    if detach and name not in SUBMIT:
        raise RequestError(
            f"--detach: the jobs of hydra/launcher={name} end with this process; use it with {', '.join(SUBMIT)}"
        )
    if name in CHECKS:
        CHECKS[name](planned.launcher_settings)
