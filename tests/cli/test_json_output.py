"""``--json``: one JSON object on standard output, and nothing else there, from every command that prints a result."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import processes
from PIL import Image

from mnistlab import cli
from mnistlab.cli import data, explore, runs
from mnistlab.system import output

Command = Callable[..., Any]
RUN = ["directory", "state", "config_hash", "seed", "seconds", "error", "metrics"]
SMALL = ["experiment=smoke", "trainer.epochs=1", "report.plots=none"]
SWEEP = ["directory", "jobs", "comparison"]
FIELDS = {  # what each of these lines prints; `one` and `many` are a run and a sweep, `1.png` a picture
    f"train {' '.join(SMALL)}": RUN,
    f"train -m {' '.join(SMALL)} seed=0,1 hydra/launcher=basic": SWEEP,
    f"train -m {' '.join(SMALL)} seed=0,1 hydra/launcher=joblib": SWEEP,
    "resume one": RUN,
    "resume one trainer.epochs=2": RUN,
    "resume many": SWEEP,
    "rerun one": ["run", "directory", "identical", "metrics", "environment"],
    "rerun many": ["sweep", "directory", "identical", "jobs", "environment"],
    f"plan {' '.join(SMALL)} seed=0,1 hydra/launcher=basic": [
        *("jobs", "seconds", "at_once", "memory", "disk", "bounds", "statistics", "notes"),
    ],
    "compare many": ["metric", "groups", "verdicts", "effects", "p_values", "warnings", "training", "left_out"],
    "report one many report.plots=none": ["reports"],
    f"tune {' '.join(SMALL)} optimizer.lr=log(1e-3,1e-2) --trials 2 --seeds 2 --jobs 1": [
        *("directory", "metric", "trials", "chosen", "test"),
    ],
    f"gridsearch {' '.join(SMALL)} data.limit=200 model.hidden=[8],[9] --cv 2 --jobs 1": [
        *("directory", "metric", "folds", "cells", "best", "refit"),
    ],
    "reproduce --list": ["papers"],
    "reproduce macalinao --page": ["page", "rows", "claims"],
    "runs": ["runs", "matching"],
    "runs show one": [
        *("directory", "state", "started", "seconds", "seed", "changed", "tags", "note", "error", "values"),
    ],
    "runs tag one +a": ["runs"],
    "runs note one hello": ["runs"],
    "runs rm outputs/three": ["runs"],
    "runs restore": ["trash"],
    "runs du one": ["bytes", "kinds", "runs"],
    "runs prune one --checkpoints": ["runs", "bytes"],
    "plugins": ["plugins"],
    "schema --to schemas": ["files"],
    "claims claims.yaml": ["page", "agreed", "rows", "claims"],
    "explain": [
        *("data", "loss", "output", "layers", "parameters", "weights", "biases", "flop", "output_bytes", "batch_size"),
        "output_bytes_of_batch",
    ],
    "gradcheck model=softmax --elements 3": ["data", "batch", "elements", "tolerance", "agrees", "blocks"],
    "lr-find data.limit=500": [
        *("directory", "lr", "steepest", "smallest", "still_falling", "optimizer", "seed"),
    ],
    "doctor one": ["run", "state", "epochs", "findings", "not_seen"],
    "evaluate one --noise 0,0.1 report.plots=none": ["directory", "metrics", "noise"],
    "evaluate many/0 many/1 report.plots=none": ["directory", "metrics", "members"],
    "predict one 1.png": ["run", "model_sha256", "classes", "as", "predictions", "failed", "accuracy"],
    "export one --format npz": ["run", "format", "parameters", "files"],
    "explore pca data=digits report.plots=none": [
        *("directory", "action", "data", "seed", "data_sha256", "split", "images", "image_shape", "class_names"),
        *("scale", "explained", "components_needed"),
    ],
    "explore boundary data=digits model=knn report.plots=none": [
        *(
            "directory",
            "action",
            "data",
            "seed",
            "data_sha256",
            "image_shape",
            "class_names",
            "scale",
            "shares",
            "models",
        ),
    ],
    "data list": ["datasets"],
    "data convert data=digits --to d.npz": ["file", "rows", "image_shape", "classes"],
    "kernels": ["folder", "processor", "lanes", "kernels"],
    "data audit one --to audited": [
        *("folder", "name", "sha256", "source", "settings", "seed", "started_in", "by", "run", "similarity", "images"),
        *("scored", "label_errors", "duplicates", "identical", "across_parts", "different_labels", "scores"),
    ],
    "data show data=digits": [
        *("name", "height", "width", "rows", "classes", "shift", "scale", "provenance", "pictures")
    ],
}
ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = {"data fetch"}  # a download, which has a test below


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """A run `one` of one epoch, a sweep `many` of two seeds, and a photograph."""
    folder = tmp_path_factory.mktemp("made")
    sweep = ["-m", *SMALL, "seed=0,1", "hydra/launcher=basic", "hydra.sweep.dir=many", "hydra.sweep.subdir='${seed}'"]
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTLAB_CACHE", str(shared_cache))
        patch.chdir(folder)
        for line in ([*SMALL, "hydra.run.dir=one"], sweep):
            assert cli.dispatch(["train", *line]) == 0
    for name in set(os.environ) - set(before):
        del os.environ[name]
    (folder / "claims.yaml").write_text("title: A report\nrows: {many: {runs: many}}\n")
    shutil.copytree(folder / "one", folder / "outputs" / "three")
    page = np.full((60, 50), 230, np.uint8)
    page[10:50, 20:28] = 40
    Image.fromarray(page).save(folder / "1.png")
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def document(text: str) -> dict[str, Any]:
    """Return the one object that a text is, by the letter of the standard: no NaN."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found = json.loads(text, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


