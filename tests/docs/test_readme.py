"""The README's commands run, its library example runs, and it names what there is."""

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
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(
    rf"^    (mnistlab (?:{'|'.join(cli.COMMANDS)})(?!:).*)$", README.replace("\\\n", ""), re.MULTILINE
)
ELSEWHERE = (  # a network, a cluster, a database, a page that waits
    *("mnistlab data fetch", "submitit_slurm", "init.address", "tracking=mlflow", "mnistlab serve"),
)
SWEEPS = {"outputs/init": ["init=random,kaiming"], "outputs/grid": ["optimizer.lr=0.01,0.1", "init=kaiming"]}


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in COMMANDS if not any(part in line for part in ELSEWHERE)])
def test_the_commands_of_the_readme(command: Callable[..., Any], line: str) -> None:
    words = shlex.split(line)[1:]
    shows = "--help" in words or "--cfg" in words
    if words[0] == "train" and not shows:
        words = [*words, "trainer.epochs=1", "report.plots=none"]
        if "trainer=early_stopping" in words:
            words.append("schedule.warmup=0.5")
        if "data=mnist" in words:
            words[words.index("data=mnist")] = "data=mnist5k"
        if any(word.startswith("experiment=ghimire/") for word in words):
            words.append("data=mnist5k")
        if "data.path=train.csv" in words:
            rows = np.random.default_rng(0).integers(0, 256, (200, 784))
            lines = [",".join(map(str, [i % 10, *row])) for i, row in enumerate(rows)]
            header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
            Path("train.csv").write_text("\n".join([header, *lines]) + "\n")
    if words[0] == "explore":  # the same on data that are there
        words = [{"data=mnist": "data=mnist5k", "data=fashion_mnist": "data=mnist5k"}.get(word, word) for word in words]
    if words[0] in ("train", "tune") and not shows and "-m" in words:
        words.append("hydra/launcher=basic")
    for place in SWEEPS.keys() & {*words} if words[0] in ("compare", "resume") else ():
        small = ["experiment=smoke", "trainer.epochs=1", "report.plots=none", "hydra/launcher=basic"]
        assert command("train", "-m", *small, *SWEEPS[place], "seed=1,2", f"hydra.sweep.dir={place}").status == 0
    if words[0] == "report":
        place = f"hydra.run.dir={words[1]}"
        assert command("train", "experiment=smoke", "trainer.epochs=1", "report.plots=none", place).status == 0
    if words[0] == "gridsearch":
        small = {"data=mnist": ["data=mnist5k", "data.test_limit=100"], "data.limit=500": ["data.limit=200"]}
        words = [*(new for word in words for new in small.get(word, [word])), "report.plots=none"]
    if "outputs/one" in words:
        small = ["experiment=smoke", "report.plots=none", "hydra.run.dir=outputs/one"]
        assert command("train", *small).status == 0
    if words[0] == "tune":
        words = [*(word if word != "8" else "3" for word in words), "experiment=smoke", "report.plots=none"]
    if words[0] == "evaluate":
        words = [*(path for word in words for path in evaluated(command, word)), "report.plots=none"]
    if words[0] == "reproduce" and "--list" not in words:
        words.append("--page")  # the runs take their time, and have tests of their own
    if words[0] == "lr-find":
        words = [*words, "data.limit=500"]
    if words[0] in ("predict", "export", "doctor"):
        words = [path for word in words for path in (pictured(word) or evaluated(command, word))]
    result = command(*words)
    assert result.status == 0, result.err
    assert result.out


def evaluated(command: Callable[..., Any], word: str) -> list[str]:
    """Make what a word of `mnistlab evaluate` names, two runs or a folder of images, and do the shell's part."""
    if word.startswith("outputs/seeds/"):
        for seed in (0, 1):
            place = f'hydra.run.dir="outputs/seeds/{seed}_seed={seed}"'
            assert command("train", "experiment=smoke", "report.plots=none", f"seed={seed}", place).status == 0
        return sorted(map(str, Path().glob(word)))
    if word == "data.path=my_digits":
        for i in range(20):
            Path(f"my_digits/{i % 10}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((40, 40), 10 * i, np.uint8)).save(f"my_digits/{i % 10}/{i}.png")
    return [word]


def pictured(word: str) -> list[str]:
    """Make the photographs that a word of `mnistlab predict` names: a stroke on paper."""
    page = np.full((120, 90), 230, np.uint8)
    page[20:100, 30:42] = 40
    if word == "my_photographs":
        Path(word).mkdir()
        Image.fromarray(page).save(f"{word}/1.png")
    elif word in ("photo.jpg", "scan.png"):
        Image.fromarray(page).save(word)
    else:
        return []
    return [word]


def test_the_library_example_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    accuracy, shape = capsys.readouterr().out.split(" ", 1)
    assert float(accuracy) > 0.8
    assert shape.strip() == "(359, 10)"


@pytest.mark.slow
def test_the_estimator_example_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    _, code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    accuracy, chosen = capsys.readouterr().out.split(" ", 1)
    assert float(accuracy) > 0.95
    assert "networkclassifier__learning_rate_init" in chosen


def test_the_network_of_the_readme_is_explained_as_it_is(command: Callable[..., Any]) -> None:
    out = command("explain", "model=cnn_simple").out
    _, table, _ = out.split("\n\n")
    assert "\n".join(f"    {line}" for line in table.splitlines()) in README


def test_the_readme_shows_every_command_group_and_option() -> None:
    shown = " ".join(COMMANDS)
    for name in cli.COMMANDS:
        assert f"mnistlab {name}" in shown
    for group in config.group_names():
        options = config.option_names(group)
        alone = [f"`{option}`" for option in options if "/" not in option]
        folders = sorted({f"`{option.partition('/')[0]}/...`" for option in options if "/" in option})
        assert f"| `{group}` | {', '.join([*alone, *folders])} |" in README


def test_the_files_of_a_run_are_those_of_the_readme() -> None:
    for name in RUN_FILES:
        assert name.split("/")[0] in README


def test_every_link_and_picture_of_the_readme_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.process
def test_every_target_of_the_makefile_is_described() -> None:
    listed = processes.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    for target in targets:
        assert f"make {target}" in listed
