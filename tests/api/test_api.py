"""mnistlab from Python: the words, directories and results of the commands, as objects."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mnistlab
from mnistlab.runs import index

SMALL = ("experiment=smoke", "trainer.epochs=1", "trainer.threads=1", "report.plots=none")


@pytest.fixture
def run() -> Any:
    return mnistlab.train(*SMALL, "model=mlp_1hidden", "model.units=16", seed=3, quiet=True, tags=["a"], note="it's, 1")


def test_a_run_has_what_the_command_writes(run: Any, command: Callable[..., Any]) -> None:
    assert run.directory.is_relative_to(Path("outputs").absolute())
    assert run.state == "completed"
    assert (run.seed, run.tags, run.note) == (3, ("a",), "it's, 1")
    assert run.config["model"]["units"] == 16
    assert run.settings["model.units"] == 16
    assert len(run.history) == 1
    assert run.history.index.name == "epoch"
    assert len(run.predictions) == run.metrics["test"]["n"] == 300
    right = (run.predictions["label"] == run.predictions["predicted"]).mean()
    assert right == pytest.approx(run.metrics["test"]["accuracy"])
    overrides = (*SMALL, "model=mlp_1hidden", "model.units=16", "seed=3", "hydra.run.dir=typed")
    assert command("train", *overrides).status == 0
    assert (run.directory / "metrics.json").read_bytes() == Path("typed/metrics.json").read_bytes()


def test_a_file_of_settings_is_taken_as_by_the_command() -> None:
    Path("anna.yaml").write_text("experiment: smoke\nmodel: softmax\ntrainer: {epochs: 1}\nreport.plots: none\n")
    run = mnistlab.train("anna.yaml", "trainer.threads=1", seed=2, quiet=True)
    assert (run.seed, run.settings["model"]) == (2, "softmax")


def test_the_model_predicts_images(run: Any) -> None:
    images = np.zeros((3, 28, 28), np.uint8)
    probabilities = run.model.predict_proba(images)
    assert probabilities.shape == (3, 10)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert run.model.predict(images).tolist() == [run.model.class_names[i] for i in probabilities.argmax(axis=1)]
    with pytest.raises(mnistlab.RequestError, match=r"images \(3, 8, 8\) of uint8: must be uint8 \(n, 28, 28\)"):
        run.model.predict(np.zeros((3, 8, 8), np.uint8))


def test_plots_are_figures_by_name(run: Any) -> None:
    from matplotlib.figure import Figure

    assert "confusion_matrix" in dir(run.plot)
    assert isinstance(run.plot.confusion_matrix(), Figure)
    with pytest.raises(AttributeError, match=r"there is no plot confusion; .* \(did you mean confusion_matrix\?\)"):
        run.plot.confusion()


def test_labels_can_be_set(run: Any) -> None:
    run.tags = ("b", "c")
    run.note = "second"
    again = mnistlab.load_run("tag=b")
    assert again == run
    assert (again.tags, again.note) == (("b", "c"), "second")


def test_runs_are_shown_in_notebooks(run: Any) -> None:
    assert run._repr_html_().startswith("<table><tr><th>run</th>")
    assert repr(run).endswith(f"completed, test accuracy {100 * run.metrics['test']['accuracy']:.2f} %>")
    assert "<table" in mnistlab.runs()._repr_html_()


def test_a_run_is_trained_for_longer(run: Any) -> None:
    assert len(run.resume(epochs=2, quiet=True).history) == 2


def test_runs_is_a_list_and_still_a_package(run: Any) -> None:
    found = mnistlab.runs("outputs", "state=completed", "model=mlp*")
    assert [one.directory.name for one in found] == [run.directory.name]
    frame = found.frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame.loc[0, "test.accuracy"] == run.metrics["test"]["accuracy"]
    assert len(found[:1]) == len(found) == 1
    assert mnistlab.runs("outputs", "state=failed").frame().columns[0] == "directory"
    assert mnistlab.runs.index is index


def test_a_sweep_has_runs_a_table_and_verdicts() -> None:
    from matplotlib.figure import Figure

    sweep = mnistlab.sweep(*SMALL, "init=random,kaiming", "hydra/launcher=basic", seed=range(3), quiet=True)
    assert len(sweep.runs) == len(sweep.table) == 6
    assert sweep.table["state"].unique().tolist() == ["completed"]
    (verdict,) = mnistlab.compare(sweep).verdicts
    assert verdict.outcome == "better"
    assert verdict.text.startswith("kaiming beats random by ")
    assert mnistlab.compare(*sweep.runs).verdicts[0].p == verdict.p
    assert sweep.compare(margin=99).verdicts[0].outcome == "equivalent"
    assert list(sweep.compare().frame()["init"]) == ["kaiming", "random"]
    assert r"\textbf{" in sweep.compare().latex()
    for figure in (sweep.plot.metric("test.accuracy", by="init"), sweep.plot.metric(), sweep.plot.ranking()):
        assert isinstance(figure, Figure)
    with pytest.raises(mnistlab.RequestError, match=r"by=inti: must be a setting that varies: init"):
        sweep.plot.metric(by="inti")
    assert "<li>kaiming beats random" in sweep.compare()._repr_html_()
    assert len(sweep.resume("seed=range(4)", quiet=True).runs) == 8
    assert repr(sweep).endswith("8 jobs, 8 completed>")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: mnistlab.train("optimzer.lr=1"), "optimzer.lr: unknown key (did you mean optimizer.lr?)"),
        (
            lambda: mnistlab.train("seed"),
            "seed: must be an override, for example 'model.units=32'; use keywords for seed=3",
        ),
        (lambda: mnistlab.train("init=random,kaiming"), "init=random,kaiming: must be one value"),
        (
            lambda: mnistlab.load_run("nowhere"),
            "nowhere: not a run directory; name a run, last, best:METRIC or a filter",
        ),
        (lambda: mnistlab.runs("nowhere"), "nowhere: no such directory"),
        (lambda: mnistlab.compare("nowhere"), "nowhere: no such directory"),
        (lambda: mnistlab.sweep("init=random,kaiming", margin=1), "margin and looks: they are for until_decided=True"),
    ],
)
def test_a_wrong_request_is_an_error_and_never_an_exit(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(mnistlab.RequestError) as error:
        call()
    assert str(error.value).startswith(said)


def test_a_training_that_fails_raises_and_leaves_its_run() -> None:
    with pytest.raises(mnistlab.RunError, match="the loss is no longer finite"):
        mnistlab.train(*SMALL, "optimizer=sgd", "optimizer.lr=1e30", quiet=True)
    failed = mnistlab.load_run("last")
    assert failed.state == "failed"
    with pytest.raises(mnistlab.RequestError, match=r"there is no metrics\.json; the run is failed"):
        failed.metrics  # noqa: B018


def test_an_interrupted_run_can_be_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    from mnistlab.training import loop

    take, calls = loop.TrainingLoop._take_step, []

    def interrupted(self: Any, *arguments: Any, **keywords: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return take(self, *arguments, **keywords)

    monkeypatch.setattr(loop.TrainingLoop, "_take_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mnistlab.train(*SMALL, quiet=True)
    run = mnistlab.load_run("last")
    assert run.state == "interrupted"
    assert run.resume(quiet=True).state == "completed"


def test_everything_public_is_documented() -> None:
    for name in mnistlab.__all__:
        if name != "__version__":
            assert getattr(mnistlab, name).__doc__, name
    assert "data=mnist" in (mnistlab.train.__doc__ or "")
    assert set(mnistlab.__all__) <= set(dir(mnistlab))


def test_status_is_json(run: Any) -> None:
    assert json.loads((run.directory / "run.json").read_text())["seed"] == 3
