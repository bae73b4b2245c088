"""Configuration: the root schema, its registration with Hydra, and the `Experiment` of a composed configuration.

Every component is a dataclass of its hyperparameters, and that class is the schema of its YAML. A configuration never
names code: an option's YAML names a schema, and every schema is a class registered here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnistlab.config.labels import checked_note, checked_tag
from mnistlab.config.options import folder, option_names
from mnistlab.config.report import Report
from mnistlab.config.tracking import TRACKINGS, Tracking
from mnistlab.data.augmentation import AUGMENTS, Augment
from mnistlab.data.dataset import Source
from mnistlab.data.sources.registry import SOURCES
from mnistlab.metrics.classification import SCORES
from mnistlab.models.sklearn import SKLEARN_MODELS, SklearnModel
from mnistlab.nn.architectures import MODELS, Model
from mnistlab.nn.initializers import INITS, Init
from mnistlab.nn.optimizers import OPTIMIZERS, Optimizer
from mnistlab.nn.regularization import Regularization
from mnistlab.nn.schedules import SCHEDULES, Schedule
from mnistlab.system.errors import RequestError, did_you_mean, whole
from mnistlab.system.flatten import LATER
from mnistlab.training.components import Components
from mnistlab.training.config import TrainerConfig

GROUPS: dict[str, Mapping[str, type[Any]]] = {
    "data": SOURCES,
    "augment": AUGMENTS,
    "model": {**MODELS, **SKLEARN_MODELS},
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "init": INITS,
    "tracking": TRACKINGS,
}


# Keys of other groups that the errors of a group mention, by their names in the engine
MENTIONED = {
    "schedule": {"epochs": "trainer.epochs", "lr": "optimizer.lr"},
    "trainer": {"validation": "data.validation"},
    "regularization": {"layers": "model.layers"},
}
EPOCHS = "trainer.epochs"  # the only key that may differ when a run is resumed

DEFAULT_INIT = "kaiming"
LABELLING = ("report", "tracking", "tags", "note")  # they do not affect the results
USED_BY_SKLEARN = ("data", "model", "seed")  # a scikit-learn model ignores all other groups


@dataclass
class Root:
    """The root of every configuration. A group with several schemas is Any here; the chosen option sets its type."""

    data: Any = MISSING
    augment: Any = MISSING
    model: Any = MISSING
    optimizer: Any = MISSING
    schedule: Any = MISSING
    init: Any = MISSING
    regularization: Regularization = field(default_factory=Regularization)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    tracking: Any = MISSING
    report: Report = field(default_factory=Report)
    seed: int = 0
    tags: list[str] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True)
class Experiment:
    """One experiment: checked components, ready to use."""

    data: Source
    augment: Augment
    model: Model | SklearnModel
    optimizer: Optimizer
    schedule: Schedule
    init: Init
    regularization: Regularization
    trainer: TrainerConfig
    tracking: Tracking
    report: Report
    seed: int
    tags: list[str]
    note: str

    @property
    def components(self) -> Components:
        """Return the components for training a network."""
        return Components(self.optimizer, self.schedule, self.regularization, self.trainer, self.augment)


def experiment(cfg: DictConfig) -> Experiment:
    """Return the experiment of a composed configuration, or raise a `RequestError` that names the key and the value."""
    reject_unknown_keys(cfg)
    values: dict[str, Any] = {}
    for key in Root.__dataclass_fields__:
        if OmegaConf.is_missing(cfg, key):
            raise RequestError(f"not set; choose one of {', '.join(option_names(key))}", key=key)
        with prefixed(key):
            value = cfg[key]
            values[key] = OmegaConf.to_object(value) if OmegaConf.is_config(value) else value
        if key in GROUPS and not isinstance(values[key], tuple(GROUPS[key].values())):
            raise RequestError(
                f"must be one of the group's options, {', '.join(option_names(key))}",
                key=key,
                value=_short(values[key]),
            )
    whole("seed", values["seed"], 0, "the seed")
    for tag in values["tags"]:
        checked_tag(tag)
    checked_note(values["note"])
    monitor = values["trainer"].monitor
    if monitor not in SCORES:
        raise RequestError(
            f"choose one of {', '.join(SCORES)}{did_you_mean(monitor, SCORES)}", key="trainer.monitor", value=monitor
        )
    return Experiment(**values)


@contextmanager
def prefixed(group: str) -> Iterator[None]:
    """Put ``group.`` before the key of a `RequestError`, and raise OmegaConf's errors in the same form."""
    try:
        yield
    except RequestError as error:
        raise error.under(group, **MENTIONED.get(group, {})) from None
    except OmegaConfBaseException as error:
        message = (error.msg or str(error)).splitlines()[0]
        key = re.sub(r"\[(\d+)\]", r".\1", str(error.full_key or group))  # as on the command line
        raise RequestError(message, key=key) from None


