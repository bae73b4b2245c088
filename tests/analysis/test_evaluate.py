"""`mnistlab evaluate`: saved models scored again, on other and harder images, alone and together."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import processes
from helpers.tables import thinned
from PIL import Image

from mnistlab import cli
from mnistlab.analysis import evaluate, evaluation_artifacts
from mnistlab.config import report
from mnistlab.data.loading import load
from mnistlab.data.sources import published
from mnistlab.data.sources.registry import SOURCES
from mnistlab.runs.saved_run import open_run, own_data
from mnistlab.system import files
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream

Command = Callable[..., Any]

TABLES = {
    "class_distribution.csv",
    "classification_report.csv",
    "confusion_matrix.csv",
    "environment.json",
    "metrics.json",
    "mistakes.npz",
    "precision_recall.csv",
    "predictions.npz",
    "roc.csv",
    "samples.npz",
    "status.json",
}
CORE = {"confusion_matrix", "precision_recall", "roc", "worst_mistakes"}
ALL = CORE | {"class_distribution", "confusion_matrix_normalised", "samples"}
SWEEPS = {"noise.csv", "noise.npz", "rotation.csv", "rotation.npz"}

RUNS = {
    "s0": ["seed=0"],
    "s1": ["seed=1"],
    "s2": ["seed=2", "model=softmax", "data.scaling=standardize", "optimizer.lr=0.01"],
    "whole": ["data.validation=0"],
    "small": ["data=digits", "data.test_limit=null"],
    "cut": ["data=digits", "data.test=0.3", "data.test_limit=null"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[Path]:
    """The folder of a few runs, each trained once; the tests only read them."""
    place = tmp_path_factory.mktemp("runs")
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTLAB_CACHE", str(shared_cache))
        patch.chdir(place)
        for name, overrides in RUNS.items():
            line = ["train", "experiment=smoke", "report.plots=none", "-q", f"hydra.run.dir={name}", *overrides]
            assert cli.dispatch(line) == 0
    for name in set(os.environ) - set(before):
        del os.environ[name]
    content = contents(place)
    yield place
    assert contents(place) == content  # nothing is ever written into a run


@pytest.fixture
def runs(trained: Path) -> Path:
    """The runs, as ``runs/NAME`` from the folder of the test."""
    Path("runs").symlink_to(trained)
    return Path("runs")


@pytest.fixture
def score(command: Command, runs: Path) -> Callable[..., Path]:
    """``score("runs/s0", "--split", "all")`` evaluates without pictures and returns the evaluation's directory."""

    def run(*arguments: str) -> Path:
        result = command("evaluate", "report.plots=none", *arguments)
        assert result.status == 0, result.err
        return Path(result.out.split("evaluation directory")[-1].strip())

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def files_of(folder: Path) -> set[str]:
    return set(contents(folder))


def pictures(names: set[str]) -> set[str]:
    return {f"plots/{name}{suffix}" for name in names for suffix in (".png", ".txt")}


def metrics_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return content


def predictions_of(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(folder / "predictions.npz", allow_pickle=False) as saved:
        return saved["labels"], saved["probabilities"]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# ---- one run


@pytest.mark.parametrize("name", ["s0", "s2", "small"])
def test_a_run_comes_out_as_it_scored_itself(score: Callable[..., Path], runs: Path, name: str) -> None:
    found, own = score(f"runs/{name}"), runs / name
    assert metrics_of(found)["test"] == metrics_of(own)["test"]
    for table in ("roc.csv", "precision_recall.csv", "confusion_matrix.csv", "classification_report.csv"):
        assert (found / table).read_bytes() == (own / table).read_bytes()
    for mine, its in zip(predictions_of(found), predictions_of(own), strict=True):
        assert np.array_equal(mine, its)


@pytest.mark.parametrize("part", ["validation", "train"])
def test_the_other_parts_are_those_of_the_run(score: Callable[..., Path], runs: Path, part: str) -> None:
    found = metrics_of(score("runs/s1", "--split", part))
    own = metrics_of(runs / "s1")[part]  # of the training set without its ranking, which an evaluation always has
    assert {name: found[part][name] for name in own} == own
    assert not {"test", "validation", "train"} - {part} & set(found)


def test_all_are_the_three_parts_together(score: Callable[..., Path], runs: Path) -> None:
    found, own = metrics_of(score("runs/s1", "--split=all")), metrics_of(runs / "s1")
    parts = [own[part] for part in ("train", "validation", "test")]
    assert (found["split"], found["all"]["n"]) == ("all", 1300)
    assert found["all"]["correct"] == sum(part["correct"] for part in parts)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["report.plots=none"], TABLES),
        ([], TABLES | pictures(CORE)),
        (["report.plots=all"], TABLES | pictures(ALL)),
        (
            ["--noise", "0,0.2", "--rotate=-10,10"],
            TABLES | SWEEPS | pictures(CORE | {"noise", "rotation"}),
        ),
        (["runs/s1", "report.plots=none", "--noise", "0.1"], TABLES | {"members.csv", "noise.csv", "noise.npz"}),
    ],
)
def test_an_evaluation_leaves_exactly_these_files(
    command: Command, runs: Path, arguments: list[str], expected: set[str]
) -> None:
    result = command("evaluate", "runs/s0", *arguments)
    assert (result.status, result.err) == (0, "")
    (folder,) = Path("outputs/evaluate").iterdir()
    assert files_of(folder) == expected
    assert {path.name for path in Path().iterdir()} == {"runs", "outputs"}


