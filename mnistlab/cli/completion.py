"""``mnistlab completion``: the script that makes a shell complete commands, options, groups, keys and paths."""

from __future__ import annotations

from typing import Any

import click
from click import shell_completion

from mnistlab.cli.parameters import Choice, argument, command

VARIABLE = "_MNISTLAB_COMPLETE"  # set by the script when the shell asks
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
    completes = shell_completion.get_completion_class(shell)
    assert completes is not None
    click.echo(completes(click.get_current_context().find_root().command, {}, "mnistlab", VARIABLE).source(), nl=False)
    return 0


def answer(root: click.Command, instruction: str) -> int:
    """Print what the shell asks for: ``bash_complete`` for instance; return the exit status."""
    return shell_completion.shell_complete(root, {}, "mnistlab", VARIABLE, instruction)


class Bash(shell_completion.BashComplete):
    """Bash takes an equals sign for the end of a word, and would put a space after ``optimizer.lr=``."""

    source_template = shell_completion.BashComplete.source_template.replace(
        "            COMPREPLY+=($value)\n",
        "            COMPREPLY+=($value)\n            [[ $value == *[=.] ]] && compopt -o nospace\n",
    )
    cut = ""  # what stands before the word that bash completes

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before, and the one to complete, each with its equals sign."""
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
        """Return the kind and the part of the word that bash replaces."""
        return f"{item.type},{str(item.value).removeprefix(self.cut)}"


class Zsh(shell_completion.ZshComplete):
    """Zsh would put a space after ``optimizer.lr=``, and look for files of that name."""

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