def reject_unknown_keys(cfg: DictConfig) -> None:
    """Refuse keys that are in no schema, which Hydra's ``+key=value`` adds silently."""
    from mnistlab.config.hydra_guard import node_of  # imported here: reading a saved configuration does not need Hydra

    for key in cfg:
        name = str(key)
        names = list(Root.__dataclass_fields__)
        if name not in names:
            raise RequestError(
                f"unknown key; the configuration has {', '.join(names)}{did_you_mean(name, names)}", key=name
            )
        node = node_of(cfg, name)
        if not isinstance(node, DictConfig):
            continue
        schema = OmegaConf.get_type(node)
        if schema is None or not is_dataclass(schema):
            continue
        names = [f.name for f in fields(schema)]
        for inner in map(str, node):
            if inner not in names:
                has = f"{name} has {', '.join(names)}{did_you_mean(inner, names)}"
                raise RequestError(f"unknown key; {has}", key=f"{name}.{inner}")


def config_hash(cfg: DictConfig) -> str:
    """Return a hash of the settings that affect the results: not ``report``, ``tracking`` or ``checkpoint_every``.

    Equal hashes mean the same experiment.
    """
    content = identifying(cfg)
    if kinds := _kinds(cfg, content):
        content["kinds"] = kinds
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _kinds(cfg: DictConfig, groups: Iterable[str]) -> dict[str, str]:
    """Return the options that are not known by their keys, as nesterov, which has those of momentum.

    The first release did not tell them apart. One of each keeps the hash that it had: the default, or the first.
    """
    kinds = {}
    for group in GROUPS.keys() & groups:
        chosen = OmegaConf.get_type(cfg[group])
        alike = [name for name, kind in GROUPS[group].items() if _keys(kind) == _keys(chosen)]
        names = [name for name in alike if GROUPS[group][name] is chosen]
        if names and names[0] != (DEFAULT_INIT if DEFAULT_INIT in alike else alike[0]):
            kinds[group] = names[0]
    return kinds


def _keys(kind: Any) -> list[str]:
    return [each.name for each in fields(kind)] if is_dataclass(kind) else []


def identifying(cfg: DictConfig) -> dict[str, Any]:
    """Return the settings that affect the results: those of a network, or the few of a scikit-learn model."""
    content = deciding(cfg)
    return {key: value for key, value in content.items() if key in USED_BY_SKLEARN} if is_sklearn(cfg) else content


def is_sklearn(cfg: DictConfig) -> bool:
    """Return whether the model of a composed configuration is one of scikit-learn."""
    return isinstance(cfg.model, DictConfig) and issubclass(OmegaConf.get_type(cfg.model) or object, SklearnModel)


def unused_by_sklearn(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that have no effect on a scikit-learn model."""
    ours = {each.name for each in fields(Root)} - {*USED_BY_SKLEARN, *LABELLING}
    keys = [(override, override.partition("=")[0].lstrip("+~")) for override in overrides]
    return [word for word, key in keys if key.partition(".")[0] in ours and key != "trainer.threads"]


def deciding(cfg: DictConfig) -> dict[str, Any]:
    """Return the part of a configuration that affects the results of a network, as plain data."""
    content = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    assert isinstance(content, dict)
    for shown in LABELLING:
        content.pop(shown, None)
    if isinstance(trainer := content.get("trainer"), dict):
        trainer.pop("checkpoint_every", None)
        if trainer.get("kernels") == "auto":  # as in version 0.1, which had no kernels: the same experiment
            trainer.pop("kernels")
        for key, default in LATER.items():
            name = key.removeprefix("trainer.")
            if trainer.get(name) == default:
                trainer.pop(name, None)
    return {str(key): value for key, value in content.items()}


def schemas(experiment: Experiment) -> dict[str, str]:
    """Return the name of the chosen schema in each group."""
    return {
        group: next(name for name, schema in named.items() if schema is type(getattr(experiment, group)))
        for group, named in GROUPS.items()
    }


def schema_of(group: str, option: str) -> type[Any] | None:
    """Return the class that is the schema of an option, or None."""
    if group in ("regularization", "trainer", "report"):
        return {"regularization": Regularization, "trainer": TrainerConfig, "report": Report}[group]
    path = folder() / group / f"{option}.yaml"
    match = re.search(rf"/schema/{group}/(\w+)@_here_", path.read_text(encoding="utf-8")) if path.is_file() else None
    return GROUPS[group].get(match[1]) if match and group in GROUPS else None


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
