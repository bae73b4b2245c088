"""Progress of training: one line per epoch, or on a terminal a table with a progress bar and the loss curve."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from mnistlab.system.console import LOG, best, is_screen, progress_bar, width_of
from mnistlab.training.loop import Epoch, History

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.-:=+*#"  # if the terminal's encoding has no blocks
WIDEST = 20  # epochs in the curve
NARROW = 60  # columns; a narrower terminal has a shorter progress line
DROPPED = ("accuracy", "lr", "val loss", "seconds")  # columns to leave out of a table that is too wide, in this order
WIDE_BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
NARROW_BAR = "{desc} {percentage:3.0f}%|{bar}|"


def _is_notebook() -> bool:
    """Return whether this is a notebook that can show tqdm's bars."""
    return "ipykernel" in sys.modules and find_spec("ipywidgets") is not None


def curve(values: Sequence[float], signs: str = BLOCKS, most: int = WIDEST) -> str:
    """Return the last values as a row of blocks from the lowest to the highest; empty for fewer than two values."""
    kept = [value for value in values[-most:] if math.isfinite(value)]
    if len(kept) < 2:
        return ""
    low, span = min(kept), (max(kept) - min(kept)) or 1.0
    return "".join(signs[round((len(signs) - 1) * (value - low) / span)] for value in kept)


def columns(row: Epoch, epochs: int, validation: bool) -> dict[str, str]:
    """Return the cells of an epoch's row in the table by heading, each with the width of its column."""
    cells = {
        "epoch": f"{row.epoch}/{epochs}".rjust(2 * len(str(epochs)) + 1),
        "loss": _number(row.train_loss).rjust(8),
        "accuracy": f"{100 * row.train_accuracy:.2f} %",
        "val loss": _number(row.val_loss).rjust(8),
        "val accuracy": f"{100 * row.val_accuracy:.2f} %",
        "lr": f"{row.lr:.3g}".rjust(8),
        "seconds": f"{row.seconds:.2f}",
    }
    return {name: cell.rjust(len(name)) for name, cell in cells.items() if validation or not name.startswith("val ")}


def _number(loss: float) -> str:
    return f"{loss:.4f}" if abs(loss) < 1000 else f"{loss:.2e}"


def table(history: History, epochs: int, validation: bool, width: int, first: bool) -> str:
    """Return the row of the last epoch, at most ``width`` wide, with the headings if it is the ``first``.

    If the epoch is the best so far, its validation accuracy is marked.
    """
    row = history.epochs[-1]
    cells = columns(row, epochs, validation)
    for name in DROPPED:
        if len("  ".join(cells.values())) > width and len(cells) > 1:
            cells.pop(name, None)
    headings = "  ".join(name.rjust(len(cell)) for name, cell in cells.items())
    if history.best_epoch == row.epoch and "val accuracy" in cells:
        cells["val accuracy"] = best(cells["val accuracy"])
    line = "  ".join(cells.values())
    return f"{headings}\n{line}" if first else line


class Progress:
    """One line per epoch; on a terminal one table row, and during each epoch a tqdm bar with the loss curve.

    The curve is that of the validation loss if there is a validation set.
    """

    def __init__(self, epochs: int, validation: bool, verbosity: str, done: int = 0) -> None:
        self.epochs, self.validation = epochs, validation
        self.bar: Any = None
        self.drawn = False
        self.in_notebook = _is_notebook()
        self.live = verbosity != "quiet" and (self.in_notebook or is_screen(sys.stderr))
        self.shown = self.done = done
        self.losses: list[float] = []
        self.signs = BLOCKS if (getattr(sys.stderr, "encoding", None) or "").lower().startswith("utf") else ASCII

    @property
    def on_step(self) -> Callable[[int, int, float], None] | None:
        """Return the function that `fit` calls after every step, or None without a terminal to draw on."""
        return self._step if self.live else None

    def _step(self, step: int, steps: int, loss: float) -> None:
        if self.bar is None:
            self.bar = self._new_bar(steps)
            self.bar.update(step - 1)
        self.bar.update(1)  # draws at most ten times a second
        if step % 32 == 0:
            self.bar.set_postfix_str(f"loss {_number(loss)}", refresh=False)

    def _new_bar(self, steps: int) -> Any:
        self.shown += 1
        if self.in_notebook:
            from tqdm.auto import tqdm as notebook_bar

            return notebook_bar(total=steps, desc=f"epoch {self.shown}/{self.epochs}", leave=False)
        self.drawn = True
        width = width_of(sys.stderr) - 1  # a full line would wrap on some terminals
        narrow = width < NARROW
        blocks = curve(self.losses, self.signs, WIDEST // 3 if narrow else WIDEST)
        desc = f"epoch {self.shown:{len(str(self.epochs))}}/{self.epochs}{'  ' if blocks else ''}{blocks}"
        form = NARROW_BAR if narrow else WIDE_BAR
        return progress_bar(total=steps, desc=desc, leave=False, ncols=width, bar_format=form)

    def on_epoch(self, history: History) -> None:
        """Log the results of the epoch that has ended."""
        self.close()
        row = history.epochs[-1]
        self.losses = [epoch.val_loss if self.validation else epoch.train_loss for epoch in history.epochs]
        width = len(str(self.epochs))
        line = f"epoch {row.epoch:{width}}/{self.epochs}"
        line += f"  loss {row.train_loss:.4f}  accuracy {100 * row.train_accuracy:.2f} %"
        if self.validation:
            line += f"  validation loss {row.val_loss:.4f}  accuracy {100 * row.val_accuracy:.2f} %"
        first = row.epoch == self.done + 1
        on_screen = {"on_screen": lambda columns: table(history, self.epochs, self.validation, columns, first)}
        LOG.info("%s  lr %.3g  gradient %.3g  %.2f s", line, row.lr, row.grad_norm, row.seconds, extra=on_screen)

    def close(self) -> None:
        """Remove the bar, with the cursor at the beginning of an empty line."""
        if self.bar is not None:
            self.bar.close()
        elif self.drawn:  # interrupted before tqdm had created the bar
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)  # noqa: T201
        self.bar, self.drawn = None, False
