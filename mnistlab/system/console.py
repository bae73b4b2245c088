"""Logging: to the terminal, and in full to train.log."""

from __future__ import annotations

import logging
import os
import sys
import textwrap
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mnistlab.system import output

if TYPE_CHECKING:
    from tqdm import tqdm

LOG = logging.getLogger("mnistlab")
SILENT = 100  # above all levels: a job of a sweep writes to its log file only
LEVELS = {"silent": SILENT, "quiet": logging.WARNING, "normal": logging.INFO, "verbose": logging.DEBUG}
RESULT = 35  # above WARNING: the result block is printed even when quiet
HINT = 36  # so is the hint after an interruption
logging.addLevelName(RESULT, "RESULT")
logging.addLevelName(HINT, "HINT")


class _Lines(logging.Handler):
    """Prints results and progress on stdout, warnings and errors on stderr.

    A record with another text on a terminal has ``on_screen``, a function of the terminal's width.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == RESULT and output.is_json():
            return
        to = sys.stderr if logging.WARNING <= record.levelno < RESULT or record.levelno >= logging.ERROR else sys.stdout
        prefix = "warning: " if record.levelno == logging.WARNING else ""
        text = record.getMessage()
        if hasattr(record, "on_screen") and is_screen(to):
            text = record.on_screen(width_of(to))
        elif record.levelno == logging.INFO and is_screen(to):
            text = wrapped(text, width_of(to))
        try:
            print(encodable(f"{prefix}{text}", to), file=to, flush=True)
        except BrokenPipeError:  # the reader, for example `head`, has closed the pipe; the run and its log continue
            LOG.removeHandler(self)
            os.dup2(os.open(os.devnull, os.O_WRONLY), to.fileno())


def start(verbosity: str, log_file: Path | None = None) -> None:
    """Send log records of ``mnistlab`` to the terminal at this verbosity, and all of them to ``log_file``."""
    stop()
    LOG.setLevel(logging.DEBUG)
    LOG.propagate = False
    lines = _Lines()
    lines.setLevel(LEVELS[verbosity])
    LOG.addHandler(lines)
    if log_file is not None:
        file = logging.FileHandler(log_file, encoding="utf-8")
        file.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk is reported by the next file
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        LOG.addHandler(file)


def stop() -> None:
    """Close the handlers of `start`."""
    for handler in list(LOG.handlers):
        LOG.removeHandler(handler)
        handler.close()


def encodable(text: str, stream: TextIO) -> str:
    """Return text with escapes for what a stream's encoding lacks: no name of a class may end a completed run.

    The command's own streams escape by themselves, those of worker processes and of Python programs do not.
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, errors="backslashreplace").decode(encoding)


def is_screen(stream: TextIO) -> bool:
    """Return whether this is a terminal on which lines can be redrawn."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width_of(stream: TextIO) -> int:
    """Return the width of a terminal, 80 if unknown."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def progress_bar(*values: Any, **options: Any) -> tqdm[Any]:
    """Return a progress bar of tqdm with these arguments."""
    return _bars()(*values, **options)


@cache
def _bars() -> type[tqdm[Any]]:
    """Return the class of progress bars, which wait for each other by a lock between threads.

    tqdm's own lock is also one between processes, about which Python complains on stderr if a worker is ended.
    """
    from tqdm import tqdm

    class Bar(tqdm):
        pass

    Bar.set_lock(threading.RLock())
    return Bar


def wrapped(text: str, width: int) -> str:
    """Return a line wrapped to ``width`` between words only: paths and commands stay whole."""
    if len(text) <= width or "\n" in text:
        return text
    return textwrap.fill(text, width, subsequent_indent=" " * 8, break_long_words=False, break_on_hyphens=False)


def best(text: str) -> str:
    """Return the text in green, or unchanged where the user wants no colours (NO_COLOR, see no-color.org)."""
    return text if os.environ.get("NO_COLOR") else f"\x1b[32m{text}\x1b[0m"


def result_block(metrics: dict[str, Any], run: Path, page: Path | None = None) -> str:
    """Return the short result: test accuracy with its interval, the weakest classes, the page, the run directory."""
    test = metrics["test"]
    lines = [*(score_lines("test accuracy", test) if test["n"] else ("no test set",))]
    lines += [f"report               {page}"] if page else []
    return "\n".join((*lines, f"run directory        {run}"))


def score_lines(what: str, scores: dict[str, Any]) -> tuple[str, str]:
    """Return the accuracy on a set with its interval, and its two weakest classes."""
    low, high = scores["accuracy_interval"]
    interval = f"95 % confidence interval {100 * low:.2f} to {100 * high:.2f}"
    images = f"{scores['n']:,} image{'' if scores['n'] == 1 else 's'}"
    weakest = sorted((row for row in scores["per_class"] if row["recall"] is not None), key=lambda row: row["f1"])[:2]
    classes = ", ".join(f"{row['class']} (F1 {row['f1']:.3f}, recall {100 * row['recall']:.1f} %)" for row in weakest)
    return (
        f"{what:20} {100 * scores['accuracy']:.2f} %  ({interval}, {images})",
        f"weakest classes      {classes}",
    )
