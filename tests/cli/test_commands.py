"""The commands as click knows them: help with an example that parses, options with a help text, hints, start-up."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest
from click.testing import CliRunner
from helpers import processes

from mnistlab import cli
from mnistlab.cli.group import SECTIONS, root
from mnistlab.cli.parameters import Command as Declared
from mnistlab.system import output

Command = Callable[..., Any]


def declared(name: str) -> Declared:
    found = root.get_command(click.Context(root), name)
    assert isinstance(found, Declared)
    return found


def options(name: str) -> list[click.Option]:
    context = click.Context(declared(name), **declared(name).context_settings)
    every = (each for each in declared(name).get_params(context) if isinstance(each, click.Option))
    return [each for each in every if not each.hidden]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_exits_with_0_and_names_every_option_argument_and_example(command: Command, name: str) -> None:
    result = command(name, "--help")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith(f"Usage: mnistlab {name} ")
    words = {*re.findall(r"(?<![\w`])--?[a-z-]+", result.out)}
    assert {spelling for each in options(name) for spelling in each.opts} <= words
    for example in declared(name).examples:
        assert f"\n  {example}\n" in result.out
    for each in declared(name).params:
        assert not isinstance(each, click.Argument) or each.human_readable_name in " ".join(result.out.split())


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_and_argument_has_a_help_text(name: str) -> None:
    for each in declared(name).params:
        assert getattr(each, "hidden", False) or getattr(each, "help", None), each.name


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_examples_parse(name: str) -> None:
    assert declared(name).examples
    for example in declared(name).examples:
        line = example.removeprefix('eval "$(').removesuffix(')"').removesuffix(" | source")
        program, command, *words = shlex.split(line)
        assert (program, command) == ("mnistlab", name)
        with declared(name).make_context(name, words):
            pass


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_summary_of_a_command_is_the_first_sentence_of_its_help(name: str) -> None:
    (summary,) = (commands[name] for commands in SECTIONS.values() if name in commands)
    assert (declared(name).help or "").splitlines()[0] == summary


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_an_unknown_option_gives_a_hint_and_where_the_help_is(command: Command, name: str) -> None:
    known = next(
        spelling for each in options(name) for spelling in each.opts if spelling[:2] == "--" and len(spelling) > 5
    )
    result = command(name, f"{known[:-2]}{known[-1]}", "x")
    assert (result.status, result.out) == (2, "")
    assert result.err == (
        f"mnistlab {name}: error: {known[:-2]}{known[-1]}: no such option (did you mean {known}?); "
        f"see `mnistlab {name} --help`\n"
    )


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_json_and_help_are_options_of_every_command(name: str) -> None:
    spellings = {spelling for each in options(name) for spelling in each.opts}
    assert {"-h", "--help"} <= spellings
    assert (output.FLAG in spellings) == (name not in output.WITHOUT_RESULT)


def test_click_runs_the_group_as_any_other(command: Command) -> None:
    result = CliRunner().invoke(root, ["doctor", "--help"], prog_name="mnistlab")
    assert result.exit_code == 0
    assert result.output.split() == command("doctor", "--help").out.split()  # lines are as wide as the terminal


def test_flags_of_hydra_are_those_of_its_parser() -> None:
    from hydra._internal.utils import get_args_parser

    ours = {spelling for each in declared("train").params for spelling in each.opts}
    assert {spelling for action in get_args_parser()._actions for spelling in action.option_strings} <= ours


def test_a_command_that_ends_in_words_after_two_dashes_takes_them_as_they_are(command: Command) -> None:
    assert command("doctor", "--", "--json").err.startswith("mnistlab doctor: error: --json")


@pytest.mark.process
def test_help_imports_neither_hydra_nor_numpy() -> None:
    code = (
        "import sys; from mnistlab import cli; cli.dispatch(['--help']); assert not {'hydra', 'numpy'} & {*sys.modules}"
    )
    processes.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.process
@pytest.mark.parametrize("words", ["mnistlab tr", "mnistlab train opt", "mnistlab train model=le"])
def test_completion_of_commands_groups_and_options_imports_neither(words: str) -> None:
    code = (
        "import sys; from mnistlab import cli; status = cli.dispatch([]);"
        "assert not status and not {'hydra', 'numpy'} & {*sys.modules}"
    )
    asked = {"_MNISTLAB_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = processes.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip()
