"""The house as a specification: its rooms in their order, what stands at their doors, and how large a file may be."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from mnistlab import cli

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "mnistlab"
ROOMS = (  # imports point from left to right only
    *("cli", "api", "papers", "board", "sweeps", "analysis", "inference", "runs", "config", "reporting"),
    *("models", "training", "statistics", "metrics", "data", "nn", "system"),
)
DOORS = {"__init__.py", "__main__.py", "py.typed"}
# The command's entry point, the engine's public names on first use, and what makes `mnistlab.runs(...)` a function
IMPORTING = {"cli", "nn", "runs"}
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 60
FILES = sorted(PACKAGE.rglob("*.py"))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith((".", "__pycache__"))}


def test_the_package_holds_the_rooms_and_nothing_else() -> None:
    assert names(PACKAGE) == {*ROOMS} | DOORS


def test_the_contract_of_imports_has_the_rooms_in_this_order() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = settings["tool"]["importlinter"]["contracts"][0]
    assert (contract["type"], contract["exhaustive"]) == ("layers", True)
    assert tuple(contract["layers"]) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is_for_and_imports_nothing(room: str) -> None:
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text())
    assert ast.get_docstring(tree)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert room in IMPORTING or imports == []


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_command_is_a_file_of_its_name(name: str) -> None:
    assert (PACKAGE / "cli" / f"{name.replace('-', '_')}.py").is_file()


def test_the_folders_of_the_tests_are_those_of_the_package() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    others = {"helpers", "golden", "docs", "packaging", "benchmarks", "stress", "plugin_example", "cluster"}
    assert folders == {*ROOMS} | others


def test_no_file_is_too_long() -> None:
    lines = {path.relative_to(PACKAGE).as_posix(): len(path.read_text().splitlines()) for path in FILES}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_no_function_is_too_long() -> None:
    too_long = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                if count > MOST_LINES_OF_A_FUNCTION:
                    too_long[f"{path.relative_to(PACKAGE)}:{node.name}"] = count
    assert too_long == {}


def test_nothing_says_that_a_registry_has_the_package() -> None:
    """An extra is installed in a clone: pip install '.[tune]'."""
    folders = (*(ROOT / name for name in ("mnistlab", "conf", "docs", "benchmarks", "stress")), ROOT / "README.md")
    paths = [path for folder in folders for path in (folder, *folder.rglob("*")) if path.is_file()]
    texts = {path: path.read_text() for path in paths if path.suffix in (".py", ".yaml", ".md")}
    assert [path for path, text in texts.items() if re.search(r"pip install (-\S+ )*['\"]?mnistlab\b", text)] == []
