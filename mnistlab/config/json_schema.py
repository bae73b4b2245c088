"""JSON Schema of the configuration, so that editors complete and check its YAML files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from inspect import getdoc
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from mnistlab.config import plugins
from mnistlab.config.options import option_names
from mnistlab.config.schema import GROUPS, Root, schema_of
from mnistlab.system.errors import RequestError

DRAFT = "https://json-schema.org/draft/2020-12/schema"
INTERPOLATED = {"type": "string", "pattern": r"\$\{.+\}"}  # ${seed}
Schema = dict[str, Any]


def schemas() -> dict[str, Schema]:
    """Return the schemas by the name of their file: of settings (`mnistlab train FILE`), and of experiments."""
    plugins.load_installed()
    return {"settings.schema.json": settings(), "experiment.schema.json": experiment()}


def settings() -> Schema:
    """Return the schema of a file of settings: options of groups, and keys, also dotted."""
    properties: Schema = {name: _group(name) for name in _names()}
    dotted: Schema = {}
    for name in _names():
        for key, field_schema in _keys(name).items():
            dotted[f"{name}.{key}"] = field_schema
    return {
        "$schema": DRAFT,
        "title": "mnistlab: a file of settings",
        "type": "object",
        "properties": {"experiment": {"enum": option_names("experiment")}, **properties, **dotted},
        "patternProperties": {r"^model\.layers\.": {}},
        "additionalProperties": False,
    }


def experiment() -> Schema:
    """Return the schema of conf/experiment/*.yaml: Hydra's defaults list, and the keys of all groups."""
    properties = {name: _keys_of_group(name) for name in _names()}
    defaults = {"type": "array", "items": {"type": ["string", "object"]}}
    return {
        "$schema": DRAFT,
        "title": "mnistlab: an experiment",
        "type": "object",
        "properties": {"defaults": defaults, "hydra": {"type": "object"}, **properties},
        "additionalProperties": False,
    }


def _names() -> list[str]:
    return [field.name for field in fields(Root)]


def _group(name: str) -> Schema:
    """Return the schema of a group in a file of settings: an option, several, or its keys."""
    keys = _keys_of_group(name)
    if name not in GROUPS and name not in ("regularization", "trainer"):
        return keys
    options = {"enum": option_names(name)}
    return {"anyOf": [options, {"type": "array", "items": options}, {"type": "string", "pattern": ","}, keys]}


def _keys_of_group(name: str) -> Schema:
    keys = _keys(name)
    if keys:
        return {"type": "object", "properties": keys, "additionalProperties": False}
    (field,) = [each for each in fields(Root) if each.name == name]
    return _of_type(get_type_hints(Root)[field.name])


def _keys(name: str) -> Schema:
    """Return the schema of each key of a group: of all its options, where it has several schemas."""
    classes = list(dict.fromkeys(GROUPS[name].values())) if name in GROUPS else [schema_of(name, "")]
    found: dict[str, list[Schema]] = {}
    for cls in classes:
        if cls is None or not is_dataclass(cls):
            continue
        hints = get_type_hints(cls)
        for field in fields(cls):
            found.setdefault(field.name, []).append(_described(cls, field, hints[field.name]))
    return {key: _either(several) for key, several in found.items()}


def _described(cls: type[Any], field: Field[Any], hint: Any) -> Schema:
    schema = _with_limits(_of_type(hint), cls, field)
    sentence = re.search(rf"[^.;]*``{field.name}``[^.;]*[.;]", " ".join((getdoc(cls) or "").split()))
    if sentence:
        schema["description"] = sentence[0].strip(" ;")
    default = field.default
    if default is not MISSING and isinstance(default, (str, int, float, bool)) and not isinstance(default, Enum):
        schema["default"] = default
    return schema


def _with_limits(schema: Schema, cls: type[Any], field: Field[Any]) -> Schema:
    """Return a schema of numbers with the range that the class accepts, as a few values show."""
    is_whole = schema == _of_type(int) or schema.get("anyOf", [{}])[0] == _of_type(int)
    if field.default is MISSING or not (is_whole or schema == _of_type(float)):
        return schema

    def accepts(value: float) -> bool:
        try:
            cls(**{field.name: value})
        except (RequestError, TypeError, ValueError):
            return False
        return True

    limits: Schema = {}
    if is_whole:
        least = next((value for value in (0, 1, 2) if accepts(value)), None)
        if least is not None and not accepts(least - 1):
            limits = {"minimum": least}
    elif accepts(0.5) and not accepts(-1.0):
        limits = {"minimum": 0} if accepts(0.0) else {"exclusiveMinimum": 0}
        if not accepts(1.5):
            limits |= {"maximum": 1} if accepts(1.0) else {"exclusiveMaximum": 1}
    numeric = schema["anyOf"][0]
    numbers = numeric if "type" in numeric else numeric["anyOf"][0]
    numbers |= limits
    return schema


def _either(several: list[Schema]) -> Schema:
    distinct = [schema for i, schema in enumerate(several) if schema not in several[:i]]
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _of_type(hint: Any) -> Schema:
    """Return the schema of a type; a text with ${...} or, for a number, a sweep is allowed in its place."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return {"anyOf": [_of_type(each) for each in arguments]}
    if hint is NoneType or hint is None:
        return {"type": "null"}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [member.value for member in hint]}
    if hint is bool:
        return {"anyOf": [{"type": "boolean"}, dict(INTERPOLATED)]}
    if hint is int:
        return {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"[,(]|\$\{"}]}
    if hint is float:
        return {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"[,(]|\$\{|^[-+\d.eE]+$"}]}
    if hint is str:
        return {"type": ["string", "number"]}
    if origin in (list, tuple) or hint is list:
        return {"anyOf": [{"type": "array"}, {"type": "string", "pattern": r"\[|\$\{"}]}
    if origin in (dict, Mapping) or hint is dict:
        return {"type": "object"}
    return {}
