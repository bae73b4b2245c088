"""``mnistlab completion``: the script that makes a shell complete commands, options, groups, keys and paths."""

from __future__ import annotations

from typing import Any

import click
from click import shell_completion

from mnistlab.cli.parameters import Choice, argument, command

VARIABLE = "_MNISTLAB_COMPLETE"  # set by the script when the shell requests completions
SHELLS = ("bash", "zsh", "fish")


@command(
    "completion",
    examples=(
        'eval "$(mnistlab completion)"',
        'eval "$(mnistlab completion zsh)"',
        "mnistlab completion fish | source",
    ),
)
@argument("shell", metavar="[SHELL]", type=Choice(SHELLS), default="bash", help="bash (the default), zsh or fish.")
def main(shell: str) -> int:
    """Print the shell completion script.

    Completes commands, options, and Hydra's groups, options and keys. For bash (4.4 or later) and zsh evaluate
    it in ~/.bashrc or ~/.zshrc (in zsh after compinit), for fish in ~/.config/fish/config.fish.
    """
    completion_class = shell_completion.get_completion_class(shell)
    assert completion_class is not None
    click.echo(
        completion_class(click.get_current_context().find_root().command, {}, "mnistlab", VARIABLE).source(), nl=False
    )
    return 0


def answer(root: click.Command, instruction: str) -> int:
    """Print what the shell requests, for example ``bash_complete``; return the exit status."""
    return shell_completion.shell_complete(root, {}, "mnistlab", VARIABLE, instruction)


class Bash(shell_completion.BashComplete):
    """Completion for bash, which ends a word at an equals sign and would put a space after ``optimizer.lr=``."""

    source_template = shell_completion.BashComplete.source_template.replace(
        "            COMPREPLY+=($value)\n",
        "            COMPREPLY+=($value)\n            [[ $value == *[=.] ]] && compopt -o nospace\n",
    )
    cut = ""  # the part before the word that bash completes

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the preceding words and the one to complete, with words that bash split at an equals sign joined."""
        words, incomplete = super().get_completion_args()
        joined: list[str] = []
        for word in [*words, incomplete]:
            if joined and (word == "=" or joined[-1].endswith("=")):
                joined[-1] += word
            else:
                joined.append(word)
        *words, whole = joined
        self.cut = whole.rpartition("=")[0] + "=" if "=" in whole else ""
        return words, whole

    def format_completion(self, item: shell_completion.CompletionItem[Any]) -> str:
        """Return the type of the completion and the part of it that bash inserts."""
        return f"{item.type},{str(item.value).removeprefix(self.cut)}"


class Zsh(shell_completion.ZshComplete):
    """Completion for zsh, which would put a space after ``optimizer.lr=`` and look for files of that name."""

    source_template = (
        shell_completion.ZshComplete.source_template.replace(
            '                completions+=("$key")\n',
            '                if [[ "$key" == *[=.] ]]; then\n'
            '                    compadd -U -S "" -- "$key"\n'
            "                else\n"
            '                    completions+=("$key")\n'
            "                fi\n",
        )
        .replace("            _path_files -/\n", "            compset -P '*='; _path_files -/\n")
        .replace("            _path_files -f\n", "            compset -P '*='; _path_files -f\n")
    )


shell_completion.add_completion_class(Bash, "bash")
shell_completion.add_completion_class(Zsh, "zsh")
