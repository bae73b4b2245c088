"""What is drawn on a terminal while a network trains, and what is said where there is none."""

from __future__ import annotations

import fcntl
import io
import math
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers.tables import thinned

from mnistlab.system import console
from mnistlab.training.loop import Epoch, History
from mnistlab.training.progress import ASCII, Progress, curve, table

TRAIN = ["train", "experiment=smoke", "report.plots=none"]
PLAIN = (
    "epoch 1/2  loss 9.0000  accuracy 50.00 %  validation loss 0.5000  accuracy 50.00 %  lr 0.1  gradient 1  0.10 s\n"
)


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def history(*losses: float, best: int | None = None) -> History:
    rows = [Epoch(i + 1, i, 0.1, 9.0, 0.5, loss, 0.5, 1.0, 0.1) for i, loss in enumerate(losses)]
    return History(rows, best_epoch=best)


@dataclass
class Screen:
    """What a command wrote to a terminal, and its exit status."""

    status: int
    text: str

    def drawn(self) -> list[str]:
        """Return every line as it stood at any time: a carriage return begins it anew; colours take no room."""
        text = re.sub(r"\x1b\[[0-9;]*m", "", self.text).replace("\r\n", "\n")
        return [line for part in text.split("\n") for line in part.split("\r")]


def on_a_terminal(words: Sequence[str], width: int, interrupt_at: str = "", **environment: str) -> Screen:
    """Run a command in a terminal of its own, so wide, where Ctrl-C is pressed as soon as this is to be read."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    settings = {"TERM": "xterm", "PYTHONIOENCODING": "utf-8", **environment}
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    code = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from mnistlab.cli import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=inherited | settings,
        start_new_session=True,
    )
    os.close(theirs)
    text = b""
    try:
        while chunk := os.read(ours, 65536):
            text += chunk
            if interrupt_at and interrupt_at.encode() in text:
                os.write(ours, b"\x03")
                interrupt_at = ""
    except OSError:  # Linux says so when the other end is closed
        pass
    finally:
        os.close(ours)
    return Screen(child.wait(60), text.decode())


def test_a_curve_has_a_block_a_value_from_the_lowest_to_the_highest() -> None:
    assert curve([3, 2, 1]) == "█▅▁"  # 7 * 1/2 rounds to 4 of 0 to 7
    assert curve([1, 1]) == "▁▁"
    assert curve([math.nan, 2, 1]) == "█▁"
    assert curve([1]) == curve([]) == ""
    assert len(curve(range(100))) == 20
    assert curve(range(8), ASCII, 8) == ASCII == "_.-:=+*#"


def test_the_table_has_headings_before_its_first_row_and_a_row_an_epoch() -> None:
    assert table(history(0.5), 12, True, 80, first=True).splitlines() == [
        "epoch      loss  accuracy  val loss  val accuracy        lr  seconds",
        " 1/12    9.0000   50.00 %    0.5000       50.00 %       0.1     0.10",
    ]
    assert table(history(0.5), 12, False, 80, first=False) == " 1/12    9.0000   50.00 %       0.1     0.10"
    assert "1.23e+05" in table(history(123456.0), 12, True, 80, first=False)


@pytest.mark.parametrize("width", [33, 40, 50, 60, 80])
def test_the_table_leaves_columns_out_where_it_is_too_wide(width: int) -> None:
    assert all(len(line) <= width for line in table(history(0.5), 1000, True, width, first=True).splitlines())
    kept = table(history(0.5), 1000, True, 40, first=True).splitlines()[0].split("  ")
    assert [name.strip() for name in kept if name] == ["epoch", "loss", "val accuracy"]


def test_the_best_epoch_so_far_is_green_unless_the_user_wants_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m     50.00 %\x1b[0m" in table(history(2, 1, best=2), 3, True, 80, first=False)
    assert "\x1b" not in table(history(1, 2, best=1), 3, True, 80, first=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in table(history(2, 1, best=2), 3, True, 80, first=False)
    monkeypatch.setenv("NO_COLOR", "")  # empty means nothing, says no-color.org
    assert "\x1b" in table(history(2, 1, best=2), 3, True, 80, first=False)


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", "epoch 4/4  █▅▁ "), ("ascii", "epoch 4/4  #=_ ")])
def test_the_bar_shows_the_curve_so_far(monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str) -> None:
    screen = Terminal()
    screen.encoding = encoding  # type: ignore[misc]
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", screen)
    progress = Progress(4, True, "normal", done=3)
    assert progress.on_step
    progress.on_epoch(history(3, 2, 1))
    progress.on_step(1, 10, 0.5)
    progress.close()
    assert shown in screen.getvalue()
    assert "\x1b" not in screen.getvalue()


@pytest.mark.parametrize("verbosity", ["quiet", "normal"])
def test_without_a_terminal_there_are_plain_lines_only(capsys: Any, verbosity: str) -> None:
    console.start(verbosity)
    progress = Progress(2, True, verbosity)
    assert progress.on_step is None
    progress.on_epoch(history(0.5))
    console.stop()
    assert capsys.readouterr() == ((PLAIN if verbosity == "normal" else ""), "")


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "dumb")
    console.start("normal")
    progress = Progress(2, True, "normal")
    assert progress.on_step is None
    progress.on_epoch(history(0.5))
    console.stop()
    assert screen.getvalue() == PLAIN


def test_a_line_that_is_too_wide_is_cut_between_words() -> None:
    assert console.wrapped("data    mnist5k, 28 x 28 pixels", 20) == "data    mnist5k, 28\n        x 28 pixels"
    assert console.wrapped("into    a/very/long/path/that/is/one/word", 20).splitlines()[-1].strip() == (
        "a/very/long/path/that/is/one/word"
    )


@pytest.mark.process
@pytest.mark.parametrize("width", thinned([40, 80], 2))
def test_a_terminal_shows_table_and_bar_and_no_line_of_them_wraps(tmp_path: Path, width: int) -> None:
    screen = on_a_terminal([*TRAIN, "trainer.epochs=3"], width)
    assert screen.status == 0
    lines = [line for line in screen.drawn() if "%|" in line or re.match(r"epoch  |  \d/3 ", line)]
    assert max(map(len, lines)) <= width
    assert sum(line.startswith("epoch  ") for line in lines) == 1  # the headings
    assert [line.split()[0] for line in lines if line.startswith("  ")] == ["1/3", "2/3", "3/3"]
    assert any(re.match(r"epoch 3/3  [▁▂▃▄▅▆▇█]{2} ", line) for line in lines)
    assert "\x1b[32m" in screen.text
    (log,) = tmp_path.glob("outputs/*/*/train.log")
    assert "INFO epoch 3/3  loss " in log.read_text()
    assert "\x1b" not in log.read_text()


@pytest.mark.process
@pytest.mark.slow
def test_no_color_means_no_escape_code_at_all() -> None:
    screen = on_a_terminal([*TRAIN, "--json"], 80, NO_COLOR="1")
    assert screen.status == 0
    assert "\x1b" not in screen.text
    assert "1/2    " in screen.text  # the table is there


@pytest.mark.process
@pytest.mark.parametrize("moment", ["3/5000 ", "epoch    1/5000   0%"])
def test_ctrl_c_leaves_the_cursor_on_a_line_of_its_own(moment: str) -> None:
    screen = on_a_terminal([*TRAIN, "trainer.epochs=5000"], 80, interrupt_at=moment)
    assert screen.status == 130
    assert screen.text.endswith(" continues it\r\n")
    before = screen.text[: screen.text.rindex("mnistlab train: error: interrupted")]
    assert before.endswith(("\r", "\n", "\r\x1b[K"))


def test_a_terminal_costs_a_step_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", screen)
    progress = Progress(1, True, "normal")
    for step in range(1, 200_001):
        progress._step(step, 200_000, 0.5)
    assert progress.bar.format_dict["elapsed"] < 200_000 * 20e-6  # a step of the default network takes 500e-6 s
    assert screen.getvalue().count("\r") <= 10 * progress.bar.format_dict["elapsed"] + 2
    progress.close()
