"""The queue of Slurm as its commands describe it: what is waited for, what is sent back to it, and what is given up."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mnistlab.runs.status import Status
from mnistlab.sweeps.launchers import scheduler, slurm
from mnistlab.sweeps.launchers.scheduler import Known
from mnistlab.sweeps.launchers.slurm import Queue
from mnistlab.sweeps.manifest import Entry
from mnistlab.system.errors import RequestError, RunError


class Scheduler:
    """What Slurm would answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs: dict[str, Known] = {}
        self.requeued: list[str] = []
        self.cancelled: list[str] = []
        self.refuses: str | None = None
        monkeypatch.setattr(scheduler, "known", self.known)
        monkeypatch.setattr(scheduler, "requeue", self.requeue)
        monkeypatch.setattr(scheduler, "cancel", self.cancelled.extend)
        monkeypatch.setattr(scheduler, "has_accounting", lambda: "sacct: disabled")
        monkeypatch.setattr(slurm, "ASKS", 0.0)
        monkeypatch.setattr(slurm, "SETTLES", 0.0)
        monkeypatch.setattr(slurm, "POLL", 0.0)
        monkeypatch.setattr(slurm.LOG, "propagate", True)  # to caplog

    def known(self) -> dict[str, Known]:
        if self.refuses:
            raise RunError(self.refuses)
        return self.jobs

    def requeue(self, number: str) -> str | None:
        self.requeued.append(number)
        return None


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    pytest.importorskip("submitit")
    return Scheduler(monkeypatch)


def job(number: int = 0) -> Any:
    directory = Path("s") / str(number)
    directory.mkdir(parents=True, exist_ok=True)
    return SimpleNamespace(entry=Entry(number, str(number), (), "hash", {}), directory=directory.absolute())


def queue(*jobs: Any, first: int = 7) -> Queue:
    """A queue that an earlier process has filled: job i has the number 7_i."""
    folder = Path("s/.submitit")
    folder.mkdir(parents=True, exist_ok=True)
    recorded = {str(each.entry.number): [f"{first}_{each.entry.number}", "hash"] for each in jobs}
    (folder / "slurm.json").write_text(json.dumps({"jobs": recorded}))
    taken = Queue({"folder": str(folder)})
    taken.take(jobs)
    return taken


def reasons(waiting: Queue) -> list[str | None]:
    """Why jobs have ended, after the scheduler has been asked twice."""
    return [lost for _ in range(2) for _, lost in waiting.ended()]


# --- taking over ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUSPENDED", "REQUEUED"])
def test_a_job_that_is_in_the_queue_is_waited_for(state: str, answers: Scheduler) -> None:
    answers.jobs = {"7_0": Known(state, "None")}
    waiting = queue(job())
    assert waiting.numbers == {0}
    assert reasons(waiting) == []


@pytest.mark.parametrize("state", sorted(scheduler.OVER))
def test_a_job_that_has_ended_is_not_in_the_queue(state: str, answers: Scheduler) -> None:
    answers.jobs = {"7_0": Known(state, "None")}
    assert queue(job()).numbers == set()


def test_a_job_that_slurm_has_forgotten_is_not_in_the_queue(answers: Scheduler) -> None:
    assert queue(job()).numbers == set()


def test_a_queued_job_of_another_configuration_is_cancelled(answers: Scheduler) -> None:
    answers.jobs = {"7_0": Known("PENDING", "None")}
    changed = job()
    waiting = queue(changed)
    changed.entry = Entry(0, "0", (), "another", {})
    again = Queue(waiting.settings)
    again.take([changed])
    assert (again.numbers, answers.cancelled) == (set(), ["7_0"])


