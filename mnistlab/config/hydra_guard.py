"""Protection against untrusted YAML files, since Hydra imports and calls whatever they name.

Two of Hydra's functions are wrapped: the one that loads every file, and the one that composes. Two steps of the latter
are replaced while a sweep is planned.

This is also the only module that uses private names of Hydra and OmegaConf (`PRIVATE`), and the place to look when a
new version of theirs breaks something. Other modules import those names from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra._internal import config_loader_impl
from hydra._internal.callbacks import Callbacks as Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper as BasicSweeper
from hydra._internal.defaults_list import DefaultsList as DefaultsList
from hydra._internal.defaults_list import Overrides as Overrides
from hydra._internal.hydra import Hydra as Hydra
from hydra._internal.utils import create_config_search_path as create_config_search_path
from hydra._internal.utils import get_args_parser
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from mnistlab.config import experiment_keys, option_lists, safe_yaml
from mnistlab.system import files
from mnistlab.system.errors import RequestError

# With hydra-core 1.4.0rc3 and omegaconf 2.4.1rc1 the smoke run works, and tests/config show the following.
# - A run is composed by ConfigLoaderImpl._load_configuration, bypassing `_compose_checked`, so that hydra.callbacks and
#   _target_ in a file are not refused. Wrap that method before removing <1.4 from pyproject.toml.
# - Hydra itself refuses `..` in the name of an option, with its own message, and a list in a list of options raises
#   another error, which config/errors.py would have to handle.
# - OmegaConf.register_new_resolver warns that it is now register_resolver, and about how `claim` is registered.
PRIVATE = {
    "hydra._internal.callbacks.Callbacks": "required by run_job, which is public",
    "hydra._internal.config_loader_impl": "looks up create_defaults_list, which the points of a sweep share",
    "hydra._internal.config_loader_impl.ConfigLoaderImpl": "composes: wrapped here, and used for the points of a sweep",
    "hydra._internal.config_repository.ConfigRepository": "loads every file: wrapped here",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper": "the points of a grid, as in any Hydra program",
    "hydra._internal.defaults_list.DefaultsList": "which files make a configuration",
    "hydra._internal.defaults_list.Overrides": "which overrides choose an option and which set a value",
    "_compose_config_from_defaults_list": "of the loader: merges those files",
    "hydra._internal.hydra.Hydra": "creates a loader without a run; `train` skips work that is not needed",
    "hydra._internal.utils.create_config_search_path": "the search path of such a loader",
    "hydra._internal.utils.get_args_parser": "Hydra's own flags, so that ours always match",
    "_actions": "of that argparse parser: which flags take a value",
    "_find_object_source": "of a repository: the file of a name, to check it first",
    "_normalize_file_name": "of a source: the name of that file",
    "_get_value_element_as_str": "of an override: an item of a list as written",
    "_get_node": "of an OmegaConf configuration: an unresolved value, with its type",
}

HYDRAS_CLASSES = ("hydra._internal.core_plugins.", "hydra_plugins.")
LOGGING = {
    "version": 1,
    "root": None,
    "disable_existing_loggers": False,
}  # that of hydra/job_logging=none, since every handler names a class
AS_SHIPPED: dict[str, Any] = {
    "callbacks": {},
    "output_subdir": None,  # .hydra is written by the run itself
    "job_logging": LOGGING,
    "hydra_logging": LOGGING,
    "job.env_set": {},  # an environment variable can make a program load code
    "job.env_copy": [],
}

value_as_text = Override._get_value_element_as_str
_load_config = ConfigRepository.load_config
_load_configuration = ConfigLoaderImpl.load_configuration
_trusted = Path()


def install(trusted: Path) -> None:
    """Wrap Hydra's functions; the files in ``trusted`` are ours."""
    global _trusted
    _trusted = trusted
    ConfigRepository.load_config = _load_checked  # type: ignore[method-assign]
    ConfigLoaderImpl.load_configuration = _compose_checked  # type: ignore[method-assign]


