"""Generate the reference pages from the schemas: key, type, default, accepted values and meaning.

Usage: python docs/reference.py [--check]

`make docs` writes them too, and `make check` fails if docs/reference differs from what the code says. Nothing is
written twice. The accepted values come from the error messages for wrong values. The meaning comes from the name in
those messages, from the sentences about ``key`` in the docstring of its class, and from the docstring of its Enum.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import MISSING, Field, fields
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

from mnistlab import cli
from mnistlab.api import commands
from mnistlab.config import diff
from mnistlab.config.options import folder, group_names, option_names
from mnistlab.config.report import Report
from mnistlab.config.schema import MENTIONED, schema_of
from mnistlab.metrics.classification import SCORES
from mnistlab.nn.architectures import LAYERS
from mnistlab.nn.losses import LOSSES
from mnistlab.system.errors import RequestError

DOCS = Path(__file__).resolve().parent
NAMES = {"monitor": SCORES}  # names that the schema leaves to `config.experiment` to check
OTHER_KEYS = {name: key for keys in MENTIONED.values() for name, key in keys.items()}
WRONG: tuple[Any, ...] = (-1.0, 0.0, 1e12, "?", float("nan"))
WRONG_LISTS: tuple[Any, ...] = ([-1], ["?"])
KINDS = {"int": "whole number", "float": "number", "bool": "true or false", "str": "text", "None": "null"}
PLURALS = {"int": "whole numbers", "str": "names", "Any": "layers"}


def pages() -> dict[str, str]:
    """Return every page of the reference: its path and its Markdown."""
    made = {f"reference/{group}.md": group_page(group) for group in group_names()}
    made["reference/layers.md"] = layers_page()
    made["reference/report.md"] = report_page()
    made["reference/launcher.md"] = launcher_page()
    made["reference/commands.md"] = commands_page()
    made["reference/python.md"] = python_page()
    return made


def stale() -> dict[Path, str]:
    """Return the files of docs/reference that are not what the code says, with what it says."""
    files = {DOCS / path: text for path, text in pages().items()}
    return {file: text for file, text in files.items() if not file.is_file() or file.read_text() != text}


def write() -> None:
    """Write the pages into docs/reference; those that are as they should be stay untouched."""
    for file, text in stale().items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


def check() -> None:
    """Exit with 1 and the names of the pages that are not what the code says."""
    if found := sorted(str(file.relative_to(DOCS.parent)) for file in stale()):
        sys.exit(f"{', '.join(found)}: not what the code says; run `python docs/reference.py`")


def group_page(group: str) -> str:
    """Return the page of a config group: its options, then each schema with its keys."""
    options = {option: text_of(group, option) for option in option_names(group)}
    if group == "experiment":
        return experiments_page(options)
    lines = [f"# {group}", "", f"`{group}=OPTION` chooses one of these options:", ""]
    lines += ["| option | keys | description |", "|---|---|---|"]
    for option, text in options.items():
        schema = schema_of(group, option)
        keys = f" [{schema.__name__}](#{schema.__name__.lower()}) |" if schema else ""
        usual = " The default." if option == diff.choices().get(group) else ""
        lines.append(f"| `{option}` |{keys}{usual} {cell(header(text))} |")
    seen = {schema: None for option in options if (schema := schema_of(group, option))}
    for schema in seen:
        chosen = [option for option in options if schema_of(group, option) is schema]
        lines += ["", f"## {schema.__name__}", "", described(schema), ""]
        if group not in ("regularization", "trainer"):
            lines += [f"Options: {', '.join(f'`{option}`' for option in chosen)}.", ""]
        lines += list(table(schema, f"{group}.", {option: options[option] for option in chosen}))
    return "\n".join(lines) + "\n"


def experiments_page(options: Mapping[str, str]) -> str:
    """Return the page of the experiments: what each is, and the paper's result and the expected one."""
    lines = [
        "# experiment",
        "",
        "`mnistlab train experiment=NAME` runs one of these experiments. An experiment is a set of",
    ]
    lines += ["overrides; further overrides on the command line take precedence.", ""]
    lines += ["| name | description | result in the paper | expected result |", "|---|---|---|---|"]
    for option, text in options.items():
        about, _, results = header(text).partition(f" Command: mnistlab train experiment={option} ")
        paper, _, expected = results.rpartition("Expected: ")
        columns = [f"`{option}`", cell(about), cell(paper.removeprefix("Paper: ").strip()), cell(expected)]
        lines.append(f"| {' | '.join(columns)} |")
    return "\n".join(lines) + "\n"


