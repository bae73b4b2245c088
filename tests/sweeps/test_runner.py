"""Sweeps end to end: the grid, the manifest, failures that stay alone, launchers that agree, and resuming."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import processes
from helpers.processes import wait_until
from helpers.runs import write_status
from helpers.tables import thinned

from mnistlab.runs import labels, status
from mnistlab.runs.environment import all_cores
from mnistlab.runs.labels import Labels
from mnistlab.sweeps import manifest, records
from mnistlab.sweeps.grid import plan
from mnistlab.sweeps.job import settle, status_bytes
from mnistlab.sweeps.launchers.joblib import shares
from mnistlab.system import locks

Command = Callable[..., Any]
PROGRAM = [sys.executable, "-m", "mnistlab"]
SMALL = ("experiment=smoke", "model=softmax", "trainer.epochs=1", "trainer.threads=1", "report.plots=none")
BASIC = ("hydra/launcher=basic",)
DIVERGES, IMPOSSIBLE = "optimizer.lr=0.1,1e30", "trainer.batch_size=32,100000"


def rows(sweep: Path | str) -> list[dict[str, str]]:
    with (Path(sweep) / "summary.csv").open() as file:
        return list(csv.DictReader(file))


def states(sweep: Path | str) -> list[str]:
    return [row["state"] for row in rows(sweep)]


# --- the grid ---------------------------------------------------------------------------------------------------------


def settings(*overrides: str) -> list[dict[str, Any]]:
    return [dict(job.entry.settings) for job in plan([*overrides, "hydra.sweep.dir=s"]).jobs]


def test_the_jobs_are_the_product_of_all_lists_and_ranges() -> None:
    assert settings("model=softmax,mlp_1hidden", "seed=range(2)") == [
        {"model": "softmax", "seed": 0},
        {"model": "softmax", "seed": 1},
        {"model": "mlp_1hidden", "seed": 0},
        {"model": "mlp_1hidden", "seed": 1},
    ]


def test_lists_are_values_of_a_choice() -> None:
    assert settings("model.hidden=[64],[32,16]") == [{"model.hidden": [64]}, {"model.hidden": [32, 16]}]


def test_several_options_of_a_group_are_one_value() -> None:
    found = settings("regularization=[l2,dropout],none")
    assert found == [{"regularization": "[l2,dropout]"}, {"regularization": "none"}]


def test_globs_name_the_options_of_a_group() -> None:
    assert settings("init=glob(kaiming*)") == [{"init": "kaiming"}, {"init": "kaiming_uniform"}]


def test_a_directory_is_named_by_what_varies_only() -> None:
    jobs = plan(["data.limit=500", "optimizer.lr=0.1,0.2", "hydra.sweep.dir=s"]).jobs
    assert [job.entry.directory for job in jobs] == ["0_optimizer.lr=0.1", "1_optimizer.lr=0.2"]
    assert all(job.directory == Path.cwd() / "s" / job.entry.directory for job in jobs)


def test_a_directory_may_be_named_by_the_user() -> None:
    jobs = plan(["seed=1,2", "hydra.sweep.dir=s", "hydra.sweep.subdir=seed_${seed}"]).jobs
    assert [job.entry.directory for job in jobs] == ["seed_1", "seed_2"]


GRID = """\
# @package _global_
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      optimizer.lr: 0.01,0.1
data:
  limit: 500
