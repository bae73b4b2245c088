"""Rehearsals of the distinct networks of a sweep, as many at a time as its launcher would run jobs."""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf, open_dict, read_write

from mnistlab.config import schema
from mnistlab.config.tracking import NoTracking
from mnistlab.runs import status
from mnistlab.runs.environment import all_cores
from mnistlab.sweeps.grid import Plan
from mnistlab.sweeps.job import Job, perform, task_part
from mnistlab.sweeps.launchers.joblib import Worker, shares
from mnistlab.sweeps.points import choices_of
from mnistlab.system.signals import GRACE, interruptible

MOST = 24  # kinds that are rehearsed; the others are estimated from the nearest by their operations
NOT_COSTLY = {  # keys on which the time of a job does not depend, or in proportion to the number of epochs
    *("seed", "init", "schedule"),
    *(f"trainer.{name}" for name in ("epochs", "patience", "min_delta", "monitor", "select")),
}


@dataclass(frozen=True)
class Cost:
    """What a job costs: seconds before, per epoch, and after the training; the most memory and the files, in bytes."""

    load: float
    epoch: float
    after: float
    memory: int
    disk: int
    error: str = ""  # why it cannot be run

    def seconds(self, epochs: int) -> float:
        """Return the time of a job that trains for so many epochs."""
        return self.load + epochs * self.epoch + self.after

    def scaled(self, factor: float) -> Cost:
        """Return the cost of a network with so many times the operations."""
        return replace(self, epoch=self.epoch * factor)


@dataclass(frozen=True)
class Parallelism:
    """How many jobs a launcher runs at a time, the cores of each, and whether it is this machine that runs them."""

    at_once: int
    cores: int
    is_here: bool = True


