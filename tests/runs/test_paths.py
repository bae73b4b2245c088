"""The names of files: spelt in one place, and no file is left that has no name there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mnistlab
from mnistlab.runs import paths

PACKAGE = Path(mnistlab.__file__).parent
CONSTANTS = {name: value for name, value in vars(paths).items() if name.isupper()}
NAMES = {value for value in CONSTANTS.values() if isinstance(value, str)}
NAMES |= {name for pair in paths.ROBUSTNESS.values() for name in pair}
FILES = {name for name in NAMES if "." in name}
FOLDERS = NAMES - FILES  # such a word also names other things: a folder only beside a slash
MODULES = sorted(set(PACKAGE.rglob("*.py")) - {Path(paths.__file__)})


def text_of(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def spelt(tree: ast.Module) -> Iterator[str]:
    """Yield each name of a file that stands in a module as it is, not as a part of a sentence."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in FILES:
            yield f"{node.lineno}: {node.value}"
        parts: list[ast.expr] = []
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            parts = [node.right]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Path":
            parts = node.args
        yield from (f"{node.lineno}: {text_of(part)}" for part in parts if text_of(part) in FOLDERS)


def test_no_other_module_spells_a_name() -> None:
    trees = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
    assert [f"{module}:{name}" for module, tree in trees.items() for name in spelt(tree)] == []


def test_a_name_that_is_spelt_is_found() -> None:
    source = 'run / "metrics.json"; run / "plots" / "a.png"; Path("refit"); timed("plots"); f"{run}: no metrics.json"'
    assert sorted(spelt(ast.parse(source))) == ["1: metrics.json", "1: plots", "1: refit"]


def test_no_two_constants_are_the_same_name() -> None:
    assert len(NAMES) == len(CONSTANTS) - 1 + 2 * len(paths.ROBUSTNESS)


def check_only_known(directory: Path, inside: tuple[str, ...] = ()) -> set[str]:
    """Assert that every file below a directory is known; return those that are not in folders of runs inside."""
    left = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}
    left = {name for name in left if name.partition("/")[0] not in inside}
    pictures = {name for name in left if name.startswith(f"{paths.PLOTS}/")}
    png = {name.removesuffix(".png") for name in pictures if name.endswith(".png")}
    assert pictures == {f"{name}{suffix}" for name in png for suffix in (".png", ".txt")}
    assert left - pictures <= NAMES
    return left


def test_a_run_leaves_known_files_only(command: Any) -> None:
    request = ("model=lenet5", "data.limit=200", "data.test_limit=50", "trainer.epochs=1", "augment=shift")
    assert command("train", *request, "report.plots=all", "report.images=[0]", "hydra.run.dir=run").status == 0
    left = check_only_known(Path("run"))
    of_others = (paths.MEMBERS, paths.TRACKING, paths.TENSORBOARD, paths.LABELS, paths.IMPORTS)
    of_others += (paths.INDEX, paths.TRASH, paths.ORIGIN)  # of the folder of all outputs
    of_others += (paths.CONFUSION_MATRICES,)  # of runs with many classes
    of_run = list(CONSTANTS.values())
    of_run = of_run[of_run.index(paths.STATUS) : of_run.index(paths.OCCLUSION) + 1]
    expected = {name for name in of_run if name not in (*of_others, paths.HYDRA, paths.PLOTS)}
    assert {name for name in left if not name.startswith(paths.PLOTS)} == expected


def test_a_sweep_leaves_known_files_only(command: Any) -> None:
    request = ("-m", "experiment=smoke", "trainer.epochs=1", "seed=0,1", "hydra.sweep.dir=sweep")
    assert command("train", *request, "hydra/launcher=basic").status == 0
    jobs = ("0_seed=0", "1_seed=1")
    left = check_only_known(Path("sweep"), inside=jobs)
    own = {paths.SWEEP, paths.MULTIRUN, paths.SUMMARY_TABLE, paths.SUMMARY_PAGE, paths.REPORT}
    assert {name for name in left if not name.startswith(paths.PLOTS)} == own
    for job in jobs:
        check_only_known(Path("sweep", job))


def test_an_evaluation_and_a_grid_search_leave_known_files_only(command: Any) -> None:
    small = ("data.limit=200", "data.test_limit=50", "trainer.epochs=1")
    assert command("train", *small, "report.plots=none", "hydra.run.dir=run").status == 0
    options = ("--noise", "0,0.2", "--rotate", "0,30", "--to", "evaluation")
    assert command("evaluate", "run", *options).status == 0
    left = check_only_known(Path("evaluation"))
    assert {name for pair in paths.ROBUSTNESS.values() for name in pair} <= left
    assert (
        command("gridsearch", *small, "optimizer.lr=0.01,0.1", "--cv", "2", "--jobs", "1", "--to", "grid").status == 0
    )
    left = check_only_known(Path("grid"), inside=(paths.REFIT,))
    assert {paths.GRIDSEARCH, paths.FOLDS_TABLE, paths.GRID_TABLE, paths.GRIDSEARCH_PAGE} <= left
    check_only_known(Path("grid", paths.REFIT))