"""


@pytest.mark.slow
def test_an_experiment_may_hold_its_own_grid(command: Command) -> None:
    """Then it is a sweep without -m; what the command line says of a key comes after what the file says."""
    Path("own/experiment").mkdir(parents=True)
    Path("own/experiment/grid.yaml").write_text(GRID)
    request = ("experiment=grid", "model=softmax", "trainer.epochs=1", "report.plots=none", *BASIC)
    result = command("train", "--config-dir", "own", *request, "seed=1,2", "hydra.sweep.dir=s")
    assert result.status == 0, result.err
    assert [(row["optimizer.lr"], row["seed"]) for row in rows("s")] == [
        *(("0.01", "1"), ("0.01", "2"), ("0.1", "1"), ("0.1", "2")),
    ]
    shutil.rmtree("s/1_optimizer.lr=0.01,seed=2")
    assert command("resume", "s").status == 0
    assert states("s") == ["completed"] * 4


def test_one_point_is_a_sweep_too(command: Command) -> None:
    assert command("train", "-m", *SMALL, *BASIC, "hydra.sweep.dir=s").status == 0
    assert [row["directory"] for row in rows("s")] == ["0"]


def test_planning_leaves_no_directory_but_the_one_it_claims() -> None:
    directory = plan(["seed=1,2"]).directory
    assert list(Path("outputs/multirun").iterdir()) == [Path("outputs/multirun") / directory.name]


REFUSED = {
    "optimizer=sgd,adm": "optimizer=adm: no such option; choose one of ",
    "optimizer.momentm=1,2": "optimizer.momentm: unknown key; ",
    "+new.key=1,2": "new: unknown key; ",
    "trainer.epochs=1,two": "trainer.epochs=two: must be a whole number",
    "optimizer.lr=interval(0,1)": "optimizer.lr=interval(0,1): a sweep takes lists, range() and choice(); ",
    "hydra.sweep.subdir=same": "hydra.sweep.subdir=same: two jobs would share this directory; ",
    "hydra.sweep.subdir=../x": "hydra.sweep.subdir=",
    "hydra/launcher=slurm": "hydra/launcher=slurm: choose one of ",
    "hydra.launcher.n_jobs=0": "hydra.launcher.n_jobs=0: must be a whole number of 1 or more, or -1 for all cores",
    "optimizer.lr=abc,0.1": "optimizer.lr=abc: must be a number",
    "optimizer.lr=range(3,3)": "optimizer.lr=range(3,3): no values; list at least one",
    "optimizer=glob(zzz*)": "optimizer=glob(zzz*): no values; list at least one",
    "optimizer.lr=range(0,1,0)": "optimizer.lr=range(0,1,0): ",
    "model.hidden=range(100000)": "the grid has ",
    "hydra.launcher.n_jobs=two": "hydra.launcher.n_jobs=two: must be a whole number of 1 or more, or -1 for all cores",
}


@pytest.mark.slow
def test_a_key_that_only_the_swept_options_have_is_theirs(command: Command) -> None:
    """The default model has no degree; all the models that are swept have one."""
    small = ("experiment=smoke", "report.plots=none", "data.limit=200", "hydra/launcher=basic", "hydra.sweep.dir=s")
    assert command("train", "-m", *small, "model=svm_poly,svm_rbf", "model.degree=2").status == 0
    assert [record.settings["model.degree"] for record in records.of_sweep(Path("s"))] == [2, 2]
    result = command("train", "-m", *small[:-1], "hydra.sweep.dir=t", "model=svm_poly,softmax", "model.degree=2")
    assert result.status == 2
    assert result.err.startswith("mnistlab train: error: model.degree: unknown key; model=softmax has ")


@pytest.mark.slow
def test_experiments_that_are_swept_bring_the_model_of_a_setting(command: Command) -> None:
    words = ("data=digits", "data.limit=100", "report.plots=none", "hydra/launcher=basic", "hydra.sweep.dir=s")
    swept = "experiment=oxford/svm_rbf,oxford/svm_linear"
    assert command("train", "-m", swept, "model.C=10", *words).status == 0
    assert [record.settings["model.C"] for record in records.of_sweep(Path("s"))] == [10, 10]
    wrong = command("train", "-m", swept, "model.C2=10", *words)
    assert wrong.status == 2
    assert "model.C2: unknown key" in wrong.err


@pytest.mark.parametrize("override", thinned(REFUSED, 3))
def test_a_grid_that_does_not_compose_is_refused_before_the_first_job(override: str, command: Command) -> None:
    result = command("train", "-m", "seed=1,2", "hydra.sweep.dir=s", override)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"mnistlab train: error: {REFUSED[override]}")
    assert result.err.count("\n") == 1
    assert not Path("s").exists()


# --- what a sweep leaves ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """A sweep of two learning rates and two seeds by the default launcher, as a process of its own."""
    place = tmp_path_factory.mktemp("finished")
    environment = {**os.environ, "MNISTLAB_CACHE": str(shared_cache)}
    done = processes.run(
        [*PROGRAM, "train", "-m", *SMALL, "optimizer.lr=0.01,0.1", "seed=range(2)", "hydra.sweep.dir=s"],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (place / "out.txt").write_text(done.stdout)
    return place / "s"


@pytest.mark.process
def test_it_leaves_exactly_these_files(finished: Path) -> None:
    jobs = {f"{2 * i + s}_optimizer.lr={lr},seed={s}" for i, lr in enumerate((0.01, 0.1)) for s in (0, 1)}
    assert {path.name for path in finished.iterdir()} == jobs | {
        *("sweep.json", "multirun.yaml", "summary.csv", "summary.md", "report.html", "plots")
    }
    pictures = {"ranking", "against_optimizer.lr", "training", "accuracy_over_time"}
    assert {path.name for path in (finished / "plots").iterdir()} == {
        f"{name}.{end}" for name in pictures for end in ("png", "txt")
    }


@pytest.mark.process
def test_the_table_has_a_row_a_job_with_what_varied_first(finished: Path) -> None:
    table = rows(finished)
    assert list(table[0]) == [
        *("job", "optimizer.lr", "seed", "state", "parameters", "epochs", "kept_epoch", "train_accuracy"),
        *("validation_loss", "validation_accuracy", "test_loss", "test_accuracy", "test_macro_f1"),
        *("train_seconds", "seconds", "error", "directory"),
    ]
    for row in table:
        metrics = json.loads((finished / row["directory"] / "metrics.json").read_text())
        assert float(row["test_accuracy"]) == metrics["test"]["accuracy"]
        assert (row["state"], row["error"], int(row["parameters"])) == ("completed", "", 7850)


@pytest.mark.process
def test_the_console_says_how_it_is_launched_and_what_came_out(finished: Path) -> None:
    said = (finished.parent / "out.txt").read_text()
    at_once = min(4, all_cores())
    assert "sweep   4 jobs: optimizer.lr x seed\n" in said
    assert f"launch  joblib, {at_once} at a time" in said
    assert said.count("  completed  ") == 4
    assert "optimizer.lr  runs  validation.accuracy (%)  test.accuracy (%)\n" in said
    assert said.endswith("4 jobs: 4 completed\nsweep directory      s\n")


@pytest.mark.process
def test_every_picture_has_its_text_in_the_summary(finished: Path) -> None:
    summary = (finished / "summary.md").read_text()
    for path in (finished / "plots").glob("*.txt"):
        assert f"![{path.read_text().strip()}](plots/{path.stem}.png)" in summary


@pytest.mark.process
def test_hydras_own_record_names_the_overrides(finished: Path) -> None:
    saved = yaml.safe_load((finished / "multirun.yaml").read_text())
    assert saved["hydra"]["overrides"]["task"] == [*SMALL, "optimizer.lr=0.01,0.1", "seed=range(2)"]


@pytest.mark.process
def test_a_job_is_the_same_run_as_the_one_that_is_trained_alone(finished: Path, command: Command) -> None:
    assert command("train", *SMALL, "optimizer.lr=0.1", "seed=1", "hydra.run.dir=alone").status == 0
    job = finished / "3_optimizer.lr=0.1,seed=1"
    assert Path("alone/metrics.json").read_bytes() == (job / "metrics.json").read_bytes()


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "submitit_local", "ray"])
def test_every_launcher_gives_the_same_bytes(launcher: str, finished: Path) -> None:
    package = launcher.partition("_")[0]
    if package != "basic" and find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install '.[{package}]'")
    overrides = [*SMALL, "optimizer.lr=0.01,0.1", "seed=1", f"hydra/launcher={launcher}", "hydra.sweep.dir=other"]
    done = processes.run([*PROGRAM, "train", "-m", *overrides], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for mine, theirs in (
        ("0_optimizer.lr=0.01", "1_optimizer.lr=0.01,seed=1"),
        ("1_optimizer.lr=0.1", "3_optimizer.lr=0.1,seed=1"),
    ):
        assert (Path("other") / mine / "metrics.json").read_bytes() == (finished / theirs / "metrics.json").read_bytes()


@pytest.mark.parametrize(
    ("n_jobs", "jobs", "cores", "expected"),
    [
        (-1, 10, 4, (4, 1)),
        (-2, 10, 4, (3, 1)),
        (2, 10, 4, (2, 2)),
        (-1, 1, 4, (1, 4)),
        (8, 10, 4, (8, 1)),
        (-9, 10, 4, (1, 4)),
    ],
)
def test_jobs_share_the_cores(
    n_jobs: int, jobs: int, cores: int, expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnistlab.sweeps.launchers.joblib.all_cores", lambda: cores)
    assert shares({"n_jobs": n_jobs}, jobs) == expected


@pytest.mark.process
def test_a_sweep_does_not_write_into_another(finished: Path, command: Command) -> None:
    shutil.copytree(finished, "s")
    result = command("train", "-m", *SMALL, "seed=1,2", "hydra.sweep.dir=s")
    assert result.status == 2
    assert "hydra.sweep.dir=s: already contains a sweep; `mnistlab resume s` continues it" in result.err


def test_quiet_prints_the_result_only(command: Command) -> None:
    result = command("train", "-m", *SMALL, *BASIC, "seed=1,2", "hydra.sweep.dir=s", "-q")
    assert result.status == 0
    assert "launch" not in result.out and "job 1" not in result.out
    assert "2 jobs: 2 completed" in result.out


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_failed_job_is_a_row_and_the_others_finish(launcher: str, command: Command) -> None:
    small = [text for text in SMALL if text != "model=softmax"]  # without a hidden layer nothing overflows
    overrides = (*small, "optimizer=sgd", DIVERGES, IMPOSSIBLE, f"hydra/launcher={launcher}", "hydra.sweep.dir=s")
    result = command("train", "-m", *overrides)
    assert result.status == 1
    table = rows("s")
    assert [(row["optimizer.lr"], row["trainer.batch_size"], row["state"]) for row in table] == [
        ("0.1", "32", "completed"),
        ("0.1", "100000", "failed"),
        ("1e+30", "32", "failed"),
        ("1e+30", "100000", "failed"),
    ]
    assert table[1]["error"].startswith("trainer.batch_size=100000: the training set has only ")
    assert table[2]["error"].startswith("the loss is no longer finite at step 2 (epoch 1): layer ")
    *failed, last = result.err.splitlines()
    assert [line.partition(":")[0] for line in failed] == ["mnistlab train"] * 3
    assert failed[1].startswith(
        "mnistlab train: error: job 2, optimizer.lr=1e+30 trainer.batch_size=32: failed: the loss"
    )
    assert last == (
        "mnistlab train: error: 3 of 4 jobs are not completed; `mnistlab resume s --failed-only` runs them again"
    )


def test_fail_fast_stops_at_the_first_failure(command: Command) -> None:
    overrides = (*SMALL, "trainer.batch_size=100000,32,64", *BASIC, "hydra.sweep.dir=s")
    result = command("train", "-m", *overrides, "--fail-fast")
    assert result.status == 1
    assert states("s") == ["failed", "pending", "pending"]
    assert "`mnistlab resume s` runs them again" in result.err


def test_fail_fast_goes_with_a_sweep(command: Command) -> None:
    result = command("train", "--fail-fast")
    assert (result.status, result.err) == (
        2,
        "mnistlab train: error: --fail-fast: a single run has no other jobs to stop; use it with -m\n",
    )


# --- resuming ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def sweep(finished: Path) -> Path:
    """A copy of the finished sweep, to be damaged."""
    shutil.copytree(finished, "s")
    return Path("s").absolute()


def results(sweep: Path) -> list[dict[str, str]]:
    """The rows of the table without what differs from one time to the next."""
    return [{key: cell for key, cell in row.items() if "seconds" not in key} for row in rows(sweep)]


def set_state(job: Path, **changes: Any) -> None:
    path = job / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def began(sweep: Path) -> dict[str, str]:
    return {
        entry.directory: json.loads((sweep / entry.directory / "status.json").read_text())["started"]
        for entry in manifest.read(sweep).entries
        if (sweep / entry.directory / "status.json").exists()
    }


@pytest.mark.process
@pytest.mark.parametrize(
    "damage",
    thinned(
        [
            lambda job: set_state(job, state="failed", error="of some kind"),
            lambda job: set_state(job, state="interrupted"),
            lambda job: set_state(job, state="running"),  # its process was killed
            lambda job: set_state(job, state="failed", config_hash="0123456789abcdef"),  # it was another experiment
            lambda job: (job / "status.json").write_text("{"),
            lambda job: (job / "metrics.json").write_text("{"),
            lambda job: (job / "status.json").unlink(),
            shutil.rmtree,
        ],
        3,
    ),
    ids=["failed", "interrupted", "killed", "other configuration", "damaged", "no metrics", "not begun", "gone"],
)
def test_resume_runs_what_is_not_completed_and_nothing_else(
    damage: Callable[[Path], Any], sweep: Path, command: Command
) -> None:
    before, started = results(sweep), began(sweep)
    victim = "1_optimizer.lr=0.01,seed=1"
    damage(sweep / victim)
    (sweep / "summary.csv").unlink()
    result = command("resume", "s", *BASIC)
    assert result.status == 0
    assert "sweep   1 jobs of 4" in result.out
    assert results(sweep) == before
    now = began(sweep)
    assert {name for name in now if now[name] != started[name]} == {victim}


@pytest.mark.process
def test_an_earlier_attempt_leaves_no_file_behind(sweep: Path, command: Command) -> None:
    job = sweep / "0_optimizer.lr=0.01,seed=0"
    before = {path.relative_to(job) for path in job.rglob("*")}
    (job / "plots" / "old.png").parent.mkdir()
    (job / "plots" / "old.png").write_text("of another attempt")
    (job / "checkpoint.safetensors").write_text("damaged")  # so it has to start from the beginning
    set_state(job, state="failed")
    assert command("resume", "s", *BASIC).status == 0
    assert {path.relative_to(job) for path in job.rglob("*")} == before


OWN = """\
# @package _global_
defaults:
  - /experiment/smoke
  - override /model: softmax