def parallelism(planned: Plan) -> Parallelism:
    """Return the parallelism of the launcher of a sweep."""
    settings, jobs = planned.launcher_settings, len(planned.jobs)
    match planned.launcher:
        case "joblib":
            return Parallelism(*shares(settings, jobs))
        case "submitit_local":
            each = _whole(settings.get("cpus_per_task"), 1)
            return Parallelism(max(1, min(jobs, all_cores() // each)), each)
        case "submitit_slurm":
            limit = settings.get("slurm_array_parallelism")
            return Parallelism(min(jobs, _whole(limit, jobs)), _whole(settings.get("cpus_per_task"), 1), False)
        case "ray":
            options = settings.get("ray") or {}
            each = _whole((options.get("remote") or {}).get("num_cpus"), 1)
            cluster = options.get("init") or {}
            cores = _whole(cluster.get("num_cpus"), all_cores())
            return Parallelism(max(1, min(jobs, cores // each)), each, not cluster.get("address"))
    return Parallelism(1, all_cores())


def _whole(value: Any, otherwise: int) -> int:
    return int(value) if isinstance(value, (int, float)) and value >= 1 else otherwise


def kind_of(job: Job) -> str:
    """Return what decides on the cost of a job, as text: jobs of one kind are rehearsed once."""
    task = task_part(job.config)
    content = schema.deciding(task)
    if schema.is_sklearn(task):
        content = {key: value for key, value in content.items() if key in schema.USED_BY_SKLEARN}
    else:
        content["optimizer"] = None  # its choice is enough
        regularization = content.get("regularization")
        if isinstance(regularization, dict):  # how strong a penalty is does not matter
            content["regularization"] = {key: bool(value) for key, value in regularization.items()}
    report = OmegaConf.to_container(task.report, enum_to_str=True)
    content = {key: value for key, value in content.items() if key not in NOT_COSTLY}
    trainer = content.get("trainer")
    if isinstance(trainer, dict):
        content["trainer"] = {key: value for key, value in trainer.items() if f"trainer.{key}" not in NOT_COSTLY}
    choices = {key: choice for key, choice in choices_of(job.config).items() if key in content}
    return json.dumps([content, choices, report], sort_keys=True)


def rehearse(job: Job, cores: int) -> Cost:
    """Rehearse a job in a temporary directory and return its cost."""
    from mnistlab.runs import pipeline, rehearsal

    config = job.config.copy()
    trial = rehearsal.TimedTraining()
    try:
        pipeline.load_data(schema.experiment(task_part(config)))  # so that what is cached for all jobs is there
    except Exception as error:
        return Cost(0, 0, 0, 0, 0, " ".join(str(error).split()))
    with tempfile.TemporaryDirectory(prefix="mnistlab-plan-") as folder:
        directory = Path(folder) / "run"
        with open_dict(config), read_write(config.hydra):
            config.tracking = OmegaConf.structured(NoTracking)
            config.hydra.sweep.dir, config.hydra.sweep.subdir = folder, directory.name
        rehearsal.reset_peak()
        perform(replace(job, directory=directory, config=config, pause_after=None), cores, rehearsal=trial)
        state = status.read(directory)
        if state.state != "completed":
            return Cost(0, 0, 0, 0, 0, state.error or state.state)
        disk = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    spent = state.seconds
    after = spent.get("evaluate", 0.0) * trial.predict_factor + spent.get("plots", 0.0)
    return Cost(spent.get("load", 0.0), trial.epoch, after, rehearsal.peak_memory(), disk)


def _in_worker(job: Job, cores: int) -> Cost:
    with interruptible():
        return rehearse(job, cores)


def costs_of(planned: Plan, jobs: Sequence[Job], work: Mapping[int, float]) -> dict[int, Cost]:
    """Return the cost of each job by its number, from rehearsals of the distinct kinds.

    Args:
        planned: the sweep, whose launcher decides how many rehearsals run at a time.
        jobs: the jobs.
        work: the operations of an epoch of each job, by its number; 0 if unknown.
    """
    by_kind: dict[str, list[Job]] = {}
    for job in jobs:
        by_kind.setdefault(kind_of(job), []).append(job)
    firsts = {kind: same[0] for kind, same in by_kind.items()}
    chosen = _spread(list(firsts), {kind: work.get(job.entry.number, 0.0) for kind, job in firsts.items()})
    measured = _rehearsed([firsts[kind] for kind in chosen], parallelism(planned))
    of_kind = dict(zip(chosen, measured, strict=True))
    for kind, job in firsts.items():
        if kind not in of_kind:
            of_kind[kind] = _nearest(job, [(firsts[other], of_kind[other]) for other in chosen], work)
    return {job.entry.number: of_kind[kind] for kind, same in by_kind.items() for job in same}


def _spread(kinds: list[str], work: Mapping[str, float]) -> list[str]:
    """Return the kinds to rehearse: all, or of many some that are spread over their numbers of operations."""
    if len(kinds) <= MOST:
        return kinds
    ordered = sorted(kinds, key=lambda kind: work[kind])
    return [ordered[round(i * (len(ordered) - 1) / (MOST - 1))] for i in range(MOST)]


def _nearest(job: Job, measured: Sequence[tuple[Job, Cost]], work: Mapping[int, float]) -> Cost:
    mine = work.get(job.entry.number) or 1.0

    def ratio(other: Job) -> float:
        theirs = work.get(other.entry.number) or 1.0
        return max(mine, theirs) / min(mine, theirs)

    usable = [pair for pair in measured if not pair[1].error] or list(measured)
    other, cost = min(usable, key=lambda pair: ratio(pair[0]))
    return cost.scaled(mine / (work.get(other.entry.number) or 1.0))


def _rehearsed(jobs: Sequence[Job], parallel: Parallelism) -> list[Cost]:
    """Return the cost of each job, measured while as many others run beside it as in the sweep."""
    beside = max(1, min(parallel.at_once, all_cores() // min(parallel.cores, all_cores())))
    costs: list[list[Cost]] = [[] for _ in jobs]
    waiting = deque(_turns(len(jobs), beside))
    pool = [Worker() for _ in range(beside)]
    running: dict[Future[Any], tuple[Worker, int]] = {}
    try:
        for worker in pool:
            number = waiting.popleft()
            running[worker.submit(_in_worker, jobs[number], parallel.cores)] = worker, number
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                worker, number = running.pop(future)
                lost = worker.end_of(future)
                costs[number].append(Cost(0, 0, 0, 0, 0, lost) if lost else future.result())
                if waiting:
                    following = waiting.popleft()
                    running[worker.submit(_in_worker, jobs[following], parallel.cores)] = worker, following
    finally:
        for worker, _ in running.values():
            worker.interrupt()
        wait(running, timeout=GRACE)
        for worker in pool:
            worker.close()
    return [_mean(of_one) for of_one in costs]


def _turns(jobs: int, beside: int) -> Iterator[int]:
    """Yield each job once, and some again so that the last one is not measured alone."""
    for turn in range(-(-jobs // beside) * beside):
        yield turn % jobs


def _mean(costs: Sequence[Cost]) -> Cost:
    good = [cost for cost in costs if not cost.error]
    if not good:
        return costs[0]

    def mean(name: str) -> float:
        return sum(getattr(cost, name) for cost in good) / len(good)

    memory, disk = max(cost.memory for cost in good), max(cost.disk for cost in good)
    return Cost(mean("load"), mean("epoch"), mean("after"), memory, disk)
