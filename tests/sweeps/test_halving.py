"""Successive halving: the rungs, who goes on, and whole sweeps that are stopped and go on to the same bytes."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import write_manifest, write_run, write_status
from hypothesis import given
from hypothesis import strategies as st

from mnistlab.statistics.sequential import Design
from mnistlab.sweeps import halving, html_report, manifest, records, runner, summary
from mnistlab.sweeps.grid import Plan, plan
from mnistlab.sweeps.job import Job
from mnistlab.sweeps.launchers import registry
from mnistlab.sweeps.launchers.base import Launcher
from mnistlab.sweeps.rungs import Halving, Request, Stop, design, kept, progress
from mnistlab.system.errors import RequestError

Command = Callable[..., Any]
SMALL = ("experiment=smoke", "model=softmax", "trainer.threads=1", "report.plots=none")
RATES = "optimizer.lr=0.0001,0.003,0.02"


# --- the rungs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "epochs", "first", "rungs"),
    [
        (27, 27, None, (1, 3, 9, 27)),
        (9, 27, None, (3, 9, 27)),  # two rungs are enough for nine settings
        (9, 10, None, (1, 3, 10)),
        (100, 10, None, (1, 3, 10)),  # there is nothing below one epoch
        (9, 27, 5, (5, 15, 27)),
        (27, 27, 3, (3, 9, 27)),
        (9, 27, 1, (1, 3, 27)),
        (2, 3, None, (1, 3)),
    ],
)
def test_each_rung_is_a_third_of_the_next(
    settings: int, epochs: int, first: int | None, rungs: tuple[int, ...]
) -> None:
    assert design(settings, epochs, 3, first).rungs == rungs


def test_the_epochs_of_27_settings_are_a_ninth() -> None:
    """27 x 1, then 9 x 2 more, 3 x 6 more and 1 x 18 more, of 27 x 27."""
    assert design(27, 27).epochs(27) == 27 + 18 + 18 + 18 == 27 * 27 // 9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((1, 9), "--halving: needs two or more settings to choose from, for example optimizer.lr=0.01,0.1,1"),
        ((9, 1), "--halving: trainer.epochs=1 cannot be cut short; set 3 or more, for example 27"),
        ((9, 5, 3, 5), "--first-rung 5: must be fewer epochs than trainer.epochs=5, after which the last ones end"),
    ],
)
def test_a_design_that_stops_nothing_is_refused(arguments: tuple[int, ...], said: str) -> None:
    with pytest.raises(RequestError) as error:
        design(*arguments)
    assert str(error.value) == said


# --- who goes on ------------------------------------------------------------------------------------------------------

HALVES = Halving(2, (1, 2, 4))


def test_the_best_half_goes_on() -> None:
    found = progress(HALVES, [{1: 0.5}, {1: 0.8}, {1: 0.6}, {1: 0.7}])
    assert (found.rung, found.going_on) == (1, (1, 3))
    assert found.stopped == {2: Stop(1, 3, 4, 0.6), 0: Stop(1, 4, 4, 0.5)}


def test_nobody_is_stopped_before_all_have_reached_the_rung() -> None:
    assert progress(HALVES, [{1: 0.5}, {}, {1: 0.6}]).rung == 0


def test_of_equals_the_earlier_one_goes_on_and_a_failed_one_never() -> None:
    found = progress(HALVES, [{1: math.nan}, {1: 0.5}, {1: 0.5}, {1: 0.5}])
    assert found.going_on == (1, 2)


def test_a_setting_that_was_trained_further_is_judged_by_the_same_epoch() -> None:
    """Another seed has changed the ranks after the first one had been trained to the end."""
    found = progress(HALVES, [{1: 0.5, 2: 0.9, 4: 0.99}, {1: 0.6}, {1: 0.7}, {1: 0.4}])
    assert found.going_on == (1, 2)
    assert found.stopped[0] == Stop(1, 3, 4, 0.5)


@given(st.integers(2, 60), st.integers(2, 60), st.integers(2, 5))
def test_it_ends_with_few_settings_and_never_costs_more_than_the_whole_grid(n: int, epochs: int, eta: int) -> None:
    found = design(n, epochs, eta)
    assert found.rungs[-1] == epochs and list(found.rungs) == sorted({*found.rungs})
    assert found.epochs(n) <= n * epochs
    values = [{rung: (i * 7 % 11) + rung / 100 for rung in found.rungs} for i in range(n)]
    over = progress(found, values)
    left = n
    for _ in found.rungs[1:]:
        left = kept(left, eta)
    assert over.rung is None
    assert len(over.going_on) == left and len(over.stopped) == n - left


# --- the design of a sweep --------------------------------------------------------------------------------------------


def start(*overrides: str) -> Halving:
    return halving.start(Request(), plan([*SMALL, *overrides, "hydra.sweep.dir=s"]))


def test_seeds_are_not_settings() -> None:
    assert start(RATES, "seed=range(4)", "trainer.epochs=9") == Halving(3, (3, 9))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((RATES, "data.validation=0"), "--halving: optimizer.lr=0.0001 has no validation set to choose by; set "),
        (("trainer.epochs=5,6",), "--halving: trainer.epochs=5,6 differs between jobs; give one number, the largest"),
        (("model=svm_rbf,svm_linear",), "--halving: model=svm_rbf is fitted in one step and has no epochs; leave it"),
    ],
)
def test_a_sweep_that_cannot_be_halved_is_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(RequestError) as error:
        halving.start(Request(), plan(["experiment=smoke", *words, "hydra.sweep.dir=s"]))
    assert str(error.value).startswith(said)


def test_the_design_is_in_the_manifest(tmp_path: Path) -> None:
    found = plan([*SMALL, RATES, "hydra.sweep.dir=s"])
    entries = tuple(job.entry for job in found.jobs)
    saved = manifest.Manifest(tmp_path, (RATES,), None, "", entries, halving=Halving(3, (1, 3)))
    saved.write()
    assert manifest.read(tmp_path).halving == Halving(3, (1, 3))
    assert saved.command.endswith(" --halving --reduction 3 --first-rung 1")
    content = json.loads((tmp_path / "sweep.json").read_text())
    content["halving"]["rungs"] = [3, 1]
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    with pytest.raises(RequestError, match="the design of halving is damaged"):
        manifest.read(tmp_path)


# --- whole sweeps -----------------------------------------------------------------------------------------------------

HALVED = (*SMALL, RATES, "seed=0,1", "trainer.epochs=9", "hydra/launcher=basic", "hydra.sweep.dir=s")


def states(sweep: str) -> list[str]:
    places = [manifest.read(Path(sweep)).place(entry) for entry in manifest.read(Path(sweep)).entries]
    return [json.loads((place / "status.json").read_text())["state"] for place in places]


def epochs(sweep: str) -> list[int]:
    saved = manifest.read(Path(sweep))
    return [len((saved.place(entry) / "history.csv").read_text().splitlines()) - 1 for entry in saved.entries]


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_best_setting_is_trained_to_the_bytes_of_an_undisturbed_run(schedule: str, command: Command) -> None:
    result = command("train", "-m", *HALVED, f"schedule={schedule}", "--halving")
    assert result.status == 0, result.err
    assert states("s") == ["pruned", "pruned", "pruned", "pruned", "completed", "completed"]
    assert epochs("s") == [3, 3, 3, 3, 9, 9]
    assert not list(Path("s").glob("0_*/metrics.json"))  # never tested
    assert (
        "of 3: 2 after 3 epochs; 30 of 54 epochs were trained (56 %).\nchosen               optimizer.lr=0.02  ("
        in result.out
    )
    assert "| optimizer.lr=0.003 | stopped | 3 |" in Path("s/halving.md").read_text()
    assert "stopped after epoch 3 of 9: validation accuracy " in Path("s/summary.csv").read_text()
    alone = [word for word in HALVED if word.partition("=")[0] not in ("optimizer.lr", "seed", "hydra.sweep.dir")]
    words = (*alone, f"schedule={schedule}", "optimizer.lr=0.02", "seed=1", "hydra.run.dir=alone")
    assert command("train", *words).status == 0
    (job,) = Path("s").glob("5_*")
    assert (job / "metrics.json").read_bytes() == Path("alone/metrics.json").read_bytes()
    before = {path: path.stat().st_mtime_ns for path in Path("s").rglob("history.csv")}
    assert command("resume", "s").status == 0  # there is nothing left to do
    assert {path: path.stat().st_mtime_ns for path in Path("s").rglob("history.csv")} == before


@pytest.mark.slow
def test_it_chooses_what_the_whole_grid_chooses_in_a_third_of_the_epochs(command: Command) -> None:
    """The small twin of the recorded example in docs/how-to/search.md."""
    # Rates that are all too low, so that one is clearly the best, whatever the last digits on this machine
    rates = "optimizer.lr=1e-8,3e-8,1e-7,1e-6,3e-6,1e-5,3e-5,1e-4,3e-4"
    words = (*SMALL, rates, "trainer.epochs=9", "hydra/launcher=basic")
    assert command("train", "-m", *words, "hydra.sweep.dir=all").status == 0
    result = command("train", "-m", *words, "--halving", "hydra.sweep.dir=halved")
    assert result.status == 0
    of_all, of_halved = (records.of_sweep(Path(name)) for name in ("all", "halved"))
    best = max(of_all, key=lambda record: record.value("validation.accuracy"))
    (chosen,) = (record for record in of_halved if record.state.state == "completed")
    assert chosen.value("validation.accuracy") == best.value("validation.accuracy")
    assert sum(epochs("all")) == 81 and sum(epochs("halved")) <= 81 / 3


@pytest.mark.slow
def test_a_race_that_was_cut_off_goes_on_and_more_seeds_join_it(command: Command) -> None:
    assert command("train", "-m", *HALVED, "--halving").status == 0
    saved = manifest.read(Path("s"))
    for entry in saved.entries[4:]:
        for path in (saved.place(entry)).iterdir():
            if path.is_file():
                path.unlink()
    assert command("resume", "s").status == 0
    assert (states("s")[4:], epochs("s")) == (["completed"] * 2, [3, 3, 3, 3, 9, 9])
    assert command("resume", "s", "seed=2").status == 0
    assert states("s") == ["pruned"] * 4 + ["completed"] * 2 + ["pruned", "pruned", "completed"]
    assert epochs("s")[6:] == [3, 3, 9]


@pytest.mark.slow
def test_a_setting_that_diverges_is_out_and_the_others_go_on(command: Command) -> None:
    words = [word for word in HALVED if word not in (RATES, "model=softmax", "seed=0,1")]
    rates = ("optimizer=sgd", "optimizer.lr=0.001,0.1,1e30")
    result = command("train", "-m", *words, *rates, "--halving")
    assert result.status == 1
    assert states("s") == ["pruned", "completed", "failed"]


def test_what_is_left_of_a_race_is_read_from_its_files(tmp_path: Path) -> None:
    """Of two settings one has reached the rung; the other counts as failed once it was tried."""
    found = plan([*SMALL, "optimizer.lr=0.1,0.2", "trainer.epochs=4", "hydra.sweep.dir=s"])
    entries = tuple(job.entry for job in found.jobs)
    saved = manifest.Manifest(found.directory, (), None, "", entries, halving=Halving(2, (2, 4)))
    first = saved.place(entries[0])
    first.mkdir(parents=True)
    state = {
        "state": "pruned",
        "config_hash": entries[0].config_hash,
        "seconds": {},
        "error": None,
        "host": "",
        "pid": 1,
    }
    (first / "status.json").write_text(json.dumps(state))
    (first / "history.csv").write_text("epoch,val_accuracy\n1,0.5\n2,0.4\n")
    race = halving.Race(saved)
    batches = race.batches(found.jobs)
    assert [(job.entry.number, job.pause_after) for job in next(batches)] == [(1, 2)]
    assert [(job.entry.number, job.pause_after) for job in next(batches)] == [(0, None)]
    assert race.progress().stopped[1].rank == 2
    assert halving.Race(replace(saved)).progress().rung == 0


# --- the runner, with a launcher that trains nothing ------------------------------------------------------------------


class Launched:
    """A launcher that writes results at once: each setting is better than the one before."""

    def __init__(self) -> None:
        self.jobs: list[tuple[int, int | None]] = []  # that were started, with the epoch after which they are paused
        self.fails: set[tuple[int, int | None]] = set()  # the first time
        self.lost: set[tuple[int, int | None]] = set()  # before they write anything

    def __call__(self, jobs: Sequence[Job], settings: Mapping[str, Any], of: int) -> Launcher:
        for job in jobs:
            number, rung = started = job.entry.number, job.pause_after
            if started in self.lost:
                yield job, "the worker was killed by SIGKILL"
                continue
            state = "failed" if started in self.fails else "completed" if rung is None else "pruned"
            self.fails.discard(started)
            self.jobs.append(started)
            shutil.rmtree(job.directory, ignore_errors=True)
            write_run(job.directory, number / 8, config={"seed": number % 2}, state=state)
            write_status(job.directory, state, config_hash=job.entry.config_hash)
            epochs = (rung or 9) - (state == "failed")
            rows = [f"{epoch},{number / 8}\n" for epoch in range(1, epochs + 1)]
            (job.directory / "history.csv").write_text("epoch,val_accuracy\n" + "".join(rows))
            yield job, None


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Launched:
    launcher = Launched()
    monkeypatch.setitem(registry.LAUNCHERS, "basic", launcher)
    monkeypatch.setattr(html_report, "write_all", lambda *_: None)
    monkeypatch.setattr(summary, "write", partial(summary.write, with_pictures=False))
    return launcher


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Composing takes longer than the tests."""
    return plan([*HALVED[:-1], f"hydra.sweep.dir={tmp_path_factory.mktemp('planned') / 's'}"])