trainer:
  batch_size: {}
"""


@pytest.fixture
def own(command: Command) -> Callable[[int], Any]:
    """A completed sweep of two jobs over an experiment of the user's; the function sets its batch size."""
    place = Path("own/experiment/mine.yaml")
    place.parent.mkdir(parents=True)
    place.write_text(OWN.format(20))
    words = ("experiment=mine", *SMALL[2:], *BASIC, "seed=0,1", "hydra.sweep.dir=s")
    assert command("train", "-m", "--config-dir", "own", *words).status == 0
    return lambda size: place.write_text(OWN.format(size))


@pytest.mark.parametrize("more", [(), ("seed=2",), ("--failed-only",)])
def test_a_completed_job_whose_configuration_has_changed_is_refused_and_kept(
    more: tuple[str, ...], own: Callable[[int], Any], command: Command
) -> None:
    own(40)
    set_state(Path("s/0_seed=0"), state="failed")
    before = {path: path.read_bytes() for path in Path("s").rglob("*") if path.is_file()}
    result = command("resume", "s", *more)
    assert (result.status, result.out, result.err) == (
        2,
        "",
        "mnistlab resume: error: s: the configuration of job 1, seed=1, has changed from trainer.batch_size=20 to "
        "trainer.batch_size=40; undo the change, start a new sweep, or delete s/1_seed=1 to train it anew\n",
    )
    assert {path: path.read_bytes() for path in Path("s").rglob("*") if path.is_file()} == before
    own(20)
    assert command("resume", "s").status == 0
    assert states("s") == ["completed"] * 2


