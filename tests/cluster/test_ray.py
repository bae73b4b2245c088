"""Sweeps on a real Ray cluster: a head and two nodes, of which one fails. `make test-ray` runs them."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import processes, ray_cluster
from helpers.processes import LONGEST, wait_until
from helpers.ray_cluster import NODES, RayCluster

from mnistlab.runs import status

pytestmark = pytest.mark.ray

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "mnistlab"]
SMALL = ("experiment=smoke", "model=softmax", "trainer.threads=1", "report.plots=none", "trainer.checkpoint_every=5")
LONG = (*SMALL, "trainer.epochs=200")  # about 10 s


@pytest.fixture(scope="module")
def variables(shared_cache: Path) -> dict[str, str]:
    return {"MNISTLAB_CACHE": str(shared_cache), "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(shared_cache)}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> Iterator[RayCluster]:
    if find_spec("ray") is None:
        pytest.skip("needs Ray: pip install '.[ray]'")
    with ray_cluster.cluster(tmp_path_factory.mktemp("r"), variables) as running:
        yield running


@pytest.fixture
def started(cluster: RayCluster) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``started("train", "-m", ...)``: the command as a process that uses the cluster."""
    running: list[subprocess.Popen[str]] = []
    on_ray = ("hydra/launcher=ray", f"+hydra.launcher.ray.init.address='{cluster.address}'")

    def start(*words: str) -> subprocess.Popen[str]:
        added = on_ray if words[0] == "train" else ()  # resume knows it
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        running.append(subprocess.Popen([*PROGRAM, *words, *added], env=cluster.environment, text=True, **pipes))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def table(sweep: Path) -> list[dict[str, str]]:
    """The rows of the table without what differs from one time to the next."""
    with (sweep / "summary.csv").open() as file:
        return [{key: cell for key, cell in row.items() if "seconds" not in key} for row in csv.DictReader(file)]


def training(sweep: Path) -> list[Path]:
    """The jobs that train, and have left a checkpoint."""
    jobs = [path.parent for path in sweep.glob("*/status.json")]
    return [job for job in jobs if status.read(job).state == "running" and (job / "checkpoint.safetensors").exists()]


def at(cluster: RayCluster, ip: str, jobs: list[Path]) -> Path:
    """The job that a node runs."""
    workers = cluster.workers(ip)
    (job,) = [job for job in jobs if status.read(job).pid in workers]
    return job


def test_the_jobs_of_a_node_that_fails_go_on_at_another_and_the_table_is_the_same(
    started: Callable[..., subprocess.Popen[str]], cluster: RayCluster, variables: dict[str, str]
) -> None:
    reference = [*PROGRAM, "train", "-m", *LONG, "seed=range(4)", "hydra.sweep.dir=undisturbed"]
    processes.run(reference, env={**os.environ, **variables}, check=True, capture_output=True)
    driver = started("train", "-m", *LONG, "seed=range(4)", "hydra.sweep.dir=s")
    jobs = wait_until(lambda: len(found := training(Path("s"))) == 2 and found, 180, "two jobs train")
    lost = at(cluster, NODES[0], jobs)
    cluster.kill_node(NODES[0])
    out, err = driver.communicate(timeout=LONGEST)
    assert driver.returncode == 0, err
    assert err.count("\n") == 1 and "it goes on elsewhere from its checkpoint" in err  # nothing of Ray's own
    assert "4 jobs: 4 completed" in out
    assert table(Path("s")) == table(Path("undisturbed"))
    cluster.start_node(NODES[0])
    for row in table(Path("s")):
        name = row["directory"]
        log = (Path("s") / name / "train.log").read_text()
        assert log.count("resume  in epoch") == (1 if name == lost.name else 0)
        same = [(sweep / name / "model.safetensors").read_bytes() for sweep in (Path("s"), Path("undisturbed"))]
        assert same[0] == same[1]


def test_an_interrupted_sweep_stops_its_jobs_which_go_on_later(
    started: Callable[..., subprocess.Popen[str]], cluster: RayCluster
) -> None:
    driver = started("train", "-m", *LONG, "seed=range(2)", "hydra.sweep.dir=s")
    wait_until(lambda: len(training(Path("s"))) == 2, 180, "two jobs train")
    driver.terminate()
    out, err = driver.communicate(timeout=LONGEST)
    assert (driver.returncode, err) == (143, "mnistlab train: error: interrupted\n")
    assert {row["state"] for row in table(Path("s"))} == {"interrupted"}
    again = started("resume", "s")
    out, err = again.communicate(timeout=LONGEST)
    assert (again.returncode, err) == (0, "")
    assert "2 jobs: 2 completed" in out


def test_a_worker_that_is_terminated_goes_on_from_its_checkpoint(
    started: Callable[..., subprocess.Popen[str]], cluster: RayCluster
) -> None:
    driver = started("train", "-m", *LONG, "seed=0,1", "hydra.sweep.dir=s")
    job, _ = wait_until(lambda: len(found := training(Path("s"))) == 2 and found, 180, "two jobs train")
    pid = status.read(job).pid
    assert pid is not None
    os.kill(pid, 15)
    _, err = driver.communicate(timeout=LONGEST)
    assert driver.returncode == 0, err
    assert "its worker was stopped by signal 15; it goes on elsewhere from its checkpoint" in err
    assert "resume  in epoch" in (job / "train.log").read_text()


def test_more_cores_than_any_node_has_are_refused(started: Callable[..., subprocess.Popen[str]]) -> None:
    driver = started("train", "-m", *SMALL, "seed=0,1", "hydra.sweep.dir=s", "hydra.launcher.ray.remote.num_cpus=3")
    _, err = driver.communicate(timeout=LONGEST)
    assert driver.returncode == 2
    cause = "hydra.launcher.ray.remote.num_cpus=3: the largest node of the cluster has 1"
    assert err == f"mnistlab train: error: {cause}\n"


def test_a_cluster_that_is_not_there_is_one_line() -> None:
    words = ("hydra/launcher=ray", "+hydra.launcher.ray.init.address='127.0.0.1:1'", "hydra.sweep.dir=s")
    done = processes.run([*PROGRAM, "train", "-m", *SMALL, "seed=0,1", *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    place = "mnistlab train: error: hydra.launcher.ray.init.address=127.0.0.1:1: "
    assert done.stderr.startswith(f"{place}no Ray cluster answers there (Connection refused)")
