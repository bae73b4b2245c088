"""Resuming a run from its checkpoint or from the start, for more epochs if requested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from mnistlab.config import safe_yaml, schema
from mnistlab.models.sklearn import SklearnModel
from mnistlab.runs import lifecycle, paths, saved_config, status
from mnistlab.runs.compute import Compute
from mnistlab.runs.context import RunContext
from mnistlab.system import files
from mnistlab.system.errors import RequestError, RunError
from mnistlab.system.readers import read_json_or_empty
from mnistlab.training import checkpoint
from mnistlab.training.config import MOST_THREADS

KEY = schema.EPOCHS


def is_run(directory: Path) -> bool:
    """Return whether this is a run directory, perhaps of a run that was killed before it wrote its status."""
    return (directory / paths.STATUS).exists() or (directory / paths.HYDRA).is_dir()


def started_in(about: dict[str, Any]) -> Path:
    """Return the directory in which a run was started, the base of its relative paths, or the current one."""
    place = about.get("directory")
    valid = isinstance(place, str) and "\0" not in place and Path(place).is_dir()
    return Path(place) if valid else Path.cwd()  # type: ignore[arg-type]


def compute_of(about: dict[str, Any]) -> Compute | None:
    """Return the threads and kernels of a run, with which the results are the same bit for bit."""
    threads, kernels = about.get("threads"), about.get("kernels", "numpy")
    if not isinstance(threads, int) or isinstance(threads, bool) or not 1 <= threads <= MOST_THREADS:
        return None
    return Compute(threads, kernels) if kernels in ("numpy", "numba") else None


def conclude(outcome: lifecycle.Outcome) -> None:
    """Raise the error of a run that did not complete."""
    if outcome.status:
        note = f" (the files written so far are in {files.shown(outcome.directory)})" if outcome.directory else ""
        raise (RunError if outcome.status == 1 else RequestError)(outcome.message + note)


def resume(directory: Path, epochs: int | None, quiet: bool, command: tuple[str, ...]) -> bool:
    """Resume a run to its end, or to ``epochs``; return False if it is completed and no epochs were requested.

    Raises `RequestError` or `RunError` if it does not complete.
    """
    place = files.shown(directory)
    state = status.read(directory)
    if state.state == "running":
        raise RequestError(
            f"{place}: this run is still running (process {state.pid} on {state.host}); wait, or interrupt it"
        )
    cfg, about = saved_config.read(directory), read_json_or_empty(directory / paths.ENVIRONMENT)
    described = {}
    if epochs is not None:
        _refuse_epochs(epochs, cfg, directory, place)
        cfg.trainer.epochs = epochs
        described[paths.OVERRIDES] = yaml.safe_dump(_overrides(directory, epochs))
    elif state.state == "completed" and (directory / paths.METRICS).exists():
        return False
    if quiet:
        cfg.report.console = "quiet"
    compute = compute_of(about)
    _refuse_edited(cfg, compute)
    context = RunContext(directory, command, described, started_in(about), resumes=True, compute=compute)
    conclude(lifecycle.carry_out(cfg, context))
    return True


def _refuse_edited(cfg: DictConfig, compute: Compute | None) -> None:
    """Refuse another number of threads or other kernels than those the run was started with."""
    for key in ("threads", "kernels") if compute else ():
        value, started_with = OmegaConf.select(cfg, f"trainer.{key}"), str(getattr(compute, key))
        if str(getattr(value, "value", value)) in ("None", "auto", started_with):
            continue
        if key == "threads" or not isinstance(schema.experiment(cfg).model, SklearnModel):  # which has no kernels
            raise RequestError(
                f"trainer.{key}={value}: the run was started with {started_with}, on which its results depend; set it "
                "back, or start a new run"
            )


def _refuse_epochs(epochs: int, cfg: DictConfig, directory: Path, place: Path) -> None:
    """Refuse a number of epochs with which the result would differ from a run with that number from the start."""
    experiment = schema.experiment(cfg)
    if isinstance(experiment.model, SklearnModel):
        raise RequestError(
            f"{KEY}={epochs}: a scikit-learn model is fitted in one step and has no epochs; leave it out"
        )
    planned = experiment.trainer.epochs
    if epochs != planned and experiment.schedule.by_total:
        name = type(experiment.schedule).__name__
        raise RequestError(
            f"{KEY}={epochs}: the schedule {name} depends on the total number of epochs, so the first epochs would "
            f"have had other learning rates; start a new run, or keep {planned}"
        )
    path = directory / paths.CHECKPOINT
    values = checkpoint.load(path).values if path.exists() else None
    epoch = values.get("epoch") if isinstance(values, dict) else None
    trained = epoch - 1 if isinstance(epoch, int) else 0
    if epochs <= trained:
        raise RequestError(
            f"{KEY}={epochs}: the run has already been trained for {trained} epochs; set more, or leave it out"
        )
    if trained < planned and _stopped_early(directory):
        raise RequestError(
            f"{KEY}={epochs}: {place} stopped early after {trained} epochs and would do so again; start a new run"
        )


def _stopped_early(directory: Path) -> bool:
    return read_json_or_empty(directory / paths.METRICS).get("stopped_early") is True


def _overrides(directory: Path, epochs: int) -> list[str]:
    """Return the overrides of a run with another number of epochs."""
    words = [word for word in safe_yaml.load_or_empty(directory / paths.OVERRIDES, list) if isinstance(word, str)]
    return [*(word for word in words if word.partition("=")[0].lstrip("+") != KEY), f"{KEY}={epochs}"]
