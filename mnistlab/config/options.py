"""The files of ``conf/``: the groups and the options of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def folder() -> Path:
    """Return the folder of YAML files: inside the installed package, or beside it in a source tree."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


ADDED: dict[str, set[str]] = {}  # by plug-ins, which have no YAML


def option_names(group: str) -> list[str]:
    """Return the options of a config group; those in folders include the folder's name: ghimire/kaiming_42k."""
    root = folder() / group
    names = {path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml")}
    return sorted(names | ADDED.get(group, set()))


def experiments(overrides: Sequence[str]) -> list[str]:
    """Return the experiments that overrides choose."""
    return [value for key, _, value in (word.partition("=") for word in overrides) if key.lstrip("+") == "experiment"]


def experiment_files(name: str, config_dir: str | None = None) -> list[Path]:
    """Return the files of an experiment: that of --config-dir, which comes first, and ours."""
    folders = [*([Path(config_dir)] if config_dir else []), folder()]
    return [path for root in folders if (path := root / "experiment" / f"{name}.yaml").is_file()]


def group_names() -> list[str]:
    """Return the config groups that a user can choose from."""
    return sorted(path.name for path in folder().iterdir() if path.is_dir() and path.name != "hydra")


def groups_in_lines(sources: Sequence[Mapping[str, str]]) -> str:
    """Return one line of options for each group and each of its folders, as listed by `mnistlab train --help`.

    ``sources`` are Hydra's configuration folders, including that of --config-dir.
    """
    options_by_group: dict[str, set[str]] = {}
    for source in sources:
        root = Path(source["path"])
        for path in root.rglob("*.yaml") if source["schema"] == "file" else ():
            group = path.parent.relative_to(root).as_posix()
            if group != "." and group != "hydra/help":
                options_by_group.setdefault(group, set()).add(path.stem)
    options_by_group["hydra/launcher"].add("basic")  # shipped with Hydra
    return "\n".join(f"{group}: {', '.join(sorted(options))}" for group, options in sorted(options_by_group.items()))