@pytest.fixture
def sweep(planned: Plan) -> Callable[[], runner.Sweep]:
    """Return the sweep of six jobs, with what its directory contains."""
    shutil.rmtree(planned.directory, ignore_errors=True)
    planned.directory.mkdir()
    entries = tuple(job.entry for job in planned.jobs)
    saved = manifest.Manifest(planned.directory, (), None, "", entries, halving=Halving(3, (3, 9)))
    saved.write()
    return lambda: runner.Sweep(saved, planned, "train", True, Path("s"))


FIRST_RUNG = [(number, 3) for number in range(6)]


def test_fail_fast_does_not_stop_at_a_job_that_is_paused(
    launched: Launched, planned: Plan, sweep: Callable[[], runner.Sweep]
) -> None:
    assert sweep().run(planned.jobs, fail_fast=True) == 0
    assert launched.jobs == [*FIRST_RUNG, (4, None), (5, None)]
    assert states(str(planned.directory)) == ["pruned"] * 4 + ["completed"] * 2


def test_fail_fast_starts_nothing_after_a_failure_and_stops_no_setting_that_was_not_tried(
    launched: Launched, planned: Plan, sweep: Callable[[], runner.Sweep]
) -> None:
    launched.fails = {(1, 3)}
    assert sweep().run(planned.jobs, fail_fast=True) == 1
    assert launched.jobs == [(0, 3), (1, 3)]
    assert "| stopped |" not in (planned.directory / "halving.md").read_text()


