"""``mnistlab COMMAND``: dispatch, exit statuses, one-line errors."""

from __future__ import annotations

import atexit
import codecs
import gc
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

import click

from mnistlab.cli import completion
from mnistlab.cli.group import COMMANDS, RUNNING, root
from mnistlab.cli.parameters import Choice, name_of
from mnistlab.system.errors import RequestError, RunError, did_you_mean, fail, wants_traceback
from mnistlab.system.readers import UnreadableError
from mnistlab.system.signals import DEADLY, Terminated, leave_to_the_system, unmistaken


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 success, 1 a run failed, 2 an invalid request, 129 / 130 / 143 interrupted."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # the parent process has closed it
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            _print_any_text(stream)
    gc.set_threshold(100_000, 20, 20)  # the default collects hundreds of times during the imports, 0.2 s in all
    try:
        status = dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:  # it arrived after the work was done
        status = 130
    leave_to_the_system()  # nothing is left to record, and the interpreter's shutdown must not be interrupted
    if status - 128 in DEADLY:
        # If C code that runs Python is interrupted while a module is imported, the interpreter remembers it and exits
        # as if by SIGINT, whatever status exit() is given
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # the reader may be gone
                stream.flush()
        os._exit(status)
    gc.freeze()  # spares a collection at exit
    sys.exit(status)


def _print_any_text(stream: TextIOWrapper) -> None:
    """Make a stream print any text: no class or folder name may end a run because it cannot be encoded."""
    if codecs.lookup(stream.encoding).name == "ascii":  # from the C locale, which does not describe the terminal
        stream.reconfigure(encoding="utf-8", errors=stream.errors)
    elif stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")


def dispatch(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    if not_text := next((argument for argument in arguments if not _is_text(argument)), None):
        return fail(
            "mnistlab", f"{not_text!a}: this argument is not UTF-8 text; rename the file or correct the argument"
        )
    if instruction := os.environ.get(completion.VARIABLE):
        return guarded("completion", lambda: completion.answer(root, instruction))
    if not arguments or arguments[0] == "help":
        status = guarded("", lambda: _run(["--help"]))
        return status if arguments else status or 2
    return guarded(arguments[0] if arguments[0] in COMMANDS else "", lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    """Parse the arguments and run the command; a usage error becomes a `RequestError`.

    Like click's own ``main``, which however would handle KeyboardInterrupt and a broken pipe itself.
    """
    if arguments[0] in RUNNING:
        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and exiting
    if any(word.startswith("--import") for word in arguments):
        from mnistlab.config import plugins

        arguments = plugins.arguments(arguments)
    try:
        with root.make_context("mnistlab", arguments) as context:
            return root.invoke(context) or 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.UsageError as error:
        raise RequestError(_in_our_form(error)) from None


def _in_our_form(error: click.UsageError) -> str:
    """Return click's message in our form: the option first or in lower case, with the command that prints the help."""
    if isinstance(error, click.NoSuchOption):
        parameters = error.ctx.command.get_params(error.ctx) if error.ctx else []
        names = [name[2:] for each in parameters for name in each.opts if name.startswith("--")]
        message = f"{error.option_name}: no such option{did_you_mean(error.option_name.lstrip('-'), names, '--')}"
    elif isinstance(error, click.MissingParameter) and error.param:
        is_option = isinstance(error.param, click.Option)
        message = f"missing {error.param.param_type_name} "
        message += name_of(error.param) if is_option else error.param.human_readable_name
        if isinstance(error.param.type, Choice):
            message += f"; choose one of {', '.join(error.param.type.choices)}"
    else:
        message = error.format_message().rstrip(".")
        message = message[0].lower() + message[1:]
    return f"{message}; see `{error.ctx.command_path if error.ctx else 'mnistlab'} --help`"


def _is_text(argument: str) -> bool:
    try:
        return bool(argument.encode()) or not argument
    except UnicodeEncodeError:
        return False


def guarded(command: str, work: Callable[[], int]) -> int:
    """Run ``work`` and turn every error into one line and an exit status."""
    name = f"mnistlab {command}".rstrip()
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
        return fail(name, f"out of memory ({error}); use a smaller model, or less data with data.limit", 1)
    except Exception as error:  # a bug in mnistlab
        return fail(name, f"{type(error).__name__}: {error}; HYDRA_FULL_ERROR=1 shows the traceback", 1)
