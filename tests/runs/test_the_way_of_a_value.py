"""How many functions a value passes from where it is written to where it is used: a reader can follow it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mnistlab
from mnistlab.inference.predict import image_io
from mnistlab.nn.network import Network
from mnistlab.nn.optimizers import Optimizer

PACKAGE = str(Path(mnistlab.__file__).parent)
MOST = 8


def calls_above() -> list[CodeType]:
    """Return the functions of the package that are being called, the outermost first, without the caller's."""
    frame, found = sys._getframe(2), []
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE) and frame.f_code.co_name != "<listcomp>":
            found.append(frame.f_code)
        frame = frame.f_back  # type: ignore[assignment]
    return found[::-1]


def test_the_learning_rate_goes_from_the_yaml_to_the_update_and_never_comes_back(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    step, seen = Optimizer.step, list[list[CodeType]]()

    def traced(self: Optimizer, *arguments: Any) -> None:
        seen.append(calls_above())
        step(self, *arguments)

    monkeypatch.setattr(Optimizer, "step", traced)
    train("trainer.epochs=1")
    names = [code.co_name for code in seen[0]]
    way = ["experiment", *names[names.index("run") :], "step"]  # `experiment` makes the optimizer of its configuration
    assert way == ["experiment", "run", "_learn", "train", "run", "_take_step", "__call__", "step"]
    assert len(way) <= MOST
    assert not any("lr" in code.co_varnames[: code.co_argcount] for code in seen[0])


def test_an_image_goes_from_its_file_to_its_prediction(
    train: Callable[..., Path], command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = train("report.plots=none")
    page = np.full((60, 60), 230, np.uint8)
    page[20:40, 28:32] = 20
    Image.fromarray(page).save(tmp_path / "one.png")
    seen: dict[str, list[str]] = {}

    def traced(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            seen.setdefault(name, [code.co_name for code in calls_above()])
            return function(*arguments, **named)

        monkeypatch.setattr(owner, name, call)

    traced(image_io, "read")
    traced(Network, "predict")
    result = command("predict", str(run), str(tmp_path / "one.png"))
    assert result.status == 0, result.err
    read, predicted = seen["read"], seen["predict"]
    shared = next((i for i, pair in enumerate(zip(read, predicted, strict=False)) if pair[0] != pair[1]), len(read))
    way = [*read[shared:], "read", "prepare", *predicted[shared:], "predict"]
    assert len(way) <= MOST, way
