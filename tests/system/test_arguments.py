"""Whether an argument is a path: also of those that cannot be one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnistlab.sweeps import runner
from mnistlab.system import arguments

Command = Callable[..., Any]
LONG = "x" * 300  # a name has at most 255 bytes
SEEDS = f"seed={','.join(map(str, range(100)))}"


def test_what_is_there_exists_and_a_directory_is_one() -> None:
    Path("folder").mkdir()
    Path("file").touch()
    assert [arguments.exists(word) for word in ("folder", "file", "nothing")] == [True, True, False]
    assert [arguments.is_directory(word) for word in ("folder", "file", "nothing")] == [True, False, False]


@pytest.mark.parametrize("word", [LONG, f"{LONG}/a", "a\0b"])
def test_what_cannot_be_a_path_does_not_exist(word: str) -> None:
    assert not arguments.exists(word)
    assert not arguments.is_directory(word)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("compare", f"note~{LONG}"), f"note~{LONG}: there is no folder outputs here to look for runs in"),
        (("report", f"note~{LONG}"), f"note~{LONG}: there is no folder outputs here to look for runs in"),
        (("rerun", f"note~{LONG}"), f"note~{LONG}: there is no folder outputs here to look for runs in"),
        (("data", "audit", f"note~{LONG}"), f"note~{LONG}: there is no folder outputs here to look for runs in"),
        (("evaluate", f"note={LONG}"), f"note={LONG}: there is no folder outputs here to look for runs in"),
        (("evaluate", f"trainer.{LONG}=1"), f"trainer.{LONG}=1: only data=NAME, data.KEY=..., seed=N and "),
        (("report", f"report.{LONG}=1"), f"report.{LONG}=1: only report.plots and report.format can be set"),
        (("data", "convert", f"data.path={LONG}", "--to", "a.npz"), "data.path: unknown key"),
        (("board", LONG), f"{LONG}: no such directory; name the folder of the runs"),
        (("runs", "rm", LONG, "--in", "."), f"{LONG}: no such directory; must be a run"),
        (("runs", "tag", "last", f"+{LONG}", "--in", "."), "last: no run in . matches"),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else "",
)
def test_an_argument_that_is_too_long_for_a_path_is_what_else_it_may_be(
    words: tuple[str, ...], said: str, command: Command
) -> None:
    result = command(*words)
    assert result.status == 2
    assert result.err.startswith(f"mnistlab {words[0]}: error: {said}"), result.err
    assert "too long" not in result.err


def test_a_hundred_seeds_are_added_to_a_sweep_and_refused_for_a_run(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("sweep").mkdir()
    Path("run/.hydra").mkdir(parents=True)
    calls: list[Any] = []
    monkeypatch.setattr(runner, "resume", lambda place, overrides, added, **options: calls.append((place, added)) or 0)
    assert command("resume", "sweep", SEEDS).status == 0
    assert calls == [(Path("sweep").absolute(), [SEEDS])]
    result = command("resume", "run", SEEDS)
    assert "only trainer.epochs=N may be changed" in result.err
