"""The saved configuration of a run, restored with its schemas to the one that Hydra composed.

The file may come from anyone: names are looked up among the registered schemas, and nothing in it is resolved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnistlab.config import plugins, safe_yaml
from mnistlab.config.schema import GROUPS, Root, schema_of
from mnistlab.config.tracking import NoTracking
from mnistlab.runs import paths
from mnistlab.system import files
from mnistlab.system.errors import RequestError
from mnistlab.system.readers import UnreadableError, read_json_or_empty

PLAIN = ("regularization", "trainer", "report")


def read(directory: Path) -> DictConfig:
    """Return the configuration of the run in a directory; raises `RequestError` if it is invalid."""
    path = directory / paths.CONFIG
    place = files.shown(path)
    content = _load(path, place)
    if needed := plugins.missing(read_json_or_empty(directory / paths.ENVIRONMENT), directory / paths.IMPORTS):
        raise RequestError(f"{files.shown(directory)}: {needed}")
    names = {"tracking": "none", **_schema_names(directory)}  # for runs of versions without this group
    config_tree = OmegaConf.structured(Root)
    config_tree.tracking = OmegaConf.structured(NoTracking)
    for key, value in content.items():
        if key not in Root.__dataclass_fields__:
            raise RequestError(f"{place}: unknown key {key}")
        try:
            if key in GROUPS or key in PLAIN:
                schema = schema_of(key, "") if key in PLAIN else GROUPS[key].get(names.get(key, ""))
                if schema is None:
                    raise RequestError(
                        f"{place}: {directory.name} does not record the option of {key}; start a new run"
                    )
                value = OmegaConf.merge(OmegaConf.structured(schema), value)
            config_tree[key] = value
        except (OmegaConfBaseException, ValueError, TypeError) as error:
            if isinstance(error, RequestError):
                raise
            message = (str(getattr(error, "msg", None) or error) or type(error).__name__).splitlines()[0]
            inner = str(getattr(error, "full_key", "") or "")  # below the group, or the key itself if it is not a group
            where = key if inner in ("", key) else f"{key}.{inner}"
            raise RequestError(f"{place}: {where}: {message}") from None
    return config_tree


def _load(path: Path, place: Path) -> dict[str, Any]:
    try:
        content = safe_yaml.load(path)
    except UnreadableError as error:
        if error.missing:
            raise RequestError(
                f"{place}: no such file, so the configuration of the run is unknown; start a new run"
            ) from None
        raise RequestError(f"{place}: not readable ({str(error.cause).splitlines()[0]}); start a new run") from None
    if not isinstance(content, dict):
        raise RequestError(f"{place}: must be a configuration; start a new run")
    left: list[Any] = [content]  # bounded, since `safe_yaml` limits the number of values with every alias expanded
    while left:
        node = left.pop()
        if isinstance(node, str) and "${" in node:
            raise RequestError(f"{place}: {node!r} is an interpolation, which a saved configuration must not contain")
        left += [*node, *node.values()] if isinstance(node, dict) else node if isinstance(node, list) else []
    return content


def _schema_names(directory: Path) -> dict[str, str]:
    """Return the schema of each group from environment.json, or else from the chosen options."""
    recorded = read_json_or_empty(directory / paths.ENVIRONMENT).get("schemas")
    if isinstance(recorded, dict):
        return {str(group): name for group, name in recorded.items() if isinstance(name, str)}
    try:
        choices = dict(safe_yaml.load(directory / paths.HYDRA_CONFIG)["hydra"]["runtime"]["choices"])
    except (UnreadableError, ValueError, KeyError, TypeError):
        return {}
    names: dict[str, str] = {}
    for group, schemas in GROUPS.items():
        option = choices.get(group)
        schema = schema_of(group, option) if isinstance(option, str) and option.isidentifier() else None
        names.update((group, name) for name, candidate in schemas.items() if candidate is schema)
    return names