def test_a_sweep_without_results_takes_over_a_changed_configuration(
    own: Callable[[int], Any], command: Command
) -> None:
    own(40)
    for name in ("0_seed=0", "1_seed=1"):
        shutil.rmtree(f"s/{name}")
    assert command("resume", "s").status == 0
    hashes = {status.read(Path("s") / entry.directory).config_hash: entry for entry in manifest.read(Path("s")).entries}
    assert all(config_hash == entry.config_hash for config_hash, entry in hashes.items())


def test_tags_and_notes_outlive_an_attempt_that_starts_again(command: Command) -> None:
    words = (*SMALL, *BASIC, "seed=0,1", "tags=[first]", "hydra.sweep.dir=s")
    assert command("train", "-m", *words).status == 0
    labels.write(Path("s/0_seed=0"), Labels(("best",), "for the talk"))
    for name in ("0_seed=0", "1_seed=1"):
        set_state(Path("s") / name, state="failed")
        Path(f"s/{name}/checkpoint.safetensors").unlink()
    assert command("resume", "s").status == 0
    assert labels.read(Path("s/0_seed=0")) == Labels(("best",), "for the talk")
    assert labels.read(Path("s/1_seed=1")) == Labels(("first",))


@pytest.mark.process
def test_failed_only_leaves_the_rest_alone(sweep: Path, command: Command) -> None:
    set_state(sweep / "0_optimizer.lr=0.01,seed=0", state="failed")
    shutil.rmtree(sweep / "2_optimizer.lr=0.1,seed=0")
    result = command("resume", "s", "--failed-only", *BASIC)
    assert result.status == 1
    assert states(sweep) == ["completed", "completed", "pending", "completed"]


