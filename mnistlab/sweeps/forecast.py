"""What a sweep will cost: the time, memory and files of each job, the time of all, and what its statistics can see."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from mnistlab.config import schema
from mnistlab.data.loading import Outline, outline
from mnistlab.nn.architectures import Model
from mnistlab.runs import paths, status
from mnistlab.statistics.outlook import Outlook
from mnistlab.statistics.outlook import outlook as outlook_of
from mnistlab.sweeps.axes import SEED, key_of
from mnistlab.sweeps.eta import makespan
from mnistlab.sweeps.grid import Plan
from mnistlab.sweeps.job import Job, task_part
from mnistlab.sweeps.manifest import Entry, Manifest
from mnistlab.sweeps.points import choices_of
from mnistlab.sweeps.rehearse import Cost, Parallelism, costs_of, parallelism
from mnistlab.sweeps.rungs import kept
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream
from mnistlab.system.readers import UnreadableError, read_rows
from mnistlab.system.units import duration, size

LOG = logging.getLogger("mnistlab")
LONG = 60.0  # seconds: of a longer sweep, the time is said before it begins
PASSES = 3  # a training step has about three times the operations of a forward pass
SLOWEST = 1e9  # operations a second on a slow machine
STEP, DISTORTION = 5e-4, 2e-4  # seconds of a step beside its operations, and of the augmentation of an image
AROUND, DRAWING = 1.0, 3.0  # seconds of a job around its training, and for its pictures, on a slow machine
SKLEARN = 2e-7  # seconds times images^2 of a scikit-learn model on a slow machine
STARTING, ENDING, PAGE = 2.0, 3.0, 0.05  # seconds: the workers, the tables and pictures of the sweep, the page of a job


@dataclass(frozen=True)
class JobForecast:
    """What is expected of one job; ``error`` says why it cannot be run."""

    entry: Entry = field(repr=False)
    epochs: int  # still to be trained
    seconds: float
    memory: int
    disk: int
    error: str = ""


@dataclass(frozen=True)
class Forecast:
    """What is expected of a sweep."""

    jobs: tuple[JobForecast, ...]
    seconds: float  # of the whole sweep, from its start to its last page
    parallel: Parallelism
    bounds: tuple[str, ...]  # why it may take less or more
    outlook: Outlook
    notes: tuple[str, ...]  # what was left out of the grid

    @cached_property
    def memory(self) -> int:
        """The most memory that jobs need at the same time, in bytes."""
        return sum(sorted((job.memory for job in self.jobs), reverse=True)[: self.parallel.at_once])

    @property
    def disk(self) -> int:
        """The files of all jobs, in bytes."""
        return sum(job.disk for job in self.jobs)

    @property
    def total(self) -> str:
        """Return the line about the whole sweep."""
        number, at_once = len(self.jobs), min(self.parallel.at_once, len(self.jobs))
        jobs = f"{number:,} job{'s' if number != 1 else ''}"
        until = ends_at(self.seconds)
        where = "" if self.parallel.is_here else ", on machines as fast as this one"
        line = f"about {duration(self.seconds)} for {jobs}, {at_once:,} at a time{where}, until {until}"
        return f"{line}; {size(self.memory)} of memory at once, {size(self.disk)} of files"

    @property
    def lines(self) -> list[str]:
        """Return what is said before a sweep that takes longer than a minute."""
        lines = [f"plan    {self.total}", *(f"plan    {bound}" for bound in self.bounds)]
        return [*lines, f"plan    {self.outlook.text}"]

    def as_json(self) -> dict[str, Any]:
        """Return the ``--json`` result of `mnistlab plan`."""
        return {
            "jobs": [
                {
                    "job": job.entry.number,
                    "overrides": job.entry.overrides,
                    "settings": job.entry.settings,
                    **{name: value for name, value in asdict(job).items() if name != "entry"},
                }
                for job in self.jobs
            ],
            "seconds": self.seconds,
            "at_once": self.parallel.at_once,
            "memory": self.memory,
            "disk": self.disk,
            "bounds": list(self.bounds),
            "statistics": {**asdict(self.outlook), "text": self.outlook.text},
            "notes": list(self.notes),
        }


def ends_at(seconds: float) -> str:
    """Return the local time at which something ends that starts now, with the date if it is not today."""
    now = datetime.now()
    end = now + timedelta(seconds=seconds)
    return f"{end:%H:%M}" if end.date() == now.date() else f"{end:%Y-%m-%d %H:%M}"


def before(planned: Plan, jobs: Sequence[Job], manifest: Manifest) -> Forecast | None:
    """Return the forecast of a sweep that may take longer than a minute, None for a shorter one.

    An error in the forecast does not keep the sweep from running.
    """
    try:
        work = Work()
        if not jobs or rough(planned, jobs, work) <= LONG:
            return None
        forecast = of(planned, jobs, manifest, work)
    except Exception:
        LOG.debug("no forecast", exc_info=True)
        return None
    return forecast if forecast.seconds > LONG else None


class Work:
    """The operations of an epoch of training, from the sizes of the data and of the network; nothing is trained."""

    def __init__(self) -> None:
        self.outlines: dict[str, Outline] = {}
        self.of_task: dict[str, tuple[float, int]] = {}

    def __call__(self, job: Job) -> tuple[float, int]:
        """Return the operations of an epoch, and the number of training images; 0 if the request proves invalid."""
        task = task_part(job.config)
        content = OmegaConf.to_container(task, resolve=True, enum_to_str=True)
        assert isinstance(content, dict)
        parts = ("data", "model", "regularization")
        choices = choices_of(job.config)
        key = json.dumps([(content.get(part), choices.get(part)) for part in parts], sort_keys=True)
        if key not in self.of_task:
            try:
                data_key = json.dumps([content.get("data"), choices.get("data")])
                self.of_task[key] = self._measured(schema.experiment(task), data_key)
            except (RequestError, OSError, ValueError):
                self.of_task[key] = (0.0, 0)
        return self.of_task[key]

    def _measured(self, experiment: schema.Experiment, data_key: str) -> tuple[float, int]:
        if data_key not in self.outlines:
            self.outlines[data_key] = outline(experiment.data, stream(experiment.seed, "split"))
        data = self.outlines[data_key]
        if not isinstance(experiment.model, Model):
            return 0.0, data.train
        network = experiment.model.network(data.image_shape, data.classes, experiment.regularization, dtype=np.float32)
        forward = sum(layer.flops() for layer in network.layers)
        return float(PASSES * forward * data.train), data.train


def rough(planned: Plan, jobs: Sequence[Job], work: Work) -> float:
    """Return an upper bound of the time of a sweep without measuring anything."""
    total = 0.0
    for job in jobs:
        operations, images = work(job)
        seconds = AROUND + (0.0 if job.config.report.plots.name == "none" else DRAWING)
        if schema.is_sklearn(task_part(job.config)):
            seconds += SKLEARN * images**2
        else:
            seconds += job.config.trainer.epochs * (operations / SLOWEST + images * _per_image(job))
        total += seconds
    return total / parallelism(planned).at_once


def _per_image(job: Job) -> float:
    """Return the seconds of an image beside the operations of the network: its share of a step, and its distortion."""
    batch = job.config.trainer.batch_size
    step = STEP / batch if isinstance(batch, int) and batch > 0 else 0.0
    return step + (0.0 if choices_of(job.config).get("augment") == "none" else DISTORTION)


def of(planned: Plan, jobs: Sequence[Job], manifest: Manifest, work: Work | None = None) -> Forecast:
    """Return the forecast of some jobs of a sweep, from rehearsals of its distinct networks."""
    work = work or Work()
    costs = costs_of(planned, jobs, {job.entry.number: work(job)[0] for job in jobs})
    forecasts = tuple(_job(job, costs[job.entry.number]) for job in jobs)
    parallel = parallelism(planned)
    seconds = _training(forecasts, costs, manifest, parallel.at_once)
    seconds += STARTING + ENDING + PAGE * len(manifest.entries)
    bounds, seeds = _bounds(jobs, manifest, seconds), None
    if manifest.design:
        seeds = manifest.design.looks[-1]
    return Forecast(forecasts, seconds, parallel, bounds, outlook(manifest.entries, seeds), planned.notes)


def _job(job: Job, cost: Cost) -> JobForecast:
    if cost.error:
        return JobForecast(job.entry, 0, 0.0, 0, 0, cost.error)
    epochs = 1 if schema.is_sklearn(task_part(job.config)) else max(0, job.config.trainer.epochs - _trained(job))
    return JobForecast(job.entry, epochs, cost.seconds(epochs), cost.memory, cost.disk)


def _trained(job: Job) -> int:
    """Return the number of epochs that an earlier attempt at this job has trained."""
    state = status.read(job.directory)
    if state.config_hash != job.entry.config_hash or state.state == "completed":
        return 0
    try:
        return sum(1 for _ in read_rows(job.directory / paths.HISTORY))
    except (UnreadableError, OSError):
        return 0


def _training(jobs: Sequence[JobForecast], costs: Mapping[int, Cost], manifest: Manifest, at_once: int) -> float:
    """Return the time until the last job has ended."""
    if manifest.halving is None:
        return makespan([job.seconds for job in jobs], at_once)
    usable = [costs[job.entry.number] for job in jobs if not job.error]
    if not usable:
        return 0.0
    settings = {_setting(entry) for entry in manifest.entries}
    number, seeds = len(settings), len(manifest.entries) / len(settings)
    load, epoch, after = (
        sum(getattr(cost, name) for cost in usable) / len(usable) for name in ("load", "epoch", "after")
    )
    total, earlier = 0.0, 0
    for rung in manifest.halving.rungs:
        end = after if rung == manifest.halving.rungs[-1] else 0.0
        each = load + (rung - earlier) * epoch + end
        total += makespan([each] * math.ceil(number * seeds), at_once)
        number, earlier = kept(number, manifest.halving.reduction), rung
    return total


def _bounds(jobs: Sequence[Job], manifest: Manifest, seconds: float) -> tuple[str, ...]:
    bounds = []
    stopping = sum(job.config.trainer.patience is not None for job in jobs)
    if stopping:
        those = "" if stopping == len(jobs) else f" of {stopping} jobs"
        bounds.append(f"an upper bound: early stopping{those} may end training before the last epoch")
    if manifest.design and len(manifest.design.looks) > 1:
        looks = manifest.design.looks
        most = duration(seconds * looks[-1] / looks[0])
        bounds.append(f"the first look, at {looks[0]} seeds; if all {looks[-1]} are needed, about {most} in all")
    if manifest.halving:
        rungs = ", ".join(map(str, manifest.halving.rungs[:-1]))
        bounds.append(f"the times of jobs are those of the settings that are not stopped after {rungs} epochs")
    return tuple(bounds)


def outlook(entries: Sequence[Entry], seeds: int | None = None) -> Outlook:
    """Return what the statistics of these jobs will be able to see; ``seeds`` are those of the last look."""
    by_setting: dict[tuple[str, ...], set[str]] = {}
    for entry in entries:
        values = {key_of(text): text for text in entry.overrides}
        by_setting.setdefault(_setting(entry), set()).add(values.get(SEED, ""))
    common = set.intersection(*by_setting.values()) if by_setting else set()
    return outlook_of(len(by_setting), len(common) if seeds is None else seeds)


def _setting(entry: Entry) -> tuple[str, ...]:
    return tuple(sorted(text for text in entry.overrides if key_of(text) != SEED))