SLOW = {"tune", "gridsearch", "reproduce", "lr-find", "evaluate", "explore"}  # they train, score or draw a lot
LINES = [
    pytest.param(line, marks=pytest.mark.slow) if line.split()[0] in SLOW or "joblib" in line else line
    for line in FIELDS
]


@pytest.mark.parametrize("line", LINES)
def test_standard_output_is_one_object_with_these_fields(command: Command, place: Path, line: str) -> None:
    if line.startswith("tune"):
        pytest.importorskip("optuna")
    words = line.split()
    result = command(*words[:1], output.FLAG, *words[1:])  # anywhere after the command
    assert result.status == 0, result.err
    assert list(document(result.out)) == FIELDS[line]


def test_every_command_and_action_that_prints_a_result_is_in_this_list() -> None:
    shown = {line.split()[0] for line in FIELDS}
    assert shown == {*cli.COMMANDS} - {*output.WITHOUT_RESULT}
    groups = {"data": data.ACTIONS, "explore": explore.ACTIONS, "runs": runs.ACTIONS}
    actions = {(group, name) for group, names in groups.items() for name in names}
    assert {" ".join(one) for one in actions} - {" ".join(line.split()[:2]) for line in FIELDS} == ELSEWHERE


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS if name != "completion"])
def test_help_says_which_commands_have_it(command: Command, name: str) -> None:
    has = name not in output.WITHOUT_RESULT
    result = command(name, "--help", *(["--json"] if has else []))  # help is help, whatever stands beside it
    assert result.status == 0
    assert ("--json" in result.out) == has


@pytest.mark.parametrize("line", FIELDS)
def test_the_fields_are_documented(line: str) -> None:
    page = (ROOT / "docs/how-to/scripting.md").read_text()
    command, *others = line.split()
    name = " ".join([command, *others[:1]]) if command in ("explore", "data", "runs") else command
    rows = [row for row in page.splitlines() if row.startswith("| `") and f"`{name}" in row]
    assert any(all(f"`{field}`" in row for field in FIELDS[line]) for row in rows), name


def test_a_run_is_its_metrics_json_and_where_it_lies(command: Command) -> None:
    result = command("train", "--json", *SMALL, "hydra.run.dir=here", "seed=3")
    found = document(result.out)
    assert (found["directory"], found["state"], found["seed"], found["error"]) == ("here", "completed", 3, None)
    assert found["metrics"] == json.loads(Path("here/metrics.json").read_text())  # every digit of it
    assert found["config_hash"] == found["metrics"]["config_hash"]
    assert "epoch 1/1" in result.err
    assert "test accuracy" not in result.err  # that is the result
    assert "test accuracy" in Path("here/train.log").read_text()


def test_quiet_says_nothing_at_all_beside_it(command: Command) -> None:
    result = command("train", *SMALL, "--json", "--quiet")
    assert result.err == ""
    assert document(result.out)["metrics"]["epochs"] == 1


def test_a_sweep_is_its_jobs_and_what_compare_says_of_them(command: Command) -> None:
    sweep = ["optimizer=sgd", "optimizer.lr=0.1,1e30", "init=random", "hydra/launcher=basic", "hydra.sweep.dir=here"]
    result = command("train", "-m", *SMALL, *sweep, "--json")
    assert result.status == 1  # one job diverges, and the others are a result all the same
    good, bad = document(result.out)["jobs"]
    assert [job["settings"] for job in (good, bad)] == [{"optimizer.lr": 0.1}, {"optimizer.lr": 1e30}]
    assert (good["job"], good["state"], good["error"]) == (0, "completed", None)
    assert Path(good["directory"]).is_dir()
    assert good["metrics"] == json.loads(Path(good["directory"], "metrics.json").read_text())
    assert (bad["state"], bad["metrics"]) == ("failed", {})
    assert "no longer finite" in bad["error"]
    assert "no longer finite" in result.err
    compared = document(command("compare", "here", "--json").out)
    comparison = document(command("resume", "here", "--failed-only", "--json").out)["comparison"]
    means = [[group["test.accuracy"] for group in one["groups"]] for one in (comparison, compared)]
    assert means[0] == means[1]