def test_what_stands_in_the_files(score: Callable[..., Path], runs: Path) -> None:
    folder = score("runs/s1", "--to", "here")
    assert folder == Path("here")
    found, own = metrics_of(folder), json.loads((runs / "s1" / "status.json").read_text())
    (run,) = found["runs"]
    assert (run["run"], run["seed"], run["config_hash"]) == ("s1", 1, own["config_hash"])
    assert run["parameters"] == metrics_of(runs / "s1")["parameters"]
    assert (found["data"], found["split"], found["seed"]) == ("mnist5k", "test", 1)
    assert found["data_sha256"] == metrics_of(runs / "s1")["data_sha256"]
    status = json.loads((folder / "status.json").read_text())
    assert (status["state"], status["error"]) == ("completed", None)
    assert set(status["seconds"]) == {"evaluate", "plots"}
    about = json.loads((folder / "environment.json").read_text())
    assert about["command"] == ["mnistlab", "evaluate", "report.plots=none", "runs/s1", "--to", "here"]
    assert about["threads"] == 1
    assert about["data"]["sha256"] == found["data_sha256"]
    assert about["runs"] == [str((Path.cwd() / "runs/s1").absolute())]


@pytest.mark.slow
def test_the_same_command_gives_the_same_bytes_and_another_seed_other_noise(score: Callable[..., Path]) -> None:
    line = ["runs/s0", "runs/s1", "--noise", "0.3", "--rotate", "20", "--to"]
    first, second, other = score(*line, "a"), score(*line, "b"), score(*line, "c", "seed=7")
    for name in ("metrics.json", "predictions.npz", "members.csv", "noise.csv", "rotation.csv", "mistakes.npz"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert (first / "rotation.csv").read_bytes() == (other / "rotation.csv").read_bytes()
    assert (first / "noise.csv").read_bytes() != (other / "noise.csv").read_bytes()


def test_a_run_may_be_named_by_its_model(score: Callable[..., Path]) -> None:
    by_directory, by_model = score("runs/s0", "--to", "a"), score("runs/s0/model.safetensors", "--to", "b")
    assert metrics_of(by_directory) == metrics_of(by_model)


def test_a_model_alone_needs_to_be_told_the_data(command: Command, score: Callable[..., Path], runs: Path) -> None:
    Path("copied").mkdir()
    shutil.copy(runs / "s0" / "model.safetensors", "copied/mine.safetensors")
    found = metrics_of(score("copied/mine.safetensors", "data=mnist5k", "data.test_limit=300"))
    assert found["test"] == metrics_of(runs / "s0")["test"]
    assert [found["runs"][0][key] for key in ("run", "config_hash", "seed")] == ["copied", None, None]


def test_paths_of_the_data_count_from_where_the_run_was_started(
    command: Command, score: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("work").mkdir()
    monkeypatch.chdir("work")
    arrays = {"images": np.arange(200 * 64).reshape(200, 8, 8) % 251, "labels": np.arange(200) % 10}
    np.savez("own.npz", **{name: array.astype(np.uint8) for name, array in arrays.items()})
    line = ["trainer.epochs=1", "data=npz", "data.path=own.npz", "report.plots=none", "hydra.run.dir=../mine"]
    assert command("train", *line).status == 0
    monkeypatch.chdir("..")
    assert metrics_of(score("mine"))["test"] == metrics_of(Path("mine"))["test"]
    Path("work/own.npz").unlink()
    assert "data.path=own.npz: no such file" in command("evaluate", "mine").err


@pytest.mark.slow
def test_pictures_can_be_drawn_again_from_the_saved_numbers(command: Command, runs: Path) -> None:
    line = ["runs/s0", "runs/s1", "report.plots=all", "--noise", "0,0.1", "--rotate", "0,90", "--to", "here"]
    assert command("evaluate", *line).status == 0
    before = contents(Path("here/plots"))
    shutil.rmtree("here/plots")
    evaluation_artifacts.draw(Path("here"), report.Plots.all)
    assert contents(Path("here/plots")) == before
    assert "An ensemble of 2" in Path("here/plots/noise.txt").read_text()


def test_quiet_prints_the_result_only_and_verbose_the_files(command: Command, runs: Path) -> None:
    quiet = command("evaluate", "runs/s0", "runs/s1", "--noise", "0", "-q", "report.plots=none").out.splitlines()
    assert [line.split("  ")[0] for line in quiet[:2]] == ["test accuracy", "weakest classes"]
    assert quiet[2].startswith("evaluation directory outputs/evaluate/")
    assert len(quiet) == 3
    assert "plots/roc.png" in command("evaluate", "runs/s0", "--verbose").out


# ---- several runs


def test_the_probabilities_of_an_ensemble_are_the_mean(score: Callable[..., Path], runs: Path) -> None:
    labels, mean = predictions_of(score("runs/s0", "runs/s1", "runs/s2"))
    members = [predictions_of(runs / name) for name in ("s0", "s1", "s2")]
    assert all(np.array_equal(labels, own) for own, _ in members)
    expected = np.mean([probabilities.astype(np.float64) for _, probabilities in members], axis=0)
    assert np.array_equal(mean, expected.astype(np.float32))


def test_members_stand_beside_the_ensemble(score: Callable[..., Path], runs: Path) -> None:
    folder = score("runs/s0", "runs/s1", "runs/s2")
    rows, ensemble = rows_of(folder / "members.csv"), metrics_of(folder)["test"]
    assert list(rows[0]) == ["run", "seed", "n", "accuracy", "low", "high", "loss", "disagreement"]
    assert [(row["run"], row["seed"]) for row in rows] == [("s0", "0"), ("s1", "1"), ("s2", "2"), ("ensemble", "")]
    scores = [*(metrics_of(runs / name)["test"] for name in ("s0", "s1", "s2")), ensemble]
    for row, its in zip(rows, scores, strict=True):
        interval = [float(row["low"]), float(row["high"])]
        assert (float(row["accuracy"]), interval, float(row["loss"])) == (
            its["accuracy"],
            its["accuracy_interval"],
            its["loss"],
        )
    predicted = [predictions_of(runs / name)[1].argmax(axis=1) for name in ("s0", "s1", "s2")]
    pair = [(predicted[i] != predicted[j]).mean() for i, j in ((0, 1), (0, 2), (1, 2))]
    expected = [(pair[0] + pair[1]) / 2, (pair[0] + pair[2]) / 2, (pair[1] + pair[2]) / 2, sum(pair) / 3]
    assert [float(row["disagreement"]) for row in rows] == pytest.approx(expected)


def test_members_of_one_name_are_told_apart_by_their_paths(score: Callable[..., Path], runs: Path) -> None:
    shutil.copytree(runs / "s1", "other/s0")
    rows = rows_of(score("runs/s0", "other/s0") / "members.csv")
    assert [row["run"] for row in rows] == ["runs/s0", "other/s0", "ensemble"]


# ---- shifts


def test_probabilities_are_averaged_over_shifts(score: Callable[..., Path], runs: Path) -> None:
    folder = score("runs/s0", "--shifts", "1", "--noise", "0,0.1")
    network = open_run(str(runs / "s0")).network
    dataset = own_data(open_run(str(runs / "s0"))).source()
    images = load(dataset, stream(0, "split")).test.images
    wide = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    windows = [wide[:, down : down + 28, right : right + 28] for down, right in np.ndindex(3, 3)]
    nine = [network.predict(np.ascontiguousarray(window)) for window in windows]
    _, probabilities = predictions_of(folder)
    np.testing.assert_allclose(probabilities, np.mean(nine, axis=0), atol=1e-6)
    metrics, rows = metrics_of(folder), rows_of(folder / "noise.csv")
    assert metrics["shifts"] == 1
    assert float(rows[0]["accuracy"]) == metrics["test"]["accuracy"]  # corrupted images are shifted too
    assert "shifts" not in metrics_of(score("runs/s0"))


def test_members_of_an_ensemble_are_averaged_over_shifts_too(score: Callable[..., Path]) -> None:
    folder = score("runs/s0", "runs/s1", "--shifts", "1")
    members = [predictions_of(score(f"runs/{name}", "--shifts", "1"))[1].astype(np.float64) for name in ("s0", "s1")]
    np.testing.assert_allclose(predictions_of(folder)[1], np.mean(members, axis=0), atol=1e-7)


# ---- other images


def image_folder(place: Path, digits: str, each: int = 4, spelled: str = "{}") -> None:
    pool = SOURCES["mnist5k"]().read().test
    for digit in digits:
        folder = place / spelled.format(digit)
        folder.mkdir(parents=True)
        for i, image in enumerate(pool.images[pool.labels == int(digit)][:each]):
            Image.fromarray(image).resize((40, 40)).save(folder / f"{i}.png")


def test_own_images_are_matched_by_the_names_of_their_folders(command: Command, score: Callable[..., Path]) -> None:
    image_folder(Path("mine"), "73")
    folder = score("runs/s0", "data=folder", "data.path=mine", "data.size=28", "--split", "all")
    labels, probabilities = predictions_of(folder)
    assert sorted(labels) == [3, 3, 3, 3, 7, 7, 7, 7]
    assert probabilities.shape == (8, 10)
    found = metrics_of(folder)
    assert found["class_names"] == list("0123456789")
    assert [row["support"] for row in found["all"]["per_class"]] == [0, 0, 0, 4, 0, 0, 0, 4, 0, 0]
    assert found["all"]["accuracy"] > 0.5


@pytest.mark.parametrize(("digits", "each"), [("7", 1), ("7", 3), ("0123456789", 1)])
def test_a_few_images_are_enough_to_score_all(score: Callable[..., Path], digits: str, each: int) -> None:
    image_folder(Path("mine"), digits, each)
    folder = score("runs/s0", "data=folder", "data.path=mine", "data.size=28", "--split", "all")
    assert metrics_of(folder)["all"]["n"] == each * len(digits)


def test_images_without_a_test_part_of_their_own_are_said_to_be(command: Command, runs: Path) -> None:
    image_folder(Path("mine"), "37", each=10)
    line = ["evaluate", "runs/s0", "data=folder", "data.path=mine", "data.size=28", "report.plots=none"]
    result = command(*line)
    assert result.status == 0
    assert "this data has no test set of its own; its last rows are scored (--split all scores all)" in result.out
    assert "test set, 4\n" in result.out


def test_too_few_images_for_parts_are_told_of_all(command: Command, runs: Path) -> None:
    image_folder(Path("mine"), "37", each=1)
    result = command("evaluate", "runs/s0", "data=folder", "data.path=mine", "data.size=28")
    assert result.status == 2
    assert result.err.endswith("; --split all scores all 2 images\n")


def test_a_download_that_fails_is_not_tried_again(
    command: Command, runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tried = []

    def unreachable(name: str) -> Path:
        tried.append(name)
        raise RequestError("no mirror could provide it", key="name", value=name)

    monkeypatch.setattr(published, "fetch", unreachable)
    monkeypatch.setenv("MNISTLAB_DATA", str(tmp_path))
    monkeypatch.setenv("MNISTLAB_CACHE", str(tmp_path))
    result = command("evaluate", "runs/s0", "data=kmnist")
    assert (result.status, tried) == (2, ["kmnist"])
    assert result.err.endswith("error: data.name=kmnist: no mirror could provide it\n")


def test_settings_change_the_data_of_the_run(score: Callable[..., Path]) -> None:
    assert metrics_of(score("runs/s0", "data.test_limit=50"))["test"]["n"] == 50
    assert metrics_of(score("runs/s0", "data.test_limit=null"))["test"]["n"] == 1000
    assert metrics_of(score("runs/s0", "data=mnist5k"))["test"]["n"] == 1000


def test_another_seed_is_another_validation_part(command: Command, score: Callable[..., Path], runs: Path) -> None:
    own, other = score("runs/s0", "--split", "validation"), score("runs/s0", "--split", "validation", "seed=4")
    assert metrics_of(own)["validation"] != metrics_of(other)["validation"]
    assert metrics_of(other)["seed"] == 4


TRAINED_ON = "warning: runs/s0 was trained on some of these images, so this is not a test accuracy\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--split", "test"], ""),
        (["--split", "validation"], ""),
        (["--split", "train"], TRAINED_ON),
        (["--split", "all"], TRAINED_ON),
        (["--split", "validation", "seed=3"], TRAINED_ON),
        (["--split", "all", "data=mnist5k"], TRAINED_ON),
        (["data=mnist5k"], ""),
    ],
    ids=" ".join,
)
def test_images_that_were_trained_on_are_said_to_be(
    command: Command, runs: Path, arguments: list[str], said: str
) -> None:
    result = command("evaluate", "runs/s0", "report.plots=none", *arguments)
    assert (result.status, result.err) == (0, said)


