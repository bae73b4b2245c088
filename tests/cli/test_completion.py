"""Completion: what each shell is told of commands, actions, options, groups, keys, values and paths; real shells."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import processes

from mnistlab import cli
from mnistlab.config import options as config

Command = Callable[..., Any]
EMNIST = [f"emnist_{split}" for split in ("balanced", "digits", "letters", "byclass", "bymerge", "mnist")]
LINES = [  # as a shell has them that leaves the equals sign in its word
    ("mnistlab ", list(cli.COMMANDS)),
    ("mnistlab data ", ["list", "fetch", "show", "convert", "audit"]),
    ("mnistlab data fetch em", EMNIST),
    ("mnistlab data list ", []),
    ("mnistlab train model=", [f"model={name}" for name in config.option_names("model")]),
    (
        "mnistlab train experiment=ghimire/k",
        [f"experiment=ghimire/{name}" for name in ("kaiming_42k", "kaiming_l2_60k")],
    ),
    ("mnistlab train experiment=best", ["experiment=best_cnn", "experiment=best_ensemble", "experiment=best_mlp"]),
    ("mnistlab train optimizer=ad", ["optimizer=adagrad", "optimizer=adam", "optimizer=adamw"]),
    ("mnistlab train -m init=random,ka", ["init=random,kaiming", "init=random,kaiming_uniform"]),
    ("mnistlab train regularization=[l2,d", ["regularization=[l2,dropout"]),
    ("mnistlab train opt", ["optimizer.", "optimizer="]),
    ("mnistlab train optimizer.b", ["optimizer.beta1=", "optimizer.beta2="]),
    ("mnistlab train optimizer=sgd optimizer.", ["optimizer.lr="]),
    ("mnistlab train trainer.select=", [f"trainer.select={name}" for name in ("auto", "best", "last")]),
    ("mnistlab train trainer.shuffle=f", ["trainer.shuffle=false"]),
    ("mnistlab train +optimizer=sg", ["+optimizer=sgd"]),
    ("mnistlab train hydra/launcher=b", ["hydra/launcher=basic"]),
    ("mnistlab train seed=1 init=ka", ["init=kaiming", "init=kaiming_uniform"]),
    ("mnistlab train --c", ["--config", "--cfg", "--config-dir"]),
    ("mnistlab train --cfg ", ["job", "hydra", "all"]),
    ("mnistlab data show data=mn", ["data=mnist", "data=mnist5k"]),
    ("mnistlab evaluate outputs/a --no", ["--noise"]),
    ("mnistlab evaluate outputs/a --split v", ["validation"]),
    ("mnistlab evaluate outputs/a data=mn", ["data=mnist", "data=mnist5k"]),
    ("mnistlab evaluate outputs/a data=folder data.si", ["data.size="]),
    ("mnistlab evaluate outputs/a optimizer.l", ["optimizer.l"]),  # a path
    ("mnistlab predict outputs/a --s", ["--show"]),
    ("mnistlab predict outputs/a --as ", ["auto", "digit", "object", "raw"]),
    ("mnistlab serve outputs/a --", ["--port", "--help"]),
    ("mnistlab export outputs/a --", ["--format", "--input", "--layout", "--output", "--to", "--json", "--help"]),
    ("mnistlab export outputs/a --format n", ["numpy", "npz"]),
    ("mnistlab doctor outputs/a --", ["--json", "--help"]),
    ("mnistlab lr-find --steps 50 --until=1 optimizer.b", ["optimizer.beta1=", "optimizer.beta2="]),
    ("mnistlab explore ", ["pca", "boundary"]),
    ("mnistlab explore pca data=mn", ["data=mnist", "data=mnist5k"]),
    ("mnistlab explore boundary model=knn --p", ["--points"]),
    ("mnistlab tune --trials 3 --json init=ka", ["init=kaiming", "init=kaiming_uniform"]),
    ("mnistlab gridsearch --cv=3 -q init=ka", ["init=kaiming", "init=kaiming_uniform"]),
    (
        "mnistlab compare outputs/a --",
        [
            *("--metric", "--baseline", "--margin", "--factor", "--best-over", "--where", "--by"),
            *("--format", "--json", "--to", "--help"),
        ],
    ),
    ("mnistlab compare outputs/a --format ", ["table", "csv", "markdown", "latex", "json"]),
    ("mnistlab completion ", ["bash", "zsh", "fish"]),
]


@pytest.fixture
def ask(command: Command, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, str]]]:
    """``ask("zsh", words)`` returns the kinds and words that the shell is told; the last word is incomplete."""

    def run(shell: str, words: list[str]) -> list[tuple[str, str]]:
        monkeypatch.setenv("_MNISTLAB_COMPLETE", f"{shell}_complete")
        monkeypatch.setenv("COMP_WORDS", "\n".join(words))
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1) if shell != "fish" else words[-1])
        result = command()
        assert (result.status, result.err) == (0, "")
        lines = [line for line in result.out.splitlines() if line]
        if shell == "zsh":
            return list(zip(lines[::3], lines[1::3], strict=False))
        return [(line.partition(",")[0], line.partition(",")[2].partition("\t")[0]) for line in lines]

    return run


@pytest.mark.parametrize(("line", "words"), LINES)
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_what_a_line_may_become(ask: Callable[..., Any], shell: str, line: str, words: list[str]) -> None:
    assert [word for _, word in ask(shell, line.split(" "))] == words


@pytest.mark.parametrize(
    ("words", "answer"),
    [  # bash cuts at the equals sign, and replaces only what is behind it
        ("mnistlab train optimizer = ad", ["adagrad", "adam", "adamw"]),
        ("mnistlab train experiment = ghimire/k", ["ghimire/kaiming_42k", "ghimire/kaiming_l2_60k"]),
        ("mnistlab train seed = 1 init = ka", ["kaiming", "kaiming_uniform"]),
        ("mnistlab train -m init = random,ka", ["random,kaiming", "random,kaiming_uniform"]),
        ("mnistlab train data = folder data.si", ["data.size="]),
        ("mnistlab train trainer.select =", ["auto", "best", "last"]),
        ("mnistlab compare a --format = c", ["csv"]),
        ("mnistlab tr", ["train"]),
    ],
)
def test_bash_cuts_words_at_the_equals_sign(ask: Callable[..., Any], words: str, answer: list[str]) -> None:
    assert [word for _, word in ask("bash", words.split(" "))] == answer


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("mnistlab predict outputs/a pict", "file"),
        ("mnistlab doctor out", "file"),
        ("mnistlab resume out", "file"),
        ("mnistlab evaluate out", "file"),
        ("mnistlab train data.path=x", "file"),
        ("mnistlab train hydra.run.dir=x", "file"),
        ("mnistlab compare out", "dir"),
        ("mnistlab compare out --to x", "dir"),
        ("mnistlab train --config-dir x", "dir"),
    ],
)
def test_paths_are_left_to_the_shell(ask: Callable[..., Any], line: str, kind: str) -> None:
    words = line.split(" ")
    assert ask("zsh", words) == [(kind, words[-1])]


def test_every_option_of_every_command_is_completed(ask: Callable[..., Any]) -> None:
    import click

    from mnistlab.cli.group import root

    for name in cli.COMMANDS:
        declared = root.get_command(click.Context(root), name)
        assert declared is not None
        context = click.Context(declared, **declared.context_settings)
        options = [each for each in declared.get_params(context) if isinstance(each, click.Option)]
        spelt = {spelling for each in options if not each.hidden for spelling in each.opts if spelling[:2] == "--"}
        assert {word for _, word in ask("fish", ["mnistlab", name, "--"])} == spelt, name


@pytest.mark.process
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_of_the_shell(command: Command, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    script = command("completion", shell).out
    assert "_MNISTLAB_COMPLETE" in script
    processes.run([shell, "-n"], input=script, text=True, check=True)


def test_bash_is_the_shell_if_none_is_named(command: Command) -> None:
    assert command("completion").out == command("completion", "bash").out
    assert command("completion", "bsh").err == (
        "mnistlab completion: error: bsh: choose one of bash, zsh, fish (did you mean bash?)\n"
    )


def test_a_key_or_group_has_no_space_behind_it(command: Command) -> None:
    assert "compopt -o nospace" in command("completion").out
    assert 'compadd -U -S ""' in command("completion", "zsh").out


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnistlab").write_text(f'#!/bin/sh\nexec {sys.executable} -m mnistlab "$@"\n')
    (tmp_path / "mnistlab").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.process
def test_bash_completes_words_of_a_line(program: None) -> None:
    ask = """
        eval "$(mnistlab completion)"
        compopt() { :; }
        for line in "mnistlab tr" "mnistlab compare --js" "mnistlab train --json model = lenet5"; do
            COMP_WORDS=($line) COMP_CWORD=$(($(wc -w <<< "$line") - 1)) COMPREPLY=()
            _mnistlab_completion mnistlab
            echo "${COMPREPLY[@]}"
        done
    """
    done = processes.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["train", "--json", "lenet5"]


@pytest.mark.process
@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_completes_words_of_a_line(program: None) -> None:
    ask = 'mnistlab completion fish | source; complete -C "mnistlab train optimizer=adag"; complete -C "mnistlab tra"'
    done = processes.run(["fish", "--no-config", "-c", ask], capture_output=True, text=True, check=True)
    assert [line.partition("\t")[0] for line in done.stdout.splitlines()] == ["optimizer=adagrad", "train"]
