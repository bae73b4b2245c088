"""Plug-ins: layers, optimizers, ... of installed packages and of files named with ``--import``.

A package declares its classes as entry points in the groups ``mnistlab.layers``, ``mnistlab.optimizers``, ...
(`KINDS`); a file that is imported offers every such class that it defines. The dataclass is the schema, as for our own
classes. It is code that the user has installed or named: no configuration, model file or checkpoint can name any.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Collection, Iterator, MutableMapping
from dataclasses import asdict, dataclass, is_dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra.core.config_store import ConfigStore

from mnistlab.config import options, safe_yaml
from mnistlab.data.augmentation import AUGMENTS, Augment
from mnistlab.data.dataset import Source
from mnistlab.data.sources.registry import SOURCES
from mnistlab.metrics.classification import SCORES
from mnistlab.nn.activations import ACTIVATIONS, Activation
from mnistlab.nn.architectures import LAYERS
from mnistlab.nn.initializers import INITS, Init
from mnistlab.nn.layers import Layer
from mnistlab.nn.optimizers import OPTIMIZERS, Optimizer
from mnistlab.nn.schedules import SCHEDULES, Schedule
from mnistlab.system.errors import RequestError

FOLDER = "mnistlab_imported"  # the package of imported files
LISTED = "imports.yaml"  # in a folder of --config-dir


@dataclass(frozen=True)
class Kind:
    """One kind of plug-in: where it is registered, the class that it extends, and its config group, if it has one."""

    registry: MutableMapping[str, Any]
    base: type[Any] | None  # None: a function
    group: str | None = None


KINDS = {
    "activations": Kind(ACTIVATIONS, Activation),
    "layers": Kind(LAYERS, Layer),
    "optimizers": Kind(OPTIMIZERS, Optimizer, "optimizer"),
    "schedules": Kind(SCHEDULES, Schedule, "schedule"),
    "initializers": Kind(INITS, Init, "init"),
    "augmentations": Kind(AUGMENTS, Augment, "augment"),
    "datasets": Kind(SOURCES, Source, "data"),
    "metrics": Kind(SCORES, None),
}


@dataclass(frozen=True)
class Plugin:
    """One registered class or function, and its origin: a package with its version, or a file with its hash."""

    kind: str
    name: str
    package: str
    version: str


_loaded: dict[tuple[str, str], Plugin] = {}
_files: dict[str, bytes] = {}  # imported files by name


def loaded() -> list[Plugin]:
    """Return all plug-ins of this process."""
    load_installed()
    return list(_loaded.values())


def imported_files() -> dict[str, bytes]:
    """Return the files of ``--import`` with their content."""
    return dict(_files)


def record(used: Collection[Any]) -> dict[str, Any]:
    """Return what environment.json records of the plug-ins among these classes and functions; empty without any."""
    content: dict[str, Any] = {}
    if plugins := [plugin for plugin in loaded() if KINDS[plugin.kind].registry[plugin.name] in used]:
        content["plugins"] = [asdict(plugin) for plugin in plugins]
    if _files:
        content["imports"] = {name: hashlib.sha256(source).hexdigest() for name, source in _files.items()}
    return content


@cache
def load_installed() -> None:
    """Register the plug-ins of installed packages, once per process."""
    points = entry_points()  # once for all groups: it reads the metadata of every installed package
    for kind in KINDS:
        for point in points.select(group=f"mnistlab.{kind}"):
            package, version = (point.dist.name, point.dist.version) if point.dist else ("?", "?")
            _register(kind, point.name, _loaded_point(point, package), package, version)


def _loaded_point(point: EntryPoint, package: str) -> Any:
    try:
        return point.load()
    except Exception as error:  # the package's own code
        raise RequestError(
            f"the plug-in {point.name} of {package} cannot be imported ({type(error).__name__}: {error}); update or "
            f"uninstall {package}"
        ) from None


def import_file(path: Path) -> None:
    """Run a file of the user and register what it defines; raises `RequestError` if it cannot be imported."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise RequestError(f"--import {path}: {error.strerror or error}; name a Python file") from None
    import_source(path.name, source, str(path))


def import_source(name: str, source: bytes, shown: str) -> None:
    """Run the source of a file of this name, and register what it defines."""
    if _files.get(name) == source:
        return
    if name in _files:
        raise RequestError(f"--import {shown}: another file {name} has been imported; rename one of them")
    stem = re.sub(r"\W+", "_", Path(name).stem)
    package = sys.modules.setdefault(FOLDER, ModuleType(FOLDER))
    package.__path__ = []
    module = ModuleType(f"{FOLDER}.{stem}")
    module.__file__ = shown
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, shown, "exec"), module.__dict__)  # the user named this file
    except Exception as error:  # the user's own code
        del sys.modules[module.__name__]
        line = getattr(error, "lineno", None) or _line_of(error, shown)
        raise RequestError(
            f"--import {shown}{f', line {line}' if line else ''}: {type(error).__name__}: {error}; correct the file"
        ) from None
    _files[name] = source
    version = hashlib.sha256(source).hexdigest()[:12]
    definitions = list(_definitions(module))
    if not definitions:
        raise RequestError(f"--import {shown}: defines no layer, optimizer or other class that mnistlab knows")
    for kind, key, definition in definitions:
        _register(kind, key, definition, name, version)


