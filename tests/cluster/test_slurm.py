"""Sweeps on a real Slurm of two nodes: whatever happens to a job, it ends with the bytes of an undisturbed run.

`make test-slurm` runs them: it needs root, and installs Debian's slurm-wlm and munge.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from helpers import processes, slurm
from helpers.processes import wait_until
from helpers.slurm import Slurm

from mnistlab.runs import status

pytestmark = pytest.mark.slurm

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "mnistlab"]
SMALL = ("experiment=smoke", "model=softmax", "trainer.threads=1", "report.plots=none", "trainer.checkpoint_every=5")
LONG = (*SMALL, "trainer.epochs=200")  # about 10 s
PAST_A_MINUTE = (*SMALL, "trainer.epochs=1200")
SETTINGS = {"cpus_per_task": 1, "mem_gb": 1, "timeout_min": 10}
ON_SLURM = ("hydra/launcher=submitit_slurm", *(f"hydra.launcher.{key}={value}" for key, value in SETTINGS.items()))
SAME = ("metrics.json", "model.safetensors", "predictions.npz")


@pytest.fixture(scope="module")
def variables(shared_cache: Path) -> dict[str, str]:
    return {"MNISTLAB_CACHE": str(shared_cache), "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(shared_cache)}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> Iterator[Slurm]:
    if reason := slurm.missing():
        pytest.skip(reason)
    with slurm.cluster(tmp_path_factory.mktemp("slurm"), variables) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> Callable[..., Path]:
    """``undisturbed("seed=1", ...)``: the directory of such a run that nobody disturbed, on this machine."""
    done: dict[tuple[str, ...], Path] = {}

    def run(*overrides: str) -> Path:
        if overrides not in done:
            done[overrides] = tmp_path_factory.mktemp("undisturbed") / "run"
            words = [*PROGRAM, "train", *overrides, f"hydra.run.dir={done[overrides]}"]
            processes.run(words, env={**os.environ, **variables}, check=True, capture_output=True)
        return done[overrides]

    return run


@pytest.fixture
def started(cluster: Slurm) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``started("train", "-m", ...)``: the command as a process that may submit to the cluster."""
    running: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        running.append(subprocess.Popen([*PROGRAM, *words], env=cluster.environment, text=True, **pipes))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()
    processes.run(["scancel", "--user=root"], env=cluster.environment)
    wait_until(lambda: all(state not in ("RUNNING", "COMPLETING", "PENDING") for state, _ in cluster.jobs().values()))


def ended(process: subprocess.Popen[str], seconds: float = 240) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def numbers(sweep: Path) -> list[str]:
    """The numbers of the Slurm jobs of a sweep, in the order of its own."""
    jobs = json.loads((sweep / ".submitit/slurm.json").read_text())["jobs"]
    return [jobs[key][0] for key in sorted(jobs, key=int)]


def directories(sweep: Path) -> list[Path]:
    return sorted(path.parent for path in sweep.glob("*/status.json"))


def trains(job: Path) -> bool:
    """Whether a job is training, and has left a checkpoint."""
    return status.read(job).state == "running" and (job / "checkpoint.safetensors").exists()


def wait_for_training(sweep: Path, jobs: int) -> None:
    wait_until(lambda: len(directories(sweep)) == jobs and all(map(trains, directories(sweep))), 180, "all jobs train")


def states(sweep: Path) -> list[str]:
    with (sweep / "summary.csv").open() as file:
        return [row["state"] for row in csv.DictReader(file)]


def assert_same(job: Path, reference: Path) -> None:
    for name in SAME:
        assert (job / name).read_bytes() == (reference / name).read_bytes(), name


def span(job: Path) -> tuple[datetime, ...]:
    """When a job started and finished."""
    content = json.loads((job / "status.json").read_text())
    return tuple(datetime.fromisoformat(content[end]) for end in ("started", "finished"))


def resumptions(job: Path) -> int:
    """How often a job has gone on from a checkpoint."""
    return (job / "train.log").read_text().count("resume  in epoch")


# --- a sweep, and the process that waits for it -----------------------------------------------------------------------