def test_failed_only_ends_the_race_too(
    launched: Launched, planned: Plan, sweep: Callable[[], runner.Sweep], capfd: pytest.CaptureFixture[str]
) -> None:
    """Of the best setting one seed fails, and the other is left paused, as are those that are out."""
    launched.fails = {(4, None)}
    assert sweep().run(planned.jobs, fail_fast=True) == 1
    assert states(str(planned.directory)) == ["pruned"] * 4 + ["failed", "pruned"]
    assert "2 of 6 jobs are not completed; `mnistlab resume s` runs them again\n" in capfd.readouterr().err
    resumed = sweep()
    assert resumed.run(resumed.left(planned.jobs, failed_only=True), fail_fast=False) == 0
    assert launched.jobs[len(FIRST_RUNG) :] == [(4, None), (4, None), (5, None)]
    assert states(str(planned.directory)) == ["pruned"] * 4 + ["completed"] * 2


def test_a_job_that_is_lost_after_its_pause_is_a_failure_with_the_reason(
    launched: Launched, planned: Plan, sweep: Callable[[], runner.Sweep], capfd: pytest.CaptureFixture[str]
) -> None:
    launched.lost = {(4, None)}
    assert sweep().run(planned.jobs, fail_fast=False) == 1
    assert states(str(planned.directory)) == ["pruned"] * 4 + ["failed", "completed"]
    assert "optimizer.lr=0.02 seed=0: failed: the worker was killed by SIGKILL\n" in capfd.readouterr().err
    record = records.of_sweep(planned.directory)[4]
    assert record.state.seconds == {"load": 0.5, "train": 1.25}  # what it was trained before counts