def test_data_that_has_changed_is_said_to_have(command: Command, runs: Path) -> None:
    shutil.copytree(runs / "s0", "old")
    about = json.loads(Path("old/environment.json").read_text())
    about["data"]["sha256"] = "0" * 64
    Path("old/environment.json").write_text(json.dumps(about))
    result = command("evaluate", "old", "report.plots=none")
    assert (result.status, result.err) == (0, "warning: old: the data has changed since this run was trained\n")


# ---- harder images


def test_level_zero_is_the_plain_result(score: Callable[..., Path]) -> None:
    folder = score("runs/s0", "--noise", "0.2,0,0.1,0", "--rotate", "0,30")
    plain = metrics_of(folder)["test"]
    for name, levels in (("noise", ["0.0", "0.1", "0.2"]), ("rotation", ["0.0", "30.0"])):
        rows = rows_of(folder / f"{name}.csv")
        assert list(rows[0]) == ["level", "n", "accuracy", "low", "high", "loss"]
        assert [row["level"] for row in rows] == levels  # each once, rising
        assert float(rows[0]["accuracy"]) == plain["accuracy"]
        assert [float(rows[0]["low"]), float(rows[0]["high"])] == plain["accuracy_interval"]
        assert float(rows[0]["loss"]) == plain["loss"]
        assert float(rows[-1]["accuracy"]) < plain["accuracy"]
        with np.load(folder / f"{name}.npz", allow_pickle=False) as saved:
            assert saved["images"].shape == (len(levels), 28, 28)
            assert saved["levels"].tolist() == list(map(float, levels))