def layers_page() -> str:
    """Return the page of the layers that `model.layers` may list, and of losses and outputs."""
    lines = [
        *("# layers", "", "Each entry of `model.layers` is a name, such as `relu`, or a name with settings, such as"),
        *("`conv: {filters: 16, kernel: 5}`. To override a setting, give the position of the layer, counted from 0:",),
        *("`model.layers.0.conv.filters=16`.", ""),
        *("The equations and gradients are explained in [Mathematics](../explanation/mathematics.md).",),
    ]
    for name, schema in LAYERS.items():
        lines += ["", f"## {name}", "", described(schema), "", *table(schema, "")]
    lines += ["", "# Losses", ""]
    for name, loss in LOSSES.items():
        lines += [f"## {name}", "", f"`model.loss={name}`, with `model.output` {' or '.join(loss.outputs)}.", ""]
        lines += [described(loss), ""]
    return "\n".join(lines) + "\n"


def report_page() -> str:
    """Return the page of the keys that belong to no group."""
    lines = ["# report and seed", "", described(Report), "", *table(Report, "report.")]
    lines += [
        "",
        "## seed",
        "",
        "`seed` is a whole number of 0 or more (default 0). All random numbers of a run come from",
    ]
    lines += ["streams that are derived from it, one for each purpose."]
    lines += [
        "",
        "## tags and note",
        "",
        "`tags` is a list of names, `tags=[week3,good]`, and `note` a text, `note='first try'` (default: none). They",
        "are saved in `labels.json`, and are no part of the experiment. `mnistlab runs` finds and changes them.",
        "",
    ]
    return "\n".join(lines)


def python_page() -> str:
    """Return the page of the public functions and classes, from their signatures and docstrings."""
    import mnistlab
    from mnistlab.api.comparison import ComparisonView
    from mnistlab.api.run import Run, TrainedModel
    from mnistlab.api.run_list import RunList
    from mnistlab.api.sweep import Sweep

    lines = [
        "# Python",
        "",
        "`import mnistlab` has these functions and classes. [Use mnistlab from Python](../how-to/library.md) shows",
        "them at work. The examples are tested.",
    ]
    functions = [
        mnistlab.train,
        mnistlab.sweep,
        commands.runs,
        mnistlab.load_run,
        mnistlab.compare,
        mnistlab.import_plugin,
    ]
    for function in functions:
        signature = f"mnistlab.{function.__name__}{inspect.signature(function)}"
        lines += ["", f"## {function.__name__}", "", "```text", signature, "", inspect.getdoc(function) or "", "```"]
    for cls in (Run, TrainedModel, Sweep, RunList, ComparisonView):
        lines += ["", f"## {cls.__name__}", "", "```text", inspect.getdoc(cls) or ""]
        for name, member in vars(cls).items():
            if not name.startswith("_") and inspect.isfunction(member):
                first = (inspect.getdoc(member) or "").splitlines()[0]
                lines += [
                    "",
                    f"{name}{inspect.signature(member)}".replace("(self, ", "(").replace("(self)", "()"),
                    f"    {first}",
                ]
        lines.append("```")
    return "\n".join(lines) + "\n"


def launcher_page() -> str:
    """Return the page of the ways to run the jobs of a sweep."""
    lines = [
        "# hydra/launcher",
        "",
        "`hydra/launcher=OPTION` sets where the jobs of a sweep (`-m`) run. With `basic`, which has",
    ]
    lines += ["no settings, they run one after the other in the same process.", ""]
    for option in option_names("hydra/launcher"):
        text = text_of("hydra/launcher", option)
        values = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        lines += [f"## {option}", "", header(text), "", "```yaml", values, "```", ""]
    return "\n".join(lines)


