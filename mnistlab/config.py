"""Configuration: the root schema, its registration with Hydra, and the way from a composed config to an `Experiment`.

Every component is a dataclass of its hyper-parameters, and that class is the schema of its YAML. Nothing in a
configuration names code: an option's YAML names a schema, and a schema is a class registered here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnistlab import hydra_guard
from mnistlab.augment import AUGMENTS, Augment
from mnistlab.data import SOURCES, Source
from mnistlab.errors import RequestError, did_you_mean, whole
from mnistlab.evaluate import SCORES
from mnistlab.nn.init import INITS, Init
from mnistlab.nn.model import MODELS, Model
from mnistlab.nn.optimizer import OPTIMIZERS, Optimizer
from mnistlab.nn.regularization import Regularization
from mnistlab.nn.schedule import SCHEDULES, Schedule
from mnistlab.report import Report
from mnistlab.sklearn_models import SKLEARN_MODELS, SklearnModel
from mnistlab.tracking import TRACKINGS, Tracking
from mnistlab.train import Trainer

GROUPS: dict[str, Mapping[str, type[Any]]] = {
    "data": SOURCES,
    "augment": AUGMENTS,
    "model": {**MODELS, **SKLEARN_MODELS},
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "init": INITS,
    "tracking": TRACKINGS,
}


USED_BY_SKLEARN = ("data", "model", "seed")  # a model of scikit-learn has its own ways for all else


@dataclass
class Root:
    """The root of every configuration. A group with several schemas is Any here and typed by the chosen option."""

    data: Any = MISSING
    augment: Any = MISSING
    model: Any = MISSING
    optimizer: Any = MISSING
    schedule: Any = MISSING
    init: Any = MISSING
    regularization: Regularization = field(default_factory=Regularization)
    trainer: Trainer = field(default_factory=Trainer)
    tracking: Any = MISSING
    report: Report = field(default_factory=Report)
    seed: int = 0


@dataclass(frozen=True)
class Experiment:
    """One experiment: components that are checked and ready to work."""

    data: Source
    augment: Augment
    model: Model | SklearnModel
    optimizer: Optimizer
    schedule: Schedule
    init: Init
    regularization: Regularization
    trainer: Trainer
    tracking: Tracking
    report: Report
    seed: int


def folder() -> Path:
    """Return the folder of YAML files: inside the installed package, or beside it in a source tree."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def register(claiming: bool = True) -> None:
    """Make schemas and resolvers known to Hydra. With ``claiming`` a run's directory is made when it is named."""
    hydra_guard.install(folder())
    store = ConfigStore.instance()
    store.store(group="schema", name="root", node=Root)
    for group, schemas in GROUPS.items():
        for name, schema in schemas.items():
            store.store(group=f"schema/{group}", name=name, node=schema)
    OmegaConf.register_new_resolver("groups", groups_in_lines, replace=True)
    OmegaConf.register_new_resolver("slug", slug, replace=True)
    OmegaConf.register_new_resolver("claim", claim if claiming else str, use_cache=True, replace=True)


CLAIMED: set[Path] = set()  # directories that this process made for its runs


def claim(path: str) -> str:
    """Make a directory that did not exist and return its path: ``path``, or ``path-2``, ``path-3``, ...

    Two runs that start in the same microsecond thus never share one.
    """
    for attempt in range(1, 1000):
        chosen = Path(path if attempt == 1 else f"{path}-{attempt}")
        try:
            chosen.mkdir(parents=True, exist_ok=False)
        except FileExistsError:
            if not chosen.exists():  # a part of the path is a file
                raise
            continue
        CLAIMED.add(chosen.absolute())
        return str(chosen)
    raise RequestError(f"hydra.run.dir={path}: a thousand directories of this name exist; remove some")


def quoted(value: Path | str) -> str:
    """Return a value as quoted text of Hydra's override grammar."""
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def slug(text: str, most: int = 80) -> str:
    """Return ``text`` as part of a file name: no slashes, no spaces, at most ``most`` characters."""
    return re.sub(r"[^\w.,=+-]+", "-", text).strip("-_")[:most]


def experiment(cfg: DictConfig) -> Experiment:
    """Return the experiment of a composed configuration, or raise a `RequestError` that names the key and the value."""
    reject_unknown_keys(cfg)
    made: dict[str, Any] = {}
    for key in Root.__dataclass_fields__:
        if OmegaConf.is_missing(cfg, key):
            raise RequestError(f"{key}: one of its options is needed; choose one of {', '.join(option_names(key))}")
        with prefixed(key):
            value = cfg[key]
            made[key] = OmegaConf.to_object(value) if isinstance(value, DictConfig) else value
        if key in GROUPS and not isinstance(made[key], tuple(GROUPS[key].values())):
            raise RequestError(
                f"{key}={_short(made[key])}: an option of the group was expected, one of {', '.join(option_names(key))}"
            )
    whole("seed", made["seed"], 0, "the seed")
    monitor = made["trainer"].monitor
    if monitor not in SCORES:
        raise RequestError(
            f"trainer.monitor={monitor}: choose one of {', '.join(SCORES)}{did_you_mean(monitor, SCORES)}"
        )
    return Experiment(**made)


