"""`mnistlab resume RUN` and `mnistlab rerun RUN`: what they do with every kind of run, and what they refuse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  its BLAS belongs to the environment, from the first run of these tests to the last
import yaml

from mnistlab.config import compose, schema
from mnistlab.runs import lifecycle, paths, saved_config
from mnistlab.system.locks import held
from mnistlab.system.readers import read_json
from mnistlab.training.loop import TrainingLoop

Command = Callable[..., Any]
SMALL = ("data=digits", "data.limit=200", "data.test_limit=100", "model.hidden=[12]", "report.plots=none")
SAME = ("metrics.json", "model.safetensors", "predictions.npz", "norms.csv")


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def completed(made_once: Path, command: Command) -> Path:
    """A completed run of four epochs; every test gets a copy."""
    kept = made_once / "completed"
    if not kept.exists():
        assert command("train", *SMALL, "trainer.epochs=4", f"hydra.run.dir={kept}").status == 0
    return Path(shutil.copytree(kept, "r"))


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def interrupted(command: Command, monkeypatch: pytest.MonkeyPatch, *overrides: str, calls: int = 12) -> Path:
    """Train in ``r`` until a later step begins, and interrupt it there."""
    take = TrainingLoop._take_step

    def cut(self: TrainingLoop, *arguments: Any) -> None:
        if (self.epoch - 1) * self.steps + self.step >= calls:
            raise KeyboardInterrupt
        take(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "_take_step", cut)
        assert command("train", *SMALL, "trainer.epochs=4", "hydra.run.dir=r", *overrides).status == 130
    return Path("r")


def whole(command: Command, *overrides: str) -> Path:
    assert command("train", *SMALL, *overrides, "hydra.run.dir=whole").status == 0
    return Path("whole")


def test_a_run_goes_on_in_its_directory(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = interrupted(command, monkeypatch, "trainer.batch_size=32", "optimizer=momentum", "schedule=one_cycle")
    result = command("resume", "r")
    assert result.status == 0, result.err
    assert "resume  in epoch 3, after 0 of 6 steps" in result.out  # 180 images make six steps an epoch, so 12 are two
    expected = whole(command, "trainer.epochs=4", "trainer.batch_size=32", "optimizer=momentum", "schedule=one_cycle")
    for name in SAME:
        assert (cut / name).read_bytes() == (expected / name).read_bytes(), name


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_more_epochs_make_the_run_that_had_been_asked_for_so_many(
    completed: Path, command: Command, schedule: str
) -> None:
    if schedule != "constant":
        shutil.rmtree("r")
        request = ("trainer.epochs=4", f"schedule={schedule}", "hydra.run.dir=r")
        assert command("train", *SMALL, *request).status == 0
    assert command("resume", "r", "trainer.epochs=6").status == 0
    expected = whole(command, "trainer.epochs=6", f"schedule={schedule}")
    for name in SAME:
        assert (completed / name).read_bytes() == (expected / name).read_bytes(), name
    assert "trainer.epochs=6" in yaml.safe_load((completed / ".hydra/overrides.yaml").read_text())
    assert yaml.safe_load((completed / ".hydra/config.yaml").read_text())["trainer"]["epochs"] == 6
    states = [json.loads((each / "status.json").read_text()) for each in (completed, expected)]
    assert states[0]["config_hash"] == states[1]["config_hash"]


def test_a_completed_run_says_so(completed: Path, command: Command) -> None:
    before = {path: path.read_bytes() for path in completed.rglob("*") if path.is_file()}
    result = command("resume", "r")
    said = "r: this run is completed; to train it longer, set trainer.epochs=N to more epochs than it has\n"
    assert (result.status, result.out, result.err) == (0, said, "")
    assert {path: path.read_bytes() for path in completed.rglob("*") if path.is_file()} == before


def test_what_was_trained_but_not_evaluated_is_evaluated(completed: Path, command: Command) -> None:
    before = {name: (completed / name).read_bytes() for name in SAME}
    change(completed / "status.json", state="interrupted")
    for name in (*SAME, "history.csv"):
        (completed / name).unlink()
    result = command("resume", "r")
    assert result.status == 0, result.err
    assert "epoch 4/4" not in result.out  # nothing was trained again
    assert {name: (completed / name).read_bytes() for name in SAME} == before
    assert (completed / "history.csv").read_text().count("\n") == 5


def test_without_a_checkpoint_it_starts_again(completed: Path, command: Command) -> None:
    before = {name: (completed / name).read_bytes() for name in SAME}
    change(completed / "status.json", state="interrupted")
    (completed / paths.CHECKPOINT).unlink()
    result = command("resume", "r")
    assert result.status == 0, result.err
    assert "no checkpoint: training starts from the beginning" in result.out
    assert {name: (completed / name).read_bytes() for name in SAME} == before


@pytest.mark.parametrize("keeps_checkpoint", [True, False])
def test_the_environment_is_that_of_the_attempt_whose_state_is_in_the_results(
    completed: Path, command: Command, keeps_checkpoint: bool
) -> None:
    change(completed / paths.STATUS, state="interrupted")
    about = read_json(completed / paths.ENVIRONMENT)
    older = {**about["data"], "sha256": "older"}
    change(completed / paths.ENVIRONMENT, python="2.7", data=older, resumed=[{"at": "1"}])
    if not keeps_checkpoint:
        (completed / paths.CHECKPOINT).unlink()
    assert command("resume", "r").status == 0
    now = read_json(completed / paths.ENVIRONMENT)
    first, second = now["resumed"]
    assert first == {"at": "1"}
    assert now["command"] == about["command"]
    assert second["command"][1:3] == ["resume", "r"]
    if keeps_checkpoint:
        assert (now["python"], now["data"]["sha256"]) == ("2.7", "older")
        assert second["differs"]["python"] == about["python"]
    else:
        assert (now["python"], now["data"]) == (about["python"], about["data"])
        assert second["from_start"] is True
        assert now["data"]["sha256"] == read_json(completed / paths.METRICS)["data_sha256"]


def test_a_model_of_scikit_learn_is_fitted_again(command: Command) -> None:
    request = (
        "data=digits",
        "data.limit=200",
        "model=softmax",
        "model=logistic",
        "report.plots=none",
        "hydra.run.dir=r",
    )
    assert command("train", *request[:2], *request[3:]).status == 0
    before = Path("r/metrics.json").read_bytes()
    change(Path("r/status.json"), state="interrupted")
    assert command("resume", "r").status == 0
    assert Path("r/metrics.json").read_bytes() == before
    result = command("resume", "r", "trainer.epochs=20")
    assert result.err.endswith(
        "trainer.epochs=20: a scikit-learn model is fitted in one step and has no epochs; leave it out\n"
    )


def test_unfinished_files_of_a_killed_process_are_removed(completed: Path, command: Command) -> None:
    change(completed / "status.json", state="interrupted")
    left = completed / ".metrics.json.abcd1234"
    left.write_text("{")
    (completed / ".notes").write_text("of the user")
    assert command("resume", "r").status == 0
    assert not left.exists()
    assert (completed / ".notes").exists()


REFUSED = {
    (
        "optimizer.lr=0.1",
    ): "optimizer.lr=0.1: a run is resumed with its own configuration; only trainer.epochs=N may be changed",
    (
        "trainer.epoch=9",
    ): "trainer.epoch=9: a run is resumed with its own configuration; only trainer.epochs=N may be changed (did",
    ("trainer.epochs=many",): "trainer.epochs=many: the number of epochs must be a whole number of 1 or more",
    ("trainer.epochs=3",): "trainer.epochs=3: the run has already been trained for 4 epochs; set more, or leave it out",
    ("--quite",): "--quite: no such option (did you mean --quiet?); see `mnistlab resume --help`",
    ("seed",): "seed: a run is resumed with its own configuration; only trainer.epochs=N may be changed",
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_wrong_request_leaves_the_run_as_it_is(words: tuple[str, ...], completed: Path, command: Command) -> None:
    before = {path: path.read_bytes() for path in completed.rglob("*") if path.is_file()}
    result = command("resume", "r", *words)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"mnistlab resume: error: {REFUSED[words]}")
    assert {path: path.read_bytes() for path in completed.rglob("*") if path.is_file()} == before


def test_a_schedule_over_all_epochs_is_not_stretched(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(command, monkeypatch, "schedule=cosine", calls=4)
    result = command("resume", "r", "trainer.epochs=8")
    assert result.status == 2
    assert (
        "trainer.epochs=8: the schedule Cosine depends on the total number of epochs, so the first epochs would have "
        "had other learning rates; start a new run, or keep 4" in result.err
    )
    assert command("resume", "r").status == 0


def test_a_run_that_stopped_early_is_not_trained_on(command: Command) -> None:
    request = ("trainer.epochs=60", "trainer.patience=1", "optimizer.lr=0.05", "hydra.run.dir=r")
    assert command("train", *SMALL, *request).status == 0
    result = command("resume", "r", "trainer.epochs=99")
    assert result.status == 2
    assert "r stopped early after " in result.err


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no configuration": (
        lambda r: (r / ".hydra/config.yaml").unlink(),
        "config.yaml: no such file, so the configuration of the run",
    ),
    "no YAML": (lambda r: (r / ".hydra/config.yaml").write_text("a: ["), "config.yaml: not readable (while parsing"),
    "a list": (lambda r: (r / ".hydra/config.yaml").write_text("[1]"), "config.yaml: must be a configuration"),
    "code": (
        lambda r: edit(r, lambda c: c.update(_target_="os.system")),
        "config.yaml: unknown key _target_",
    ),
    "code below": (
        lambda r: edit(r, lambda c: c["data"].update(_target_="os.system")),
        "config.yaml: data._target_: Key",
    ),
    "Python": (
        lambda r: (r / ".hydra/config.yaml").write_text("seed: !!python/object/apply:os.system ['true']"),
        "config.yaml: not readable (the tag tag:yaml.org,2002:python/object/apply:os.system ",
    ),
    "to be resolved": (
        lambda r: edit(r, lambda c: c.update(seed="${oc.env:HOME}")),
        "config.yaml: '${oc.env:HOME}' is an interpolation, which a saved configuration must not contain",
    ),
    "too much": (
        lambda r: (r / ".hydra/config.yaml").write_text(LAUGHS),
        "config.yaml: not readable (more than 20,000 values, with every alias expanded; shorten the configuration); "
        "start",
    ),
    "a wrong value": (
        lambda r: edit(r, lambda c: c["optimizer"].update(lr=-1)),
        "optimizer.lr=-1.0: the learning rate",
    ),
    "a wrong type": (
        lambda r: edit(r, lambda c: c["optimizer"].update(lr="x")),
        "config.yaml: optimizer.lr: Value 'x'",
    ),
    "a wrong type outside of the groups": (
        lambda r: edit(r, lambda c: c.update(seed=0.5)),
        "config.yaml: seed: Value '0.5'",
    ),
    "another setting": (
        lambda r: edit(r, lambda c: c["optimizer"].update(lr=0.5)),
        "r/checkpoint.safetensors: it was written with optimizer.lr=0.001, but the run now has optimizer.lr=0.5; ",
    ),
    "another kind of component": (
        lambda r: change(r / "environment.json", schemas={"data": "os"}),
        "config.yaml: r does not record the option of data",
    ),
    "a damaged checkpoint": (
        lambda r: (r / paths.CHECKPOINT).write_text("x" * 50),
        "r/checkpoint.safetensors: not a readable safetensors file",
    ),
}
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def edit(directory: Path, changes: Callable[[dict[str, Any]], Any]) -> None:
    path = directory / ".hydra/config.yaml"
    content = yaml.safe_load(path.read_text())
    changes(content)
    path.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize("case", DAMAGE)
def test_what_is_damaged_or_hostile_is_one_error_and_the_run_stays_as_it_is(
    case: str, completed: Path, command: Command
) -> None:
    change(completed / "status.json", state="interrupted")
    damage, message = DAMAGE[case]
    damage(completed)
    there = [name for name in lifecycle.REWRITTEN if (completed / name).exists()]
    before = {name: (completed / name).read_bytes() for name in there}
    result = command("resume", "r", "trainer.epochs=6")
    assert result.status == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert {name: (completed / name).read_bytes() for name in there} == before


def test_other_data_under_the_same_name_is_refused(command: Command) -> None:
    def write(seed: int) -> None:
        images = np.random.default_rng(seed).integers(0, 256, (200, 8, 8), dtype=np.uint8)
        np.savez("own.npz", images=images, labels=np.arange(200) % 10)

    write(0)
    request = ("data=npz", "data.path=own.npz", "model.hidden=[5]", "report.plots=none", "hydra.run.dir=r")
    assert command("train", *request, "trainer.epochs=2").status == 0
    write(1)
    result = command("resume", "r", "trainer.epochs=3")
    assert result.status == 2
    assert "r/checkpoint.safetensors: it was trained on other images (sha256 " in result.err


def test_a_held_run_is_refused(completed: Path, command: Command) -> None:
    change(completed / "status.json", state="interrupted")
    with held(completed):
        result = command("resume", "r")
    assert (result.status, "r: this run is still running" in result.err) == (2, True)


@pytest.mark.slow
def test_the_jobs_of_a_sweep_go_on_from_their_checkpoints(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ("-m", *SMALL, "trainer.epochs=4", "seed=1,2", "hydra/launcher=basic")
    assert command("train", *request, "hydra.sweep.dir=whole").status == 0
    take, calls = TrainingLoop._take_step, []

    def cut(self: TrainingLoop, *arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 17:  # in the second job
            raise KeyboardInterrupt
        take(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "_take_step", cut)
        result = command("train", *request, "hydra.sweep.dir=s")
    assert (result.status, result.err) == (130, "mnistlab train: error: interrupted\n")
    calls.clear()
    monkeypatch.setattr(
        TrainingLoop, "_take_step", lambda self, *arguments: (calls.append(1), take(self, *arguments))[1]
    )
    assert command("resume", "s", "hydra/launcher=basic").status == 0
    assert len(calls) == 2 * 4 * 3 - 16  # of three steps an epoch, only those that were left
    for job in ("0_seed=1", "1_seed=2"):
        for name in SAME:
            assert Path("s", job, name).read_bytes() == Path("whole", job, name).read_bytes(), name


# --- the saved configuration ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.hidden=[12]", "trainer.checkpoint_every=5min", "regularization.dropout=[0.1,0.2]"],
        ["model=lenet5", "optimizer=nesterov", "schedule=plateau", "init=orthogonal", "augment=elastic"],
        ["model=svm_rbf", "data=csv", "data.path=x.csv"],
        ["regularization=[l1,dropout]", "trainer=early_stopping", "trainer.select=best"],
    ],
)
def test_a_configuration_comes_back_as_it_was_composed(overrides: list[str]) -> None:
    composed = compose.compose(overrides)
    lifecycle._describe(Path(), composed, {})
    Path("environment.json").write_text(json.dumps({"schemas": schema.schemas(schema.experiment(composed))}))
    again = saved_config.read(Path())
    assert schema.experiment(again) == schema.experiment(composed)
    assert schema.config_hash(again) == schema.config_hash(composed)


# --- rerun ------------------------------------------------------------------------------------------------------------


def test_a_run_is_repeated_to_the_same_bytes(completed: Path, command: Command) -> None:
    before = {path: path.read_bytes() for path in completed.rglob("*") if path.is_file()}
    result = command("rerun", "r", "--to", "again")
    assert result.status == 0, result.err
    assert result.out.splitlines()[-1] == "identical: metrics.json of again has the same bytes as that of r"
    assert {path: path.read_bytes() for path in completed.rglob("*") if path.is_file()} == before
    for name in SAME:
        assert Path("again", name).read_bytes() == (completed / name).read_bytes(), name


def test_environment_and_configuration_are_all_that_a_repetition_needs(completed: Path, command: Command) -> None:
    kept = {".hydra/config.yaml", "environment.json", "metrics.json", "status.json"}
    for path in [path for path in completed.rglob("*") if path.is_file()]:
        if str(path.relative_to(completed)) not in kept:
            path.unlink()
    assert command("rerun", "r", "--to", "again", "--quiet").status == 0


def test_a_model_of_scikit_learn_is_repeated(command: Command) -> None:
    request = ("data=digits", "data.limit=200", "model=random_forest", "report.plots=none", "hydra.run.dir=r")
    assert command("train", *request).status == 0
    assert "identical: " in command("rerun", "r").out


def test_a_run_from_before_the_key_train_ranking_is_repeated_with_it(command: Command) -> None:
    request = ("experiment=smoke", "trainer.epochs=1", "report.plots=none", "report.train_ranking=true")
    assert command("train", *request, "hydra.run.dir=r").status == 0
    config = Path("r/.hydra/config.yaml")
    config.write_text(config.read_text().replace("  train_ranking: true\n", ""))
    assert "identical: " in command("rerun", "r").out


def test_what_differs_is_named_in_numbers_and_in_the_environment(completed: Path, command: Command) -> None:
    metrics = json.loads((completed / "metrics.json").read_text())
    accuracy = metrics["test"]["accuracy"]
    metrics["test"]["accuracy"] = accuracy + 0.25
    (completed / "metrics.json").write_text(json.dumps(metrics))
    packages = json.loads((completed / "environment.json").read_text())["packages"]
    change(completed / "environment.json", packages={**packages, "numpy": "0.1"}, cpu="an abacus")
    result = command("rerun", "r", "--to", "again", "-q")
    assert result.status == 1
    said = result.out.splitlines()
    here = read_json(Path("again/environment.json"))
    start = next(i for i, line in enumerate(said) if line.startswith("different: 1 of "))
    assert said[start + 1 :] == [
        f"  test.accuracy: {accuracy + 0.25} -> {accuracy} (by -0.25)",
        "the environment differs:",
        f"  packages.numpy: 0.1 -> {np.__version__}",
        f"  cpu: an abacus -> {here['cpu']}",
    ]


def test_the_same_environment_is_said_to_be_the_same(completed: Path, command: Command) -> None:
    change(completed / "metrics.json", seed=7)
    result = command("rerun", "r", "--to", "again", "-q")
    assert (result.status, result.out.splitlines()[-2:]) == (
        1,
        ["  seed: 7 -> 0 (by -7)", "environment.json shows no difference"],
    )


WRONG = {
    ("nowhere",): "nowhere: not a run directory (no status.json)",
    ("r", "x"): "got unexpected extra argument (x); see `mnistlab rerun --help`",
    ("r", "--to", "r"): "--to r: already exists; name a new directory",
    ("r", "--too", "x"): "--too: no such option (did you mean --to?); see `mnistlab rerun --help`",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_request_to_repeat(words: tuple[str, ...], completed: Path, command: Command) -> None:
    result = command("rerun", *words)
    assert (result.status, result.out, result.err) == (2, "", f"mnistlab rerun: error: {WRONG[words]}\n")


def test_only_what_is_completed_can_be_compared_with(completed: Path, command: Command) -> None:
    change(completed / "status.json", state="failed")
    result = command("rerun", "r")
    said = "mnistlab rerun: error: r: this run is failed; only a completed run can be repeated and compared\n"
    assert (result.status, result.err) == (2, said)