@pytest.mark.process
def test_resuming_what_is_complete_writes_the_table_again_and_runs_nothing(sweep: Path, command: Command) -> None:
    started = began(sweep)
    shutil.rmtree(sweep / "plots")
    assert command("resume", "s").status == 0
    assert began(sweep) == started
    assert (sweep / "plots" / "ranking.png").exists()


@pytest.mark.process
def test_a_sweep_is_resumed_from_any_working_directory(finished: Path, tmp_path: Path, command: Command) -> None:
    copied = tmp_path / "elsewhere" / "s"
    shutil.copytree(finished, copied)
    set_state(copied / "0_optimizer.lr=0.01,seed=0", state="failed")
    assert command("resume", str(copied), *BASIC).status == 0
    assert states(copied) == ["completed"] * 4


@pytest.mark.process
def test_a_running_sweep_is_not_resumed(sweep: Path, command: Command) -> None:
    with locks.held(sweep) as ours:
        assert ours
        result = command("resume", "s")
    assert (result.status, result.err) == (
        2,
        "mnistlab resume: error: s: this sweep is already running; `mnistlab compare` shows its progress\n",
    )


def test_a_job_that_another_process_runs_is_left_to_it(command: Command) -> None:
    """It began after the sweep had looked which jobs are left."""
    assert command("train", "-m", *SMALL, *BASIC, "seed=0,1", "hydra.sweep.dir=s").status == 0
    for name in ("0_seed=0", "1_seed=1"):
        set_state(Path("s") / name, state="interrupted")
        Path(f"s/{name}/checkpoint.safetensors").unlink()
    job = Path("s/1_seed=1")
    with locks.held(job) as ours:
        assert ours
        before = {path: path.read_bytes() for path in job.rglob("*") if path.is_file()}
        result = command("resume", "s")
        assert {path: path.read_bytes() for path in job.rglob("*") if path.is_file()} == before
    assert result.status == 1
    said = "s/1_seed=1: this run is running in another process; wait for it, then resume the sweep"
    assert f"  seed=1: {said}\n" in result.out
    assert command("resume", "s").status == 0
    assert states("s") == ["completed"] * 2