def test_while_slurm_does_not_answer_nothing_is_resumed(answers: Scheduler) -> None:
    """A second submission of jobs that are in the queue would run them twice."""
    answers.refuses = "squeue: error: Unable to contact slurm controller"
    with pytest.raises(
        RequestError, match=r"^hydra/launcher=submitit_slurm: squeue: .*; try again when Slurm answers$"
    ):
        queue(job())


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_a_job_that_slurm_no_longer_knows_is_given_up_and_missing_accounting_said_once(
    answers: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    answers.jobs = {f"7_{i}": Known("RUNNING", "None") for i in range(3)}
    waiting = queue(*(job(i) for i in range(3)))
    answers.jobs = {}
    assert sorted(map(str, reasons(waiting))) == [f"Slurm job 7_{i}: not known to Slurm any more" for i in range(3)]
    assert [record.message for record in caplog.records if "accounting" in record.message] == [
        "no accounting (sacct: disabled): how a job ended that Slurm has forgotten is not known"
    ]


def test_a_job_is_waited_for_while_slurm_does_not_answer(answers: Scheduler) -> None:
    answers.jobs = {"7_0": Known("RUNNING", "None")}
    waiting = queue(job())
    answers.refuses = "squeue: error: Unable to contact slurm controller"
    assert reasons(waiting) == []


def test_a_job_that_ends_without_a_result_has_the_last_line_of_its_log(answers: Scheduler) -> None:
    answers.jobs = {"7_0": Known("RUNNING", "None")}
    waiting = queue(job())
    Path("s/.submitit/7_0_0_log.err").write_text("bash: python: command not found\n\n")
    answers.jobs = {"7_0": Known("FAILED", "NonZeroExitCode")}
    assert reasons(waiting) == ["Slurm job 7_0: FAILED: bash: python: command not found"]


@pytest.mark.parametrize("state", ["CANCELLED", "OUT_OF_MEMORY", "FAILED", "DEADLINE"])
def test_what_ended_by_itself_or_by_its_user_is_not_sent_back(state: str, answers: Scheduler) -> None:
    answers.jobs = {"7_0": Known("RUNNING", "None")}
    waiting = queue(job())
    answers.jobs = {"7_0": Known(state, "None")}
    assert reasons(waiting) == [f"Slurm job 7_0: {state}"]
    assert answers.requeued == []


@pytest.mark.parametrize("state", sorted(scheduler.TAKEN_AWAY))
def test_what_the_cluster_took_away_is_sent_back_a_few_times(state: str, answers: Scheduler) -> None:
    answers.jobs = {"7_0": Known("RUNNING", "None")}
    waiting = queue(job())
    answers.jobs = {"7_0": Known(state, "None")}
    ended = [lost for _ in range(10) if waiting.waiting for _, lost in waiting.ended()]
    assert answers.requeued == ["7_0"] * slurm.MOST_LOST
    assert ended == [f"Slurm job 7_0: {state}"]


def test_a_job_past_its_time_is_sent_back_only_with_a_new_checkpoint(answers: Scheduler) -> None:
    """Without one it would use up its time again, and again."""
    answers.jobs = {"7_0": Known("RUNNING", "None")}
    each = job()
    waiting = queue(each)
    answers.jobs = {"7_0": Known("TIMEOUT", "TimeLimit")}
    (each.directory / "checkpoint.safetensors").write_text("")
    assert list(waiting.ended()) == []
    assert answers.requeued == ["7_0"]
    assert reasons(waiting) == ["Slurm job 7_0: TIMEOUT"]
    assert answers.requeued == ["7_0"]


def test_what_a_job_has_recorded_is_not_waited_for(answers: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "SETTLES", 1000.0)
    answers.jobs = {f"7_{i}": Known("RUNNING", "None") for i in range(2)}
    waiting = queue(job(0), job(1))
    answers.jobs = {f"7_{i}": Known("CANCELLED", "None") for i in range(2)}
    Status(Path("s/0/status.json"), "hash").write("interrupted", "interrupted at epoch 3, step 1 of 9")
    assert reasons(waiting) == ["Slurm job 7_0: CANCELLED"]  # the files of the other one may still appear
    assert waiting.numbers == {1}


def test_a_reason_to_wait_that_does_not_pass_by_itself_is_said_once(
    answers: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    answers.jobs = {"7_0": Known("PENDING", "launch failed requeued held"), "7_1": Known("PENDING", "Priority")}
    waiting = queue(job(0), job(1))
    reasons(waiting)
    said = [record.message for record in caplog.records]
    assert said == ["job 0 (Slurm job 7_0) waits: launch failed requeued held"]
