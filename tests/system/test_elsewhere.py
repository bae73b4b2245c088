"""mnistlab on other systems: its commands where what only POSIX has is missing, and no module that asks for it."""

from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import elsewhere, processes
from helpers.processes import wait_until

import mnistlab

PACKAGE = Path(mnistlab.__file__).parent
SMALL = ("experiment=smoke", "report.plots=none")
SWEEP = ("-m", *SMALL, "seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=s")

Elsewhere = Callable[..., str]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return elsewhere.environment(tmp_path / "site")


@pytest.fixture
def there(environment: dict[str, str]) -> Elsewhere:
    """``there("-m", "mnistlab", ...)`` runs Python without POSIX and returns what it printed."""

    def run(*words: str, status: int = 0) -> str:
        result = processes.run([sys.executable, *words], env=environment, capture_output=True, text=True)
        assert result.returncode == status, result.stderr
        assert "Traceback" not in result.stderr
        return str(result.stdout)

    return run


def begin(environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    """Start a command there in a process group of its own, as a terminal does."""
    command = [sys.executable, "-m", "mnistlab", *words]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)


def state(run: str) -> str:
    return str(json.loads(Path(run, "status.json").read_text())["state"])


@pytest.mark.process
@pytest.mark.elsewhere
def test_the_names_are_gone(there: Elsewhere) -> None:
    code = "import os, signal; print([hasattr(os, 'fork'), hasattr(signal, 'SIGHUP'), hasattr(signal, 'setitimer')])"
    assert there("-c", code) == "[False, False, False]\n"
    absent = "try:\n    import fcntl\nexcept ImportError:\n    print('absent')"
    assert there("-c", absent) == "absent\n"


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.elsewhere
def test_a_run_is_trained_reported_compared_and_predicts(there: Elsewhere) -> None:
    there("-m", "mnistlab", "train", *SMALL, "hydra.run.dir=r")
    assert state("r") == "completed"
    assert not Path("r/.lock").exists()
    there("-m", "mnistlab", "report", "r", "report.plots=core")
    assert "r" in there("-m", "mnistlab", "compare", "r")
    picture = "from PIL import Image; import numpy; x = numpy.zeros((28, 28), 'uint8'); x[4:24, 13:16] = 255; "
    there("-c", picture + "Image.fromarray(x).save('one.png')")
    assert "one.png" in there("-m", "mnistlab", "predict", "r", "one.png")


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.elsewhere
def test_ctrl_c_ends_a_run_that_is_resumed(there: Elsewhere, environment: dict[str, str]) -> None:
    with begin(environment, "train", *SMALL, "trainer.epochs=100000", "hydra.run.dir=r") as process:
        wait_until(Path("r/history.csv").exists)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].endswith("`mnistlab resume r` continues it")
    assert state("r") == "interrupted"
    epoch = len(Path("r/history.csv").read_text().splitlines())
    there("-m", "mnistlab", "resume", "r", f"trainer.epochs={epoch + 1}")
    assert state("r") == "completed"


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.elsewhere
def test_a_sweep_runs_in_processes_that_are_not_forked(there: Elsewhere) -> None:
    there("-m", "mnistlab", "train", *SWEEP)
    assert [state(f"s/{job}") for job in ("0_seed=0", "1_seed=1")] == ["completed"] * 2
    assert "completed" in there("-m", "mnistlab", "resume", "s")


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.elsewhere
def test_ctrl_c_ends_a_sweep_whose_jobs_write_it_down(environment: dict[str, str]) -> None:
    """No worker hears of it from the terminal here, nor by SIGTERM, which would end it without a word."""
    jobs = ("s/0_seed=0", "s/1_seed=1")
    with begin(environment, "train", *SWEEP, "trainer.epochs=100000") as process:
        wait_until(lambda: all(Path(job, "history.csv").exists() for job in jobs))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert [state(job) for job in jobs] == ["interrupted"] * 2


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.elsewhere
def test_workers_end_when_their_sweep_is_killed(environment: dict[str, str]) -> None:
    from mnistlab.runs import status

    jobs = [Path("s/0_seed=0"), Path("s/1_seed=1")]
    with begin(environment, "train", *SWEEP, "trainer.epochs=100000") as process:
        wait_until(lambda: all((job / "history.csv").exists() for job in jobs))
        process.kill()
        process.communicate(timeout=60)
    wait_until(lambda: [status.read(job).state for job in jobs] == ["interrupted"] * 2, 20)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.elsewhere
def test_the_estimator_is_cross_validated_in_spawned_processes(there: Elsewhere, tmp_path: Path) -> None:
    (tmp_path / "search.py").write_text(
        "from sklearn.datasets import load_digits\n"
        "from sklearn.model_selection import cross_val_score\n"
        "from mnistlab import NetworkClassifier\n"
        "if __name__ == '__main__':\n"
        "    x, y = load_digits(return_X_y=True)\n"
        "    model = NetworkClassifier(max_iter=2, random_state=0)\n"
        "    print(cross_val_score(model, x[:300] / 16, y[:300], cv=2, n_jobs=2).mean() > 0.1)\n"
    )
    assert there(str(tmp_path / "search.py")) == "True\n"


# Module -> what it may name of POSIX, each asked for with `hasattr` or `getattr`, or in a `try`
GUARDED = {
    "data/formats/isolated.py": {"resource"},  # the parser of a file has no limits of its own
    "runs/rehearsal.py": {"resource", "/proc/"},  # the plan of a sweep does not say how much memory a job needs
    "sweeps/launchers/scheduler.py": {"getuid"},  # only where Slurm is
    "sweeps/launchers/joblib.py": {"SIGKILL"},  # the text in which loky says what ended a worker
    "system/locks.py": {"O_NOFOLLOW", "O_NONBLOCK"},  # without them a lock is opened like any file
    "system/signals.py": {  # each with what happens without it
        *("SIGHUP", "SIGALRM", "setitimer", "ITIMER_REAL", "pthread_kill"),
        *("pthread_sigmask", "SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK"),
    },
    "runs/index.py": {"O_NONBLOCK"},  # 0 elsewhere
    "runs/environment.py": {"sched_getaffinity", "/proc/"},  # os.cpu_count, and platform.processor
}
NAMES = {"O_NONBLOCK", *elsewhere.OF_OS, *elsewhere.OF_SIGNAL, "SIG_UNBLOCK", "SIG_SETMASK"}


def posix_names(tree: ast.Module) -> Iterator[str]:
    """Yield each module, attribute, text and path of a module of ours that only POSIX has."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in elsewhere.MODULES)
        elif isinstance(node, ast.ImportFrom):
            if node.module in (*elsewhere.MODULES, "os", "signal"):
                yield from (
                    alias.name for alias in node.names if alias.name in NAMES or node.module not in ("os", "signal")
                )
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("os", "signal"):
            if node.attr in {*NAMES, "kill"}:
                yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value in NAMES:
                yield node.value
            elif node.value.startswith("/proc/"):
                yield "/proc/"


def test_no_module_needs_posix() -> None:
    named: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if names := set(posix_names(ast.parse(path.read_text(encoding="utf-8")))):
            named[path.relative_to(PACKAGE).as_posix()] = names
    assert named == GUARDED


@pytest.mark.parametrize(
    "source",
    ["import fcntl", "from resource import getrusage", "os.fork()", "os.kill(1, 9)", "getattr(signal, 'SIGHUP')"],
)
def test_a_name_of_posix_is_found(source: str) -> None:
    assert len(set(posix_names(ast.parse(source)))) == 1