def test_compare_gives_what_its_format_json_writes(command: Command, place: Path) -> None:
    by_flag = document(command("compare", "--json", "many").out)
    assert by_flag == document(command("compare", "many", "--format", "json").out)
    assert by_flag["groups"][0]["test.accuracy"]["n"] == 2
    refused = command("compare", "many", "--json", "--format", "csv")
    assert (refused.status, refused.out) == (2, "")
    assert "--format csv: conflicts with --json; leave out one of them" in refused.err


def test_an_answer_that_is_no_is_an_answer_with_exit_status_1(command: Command, place: Path) -> None:
    saved = place / "one" / "metrics.json"
    saved.write_text(saved.read_text().replace('"epochs": 1', '"epochs": 7'))
    result = command("rerun", "one", "--json")
    found = document(result.out)
    assert (result.status, found["identical"], found["metrics"]) == (1, False, {"epochs": [7, 1]})
    Path("no.png").write_text("this is no picture")
    result = command("predict", "--json", "one", "1.png", "no.png")
    found = document(result.out)
    assert result.status == 1
    assert ([one["file"] for one in found["predictions"]], found["failed"][0]["file"]) == (["1.png"], "no.png")


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("train optimizer.lr=-1", 2, "optimizer.lr=-1.0: the learning rate must be positive"),
        ("train -m optimzer.lr=1,2", 2, "did you mean optimizer.lr?"),
        (f"train {' '.join(SMALL)} optimizer=sgd optimizer.lr=1e30 init=random", 1, "no longer finite"),
        (
            "train --cfg job",
            2,
            "--json: this option is for results, and a configuration is printed as YAML; leave it out",
        ),
        ("resume nowhere", 2, "nowhere"),
        ("rerun nowhere", 2, "nowhere: not a run directory"),
        ("compare nowhere", 2, "nowhere: no such directory"),
        ("report nowhere", 2, "nowhere: no such directory"),
        ("tune", 2, "no search space"),
        ("gridsearch model.hidden=[8],[9] --cv 1", 2, "--cv 1: must be a whole number of 2 or more"),
        ("reproduce nobody", 2, "nobody: neither a paper"),
        ("explain model=knn", 2, "has no layers"),
        ("gradcheck --elements 0", 2, "--elements 0: must be a whole number of 1 or more"),
        ("lr-find --steps 3", 2, "--steps 3: must be a whole number from 20 to 100,000"),
        ("doctor nowhere", 2, "nowhere"),
        ("evaluate nowhere", 2, "nowhere"),
        ("predict nowhere 1.png", 2, "nowhere: no such run directory"),
        ("export nowhere --format npz", 2, "nowhere"),
        ("explore pca --split half", 2, "--split half: choose one of"),
        ("data fetch nothing", 2, "data fetch nothing: choose one of"),
        ("data list --jsn", 2, "--jsn"),
    ],
)
def test_an_error_is_a_line_on_standard_error_and_no_document(
    command: Command, line: str, status: int, message: str
) -> None:
    result = command(*line.split(), "--json")
    assert (result.status, result.out) == (status, "")
    assert message in result.err


@pytest.mark.parametrize("name", output.WITHOUT_RESULT)
def test_a_command_without_a_result_has_no_document(command: Command, name: str) -> None:
    assert not command(name, "--json").out.startswith("{")


def test_a_download_says_where_it_is(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnistlab.data.sources.published.fetch", lambda name, to: print("from a mirror") or to)
    result = command("data", "fetch", "mnist", "--to", "there", "--json")
    assert (document(result.out), result.err) == ({"name": "mnist", "folder": "there"}, "from a mirror\n")


def test_a_part_of_a_command_gives_no_result_of_its_own() -> None:
    before = output._document.content
    with output.part_of_more():
        output.give({"part": 1})
    assert output._document.content is before


@pytest.mark.process
def test_libraries_and_child_processes_do_not_reach_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with output.one_document():
        print("in words")
        processes.run(["sh", "-c", "echo from a child"], check=True)
        os.write(1, b"from C\n")
        output.show({"is": "JSON"}, "not this")
    out, err = capfd.readouterr()
    assert json.loads(out) == {"is": "JSON"}
    assert sorted(err.splitlines()) == ["from C", "from a child", "in words"]


def test_plain_values() -> None:
    made = {"a": math.nan, 1: [math.inf, 0.1], "b": (np.float32(0.1), np.int64(3)), "c": Path("x/y"), "d": np.eye(2)}
    assert output.plain(made) == {
        "a": None,
        "1": [None, 0.1],
        "b": [0.10000000149011612, 3],  # float32, every digit
        "c": "x/y",
        "d": [[1.0, 0.0], [0.0, 1.0]],
    }
    assert output.plain({"t": True, "n": None, "s": "text"}) == {"t": True, "n": None, "s": "text"}