def test_a_job_that_was_killed_goes_on_from_its_checkpoint(command: Command) -> None:
    """It is still recorded as running."""
    assert command("train", "-m", *SMALL, *BASIC, "seed=0", "hydra.sweep.dir=s").status == 0
    set_state(Path("s/0"), state="running")
    assert command("resume", "s").status == 0
    assert "resume  in epoch 2" in Path("s/0/train.log").read_text()


def test_the_state_of_a_run_in_another_process_is_not_that_of_the_sweep(tmp_path: Path) -> None:
    (job,) = plan([*SMALL, f"hydra.sweep.dir={tmp_path / 's'}"]).jobs
    write_status(job.directory, "running")
    before = status_bytes(job)
    with locks.held(job.directory):
        assert not settle(job, "lost", before)
        assert status_bytes(job) == before
    assert settle(job, "lost", before)
    assert (status.read(job.directory).state, status.read(job.directory).error) == ("failed", "lost")


WRONG = {
    ("nowhere",): "nowhere: not a sweep directory (no sweep.json); check the path",
    ("s/plots",): "s/plots: not a sweep directory (no sweep.json); name a directory of outputs/multirun",
    ("s", "t"): "s t: must be the directory of one sweep",
    ("s", "--failed"): "--failed: no such option (did you mean --failed-only?); see `mnistlab resume --help`",
    (
        "s",
        "hydra.sweep.dir=t",
    ): "hydra.sweep.dir=t: jobs can be added with other values of optimizer.lr, seed, which the sweep varies; ",
    ("s", "sed=3"): "sed=3: jobs can be added with other values of optimizer.lr, seed, which the sweep varies; "
    "everything else is as in its first command (did you mean seed?)",
    ("s", "seed=interval(1,2)"): "seed=interval(1,2): must be a value, a list, or range()",
    ("s", "--seeds", "0"): "--seeds 0: must be a whole number of 1 or more",
    ("s", "--seeds", "3", "seed=1"): "--seeds: conflicts with seed=...; leave out one of them",
    ("s", "hydra/launcher=dask"): "hydra/launcher=dask: choose one of ",
}


