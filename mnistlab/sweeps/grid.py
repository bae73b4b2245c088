"""Overrides -> the jobs of a sweep. Every point of the grid is composed and checked before the first job starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from mnistlab.config import compose, errors, options, plugins, schema
from mnistlab.config.hydra_guard import BasicSweeper, ConfigLoaderImpl, Hydra, create_config_search_path
from mnistlab.runs import paths
from mnistlab.sweeps.job import Job, task_part
from mnistlab.sweeps.manifest import Entry, Manifest
from mnistlab.system import files
from mnistlab.system.errors import RequestError

MOST_POINTS = 10_000  # of a grid; composing takes about a second per dozen


@dataclass(frozen=True)
class Plan:
    """A planned sweep: its jobs, its directory, and its launcher with settings."""

    directory: Path
    jobs: tuple[Job, ...]
    launcher: str
    launcher_settings: dict[str, Any]
    config: DictConfig = field(repr=False)  # of the sweep itself, for multirun.yaml


def plan(
    overrides: Sequence[str],
    config_dir: str | None = None,
    manifest: Manifest | None = None,
    added: Sequence[Sequence[str]] = (),
    only_added: bool = False,
) -> Plan:
    """Compose every job of a new sweep, or of an existing one and the points ``added`` to it.

    ``config_dir`` is another folder with YAML files. With ``only_added`` the existing jobs are left out. If a point
    does not compose, the whole grid is refused with a `RequestError`.
    """
    overrides = compose.with_paths_quoted(overrides)
    existing = [entry.overrides for entry in manifest.entries] if manifest else []
    points = [*existing, *map(tuple, added)]
    point: tuple[str, ...] = ()
    composed: list[DictConfig] = []
    try:
        composer = loader(config_dir)
        master = _master(composer, overrides)
        sweeper = master.hydra.runtime.choices["hydra/sweeper"]
        if sweeper != "basic":
            raise RequestError(f"hydra/sweeper={sweeper}: `mnistlab train -m` runs grids; `mnistlab tune` searches")
        points = points or _grid(master)
        start = len(existing) if only_added else 0
        known = {entry.config_hash for entry in manifest.entries} if manifest else set()
        wanted, points = points, points[:start]
        for i, point in enumerate(wanted[start:], start):
            config = composer.load_sweep_config(master, list(point))
            schema.reject_unknown_keys(task_part(config))
            if i >= len(existing) > 0 and schema.config_hash(task_part(config)) in known:
                continue  # an added point that the sweep has, perhaps by a default
            composed.append(config)
            points.append(point)
        point = ()
        if str(master.hydra.sweep.dir) in ("", "."):
            raise RequestError("hydra.sweep.dir=: must be a directory of its own, for example outputs/grid")
        directory = manifest.directory if manifest else Path(str(master.hydra.sweep.dir)).absolute()
    except Exception as error:
        raise RequestError(errors.one_line(error, [*overrides, *point])) from None
    finally:
        GlobalHydra.instance().clear()
    varying = _varying(points)
    jobs = []
    for number, (point, config) in enumerate(zip(points[start:], composed, strict=True), start):
        _complete(config, number, [text for text in point if text.partition("=")[0] in varying], directory)
        is_old = number < len(existing)
        place = manifest.entries[number].directory if manifest and is_old else str(config.hydra.sweep.subdir)
        _set(config, "hydra.sweep.subdir", place)  # resolved here, since a worker resolves nothing
        jobs.append(_job(number, point, config, directory, varying))
    _set(master, "hydra.sweep.dir", str(directory))
    others = [directory / entry.directory for entry in manifest.entries[:start]] if manifest else []
    _refuse_shared_directories(jobs, directory, others)
    settings = OmegaConf.to_container(master.hydra.launcher, resolve=True)
    assert isinstance(settings, dict)
    launcher = master.hydra.runtime.choices["hydra/launcher"]
    return Plan(directory, tuple(jobs), launcher, {str(key): value for key, value in settings.items()}, master)


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


def _master(composer: ConfigLoaderImpl, overrides: Sequence[str]) -> DictConfig:
    """Return the configuration of the sweep itself, without the swept values.

    It has the default option of a swept group, and so may lack keys that all swept options have, as in
    ``model=svm_poly,svm_rbf model.gamma=auto``. Such overrides are applied only to the points.
    """
    try:
        return composer.load_configuration("config", [*overrides], RunMode.MULTIRUN)
    except HydraException:
        parsed = OverridesParser.create(config_loader=composer).parse_overrides([*overrides])
        swept = {override.get_key_element() for override in parsed if override.is_sweep_override()}
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


def _grid(master: DictConfig) -> list[tuple[str, ...]]:
    """Return the points: the product of all lists, ranges and globs, with those of hydra.sweeper.params first."""
    params = master.hydra.sweeper.get("params") or {}
    texts = [*(f"{key}={value}" for key, value in params.items()), *master.hydra.overrides.task]
    parser, count = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader()), 1
    for override in (parsed := parser.parse_overrides(texts)):
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise RequestError(
                f"{override.input_line}: a sweep takes lists, range() and choice(); intervals are for `mnistlab tune`"
            )
        if override.is_sweep_override():
            values = _count(override)
            if not values:
                raise RequestError(f"{override.input_line}: no values; list at least one")
            count *= values
    if count > MOST_POINTS:
        raise RequestError(
            f"the grid has {count:,} points, more than {MOST_POINTS:,}; use fewer values, or `mnistlab tune`"
        )
    (points,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [tuple(point) for point in points]


def _count(override: Override) -> int:
    try:
        return sum(1 for _ in islice(override.sweep_string_iterator(), MOST_POINTS + 1))
    except ValueError as error:
        raise RequestError(f"{override.input_line}: {error}; must be range(start,stop,step)") from None


def _varying(points: Sequence[Sequence[str]]) -> list[str]:
    """Return the keys of the overrides that differ between points, in their order."""
    keys = dict.fromkeys(text.partition("=")[0] for point in points for text in point)
    chosen = {key: {next((t for t in point if t.partition("=")[0] == key), None) for point in points} for key in keys}
    return [key for key in keys if len(chosen[key]) > 1]


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


def _job(number: int, point: Sequence[str], config: DictConfig, sweep: Path, varying: Sequence[str]) -> Job:
    directory = sweep / str(config.hydra.sweep.subdir)
    task = task_part(config)
    keys = [text.lstrip("+") for text in varying]
    overrides = dict(text.lstrip("+").partition("=")[::2] for text in point)
    settings = {key: _setting(task, config.hydra.runtime.choices, key, overrides.get(key)) for key in keys}
    place = directory.relative_to(sweep).as_posix() if directory.is_relative_to(sweep) else str(directory)
    return Job(Entry(number, place, tuple(point), schema.config_hash(task), settings), directory, config)


def _setting(cfg: DictConfig, choices: Mapping[str, Any], key: str, override: str | None) -> Any:
    """Return the value of a key in a configuration, or the chosen option of a group."""
    if key in choices:
        return override if override and override.startswith("[") else choices[key]
    if override is not None and OmegaConf.is_dict(OmegaConf.select(cfg, key)):
        return override  # several options of one group, which Hydra does not record
    value = OmegaConf.select(cfg, key)
    return (
        OmegaConf.to_container(value, enum_to_str=True) if OmegaConf.is_config(value) else getattr(value, "name", value)
    )


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