@pytest.mark.slow
def test_members_are_scored_at_every_level(score: Callable[..., Path]) -> None:
    together = rows_of(score("runs/s0", "runs/s1", "--noise", "0.2") / "noise.csv")[0]
    alone = rows_of(score("runs/s0", "--noise", "0.2") / "noise.csv")[0]
    assert together["accuracy_s0"] == alone["accuracy"]
    assert list(together)[-2:] == ["accuracy_s0", "accuracy_s1"]


# ---- wrong requests

KNOWN = "only data=NAME, data.KEY=..., seed=N and report.plots=... can be set; the rest comes from the saved model"
EXPECTED = "a run directory was expected, such as outputs/<date>/<time>_<model>"
WRONG = [
    # the command line
    ("data=mnist", "missing argument RUN; see `mnistlab evaluate --help`"),
    ("runs/s0 --nois 1", "--nois: no such option (did you mean --noise?); see `mnistlab evaluate --help`"),
    ("runs/s0 -m", "-m: no such option; see `mnistlab evaluate --help`"),
    ("runs/s0 --noise", "option '--noise' requires an argument; see `mnistlab evaluate --help`"),
    ("runs/s0 --noise --rotate 3", "option '--noise' requires an argument; see `mnistlab evaluate --help`"),
    ("runs/s0 --to=", "option '--to' requires an argument; see `mnistlab evaluate --help`"),
    ("runs/s0 --noise 0 --noise 1", "--noise: this option is given twice; give it once"),
    ("runs/s0 --shifts 28", "--shifts 28: this shifts images of 28 x 28 pixels out of the frame; use less"),
    ("runs/s0 --shifts half", "--shifts half: must be a whole number of 0 or more"),
    ("runs/s0 --noise 0,", "--noise 0,: '' is not a number from 0 to 10; write, for example, --noise 0,0.1,0.2"),
    ("runs/s0 --noise 0,-1", "--noise 0,-1: '-1' is not a number from 0 to 10; write, for example, --noise 0,0.1,0.2"),
    ("runs/s0 --noise nan", "--noise nan: 'nan' is not a number from 0 to 10; write, for example, --noise 0,0.1,0.2"),
    (
        "runs/s0 --noise 1e400",
        "--noise 1e400: '1e400' is not a number from 0 to 10; write, for example, --noise 0,0.1,0.2",
    ),
    ("runs/s0 --rotate x", "--rotate x: 'x' is not a number from -360 to 360; write, for example, --rotate 0,15,30"),
    (
        "runs/s0 --rotate inf",
        "--rotate inf: 'inf' is not a number from -360 to 360; write, for example, --rotate 0,15,30",
    ),
    ("runs/s0 --split tset", "--split tset: choose one of test, validation, train, all (did you mean test?)"),
    ("runs/s0 optimizer.lr=3", f"optimizer.lr=3: {KNOWN}"),
    ("runs/s0 sed=3", f"sed=3: {KNOWN} (did you mean seed?)"),
    ("runs/s0 report.images=[3]", f"report.images=[3]: {KNOWN} (did you mean report.plots?)"),
    ("runs/s0 seed=-1", "seed=-1: the seed must be a whole number of 0 or more"),
    ("runs/s0 seed=a", "seed=a: must be a whole number"),
    ("runs/s0 data=mnst", "data=mnst: no such option; choose one of … (did you mean mnist?)"),
    ("runs/s0 data=mnst5k data.limit=3", "data=mnst5k: no such option; choose one of … (did you mean …?)"),
    ("runs/s0 data.tst_limit=3", "data.tst_limit: unknown key; data=mnist5k has … (did you mean data.test_limit?)"),
    ("runs/s0 +data.foo=3", "data.foo: unknown key; data has …"),
    ("runs/s0 data.test_limit=0", "data.test_limit=0: the number of test rows must be a whole number of 1 or more"),
    ("runs/s0 data.test_limit=a", "data.test_limit=a: must be a whole number"),
    ("runs/s0 data=csv data.path=nix.csv", "data.path=nix.csv: no such file; check path"),
    # runs
    ("runs/s9", "runs/s9: no such run directory…"),
    ("nowhere/s9", "nowhere/s9: no such run directory"),
    ("pipe", "pipe: no such run directory"),
    ("runs", "runs: not a run directory, but contains 6 runs; name a run, for example runs/cut"),
    ("above", "above: not a run directory, but contains 1 run; name a run, for example above/one/run"),
    ("empty", "empty: not a run directory (no model.safetensors); name one such as outputs/<date>/<time>_<model>"),
    ("failed", "failed: this run failed and has no model.safetensors (the loss is no longer finite)"),
    ("running", "running: this run has not finished (process 17, since today)"),
    ("stopped", "stopped: this run was interrupted and has no model.safetensors; `mnistlab resume` continues it"),
    ("scored", "scored: this is an evaluation, not a run; name the runs themselves"),
    (
        "runs/s0/checkpoint.safetensors",
        "runs/s0/checkpoint.safetensors: must be a model saved by mnistlab (format=mnistlab-model-1, found"
        " mnistlab-checkpoint-2)",
    ),
    ("runs/s0/metrics.json", "runs/s0/metrics.json: not a readable safetensors file (…)"),
    ("cut", "cut/model.safetensors: not a readable safetensors file (…)"),
    ("runs/s0 runs/s0", "runs/s0: this run is named twice; name each member of an ensemble once"),
    ("runs/s0 runs/s0/model.safetensors", "runs/s0/model.safetensors: this run is named twice; name each member of …"),
    (
        "runs/s0 runs/small",
        "runs/s0 takes 28 x 28 pixels and runs/small 8 x 8; all members of an ensemble must take images of the same …",
    ),
    (
        "runs/s0 named",
        "runs/s0 has the classes 0, 1, 2, ... (10) and named zero, one, two, ... (10); all members of an ensemble "
        "must have the same classes in the same order",
    ),
    # the data of the runs
    ("bare", "bare/.hydra/config.yaml: no such file, so the data of the run is unknown; choose the data …"),
    (
        "torn",
        "torn/.hydra/config.yaml: line 2, column 1: …; correct it there, or choose the data with data=...",
    ),
    ("listed", "listed/.hydra/config.yaml: must be a configuration; choose the data with data=..."),
    ("seedless", "seedless/.hydra/config.yaml: data or seed is missing or invalid (…); choose the data with data=..."),
    ("flat", "flat/.hydra/config.yaml: data or seed is missing or invalid (…); choose the data with data=..."),
    (
        "row",
        "row/.hydra/config.yaml: data or seed is missing or invalid (data is not a mapping);"
        " choose the data with data=...",
    ),
    ("odd", "odd/.hydra/config.yaml: data.colour: Key 'colour' not in 'Mnist5k'; choose the data with data=..."),
    ("wrong", "wrong/.hydra/config.yaml: data.limit=-3: the number of training rows must be a whole number of 1 …"),
    (
        "typed",
        "typed/.hydra/config.yaml: data.limit: Value 'many' of type 'str' could not be converted …",
    ),
    ("strange", "strange/.hydra/config.yaml: data=my_own is not an available option; choose the data with data=..."),
    (
        "runs/small runs/cut",
        "runs/small and runs/cut were trained on different data (data.test=0.2 and data.test=0.3); choose one"
        " to evaluate with data.test=...",
    ),
    (
        "runs/s0 other",
        "runs/s0 and other were trained on different data (data=mnist5k and data=mnist); choose one to evaluate with"
        " data=...",
    ),
    (
        "runs/s0 runs/s1 --split validation",
        "--split validation: runs/s0 and runs/s1 drew different images (seed=0 and seed=1); choose one with"
        " seed=N, or evaluate --split test",
    ),
    ("runs/s0 runs/s1 --split all", "--split all: runs/s0 and runs/s1 drew different images (seed=0 and seed=1); …"),
    (
        "runs/whole --split validation",
        "--split validation: there is no validation set (data.validation=0); choose another",
    ),
    # other data
    (
        "runs/s0 data=digits",
        "data=digits: the images have 8 x 8 pixels, but runs/s0 takes 28 x 28; choose images of that size; data=folder"
        " data.size=28 resizes image files",
    ),
    (
        "runs/s0 data=folder data.path=images --split all --as raw",
        "data=folder: the images have 40 x 40 pixels, but runs/s0 takes 28 x 28; set data.size=28",
    ),
    (
        "runs/s0 data=folder data.path=clothes data.size=28 --split all",
        "data=folder: the class 'bag 3' is not one of the model's (0, 1, 2, 3, 4, 5, 6, 7, 8, 9); classes are matched"
        " by name; if they are the model's classes, name them alike with data.class_names=[...]",
    ),
    (
        "named data=npz data.path=own.npz",
        "data=npz: the class '0' is not one of the model's "
        "(zero, one, two, three, four, five, six, seven, eight, nine);"
        " classes are matched by name; if they are the model's classes, name them alike with data.class_names=[...]",
    ),
    # where to write
    ("runs/s0 --to runs/s1", "--to runs/s1: already contains a run or an evaluation; choose another directory"),
    ("runs/s0 --to copy", "--to copy: already contains a run or an evaluation; choose another directory"),
    (
        "runs/s0 --to runs/s0/again",
        "--to runs/s0/again: this is inside runs/s0, and run directories are never changed; …",
    ),
    ("runs/s0 --to file", "--to file: File exists; choose another directory with --to DIR"),
    ("runs/s0 --to file/x", "--to file/x: Not a directory; choose another directory with --to DIR"),
]
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.fixture
def crooked(runs: Path) -> None:
    """Directories that are no runs, or damaged ones."""

    def text(path: str, content: str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(content)

    def copied(name: str, config: str | None = None, option: str = "mnist5k") -> Path:
        Path(name, ".hydra").mkdir(parents=True)
        shutil.copy(runs / "s0" / "model.safetensors", name)
        if config is not None:
            text(f"{name}/.hydra/config.yaml", config)
            text(f"{name}/.hydra/hydra.yaml", f"hydra: {{runtime: {{choices: {{data: {option}}}}}}}")
        return Path(name)

    text("file", "")
    os.mkfifo("pipe")
    text("empty/notes", "")
    text("failed/status.json", '{"state": "failed", "error": "the loss is no longer finite\\nsomewhere"}')
    text("running/status.json", '{"state": "running", "pid": 17, "started": "today"}')
    text("stopped/status.json", '{"state": "interrupted"}')
    text("scored/predictions.npz", "")
    copied("above/one/run")
    copied("copy")
    model = (runs / "s0" / "model.safetensors").read_bytes()
    (copied("cut") / "model.safetensors").write_bytes(model[: len(model) // 2])
    copied("bare")
    copied("torn", "data: [1, 2")
    copied("listed", "- 1")
    copied("seedless", "data: {limit: 100}")
    copied("flat", "data: 7\nseed: 0")
    copied("row", "data: [1]\nseed: 0")
    copied("odd", "data: {colour: red}\nseed: 0")
    copied("wrong", "data: {limit: -3}\nseed: 0")
    copied("typed", "data: {limit: many}\nseed: 0")
    copied("strange", "data: {}\nseed: 0", option="my_own")
    copied("other", "data: {name: mnist}\nseed: 0", option="mnist")

    from mnistlab.models.model_file import load_model, save_model

    network, _ = load_model(runs / "s0" / "model.safetensors")
    Path("named").mkdir()
    save_model(Path("named/model.safetensors"), network, tuple(NUMBERS))
    image_folder(Path("images"), "37")
    image_folder(Path("clothes"), "37", spelled="bag {}")
    arrays = {"images": np.zeros((100, 28, 28), np.uint8), "labels": np.arange(100) % 10}
    np.savez("own.npz", **arrays)


@pytest.mark.parametrize(("line", "message"), thinned(WRONG, 3), ids=[case[0] for case in WRONG])
def test_a_wrong_request_is_one_line_and_leaves_nothing(
    command: Command, crooked: None, line: str, message: str
) -> None:
    before = contents(Path())
    result = command("evaluate", *line.split(" "))
    assert result.status == 2
    assert all(row.startswith("data    ") for row in result.out.splitlines())  # what the user's own data was taken for
    (said,) = result.err.splitlines()
    pattern = ".*".join(map(re.escape, message.split("…")))  # what Hydra or the YAML reader says is theirs
    assert re.fullmatch(f"mnistlab evaluate: error: {pattern}", said), said
    assert contents(Path()) == before


def test_classes_of_other_names_can_be_given_the_models(score: Callable[..., Path], crooked: None) -> None:
    names = f"data.class_names=[{','.join(NUMBERS)}]"
    assert metrics_of(score("named", "data=npz", "data.path=own.npz", names))["test"]["n"] == 20


def test_runs_on_different_data_are_an_ensemble_on_named_data(score: Callable[..., Path]) -> None:
    folder = score("runs/small", "runs/cut", "data=digits", "data.test=0.5")
    assert metrics_of(folder)["test"]["n"] == pytest.approx(1797 / 2, abs=1)
    assert len(rows_of(score("runs/small", "runs/cut", "data.test=0.3") / "members.csv")) == 3


def test_seeds_may_differ_where_one_is_named(score: Callable[..., Path], runs: Path) -> None:
    folder = score("runs/s0", "runs/s1", "--split", "validation", "seed=1")
    rows = rows_of(folder / "members.csv")
    assert float(rows[1]["accuracy"]) == metrics_of(runs / "s1")["validation"]["accuracy"]


def test_a_path_with_an_equals_sign_is_a_run(score: Callable[..., Path], runs: Path) -> None:
    shutil.copytree(runs / "s0", "0_seed=0")
    assert metrics_of(score("0_seed=0"))["test"] == metrics_of(runs / "s0")["test"]


def test_an_evaluation_is_never_written_over(command: Command, runs: Path) -> None:
    assert command("evaluate", "runs/s0", "report.plots=none", "--to", "here").status == 0
    before = contents(Path("here"))
    result = command("evaluate", "runs/s1", "report.plots=none", "--to", "here")
    assert result.err == (
        "mnistlab evaluate: error: --to here: already contains a run or an evaluation; choose another directory\n"
    )
    assert contents(Path("here")) == before


def test_a_directory_of_the_users_keeps_what_is_in_it(command: Command, runs: Path) -> None:
    Path("mine").mkdir()
    Path("mine/notes").write_text("keep")
    assert command("evaluate", "runs/s0", "report.plots=none", "--to", "mine").status == 0
    assert files_of(Path("mine")) == TABLES | {"notes"}


# ---- what goes wrong later


@pytest.mark.parametrize("name", ["environment.json", "metrics.json", "roc.csv", "noise.csv", "roc.png"])
def test_a_full_disk_fails_the_evaluation_and_keeps_what_was_written(
    command: Command, runs: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = files.write

    def full(path: Path, content: bytes | str) -> None:
        if path.name == name:
            raise OSError(28, "No space left on device", str(path))
        real(path, content)

    monkeypatch.setattr(files, "write", full)
    result = command("evaluate", "runs/s0", "--noise", "0", "--to", "here")
    assert result.status == 1
    (line,) = result.err.splitlines()
    assert f"{name}: No space left on device; free some space, or choose another directory with --to DIR" in line
    assert line.endswith("(the files written so far are in here)")
    assert json.loads(Path("here/status.json").read_text())["state"] == "failed"


def test_an_interruption_is_written_down(command: Command, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "_predict", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    result = command("evaluate", "runs/s0", "--to", "here")
    assert (result.status, result.err) == (143, "mnistlab evaluate: error: interrupted\n")
    assert json.loads(Path("here/status.json").read_text())["state"] == "interrupted"


def test_a_fault_of_ours_is_one_line(command: Command, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "_predict", lambda *_: 1 / 0)
    result = command("evaluate", "runs/s0", "--to", "here")
    assert result.status == 1
    assert result.err == (
        "mnistlab evaluate: error: ZeroDivisionError: division by zero; HYDRA_FULL_ERROR=1 shows the traceback\n"
    )
    assert "division by zero" in json.loads(Path("here/status.json").read_text())["error"]


@pytest.mark.parametrize(
    ("weights", "scale", "layer"), [(3e38, 1 / 255, "2 dense"), (0.1, 1e300, "1 flatten"), (3e38, 1e300, "1 flatten")]
)
def test_a_network_that_overflows_is_said_to(
    command: Command, runs: Path, weights: float, scale: float, layer: str
) -> None:
    from mnistlab.models.model_file import load_model, save_model

    network, names = load_model(runs / "s0" / "model.safetensors")
    network.theta[...], network.scale = weights, scale
    Path("wild").mkdir()
    save_model(Path("wild/model.safetensors"), network, names)
    result = command("evaluate", "wild", "data=mnist5k", "--to", "here")
    assert result.status == 1
    (line,) = result.err.splitlines()
    assert line.startswith(f"mnistlab evaluate: error: wild: layer {layer} overflows on these images; the model cannot")


# ---- help


def test_help(command: Command) -> None:
    result = command("evaluate", "--help")
    assert result.status == 0
    for word in ("RUN [RUN ...]", "--split", "--noise", "--rotate", "--to", "data=NAME", "seed=N"):
        assert word in result.out
    assert command("evaluate").status == 2


@pytest.mark.process
def test_help_is_quick_and_imports_no_hydra() -> None:

    code = "import sys; from mnistlab import cli; cli.dispatch(['evaluate', '-h']); assert 'hydra' not in sys.modules"
    processes.run([sys.executable, "-c", code], check=True, capture_output=True)
