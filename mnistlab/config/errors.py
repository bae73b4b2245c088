"""Hydra's and OmegaConf's errors as one line: the key, the value, what it must be, and the cure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnistlab.config.options import folder, group_names, option_names
from mnistlab.config.schema import GROUPS, Root, schema_of
from mnistlab.nn.architectures import LAYERS, LayerList
from mnistlab.system.errors import RequestError, did_you_mean

TYPES = {"Float": "a number", "Integer": "a whole number", "Boolean": "true or false", "String": "text"}
ALIASES = {  # names of other libraries and of textbooks
    "init": {"he": "kaiming", "he_normal": "kaiming", "he_uniform": "kaiming_uniform", "glorot": "xavier",
             "glorot_normal": "xavier", "glorot_uniform": "xavier_uniform", "gaussian": "normal", "zero": "zeros"},
    "data": {"fashion": "fashion_mnist", "emnist": "emnist_balanced"},
    "model": {"mlp": "mlp_2hidden", "cnn": "cnn_simple", "lenet": "lenet5", "svm": "svm_rbf", "logistic": "softmax",
              "linear": "softmax", "logistic_regression": "softmax", "forest": "random_forest"},
    "optimizer": {"nag": "nesterov", "sgd_momentum": "momentum"},
    "schedule": {"none": "constant", "onecycle": "one_cycle", "exp": "exponential"},
    "regularization": {"weight_decay": "l2", "ridge": "l2", "lasso": "l1"},
}  # fmt: skip
EXAMPLES = {"units": "100", "filters": "8", "kernel": "3"}  # of the required settings of layers


def one_line(error: BaseException, overrides: Sequence[str]) -> str:
    """Return the message for an error that Hydra raised for these command-line overrides."""
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, RequestError):
            return str(cause)
        if isinstance(cause, OSError) and not isinstance(cause, HydraException):
            where = next(
                (value for key, _, value in (o.partition("=") for o in overrides) if key == "hydra.run.dir"), None
            )
            place = where or cause.filename
            return f"hydra.run.dir={place}: {cause.strerror}; choose another directory with hydra.run.dir=DIR"
        if isinstance(cause, RecursionError):
            chosen = next((text for text in overrides if _key(text) == "experiment"), "the configuration")
            return f"{chosen}: circular reference; check its defaults list and every ${{...}}"
    text = str(error)
    if line := _item_error("; ".join(map(str, chain)), overrides):
        return line
    if isinstance(error, TypeError) and "can only concatenate str" in text:  # a list in a list, for a name
        return _no_option(overrides)
    if not any(isinstance(cause, (HydraException, OmegaConfBaseException, ValueError)) for cause in chain):
        raise error
    if match := re.search(r"Multiple values for (\w+)", text):
        return f"{match[1]}: chosen twice; write {match[1]}=OPTION once, without a plus"
    if "Config group override must be a string or a list" in text:
        return _no_option(overrides)
    if match := re.search(r"Ambiguous value for argument '([^']+)'", text):
        key, _, values = match[1].partition("=")
        if re.fullmatch(r"-?(0,\d+|\d+,0\d*)", values):
            return f"{match[1]}: a comma separates values; write a decimal point, {key}={values.replace(',', '.')}"
        return f"{match[1]}: must be one value; `mnistlab train -m` takes several, and a list is {key}=[{values}]"
    if match := re.search(r"Merge error: (\w+) is not a subclass of (\w+)", text):  # options in a defaults list
        return f"{match[2]} and {match[1]} are options of one group; choose one, or augment: combined with its parts"
    if match := re.search(r"Missing mandatory value: (\w+)", text):
        return f"{match[1]}: not set; choose one of {', '.join(option_names(match[1]))}"
    if isinstance(error, OverrideParseException):
        return _parse_error(error.override)
    if match := re.search(
        r"Could not (?:override|append to config\. An item is already at|delete from config\.) ?'([^']+)'", text
    ):
        return _unknown_key(match[1], text, overrides)
    if match := re.search(r"Could not (?:find|load) '([^']+)'", text):
        return _unknown_option(match[1], text)
    if match := re.search(
        r"Primary config (?:module|directory) .*|Additional config directory '([^']+)' not found", text
    ):
        return f"--config-dir={match[1] or ''}: no such directory"
    for cause in chain:
        if isinstance(cause, OmegaConfBaseException):
            return _value_error(cause, text, overrides)
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def _item_error(text: str, overrides: Sequence[str]) -> str | None:
    """Return the error message for an override of a list item, for which Hydra passes on Python's own errors."""
    word = re.search(r"invalid literal for int\(\) with base 10: '(.*)'|Index '(.*)' \(str\) is not an int", text)
    for override in overrides:
        key = _key(override)
        items, _, last = key.rpartition(".")
        if "list indices must be integers" in text and override.startswith("~") and last.isdecimal():
            cure = f"; {key}=identity makes a layer do nothing" if items == "model.layers" else ""
            return f"{override}: a list item cannot be deleted; set the whole list without it, {items}=[...]{cure}"
        if word and f".{word[1] or word[2]}." in f"{key}.":
            items = f"{key}.".partition(f".{word[1] or word[2]}.")[0]
            return f"{override}: {items} is a list, whose items are numbered; the first is {items}.0"
    return None


