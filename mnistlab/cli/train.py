"""``mnistlab train``: one run, or with -m a sweep, of what Hydra composes."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra

from mnistlab.config import compose, errors, options, safe_yaml
from mnistlab.config.hydra_guard import Hydra
from mnistlab.runs import lifecycle, paths, record
from mnistlab.system import directories, files, output
from mnistlab.system.errors import RequestError, fail, wants_traceback


def main(arguments: list[str]) -> int:
    """Compose the configuration and run it, or show it; return the exit status."""
    fail_fast = "--fail-fast" in arguments
    words = compose.with_paths_quoted([_verbosity(word) for word in arguments if word != "--fail-fast"])
    overrides = compose.flags_first(words)
    flags = compose.parse_flags(overrides)
    shows = flags.cfg or flags.help or flags.hydra_help or flags.info or flags.shell_completion
    if shows and output.asked():
        raise RequestError("--json: it is for results, and a configuration is shown as YAML; leave it out")
    _refuse_used_directory(flags.overrides)
    compose.register(claiming=not shows)
    if not shows and (flags.multirun or _asks_for_many(flags.overrides, flags.config_dir)):
        from mnistlab.sweeps import runner

        return runner.train(flags.overrides, flags.config_dir, fail_fast)
    if fail_fast:
        raise RequestError("--fail-fast: one run has no others to stop; it goes with -m")
    outcomes: list[lifecycle.Outcome] = []

    def task(cfg: Any) -> None:
        outcomes.append(lifecycle.task(cfg))

    sys.argv = ["mnistlab", *overrides]
    # Hydra composes everything once more only to see whether a file says hydra.mode; that is known by now
    Hydra.get_mode = lambda *_, **__: None  # type: ignore[method-assign]
    try:
        hydra.main(version_base="1.3", config_path=str(options.folder()), config_name="config")(task)()
    except BrokenPipeError:  # --help, to a reader who has seen enough
        raise
    except Exception as error:
        if wants_traceback():
            raise
        raise RequestError(errors.one_line(error, flags.overrides)) from None
    failed = [outcome for outcome in outcomes if outcome.status]
    for outcome in failed:
        kept = f" (what was written is kept in {outcome.directory})" if outcome.directory else ""
        fail("mnistlab train", outcome.message + kept)
    for outcome in outcomes:
        if outcome.directory and not outcome.status:
            output.give(record.as_json(record.read(outcome.directory), files.shown(outcome.directory)))
    return failed[0].status if failed else 0


def _verbosity(argument: str) -> str:
    if argument in ("-q", "--quiet"):
        return "report.console=quiet"
    if argument in ("-v", "--verbose"):
        return "report.console=verbose"
    return argument


def _refuse_used_directory(arguments: Sequence[str]) -> None:
    for argument in arguments:
        key, _, value = argument.partition("=")
        value = value.strip("'\"")
        if key.lstrip("+") != "hydra.run.dir":
            continue
        if (Path(value) / paths.STATUS).exists():
            raise RequestError(f"{argument}: it already holds a run; choose another directory, or remove it")
        if not Path(value).exists():  # Hydra makes it, and if the request turns out wrong it goes again
            directories.remember(Path(value))


def _asks_for_many(overrides: Sequence[str], config_dir: str | None) -> bool:
    """Return whether an experiment's YAML, or an override, makes a sweep of this without -m."""
    if "hydra.mode=MULTIRUN" in overrides:
        return True
    names = [value for key, _, value in (text.partition("=") for text in overrides) if key.lstrip("+") == "experiment"]
    if not names:
        return False
    folders = [Path(config_dir)] if config_dir else []
    candidates = [folder / "experiment" / f"{names[-1]}.yaml" for folder in (*folders, options.folder())]
    text = next((safe_yaml.read(path) for path in candidates if path.is_file()), "")
    return re.search(r"^\s*mode:\s*MULTIRUN", text, re.MULTILINE) is not None