def test_a_job_that_has_written_its_own_status_keeps_it(
    planned: Plan, sweep: Callable[[], runner.Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(jobs: Sequence[Job], settings: Mapping[str, Any], of: int) -> Launcher:
        for job in jobs:
            write_status(job.directory, "failed", error="the loss is not finite", config_hash=job.entry.config_hash)
            yield job, "the worker was killed by SIGKILL"

    monkeypatch.setitem(registry.LAUNCHERS, "basic", launch)
    lost = sweep()
    write_status(planned.jobs[0].directory, "interrupted", config_hash=planned.jobs[0].entry.config_hash)
    lost._watch(planned.jobs[:1], fail_fast=False)
    assert lost.records[0].state.error == "the loss is not finite"


MINE = """\
# @package _global_
defaults:
  - /experiment/smoke
  - override /model: softmax
trainer:
  batch_size: {}
  epochs: 9
"""


@pytest.mark.parametrize(
    ("design", "name"),
    [
        ({"halving": Halving(3, (3, 9))}, "--halving"),
        ({"design": Design("validation.accuracy", (5, 9), 0.05, None, 0)}, "--until-decided"),
    ],
)
def test_a_sweep_that_was_planned_for_a_configuration_does_not_go_on_with_another(
    design: dict[str, Any], name: str
) -> None:
    """The values of another configuration must not decide, even where no job has been completed."""
    place = Path("own/experiment/mine.yaml")
    place.parent.mkdir(parents=True)
    place.write_text(MINE.format(20))
    overrides = ("experiment=mine", RATES, "hydra/launcher=basic", "hydra.sweep.dir=s")
    found = plan(overrides, "own")
    entries = tuple(job.entry for job in found.jobs)
    saved = manifest.Manifest(found.directory, overrides, "own", str(Path.cwd()), entries, **design)
    saved.directory.mkdir()
    saved.write()
    place.write_text(MINE.format(40))
    with pytest.raises(RequestError) as error:
        runner.resume(saved.directory, quiet=True)
    assert str(error.value) == (
        f"s: the configuration of job 0, optimizer.lr=0.0001, has changed, and {name} compares jobs of one "
        "configuration; undo the change, or start a new sweep"
    )
    assert manifest.read(saved.directory) == saved


@pytest.mark.parametrize(
    "design", [{"halving": Halving(3, (3, 9))}, {"design": Design("test.accuracy", (5, 9), 0.05, None, 0)}]
)
def test_a_sweep_that_waits_for_results_is_not_detached_when_it_is_resumed(design: dict[str, Any]) -> None:
    saved = write_manifest(Path("s").absolute(), [{"optimizer.lr": 0.1}, {"optimizer.lr": 0.2}])
    replace(saved, **design).write()
    name = "--halving" if "halving" in design else "--until-decided"
    with pytest.raises(RequestError) as error:
        runner.resume(saved.directory, detach=True)
    assert str(error.value) == f"--detach: s is a sweep with {name}, which waits for results; leave this out"