def _key(override: str) -> str:
    """Return the key of an override, without a plus or a tilde."""
    return override.partition("=")[0].lstrip("+~")


def _parse_error(override: str) -> str:
    if override and "=" not in override:
        if override in ("train", "data") or not override[0].isalnum():
            return f"{override}: unknown argument; see `mnistlab train --help`"
        return f"{override}: must be key=value, for example optimizer.lr=0.01"
    return (
        f"{override}: Hydra cannot parse the value; close all brackets and quote text, as in 'data.path=\"a, b.csv\"'"
    )


def _no_option(overrides: Sequence[str]) -> str:
    for override in overrides:
        group, _, value = override.partition("=")
        group = group.lstrip("+")
        if group in group_names() and value not in option_names(group):
            return f"{override}: choose one of {', '.join(option_names(group))}"
    return "a config group must be set to the name of an option"


def _unknown_option(path: str, text: str) -> str:
    group, _, option = path.rpartition("/")
    if group.startswith("hydra/") and (listed := re.search(r"Available options in '[^']+':\n((?:\t.*\n?)+)", text)):
        options = listed[1].split()
        return f"{group}={option}: choose one of {', '.join(options)}{did_you_mean(option, options)}"
    if group.partition("/")[0] in group_names():
        group, _, option = path.partition("/")  # experiment=ghimire/kaiming_42k
    if group not in group_names():
        groups = group_names()
        near = did_you_mean(group, groups)
        return f"{path}: no such config group, {group!r}; choose one of {', '.join(groups)}{near}"
    listed = re.search(r"Available options in '[^']+':\n((?:\t.*\n?)+)", text)  # with those of --config-dir
    known = list(dict.fromkeys([*option_names(group), *(listed[1].split() if listed else [])]))
    meant = ALIASES.get(group, {}).get(option.lower())
    same = [name for name in known if _letters(name) == _letters(option)]
    near = f" (did you mean {meant or same[0]}?)" if meant or same else did_you_mean(option, known)
    return f"{group}={option}: no such option; choose one of {', '.join(_near_options(group, option))}{near}"


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _near_options(group: str, option: str) -> list[str]:
    """Return the options in the folder of an option, ghimire/..., or else those outside folders, and the folders."""
    options = option_names(group)
    folder = option.partition("/")[0]
    if in_folder := [name for name in options if name.startswith(f"{folder}/")]:
        return in_folder
    return [
        *(name for name in options if "/" not in name),
        *sorted({f"{n.partition('/')[0]}/..." for n in options if "/" in n}),
    ]


def _unknown_key(key: str, text: str, overrides: Sequence[str]) -> str:
    if "already at" in text:
        return f"+{key}: the key already exists; write {key}=... without the plus"
    group, _, rest = key.partition(".")
    chosen = _chosen_option(group, overrides)
    if layer_key := re.fullmatch(r"model\.layers\.(\d+)(?:\.(\w+))?(?:\.(\w+))?", key):
        override = next((candidate for candidate in overrides if _key(candidate) == key), key)
        layers = _layers_without(override, overrides)
        if int(layer_key[1]) < len(layers):
            return _unknown_setting(override, layer_key[2], layer_key[3], layers[int(layer_key[1])])
        if not layers and schema_of(group, chosen) is LayerList:
            return f"{key}: no such layer; `mnistlab explain model={chosen}` lists the layers, from 0"
    schema = schema_of(group, chosen)
    if rest and schema is not None:
        if rest in {f.name for f in fields(schema)}:
            return f"+{key}: the key already exists; write {key}=... without the plus"
        names = [f.name for f in fields(schema)]
        near = did_you_mean(rest, names, f"{group}.")
        where = f"{group}={chosen}" if group in GROUPS else group
        return f"{key}: unknown key; {where} has {', '.join(names) or 'no keys'}{near}"
    candidates = [*group_names(), *Root.__dataclass_fields__]
    if not rest and (inner := with_group(key, overrides)):
        return f"{key}: unknown key (did you mean {' or '.join(inner[:3])}?)"
    for name in candidates:
        schema = schema_of(name, _chosen_option(name, overrides))
        if schema is not None and rest:
            candidates = [*candidates, *(f"{name}.{f.name}" for f in fields(schema))]
    return f"{key}: unknown key{did_you_mean(key, candidates) or '; see `mnistlab train --help`'}"


def with_group(key: str, overrides: Sequence[str]) -> list[str]:
    """Return the keys of groups that end in this one: optimizer.lr for lr."""
    groups = [name for name in Root.__dataclass_fields__ if name in (*GROUPS, "trainer", "regularization", "report")]
    schemas = ((name, schema_of(name, _chosen_option(name, overrides))) for name in groups)
    return [f"{name}.{key}" for name, schema in schemas if schema and key in {f.name for f in fields(schema)}]


