"""Overrides -> the jobs of a sweep. Every point of the grid is composed and checked before the first job starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from mnistlab.config import compose, errors, options, plugins, schema
from mnistlab.config.composed_once import composed_once
from mnistlab.config.hydra_guard import ConfigLoaderImpl, Hydra, create_config_search_path
from mnistlab.runs import paths
from mnistlab.sweeps import axes
from mnistlab.sweeps.axes import Grid
from mnistlab.sweeps.job import Job, task_part
from mnistlab.sweeps.manifest import Entry, Manifest
from mnistlab.sweeps.points import Points, refuse_too_many, setting_of, varying
from mnistlab.sweeps.shape import Shape
from mnistlab.system import files
from mnistlab.system.errors import RequestError


@dataclass(frozen=True)
class Plan:
    """A planned sweep: its jobs, its directory, and its launcher with settings."""

    directory: Path
    jobs: tuple[Job, ...]
    launcher: str
    launcher_settings: dict[str, Any]
    config: DictConfig = field(repr=False)  # of the sweep itself, for multirun.yaml
    notes: tuple[str, ...] = ()  # what was left out of the grid


def plan(
    overrides: Sequence[str],
    config_dir: str | None = None,
    manifest: Manifest | None = None,
    added: Sequence[Sequence[str]] = (),
    only_added: bool = False,
    shape: Shape | None = None,
) -> Plan:
    """Compose every job of a new sweep, or of an existing one and the points ``added`` to it.

    ``config_dir`` is another folder with YAML files. With ``only_added`` the existing jobs are left out. ``shape`` is
    that of a new grid; an existing sweep has its own. If a point does not compose, the whole grid is refused with a
    `RequestError`.
    """
    overrides = compose.with_paths_quoted(overrides)
    existing = [entry.overrides for entry in manifest.entries] if manifest else []
    shape = manifest.shape if manifest else shape or Shape()
    start, points, grid = len(existing) if only_added else 0, None, None
    try:
        composer = loader(config_dir)
        master = _master(composer, overrides, shape)
        sweeper = master.hydra.runtime.choices["hydra/sweeper"]
        if sweeper != "basic":
            raise RequestError(f"hydra/sweeper={sweeper}: `mnistlab train -m` runs grids; `mnistlab tune` searches")
        points = Points(lambda point: composer.load_sweep_config(master, [*point]), shape)
        with composed_once():
            for point in existing[start:]:
                points.keep(point)
            for point in map(tuple, added):
                points.offer(point)
            if not existing and not added:
                grid = _grid(master, shape)
                points.offer_grid(grid)
        points.now = ()
        if str(master.hydra.sweep.dir) in ("", "."):
            raise RequestError("hydra.sweep.dir=: must be a directory of its own, for example outputs/grid")
        directory = manifest.directory if manifest else Path(str(master.hydra.sweep.dir)).absolute()
    except Exception as error:
        raise RequestError(errors.one_line(error, [*overrides, *(points.now if points else ())])) from None
    finally:
        GlobalHydra.instance().clear()
    differing = varying([*existing[:start], *(point for point, _ in points.chosen)])
    jobs = []
    for number, (point, config) in enumerate(points.chosen, start):
        _complete(config, number, [text for text in point if text.partition("=")[0] in differing], directory)
        is_old = number < len(existing)
        place = manifest.entries[number].directory if manifest and is_old else str(config.hydra.sweep.subdir)
        _set(config, "hydra.sweep.subdir", place)  # resolved here, since a worker resolves nothing
        jobs.append(_job(number, point, config, directory, differing))
    _set(master, "hydra.sweep.dir", str(directory))
    others = [directory / entry.directory for entry in manifest.entries[:start]] if manifest else []
    _refuse_shared_directories(jobs, directory, others)
    settings = OmegaConf.to_container(master.hydra.launcher, resolve=True)
    assert isinstance(settings, dict)
    launcher, notes = master.hydra.runtime.choices["hydra/launcher"], tuple(points.notes(grid))
    return Plan(directory, tuple(jobs), launcher, {str(key): value for key, value in settings.items()}, master, notes)


def loader(config_dir: str | None) -> ConfigLoaderImpl:
    """Return what composes configurations, from our folder and perhaps another one."""
    compose.register()
    search_path = create_config_search_path(str(options.folder()))
    if config_dir is not None:
        folder = Path(config_dir).absolute()
        if not folder.is_dir():
            raise RequestError(f"--config-dir={config_dir}: no such directory")
        plugins.import_listed(folder)  # again where a sweep is resumed
        search_path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
    composer = Hydra.create_main_hydra2(task_name="mnistlab", config_search_path=search_path).config_loader
    assert isinstance(composer, ConfigLoaderImpl)
    return composer


def _master(composer: ConfigLoaderImpl, overrides: Sequence[str], shape: Shape) -> DictConfig:
    """Return the configuration of the sweep itself, without the swept values.

    It has the default option of a swept group, and so may lack keys that all swept options have, as in
    ``model=svm_poly,svm_rbf model.gamma=auto``. Such overrides are applied only to the points.
    """
    try:
        return composer.load_configuration("config", [*overrides], RunMode.MULTIRUN)
    except HydraException:
        parsed = OverridesParser.create(config_loader=composer).parse_overrides([*overrides])
        swept = {override.get_key_element() for override in parsed if override.is_sweep_override()}
        swept |= axes.keys_in_sets(shape, OverridesParser.create(config_loader=composer))
        kept = [str(item.input_line) for item in parsed if not _is_inside(item.get_key_element(), swept)]
        if len(kept) == len(overrides):
            raise
        master = composer.load_configuration("config", kept, RunMode.MULTIRUN)
        tasks = [str(item.input_line) for item in parsed if not item.get_key_element().startswith("hydra")]
        _set(master, "hydra.overrides.task", tasks)
        return master


def _is_inside(key: str, groups: set[str]) -> bool:
    group, dot, _ = key.partition(".")
    chosen = group in groups or ("experiment" in groups and group != "hydra")  # an experiment also sets other groups
    return bool(dot) and chosen


def _grid(master: DictConfig, shape: Shape) -> Grid:
    """Return the grid of all lists, ranges and globs, with those of hydra.sweeper.params first."""
    params = master.hydra.sweeper.get("params") or {}
    texts = [*(f"{key}={value}" for key, value in params.items()), *master.hydra.overrides.task]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    for override in (parsed := parser.parse_overrides(texts)):
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise RequestError(
                f"{override.input_line}: a sweep takes lists, range() and choice(); intervals are for `mnistlab tune`"
            )
    axes.refuse_repeated(parsed[len(params) :])
    size = axes.size(parsed, shape, parser)
    if shape.sample is None:
        refuse_too_many(size)
    return Grid(axes.axes_of(parsed, shape, parser))


def _complete(config: DictConfig, number: int, shown: Sequence[str], sweep: Path) -> None:
    """Set what Hydra's launchers would set; the override_dirname contains only the overrides ``shown``, which vary."""
    _set(config, "hydra.mode", RunMode.MULTIRUN)
    _set(config, "hydra.job.num", number)
    _set(config, "hydra.job.id", f"{config.hydra.job.name}_{number}")
    _set(config, "hydra.job.override_dirname", ",".join(shown))
    _set(config, "hydra.sweep.dir", str(sweep))


