"""``mnistlab COMMAND``: dispatch, exit statuses, one-line errors. Each command imports what it needs, no more."""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mnistlab import __version__, json_output
from mnistlab.errors import RequestError, RunError, did_you_mean
from mnistlab.interrupt import DEADLY, Terminated, leave_to_the_system, unmistaken

USAGE = """\
mnistlab: classic neural-network experiments on MNIST-like images, one command each

Usage: mnistlab COMMAND ...

  train [group=option ...] [key=value ...]   train one network (-m: a sweep) and write everything about it
  resume DIR [trainer.epochs=N] [...]        go on with a run, or with what a sweep has not completed
  rerun RUN [--to DIR]                       repeat a run, and say whether the same came out
  compare PATH [PATH ...]                    runs and sweeps in one table: means, intervals, and what is real
  report DIR [DIR ...] [report.plots=all]    the pictures and report.html of runs and sweeps again
  tune KEY=SPACE ... [group=option ...]      search for settings, then test the chosen ones with several seeds
  gridsearch KEY=VALUES ... [...]            cross-validate every cell of a grid, then test the best one once
  reproduce PAPER[/ROW] ... | --all          what five papers report, run again: does it agree, do the claims hold
  explain [group=option ...] [key=value ...] its layers, parameters, operations and memory
  gradcheck [group=option ...] [...]         its gradients against central differences
  lr-find [group=option ...] [...]           loss against a growing learning rate, and the rate to take
  doctor RUN                                 what went wrong in a run or is odd, and the override to try
  evaluate RUN [RUN ...] [data=NAME ...]     score saved models: alone or as an ensemble, on other or harder images
  predict RUN PICTURE [PICTURE ...]          what a saved model sees in photographs and scans of any size
  serve RUN [--port N]                       a page on this machine to draw a digit and watch the network
  export RUN --format onnx|numpy|npz|...     a saved model for other programs, or as Python that needs NumPy only
  explore pca [data=NAME ...]                principal components of the images, in numbers and pictures
  explore boundary model=NAME[,NAME] [...]   decision regions of models on the first two components
  data list                                  the datasets, and where each was found
  data fetch NAME [--to FOLDER]              download a dataset
  data show [data=NAME ...] [--to FOLDER]    provenance, class balance and a sample grid as a picture
  completion                                 a script for bash: eval "$(mnistlab completion)"

  --json         anywhere after a command: its result as one JSON object on standard output, all else on
                 standard error (not of serve and completion)
  -h, --help     this page; `mnistlab train --help` lists every group, option and key
  --version      the version

Examples:
  mnistlab train
  mnistlab train data=mnist model=mlp_1hidden model.units=75 optimizer=sgd optimizer.lr=0.9 seed=3
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 a run failed, 2 a wrong request, 129 / 130 / 143 interrupted."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed by whoever started this
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w"))  # noqa: SIM115
    gc.set_threshold(100_000, 20, 20)  # the default collects hundreds of times during the imports, 0.2 s in all
    try:
        status = dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:  # between the end of the work and this line
        status = 130
    leave_to_the_system()  # there is nothing left to write down, and Python's own way out must not be interrupted
    if status - 128 in DEADLY:
        # An interruption of C code that runs Python, while a module is imported, stays with the interpreter, which then
        # ends as if by SIGINT whatever exit() says
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # nobody may read it any more
                stream.flush()
        os._exit(status)
    gc.freeze()  # nothing is left to collect on the way out
    sys.exit(status)


def dispatch(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    if not_text := next((argument for argument in arguments if not _is_text(argument)), None):
        return fail("mnistlab", f"{not_text!a}: this argument is not UTF-8 text; rename the file, or correct it")
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"mnistlab {__version__}")  # noqa: T201
        return 0
    command, rest = arguments[0], arguments[1:]
    if command == "-sc" or command == "--shell-completion":
        from mnistlab import completion

        return completion.answer(rest, list(COMMANDS))
    if command not in COMMANDS:
        return fail(
            "mnistlab",
            f"{command}: no such command; choose one of {', '.join(COMMANDS)}{did_you_mean(command, COMMANDS)}",
        )
    if command in json_output.WITHOUT_RESULT or json_output.FLAG not in rest:
        return guarded(command, lambda: COMMANDS[command](rest))
    words = [word for word in rest if word != json_output.FLAG]
    if {"-h", "--help"} & {*words}:
        return guarded(command, lambda: COMMANDS[command](words))

    def as_json() -> int:
        with json_output.one_document():
            return COMMANDS[command](words)

    return guarded(command, as_json)


def _is_text(argument: str) -> bool:
    try:
        return bool(argument.encode()) or not argument
    except UnicodeEncodeError:
        return False


def guarded(command: str, work: Callable[[], int]) -> int:
    """Run ``work`` and turn every error into one line and an exit status."""
    name = f"mnistlab {command}"
    stopped_by = Terminated.listen()
    if wants_traceback():
        return work()
    try:
        with unmistaken():
            return work()
    except RequestError as error:
        return fail(name, str(error))
    except RunError as error:
        return fail(name, str(error), 1)
    except KeyboardInterrupt as stop:
        return fail(name, str(stop) or "interrupted", stopped_by.status)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        return fail(name, f"{error.filename or 'input/output'}: {error.strerror or error}", 1)
    except MemoryError as error:
        return fail(name, f"out of memory ({error}); take a smaller model, or less data with data.limit", 1)
    except Exception as error:  # a fault of ours
        return fail(name, f"{type(error).__name__}: {error}; HYDRA_FULL_ERROR=1 shows the traceback", 1)


def wants_traceback() -> bool:
    """Return whether the user set HYDRA_FULL_ERROR=1; the answer is kept, since `train` sets it for Hydra's sake."""
    return os.environ.setdefault("MNISTLAB_TRACEBACK", os.environ.get("HYDRA_FULL_ERROR", "0")) == "1"


