"""A few commands whose files and figures stay what they are, on any machine, and are the same bytes the next time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden.figures import ACCURACIES, EXPECTED, LOSSES, NAMES, figures
from tests.golden.record import run

pytestmark = pytest.mark.process
QUICK = {"early_stopping", "svm"}
TOLERANCE = 1e-4  # of a loss, relative: BLAS libraries sum in different orders
IMAGES = 2  # that such a difference may turn from right to wrong

Ran = Callable[[str], tuple[Path, dict[str, str]]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, str]]]:
    return {"": (tmp_path_factory.mktemp("golden"), {})}


@pytest.fixture
def ran(folders: dict[str, tuple[Path, dict[str, str]]]) -> Ran:
    """``ran("svm")`` returns the run directory of a scenario and the hashes of its files; each is run once."""

    def once(name: str) -> tuple[Path, dict[str, str]]:
        if name not in folders:
            folder = folders[""][0] / name
            hashes = run(name, folder)
            folders[name] = (folder / "run", hashes)
        return folders[name]

    return once


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NAMES]
)
def test_a_run_has_the_files_and_figures_that_were_recorded(name: str, ran: Ran) -> None:
    found, expected = figures(ran(name)[0]), json.loads(EXPECTED.read_text())[name]
    for exact in ("files", "sha256", "counts"):
        assert found[exact] == expected[exact]
    for part, scores in expected["scores"].items():
        assert found["scores"][part]["n"] == scores["n"]
        if scores["n"]:
            assert abs(found["scores"][part]["correct"] - scores["correct"]) <= IMAGES
            assert found["scores"][part]["loss"] == pytest.approx(scores["loss"], rel=TOLERANCE)
    sizes = {"train_accuracy": expected["scores"]["train"]["n"], "val_accuracy": expected["scores"]["validation"]["n"]}
    for row, before in zip(found["history"], expected["history"], strict=True):
        assert [row[key] for key in LOSSES] == pytest.approx([before[key] for key in LOSSES], rel=TOLERANCE)
        for key in ACCURACIES:
            assert row[key] == pytest.approx(before[key], abs=IMAGES / sizes[key] + 1e-9)


def test_the_same_command_leaves_the_same_bytes_in_every_file(ran: Ran, tmp_path: Path) -> None:
    first = ran("early_stopping")[1]
    assert first
    assert run("early_stopping", tmp_path / "again") == first
