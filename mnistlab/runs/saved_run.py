"""A saved run: its network, and its data according to its files. The run directory is never changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnistlab.config import plugins, safe_yaml
from mnistlab.config.schema import schema_of
from mnistlab.data.dataset import Source
from mnistlab.models import model_file
from mnistlab.nn.network import Network
from mnistlab.runs import paths
from mnistlab.runs.compute import Compute
from mnistlab.system.errors import RequestError, did_you_mean, whole
from mnistlab.system.readers import MOST_ARRAYS, UnreadableError, read_bytes, read_json_or_empty

CURE = "choose the data with data=..."
PATH_KEYS = ("path", "test_path", "root", "train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True)
class SavedRun:
    """The model of one run. Fields that its files do not provide (a copied model file alone) are None."""

    given: str  # the path as the user typed it
    directory: Path
    network: Network
    class_names: tuple[str, ...]
    model_sha256: str
    status: dict[str, Any]
    environment: dict[str, Any]

    @property
    def config_hash(self) -> str | None:
        """Return the hash of the run's configuration."""
        return self.status.get("config_hash")

    @property
    def data_sha256(self) -> str | None:
        """Return the hash of the data that the run read."""
        data = self.environment.get("data")
        return data.get("sha256") if isinstance(data, dict) else None

    @property
    def threads(self) -> int:
        """Return the number of BLAS threads of the run, with which the predictions are the same bit for bit."""
        threads = self.environment.get("threads")
        return min(threads, os.cpu_count() or 1) if isinstance(threads, int) and threads >= 1 else 1

    @property
    def compute(self) -> Compute:
        """Return the threads and kernels of the run, with which the predictions are the same bit for bit."""
        return Compute(self.threads, "numba" if self.environment.get("kernels") == "numba" else "numpy")

    @property
    def seed(self) -> int | None:
        """Return the seed of the run."""
        seed = self.environment.get("seed")
        return seed if isinstance(seed, int) and seed >= 0 else None


@dataclass(frozen=True)
class OwnData:
    """The data of a run, according to its configuration."""

    option: str  # of the group `data`
    settings: dict[str, Any]
    seed: int
    where: str  # the configuration file

    def source(self, **changes: Any) -> Source:
        """Return the checked source; ``changes`` are settings to replace."""
        schema = schema_of("data", self.option)
        blamed = "" if changes else f"{self.where}: "
        if schema is None:
            raise RequestError(f"{blamed}data={self.option} is not an available option; {CURE}")
        try:
            source = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), self.settings, changes))
        except OmegaConfBaseException as error:
            raise RequestError(f"{blamed}data.{error.full_key}: {_first_line(error.msg or error)}; {CURE}") from None
        except RequestError as error:
            raise RequestError(f"{blamed}{error.under('data')}") from None
        assert isinstance(source, Source)
        return source


def open_run(name: str) -> SavedRun:
    """Return the run at a path, its directory or the model in it; every problem is a `RequestError`."""
    path = Path(name)
    try:
        is_directory, is_file = path.is_dir(), path.is_file()
        if not is_directory and not is_file:
            raise RequestError(f"{name}: no such run directory{_near(path)}")
        if is_directory and not (path / paths.MODEL).is_file():
            raise RequestError(f"{name}: {_why_no_model(path)}")
        model = path / paths.MODEL if is_directory else path
        about = read_json_or_empty(model.parent / paths.ENVIRONMENT)
        if needed := plugins.missing(about, model.parent / paths.IMPORTS):
            raise RequestError(f"{name}: {needed}")
        network, class_names = model_file.load_model(model)
        digest = hashlib.sha256(read_bytes(model, MOST_ARRAYS)).hexdigest()
    except OSError as error:
        raise RequestError(f"{name}: cannot be read ({error.strerror or error}); check file permissions") from None
    directory = model.parent
    status, environment = (
        read_json_or_empty(directory / paths.STATUS),
        read_json_or_empty(directory / paths.ENVIRONMENT),
    )
    return SavedRun(name, directory, network, class_names, digest, status, environment)