@contextmanager
def prefixed(group: str) -> Iterator[None]:
    """Put ``group.`` in front of the key that a `RequestError` names, and give OmegaConf's errors the same form."""
    try:
        yield
    except RequestError as error:
        named = str(error).partition(".")[0] in Root.__dataclass_fields__  # it names another group's key in full
        raise error if named else RequestError(f"{group}.{error}") from None
    except OmegaConfBaseException as error:
        message = (error.msg or str(error)).splitlines()[0]
        key = re.sub(r"\[(\d+)\]", r".\1", str(error.full_key or group))  # as on the command line
        raise RequestError(f"{key}: {message}") from None


def reject_unknown_keys(cfg: DictConfig) -> None:
    """Refuse keys that no schema knows: Hydra's ``+key=value`` adds them without a word."""
    for key in cfg:
        name = str(key)
        known = list(Root.__dataclass_fields__)
        if name not in known:
            raise RequestError(
                f"{name}: unknown key; the configuration has {', '.join(known)}{did_you_mean(name, known)}"
            )
        node = cfg._get_node(key)
        if not isinstance(node, DictConfig):
            continue
        schema = OmegaConf.get_type(node)
        if schema is None or not is_dataclass(schema):
            continue
        known = [f.name for f in fields(schema)]
        for inner in map(str, node):
            if inner not in known:
                raise RequestError(
                    f"{name}.{inner}: unknown key; {name} has {', '.join(known)}{did_you_mean(inner, known)}"
                )


def config_hash(cfg: DictConfig) -> str:
    """Return a hash of what decides the numbers: not ``report``, ``tracking``, nor how often a checkpoint is written.

    Equal hashes are the same experiment.
    """
    content = deciding(cfg)
    if isinstance(cfg.model, DictConfig) and issubclass(OmegaConf.get_type(cfg.model) or object, SklearnModel):
        content = {key: value for key, value in content.items() if key in USED_BY_SKLEARN}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def unused_by_sklearn(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that change nothing where the model is one of scikit-learn's."""
    ours = {each.name for each in fields(Root)} - {*USED_BY_SKLEARN, "tracking", "report"}
    keys = [(override, override.partition("=")[0].lstrip("+~")) for override in overrides]
    return [word for word, key in keys if key.partition(".")[0] in ours and key != "trainer.threads"]


def deciding(cfg: DictConfig) -> dict[str, Any]:
    """Return the part of a configuration that decides the numbers of a network, as plain data."""
    content = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    assert isinstance(content, dict)
    for shown in ("report", "tracking"):
        content.pop(shown, None)
    if isinstance(trainer := content.get("trainer"), dict):
        trainer.pop("checkpoint_every", None)
    return {str(key): value for key, value in content.items()}


def schemas(made: Experiment) -> dict[str, str]:
    """Return the name of the schema that was chosen in each group."""
    return {
        group: next(name for name, schema in named.items() if schema is type(getattr(made, group)))
        for group, named in GROUPS.items()
    }


def option_names(group: str) -> list[str]:
    """Return the options of a config group, those of its folders with their folder's name: ghimire/kaiming_42k."""
    root = folder() / group
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml"))


def group_names() -> list[str]:
    """Return the config groups a user chooses from."""
    return sorted(path.name for path in folder().iterdir() if path.is_dir() and path.name != "hydra")


def groups_in_lines(sources: Sequence[Mapping[str, str]]) -> str:
    """Return a line a group, and a folder of one, with its options: what `mnistlab train --help` lists.

    ``sources`` are Hydra's folders of configuration, one given with --config-dir among them.
    """
    found: dict[str, set[str]] = {}
    for source in sources:
        root = Path(source["path"])
        for path in root.rglob("*.yaml") if source["schema"] == "file" else ():
            group = path.parent.relative_to(root).as_posix()
            if group != "." and group != "hydra/help":
                found.setdefault(group, set()).add(path.stem)
    found["hydra/launcher"].add("basic")  # Hydra's own
    return "\n".join(f"{group}: {', '.join(sorted(options))}" for group, options in sorted(found.items()))


def schema_of(group: str, option: str) -> type[Any] | None:
    """Return the class that is the schema of an option, or None."""
    if group in ("regularization", "trainer", "report"):
        return {"regularization": Regularization, "trainer": Trainer, "report": Report}[group]
    path = folder() / group / f"{option}.yaml"
    match = re.search(rf"/schema/{group}/(\w+)@_here_", path.read_text()) if path.is_file() else None
    return GROUPS[group].get(match[1]) if match and group in GROUPS else None


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