def fail(name: str, message: str, status: int = 2) -> int:
    """Print one line on stderr and return the status."""
    print(f"{name}: error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    return status


def train(arguments: list[str]) -> int:
    """``mnistlab train``: compose the configuration and run it, or show it."""
    fail_fast = "--fail-fast" in arguments
    overrides = [_verbosity(argument) for argument in arguments if argument != "--fail-fast"]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and exiting

    import hydra
    from hydra._internal.hydra import Hydra

    from mnistlab import config, config_errors, files, records, run

    flags = config_errors.parse_flags(overrides)
    shows = flags.cfg or flags.help or flags.hydra_help or flags.info or flags.shell_completion
    if shows and json_output.asked():
        raise RequestError("--json: it is for results, and a configuration is shown as YAML; leave it out")
    _refuse_used_directory(flags.overrides)
    config.register(claiming=not shows)
    if not shows and (flags.multirun or _asks_for_many(flags.overrides, flags.config_dir)):
        from mnistlab.sweep import command

        return command.train(flags.overrides, flags.config_dir, fail_fast)
    if fail_fast:
        raise RequestError("--fail-fast: one run has no others to stop; it goes with -m")
    outcomes: list[run.Outcome] = []

    def task(cfg: Any) -> None:
        outcomes.append(run.task(cfg))

    sys.argv = ["mnistlab", *overrides]
    # Hydra composes everything once more only to see whether a file says hydra.mode; that is known by now
    Hydra.get_mode = lambda *_, **__: None  # type: ignore[method-assign]
    try:
        hydra.main(version_base="1.3", config_path=str(config.folder()), config_name="config")(task)()
    except BrokenPipeError:  # --help, to a reader who has seen enough
        raise
    except Exception as error:
        if wants_traceback():
            raise
        raise RequestError(config_errors.one_line(error, flags.overrides)) from None
    failed = [outcome for outcome in outcomes if outcome.status]
    for outcome in failed:
        kept = f" (what was written is kept in {outcome.directory})" if outcome.directory else ""
        fail("mnistlab train", outcome.message + kept)
    for outcome in outcomes:
        if outcome.directory and not outcome.status:
            json_output.give(records.as_json(records.read(outcome.directory), files.shown(outcome.directory)))
    return failed[0].status if failed else 0


def resume(arguments: list[str]) -> int:
    """``mnistlab resume``: a run from its checkpoint, or what a sweep has not completed."""
    os.environ["HYDRA_FULL_ERROR"] = "1"

    from mnistlab import resume_command

    return resume_command.main(arguments)


def rerun(arguments: list[str]) -> int:
    """``mnistlab rerun``: a run once more, and whether the same comes out."""
    from mnistlab import rerun_command

    return rerun_command.main(arguments)


def compare(arguments: list[str]) -> int:
    """``mnistlab compare``: runs and sweeps in one table, with a verdict on every difference."""
    from mnistlab import compare_command

    return compare_command.main(arguments)


def report(arguments: list[str]) -> int:
    """``mnistlab report``: pictures and pages again, from the saved numbers."""
    from mnistlab import report_command

    return report_command.main(arguments)


def tune(arguments: list[str]) -> int:
    """``mnistlab tune``: search for settings by the validation part, then test the chosen ones once."""
    os.environ["HYDRA_FULL_ERROR"] = "1"

    from mnistlab.tune import command

    return command.main(arguments)


def gridsearch(arguments: list[str]) -> int:
    """``mnistlab gridsearch``: cross-validate every cell of a grid, then refit the best one and test it once."""
    os.environ["HYDRA_FULL_ERROR"] = "1"

    from mnistlab.gridsearch import command

    return command.main(arguments)


def reproduce(arguments: list[str]) -> int:
    """``mnistlab reproduce``: the rows of five papers, run and held against the figures that they report."""
    os.environ["HYDRA_FULL_ERROR"] = "1"

    from mnistlab.papers import command

    return command.main(arguments)


def data(arguments: list[str]) -> int:
    """``mnistlab data list | fetch | show``."""
    from mnistlab import data_commands

    actions = data_commands.ACTIONS
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(data_commands.USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    if arguments[0] not in actions:
        raise RequestError(
            f"data {arguments[0]}: choose one of {', '.join(actions)}{did_you_mean(arguments[0], actions)}"
        )
    return actions[arguments[0]](arguments[1:])


def explain(arguments: list[str]) -> int:
    """``mnistlab explain``: the layers of a network, with parameters, operations and memory."""
    from mnistlab import model_commands

    return model_commands.explain(arguments)


def gradcheck(arguments: list[str]) -> int:
    """``mnistlab gradcheck``: backward against central differences."""
    from mnistlab import model_commands

    return model_commands.gradcheck(arguments)


def lr_find(arguments: list[str]) -> int:
    """``mnistlab lr-find``: the range test."""
    from mnistlab.lr_find import command

    return command.main(arguments)


def doctor(arguments: list[str]) -> int:
    """``mnistlab doctor``: what went wrong in a run, in words."""
    from mnistlab.doctor import command

    return command.main(arguments)


def evaluate(arguments: list[str]) -> int:
    """``mnistlab evaluate``: saved models on the data of their run or on other data, alone or as an ensemble."""
    from mnistlab import evaluate_command

    return evaluate_command.main(arguments)


def predict(arguments: list[str]) -> int:
    """``mnistlab predict``: the classes of picture files, by a saved model."""
    from mnistlab.predict import command

    return command.main(arguments)


def export(arguments: list[str]) -> int:
    """``mnistlab export``: a saved model as ONNX, as arrays, or as Python that needs NumPy only."""
    from mnistlab.export import command

    return command.main(arguments)


def serve(arguments: list[str]) -> int:
    """``mnistlab serve``: a page on this machine to draw on, and what a saved network makes of it."""
    from mnistlab.serve import command

    return command.main(arguments)


def explore(arguments: list[str]) -> int:
    """``mnistlab explore pca | boundary``: principal components, and decision regions in their plane."""
    from mnistlab.explore import command

    return command.main(arguments)


def completion(arguments: list[str]) -> int:
    """``mnistlab completion``: print the script that makes bash complete commands, options, groups and keys."""
    from mnistlab import completion

    return completion.answer(["install=bash"], list(COMMANDS))


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "train": train,
    "resume": resume,
    "rerun": rerun,
    "compare": compare,
    "report": report,
    "tune": tune,
    "gridsearch": gridsearch,
    "reproduce": reproduce,
    "explain": explain,
    "gradcheck": gradcheck,
    "lr-find": lr_find,
    "doctor": doctor,
    "evaluate": evaluate,
    "predict": predict,
    "serve": serve,
    "export": export,
    "explore": explore,
    "data": data,
    "completion": completion,
}


def _verbosity(argument: str) -> str:
    if argument in ("-q", "--quiet"):
        return "report.console=quiet"
    if argument in ("-v", "--verbose"):
        return "report.console=verbose"
    return argument


def _refuse_used_directory(arguments: Sequence[str]) -> None:
    from mnistlab import config

    for argument in arguments:
        key, _, value = argument.partition("=")
        value = value.strip("'\"")
        if key.lstrip("+") != "hydra.run.dir":
            continue
        if (Path(value) / "status.json").exists():
            raise RequestError(f"{argument}: it already holds a run; choose another directory, or remove it")
        if not Path(value).exists():  # Hydra makes it, and if the request turns out wrong it goes again
            config.CLAIMED.add(Path(value).absolute())


def _asks_for_many(overrides: Sequence[str], config_dir: str | None) -> bool:
    """Return whether an experiment's YAML, or an override, makes a sweep of this without -m."""
    if "hydra.mode=MULTIRUN" in overrides:
        return True
    names = [value for key, _, value in (text.partition("=") for text in overrides) if key.lstrip("+") == "experiment"]
    if not names:
        return False
    from mnistlab import config, config_files

    folders = [Path(config_dir)] if config_dir else []
    paths = [folder / "experiment" / f"{names[-1]}.yaml" for folder in (*folders, config.folder())]
    text = next((config_files.read(path) for path in paths if path.is_file()), "")
    return re.search(r"^\s*mode:\s*MULTIRUN", text, re.MULTILINE) is not None
