"""sweep.json: what was written is read, and nothing that leads elsewhere or is damaged."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from helpers.runs import write_manifest, write_run
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from mnistlab.sweeps import manifest
from mnistlab.sweeps.manifest import Entry, Manifest
from mnistlab.system.errors import RequestError

JOB = {"number": 0, "directory": "0_seed=1", "overrides": ["seed=1"], "config_hash": "c0ffee", "settings": {"seed": 1}}
SWEEP = {"format": 1, "overrides": ["seed=1,2"], "config_dir": None, "started_in": "/home/u", "jobs": [JOB]}


def written(content, name="sweep"):
    folder = Path(name)
    folder.mkdir(exist_ok=True)
    (folder / "sweep.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_the_file_says_what_the_manifest_knows(tmp_path):
    entry = Entry(0, "0_seed=1", ("seed=1",), "c0ffee", {"seed": 1})
    sweep = Manifest(tmp_path, ("seed=1,2",), None, "/home/u", (entry,))
    sweep.write()
    assert json.loads((tmp_path / "sweep.json").read_text()) == SWEEP
    assert manifest.read(tmp_path) == sweep
    assert sweep.place(entry) == tmp_path / "0_seed=1"


settings = st.dictionaries(
    st.text(min_size=1, max_size=8), st.integers() | st.text(max_size=5) | st.lists(st.integers()) | st.none()
)


@example_settings(deadline=None, max_examples=25)
@given(st.lists(settings, min_size=1, max_size=4), st.lists(st.text(max_size=8)), st.none() | st.text(max_size=8))
def test_what_was_written_is_read(tmp_path_factory, points, overrides, config_dir):
    directory = tmp_path_factory.mktemp("sweep")
    entries = tuple(Entry(i, f"{i}_å b", tuple(overrides), "", one) for i, one in enumerate(points))
    sweep = Manifest(directory, tuple(overrides), config_dir, "", entries)
    sweep.write()
    assert manifest.read(directory) == sweep


def test_a_job_is_called_by_what_varies():
    assert (
        Entry(0, "0", (), "", {"init": "random", "model.hidden": [64, 32]}).title == "init=random model.hidden=[64,32]"
    )
    assert Entry(0, "0_only", (), "", {}).title == "0_only"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not readable as JSON (Expecting value: line 1 column 1 (char 0)); start the sweep again"),
        ('{"format": 1', "not readable as JSON ("),
        ("[" * 100_000, "not readable as JSON ("),
        ([], "not the manifest of a sweep (TypeError: list indices"),
        (None, "not the manifest of a sweep (TypeError: "),
        ({}, "not the manifest of a sweep (KeyError: 'format')"),
        ({**SWEEP, "format": 2}, "not the manifest of a sweep (ValueError: format 2 is not 1); start the sweep again"),
        ({**SWEEP, "jobs": None}, "not the manifest of a sweep (TypeError: "),
        ({**SWEEP, "jobs": {"a": 1}}, "not the manifest of a sweep (TypeError: "),
        ({**SWEEP, "jobs": [[]]}, "not the manifest of a sweep (TypeError: "),
        ({**SWEEP, "jobs": [{**JOB, "number": 1}]}, "the entry of job 0 is incomplete"),
        ({**SWEEP, "jobs": [{**JOB, "settings": []}]}, "the entry of job 0 is incomplete"),
        ({**SWEEP, "jobs": [{**JOB, "config_hash": 7}]}, "the entry of job 0 is incomplete"),
        ({**SWEEP, "jobs": [{**JOB, "overrides": "seed=1"}]}, "must be a list of overrides"),
        ({**SWEEP, "jobs": [{**JOB, "overrides": [1]}]}, "must be a list of overrides"),
        ({**SWEEP, "overrides": None}, "must be a list of overrides"),
        ({**SWEEP, "config_dir": 5}, "config_dir or started_in is not a path"),
        ({**SWEEP, "started_in": None}, "config_dir or started_in is not a path"),
        # directories
        ({**SWEEP, "jobs": [{**JOB, "directory": "/etc"}]}, "the directory of job 0 is outside the sweep: /etc"),
        ({**SWEEP, "jobs": [{**JOB, "directory": ".."}]}, "the directory of job 0 is outside the sweep: .."),
        (
            {**SWEEP, "jobs": [{**JOB, "directory": "a/../../b"}]},
            "the directory of job 0 is outside the sweep: a/../../b",
        ),
        ({**SWEEP, "jobs": [{**JOB, "directory": "."}]}, "the directory of job 0 is outside the sweep: ."),
        ({**SWEEP, "jobs": [{**JOB, "directory": ""}]}, "the directory of job 0 is outside the sweep: ."),
        ({**SWEEP, "jobs": [{**JOB, "directory": 7}]}, "not the manifest of a sweep (TypeError: "),
        ({**SWEEP, "jobs": [JOB, {**JOB, "number": 1}]}, "two jobs share a directory"),
        ({**SWEEP, "jobs": [JOB, {**JOB, "number": 1, "directory": "./0_seed=1/"}]}, "two jobs share a directory"),
    ],
)
def test_a_damaged_or_hostile_manifest_is_refused(content, message):
    with pytest.raises(RequestError, match=re.escape(message)) as refused:
        manifest.read(written(content))
    assert str(refused.value).startswith("sweep/sweep.json: ")
    assert "\n" not in str(refused.value)


def test_bytes_that_are_no_text_are_refused():
    written("")
    Path("sweep/sweep.json").write_bytes(b"\xff\xfe")
    with pytest.raises(RequestError, match=r"^sweep/sweep.json: not readable as JSON \('utf-8' codec"):
        manifest.read(Path("sweep"))


def test_where_no_sweep_lies_the_cure_depends_on_what_does():
    Path("empty").mkdir()
    write_run(Path("run"))
    Path("file").write_text("")
    for path, cure in [("nowhere", "check the path"), ("run", "it is a single run")]:
        with pytest.raises(RequestError) as refused:
            manifest.read(Path(path).absolute())
        assert str(refused.value) == f"{path}: not a sweep directory (no sweep.json); {cure}"
    with pytest.raises(RequestError, match=r"; name a directory of outputs/multirun$"):
        manifest.read(Path("empty"))
    with pytest.raises(RequestError, match=r"^file: must be the directory of a sweep$"):
        manifest.read(Path("file").absolute())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_manifest_without_rights_is_said():
    write_manifest(Path("sweep"), [{}])
    Path("sweep/sweep.json").chmod(0)
    with pytest.raises(RequestError, match=r"^sweep/sweep.json: Permission denied; check file permissions$"):
        manifest.read(Path("sweep"))


def test_a_directory_in_its_place_is_said():
    Path("sweep/sweep.json").mkdir(parents=True)
    with pytest.raises(RequestError, match=r"^sweep/sweep.json: Is a directory; check file permissions$"):
        manifest.read(Path("sweep"))
