"""The forecast of a sweep: rehearsed costs, the time of all jobs on the launcher, the ETA, and what is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mnistlab.runs.rehearsal import extrapolated
from mnistlab.sweeps import forecast, rehearse
from mnistlab.sweeps.design import designed
from mnistlab.sweeps.eta import Eta, makespan
from mnistlab.sweeps.forecast import LONG, Work, before, rough
from mnistlab.sweeps.grid import Plan, plan
from mnistlab.sweeps.rehearse import Cost, Parallelism, kind_of, parallelism
from mnistlab.sweeps.request import Request
from mnistlab.sweeps.rungs import Request as Halving

Command = Callable[..., Any]
SMALL = ("experiment=smoke", "model=softmax", "trainer.threads=1", "report.plots=none")
COST = Cost(load=1, epoch=2, after=3, memory=100, disk=10)


def planned(*overrides: str) -> Plan:
    return plan([*SMALL, *overrides, "hydra.sweep.dir=s"])


# --- the time of many jobs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("durations", "at_once", "seconds"),
    [([], 2, 0), ([3, 1, 1, 1], 2, 3), ([1, 1, 3], 2, 4), ([2, 2, 2], 1, 6), ([5], 8, 5)],
)
def test_a_job_starts_as_soon_as_another_ends(durations: list[float], at_once: int, seconds: float) -> None:
    assert makespan(durations, at_once) == seconds


def test_the_time_left_follows_from_what_the_first_jobs_took() -> None:
    eta = Eta({}, at_once=2)
    eta.begin([0, 1, 2, 3])
    assert eta.left() is None
    eta.ended(1, 10)
    assert eta.left(eta.started + 12) == pytest.approx(20 - 12)


def test_the_forecast_of_a_job_is_corrected_by_the_ratio_of_the_first_ones() -> None:
    eta = Eta({0: 10, 1: 10, 2: 100}, at_once=1)
    eta.begin([0, 1, 2])
    eta.ended(0, 20)
    assert eta.left(eta.started + 20) == pytest.approx(2 * 10 + 2 * 100)
    assert eta.text() == "about 4 min left"
    eta.ended(1, 20)
    eta.ended(2, 200)
    assert eta.text() == ""


def test_a_few_seconds_are_not_worth_a_word() -> None:
    eta = Eta({}, at_once=1)
    eta.begin([0, 1])
    eta.ended(0, 2)
    assert eta.text() == ""


@pytest.mark.parametrize(
    ("times", "rows", "seconds"),
    [
        ([(100, 1.0)], 400, 4.0),  # in proportion
        ([(100, 1.0), (200, 4.0)], 400, 16.0),  # with the square
        ([(100, 1.0), (200, 1.0)], 400, 1.0),  # not at all
        ([(100, 1.0), (200, 0.5)], 400, 0.5),  # never less
    ],
)
def test_a_fit_is_extrapolated_by_the_power_of_its_last_two_parts(
    times: list[tuple[int, float]], rows: int, seconds: float
) -> None:
    assert extrapolated(times, rows) == pytest.approx(seconds)


# --- kinds of jobs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        (("seed=0,1,2",), 1),
        (("optimizer.lr=0.01,0.1", "init=random,kaiming"), 1),
        (("trainer.epochs=1,2",), 1),
        (("regularization=l2", "regularization.l2=0.01,0.1"), 1),
        (("optimizer=sgd,adam",), 2),
        (("trainer.batch_size=32,64",), 2),
        (("data.limit=300,400",), 2),
        (("report.plots=none,core",), 2),
        (("model=svm_rbf", "seed=0,1", "optimizer.lr=0.1,0.2"), 1),
        (("model=svm_rbf", "model.C=1,10"), 2),
    ],
)
def test_jobs_that_cost_the_same_are_of_one_kind(words: tuple[str, ...], kinds: int) -> None:
    jobs = plan(["experiment=smoke", "trainer.threads=1", *words, "hydra.sweep.dir=s"]).jobs
    assert len({kind_of(job) for job in jobs}) == kinds


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("hydra/launcher=basic",), Parallelism(1, 4)),
        (("hydra.launcher.n_jobs=2",), Parallelism(2, 2)),
        (("hydra/launcher=submitit_local", "hydra.launcher.cpus_per_task=2"), Parallelism(2, 2)),
        (
            (
                "hydra/launcher=submitit_slurm",
                "++hydra.launcher.slurm_array_parallelism=3",
                "hydra.launcher.cpus_per_task=1",
            ),
            Parallelism(3, 1, False),
        ),
        (("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=3"), Parallelism(3, 1)),
    ],
)
def test_the_parallelism_is_that_of_the_launcher(
    words: tuple[str, ...], expected: Parallelism, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("rehearse", "launchers.joblib"):
        monkeypatch.setattr(f"mnistlab.sweeps.{module}.all_cores", lambda: 4)
    assert parallelism(planned("seed=range(8)", *words)) == expected


def test_of_many_kinds_some_are_rehearsed_and_the_others_scaled_by_their_operations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rehearse, "MOST", 2)
    monkeypatch.setattr(
        rehearse, "_rehearsed", lambda jobs, _: [replace(COST, epoch=float(j.entry.number)) for j in jobs]
    )
    found = planned("trainer.batch_size=8,16,32,64")
    costs = rehearse.costs_of(found, found.jobs, {0: 1e6, 1: 2e6, 2: 9e6, 3: 10e6})
    assert [cost.epoch for cost in costs.values()] == pytest.approx([0, 0, 3 * 0.9, 3])


# --- what is said -----------------------------------------------------------------------------------------------------


def of(monkeypatch: pytest.MonkeyPatch, *overrides: str, request: Request | None = None, cost: Cost = COST) -> Any:
    monkeypatch.setattr(forecast, "costs_of", lambda planned, jobs, work: {job.entry.number: cost for job in jobs})
    monkeypatch.setattr(forecast, "STARTING", 0)
    monkeypatch.setattr(forecast, "ENDING", 0)
    monkeypatch.setattr(forecast, "PAGE", 0)
    found, sweep = designed([*SMALL, *overrides, "hydra.sweep.dir=s"], None, request or Request())
    return forecast.of(found, found.jobs, sweep)


def test_the_time_of_a_sweep_is_that_of_its_jobs_on_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of(monkeypatch, "seed=range(5)", "trainer.epochs=10", "hydra.launcher.n_jobs=2")
    assert [job.seconds for job in found.jobs] == [1 + 10 * 2 + 3] * 5
    assert (found.seconds, found.memory, found.disk) == (3 * 24, 200, 50)
    assert found.total.startswith("about 72 s for 5 jobs, 2 at a time, until ")


def test_a_job_on_its_way_needs_only_the_epochs_that_are_left() -> None:
    found = planned("seed=0,1", "trainer.epochs=10")
    (job, other), (directory, _) = found.jobs, [each.directory for each in found.jobs]
    directory.mkdir(parents=True)
    state = {"state": "interrupted", "config_hash": job.entry.config_hash, "seconds": {}, "error": None}
    (directory / "status.json").write_text(json.dumps({**state, "host": "", "pid": 1}))
    (directory / "history.csv").write_text("epoch,val_accuracy\n1,0.5\n2,0.6\n3,0.7\n")
    forecasts = [forecast._job(each, COST) for each in (job, other)]
    assert [each.epochs for each in forecasts] == [7, 10]


def test_early_stopping_makes_it_an_upper_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of(monkeypatch, "trainer=early_stopping", "seed=0,1")
    assert found.bounds == ("an upper bound: early stopping may end training before the last epoch",)


def test_halving_trains_fewer_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("optimizer.lr=range(1,10)", "trainer.epochs=9", "hydra/launcher=basic")
    found = of(monkeypatch, *words, request=Request(halving=Halving()))
    assert found.seconds == 9 * (1 + 2 * 1) + 3 * (1 + 2 * 2) + 1 * (1 + 2 * 6 + 3)


def test_a_job_that_cannot_be_run_is_told_before_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of(monkeypatch, "seed=0,1", cost=Cost(0, 0, 0, 0, 0, "no room"))
    assert [job.error for job in found.jobs] == ["no room"] * 2


def test_the_statistics_are_those_of_the_common_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of(monkeypatch, "optimizer.lr=0.1,0.2", "seed=range(3)").outlook
    assert (found.settings, found.seeds, found.test) == (2, 3, "paired t")


def test_a_short_sweep_is_not_rehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "of", lambda *_: pytest.fail("it was rehearsed"))
    found, sweep = designed([*SMALL, "seed=0,1", "trainer.epochs=1", "hydra.sweep.dir=s"], None, Request())
    assert before(found, found.jobs, sweep) is None


def test_without_measuring_anything_a_long_sweep_is_known_to_be_long() -> None:
    long = plan(["data=mnist", "model=lenet5", "seed=range(4)", "hydra.sweep.dir=s"])
    assert rough(long, long.jobs, Work()) > LONG
    short = planned("seed=0,1", "trainer.epochs=1")
    assert rough(short, short.jobs, Work()) < LONG


# --- whole commands ---------------------------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.slow
def test_plan_shows_every_job_and_leaves_nothing(command: Command) -> None:
    words = (*SMALL, "optimizer.lr=0.01,0.1", "trainer.batch_size=32,100000", "hydra.launcher.n_jobs=1")
    result = command("plan", *words)
    assert result.status == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].split() == ["job", "optimizer.lr", "trainer.batch_size", "epochs", "time", "memory", "files"]
    assert lines[2].split()[:3] == ["1", "0.01", "100000"] and "fails" in lines[2]
    assert "4 jobs, 1 at a time, until " in result.out
    assert lines[-1].startswith("cannot be run: trainer.batch_size=100000: the training set has only ")
    assert not list(Path().iterdir())


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("model", ["mlp_1hidden", "svm_rbf"])
def test_the_same_with_dry_run_as_json(model: str, command: Command) -> None:
    words = ("experiment=smoke", f"model={model}", "report.plots=none", "seed=0,1,2", "hydra.launcher.n_jobs=1")
    result = command("train", "-m", *words, "--dry-run", "--json")
    assert result.status == 0, result.err
    content = json.loads(result.out)
    assert [job["settings"] for job in content["jobs"]] == [{"seed": 0}, {"seed": 1}, {"seed": 2}]
    for job in content["jobs"]:
        assert job["error"] == "" and job["seconds"] > 0 and job["memory"] > 5e7 and job["disk"] > 1e4
    assert not list(Path().iterdir())


@pytest.mark.process
@pytest.mark.slow
def test_a_long_sweep_says_how_long_before_and_while_it_runs(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "LONG", 0.1)
    monkeypatch.setattr("mnistlab.sweeps.eta.SHORT", 0.0)
    result = command(
        "train", "-m", *SMALL, "seed=0,1,2", "trainer.epochs=3", "hydra.sweep.dir=s", "hydra.launcher.n_jobs=1"
    )
    assert result.status == 0
    assert "\nplan    about " in result.out
    assert "\nplan    3 seeds of one setting: a mean with its interval, and nothing to compare\n" in result.out
    assert result.out.count(" left\n") == 2
