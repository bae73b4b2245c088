"""The life cycle of a run directory: created, its status recorded, and removed if nothing happened."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnistlab.config import report, schema
from mnistlab.runs import labels, paths, run_file
from mnistlab.runs.context import RunContext, interrupted
from mnistlab.runs.status import Status
from mnistlab.runs.status import read as read_status
from mnistlab.system import console, directories, files, locks
from mnistlab.system.console import LOG
from mnistlab.system.errors import Pruned, RequestError, RunError
from mnistlab.system.locks import held
from mnistlab.system.signals import UNDIVIDED, Interrupted, unmistaken

if TYPE_CHECKING:
    from mnistlab.runs.training_run import Watch

# Files that a resumed run writes again before it trains
REWRITTEN = (paths.STATUS, paths.RUN, paths.ENVIRONMENT, paths.CONFIG, paths.OVERRIDES, paths.HYDRA_CONFIG)


@dataclass
class Outcome:
    """How a run ended: its exit status, and the error message if it failed."""

    status: int = 0
    message: str = ""
    directory: Path | None = None


def task(
    cfg: DictConfig, cores: int | None = None, watch: Watch | None = None, resumes: bool = False, **more: Any
) -> Outcome:
    """Run one experiment in the directory that Hydra created; ``more`` are fields of its `RunContext`."""
    hydra = HydraConfig.get()
    words = OmegaConf.to_container(hydra.overrides.task, resolve=False)  # an override may be ${nonsense}
    assert isinstance(words, list)
    described = {
        paths.HYDRA_CONFIG: OmegaConf.to_yaml(OmegaConf.masked_copy(HydraConfig.instance().cfg, "hydra")),  # type: ignore[arg-type]
        paths.OVERRIDES: OmegaConf.to_yaml(hydra.overrides.task),
    }
    command = ("mnistlab", "train", *map(str, words))
    directory = Path(hydra.runtime.output_dir)
    model = str(hydra.runtime.choices.get("model", ""))
    context = RunContext(directory, command, described, Path.cwd(), cores, watch, resumes, model=model, **more)
    return carry_out(cfg, context)


def carry_out(cfg: DictConfig, context: RunContext) -> Outcome:
    """Run one experiment. Every failure is an `Outcome`, never an exception.

    A request that proves invalid before training leaves nothing behind; a run that fails later keeps its files.
    """
    run = context.directory
    with held(run) as ours:
        if not ours and context.resumes:
            return Outcome(2, f"{files.shown(run)}: this run is still running; wait, or interrupt it")
        if not ours or ((run / paths.STATUS).exists() and not context.resumes):  # that run must not be touched
            return Outcome(2, f"hydra.run.dir={files.shown(run)}: already contains a run; choose another directory")
        outcome = _guarded(cfg, context)
    directories.forget_empty(run)
    return outcome


def _guarded(cfg: DictConfig, context: RunContext) -> Outcome:
    run = context.directory
    before = {path: path.read_bytes() for path in (run / name for name in REWRITTEN) if path.is_file()}
    status = Status(run / paths.STATUS, "", seconds=dict(read_status(run).seconds) if context.resumes else {})
    silent = context.cores is not None
    console.start("silent" if silent else "normal")
    try:
        with unmistaken():
            _describe(run, cfg, context.described)
            experiment = schema.experiment(cfg)
            _refuse_no_hidden_layer(experiment, context.model)
            run_file.write(run)
            # A job of a sweep that starts again keeps its labels
            has_labels = context.resumes or (run / paths.LABELS).exists()
            if not has_labels and (experiment.tags or experiment.note):
                labels.write(run, labels.tagged(labels.Labels(note=experiment.note), experiment.tags))
            from mnistlab.runs import pipeline  # imported here: an invalid request need not wait for the engine

            if silent:
                experiment.report.console = report.Console.quiet  # no progress bars either
            status.config_hash = schema.config_hash(cfg)
            status.write("running")
            console.start("silent" if silent else experiment.report.console.value, run / paths.LOG)
            pipeline.run(experiment, schema.deciding(cfg), context, status)
    except RequestError as error:
        if context.resumes and before and not silent:  # an invalid request to resume leaves the run unchanged
            for path, content in before.items():
                files.write(path, content)
            return Outcome(2, str(error))
        if not silent and _forget(run):
            return Outcome(2, str(error))
        return Outcome(2, _failed(status, str(error), run).message)
    except Pruned as stop:
        status.write("pruned", str(stop))
    except (RunError, OSError, MemoryError) as error:
        return _failed(status, _message(error, run), run)
    except KeyboardInterrupt as stop:
        UNDIVIDED.waiting = False  # it has been handled
        raise Interrupted(interrupted(status, str(stop) or "interrupted", run)) from None
    except Exception as error:
        LOG.debug("traceback", exc_info=True)
        whereabouts = (
            f"is in {files.shown(run / paths.LOG)}"
            if (run / paths.LOG).exists()
            else "is printed with HYDRA_FULL_ERROR=1"
        )
        message = f"{type(error).__name__}: {error}; the traceback {whereabouts}"
        outcome = _failed(status, message, run)
        if os.environ.get("MNISTLAB_TRACEBACK") == "1":
            raise
        return outcome
    finally:
        console.stop()
    return Outcome(0, "", run)


def _refuse_no_hidden_layer(experiment: schema.Experiment, model: str) -> None:
    """Refuse to train a softmax model under the name of a network with hidden layers."""
    if model.startswith("mlp") and getattr(experiment.model, "hidden", None) == []:
        raise RequestError(f"model.hidden=[]: {model} has hidden layers; model=softmax has none")


def _describe(run: Path, cfg: DictConfig, others: Mapping[str, str]) -> None:
    """Write .hydra as Hydra does, but each file atomically and with everything resolved."""
    (run / paths.HYDRA).mkdir(exist_ok=True)
    try:
        content = OmegaConf.to_yaml(cfg, resolve=True)
    except OmegaConfBaseException:  # it is refused below
        content = OmegaConf.to_yaml(cfg)
    for name, text in {**others, paths.CONFIG: content}.items():  # config.yaml last: with it, the run can be resumed
        files.write(run / name, text)


def _failed(status: Status, message: str, run: Path) -> Outcome:
    LOG.debug("failed: %s", message)
    status.write_quietly("failed", message)
    from mnistlab.runs import html_report

    html_report.write_quietly(run)
    return Outcome(1, message, run)


def _message(error: BaseException, run: Path) -> str:
    if isinstance(error, OSError):
        place = files.shown(Path(error.filename)) if error.filename else "standard output, or a file of the run"
        again = ", then run `mnistlab resume {}`" if (run / paths.CHECKPOINT).exists() else ""
        cure = f"free some space{again.format(files.shown(run))}, or choose another directory with hydra.run.dir=DIR"
        return f"{place}: {error.strerror or error}; {cure}"
    if isinstance(error, MemoryError):
        return f"out of memory ({error}); try a smaller trainer.batch_size or model"
    return str(error)


def _forget(run: Path) -> bool:
    """Remove the directory of this run if it was created for it and contains no results."""
    nothing = {paths.HYDRA, paths.STATUS, paths.RUN, paths.LABELS, paths.LOG, locks.NAME}
    if not directories.is_ours(run) or not {path.name for path in run.iterdir()} <= nothing:
        return False
    console.stop()
    shutil.rmtree(run, ignore_errors=True)  # where open files cannot be removed, the lock file remains
    return True
