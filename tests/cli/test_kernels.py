"""``mnistlab kernels`` and ``trainer.kernels``: what is compiled, what is chosen, and what happens without numba."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mnistlab.nn import kernels

TRAIN = ("train", "model=lenet5", "experiment=smoke", "data.limit=300", "trainer.epochs=2", "report.plots=none")
needs_kernels = pytest.mark.skipif(kernels.unavailable() is not None, reason="kernels cannot be used here")


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "numba is not installed; pip install '.[fast]'"
    monkeypatch.setattr(kernels, "unavailable", lambda: reason)


@needs_kernels
def test_a_run_with_kernels_says_so_records_it_and_scores_like_the_numpy_layers(command) -> None:
    said = command(*TRAIN, "trainer.kernels=numba", "hydra.run.dir=numba").out
    assert "kernels numba, 2 to 3 times faster than NumPy" in said
    assert command(*TRAIN, "trainer.kernels=numpy", "hydra.run.dir=numpy").status == 0
    assert json.loads(Path("numba/environment.json").read_text())["kernels"] == "numba"
    assert json.loads(Path("numpy/environment.json").read_text())["kernels"] == "numpy"
    one, other = (np.genfromtxt(f"{name}/history.csv", delimiter=",", names=True) for name in ("numba", "numpy"))
    np.testing.assert_allclose(one["train_loss"], other["train_loss"], rtol=1e-3)


@needs_kernels
def test_the_same_bytes_again_and_by_rerun_and_evaluate(command) -> None:
    for name in ("one", "other"):
        assert command(*TRAIN, "trainer.kernels=numba", f"hydra.run.dir={name}").status == 0
    assert Path("one/metrics.json").read_bytes() == Path("other/metrics.json").read_bytes()
    assert "identical" in command("rerun", "one", "--to", "again").out
    assert command("evaluate", "one", "--to", "scores", "report.plots=none").status == 0
    scores = json.loads(Path("scores/metrics.json").read_text())["test"]
    assert scores["loss"] == json.loads(Path("one/metrics.json").read_text())["test"]["loss"]


@needs_kernels
def test_an_interrupted_run_is_resumed_with_its_kernels_to_the_same_bytes(command) -> None:
    assert command(*TRAIN, "trainer.kernels=numba", "trainer.epochs=3", "hydra.run.dir=whole").status == 0
    assert command(*TRAIN, "trainer.kernels=numba", "trainer.epochs=1", "hydra.run.dir=part").status == 0
    assert command("resume", "part", "trainer.epochs=3").status == 0
    whole, part = (json.loads(Path(f"{name}/metrics.json").read_text()) for name in ("whole", "part"))
    assert {**whole, "config_hash": 0} == {**part, "config_hash": 0}


@needs_kernels
def test_auto_looks_at_the_work_alone(monkeypatch: pytest.MonkeyPatch, command) -> None:
    assert "kernels numba" not in command(*TRAIN, "hydra.run.dir=short").out
    monkeypatch.setattr(kernels, "PAY_FROM", 1e8)
    assert "kernels numba" in command(*TRAIN, "hydra.run.dir=long").out


def test_without_numba_a_long_training_says_what_it_would_bring(
    monkeypatch: pytest.MonkeyPatch, without_numba: None, command
) -> None:
    monkeypatch.setattr(kernels, "PAY_FROM", 1e8)
    said = command(*TRAIN).out
    hint = (
        "compiled kernels would train this network 2 to 3 times faster: numba is not installed; pip install '.[fast]'"
    )
    assert hint in said
    assert "kernels numba" not in said


def test_numba_without_numba_is_refused(without_numba: None, command) -> None:
    said = command(*TRAIN, "trainer.kernels=numba")
    expected = "trainer.kernels=numba: numba is not installed; pip install '.[fast]', or use numpy"
    assert (said.status, said.err.strip().splitlines()[-1]) == (2, f"mnistlab train: error: {expected}")
    said = command("kernels")
    assert (said.status, said.err.strip()) == (
        1,
        "mnistlab kernels: error: kernels: numba is not installed; pip install '.[fast]'",
    )


def test_a_saved_run_of_kernels_is_evaluated_by_numpy_where_there_are_none(
    monkeypatch: pytest.MonkeyPatch, command
) -> None:
    assert command(*TRAIN, "hydra.run.dir=run").status == 0
    about = json.loads(Path("run/environment.json").read_text())
    Path("run/environment.json").write_text(json.dumps({**about, "kernels": "numba"}))
    monkeypatch.setattr(kernels, "unavailable", lambda: "this processor has no AVX2")
    said = command("evaluate", "run", "report.plots=none")
    assert said.status == 0
    assert "run: computed by NumPy, with other last digits than the run (this processor has no AVX2)" in said.err


def test_a_value_that_is_none_of_them(command) -> None:
    said = command(*TRAIN, "trainer.kernels=fast")
    assert said.status == 2
    assert "trainer.kernels=fast" in said.err


@needs_kernels
def test_the_table_names_every_kernel_and_the_folder(command) -> None:
    said = command("kernels")
    assert said.status == 0
    for name in ("product", "winograd_back", "adam", "_parallel"):
        assert name in said.out
    assert "folder " in said.out
    assert command("kernels", "--compile", "--clear").status == 2


@needs_kernels
@pytest.mark.slow
@pytest.mark.process
def test_clear_removes_what_compile_makes(tmp_path: Path, command, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    code = "from mnistlab.nn.kernels.updates import sgd; print(sgd.is_compiled, bool(sgd.address), sgd.is_compiled)"
    for expected in ("False True True", "True True True"):
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected
    done = subprocess.run(
        [sys.executable, "-m", "mnistlab", "kernels", "--clear"], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("1 kernels removed from ")
    assert not list((tmp_path / "cache").rglob("*.nbc"))


SGD = "from mnistlab.nn.kernels.updates import sgd; print(hex(sgd.address)[:2])"


@needs_kernels
@pytest.mark.slow
@pytest.mark.process
def test_a_torn_file_of_the_cache_is_replaced(tmp_path: Path) -> None:
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", SGD], env=env, capture_output=True, text=True, check=True)
        assert done.stdout == "0x\n"
        for path in tmp_path.rglob("*.nb?"):
            path.write_bytes(path.read_bytes()[:100])


@needs_kernels
@pytest.mark.slow
@pytest.mark.process
def test_many_processes_on_a_cold_cache_compile_once(tmp_path: Path) -> None:
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    started = [subprocess.Popen([sys.executable, "-c", SGD], env=env, stdout=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate()[0] for process in started] == [b"0x\n"] * 4
    assert len(list(tmp_path.rglob("*.nbc"))) == 1


@needs_kernels
@pytest.mark.slow
@pytest.mark.process
def test_a_folder_that_cannot_be_written_costs_compilation_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "file")}
    done = subprocess.run([sys.executable, "-c", SGD], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "0x\n"
    assert "cannot be written" in done.stderr
    assert "set MNISTLAB_CACHE to another folder" in done.stderr
