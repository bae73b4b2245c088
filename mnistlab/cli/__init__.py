"""``mnistlab COMMAND``: dispatch, exit statuses, one-line errors. Only the command that is called is imported."""

from __future__ import annotations

import atexit
import codecs
import gc
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path

from mnistlab import __version__
from mnistlab.system import output
from mnistlab.system.errors import RequestError, RunError, did_you_mean, fail, wants_traceback
from mnistlab.system.readers import UnreadableError
from mnistlab.system.signals import DEADLY, Terminated, leave_to_the_system, unmistaken

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
  -h, --help     this page; `mnistlab train --help` lists groups, options and keys
  --version      the version

Examples:
  mnistlab train
  mnistlab train data=mnist model=mlp_1hidden model.units=75 optimizer=sgd optimizer.lr=0.9 seed=3
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 a run failed, 2 a wrong request, 129 / 130 / 143 interrupted."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed by whoever started this
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            _print_any_text(stream)
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


def _print_any_text(stream: TextIOWrapper) -> None:
    """Let no name of a class or of a folder end a run because it cannot be printed."""
    if codecs.lookup(stream.encoding).name == "ascii":  # of the locale C, which says nothing of the terminal
        stream.reconfigure(encoding="utf-8", errors=stream.errors)
    elif stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")


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
        from mnistlab.cli import completion

        return completion.answer(rest, list(COMMANDS))
    if command not in COMMANDS:
        return fail(
            "mnistlab",
            f"{command}: no such command; choose one of {', '.join(COMMANDS)}{did_you_mean(command, COMMANDS)}",
        )
    if command in output.WITHOUT_RESULT or output.FLAG not in rest:
        return guarded(command, lambda: load(command)(rest))
    words = [word for word in rest if word != output.FLAG]
    if {"-h", "--help"} & {*words}:
        return guarded(command, lambda: load(command)(words))

    def as_json() -> int:
        with output.one_document():
            return load(command)(words)

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
    except (RequestError, UnreadableError) as error:
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


def load(command: str) -> Callable[[list[str]], int]:
    """Return what runs a command, imported now: none waits for the libraries of another."""
    if command in RUNNING:
        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and exiting
    work: Callable[[list[str]], int] = import_module(f"mnistlab.cli.{command.replace('-', '_')}").main
    return work


COMMANDS = (  # each a module of this package of its name, lr-find in lr_find.py
    *("train", "resume", "rerun", "compare", "report", "tune", "gridsearch", "reproduce", "explain", "gradcheck"),
    *("lr-find", "doctor", "evaluate", "predict", "serve", "export", "explore", "data", "completion"),
)
RUNNING = ("train", "resume", "tune", "gridsearch", "reproduce")