def _line_of(error: BaseException, file: str) -> int | None:
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _definitions(module: ModuleType) -> Iterator[tuple[str, str, Any]]:
    """Yield kind, name and class of everything that a module defines, and the functions in its dict METRICS."""
    for value in list(vars(module).values()):
        if not isinstance(value, type) or value.__module__ != module.__name__:
            continue
        for kind, about in KINDS.items():
            if about.base and issubclass(value, about.base):
                yield kind, snake_case(value), value
                break
    yield from (("metrics", name, function) for name, function in getattr(module, "METRICS", {}).items())


def snake_case(cls: type[Any]) -> str:
    """Return the name of a class in YAML: its attribute ``name``, or PReLU -> prelu, OneCycle -> one_cycle."""
    name = getattr(cls, "name", None)
    if isinstance(name, str):
        return name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", cls.__name__).lower()


def _register(kind: str, name: str, definition: Any, package: str, version: str) -> None:
    about = KINDS[kind]
    if not re.fullmatch(r"[a-z]\w*", name):
        raise RequestError(f"the plug-in {name} of {package}: must be called by small letters, digits and _")
    if about.base:
        is_class = isinstance(definition, type) and issubclass(definition, about.base) and is_dataclass(definition)
        if not is_class:
            base = about.base.__name__
            raise RequestError(f"the plug-in {name} of {package}: must be a dataclass that extends {base}")
    earlier = _loaded.get((kind, name))
    if name in about.registry and earlier is None:
        raise RequestError(f"the plug-in {name} of {package}: mnistlab has {kind} of this name; rename it")
    if earlier and (earlier.package, earlier.version) != (package, version):
        raise RequestError(f"the plug-in {name} is in {earlier.package} and in {package}; uninstall one of them")
    about.registry[name] = definition
    if kind == "activations":
        LAYERS[name] = definition
    if about.group:
        options.ADDED.setdefault(about.group, set()).add(name)
        store = ConfigStore.instance()
        store.store(group=f"schema/{about.group}", name=name, node=definition)
        store.store(group=about.group, name=name, node=definition)
    _loaded[kind, name] = Plugin(kind, name, package, version)


def missing(environment: Any, copies: Path) -> str:
    """Return what to install or import for a run that used plug-ins which are not here; empty if none is missing.

    ``copies`` is the folder in which the run has copies of imported files.
    """
    if not isinstance(environment, dict):
        return ""
    here = {(plugin.kind, plugin.name) for plugin in loaded()}
    recorded = environment.get("plugins")
    for plugin in recorded if isinstance(recorded, list) else []:
        if isinstance(plugin, dict) and (plugin.get("kind"), plugin.get("name")) not in here:
            package, name = str(plugin.get("package")), plugin.get("name")
            if package.endswith(".py"):
                copy = copies / package
                where = f"; it is copied in the run: --import {copy}" if copy.is_file() else ""
                return f"{name} of {package} was imported: add --import {package}{where}"
            return f"{name} of the package {package} {plugin.get('version')} was used: install {package}"
    return ""


def import_listed(config_dir: Path) -> None:
    """Import the files that ``imports.yaml`` in a folder of --config-dir lists: imports: [my_layers.py].

    The user has named the folder. A file of this name elsewhere, or such a key in a configuration, imports nothing.
    """
    path = config_dir / LISTED
    if not path.is_file():
        return
    safe_yaml.read(path, mapping=True)
    content = safe_yaml.load(path)
    names = content.get("imports") if isinstance(content, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(content) > 1:
        raise RequestError(f"{path}: must be a list of Python files beside it, imports: [my_layers.py]")
    for name in names:
        import_file(config_dir / name)


def arguments(words: list[str]) -> list[str]:
    """Import the files of every ``--import FILE`` in a command line, and return the other words."""
    rest, names = [], []
    iterator = iter(words)
    for word in iterator:
        if word == "--import":
            names.append(next(iterator, ""))
        elif word.startswith("--import="):
            names.append(word.partition("=")[2])
        else:
            rest.append(word)
    for name in names:
        if not name:
            raise RequestError("--import: requires a Python file")
        import_file(Path(name))
    return rest