def test_a_sweep_ends_with_the_same_bytes_and_runs_as_many_jobs_at_once_as_it_may(
    started: Callable[..., subprocess.Popen[str]], undisturbed: Callable[..., Path]
) -> None:
    few = (*SMALL, "trainer.epochs=40")
    limit = "hydra.launcher.slurm_array_parallelism=1"
    code, out, err = ended(started("train", "-m", *few, *ON_SLURM, limit, "seed=range(3)", "hydra.sweep.dir=s"))
    assert (code, err) == (0, ""), err
    assert "3 jobs: 3 completed" in out and "sacct" not in out
    for seed, job in enumerate(directories(Path("s"))):
        assert_same(job, undisturbed(*few, f"seed={seed}"))
    spans = sorted(span(job) for job in directories(Path("s")))
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


def test_detached_jobs_are_collected_by_resume(
    started: Callable[..., subprocess.Popen[str]], undisturbed: Callable[..., Path]
) -> None:
    words = (*LONG, *ON_SLURM, "seed=range(2)", "hydra.sweep.dir=s")
    code, out, err = ended(started("train", "-m", *words, "--detach"))
    assert (code, err) == (0, ""), err
    submitted = numbers(Path("s"))
    assert f"submitted            2 jobs: squeue --jobs={submitted[0].partition('_')[0]}" in out
    assert "to collect them      mnistlab resume s" in out
    code, out, err = ended(started("resume", "s"))
    assert (code, err, numbers(Path("s"))) == (0, "", submitted)
    for seed, job in enumerate(directories(Path("s"))):
        assert_same(job, undisturbed(*LONG, f"seed={seed}"))
        assert resumptions(job) == 0


def test_a_killed_sweep_is_collected_by_resume(
    started: Callable[..., subprocess.Popen[str]], undisturbed: Callable[..., Path]
) -> None:
    """One job runs and one waits in the queue when it is killed: neither is submitted again."""
    limit = "hydra.launcher.slurm_array_parallelism=1"
    driver = started("train", "-m", *LONG, *ON_SLURM, limit, "seed=range(2)", "hydra.sweep.dir=s")
    wait_for_training(Path("s"), 1)
    submitted = numbers(Path("s"))
    driver.send_signal(signal.SIGKILL)
    code, out, err = ended(started("resume", "s"))
    assert (code, err, numbers(Path("s"))) == (0, "", submitted)
    assert "2 jobs: 2 completed" in out
    for seed, job in enumerate(directories(Path("s"))):
        assert_same(job, undisturbed(*LONG, f"seed={seed}"))
        assert resumptions(job) == 0


def test_an_interrupted_sweep_cancels_its_jobs_which_go_on_later(
    started: Callable[..., subprocess.Popen[str]], undisturbed: Callable[..., Path], cluster: Slurm
) -> None:
    driver = started("train", "-m", *LONG, *ON_SLURM, "seed=range(2)", "hydra.sweep.dir=s")
    wait_for_training(Path("s"), 2)
    driver.send_signal(signal.SIGINT)
    code, _, _ = ended(driver)
    assert code == 130
    cluster.wait_for("CANCELLED", *numbers(Path("s")))
    assert [status.read(job).state for job in directories(Path("s"))] == ["interrupted"] * 2
    code, _, err = ended(started("resume", "s"))
    assert (code, err) == (0, "")
    for seed, job in enumerate(directories(Path("s"))):
        assert_same(job, undisturbed(*LONG, f"seed={seed}"))
        assert resumptions(job) == 1


# --- what happens to jobs ---------------------------------------------------------------------------------------------


def test_jobs_that_are_requeued_warned_or_preempted_go_on_from_their_checkpoints(
    started: Callable[..., subprocess.Popen[str]], undisturbed: Callable[..., Path], cluster: Slurm
) -> None:
    """Two jobs on each node: one is requeued, one gets a SIGTERM, and those of the other node make room for others.

    Slurm allows arrays of three jobs, so that these four are in two of them.
    """
    driver = started("train", "-m", *LONG, *ON_SLURM, "seed=range(4)", "hydra.sweep.dir=s")
    wait_for_training(Path("s"), 4)
    assert len({number.partition("_")[0] for number in numbers(Path("s"))}) == 2
    on = {node: [number for number in numbers(Path("s")) if cluster.jobs()[number][1] == node] for node in slurm.NODES}
    requeued, warned = on["n1"]
    cluster.says("scontrol", "requeue", requeued)
    cluster.says("scancel", "--signal=TERM", warned)
    urgent = ("--partition=urgent", "--nodelist=n2", "--exclusive", "--output=/dev/null", "--wrap=sleep 2")
    cluster.says("sbatch", *urgent)
    code, out, err = ended(driver)
    assert (code, err) == (0, ""), err
    assert "4 jobs: 4 completed" in out
    for seed, job in enumerate(directories(Path("s"))):
        assert_same(job, undisturbed(*LONG, f"seed={seed}"))
        assert resumptions(job) == 1


