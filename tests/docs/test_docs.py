"""The documentation: its commands and code run, its reference holds every key and option, and it builds."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from helpers import processes
from PIL import Image

from mnistlab import cli
from mnistlab.config import options
from mnistlab.config import schema as schema_
from mnistlab.config.report import Report
from mnistlab.nn.architectures import LAYERS
from mnistlab.nn.initializers import INITS
from mnistlab.nn.losses import LOSSES
from mnistlab.nn.optimizers import OPTIMIZERS
from mnistlab.nn.schedules import SCHEDULES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *("tutorial.md", "explanation/mathematics.md", "reference/configuration.md"),
    *sorted(f"how-to/{path.name}" for path in (DOCS / "how-to").iterdir()),
]
BY_HAND = {
    "configuration.md",
    "errors.md",
    "results.md",
    "run-directory.md",
}  # the other pages of docs/reference are generated
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
ELSEWHERE = (  # a cluster, a download, a page that waits, a database
    *("slurm", "launcher=ray", "/shared/", "data fetch", "mnistlab serve", "mnistlab board outputs", "tracking=mlflow"),
)
CODE = ("mnistlab/", "conf/", "tests/", "pyproject.toml")  # a page that changes these changes the program
SMALL = ["data.limit=300", "data.test_limit=100", "trainer.epochs=1", "report.plots=none"]
ALONE = ["hydra/launcher=basic"]  # the launchers have tests of their own, and starting workers costs seconds


@pytest.fixture(scope="module")
def reference() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        import reference

        yield reference


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository to work in, whose `mnistlab` and `python` are those of the shell."""
    folder = tmp_path / "clone"
    for part in ("mnistlab", "conf", "tests"):
        shutil.copytree(ROOT / part, folder / part)  # with what Python has compiled, a second per page
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "bin").mkdir()
    for name, line in (("mnistlab", f"{sys.executable} -m mnistlab"), ("python", sys.executable)):
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        (folder / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_says_can_be_done_from_top_to_bottom(
    clone: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    text = (DOCS / page).read_text()
    for word, extra in (("submitit_local", "submitit"), ("mnistlab tune", "optuna"), ("format onnx", "onnx")):
        if word in text:
            pytest.importorskip(extra)
    write_inputs(clone)
    monkeypatch.chdir(clone)
    blocks = FENCE.findall(text)
    assert blocks
    own_code = any(title.startswith(CODE) for _, title, _ in blocks)  # which this process has already loaded
    python, names = "", {}
    for kind, title, block in blocks:
        if kind == "diff":
            edit(clone / title, block)
        elif title:
            (clone / title).parent.mkdir(parents=True, exist_ok=True)
            (clone / title).write_text(block)
        elif kind == "python" and own_code:
            python += block  # a page is one program
            shell(clone, ["python", "-W", "error", "-c", python])
        elif kind == "python":
            exec(compile(block, page, "exec"), names)
        elif kind == "sh":
            for line in block.replace("\\\n", "").splitlines():
                if not any(word in line for word in ELSEWHERE):
                    line = small(line)
                    here = is_plain(line) and not own_code
                    printed = run(command, line) if here else shell(clone, ["bash", "-c", line])
                    assert printed or ">" in line or not line.startswith("mnistlab "), line


def is_plain(line: str) -> bool:
    """Return whether a line is a single command of mnistlab that needs nothing of a shell but quotes."""
    return line.startswith("mnistlab ") and not set("|;&<>$*?~`") & set(re.sub(r"'[^']*'|\"[^\"]*\"", "", line))


def run(command: Callable[..., Any], line: str) -> str:
    """Run a command in this process: starting Python and importing everything takes longer than most of them."""
    result = command(*shlex.split(line, comments=True)[1:])
    assert result.status == 0, f"{line}\n{result.out}{result.err}"
    return result.out


def edit(path: Path, diff: str) -> None:
    """Apply a diff of context and added lines: the context must stand in the file, once."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] == " ")
    text = path.read_text()
    assert {line[0] for line in lines} == {" ", "+"}
    assert text.count(before) == 1
    path.write_text(text.replace(before, "".join(line[1:] for line in lines)))


def write_inputs(folder: Path) -> None:
    """Write the files that the pages assume the reader has: photographs, images of digits, CSV files as Kaggle's."""
    paper = np.full((120, 90), 230, np.uint8)
    paper[20:100, 30:42] = 40
    for name in ("photo.jpg", "scan.png", "my_photographs/1.png", *(f"my_digits/{i % 10}/{i}.png" for i in range(20))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(paper).save(folder / name)
    shutil.copy(ROOT / "tests" / "plugin_example" / "mnistlab_example" / "__init__.py", folder / "my_layers.py")
    pixels = np.random.default_rng(0).integers(0, 256, (500, 784))
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    rows = [",".join(map(str, [i % 10, *row])) for i, row in enumerate(pixels)]
    (folder / "train.csv").write_text("\n".join([header, *rows]) + "\n")
    unlabelled = [line.partition(",")[2] for line in (header, *rows[:20])]
    (folder / "test.csv").write_text("\n".join(unlabelled) + "\n")


def small(line: str) -> str:
    """Return a command with less to do, on the bundled digits, and with all of it in one process."""
    if loop := re.fullmatch(r"(for .*; do )(mnistlab .*)(; done)", line):
        return f"{loop[1]}{small(loop[2])}{loop[3]}"
    line = re.sub(r"\bdata=(?:fashion_)?mnist(?!\S)", "data=mnist5k", line)
    if line.startswith("mnistlab gridsearch "):
        line = line.replace("[1e-4,1e-3,1e-2,1e-1,1]", "[1e-3,1e-2]").replace("[0.1,1,10]", "[1,10]")
        return f"{line.replace('--cv 5', '--cv 2')} data.limit=200 data.test_limit=100 report.plots=none --jobs 1"
    if line.startswith("mnistlab tune "):
        return f"{line.replace('--trials 8', '--trials 2')} {' '.join([*SMALL, *ALONE])} --jobs 1"
    if line.startswith("mnistlab plan "):
        return f"{line} {' '.join([*SMALL, *ALONE])}"
    if line.startswith("mnistlab claims ") and "--page" not in line:
        return f"{line.replace('--seeds 8', '--seeds 6')} {' '.join(ALONE)}"  # on fewer digits they would not hold
    if line.startswith("mnistlab explore boundary "):
        return f"{line.replace('--points 2000', '--points 200')} {SMALL[0]}"
    if line.startswith("mnistlab reproduce ") and "--list" not in line:
        return f"{line} --page"  # the runs have tests of their own
    if line.startswith("mnistlab resume "):
        return line.replace("range(12)", "range(3)").replace("--seeds 12", "--seeds 4")
    if line.startswith("mnistlab evaluate ") and "--help" not in line:
        return f"{line} report.plots=none"
    if line.startswith("mnistlab lr-find "):
        return f"{line} data.limit=500 trainer.batch_size=16"
    if not line.startswith("mnistlab train ") or "--cfg" in line or "--help" in line:
        return line
    if "experiment=smoke" in line and "-m " not in line:
        return line  # small enough, and other lines want its report
    return small_training(line)


def small_training(line: str) -> str:
    """Return a training or a sweep with fewer digits, epochs, seeds and settings."""
    line = re.sub(r"range\(\d\)", "range(2)", line)
    line = line.replace("experiment=widths", "experiment=widths seed=0,1")
    if "--until-decided" in line:  # six seeds of one pair are the fewest of which the exact test can decide anything
        line = line.replace("--until-decided", "--until-decided --looks 6").replace("random,xavier,", "random,")
    line = line.replace("schedule.warmup=1", "schedule.warmup=0.5")
    line = line.replace("experiment=ghimire/", "data=mnist5k experiment=ghimire/")
    words = [word for word in SMALL if "--halving" not in line or not word.startswith("trainer.epochs")]
    if "hydra/launcher" not in line and ("-m " in line or "widths" in line):
        words += ALONE
    return " ".join([line, *words])


def shell(folder: Path, words: list[str]) -> str:
    done = processes.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{words[-1]}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_key_of_every_schema_is_in_the_reference_with_its_meaning(reference: ModuleType) -> None:
    for group in options.group_names():
        page = reference.group_page(group)
        for option in options.option_names(group):
            assert f"| `{option}` |" in page
            schema = schema_.schema_of(group, option)
            for field in fields(schema) if schema else ():
                row = re.search(rf"^\| `{group}\.{field.name}` \|.*$", page, re.MULTILINE)
                assert row, f"{group}.{field.name}"
                kind, default, accepted, meaning = (part.strip() for part in row[0].split(" | ")[1:])
                assert kind and default and accepted
                assert reference.meaning(schema, field), f"{group}.{field.name}: its docstring does not say what it is"
                assert len(meaning) > 2
    for field in fields(Report):
        assert f"| `report.{field.name}` |" in reference.report_page()
        assert reference.meaning(Report, field), field.name


@pytest.mark.slow
def test_the_reference_is_what_the_code_says(reference: ModuleType) -> None:
    found = {f"reference/{path.name}": path.read_text() for path in (DOCS / "reference").iterdir()}
    assert {f"reference/{name}" for name in BY_HAND} <= found.keys()
    found = {path: text for path, text in found.items() if Path(path).name not in BY_HAND}
    assert found == reference.pages(), "run `python docs/reference.py`"


def test_every_schema_is_reached_by_an_option() -> None:
    for group, schemas in schema_.GROUPS.items():
        assert {schema_.schema_of(group, option) for option in options.option_names(group)} == set(schemas.values())


def test_every_layer_is_in_the_reference_with_its_settings(reference: ModuleType) -> None:
    page = reference.layers_page()
    for name, schema in LAYERS.items():
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for field in fields(schema):
            assert f"| `{field.name}` |" in section
            assert reference.meaning(schema, field), f"{name}.{field.name}"
    for name in LOSSES:
        assert f"\n## {name}\n" in page


def test_a_row_of_the_reference_word_for_word(reference: ModuleType) -> None:
    assert "| `optimizer.lr` | number | `0.1` | positive | The learning rate. |" in reference.group_page("optimizer")
    assert (
        "| `trainer.batch_size` | whole number or text | `64`; `full_batch`: `full` "
        "| a whole number of 1 or more, or `full` | The batch size."
    ) in reference.group_page("trainer")
    assert "| `init.distribution` | name | `normal`; `kaiming_uniform`: `uniform` | `normal`, `uniform` |" in (
        reference.group_page("init")
    )


@pytest.mark.slow
def test_every_command_and_launcher_is_in_the_reference(reference: ModuleType) -> None:
    page = reference.commands_page()
    for name in cli.COMMANDS:
        assert f"\n## {name}\n\n```text\nUsage: mnistlab {name} " in page
    for name in options.option_names("hydra/launcher"):
        assert f"\n## {name}\n" in reference.launcher_page()


def test_the_mathematics_name_every_class() -> None:
    page = (DOCS / "explanation" / "mathematics.md").read_text()
    for registry in (LAYERS, LOSSES, OPTIMIZERS, INITS, SCHEDULES):
        for cls in registry.values():
            assert f"`{cls.__name__}`" in page, cls.__name__


@pytest.mark.process
@pytest.mark.slow
def test_the_documentation_builds_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="needs the extra docs")
    pytest.importorskip("latex2mathml", reason="needs the extra docs")
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    shell(ROOT, line)
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text()
        fetched = re.findall(r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//|<link[^>]*rel="stylesheet"[^>]*//', text)
        assert not fetched, page
        assert "arithmatex" not in text, page
    assert "<math" in (tmp_path / "site" / "explanation" / "mathematics.html").read_text()
