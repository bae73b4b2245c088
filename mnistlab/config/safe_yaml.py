"""YAML files of unknown origin, checked before Hydra, OmegaConf or `load` read them.

A few lines of aliases can expand to billions of values, deep nesting overflows the interpreter's stack, and tags name
classes. Configurations need none of that; the error gives the file, the line, and the cure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from mnistlab.system import files
from mnistlab.system.errors import RequestError
from mnistlab.system.readers import NotAFileError, TooLargeError, UnreadableError, read_text, reading

MOST_BYTES = 2**20
MOST_VALUES = 20_000  # with every alias expanded
DEEPEST = 40
LONGEST_NUMBER = 400  # characters; more than the largest double has
TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")} | {None, "!"}
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path, mapping: bool = False) -> str:
    """Return the text of a YAML file that is safe to load, or raise a `RequestError` that names the line.

    With ``mapping``, it must be empty or consist of keys and values. A FileNotFoundError is passed on.
    """
    try:
        return _checked(path, mapping)
    except UnreadableError as error:
        if error.missing:
            raise error.cause from None
        raise RequestError(refusal(error)) from None


def load(path: Path) -> Any:
    """Return the value of a YAML file written by mnistlab, or raise an `UnreadableError`."""
    with reading(path, MOST_BYTES):
        return yaml.load(_checked(path), Loader=LOADER)


def load_or_empty(path: Path, kind: type[Any] = dict) -> Any:
    """Return the value of a YAML file, or an empty one if the file is missing, damaged or not of this ``kind``."""
    try:
        content = load(path)
    except UnreadableError:
        return kind()
    return content if isinstance(content, kind) else kind()


def _checked(path: Path, mapping: bool = False) -> str:
    with reading(path, MOST_BYTES):
        text = read_text(path, MOST_BYTES)
        _check(yaml.parse(text, Loader=LOADER), mapping)
        return text


def texts_of(text: str, keys: Sequence[str]) -> list[str] | None:
    """Return the items of a list as they are written, by the keys that lead to it; None if there is no such list.

    YAML reads yes and no as true and false, and 01 as 1, which names of classes are not.
    """
    node = yaml.compose(text, Loader=LOADER)
    for key in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        node = next((value for name, value in pairs if name.value == key), None)
    return items_as_written(node) if isinstance(node, yaml.SequenceNode) else None


def items_as_written(node: yaml.SequenceNode) -> list[str]:
    """Return the items of a list as text."""
    return [item.value for item in node.value if isinstance(item, yaml.ScalarNode)]


def refusal(error: UnreadableError) -> str:
    """Return why a YAML file is refused, in one line: the file, the place, the problem and the cure."""
    match error.cause:
        case TooLargeError(size=size):
            why = f"{size:,} bytes exceed the maximum of {MOST_BYTES:,}; shorten it"
        case NotAFileError() | IsADirectoryError():
            why = "not a file; must be a configuration file"
        case OSError(strerror=reason):
            why = f"cannot be read ({reason}); check file permissions"
        case UnicodeDecodeError(start=start):
            why = f"byte {start + 1} is not UTF-8 text; save the file as UTF-8"
        case yaml.YAMLError() as cause:
            why = problem(cause)
        case _:
            why = f"cannot be read ({error.reason}); correct it"
    return f"{files.shown(error.path)}: {why}"


def problem(error: yaml.YAMLError) -> str:
    """Return what is wrong with a YAML file in one line: the place, the problem and the cure."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return f"{where}{' '.join(str(problem).split())}; correct it there"


class _NotPlain(yaml.MarkedYAMLError):
    def __init__(self, problem: str, event: yaml.Event) -> None:
        super().__init__(problem=problem, problem_mark=event.start_mark)


class _Open:
    """A list or mapping that has not ended: its number of values, and whether a key comes next."""

    def __init__(self, event: yaml.CollectionStartEvent) -> None:
        self.anchor, self.values = event.anchor, 1
        self.keys: set[str] = set()
        self.is_mapping = isinstance(event, yaml.MappingStartEvent)
        self.key_is_next = self.is_mapping

    def take(self, values: int) -> None:
        self.values += values
        self.key_is_next = self.is_mapping and not self.key_is_next


def _check(events: Iterable[Any], mapping: bool) -> None:
    """Check the events of a YAML stream without building any values."""
    stack: list[_Open] = []
    sizes: dict[str, int] = {}  # of completed nodes that have an anchor
    total = 0

    def take(event: yaml.Event, values: int, anchor: str | None = None) -> None:
        """Count the values of a completed node, for the node around it and for its anchor."""
        nonlocal total
        if anchor is not None:
            sizes[anchor] = values
        if stack:
            stack[-1].take(values)
        total = max(total, values, stack[-1].values if stack else 0)
        if total > MOST_VALUES:
            raise _NotPlain(
                f"more than {MOST_VALUES:,} values, with every alias expanded; shorten the configuration", event
            )

    for event in events:
        if (
            mapping
            and not stack
            and isinstance(event, yaml.NodeEvent)
            and not isinstance(event, yaml.MappingStartEvent)
        ):
            raise _NotPlain("must consist of lines `key: value`", event)
        if isinstance(event, yaml.CollectionStartEvent):
            if stack and stack[-1].key_is_next:
                raise _NotPlain("a key is a name, not a list or a mapping", event)
            stack.append(_Open(event))
            if len(stack) > DEEPEST:
                raise _NotPlain(f"lists or mappings nested more than {DEEPEST} deep", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = stack.pop()
            take(event, ended.values, ended.anchor)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise _NotPlain(f"*{event.anchor} does not refer to an earlier anchor", event)
            take(event, sizes[event.anchor])
        elif isinstance(event, yaml.ScalarEvent):
            if stack and stack[-1].key_is_next:
                if event.value in stack[-1].keys:
                    raise _NotPlain(f"found duplicate key {event.value}", event)
                stack[-1].keys.add(event.value)
            if event.implicit[0] and len(event.value) > LONGEST_NUMBER and re.match(r"[-+\d._]+$", event.value):
                raise _NotPlain(f"a number of {len(event.value):,} digits is too long for any setting", event)
            take(event, 1, event.anchor)
        if getattr(event, "tag", None) not in TAGS:
            raise _NotPlain(f"the tag {event.tag} is not allowed; only plain values are read", event)
