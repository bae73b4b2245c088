"""``mnistlab resume``: goes on with a run, or with the jobs of a sweep, after any kind of end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mnistlab.runs import paths, record
from mnistlab.runs.resume import KEY, is_run, resume
from mnistlab.sweeps import runner as sweep
from mnistlab.system import files, output
from mnistlab.system.errors import RequestError, did_you_mean

USAGE = """\
Usage: mnistlab resume RUN [trainer.epochs=N] [--quiet]
       mnistlab resume SWEEP [--failed-only] [--fail-fast] [hydra/launcher=...] [hydra.launcher.key=value ...]

  A run goes on from its checkpoint, to the very bytes it would have come to by itself. trainer.epochs=N trains it
  longer, also when it is completed, as if it had been asked for so many from the start; with a schedule that spreads
  the learning rate over all epochs (cosine, one_cycle) that cannot be, and is refused.

  Of a sweep, outputs/multirun/..., the jobs run that are not completed, from their checkpoints, and those whose
  configuration would no longer be the same, from the start; then the table is written again.

  --failed-only    only jobs that failed, or were interrupted or killed; not those that have not begun
  --fail-fast      stop at the first job that fails
  --json           one JSON object instead: of a run its metrics, of a sweep its jobs and their comparison
  -q, --quiet      print the result only
"""


def main(arguments: Sequence[str]) -> int:
    """Resume what the directory holds; return the exit status."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    directories = [Path(word) for word in arguments if not word.startswith("-") and Path(word).is_dir()]
    if len(directories) != 1 or (directories[0] / paths.SWEEP).exists() or not is_run(directories[0]):
        return _sweep(arguments)
    words = [word for word in arguments if Path(word) != directories[0]]
    return _run(directories[0].absolute(), words, arguments)


def _run(directory: Path, words: Sequence[str], arguments: Sequence[str]) -> int:
    epochs, quiet = _asked(words)
    place = files.shown(directory)
    trained = resume(directory, epochs, quiet, ("mnistlab", "resume", *arguments))
    hint = f"{place}: this run is completed; {KEY}=N, with more epochs than it had, trains it on"
    output.show(record.as_json(record.read(directory), place), "" if trained else hint)
    return 0


def _sweep(arguments: Sequence[str]) -> int:
    directory, options, overrides = _parse(arguments)
    return sweep.resume(
        directory,
        overrides,
        failed_only="--failed-only" in options,
        fail_fast="--fail-fast" in options,
        quiet="--quiet" in options,
    )


def _parse(arguments: Sequence[str]) -> tuple[Path, set[str], list[str]]:
    flags = ("--failed-only", "--fail-fast", "--quiet")
    words = ["--quiet" if argument == "-q" else argument for argument in arguments]
    options = {word for word in words if word.startswith("-")}
    for word in options - {*flags}:
        raise RequestError(f"{word}: unknown option{did_you_mean(word, flags)}; see `mnistlab resume --help`")
    launcher = ("hydra/launcher=", "hydra.launcher.", "+hydra.launcher.")
    overrides = [word for word in words if word.startswith(launcher) and "=" in word]
    places = [word for word in words if word not in options and word not in overrides]
    for word in places:
        if "=" in word and not Path(word).exists():
            raise RequestError(
                f"{word}: a sweep is resumed as it was asked for; only hydra/launcher=... may be changed"
            )
    if len(places) != 1:
        raise RequestError(f"{' '.join(places) or 'resume'}: the directory of one sweep was expected")
    return Path(places[0]).absolute(), options, overrides


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