def _set(config: DictConfig, key: str, value: Any) -> None:
    with read_write(config.hydra):
        OmegaConf.update(config, key, value, force_add=True)  # merging would resolve the old value


def _job(number: int, point: Sequence[str], config: DictConfig, sweep: Path, keys: Sequence[str]) -> Job:
    directory = sweep / str(config.hydra.sweep.subdir)
    overrides = dict(text.lstrip("+").partition("=")[::2] for text in point)
    settings = {key: setting_of(config, key, overrides.get(key)) for key in (text.lstrip("+") for text in keys)}
    place = directory.relative_to(sweep).as_posix() if directory.is_relative_to(sweep) else str(directory)
    entry = Entry(number, place, tuple(point), schema.config_hash(task_part(config)), settings)
    return Job(entry, directory, config)


def _refuse_shared_directories(jobs: Sequence[Job], sweep: Path, others: Sequence[Path]) -> None:
    directories = {*others}
    for job in jobs:
        place = job.directory
        if ".." in place.parts or sweep not in place.parents:
            raise RequestError(f"hydra.sweep.subdir={files.shown(place)}: must be a directory inside that of the sweep")
        if place in directories or any(other in place.parents or place in other.parents for other in directories):
            raise RequestError(
                f"hydra.sweep.subdir={place.relative_to(sweep)}: two jobs would share this directory; "
                "begin it with ${hydra.job.num}"
            )
        directories.add(place)


def write_multirun(plan: Plan) -> None:
    """Write multirun.yaml, Hydra's own record of a sweep."""
    files.write(plan.directory / paths.MULTIRUN, OmegaConf.to_yaml(plan.config))
