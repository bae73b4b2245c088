"""Trackers: what a table, TensorBoard and MLflow hear of a run, and that none of them can change or end one."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistlab.config import compose, options, schema
from mnistlab.config.tracking import CsvTracking, MLflowTracking
from mnistlab.runs.tracking import csv as table
from mnistlab.runs.tracking import dispatcher
from mnistlab.runs.tracking.base import Facts
from mnistlab.runs.tracking.dispatcher import TrackingDispatcher, epoch_scalars, final_scalars
from mnistlab.system.errors import RequestError
from mnistlab.training.loop import Epoch, History

Train = Callable[..., Path]
Command = Callable[..., Any]
SMALL = ("data.limit=300", "model.hidden=[8]")
NAN = float("nan")
third_party = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
needs_tensorboard = pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="needs tensorboard")
needs_mlflow = pytest.mark.skipif(not importlib.util.find_spec("mlflow"), reason="needs mlflow")


def rows(path: Path = Path("outputs/tracking.csv")) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def history(run: Path) -> list[dict[str, str]]:
    return rows(run / "history.csv")


def row(epoch: int, loss: float) -> Epoch:
    return Epoch(epoch, 10 * epoch, 0.1, loss, 0.5, NAN, NAN, 1.0, 0.25)


def facts(**changes: Any) -> Facts:
    Path("run").mkdir(exist_ok=True)
    return Facts(**{"directory": Path("run").absolute(), "started_in": Path.cwd(), "settings": {"seed": 3}, **changes})


# --- what is told ---


def test_an_epoch_is_told_without_what_was_not_measured() -> None:
    told = epoch_scalars(row(2, 0.75))
    assert told == {"lr": 0.1, "train_loss": 0.75, "train_accuracy": 0.5, "grad_norm": 1.0, "seconds": 0.25}


def test_final_metrics_are_the_single_numbers_of_the_parts() -> None:
    metrics = {
        "seed": 3,
        "parameters": 7850,
        "test": {"accuracy": 0.5, "roc_auc": {"macro": 0.9, "per_class": {"0": 0.8}}, "per_class": [{"f1": 1.0}]},
    }
    assert final_scalars(metrics) == {"parameters": 7850, "test.accuracy": 0.5, "test.roc_auc.macro": 0.9}


class Recorder:
    def __init__(self, fails_at: int = 0) -> None:
        self.heard: list[Any] = []
        self.fails_at = fails_at

    def epoch(self, number: int, scalars: Any) -> None:
        if number == self.fails_at:
            raise ConnectionError("the server has gone\nand more")
        self.heard.append(number)

    def finish(self, scalars: Any, files: Any) -> None:
        self.heard.append([path.name for path in files])

    def close(self, state: str) -> None:
        self.heard.append(state)


def test_every_epoch_is_told_once_and_those_of_an_earlier_attempt_again() -> None:
    recorder = Recorder()
    listener = TrackingDispatcher(recorder, "mlflow")
    so_far = History([row(1, 3.0), row(2, 2.0)])
    listener.on_epoch(so_far)
    listener.on_epoch(so_far)
    so_far.epochs.append(row(3, 1.0))
    listener.on_epoch(so_far)
    assert recorder.heard == [1, 2, 3]


def test_only_files_that_are_there_are_handed_over() -> None:
    recorder = Recorder()
    Path("there.png").touch()
    TrackingDispatcher(recorder, "mlflow").finish({}, [Path("there.png"), Path("missing.png")])
    assert recorder.heard == [["there.png"]]


def test_a_tracker_that_fails_is_one_warning_and_hears_no_more(
    train: Train, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = train("hydra.run.dir=plain", *SMALL, "trainer.epochs=3")
    recorder = Recorder(fails_at=2)
    monkeypatch.setattr("mnistlab.runs.tracking.dispatcher._open", lambda *_: recorder)
    small = ["experiment=smoke", *SMALL, "trainer.epochs=3", "report.plots=none"]
    result = command("train", *small, "tracking=csv", "hydra.run.dir=run", "-q")
    assert result.status == 0
    assert (
        result.err
        == "warning: tracking=csv: ConnectionError: the server has gone; the run continues without tracking\n"
    )
    assert recorder.heard == [1]
    assert (plain / "metrics.json").read_bytes() == Path("run/metrics.json").read_bytes()


def test_a_tracker_hears_how_the_run_ended(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr("mnistlab.runs.tracking.dispatcher._open", lambda *_: recorder)
    small = ["experiment=smoke", *SMALL, "report.plots=none", "tracking=csv"]
    assert command("train", *small, "optimizer=sgd", "optimizer.lr=1e30").status == 1
    assert recorder.heard[-1] == "failed"

    def interrupt(number: int, scalars: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recorder, "epoch", interrupt)
    assert command("train", *small).status == 130
    assert recorder.heard[-1] == "interrupted"


# --- the configuration ---


@pytest.mark.slow
def test_tracking_decides_no_number(train: Train) -> None:
    base = schema.config_hash(compose.compose([]))
    for option in options.option_names("tracking"):
        assert schema.config_hash(compose.compose([f"tracking={option}"])) == base
    plain, tracked = train("hydra.run.dir=plain", *SMALL), train("hydra.run.dir=tracked", "tracking=csv", *SMALL)
    assert (plain / "metrics.json").read_bytes() == (tracked / "metrics.json").read_bytes()
    assert {path.name for path in plain.iterdir()} == {path.name for path in tracked.iterdir()}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["tracking=csv", "tracking.file=runs.txt"], "tracking.file=runs.txt: must be the name of a table"),
        (
            ["tracking=mlflow", "tracking.uri=mlruns"],
            "tracking.uri=mlruns: must be sqlite:///FILE or the address of a server",
        ),
        (["tracking=mlflow", "tracking.uri=http://me:secret@host"], "tracking.uri: the address contains a user name"),
        (["tracking=mlflow", "tracking.experiment=' '"], "tracking.experiment: must be the name of an experiment"),
    ],
)
def test_a_wrong_setting_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(RequestError) as error:
        schema.experiment(compose.compose(overrides))
    assert str(error.value).startswith(message)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_package_that_is_missing_is_named_with_its_cure(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("mnistlab.runs.tracking.dispatcher.find_spec", lambda package: None)
    result = command("train", "experiment=smoke", f"tracking={name}")
    assert (result.status, result.out) == (2, "")
    assert result.err == (
        f"mnistlab train: error: tracking={name}: the package {name} is not installed; "
        f"run pip install '.[{name}]' in a clone of mnistlab\n"
    )
    assert not Path("outputs").exists()


@pytest.mark.slow
def test_a_run_made_before_there_was_tracking_is_resumed_and_repeated(train: Train, command: Command) -> None:
    run = train("hydra.run.dir=run", *SMALL)
    path = run / ".hydra" / "config.yaml"
    text = path.read_text()
    assert "tracking: {}\n" in text
    path.write_text(text.replace("tracking: {}\n", ""))
    about = json.loads((run / "environment.json").read_text())
    del about["schemas"]["tracking"]
    (run / "environment.json").write_text(json.dumps(about))
    assert command("resume", "run", "trainer.epochs=3").status == 0
    assert command("rerun", "run").status == 0


def test_a_repetition_is_not_tracked(train: Train, command: Command) -> None:
    train("hydra.run.dir=run", "tracking=csv", *SMALL)
    assert command("rerun", "run", "--to", "again").status == 0
    assert [one["directory"] for one in rows()] == ["run"]


# --- tracking=csv ---


def test_the_table_has_a_row_a_run_with_settings_and_results(train: Train) -> None:
    first = train("hydra.run.dir=a", "tracking=csv", "optimizer=sgd", *SMALL)
    train("hydra.run.dir=b", "tracking=csv", "model=svm_rbf", "seed=1", "data.limit=300")
    a, b = rows()
    metrics = json.loads((first / "metrics.json").read_text())
    assert list(a)[:4] == ["directory", "sweep", "state", "epoch"]
    assert (a["directory"], a["sweep"], a["state"], a["epoch"]) == ("a", "", "completed", "2")
    assert float(a["val_loss"]) == float(history(first)[-1]["val_loss"])
    assert float(a["test.accuracy"]) == metrics["test"]["accuracy"]
    assert (a["optimizer"], a["optimizer.lr"], a["model.hidden"], a["seed"]) == ("sgd", "0.1", "[8]", "0")
    assert not [key for key in a if key.startswith(("report", "tracking"))]
    assert (b["directory"], b["epoch"], b["optimizer"], b["model"], b["seed"]) == ("b", "", "", "svm_rbf", "1")


def test_the_row_of_a_resumed_run_is_brought_up_to_date(train: Train, command: Command) -> None:
    train("hydra.run.dir=run", "tracking=csv", *SMALL)
    assert command("resume", "run", "trainer.epochs=3").status == 0
    (one,) = rows()
    assert (one["epoch"], one["trainer.epochs"], one["state"]) == ("3", "3", "completed")


@pytest.mark.slow
def test_the_jobs_of_a_sweep_share_the_table(command: Command) -> None:
    small = ["experiment=smoke", *SMALL, "trainer.epochs=1", "report.plots=none", "tracking=csv"]
    assert command("train", "-m", *small, "seed=0,1,2,3", "hydra.sweep.dir=sweep").status == 0
    found = rows()
    assert {(one["sweep"], one["seed"], one["state"]) for one in found} == {
        ("sweep", str(seed), "completed") for seed in range(4)
    }
    assert {one["directory"] for one in found} == {f"sweep/{seed}_seed={seed}" for seed in range(4)}


@pytest.mark.parametrize("file", ["../all.csv", "{here}/all.csv"])
def test_runs_of_two_folders_have_rows_of_their_own_in_a_shared_table(file: str) -> None:
    here = Path.cwd()
    tracking = CsvTracking(file=file.format(here=here))
    runs = [here / folder / "outputs" / "first" for folder in ("one", "two")]
    for run in (*runs, runs[0]):
        table.Table(tracking, facts(directory=run, started_in=run.parent.parent)).close("completed")
    assert [row["directory"] for row in rows(Path("all.csv"))] == [str(run) for run in runs]


def test_a_file_that_is_no_table_of_runs_is_left_alone(command: Command) -> None:
    Path("mine.csv").write_text("a,b\n1,2\n")
    result = command("train", "experiment=smoke", *SMALL, "tracking=csv", "tracking.file=mine.csv")
    assert result.status == 2
    assert "mine.csv: not a table of runs; choose another file" in result.err
    assert Path("mine.csv").read_text() == "a,b\n1,2\n"


def test_a_row_begins_before_the_first_epoch() -> None:
    with dispatcher.listening(CsvTracking(file="t.csv"), facts(sweep="grid")) as listener:
        assert [(one["state"], one.get("epoch", "")) for one in rows(Path("t.csv"))] == [("running", "")]
        listener.on_epoch(History([row(1, 0.5)]))
    (one,) = table.read(Path("t.csv"))
    assert (one["state"], one["epoch"], one["train_loss"], one["seed"]) == ("completed", "1", "0.5", "3")
    assert "val_loss" not in one  # there was no validation set


# --- tracking=tensorboard ---


def events(run: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0})
    found.Reload()
    return found


@pytest.mark.slow
@needs_tensorboard
@third_party
def test_tensorboard_reads_the_curves_the_metrics_the_settings_and_the_pictures(command: Command) -> None:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    run = Path("run")
    assert command("train", "experiment=smoke", *SMALL, "tracking=tensorboard", "hydra.run.dir=run").status == 0
    found = events(run)
    for tag, column in (("loss/validation", "val_loss"), ("accuracy/train", "train_accuracy")):
        told = [(one.step, one.value) for one in found.Scalars(tag)]
        assert told == [(int(one["epoch"]), np.float32(one[column])) for one in history(run)]
    (accuracy,) = found.Scalars("final/test.accuracy")
    metrics = json.loads((run / "metrics.json").read_text())
    assert (accuracy.step, accuracy.value) == (2, np.float32(metrics["test"]["accuracy"]))
    (plot,) = found.Images("plots/curves")
    assert plot.encoded_image_string == (run / "plots" / "curves.png").read_bytes()
    content = HParamsPluginData.FromString(
        found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    ).session_start_info.hparams
    assert content["optimizer.lr"].number_value == 0.001
    assert content["model.hidden"].string_value == "[8]"


@needs_tensorboard
@third_party
def test_tensorboard_shows_a_resumed_run_as_one_curve(train: Train, command: Command) -> None:
    run = train("hydra.run.dir=run", "tracking=tensorboard", *SMALL)
    assert command("resume", "run", "trainer.epochs=4", "-q").status == 0
    assert [one.step for one in events(run).Scalars("loss/train")] == [1, 2, 3, 4]
    assert len(list((run / "tensorboard").iterdir())) == 2


# --- tracking=mlflow ---


@pytest.mark.slow
@needs_mlflow
@third_party
def test_mlflow_has_the_run_and_goes_on_with_it_when_it_is_resumed(train: Train, command: Command) -> None:
    run = train("hydra.run.dir=run", "tracking=mlflow", "tracking.experiment=digits", *SMALL)
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{Path('outputs/mlflow.db').absolute()}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "digits"]
    (stored,) = client.search_runs([experiment.experiment_id])
    metrics = json.loads((run / "metrics.json").read_text())
    assert (stored.info.status, stored.info.run_name) == ("FINISHED", "run")
    assert (stored.data.params["optimizer.lr"], stored.data.params["model.hidden"]) == ("0.001", "[8]")
    assert stored.data.metrics["test.accuracy"] == metrics["test"]["accuracy"]
    place = Path(stored.info.artifact_uri.removeprefix("file://"))
    assert place.is_relative_to(Path("outputs/mlflow-artifacts").absolute())
    assert (place / "metrics.json").read_bytes() == (run / "metrics.json").read_bytes()
    names = {one.path for one in client.list_artifacts(stored.info.run_id)}
    assert {"model.safetensors", "history.csv", "report.html", "environment.json"} <= names

    assert command("resume", "run", "trainer.epochs=3", "-q").status == 0
    (again,) = client.search_runs([experiment.experiment_id])
    told = client.get_metric_history(again.info.run_id, "val_loss")
    assert [(one.step, one.value) for one in sorted(told, key=lambda one: one.step)] == [
        (int(one["epoch"]), float(one["val_loss"])) for one in history(run)
    ]
    assert json.loads((run / "tracking.json").read_text())["run_id"] == again.info.run_id

    with dispatcher.listening(MLflowTracking(), facts(sweep="grid")):
        pass
    (job,) = client.search_runs(
        [client.get_experiment_by_name("mnistlab").experiment_id], filter_string="tags.sweep = 'grid'"
    )
    assert job.info.run_name == "grid/run"


@needs_mlflow
@third_party
def test_a_store_that_cannot_be_opened_is_refused_before_the_first_batch(command: Command) -> None:
    Path("mine.db").write_text("this is no database, and it must stay as it is")
    result = command("train", "experiment=smoke", *SMALL, "tracking=mlflow", "tracking.uri=sqlite:///mine.db")
    assert result.status == 2
    assert result.err.startswith("mnistlab train: error: tracking=mlflow: cannot be opened (")
    assert "tracking=none" in result.err
    assert Path("mine.db").read_text() == "this is no database, and it must stay as it is"