def test_a_cancelled_job_is_interrupted_and_goes_on_when_it_is_resumed(
    started: Callable[..., subprocess.Popen[str]], undisturbed: Callable[..., Path], cluster: Slurm
) -> None:
    """A job that its user cancels is not sent back to the queue; the sweep does not wait for it."""
    driver = started("train", "-m", *LONG, *ON_SLURM, "seed=range(2)", "hydra.sweep.dir=s")
    wait_for_training(Path("s"), 2)
    cancelled = numbers(Path("s"))[1]
    cluster.says("scancel", cancelled)
    code, _, err = ended(driver)
    assert code == 1
    assert f"warning: job 1, Slurm job {cancelled}: CANCELLED" in err
    assert states(Path("s")) == ["completed", "interrupted"]
    code, _, err = ended(started("resume", "s", "--failed-only"))
    assert (code, err) == (0, "")
    for seed, job in enumerate(directories(Path("s"))):
        assert_same(job, undisturbed(*LONG, f"seed={seed}"))
        assert resumptions(job) == seed


def test_a_job_past_its_time_limit_is_sent_back_to_the_queue(
    started: Callable[..., subprocess.Popen[str]], undisturbed: Callable[..., Path]
) -> None:
    """Slurm counts in minutes, and warns up to a minute early: the job needs more than one attempt of 20 to 60 s."""
    limit = ("hydra.launcher.timeout_min=1", "hydra.launcher.slurm_signal_delay_s=10")
    driver = started("train", "-m", *PAST_A_MINUTE, *ON_SLURM, *limit, "seed=0", "hydra.sweep.dir=s")
    reference = undisturbed(*PAST_A_MINUTE, "seed=0")
    code, _, err = ended(driver)
    assert (code, err) == (0, ""), err
    (job,) = directories(Path("s"))
    assert_same(job, reference)
    assert resumptions(job) >= 1


def test_the_jobs_of_a_node_that_fails_go_on_at_another(
    started: Callable[..., subprocess.Popen[str]], undisturbed: Callable[..., Path], cluster: Slurm
) -> None:
    """Its processes end without a word, as if its power had failed: the jobs go on from their latest checkpoints."""
    driver = started("train", "-m", *LONG, *ON_SLURM, "seed=range(4)", "hydra.sweep.dir=s")
    wait_for_training(Path("s"), 4)
    lost = [number for number in numbers(Path("s")) if cluster.jobs()[number][1] == "n1"]
    cluster.kill_node("n1")
    cluster.says("scontrol", "update", "nodename=n1", "state=down", "reason=test")
    cluster.wait_for("RUNNING", *lost, seconds=120)
    assert {cluster.jobs()[number][1] for number in lost} == {"n2"}
    code, _, err = ended(driver)
    assert (code, err) == (0, ""), err
    again = [resumptions(job) for job in directories(Path("s"))]
    assert [count for number, count in zip(numbers(Path("s")), again, strict=True) if number in lost] == [1] * len(lost)
    for seed, job in enumerate(directories(Path("s"))):
        assert_same(job, undisturbed(*LONG, f"seed={seed}"))
    cluster.start_node("n1")


def test_a_job_whose_process_is_killed_is_a_failed_row(
    started: Callable[..., subprocess.Popen[str]], cluster: Slurm
) -> None:
    driver = started("train", "-m", *LONG, "trainer.epochs=20000", *ON_SLURM, "seed=0", "hydra.sweep.dir=s")
    wait_for_training(Path("s"), 1)
    (job,) = directories(Path("s"))
    began = time.monotonic()
    pid = status.read(job).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    code, _, err = ended(driver)
    assert (code, states(Path("s"))) == (1, ["failed"])
    assert f"Slurm job {numbers(Path('s'))[0]}: FAILED" in err
    assert time.monotonic() - began < 60


def test_what_slurm_refuses_is_one_line(started: Callable[..., subprocess.Popen[str]]) -> None:
    partition = "hydra.launcher.slurm_partition=gpu"
    code, _, err = ended(started("train", "-m", *SMALL, *ON_SLURM, partition, "seed=range(2)", "hydra.sweep.dir=s"))
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("mnistlab train: error: hydra/launcher=submitit_slurm: sbatch refuses the jobs: ")
    assert "invalid partition" in err