def open_runs(names: Sequence[str]) -> list[SavedRun]:
    """Return runs that can form an ensemble: the same image size, and the same classes in the same order."""
    runs = [open_run(path) for path in names]
    first, directories = runs[0], set()
    for run in runs:
        place = run.directory.resolve()
        if place in directories:
            raise RequestError(f"{run.given}: this run is named twice; name each member of an ensemble once")
        directories.add(place)
        (h, w), (height, width) = first.network.image_shape, run.network.image_shape
        if (h, w) != (height, width):
            raise RequestError(
                f"{first.given} takes {h} x {w} pixels and {run.given} {height} x {width};"
                " all members of an ensemble must take images of the same size"
            )
        if run.class_names != first.class_names:
            raise RequestError(
                f"{first.given} has the classes {_some(first.class_names)} and {run.given} {_some(run.class_names)};"
                " all members of an ensemble must have the same classes in the same order"
            )
    return runs


def own_data(run: SavedRun) -> OwnData:
    """Return the data of a run. Relative paths start at the directory of its command, if they still exist there."""
    return data_of(run.directory, run.environment)


def data_of(directory: Path, environment: Mapping[str, Any]) -> OwnData:
    """Return the data of the run in a directory, which may have no model."""
    file = directory / paths.CONFIG
    saved, choices = _yaml(file), _yaml(directory / paths.HYDRA_CONFIG)
    try:
        settings = OmegaConf.to_container(saved.data, resolve=True, enum_to_str=True)
        option = choices.hydra.runtime.choices.data
        seed = whole("seed", saved.seed, 0, "the seed")
        if not isinstance(settings, dict) or not isinstance(option, str):
            raise TypeError("data is not a mapping")
    except (OmegaConfBaseException, AttributeError, ValueError, TypeError) as error:
        raise RequestError(f"{file}: data or seed is missing or invalid ({_first_line(error)}); {CURE}") from None
    started_in = environment.get("directory")
    for key in PATH_KEYS:
        value = settings.get(key)
        if isinstance(value, str) and isinstance(started_in, str) and (Path(started_in) / value).exists():
            settings[key] = str(Path(started_in) / value)
    own = OwnData(option, {str(key): value for key, value in settings.items()}, seed, str(file))
    own.source()
    return own


def display_names(runs: Sequence[SavedRun]) -> list[str]:
    """Return a name for each run: that of its directory, or the path as typed if two names are the same."""
    names = [run.directory.absolute().name for run in runs]
    return names if len(set(names)) == len(names) else [run.given for run in runs]


def _why_no_model(directory: Path) -> str:
    status = read_json_or_empty(directory / paths.STATUS)
    state = status.get("state")
    if state == "failed":
        return f"this run failed and has no {paths.MODEL} ({_first_line(status.get('error'))})"
    if state == "running":
        return f"this run has not finished (process {status.get('pid')}, since {status.get('started')})"
    if state == "interrupted":
        return f"this run was interrupted and has no {paths.MODEL}; `mnistlab resume` continues it"
    if read_json_or_empty(directory / paths.METRICS).get("learner") == "scikit-learn":
        return (
            "scikit-learn models are not saved, because that would need pickle; the predictions are in predictions.npz"
        )
    if (directory / paths.MEMBERS).is_file() or (directory / paths.PREDICTIONS).is_file():
        return "this is an evaluation, not a run; name the runs themselves"
    for pattern in ("*", "*/*"):
        if count := sum(1 for _ in directory.glob(f"{pattern}/{paths.MODEL}")):
            runs = "1 run" if count == 1 else f"{count} runs"
            example = min(directory.glob(f"{pattern}/{paths.MODEL}")).parent
            return f"not a run directory, but contains {runs}; name a run, for example {example}"
    return f"not a run directory (no {paths.MODEL}); name one such as outputs/<date>/<time>_<model>"


def _near(path: Path) -> str:
    parent = path.parent
    if path.exists() or not parent.is_dir():  # an existing path, for example a device, is not misspelt
        return ""
    return did_you_mean(path.name, [other.name for other in parent.iterdir()])


def _yaml(path: Path) -> DictConfig:
    try:
        content = safe_yaml.load(path)
        if not isinstance(content, dict):
            raise RequestError(f"{path}: must be a configuration; {CURE}")
        return OmegaConf.create(content)
    except UnreadableError as error:
        if error.missing:
            raise RequestError(f"{path}: no such file, so the data of the run is unknown; {CURE}") from None
        raise RequestError(f"{safe_yaml.refusal(error)}, or {CURE}") from None
    except OmegaConfBaseException as error:
        raise RequestError(f"{path}: not readable ({_first_line(error)}); {CURE}") from None


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f", ... ({len(names)})" if len(names) > 3 else "")


def _first_line(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
