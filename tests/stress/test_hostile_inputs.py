"""A little of `make stress`: bad files and requests through the command line, and mutations of files in process."""

import gzip
import random
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnistlab.data.sources.by_format import AutoSource, CsvSource, IdxSource, NpzSource
from mnistlab.models import model_file
from mnistlab.nn.architectures import MLP
from mnistlab.nn.regularization import Regularization
from mnistlab.system.errors import RequestError

STRESS = Path(__file__).resolve().parents[2] / "stress"
sys.path.insert(0, str(STRESS))
hostile = import_module("hostile")
data = import_module("hostile_cases.data")
formats = import_module("hostile_cases.formats")
of_runs = import_module("hostile_cases.saved")
sys.path.remove(str(STRESS))

KINDS = ("idx", "csv", "npz", "folder", "formats", "cache", "requests", "model", "predicted", "run")
SLOW = ("MB", "gzip bomb", "bomb of bzip2", "a million columns")


@pytest.fixture(autouse=True)
def warm(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    hostile.warm()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_ends_in_one_line_and_does_no_harm(kind):
    chosen = [case for case in hostile.cases(60, 1, [kind]) if not any(slow in case.what for slow in SLOW)]
    ended = hostile.run_all(random.Random(1).sample(chosen, 9))
    assert [(one.case.what, one.fault, one.said) for one in ended if one.fault] == []


READERS = {  # some of what each command reads; `make stress` gives every command every file
    "resume run": ["status.json"],
    "resume run trainer.epochs=2": [".hydra/overrides.yaml", "checkpoint.safetensors"],
    "rerun run --to out": [".hydra/overrides.yaml", "environment.json"],
    "report run report.plots=core -q": ["metrics.json", "history.csv", "mistakes.npz"],
    "doctor run": [".hydra/config.yaml", "metrics.json"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", READERS)
def test_a_pipe_in_place_of_a_file_of_a_run_is_not_waited_for(command):
    cases = of_runs.product([command.split()], [("a pipe", "pipe")], hostile.sound("run"))
    chosen = [case for case in cases if any(f"{name}:" in case.what for name in READERS[command])]
    assert len(chosen) == len(READERS[command])
    assert [(one.case.what, one.fault, one.said) for one in hostile.run_all(chosen) if one.fault] == []


UNFORESEEN = "an error that was not foreseen"
LINE = "mnistlab train: error: data.path=x: no\n"


@pytest.mark.parametrize(
    ("ended", "fault"),
    [
        ((2, 1, 100, LINE, []), ""),
        ((0, 1, 100, "warning: a class is missing\n", []), ""),
        ((2, 10.5, 100, LINE, []), "took 10.5 s"),
        ((-9, 1, 100, "", []), "did not end"),
        ((-11, 1, 100, "", []), "ended with -11"),
        ((1, 1, 100, "Traceback (most recent call last):\n", []), "a traceback"),
        ((2, 1, 100, LINE * 2, []), "2 lines"),
        ((2, 1, 100, "", []), "0 lines"),
        ((1, 1, 100, "it failed\n", []), "no error line"),
        (
            (1, 1, 100, "x: error: KeyError: 1; HYDRA_FULL_ERROR=1 shows the traceback\n", []),
            UNFORESEEN,
        ),
        ((2, 1, 1500, LINE, []), "1500 MB"),
        ((0, 1, 100, "", [Path("was-here")]), "wrote was-here"),
    ],
)
def test_a_fault_would_be_found(ended, fault):
    assert hostile._fault(*ended) == fault


def test_what_is_written_outside_would_be_found(tmp_path):
    case = hostile.Case("x", "y", ["data", "show", "data=digits", "--to", "../elsewhere"], lambda folder: None)
    assert hostile.forked(case, tmp_path / "a" / "b").fault.startswith(f"wrote {tmp_path}/a/elsewhere")


# ---- in this process: whatever is done to the bytes, what comes is arrays or a RequestError


mutations = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 2**16), st.integers(0, 255)),
        st.tuples(st.just("cut"), st.integers(0, 2**16), st.just(0)),
        st.tuples(st.just("add"), st.integers(0, 2**16), st.integers(1, 40)),
        st.tuples(st.just("number"), st.integers(0, 200), st.sampled_from([0, 1, 2**31 - 1, 2**32 - 1])),
    ),
    min_size=1,
    max_size=4,
)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def mutated(content, steps):
    made = bytearray(content)
    for how, at, value in steps:
        at %= max(1, len(made))
        if how == "set" and made:
            made[at] = value
        elif how == "cut":
            del made[at:]
        elif how == "add":
            made[at:at] = bytes(made[:value])
        else:
            made[at : at + 4] = value.to_bytes(4, "big")
    return bytes(made)


def read_or_refused(source, sound_rows):
    try:
        pool = source().read()
    except RequestError as error:
        assert "\n" not in str(error)
        return
    assert len(pool.train) == len(pool.train.labels)
    assert pool.train.images.dtype == np.uint8
    assert 0 <= pool.train.labels.min() <= pool.train.labels.max() < 10


@quick
@given(steps=mutations, which=st.integers(0, 3), packed=st.booleans())
def test_idx_files_whatever_their_bytes(steps, which, packed, tmp_path):
    for i, (name, content) in enumerate(data.sound_idx().items()):
        content = gzip.compress(content, mtime=0) if packed else content
        (tmp_path / name).write_bytes(mutated(content, steps) if i == which else content)
    read_or_refused(lambda: IdxSource(path=str(tmp_path), classes=10), data.IMAGES)


@quick
@given(steps=mutations)
def test_csv_files_whatever_their_bytes(steps, tmp_path):
    (tmp_path / "data.csv").write_bytes(mutated(data.sound_csv(), steps))
    read_or_refused(lambda: CsvSource(path=str(tmp_path / "data.csv"), test=0.2, classes=10), data.IMAGES)


@quick
@given(steps=mutations, inside=st.sampled_from([None, "images.npy", "labels.npy"]))
def test_npz_files_whatever_their_bytes(steps, inside, tmp_path):
    sound = data.sound_npz()
    content = (
        data.rezipped(sound, inside, mutated(data.zipped(sound, inside), steps)) if inside else mutated(sound, steps)
    )
    (tmp_path / "data.npz").write_bytes(content)
    read_or_refused(lambda: NpzSource(path=str(tmp_path / "data.npz"), test=0.2, classes=10), data.IMAGES)


FORMATS = {name: make() for name, make in formats.sound().items() if name not in ("hdf5", "parquet")}
FORMATS = {name: content for name, content in FORMATS.items() if not name.startswith("mat")}  # a process for each


@quick
@given(steps=mutations, name=st.sampled_from(list(FORMATS)))
def test_files_of_any_format_whatever_their_bytes(steps, name, tmp_path):
    (tmp_path / "data").write_bytes(mutated(FORMATS[name], steps))
    read_or_refused(lambda: AutoSource(path=str(tmp_path / "data"), test=0.2, classes=10), data.IMAGES)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    network = MLP(hidden=[4]).network((3, 3), 3, Regularization())
    model_file.save_model(path, network, ("a", "b", "c"))
    return path.read_bytes()


@quick
@given(steps=mutations)
def test_models_whatever_their_bytes(steps, saved, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(mutated(saved, steps))
    try:
        network, names = model_file.load_model(tmp_path / "model.safetensors")
    except RequestError as error:
        assert str(error).startswith(f"{tmp_path}/model.safetensors: ")
        return
    assert np.isfinite(network.theta).all()
    assert len(set(names)) == network.loss.classes
