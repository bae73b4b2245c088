"""What the shell is told when it asks how a line may go on: commands, their options, and Hydra's groups and keys."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

OPTIONS = {  # of each command, beside --help
    "train": "--multirun --fail-fast --json --quiet --verbose --cfg",
    "resume": "--failed-only --fail-fast --json --quiet",
    "rerun": "--to --json --quiet",
    "compare": "--metric --baseline --format --to --json",
    "report": "--json --quiet",
    "tune": "--trials --jobs --seeds --metric --no-prune --to --resume --json --quiet",
    "gridsearch": "--cv --metric --jobs --to --json --quiet",
    "reproduce": "--all --list --budget --seeds --to --page --json --quiet",
    "explain": "--json",
    "gradcheck": "--elements --batch --json",
    "lr-find": "--from --until --steps --to --json",
    "doctor": "--json",
    "evaluate": "--split --noise --rotate --to --json --quiet --verbose",
    "predict": "--as --invert --show --json",
    "serve": "--port",
    "export": "--format --to --json",
    "explore": "--points --split --to --json --quiet --verbose",
    "data": "--to --json",
    "completion": "",
}
ACTIONS = {"data": "list fetch show", "explore": "pca boundary"}
# Those after which a group or a key may stand; of the others all that is no option is a path, which the shell completes
COMPOSING = ("train", "tune", "gridsearch", "explain", "gradcheck", "lr-find", "data", "explore")
# What Hydra would not understand of a line: options with their values, and flags
VALUED = "points|split|to|from|until|steps|elements|batch|trials|jobs|seeds|metric|resume|cv"
FLAGS = "json|fail-fast|quiet|verbose|no-prune"
FOREIGN = re.compile(rf" (?:--(?:{VALUED})[= ]\S+|--(?:{FLAGS})|-[qvm]|--multirun)(?= )")


def main(arguments: Sequence[str]) -> int:
    """Print the script that makes bash complete commands, options, groups and keys."""
    return _hydra(["install=bash"])


def answer(arguments: Sequence[str], commands: Sequence[str]) -> int:
    """Answer the shell: ``query=bash`` prints the words for COMP_LINE, all else is Hydra's."""
    if list(arguments) != ["query=bash"]:
        return _hydra(arguments)
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    typed, current = (words[1:], "") if line.endswith(" ") else (words[1:-1], words[-1] if words else "")
    if not typed:
        return _say(" ".join(commands))
    command = typed[0]
    if current.startswith("-") and command in OPTIONS:
        return _say(f"{OPTIONS[command]} --help".strip())
    if command in ACTIONS and len(typed) == 1:
        return _say(ACTIONS[command])
    if command == "evaluate":
        if not current.startswith(("data=", "data.")):
            return 0
        line = " ".join(["mnistlab evaluate", *(word for word in typed if word.startswith("data=")), current])
    elif command not in COMPOSING:
        return 0
    if current.startswith("experiment="):
        return _experiments(current)
    line = FOREIGN.sub("", line.replace(f" {command}", "", 1))
    if command in ACTIONS:
        line = re.sub(rf" (?:{ACTIONS[command].replace(' ', '|')})(?= )", "", line, count=1)
    os.environ["COMP_LINE"] = line
    return _hydra(arguments)


def _hydra(arguments: Sequence[str]) -> int:
    import hydra

    from mnistlab.config import compose, options

    compose.register(claiming=False)
    sys.argv = ["mnistlab", "-sc", *arguments]
    hydra.main(version_base="1.3", config_path=str(options.folder()), config_name="config")(lambda cfg: None)()
    return 0


def _experiments(word: str) -> int:
    """Print the experiments that begin like this; Hydra completes none that lie in a folder."""
    from mnistlab.config import options

    names = (f"experiment={name}" for name in options.option_names("experiment"))
    return _say(" ".join(name for name in names if name.startswith(word)))


def _say(words: str) -> int:
    print(words)  # noqa: T201
    return 0
