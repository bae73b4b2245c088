"""`mnistlab doctor`: runs made ill are recognised, the default runs are not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.runs import write_status

from mnistlab.analysis.doctor import checks
from mnistlab.analysis.doctor.checks import Finding, examine
from mnistlab.analysis.doctor.snapshot import RunSnapshot
from mnistlab.config import compose, schema
from mnistlab.models import model_file

Command = Callable[..., Any]
FEW = ("trainer.epochs=3", "data.limit=1000", "data.test_limit=100", "report.plots=none", "report.console=quiet")


@pytest.fixture
def examined(command: Command) -> Callable[..., dict[str, dict[str, Any]]]:
    """Train with these overrides and return what is found, by its sign."""

    def run(*overrides: str) -> dict[str, dict[str, Any]]:
        command("train", *FEW, *overrides, "hydra.run.dir=run")
        result = command("doctor", "run", "--json")
        assert result.status == 0, result.err
        return {one["sign"]: one for one in json.loads(result.out)["findings"]}

    return run


# health


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ("optimizer=sgd",),
        ("optimizer=momentum",),
        ("model=softmax", "optimizer.lr=0.01"),
        ("model=lenet5", "trainer.epochs=3"),
        ("model.activation=tanh", "regularization=dropout"),
    ],
    ids=" ".join,
)
def test_healthy_runs_are_left_in_peace(
    examined: Callable[..., dict[str, dict[str, Any]]], overrides: tuple[str, ...]
) -> None:
    found = examined("data.limit=null", "trainer.epochs=6", *overrides)
    assert {sign for sign, one in found.items() if one["severity"] != "note"} == set()


def test_nothing_odd_is_said_so(command: Command) -> None:
    command("train", *FEW, "data.limit=null", "trainer.epochs=6", "hydra.run.dir=run")
    assert command("doctor", "run").out == "No problems found (6 epochs, 512 training images examined)\n"


# illness


def test_a_rate_that_diverges_at_once(examined: Callable[..., dict[str, dict[str, Any]]]) -> None:
    found = examined("optimizer=sgd", "optimizer.lr=1e30")
    assert found["diverged"]["severity"] == "serious"
    assert "the loss is no longer finite at step" in found["diverged"]["what"]
    assert found["diverged"]["try"][:2] == ["optimizer.lr=1e+29", "trainer.clip_norm=1"]


@pytest.mark.parametrize("overrides", [("optimizer=sgd", "optimizer.lr=3"), ("optimizer.lr=1",)])
def test_a_rate_that_is_too_high(
    examined: Callable[..., dict[str, dict[str, Any]]], overrides: tuple[str, ...]
) -> None:
    found = examined(*overrides)
    assert found["lr too high"]["try"][1] == checks.LR_FIND
    assert found["lr too high"]["value"] > 3 * np.log(10)
    assert found["dead units"]["severity"] == "serious"


def test_a_rate_that_is_too_low(examined: Callable[..., dict[str, dict[str, Any]]]) -> None:
    found = examined("optimizer=sgd", "optimizer.lr=1e-4")
    assert found["lr too low"]["try"] == ["optimizer.lr=0.001", checks.LR_FIND]
    assert "underfitting" not in found


def test_training_that_ends_too_early(examined: Callable[..., dict[str, dict[str, Any]]]) -> None:
    found = examined("data.limit=null", "trainer.epochs=2", "optimizer=sgd", "optimizer.lr=0.05")
    assert found["underfitting"]["try"] == ["trainer.epochs=6"]
    assert found["underfitting"]["severity"] == "note"


def test_a_hundred_images_learnt_by_heart(examined: Callable[..., dict[str, dict[str, Any]]]) -> None:
    found = examined("data.limit=200", "data.validation=0.5", "trainer.epochs=40", "trainer.batch_size=20")
    assert found["overfitting"]["value"] > 0.1
    assert found["overfitting"]["try"][0] == "data.limit=null"


def test_sigmoids_that_start_saturated(examined: Callable[..., dict[str, dict[str, Any]]]) -> None:
    found = examined("model.activation=sigmoid", "init=random", "init.std=3")
    assert found["saturation"]["value"] > 0.5
    assert "init=xavier" in found["saturation"]["try"]
    assert "model.activation=relu" in found["saturation"]["try"]


def test_weights_of_zero_have_no_gradient(examined: Callable[..., dict[str, dict[str, Any]]]) -> None:
    found = examined("init=zeros")
    assert "layer 2 dense" in found["no gradient"]["what"]
    assert found["no gradient"]["try"][0] == "init=kaiming"


def test_a_deep_row_of_sigmoids_lets_the_gradient_vanish(
    examined: Callable[..., dict[str, dict[str, Any]]],
) -> None:
    found = examined("model.hidden=[30,30,30,30,30,30]", "model.activation=sigmoid", "trainer.epochs=1", "init=xavier")
    assert found["vanishing gradient"]["value"] < 1e-3
    assert found["vanishing gradient"]["try"][0] == "model.activation=relu"


def test_classes_that_are_rare(examined: Callable[..., dict[str, dict[str, Any]]]) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [360, 60])
    images = rng.integers(0, 100, (420, 12, 12)) + 100 * labels[:, None, None]
    lines = [",".join(map(str, [label, *image.ravel()])) for label, image in zip(labels, images, strict=True)]
    header = ",".join(["label", *(f"pixel{i}" for i in range(144))])
    Path("rare.csv").write_text("\n".join([header, *lines]) + "\n")
    found = examined("data=csv", "data.path=rare.csv", "data.limit=null", "data.test_limit=null")
    assert found["imbalance"]["value"] == pytest.approx(6, rel=0.05)
    assert found["imbalance"]["what"].startswith("class 0 has 2")


def test_dead_units_are_counted_on_the_training_images(command: Command, train: Callable[..., Path]) -> None:
    run = train()
    network, names = model_file.load_model(run / "model.safetensors")
    network.layers[1].params["b"][:64] = -1e6  # half of 128 never fire again
    model_file.save_model(run / "model.safetensors", network, names)
    found = {one["sign"]: one for one in json.loads(command("doctor", str(run), "--json").out)["findings"]}
    assert 0.5 <= found["dead units"]["value"] < 0.7
    assert "layer 3 relu" in found["dead units"]["what"]
    assert "model.activation=leaky_relu" in found["dead units"]["try"]


# every override that is proposed can be typed


@pytest.mark.slow
def test_every_override_that_is_proposed_composes(examined: Callable[..., dict[str, dict[str, Any]]]) -> None:
    proposed = {
        word
        for overrides in (
            ("init=zeros",),
            ("model.activation=sigmoid", "init=random", "init.std=3"),
            ("data.limit=200", "data.validation=0.5", "trainer.epochs=40", "trainer.batch_size=20"),
        )
        for one in (shutil.rmtree("run", ignore_errors=True), examined(*overrides))[1].values()
        for text in one["try"]
        if "`" not in text
        for word in text.split()
    }
    assert len(proposed) > 5
    for word in proposed | {"trainer.monitor=f1_macro", "trainer.select=best", "trainer.clip_norm=1"}:
        schema.experiment(compose.compose([word]))


# what is missing


def test_a_failed_run_is_examined_by_its_history(command: Command) -> None:
    write_status(Path("run"), "failed", error="the loss is no longer finite at step 9 (epoch 2): layer 2 dense; try x")
    Path("run/history.csv").write_text(
        "epoch,step,lr,train_loss,train_accuracy,val_loss,val_accuracy,grad_norm,seconds\n1,4,0.5,2.5,0.1,,,9,1\n"
    )
    result = command("doctor", "run")
    assert result.status == 0
    assert result.out.splitlines()[:5] == [
        "serious: diverged",
        "  training diverged after 1 complete epochs: the loss is no longer finite at step 9 (epoch 2): layer 2 dense",
        "  why  each step overshot by more than the one before until the numbers overflowed",
        "  try  optimizer.lr=0.05",
        "  or   trainer.clip_norm=1",
    ]
    assert "not examined: weights: no model.safetensors" in result.out


def test_a_model_alone_says_what_could_not_be_seen(command: Command, train: Callable[..., Path]) -> None:
    shutil.copy(train() / "model.safetensors", "alone.safetensors")
    Path("alone").mkdir()
    shutil.move("alone.safetensors", "alone/model.safetensors")
    result = command("doctor", "alone/model.safetensors")
    assert result.status == 0
    assert "No problems found (no images examined)" in result.out
    assert "not examined: history: no history.csv with an epoch" in result.out
    assert "not examined: activations: the training images are missing" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Usage: mnistlab doctor"),
        (["gone"], "gone: no such run directory"),
        (["empty"], "empty: not a run directory (no model.safetensors)"),
        (["a", "b"], "got unexpected extra argument (b); see `mnistlab doctor --help`"),
        (["empty", "--jsn"], "--jsn: no such option (did you mean --json?)"),
        (["sick"], "sick/history.csv: not a table written by mnistlab"),
        (["trees"], "trees: this is a scikit-learn model; it has no history and no weights to examine"),
    ],
)
def test_a_wrong_request_is_one_line(command: Command, arguments: list[str], message: str) -> None:
    Path("empty").mkdir()
    for name in ("sick", "trees"):
        write_status(Path(name))
    Path("sick/history.csv").write_text("epoch,train_loss\n1,high\n")
    Path("trees/metrics.json").write_text('{"learner": "scikit-learn"}')
    result = command("doctor", *arguments)
    assert result.status == 2
    assert message in result.err + result.out


# the arithmetic, on charts by hand


def chart(losses: list[float], val: list[float] | None = None, **others: Any) -> RunSnapshot:
    history = [
        {
            "epoch": float(i + 1),
            "lr": 0.1,
            "train_loss": loss,
            "val_loss": v,
            "train_accuracy": 0.9,
            "val_accuracy": 0.9,
        }
        for i, (loss, v) in enumerate(zip(losses, val or losses, strict=True))
    ]
    settings = {"optimizer": {"lr": 0.1}, **others.pop("settings", {})}
    return RunSnapshot(
        "completed", "", settings, history, others.pop("norms", {}), others.pop("metrics", {}), 10, {}, **others
    )


def signs(made: RunSnapshot) -> list[str]:
    return [one.sign for one in examine(made)]


def test_a_loss_that_rises_again_by_half_is_a_rate_too_high() -> None:
    assert signs(chart([1.0, 0.5, 0.76])) == ["lr too high"]
    assert signs(chart([1.0, 0.5, 0.7], [1.0, 0.5, 0.5])) == []


def test_the_step_relative_to_the_weights_is_that_of_the_rule() -> None:
    # 0.1 * 4 / 10 = 4 % a step; with momentum 0.9 ten times as much
    norms = {"layer 2 dense": {"epoch": 2.0, "weight_norm": 10.0, "grad_norm": 4.0}}
    (found,) = [one for one in examine(chart([0.5, 0.3], norms=norms)) if one.sign == "lr too high"]
    assert found.value == pytest.approx(0.04)
    small = {"layer 2 dense": {"epoch": 2.0, "weight_norm": 10.0, "grad_norm": 0.4}}
    assert "lr too high" not in signs(chart([0.5, 0.3], norms=small))
    with_momentum = {"optimizer": {"lr": 0.1, "momentum": 0.9}}
    assert "lr too high" in signs(chart([0.5, 0.3], norms=small, settings=with_momentum))
    adapts = {"optimizer": {"lr": 0.1, "beta1": 0.9}}
    assert "lr too high" not in signs(chart([0.5, 0.3], norms=norms, settings=adapts))


def test_a_class_that_is_never_recognised_is_named() -> None:
    per_class = [{"class": "cat", "recall": 0.0, "support": 9}, {"class": "dog", "recall": 0.5, "support": 9}]
    (found,) = examine(chart([0.5, 0.1], metrics={"validation": {"per_class": per_class}}))
    assert (found.sign, found.severity) == ("class missed", "serious")
    assert "no image of class cat in the validation set" in found.what


def test_the_serious_comes_first() -> None:
    per_class = [{"class": "cat", "recall": 0.0, "support": 9}]
    scores = {"train": {"accuracy": 1.0}, "validation": {"accuracy": 0.5, "per_class": per_class}}
    assert [one.severity for one in examine(chart([0.5, 0.1], metrics=scores))] == ["serious", "warning"]
    assert all(isinstance(one, Finding) for one in examine(chart([0.5, 0.1], metrics=scores)))