def commands_page() -> str:
    """Return the page of the commands: what each says with --help."""
    names = list(cli.COMMANDS)
    with ThreadPoolExecutor() as pool:
        helps = list(pool.map(help_of, names))
    helps[0] = helps[0][: helps[0].index("\n== Groups")]  # the groups and keys are all of this reference
    lines = ["# Commands", "", "```text", help_of().rstrip(), "```", ""]
    for name, text in zip(names, helps, strict=True):
        lines += [f"## {name}", "", "```text", text.rstrip(), "```", ""]
    return "\n".join(lines)


def help_of(*command: str) -> str:
    """Return what ``mnistlab COMMAND --help`` prints on a terminal of 100 columns."""
    line = [sys.executable, "-m", "mnistlab", *command, "--help"]
    wide = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(line, capture_output=True, text=True, check=True, env=wide).stdout


def table(schema: type[Any], prefix: str, yamls: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield the lines of the table of a schema's keys."""
    if not fields(schema):
        yield "No keys."
        return
    yield from ("| key | type | default | accepted | meaning |", "|---|---|---|---|---|")
    for field in fields(schema):
        columns = [kind(schema, field), default(field, yamls or {}), accepted(schema, field), meaning(schema, field)]
        yield f"| `{prefix}{field.name}` | " + " | ".join(map(cell, columns)) + " |"


def kind(schema: type[Any], field: Field[Any]) -> str:
    """Return the type of a key, in words."""
    hint = get_type_hints(schema)[field.name]
    if is_enum(hint):
        return "name"
    if hint is Any:
        return "various"
    text = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    text = re.sub(r"list\[(\w+|typing\.Any)\]", lambda m: f"list of {PLURALS[m[1].removeprefix('typing.')]}", text)
    return " or ".join(re.sub(r"\w+", lambda m: KINDS.get(m[0], m[0]), part) for part in text.split(" | "))


def default(field: Field[Any], yamls: Mapping[str, str]) -> str:
    """Return the default of a key, and what the options' YAML files say instead."""
    factory = field.default_factory
    value = factory() if factory is not MISSING else field.default
    text = "required" if value is MISSING else f"`{shown(value)}`"
    for option, yaml in yamls.items():
        if (own := re.search(rf"^{field.name}: *(.+)$", yaml, re.MULTILINE)) and own[1] != shown(value):
            text += f"; `{option}`: `{own[1]}`"
        elif re.search(rf"^{field.name}:$", yaml, re.MULTILINE):
            text += f"; `{option}`: its own"
    return text


def accepted(schema: type[Any], field: Field[Any]) -> str:
    """Return what a key accepts: the names of its Enum, or what is said when a wrong value is refused."""
    hint = get_type_hints(schema)[field.name]
    if is_enum(hint):
        return ", ".join(f"`{member.value}`" for member in hint)
    if field.name in NAMES:
        return ", ".join(f"`{name}`" for name in NAMES[field.name])
    rules = [as_rule(rule) for _, rule in refusals(schema, field)]
    if fractions := [rule for rule in rules if rule.startswith("a fraction such as ")]:
        rules = fractions  # a fraction or a number of rows; the others are about one of the two
    if rules and field.default is None:
        rules.append("`null`")
    return "; ".join(dict.fromkeys(rules)) or ("`true`, `false`" if hint is bool else "any")


def as_rule(said: str) -> str:
    """Return what is accepted, of what is said of a wrong value."""
    if names := re.fullmatch(r"choose one of (.+)", said):
        return ", ".join(f"`{name}`" for name in names[1].split(", "))
    if limit := re.search(r"(?:(with .+) this moves .+)?; (?:shift by|use) (less than .+)", said):
        return f"{limit[2]} {limit[1] or ''}".strip()
    rule = re.sub(r",? (?:was|were) expected|, but has .+", "", said.removeprefix("must be ").removeprefix("must lie "))
    rule = rule.replace(" and end in ", " that ends in ")
    rule, unless, names = rule.partition(", unless it is ")
    return f"{rule}, or " + " or ".join(f"`{name}`" for name in names.split(" or ")) if unless else rule


def meaning(schema: type[Any], field: Field[Any]) -> str:
    """Return what a key means; empty where the code does not say."""
    hint = get_type_hints(schema)[field.name]
    parts = [name for name, _ in refusals(schema, field) if name not in ("", field.name, "a fraction")][:1]
    parts = [part[0].upper() + part[1:] + "." for part in parts]
    for cls in schema.__mro__:
        if is_documented(cls):
            parts += [part for part in clauses(inspect.getdoc(cls) or "") if f"``{field.name}``" in part]
    if is_enum(hint):
        comments = re.findall(r'= "(\w+)"  # (.+)', inspect.getsource(hint))
        parts += [inspect.getdoc(hint) or "", *(f"`{name}`: {comment}." for name, comment in comments)]
    return " ".join(dict.fromkeys(parts))


def refusals(schema: type[Any], field: Field[Any]) -> list[tuple[str, str]]:
    """Return what the schema says of wrong values of a key: the name it has there, and what it must be."""
    given = {f.name: 1 for f in fields(schema) if f.default is MISSING and f.default_factory is MISSING}
    listed = "list" in str(get_type_hints(schema)[field.name]) or field.name == "hidden"
    found: dict[str, str] = {}
    for value in WRONG_LISTS if listed else WRONG:
        try:
            schema(**{**given, field.name: value})
        except RequestError as error:
            if error.value is None or error.key not in ("layers.0", field.name):
                continue  # another key is blamed
            message = error.renamed(**OTHER_KEYS).message
            name, must, rule = re.sub("; .* given .*", "", f" {message}").partition(" must ")
            name, unless, exception = name.strip().rstrip(",").partition(", unless ")
            found[f"must {rule}{unless}{exception}" if must else name] = name if must else ""
    if len(found) > 1:
        found.pop("must be a number", None)
    return [(name, rule) for rule, name in found.items()]


def described(cls: type[Any]) -> str:
    """Return the docstring of a class as Markdown."""
    return escaped((inspect.getdoc(cls) or "").replace("``", "`"))


def escaped(text: str) -> str:
    """Return text with what Markdown would read as a tag escaped, outside of code."""
    parts = text.split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def sentences(text: str) -> list[str]:
    """Return the sentences of a docstring."""
    return re.split(r"(?<=[.])\s+(?=[A-Z`])", " ".join(text.split()))


def clauses(text: str) -> list[str]:
    """Return what a docstring says of each key: of a sentence that has several, the part of each."""
    found = []
    for sentence in sentences(text):
        parts = re.split(r"; (?=[^`]*``)|, (?=``\w+`` (?:is|its|the) )", sentence.rstrip("."))
        found += [f"{part}." for part in parts] if len(re.findall(r"``\w+``", sentence)) > 1 else [sentence]
    return found


def header(yaml: str) -> str:
    """Return what the comment at the top of a YAML file says."""
    lines = re.match(r"(?:#.*\n)*", yaml)
    assert lines
    kept = [
        line[1:].strip()
        for line in lines[0].splitlines()
        if not line.startswith(("# @package", "# yaml-language-server"))
    ]
    return " ".join(kept)


def text_of(group: str, option: str) -> str:
    """Return the YAML of an option."""
    return (folder() / group / f"{option}.yaml").read_text()


def shown(value: Any) -> str:
    """Return a default as one writes it on the command line."""
    if isinstance(value, Enum):
        return str(value.value)
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return escaped(text.replace("``", "`").replace("|", "\\|"))


def is_enum(hint: Any) -> bool:
    """Return whether a type is an Enum."""
    return isinstance(hint, type) and issubclass(hint, Enum)


def is_documented(cls: type[Any]) -> bool:
    """Return whether a class has a docstring of its own, in this package."""
    return cls.__module__.startswith("mnistlab") and bool(cls.__dict__.get("__doc__"))


if __name__ == "__main__":
    check() if sys.argv[1:] == ["--check"] else write()
