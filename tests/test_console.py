"""What is drawn on a terminal, and what is said where there is none."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest

from mnistlab import console
from mnistlab.console import Progress, curve
from mnistlab.train import Epoch, History


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def history(*losses: float) -> History:
    return History([Epoch(i + 1, i, 0.1, 9.0, 0.5, loss, 0.5, 1.0, 0.1) for i, loss in enumerate(losses)])


def test_a_curve_has_a_block_a_value_from_the_lowest_to_the_highest() -> None:
    assert curve([3, 2, 1]) == "█▅▁"  # 7 * 1/2 rounds to 4 of 0 to 7
    assert curve([1, 1]) == "▁▁"
    assert curve([math.nan, 2, 1]) == "█▁"
    assert curve([1]) == curve([]) == ""
    assert len(curve(range(100))) == 20


def test_on_a_terminal_the_bar_shows_the_curve_so_far_and_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    progress = Progress(4, True, "normal", done=3)
    assert progress.on_step
    progress.on_epoch(history(3, 2, 1))
    progress.on_step(1, 10, 0.5)
    progress.close()
    assert "epoch 4/4  █▅▁" in screen.getvalue()
    assert "\x1b[3" not in screen.getvalue()


def test_a_terminal_that_knows_no_blocks_gets_the_bar_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    screen.encoding = "ascii"  # type: ignore[misc]
    monkeypatch.setattr("sys.stderr", screen)
    progress = Progress(4, True, "normal", done=3)
    progress.on_epoch(history(3, 2, 1))
    assert progress.on_step
    progress.on_step(1, 10, 0.5)
    progress.close()
    assert "epoch 4/4:" in screen.getvalue()


@pytest.mark.parametrize("verbosity", ["quiet", "normal"])
def test_without_a_terminal_there_are_lines_only(capsys: Any, verbosity: str) -> None:
    console.start(verbosity)
    progress = Progress(2, True, verbosity)
    assert progress.on_step is None
    progress.on_epoch(history(0.5))
    console.stop()
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == (verbosity == "normal")
