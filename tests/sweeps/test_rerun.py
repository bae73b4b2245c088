"""A sweep repeated in another directory, and what is said of it and of the environment."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnistlab.runs.environment import differences

Command = Callable[..., Any]
SMALL = ("experiment=smoke", "model=softmax", "trainer.epochs=1", "trainer.threads=1", "report.plots=none")
BASIC = ("hydra/launcher=basic", "hydra.sweep.dir=s")


@pytest.mark.slow
def test_a_sweep_is_repeated_job_by_job(command: Command) -> None:
    assert command("train", "-m", *SMALL, *BASIC, "seed=0,1").status == 0
    before = {path: path.stat().st_mtime_ns for path in Path("s").rglob("*")}
    result = command("rerun", "s", "--to", "again", "--quiet")
    assert (result.status, result.err) == (0, "")
    assert result.out.endswith("identical: all 2 jobs of again have the same results as those of s\n")
    assert {path: path.stat().st_mtime_ns for path in Path("s").rglob("*")} == before
    assert (Path("again") / "report.html").exists()

    changed = Path("s/1_seed=1/metrics.json")
    changed.write_text(changed.read_text().replace('"epochs": 1', '"epochs": 2'))
    result = command("rerun", "s", "--to", "third", "--json")
    content = json.loads(result.out)
    assert (result.status, content["identical"]) == (1, False)
    assert [job["identical"] for job in content["jobs"]] == [True, False]
    assert content["jobs"][1]["changed"] == 1


@pytest.mark.process
@pytest.mark.slow
def test_a_job_repeated_by_itself_differs_in_nothing_that_matters(command: Command) -> None:
    assert command("train", "-m", *SMALL, "seed=0,1", "hydra/launcher=basic", "hydra.sweep.dir=s").status == 0
    result = command("rerun", "s/1_seed=1", "--to", "again", "--quiet")
    last = result.out.splitlines()[-1]
    assert last == "identical: metrics.json of again has the same bytes as that of s/1_seed=1"


def test_a_repetition_needs_a_new_directory(command: Command) -> None:
    Path("s").mkdir()
    Path("s/sweep.json").write_text("{}")
    result = command("rerun", "s")
    assert result.status == 2
    assert result.err.startswith("mnistlab rerun: error: s/sweep.json: not the manifest of a sweep")


OPENBLAS = {"internal_api": "openblas", "version": "0.3.30", "architecture": "Haswell", "threading_layer": "pthreads"}
OLDER = {**OPENBLAS, "version": "0.3.21"}


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ([OPENBLAS], [OPENBLAS, OLDER], True),  # a worker has loaded SciPy's too
        ([OLDER, OPENBLAS], [OPENBLAS], True),
        ([OPENBLAS], [OLDER], False),
        ([OPENBLAS], [], False),
        ([OPENBLAS], None, False),
    ],
)
def test_blas_lists_differ_only_if_neither_is_a_part_of_the_other(before: Any, after: Any, same: bool) -> None:
    found = differences({"blas": before, "threads": 1}, {"blas": after, "threads": 1})
    assert (found == {}) is same
