"""``mnistlab train -m --until-decided``: the design of the sweep, and after each look the seeds that it still needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mnistlab.analysis.verdict_text import check_margin
from mnistlab.runs.record import Record
from mnistlab.statistics import sequential
from mnistlab.statistics.sequential import Design
from mnistlab.sweeps.grid import Plan
from mnistlab.sweeps.growth import SEED, Point, key_of, with_seeds
from mnistlab.sweeps.manifest import Entry
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import look_up

NAME = "--until-decided"


@dataclass(frozen=True)
class Request:
    """The options of the command; ``margin`` is in points, as a metric is printed."""

    margin: float | None = None
    looks: tuple[int, ...] | None = None
    alpha: float = 0.05


@dataclass(frozen=True)
class Look:
    """What a look has decided, as a line for the log, and the points that the next one needs."""

    line: str
    points: tuple[Point, ...]


def start(request: Request, planned: Plan) -> tuple[Design, list[Point]]:
    """Return the design of a sweep over settings, and the points of its first look."""
    if any(SEED in job.entry.settings for job in planned.jobs):
        raise RequestError(f"{NAME}: adds the seeds itself; leave out the list of seeds, or give the first one, seed=0")
    settings = len(planned.jobs)
    if settings < 2:
        raise RequestError(f"{NAME}: needs two or more settings to compare, for example init=random,kaiming")
    looks = request.looks or sequential.default_looks(settings, request.alpha)
    _check(looks, settings, request)
    config = planned.jobs[0].config
    metric = "validation.accuracy" if look_up(config, "data.validation") else "test.accuracy"
    check_margin(request.margin, metric)
    margin = None if request.margin is None else request.margin / 100
    design = Design(metric, looks, request.alpha, margin, int(config.seed), settings)
    return design, with_seeds([job.entry.overrides for job in planned.jobs], design.seeds(looks[0]))


def _check(looks: Sequence[int], settings: int, request: Request) -> None:
    """Raise `RequestError` if there is a look at which nothing can be decided, on which its part of alpha is lost."""
    fewest = sequential.fewest_seeds(len(looks), settings, request.alpha)
    in_looks = f"in {len(looks)} look{'s' if len(looks) > 1 else ''}"
    needs = f"the exact test needs {fewest} seeds to decide anything between {settings} settings {in_looks}"
    if request.looks and looks[-1] < fewest:
        raise RequestError(f"--looks {','.join(map(str, looks))}: {needs}; end with {fewest} or more")
    if request.looks and looks[0] < fewest:
        early = " and ".join(str(look) for look in looks if look < fewest)
        raise RequestError(
            f"--looks {','.join(map(str, looks))}: {needs}; leave out {early}, or begin with {fewest} or more"
        )
    if looks[-1] < fewest:  # the last of the usual looks
        name = f"--alpha {request.alpha:g}" if request.alpha != Request.alpha else NAME
        raise RequestError(f"{name}: {needs}; give looks of so many, for example --looks {fewest}")


def next_look(design: Design, records: Sequence[Record], entries: Sequence[Entry]) -> Look:
    """Return what the completed runs decide, and which runs are still needed; settings that failed get no more."""
    settings: dict[Point, dict[int, float]] = {}
    for entry, record in zip(entries, records, strict=True):
        values = settings.setdefault(_setting(entry), {})
        value = record.value(design.metric)
        if record.seed is not None and math.isfinite(value):
            values[record.seed] = value
    points = list(settings)
    over = zip(entries, records, strict=True)
    failed = {points.index(_setting(entry)) for entry, record in over if record.is_over_without(design.metric)}
    progress = sequential.progress(list(settings.values()), design, failed)
    known = {frozenset(entry.overrides) for entry in entries}
    needed = with_seeds([points[i] for i in progress.settings], design.seeds(progress.look)) if progress.look else []
    return Look(_line(progress, design, len(points)), tuple(point for point in needed if frozenset(point) not in known))


def _setting(entry: Entry) -> Point:
    return tuple(text for text in entry.overrides if key_of(text) != SEED)


def _line(progress: sequential.Progress, design: Design, settings: int) -> str:
    pairs = design.pairs(settings)
    decided = sum(decision.is_final for decision in progress.decisions.values())
    seeds = max((decision.look for decision in progress.decisions.values()), default=design.looks[0])
    line = f"look    {seeds} seeds: {decided} of {pairs} pair{'s' if pairs > 1 else ''} decided"
    if progress.untested:
        line += f", {len(progress.untested)} not tested further since runs failed"
    if decided + len(progress.untested) == pairs:
        return line
    if progress.look is None:
        return f"{line}; the last of the planned looks"
    return f"{line}; {len(progress.settings)} settings go on to {progress.look} seeds"