@pytest.mark.process
@pytest.mark.parametrize("arguments", WRONG)
def test_a_wrong_request_to_resume(arguments: tuple[str, ...], sweep: Path, command: Command) -> None:
    result = command("resume", *arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"mnistlab resume: error: {WRONG[arguments]}")
    assert result.err.count("\n") == 1


def test_a_launcher_whose_package_is_missing_says_how_to_install_it(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnistlab.sweeps.design.find_spec", lambda name: None)
    result = command("train", "-m", *SMALL, "seed=1,2", "hydra/launcher=ray", "hydra.sweep.dir=s")
    assert (result.status, result.err) == (
        2,
        "mnistlab train: error: hydra/launcher=ray: the package ray is not installed; "
        "run pip install '.[ray]' in a clone of mnistlab\n",
    )
    assert not Path("s").exists()


# --- killed -----------------------------------------------------------------------------------------------------------

QUIET = "report.console=quiet"  # nothing is rehearsed, and the jobs begin at once
LONG = (*SMALL[:1], "model=mlp_1hidden", "trainer.threads=1", "report.plots=none", "trainer.epochs=100", QUIET)


def running_jobs(sweep: Path) -> list[tuple[Path, int]]:
    found = [(path.parent, status.read(path.parent)) for path in sweep.glob("*/status.json")]
    return [(job, state.pid) for job, state in found if state.state == "running" and state.pid]


@pytest.mark.process
@pytest.mark.slow
def test_a_killed_worker_is_tried_once_more_with_half_as_many_beside_it(started: Callable[..., Any]) -> None:
    process = started("train", "-m", *LONG, "seed=range(3)", "hydra.sweep.dir=s", "hydra.launcher.n_jobs=2")
    job, pid = wait_until(lambda: running_jobs(Path("s")))[0]
    os.kill(pid, signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert set(states("s")) == {"completed"}
    seed = job.name.rpartition("=")[2]
    assert err == (
        f"warning: job {seed}, seed={seed}: the worker was killed by SIGKILL, perhaps because memory ran out; it is "
        "tried once more, and from now on 1 job runs at a time\n"
    )


@pytest.mark.process
@pytest.mark.slow
def test_a_job_killed_twice_is_a_row_with_the_reason_and_takes_no_other_with_it(started: Callable[..., Any]) -> None:
    process = started("train", "-m", *LONG, "seed=range(3)", "hydra.sweep.dir=s", "hydra.launcher.n_jobs=2")
    job, pid = wait_until(lambda: running_jobs(Path("s")))[0]
    os.kill(pid, signal.SIGKILL)
    again = wait_until(lambda: [now for place, now in running_jobs(Path("s")) if place == job and now != pid], 120)
    os.kill(again[0], signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    by_name = {row["directory"]: (row["state"], row["error"]) for row in rows("s")}
    state, error = by_name.pop(job.name)
    assert (state, error.partition(";")[0]) == (
        "failed",
        "the worker was killed by SIGKILL, perhaps because memory ran out",
    )
    assert set(by_name.values()) == {("completed", "")}
    assert err.splitlines()[-1].endswith("`mnistlab resume s --failed-only` runs them again")


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_sweep_ends_with_its_table(number: int, expected: int, started: Callable[..., Any]) -> None:
    process = started("train", "-m", *LONG, "trainer.epochs=3000", "seed=range(4)", "hydra.sweep.dir=s")
    wait_until(lambda: running_jobs(Path("s")))
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == expected
    assert "jobs are completed; `mnistlab resume s` continues the sweep" in out
    assert err == "mnistlab train: error: interrupted\n"
    assert set(states("s")) == {"interrupted", "pending"}
    wait_until(lambda: not running_jobs(Path("s")), 10)


@pytest.mark.process
@pytest.mark.slow
def test_when_the_sweep_is_killed_its_jobs_end_too(started: Callable[..., Any]) -> None:
    process = started("train", "-m", *LONG, "trainer.epochs=30000", "seed=range(2)", "hydra.sweep.dir=s")
    job, pid = wait_until(lambda: running_jobs(Path("s")))[0]
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    wait_until(lambda: status.read(job).state == "interrupted", 10)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 20)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> list[dict[str, str]]:
    """The table of the sweep of FEW that nobody killed."""
    place = tmp_path_factory.mktemp("undisturbed")
    environment = {**os.environ, "MNISTLAB_CACHE": str(shared_cache)}
    words = [*PROGRAM, "train", "-m", *FEW, "hydra.sweep.dir=s", "-q"]
    processes.run(words, cwd=place, env=environment, check=True, capture_output=True)
    return results(place / "s")


def completed(sweep: Path) -> set[str]:
    return {record.directory.name for record in records.of_sweep(sweep) if record.state.state == "completed"}


FEW = ("model=softmax,mlp_1hidden", "seed=range(2)", "trainer.epochs=20", *SMALL[3:], SMALL[0])
MOMENTS: dict[str, Callable[[], Any]] = {
    "planned": lambda: Path("s/sweep.json").exists(),
    "in the first job": lambda: running_jobs(Path("s")),
    "after a job": lambda: Path("s/sweep.json").exists() and completed(Path("s")),
}


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(("moment", "kill"), list(zip(MOMENTS, (os.kill, os.killpg, os.kill), strict=True)))
def test_a_killed_sweep_resumes_to_the_table_of_an_undisturbed_one(
    moment: str,
    kill: Callable[[int, int], None],
    started: Callable[..., Any],
    undisturbed: list[dict[str, str]],
) -> None:
    """Alone or with its workers. No completed job runs twice."""
    process = started("train", "-m", *FEW, "hydra.sweep.dir=s")
    wait_until(MOMENTS[moment], what=moment)
    kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    wait_until(lambda: not running_jobs(Path("s")), what="the end of its workers")
    done = completed(Path("s"))
    assert len(done) < len(undisturbed), "it was killed too late to prove anything"
    before = began(Path("s"))
    resumed = started("resume", "s")
    out, err = resumed.communicate(timeout=240)
    assert (resumed.returncode, err) == (0, ""), out
    assert results(Path("s")) == undisturbed
    after = began(Path("s"))
    assert {name for name in done if after[name] != before[name]} == set()
