"""A row as a sweep over seeds: its overrides, its directory, and its unfinished runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mnistlab.config import compose, options, safe_yaml
from mnistlab.papers.spec import NEAR, Row
from mnistlab.runs import paths
from mnistlab.sweeps.grid import Plan, plan, write_multirun
from mnistlab.sweeps.growth import parsed
from mnistlab.sweeps.manifest import Manifest
from mnistlab.sweeps.runner import Sweep
from mnistlab.system import console, files
from mnistlab.system.errors import RequestError
from mnistlab.system.locks import held
from mnistlab.system.readers import UnreadableError, read_text


def directory(folder: Path, row: Row, near: bool = False) -> Path:
    """Return the directory of a row's sweep, or of the sweep of its near settings."""
    return folder / ("" if row.is_own else row.paper) / (f"{row.name}{NEAR}" if near else row.name)


def overrides(row: Row, budget: str, seeds: int | None, near: bool = False, extra: Sequence[str] = ()) -> list[str]:
    """Return the overrides of a row's sweep. A job's directory contains what varies, so that seeds can be added."""
    keys = [*grid(row), "seed"]
    subdir = ",".join(f"{key}=${{{key}}}" for key in keys)
    return [
        *row.train,
        f"seed=range({row.seeds[budget] if seeds is None else seeds})",
        *(row.near.overrides if near and row.near else ()),
        *row.overrides[budget],
        *extra,
        f"hydra.sweep.subdir='{subdir}'",
        f"report.plots={'core' if any(name.startswith('feature_maps') for name in row.pictures) else 'none'}",
    ]


def grid(row: Row) -> dict[str, int]:
    """Return the keys that a row sweeps, by its overrides or its experiment, each with its number of values."""
    return dict(_grid(row.train)) if row.kind == "train" else {}


@cache
def _grid(words: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    swept: dict[str, int] = {}
    for name in options.experiments(words):
        path = options.folder() / "experiment" / f"{name}.yaml"
        try:
            content = safe_yaml.load(path)
        except UnreadableError:
            raise RequestError(
                f"experiment={name}: there is no {files.shown(path)}; add it, or correct the name"
            ) from None
        params = content.get("hydra", {}).get("sweeper", {}).get("params", {})
        swept |= _counts([f"{key}={values}" for key, values in params.items()])
    return tuple((swept | _counts(words)).items())


def _counts(words: Sequence[str]) -> dict[str, int]:
    """Return the number of values of every key that is swept, except the seed, which is not a setting of a row."""
    swept = [override for override in parsed(words) if override.is_sweep_override()]
    counts = {one.get_key_element(): sum(1 for _ in one.sweep_string_iterator()) for one in swept}
    return {key: count for key, count in counts.items() if key != "seed"}


def planned(place: Path, overrides: Sequence[str]) -> Plan:
    """Return the sweep of a row, composed; raises `RequestError` if a job does not compose. Nothing is written."""
    return plan([*overrides, f"hydra.sweep.dir={compose.quoted(place)}"])


def run(place: Path, overrides: Sequence[str], planned: Plan, quiet: bool) -> int:
    """Run the unfinished runs of a row; return the exit status.

    A job that is completed with the same configuration is kept, even if it was started by another request. With more
    epochs than before, its training continues.
    """
    place.mkdir(parents=True, exist_ok=True)
    entries = tuple(job.entry for job in planned.jobs)
    manifest = Manifest(planned.directory, tuple(overrides), None, str(Path.cwd()), entries)
    with held(place) as ours:
        if not ours:
            raise RequestError(
                f"{files.shown(place)}: this row is already running; wait for it to end, or choose another --to DIR"
            )
        manifest.write()
        sweep = Sweep(manifest, planned, "reproduce", quiet, files.shown(planned.directory))
        sweep.verbosity = "silent" if quiet else "normal"
        left = sweep.left(planned.jobs, failed_only=False)
        if not left:
            if not quiet:
                print(f"all {len(planned.jobs)} runs are done")  # noqa: T201
            return 0
        write_multirun(planned)
        try:
            return sweep.run(left, fail_fast=False)
        finally:
            console.stop()


def started(place: Path) -> bool:
    """Return whether the directory contains a sweep."""
    return (place / paths.SWEEP).exists()


def planned_epochs(row: Row) -> int | None:
    """Return the epochs of the row's runs as they are composed."""
    if row.kind != "train":
        return None
    return experiment_epochs(row) or _default_epochs(row.train)


@cache
def _default_epochs(words: tuple[str, ...]) -> int:
    of_all = [override.input_line or "" for override in parsed(words) if not override.is_sweep_override()]
    return int(compose.compose(of_all).trainer.epochs)


def experiment_epochs(row: Row) -> int | None:
    """Return the epochs of the row's experiment, without composing it; None if it does not set them."""
    epochs = experiment_setting(row, "trainer", "epochs") or experiment_setting(row, "model", "epochs")
    return epochs if isinstance(epochs, int) else None


def experiment_setting(row: Row, group: str, key: str) -> Any:
    """Return the value of a key in the row's experiment, or in one that it is based on; None if it is not set."""
    for word in reversed(row.train if row.kind == "train" else ()):
        name, _, text = word.partition("=")
        if name.lstrip("+") == f"{group}.{key}" and "," not in text:
            return yaml.safe_load(text)
    for path in experiment_files(row):
        content = safe_yaml.load(path)
        if key in content.get(group, {}):
            return content[group][key]
    return None


def experiment_files(row: Row) -> Iterator[Path]:
    """Yield the file of the row's experiment, and those of the experiments that it is based on."""
    names, visited = options.experiments(row.train) if row.kind == "train" else [], set()
    while names:
        name = names.pop(0)
        visited.add(name)
        path = options.folder() / "experiment" / f"{name}.yaml"
        yield path
        names += [base for base in re.findall(r"- /experiment/(\S+)", read_text(path)) if base not in visited]
