"""A file of overrides: its words, and errors that name its line; and those of an experiment's file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnistlab.config import compose, options, overrides_file

Command = Callable[..., Any]


def words(text: str) -> list[str]:
    Path("a.yaml").write_text(text)
    return list(overrides_file.read(Path("a.yaml")).words)


def test_mappings_and_dotted_keys_are_overrides() -> None:
    assert words("model: lenet5\nmodel.units: 3\noptimizer: {lr: 0.01, beta1: 0.8}\ntrainer:\n  epochs: 3\n") == [
        "model=lenet5", "model.units=3", "optimizer.lr=0.01", "optimizer.beta1=0.8", "trainer.epochs=3",
    ]  # fmt: skip


def test_a_list_of_options_is_a_sweep_and_other_lists_are_values() -> None:
    text = "init: [random, kaiming]\nmodel.hidden: [64, 32]\nregularization: [l2, dropout]\nseed: range(3)\n"
    assert words(text) == [
        "init=random,kaiming", "model.hidden=[64,32]", "regularization=[l2,dropout]", "seed=range(3)",
    ]  # fmt: skip


def test_a_path_of_windows_keeps_its_backslashes() -> None:
    Path("a.yaml").write_text("data: csv\ndata.path: 'C:\\my data\\a.csv'\n")
    (_, path) = overrides_file.read(Path("a.yaml")).words
    assert path == f"data.path={compose.quoted('C:' + chr(92) + 'my data' + chr(92) + 'a.csv')}"


def test_text_with_signs_is_quoted() -> None:
    assert words("note: it's fine\ndata.path: my data.csv\ntags: [a, b]\ndata.header: true\n") == [
        r"note='it\'s fine'", "data.path='my data.csv'", "tags=[a,b]", "data.header=true",
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", [("anna.yaml",), ("--config", "anna.yaml")])
def test_train_takes_a_file_and_the_command_line_overrides_it(arguments: tuple[str, ...], command: Command) -> None:
    Path("anna.yaml").write_text(
        "experiment: smoke\nmodel: mlp_1hidden\nmodel.units: 16\ntrainer: {epochs: 1}\nseed: 4\n"
    )
    result = command("train", *arguments, "seed=5", "hydra.run.dir=r", "--quiet")
    assert result.status == 0, result.err
    about = json.loads(Path("r/run.json").read_text())
    assert about["seed"] == 5
    assert about["settings"]["model.units"] == 16


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "experiment: smoke\noptimzer: {lr: 1}\n",
            "a.yaml, line 2: optimzer.lr: unknown key (did you mean optimizer.lr?)",
        ),
        ("model: mlp_1hidden\nmodel.unit: 16\n", "a.yaml, line 2: model.unit: unknown key; model=mlp_1hidden has "),
        ('trainer:\n  epochs: "two"\n', "a.yaml, line 2: trainer.epochs=two: must be a whole number"),
        ("model: lenet55\n", "a.yaml, line 1: model=lenet55: no such option; choose one of "),
        ("defaults: [a]\n", "a.yaml, line 1: defaults: this is a file of overrides; a file with Hydra's own keys "),
        ("[a, b]\n", "a.yaml"),
        ("a: [\n", "a.yaml: line 2"),
        ("", "a.yaml: the file is empty; must have keys and values, for example model: lenet5"),
    ],
)
def test_an_error_names_the_file_and_the_line(text: str, said: str, command: Command) -> None:
    Path("a.yaml").write_text(text)
    result = command("train", "a.yaml")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert result.err.startswith(f"mnistlab train: error: {said}")


def test_a_missing_file_is_suggested(command: Command) -> None:
    Path("anna.yaml").write_text("seed: 1\n")
    assert command("train", "ana.yaml").err == (
        "mnistlab train: error: ana.yaml: no such file (did you mean anna.yaml?)\n"
    )


EXPERIMENTS = {
    "nopackage": ("trainer:\n  epochs: 1\n", "its first line must be # @package _global_"),
    "twice": (
        "# @package _global_\ndefaults:\n  - /model: softmax\n",
        "model has a default; write - override /model: OPTION",
    ),
    "misspelt": ("# @package _global_\nmodel:\n  unit: 3\n", "model.unit: unknown key; model has "),
    "word": ('# @package _global_\ntrainer:\n  epochs: "two"\n', "trainer.epochs: must be a whole number"),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_error_of_an_experiment_names_its_file_and_line(name: str, command: Command) -> None:
    text, said = EXPERIMENTS[name]
    folder = Path("conf", "experiment")
    folder.mkdir(parents=True)
    if name == "nopackage":
        text = "defaults:\n  - override /model: softmax\n" + text
    (folder / f"{name}.yaml").write_text(text)
    result = command("train", "--config-dir", "conf", f"experiment={name}")
    line = {"nopackage": 1, "twice": 3, "misspelt": 3, "word": 3}[name]
    assert result.err.startswith(f"mnistlab train: error: conf/experiment/{name}.yaml, line {line}: {said}")


def test_a_teachers_experiment_is_suggested(command: Command) -> None:
    folder = Path("conf", "experiment")
    folder.mkdir(parents=True)
    (folder / "anna.yaml").write_text("# @package _global_\nseed: 1\n")
    assert "(did you mean anna?)" in command("train", "--config-dir", "conf", "experiment=anne").err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("lr=0.1", "lr: unknown key (did you mean optimizer.lr?)"),
        ("epochs=3", "epochs: unknown key (did you mean trainer.epochs?)"),
        ("--epochs=3", "--epochs: no such option; a setting is key=value (did you mean trainer.epochs=...?)"),
        ("data=MNIST", "(did you mean mnist?)"),
        ("data=Fashion-MNIST", "(did you mean fashion_mnist?)"),
        ("init=he", "(did you mean kaiming?)"),
        ("model=svm", "(did you mean svm_rbf?)"),
        ("optimizer.lr=0,01", "optimizer.lr=0,01: a comma separates values; write a decimal point, optimizer.lr=0.01"),
        ("hydra.run.dir=", "hydra.run.dir=: must be a directory of its own, for example hydra.run.dir=outputs/first"),
        ("model.hidden=[]", "model.hidden=[]: mlp_2hidden has hidden layers; model=softmax has none"),
    ],
)
def test_what_people_type_is_understood(word: str, said: str, command: Command) -> None:
    result = command("train", "experiment=smoke", word)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert said in result.err


def test_names_of_classes_are_as_written(tmp_path: Path) -> None:
    text = "data: npz\ndata.class_names: [yes, no, 01, 1.0, null, on]\n"
    (tmp_path / "a.yaml").write_text(text)
    names = ["yes", "no", "01", "1.0", "null", "on"]
    words = overrides_file.read(tmp_path / "a.yaml").words
    assert compose.compose(words).data.class_names == names
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /data: npz\ndata:\n  class_names: [yes, no, 01, 1.0, null, on]\n"
    )
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    compose.register(claiming=False)
    with initialize_config_dir(version_base="1.3", config_dir=str(options.folder())):
        words = [f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine"]
        assert hydra_compose("config", overrides=words).data.class_names == names
