"""What Hydra and OmegaConf keep to themselves is named in one module, each name with the reason for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import mnistlab
from mnistlab.config import hydra_guard

PACKAGE = Path(mnistlab.__file__).parent
GUARD = PACKAGE / "config" / "hydra_guard.py"
OF_OTHERS = {  # private names that are not Hydra's
    "_USE_PSUTIL",  # of loky: whether it ends processes that have grown
    "_exit",  # of os, and documented
    "_run_exitfuncs",  # of atexit
    "_trial_id",  # of Optuna
}


def private_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module != "__future__" and "._" in f".{node.module}":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if "._" in f".{alias.name}")


def private_attributes(tree: ast.Module) -> set[str]:
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {name for name in names if name.startswith("_") and not name.endswith("__")}


def own_names(trees: list[ast.Module]) -> set[str]:
    """Return the names that the package itself defines, assigns or declares."""
    names: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def test_each_private_name_is_listed_with_its_reason_and_used_in_one_module() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
    guard = trees.pop(GUARD)
    own = own_names([*trees.values(), guard])
    assert {*private_imports(guard)} | (private_attributes(guard) - own) == {*hydra_guard.PRIVATE}
    assert all(hydra_guard.PRIVATE.values())
    elsewhere = {path.name: {*private_imports(tree)} for path, tree in trees.items()}
    assert {name: imports for name, imports in elsewhere.items() if imports} == {}
    assert set().union(*map(private_attributes, trees.values())) - own == OF_OTHERS
