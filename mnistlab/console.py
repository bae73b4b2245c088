"""What a run says: to the terminal, and everything to train.log."""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mnistlab import json_output
from mnistlab.train import History

LOG = logging.getLogger("mnistlab")
SILENT = 100  # above everything: the job of a sweep speaks to its log file only
LEVELS = {"silent": SILENT, "quiet": logging.WARNING, "normal": logging.INFO, "verbose": logging.DEBUG}
RESULT = 35  # above WARNING: the result block is printed even when quiet
HINT = 36  # so is what to do after an interruption
logging.addLevelName(RESULT, "RESULT")
logging.addLevelName(HINT, "HINT")


class _Lines(logging.Handler):
    """Plain lines: results and progress on stdout, warnings and errors on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == RESULT and json_output.asked():
            return
        to = sys.stderr if logging.WARNING <= record.levelno < RESULT or record.levelno >= logging.ERROR else sys.stdout
        prefix = "warning: " if record.levelno == logging.WARNING else ""
        try:
            print(f"{prefix}{record.getMessage()}", file=to, flush=True)
        except BrokenPipeError:  # the reader, `head` perhaps, has seen enough; the run goes on, and so does its log
            LOG.removeHandler(self)
            os.dup2(os.open(os.devnull, os.O_WRONLY), to.fileno())


def start(verbosity: str, log_file: Path | None = None) -> None:
    """Send what is logged under ``mnistlab`` to the terminal at this verbosity, and all of it to ``log_file``."""
    stop()
    LOG.setLevel(logging.DEBUG)
    LOG.propagate = False
    lines = _Lines()
    lines.setLevel(LEVELS[verbosity])
    LOG.addHandler(lines)
    if log_file is not None:
        file = logging.FileHandler(log_file, encoding="utf-8")
        file.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk is found by the next file
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        LOG.addHandler(file)


def stop() -> None:
    """Close the handlers of `start`."""
    for handler in list(LOG.handlers):
        LOG.removeHandler(handler)
        handler.close()


BLOCKS = "▁▂▃▄▅▆▇█"
WIDEST = 20  # epochs of the live curve


def curve(values: Sequence[float]) -> str:
    """Return the last values as a row of blocks from the lowest to the highest; nothing where there is no curve yet."""
    kept = [value for value in values[-WIDEST:] if math.isfinite(value)]
    if len(kept) < 2:
        return ""
    low, span = min(kept), (max(kept) - min(kept)) or 1.0
    return "".join(BLOCKS[round((len(BLOCKS) - 1) * (value - low) / span)] for value in kept)


class Progress:
    """A line an epoch, and on a terminal a tqdm bar within each epoch, beside it the curve of the loss so far.

    The loss is that of the validation part, if there is one. No line and no bar has colours.
    """

    def __init__(self, epochs: int, validation: bool, verbosity: str, done: int = 0) -> None:
        self.epochs, self.validation = epochs, validation
        self.bar: Any = None
        self.live = verbosity != "quiet" and sys.stderr.isatty()
        self.shown = done
        self.losses: list[float] = []
        self.blocks = (getattr(sys.stderr, "encoding", None) or "").lower().startswith("utf")

    @property
    def on_step(self) -> Callable[[int, int, float], None] | None:
        """Return what `fit` calls after every step, or None where there is no terminal to draw on."""
        return self._step if self.live else None

    def _step(self, step: int, steps: int, loss: float) -> None:
        if self.bar is None:
            from tqdm import tqdm

            self.shown += 1
            width = len(str(self.epochs))
            drawn = f"  {curve(self.losses)}" if self.blocks and len(self.losses) > 1 else ""
            desc = f"epoch {self.shown:{width}}/{self.epochs}{drawn}"
            self.bar = tqdm(total=steps, desc=desc, unit="step", leave=False)
            self.bar.update(step - 1)
        self.bar.update(1)
        if step % 32 == 0:
            self.bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)

    def on_epoch(self, history: History) -> None:
        """Print the line of the epoch that has ended."""
        self.close()
        row = history.epochs[-1]
        self.losses = [one.val_loss if self.validation else one.train_loss for one in history.epochs]
        width = len(str(self.epochs))
        line = f"epoch {row.epoch:{width}}/{self.epochs}"
        line += f"  loss {row.train_loss:.4f}  accuracy {100 * row.train_accuracy:.2f} %"
        if self.validation:
            line += f"  validation loss {row.val_loss:.4f}  accuracy {100 * row.val_accuracy:.2f} %"
        LOG.info("%s  lr %.3g  gradient %.3g  %.2f s", line, row.lr, row.grad_norm, row.seconds)

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def result_block(metrics: dict[str, Any], run: Path) -> str:
    """Return the short result: test accuracy with its interval, the two weakest classes, the run directory."""
    test = metrics["test"]
    return "\n".join(
        (*(score_lines("test accuracy", test) if test["n"] else ("no test part",)), f"run directory        {run}")
    )


def score_lines(what: str, scores: dict[str, Any]) -> tuple[str, str]:
    """Return the accuracy of a part with its interval, and its two weakest classes."""
    low, high = scores["accuracy_interval"]
    interval = f"95 % interval {100 * low:.2f} to {100 * high:.2f}"
    images = f"{scores['n']:,} image{'' if scores['n'] == 1 else 's'}"
    weakest = sorted((row for row in scores["per_class"] if row["recall"] is not None), key=lambda row: row["f1"])[:2]
    classes = ", ".join(f"{row['class']} (F1 {row['f1']:.3f}, recall {100 * row['recall']:.1f} %)" for row in weakest)
    return (
        f"{what:20} {100 * scores['accuracy']:.2f} %  ({interval}, {images})",
        f"weakest classes      {classes}",
    )
