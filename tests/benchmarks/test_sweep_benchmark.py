"""The benchmark of a sweep: its page says what was measured, and which bars hold."""

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import processes

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def sweep():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield import_module("sweep")


def row(ours, torch, job):
    return {"ours": ours, "torch": torch, "ratio": torch / ours, "job": job, "torch_threads": 2, "foreign": 0.02}


def test_the_page_has_medians_spreads_and_verdicts(sweep):
    rows = [row(10.0, 31.0, 0.5), row(20.0, 80.0, 0.8), row(10.0, 29.0, 0.6)]
    text = sweep.page(["some machine"], SimpleNamespace(runs=8, epochs=20), rows, 0.4)
    assert "8 runs x 20 epochs" in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "| PyTorch / ours | 3.10 (2.90..4.00) | >= 4.5 | **no** |" in lines
    assert "| one job outside training, core plots, s | 0.60 (0.50..0.80) | <= 0.7 | yes |" in lines
    assert "| one job outside training, no plots, s | 0.40 | <= 0.35 | **no** |" in lines
    assert "Other processes used at most 2% of the machine." in lines


@pytest.mark.process
def test_a_wrong_request_is_one_line():
    done = processes.run([sys.executable, FOLDER / "sweep.py", "--runs", "0"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bench: error: --runs=0: must be a whole number of 1 or more\n"
