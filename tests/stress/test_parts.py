"""A little of two parts of `make stress`: many processes at once, and the same bytes every time."""

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

STRESS = Path(__file__).resolve().parents[2] / "stress"
sys.path.insert(0, str(STRESS))
concurrency, determinism = import_module("concurrency"), import_module("determinism")
sys.path.remove(str(STRESS))


@pytest.mark.slow
def test_eight_processes_on_a_cold_cache_leave_one_copy(tmp_path):
    assert concurrency.cold_cache(tmp_path, 8, 300, 1)[1] == []


@pytest.mark.slow
def test_a_process_killed_with_the_lock_in_its_hands_holds_up_nobody(tmp_path):
    assert concurrency.killed_writer(tmp_path, 3, 300, 1)[1] == []


@pytest.mark.slow
def test_runs_that_start_together_have_directories_of_their_own(tmp_path):
    tried, faults = concurrency.one_root(tmp_path, 4)
    assert faults == []
    assert tried[0][1] == 4


def test_a_process_that_reads_something_else_would_be_found(tmp_path):
    (tmp_path / "cache" / "parsed" / "one").mkdir(parents=True)
    said = ["abc 10 20", "abc 10 20", "def 10 21", "no end"]
    assert concurrency._faults("x", tmp_path, said, (10, 20)) == [
        "x: def 10 21",
        "x: no end",
        "x: 3 different contents",
    ]


@pytest.mark.slow
def test_a_run_and_a_sweep_by_one_or_two_workers_give_the_same_bytes():
    tried, faults = determinism.main(seed=3, short=True)
    assert faults == []
    assert {count for _, count in tried} == {1}


@pytest.mark.parametrize("name", determinism.SAME)
def test_other_bytes_would_be_found(name, tmp_path):
    for run in ("one", "other"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "environment.json").write_text(json.dumps({"threads": 1}))
        for other in determinism.SAME:
            value = 1.0 if run == "other" and other == name else 0.0
            if other.endswith(".npz"):
                np.savez(tmp_path / run / other, a=np.array(value))
            else:
                (tmp_path / run / other).write_text(str(value))
    runs = [tmp_path / "one", tmp_path / "other"]
    assert determinism._counted("2 runs", runs, 1)[1] == [f"2 runs: 2 different {name}"]
    assert "2 runs: one recorded 1 threads" in determinism._counted("2 runs", runs, 2)[1]