def _layers_without(override: str, overrides: Sequence[str]) -> list[Any]:
    """Return model.layers without one override; an empty list if there is no such list or another error."""
    others = [other for other in overrides if other != override]
    if len(others) == len(overrides):
        return []
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(folder())):
            config = hydra_compose("config", overrides=others)
        layers = OmegaConf.to_container(OmegaConf.select(config, "model.layers", default=OmegaConf.create([])))
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, RecursionError):
        return []
    return layers if isinstance(layers, list) else []


def _unknown_setting(override: str, kind: str | None, setting: str | None, there: Any) -> str:
    """Return the message for the key of a layer; ``there`` is the current item: a name, or a name with settings.

    Hydra merges a mapping into a mapping and replaces a name, so another kind of layer must be named before it is set.
    """
    key, value = _key(override), override.partition("=")[2]
    place = ".".join(key.split(".")[:3])
    stands = there if isinstance(there, str) else " and ".join(there) if isinstance(there, dict) else str(there)
    if override.startswith("~"):
        return f"{override}: no such key to delete; {place} is {stands}"
    if kind is None:  # model.layers.0={conv: {filters: 8}}
        kind, _, value = value.strip("{} ").partition(":")
        value = value.strip(" {}")
    if kind not in LAYERS:
        return f"{key}: no such layer; {place} is {stands}{did_you_mean(kind, [stands, *LAYERS])}"
    names = [f.name for f in fields(LAYERS[kind])]
    if setting is not None and setting not in names:
        takes = f"takes {', '.join(names)}" if names else "takes no settings"
        return f"{key}: unknown setting; {kind} {takes}{did_you_mean(setting, names)}"
    if kind == stands and not isinstance(there, str):
        if setting is None:
            return f"{override}: {place} does not have all of these settings; write ++{override}"
        return f"{key}: not set in {place}; add it with a plus: +{key}=..."
    if setting is not None or ":" not in value:
        settings = {f.name: EXAMPLES.get(f.name, "...") for f in fields(LAYERS[kind]) if f.default is MISSING}
        settings |= {setting: value} if setting else {}
        value = ", ".join(f"{name}: {shown}" for name, shown in settings.items())
    described = f"'{place}={{{kind}: {{{value.strip('{} ')}}}}}'" if value else ""
    named = "" if described and isinstance(there, str) else f"{place}={kind} "
    return f"{key}: {place} is {stands} and has no such key; write {named}{described}".rstrip()


def _chosen_option(group: str, overrides: Sequence[str]) -> str:
    """Return the option chosen in a group: that of the last override, or of the defaults list."""
    default = re.search(
        rf"^  - {re.escape(group)}: (\w+)", (folder() / "config.yaml").read_text(encoding="utf-8"), re.MULTILINE
    )
    option = default[1] if default else ""
    for override in overrides:
        key, _, value = override.partition("=")
        if key.lstrip("+") == group:
            option = value
    return option


def _value_error(error: OmegaConfBaseException, text: str, overrides: Sequence[str]) -> str:
    message = (getattr(error, "msg", None) or str(error)).splitlines()[0]
    override = re.search(r"Error merging override (\S+)", text)
    full_key = re.sub(r"\[(\d+)\]", r".\1", str(getattr(error, "full_key", "") or ""))  # as on the command line
    override_text = override[1] if override else full_key
    for candidate in overrides:
        if _key(candidate) == full_key or (override and candidate.startswith(override[1])):
            override_text = candidate
    if match := re.search(r"Key '(\w+)' not in '\w+'", message):
        group = full_key.partition(".")[0]
        schema = schema_of(group, _chosen_option(group, overrides))
        names = [f.name for f in fields(schema)] if schema else []
        has = f"{group} has {', '.join(names)}" if names else f"no such key in {group}"
        return f"{full_key}: unknown key; {has}{did_you_mean(match[1], names, f'{group}.')}"
    if "does not support deletion" in message:
        return f"{override_text}: a key cannot be deleted; set another value, {override_text.lstrip('~')}=..."
    if match := re.search(r"could not be converted to (\w+)", message):
        return f"{override_text}: must be {TYPES.get(match[1], match[1])}"
    if re.search("is not Optional|cannot be assigned None|Incompatible value 'None'", message):
        return f"{override_text}: must have a value; leave out the key to use its default"
    if "list index out of range" in message:
        return f"{override_text}: no such item; items are numbered from 0 (`mnistlab train --cfg job` prints the list)"
    if "is not a valid bool" in message:
        return f"{override_text}: must be true or false"
    if "is not a ListConfig, list or tuple" in message:
        key, _, value = override_text.partition("=")
        return f"{override_text}: must be a list, for example {key}=[{value or '...'}]"
    if "incompatible with type hint 'Union[int, str]'" in message:
        return f"{override_text}: must be a whole number or a name"
    if match := re.search(r"Invalid value '.*?', expected one of \[(.*)\]", message):
        value = override_text.partition("=")[2]
        options = match[1].split(", ")
        return f"{override_text}: choose one of {match[1]}{did_you_mean(value, options)}"
    return f"{override_text}: {message}" if override_text else message
