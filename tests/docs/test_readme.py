"""The README's commands run, and the pages that it leads to name what there is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import processes
from helpers.runs import RUN_FILES
from PIL import Image

from mnistlab import cli
from mnistlab.config import options as config

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """Return the commands of mnistlab in the blocks of shell commands of a page."""
    lines = [line for block in FENCE.findall(text) for line in block.replace("\\\n", "").splitlines()]
    return [line for line in lines if line.startswith("mnistlab ")]


@pytest.mark.slow
@pytest.mark.parametrize("line", commands(README))
def test_the_commands_of_the_readme(command: Callable[..., Any], line: str) -> None:
    words = shlex.split(line)[1:]
    small = ["experiment=smoke", "trainer.epochs=1", "report.plots=none"]
    if words[0] == "train":
        words = [*words, "trainer.epochs=1", "report.plots=none"]
        if "-m" in words:
            words.append("hydra/launcher=basic")
    if words[0] == "runs" or "tag=week3" in words:
        assert command("train", *small, "tags=[week3]").status == 0
    elif words[0] == "compare":
        sweep = ["init=random,kaiming", "seed=1,2", "hydra/launcher=basic", f"hydra.sweep.dir={words[1]}"]
        assert command("train", "-m", *small, *sweep).status == 0
    if words[0] == "predict":
        assert command("train", *small, f"hydra.run.dir={words[1]}").status == 0
        paper = np.full((120, 90), 230, np.uint8)
        paper[20:100, 30:42] = 40
        for name in words[2:]:
            Image.fromarray(paper).save(name)
    result = command(*words)
    assert result.status == 0, result.err
    assert result.out


def test_the_readme_is_short_and_names_the_two_targets_to_start_with() -> None:
    assert len(README) <= 7000
    assert [command.partition("#")[0].strip() for command in FENCE.findall(README)[0].splitlines()] == [
        "make train",
        "make test",
    ]


def test_the_library_example(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = python_blocks("how-to/library.md")
    exec(compile(code, "library.md", "exec"), {})
    accuracy, shape = capsys.readouterr().out.split(" ", 1)
    assert float(accuracy) > 0.8
    assert shape.strip() == "(359, 10)"


@pytest.mark.slow
def test_the_estimator_example(capsys: pytest.CaptureFixture[str]) -> None:
    _, code = python_blocks("how-to/library.md")
    exec(compile(code, "library.md", "exec"), {})
    accuracy, chosen = capsys.readouterr().out.split(" ", 1)
    assert float(accuracy) > 0.95
    assert "networkclassifier__learning_rate_init" in chosen


def python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_the_table_of_a_network_is_what_explain_prints(command: Callable[..., Any]) -> None:
    out = command("explain", "model=cnn_simple").out
    _, table, _ = out.split("\n\n")
    page = (DOCS / "how-to" / "inspect-network.md").read_text()
    assert "\n".join(f"    {line}" for line in table.splitlines()) in page


def test_the_pages_show_every_command_group_and_option() -> None:
    pages = [*(DOCS / "how-to").iterdir(), DOCS / "tutorial.md"]
    shown = " ".join(block for page in pages for block in FENCE.findall(page.read_text()))
    for name in cli.COMMANDS:
        assert f"mnistlab {name}" in shown
    page = (DOCS / "reference" / "configuration.md").read_text()
    for group in config.group_names():
        options = config.option_names(group)
        alone = [f"`{option}`" for option in options if "/" not in option]
        folders = sorted({f"`{option.partition('/')[0]}/...`" for option in options if "/" in option})
        assert f"| [`{group}`]({group}.md) | {', '.join([*alone, *folders])} |" in page


def test_the_files_of_a_run_are_those_of_the_reference() -> None:
    page = (DOCS / "reference" / "run-directory.md").read_text()
    for name in RUN_FILES:
        assert name.split("/")[0] in page


def test_every_link_and_picture_of_the_readme_is_there() -> None:
    for page in (README, (ROOT / "CONTRIBUTING.md").read_text()):
        for target in re.findall(r"\]\((?!http)([^)#]+)[^)]*\)", page):
            assert (ROOT / target).exists(), target


@pytest.mark.process
def test_every_target_of_the_makefile_is_described() -> None:
    listed = processes.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    for target in targets:
        assert f"make {target}" in listed
