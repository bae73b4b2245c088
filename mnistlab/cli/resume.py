"""``mnistlab resume``: continue a run, or the jobs of a sweep, however it ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mnistlab.cli.overrides import LAUNCHER, Overrides
from mnistlab.cli.parameters import (
    Whole,
    argument,
    command,
    command_line,
    detach_option,
    json_option,
    option,
    quiet_option,
)
from mnistlab.cli.sweep_options import SET
from mnistlab.runs import paths, record, selection
from mnistlab.runs.resume import KEY, is_run, resume
from mnistlab.sweeps import runner
from mnistlab.system import arguments, files, output
from mnistlab.system.errors import RequestError, did_you_mean


@command(
    "resume",
    no_args_is_help=True,
    examples=(
        "mnistlab resume outputs/2026-11-21/09-30-12_lenet5 trainer.epochs=20",
        "mnistlab resume outputs/multirun/2026-11-21_09-30-12 --failed-only",
        "mnistlab resume outputs/multirun/2026-11-21_09-30-12 'seed=range(12)'",
    ),
)
@argument(
    "words",
    metavar="RUN|SWEEP [trainer.epochs=N] [seed=...] [hydra/launcher=...]",
    nargs=-1,
    type=Overrides((LAUNCHER,), paths=True),
    help="RUN: a run directory; trainer.epochs=N trains it for longer. SWEEP: the directory of a sweep, such as "
    "outputs/multirun/...; seed=... or other values of a key that it sweeps add jobs, and hydra/launcher=... and "
    "hydra.launcher.key=value choose another launcher.",
)
@option("--seeds", metavar="N", type=Whole(), help="In a sweep, add seeds to every setting, up to N: seed=range(N).")
@SET
@option(
    "--failed-only",
    is_flag=True,
    help="In a sweep, resume only jobs that failed, were interrupted or were killed, and leave out jobs that never "
    "started.",
)
@option("--fail-fast", is_flag=True, help="Stop a sweep at the first job that fails.")
@detach_option
@json_option
@quiet_option
def main(
    words: tuple[str, ...],
    seeds: int | None,
    sets: tuple[str, ...],
    failed_only: bool,
    fail_fast: bool,
    detach: bool,
    quiet: bool,
) -> int:
    """Resume a run, or the unfinished jobs of a sweep.

    A run continues from its checkpoint. Its results are identical, byte for byte, to those of an uninterrupted run.
    trainer.epochs=N trains it for longer, even if it has completed, as if N had been set from the start; this is not
    possible with a schedule that depends on the number of epochs (cosine, one_cycle).

    In a sweep, unfinished jobs continue from their checkpoints, or start again if their configuration has changed, and
    the summary and report of the sweep are rewritten. If that of a completed job has changed, the command is refused.
    seed='range(12)' adds the seeds that a setting does not have yet; in the same way, other values of a key that the
    sweep varies add settings. All existing jobs are kept.
    """
    words = tuple(selection.one(word) if _selects(word) else word for word in words)
    directories = [Path(word) for word in words if arguments.is_directory(word)]
    if len(directories) != 1 or (directories[0] / paths.SWEEP).exists() or not is_run(directories[0]):
        directory, overrides, added = _sweep_and_values(words, seeds)
        return runner.resume(
            directory,
            overrides,
            added=added,
            sets=sets,
            failed_only=failed_only,
            fail_fast=fail_fast,
            quiet=quiet,
            detach=detach,
        )
    only = {"--failed-only": failed_only, "--fail-fast": fail_fast, "--seeds": seeds is not None, "--detach": detach}
    only["--set"] = bool(sets)
    for name, is_set in only.items():
        if is_set:
            raise RequestError(f"{name}: this option is for sweeps, and {files.shown(directories[0])} is a run")
    return _run(directories[0].absolute(), [word for word in words if Path(word) != directories[0]], quiet)


def _selects(word: str) -> bool:
    return selection.is_selector(word, filters=word.partition("=")[0] in selection.FACTS)


def _run(directory: Path, words: Sequence[str], quiet: bool) -> int:
    epochs = _epochs(words)
    place = files.shown(directory)
    trained = resume(directory, epochs, quiet, tuple(command_line()))
    hint = f"{place}: this run is completed; to train it longer, set {KEY}=N to more epochs than it has"
    output.show(record.as_json(record.read(directory), place), "" if trained else hint)
    return 0


def _sweep_and_values(words: Sequence[str], seeds: int | None) -> tuple[Path, list[str], list[str]]:
    """Return the directory of a sweep, the overrides of its launcher, and the values that add jobs to it."""
    launcher = ("hydra/launcher=", "hydra.launcher.", "+hydra.launcher.")
    overrides = [word for word in words if word.startswith(launcher) and "=" in word]
    added = [word for word in words if "=" in word and word not in overrides and not arguments.exists(word)]
    places = [word for word in words if word not in overrides and word not in added]
    if len(places) != 1:
        raise RequestError(f"{' '.join(places or words) or 'resume'}: must be the directory of one sweep")
    if seeds is not None:
        if any(word.partition("=")[0] == "seed" for word in added):
            raise RequestError("--seeds: conflicts with seed=...; leave out one of them")
        added.append(f"seed=range({seeds})")
    return Path(places[0]).absolute(), overrides, added


def _epochs(words: Sequence[str]) -> int | None:
    """Return the requested total number of epochs, or None."""
    epochs = None
    for word in words:
        key, equals, value = word.partition("=")
        if key != KEY or not equals:
            near = did_you_mean(key, [KEY]) if equals else ""
            raise RequestError(
                f"{word}: a run is resumed with its own configuration; only {KEY}=N may be changed{near}"
            )
        if not value.isdecimal() or not 1 <= len(value) <= 9 or int(value) < 1:
            raise RequestError(f"{word}: the number of epochs must be a whole number of 1 or more")
        epochs = int(value)
    return epochs
