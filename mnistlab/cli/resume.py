"""``mnistlab resume``: goes on with a run, or with the jobs of a sweep, after any kind of end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mnistlab.runs import record
from mnistlab.runs.resume import KEY, is_run, resume
from mnistlab.sweeps import manifest
from mnistlab.sweeps import runner as sweep
from mnistlab.system import files, output
from mnistlab.system.errors import RequestError, did_you_mean


def main(arguments: Sequence[str]) -> int:
    """Resume what the directory holds; return the exit status."""
    directories = [Path(word) for word in arguments if not word.startswith("-") and Path(word).is_dir()]
    if len(directories) != 1 or (directories[0] / manifest.NAME).exists() or not is_run(directories[0]):
        return sweep.resume(arguments)
    words = [word for word in arguments if Path(word) != directories[0]]
    return _run(directories[0].absolute(), words, arguments)


def _run(directory: Path, words: Sequence[str], arguments: Sequence[str]) -> int:
    epochs, quiet = _asked(words)
    place = files.shown(directory)
    trained = resume(directory, epochs, quiet, ("mnistlab", "resume", *arguments))
    hint = f"{place}: this run is completed; {KEY}=N, with more epochs than it had, trains it on"
    output.show(record.as_json(record.read(directory), place), "" if trained else hint)
    return 0


def _asked(words: Sequence[str]) -> tuple[int | None, bool]:
    epochs, quiet = None, False
    for word in words:
        key, equals, value = word.partition("=")
        if word in ("-q", "--quiet"):
            quiet = True
        elif key == KEY and equals:
            if not value.isdecimal() or not 1 <= len(value) <= 9 or int(value) < 1:
                raise RequestError(f"{word}: the number of epochs must be a whole number of 1 or more")
            epochs = int(value)
        elif word.startswith("-"):
            near = did_you_mean(word, ["--quiet"])
            raise RequestError(f"{word}: unknown option for a run{near}; see `mnistlab resume --help`")
        else:
            near = did_you_mean(key, [KEY]) if equals else ""
            raise RequestError(f"{word}: a run goes on as it was asked for; only {KEY}=N may be changed{near}")
    return epochs, quiet
