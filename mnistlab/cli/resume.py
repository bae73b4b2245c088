"""``mnistlab resume``: goes on with a run, or with the jobs of a sweep, after any kind of end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig

from mnistlab.config import schema
from mnistlab.models.sklearn import SklearnModel
from mnistlab.runs import environment, pipeline, record, saved_config, status
from mnistlab.runs.pipeline import RunContext
from mnistlab.sweeps import manifest
from mnistlab.sweeps import runner as sweep
from mnistlab.system import files, output
from mnistlab.system.errors import RequestError, RunError, did_you_mean
from mnistlab.training import checkpoint
from mnistlab.training.config import MOST_THREADS

KEY = schema.EPOCHS


def main(arguments: Sequence[str]) -> int:
    """Resume what the directory holds; return the exit status."""
    directories = [Path(word) for word in arguments if not word.startswith("-") and Path(word).is_dir()]
    if len(directories) != 1 or (directories[0] / manifest.NAME).exists() or not _is_run(directories[0]):
        return sweep.resume(arguments)
    words = [word for word in arguments if Path(word) != directories[0]]
    return _run(directories[0].absolute(), words, arguments)


def _is_run(directory: Path) -> bool:
    return (directory / "status.json").exists() or (directory / ".hydra").is_dir()


def _run(directory: Path, words: Sequence[str], arguments: Sequence[str]) -> int:
    place = files.shown(directory)
    state = status.read(directory)
    if state.state == "running":
        raise RequestError(f"{place}: this run is running (process {state.pid} on {state.host})")
    cfg, about = saved_config.read(directory), environment.read(directory / "environment.json")
    epochs, quiet = _asked(words)
    described = {}
    if epochs is not None:
        _refuse_epochs(epochs, cfg, directory, place)
        cfg.trainer.epochs = epochs
        described["overrides.yaml"] = yaml.safe_dump(_overrides(directory, epochs))
    elif state.state == "completed" and (directory / "metrics.json").exists():
        hint = f"{place}: this run is completed; {KEY}=N, with more epochs than it had, trains it on"
        output.show(record.as_json(record.read(directory), place), hint)
        return 0
    if quiet:
        cfg.report.console = "quiet"
    setting = RunContext(
        directory,
        ("mnistlab", "resume", *arguments),
        described,
        started_in(about),
        resumes=True,
        threads=threads_of(about),
    )
    conclude(pipeline.carry_out(cfg, setting))
    output.give(record.as_json(record.read(directory), place))
    return 0


def started_in(about: dict[str, Any]) -> Path:
    """Return where a run was started, from which its relative paths count, or this directory if that is gone."""
    place = about.get("directory")
    known = isinstance(place, str) and "\0" not in place and Path(place).is_dir()
    return Path(place) if known else Path.cwd()  # type: ignore[arg-type]


def threads_of(about: dict[str, Any]) -> int | None:
    """Return the BLAS threads of a run, with which the same bits come out."""
    threads = about.get("threads")
    known = isinstance(threads, int) and not isinstance(threads, bool) and 1 <= threads <= MOST_THREADS
    return threads if known else None


def conclude(outcome: pipeline.Outcome) -> None:
    """Raise the error of a run that did not come to its end."""
    if outcome.status:
        kept = f" (what was written is kept in {files.shown(outcome.directory)})" if outcome.directory else ""
        raise (RunError if outcome.status == 1 else RequestError)(outcome.message + kept)


def _asked(words: Sequence[str]) -> tuple[int | None, bool]:
    epochs, quiet = None, False
    for word in words:
        key, equals, value = word.partition("=")
        if word in ("-q", "--quiet"):
            quiet = True
        elif key == KEY and equals:
            if not value.isdecimal() or not 1 <= len(value) <= 9 or int(value) < 1:
                raise RequestError(f"{word}: the number of epochs must be a whole number of 1 or more")
            epochs = int(value)
        elif word.startswith("-"):
            near = did_you_mean(word, ["--quiet"])
            raise RequestError(f"{word}: unknown option for a run{near}; see `mnistlab resume --help`")
        else:
            near = did_you_mean(key, [KEY]) if equals else ""
            raise RequestError(f"{word}: a run goes on as it was asked for; only {KEY}=N may be changed{near}")
    return epochs, quiet


def _refuse_epochs(epochs: int, cfg: DictConfig, directory: Path, place: Path) -> None:
    """Refuse another number of epochs where the run would not be what it had been with that number from the start."""
    made = schema.experiment(cfg)
    if isinstance(made.model, SklearnModel):
        raise RequestError(f"{KEY}={epochs}: a model of scikit-learn is fitted at once, not epoch by epoch")
    planned = made.trainer.epochs
    if epochs != planned and made.schedule.by_total:
        name = type(made.schedule).__name__
        raise RequestError(
            f"{KEY}={epochs}: the schedule {name} spreads the learning rate over all epochs, so the first ones would "
            f"have been trained otherwise; start a new run, or leave it at {planned}"
        )
    path = directory / checkpoint.NAME
    values = checkpoint.load(path).values if path.exists() else None
    epoch = values.get("epoch") if isinstance(values, dict) else None
    trained = epoch - 1 if isinstance(epoch, int) else 0
    if epochs <= trained:
        raise RequestError(f"{KEY}={epochs}: {trained} epochs are trained already; take more, or leave it out")
    if trained < planned and _stopped_early(directory):
        raise RequestError(f"{KEY}={epochs}: {place} stopped early, after {trained} epochs, and would again")


def _stopped_early(directory: Path) -> bool:
    try:
        return json.loads(files.read_text(directory / "metrics.json")).get("stopped_early") is True
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _overrides(directory: Path, epochs: int) -> list[str]:
    """Return the overrides of a run with another number of epochs."""
    try:
        said = yaml.safe_load(files.read_text(directory / ".hydra" / "overrides.yaml"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        said = None
    words = [word for word in said if isinstance(word, str)] if isinstance(said, list) else []
    return [*(word for word in words if word.partition("=")[0].lstrip("+") != KEY), f"{KEY}={epochs}"]