@contextmanager
def steps_replaced(defaults_list: Callable[..., Any], composition: Callable[..., Any]) -> Iterator[None]:
    """Replace the two steps of composing, choosing the files and merging them; each is given Hydra's own first."""
    create, merge = config_loader_impl.create_defaults_list, ConfigLoaderImpl._compose_config_from_defaults_list
    loader: Any = ConfigLoaderImpl
    module: Any = config_loader_impl
    module.create_defaults_list = lambda *args, **options: defaults_list(create, *args, **options)
    loader._compose_config_from_defaults_list = lambda self, defaults, repo: composition(
        lambda *args: merge(self, *args), defaults, repo
    )
    try:
        yield
    finally:
        module.create_defaults_list, loader._compose_config_from_defaults_list = create, merge


def flags() -> dict[str, int | str | None]:
    """Return Hydra's flags, each with its number of values in argparse's notation."""
    return {name: action.nargs for action in get_args_parser()._actions for name in action.option_strings}


def node_of(config: DictConfig, key: str) -> Any:
    """Return the node of a key, with its type; its value is not resolved."""
    return config._get_node(key)


def _load_checked(self: ConfigRepository, config_path: str) -> ConfigResult | None:
    """Load a YAML file as Hydra does, if it is safe; it must be inside its own folder of configurations.

    Every file is loaded here: those of --config-dir, of hydra.searchpath, and of the defaults lists of other files.
    """
    if ".." in Path(config_path).parts:
        raise RequestError(f"{config_path}: outside the configuration directory; choose an option of a group")
    source = self._find_object_source(config_path, ObjectType.CONFIG)
    path = Path(source.path, source._normalize_file_name(config_path)) if source and source.scheme() == "file" else None
    if path is None or path.is_relative_to(_trusted):
        result = _load_config(self, config_path)
    else:
        result = _load_of_a_user(self, config_path, path)
    if result is not None:
        experiment_keys.leave_out(config_path, result.config, result.defaults_list or ())
    return result


def _load_of_a_user(self: ConfigRepository, config_path: str, path: Path) -> ConfigResult | None:
    """Load a file that did not come with mnistlab, after a check of its text."""
    text = safe_yaml.read(path, mapping=True)
    try:
        result = _load_config(self, config_path)
        names = safe_yaml.texts_of(text, ("data", "class_names"))
        if result is not None and names is not None:
            OmegaConf.update(result.config, "data.class_names", names)
        return result
    except (yaml.YAMLError, ValueError) as error:  # a duplicate key, or an invalid value
        problem = safe_yaml.problem(error) if isinstance(error, yaml.YAMLError) else str(error).splitlines()[0]
        raise RequestError(f"{files.shown(path)}: {problem}") from None


def _compose_checked(
    self: ConfigLoaderImpl, config_name: str | None, overrides: list[str], *arguments: Any, **options: Any
) -> DictConfig:
    """Compose as Hydra does, and refuse settings that would make it run code other than its own and ours."""
    words = option_lists.expanded(overrides)
    experiment_keys.choose(words)
    composed = _load_configuration(self, config_name, words, *arguments, **options)
    hydra = OmegaConf.to_container(composed.hydra, resolve=False)
    for key, shipped in AS_SHIPPED.items():
        node: Any = hydra
        for part in key.split("."):
            node = node[part]
        if node != shipped:
            raise RequestError(f"hydra.{key}: must not be set by a configuration; remove it")
    for key, target in _targets(hydra, "hydra"):
        if not str(target).startswith(HYDRAS_CLASSES):
            raise RequestError("a configuration must not name code to import; remove it", key=key, value=target)
    return composed


def _targets(node: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield every ``_target_`` below a node, with its key."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if key == "_target_":
            yield f"{place}.{key}", value
        elif isinstance(value, (dict, list)):
            yield from _targets(value, f"{place}.{key}")
