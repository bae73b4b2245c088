"""The search: its space, trials without a test set, pruning, resuming, and one final test."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import processes
from helpers.processes import wait_until
from helpers.tables import thinned

optuna = pytest.importorskip("optuna", reason="needs optuna: pip install '.[tune]'")

from mnistlab.sweeps import records  # noqa: E402
from mnistlab.sweeps.tune.runner import best_of  # noqa: E402
from mnistlab.sweeps.tune.search import Search, counted, give_back  # noqa: E402
from mnistlab.sweeps.tune.space import Dimension, parse  # noqa: E402
from mnistlab.system.errors import RequestError  # noqa: E402

Command = Callable[..., Any]
SMALL = ("experiment=smoke", "model=softmax", "report.plots=none", "trainer.threads=1")
PROGRAM = [sys.executable, "-m", "mnistlab"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optimizer.lr=log(1e-4,1)", Dimension("optimizer.lr", (), 1e-4, 1, None, True, False)),
        ("optimizer.lr=interval(0.1,1)", Dimension("optimizer.lr", (), 0.1, 1, None, False, False)),
        ("model.units=int(interval(8,64))", Dimension("model.units", (), 8, 64, None, False, True)),
        ("model.units=int(log(8,64))", Dimension("model.units", (), 8, 64, None, True, True)),
        ("model.units=range(8,65,8)", Dimension("model.units", (), 8, 64, 8, False, True)),
        ("model.hidden=choice([64],[128,64])", Dimension("model.hidden", ("[64]", "[128,64]"))),
        ("optimizer.lr=range(0.01,0.1,0.03)", Dimension("optimizer.lr", (), 0.01, 0.1, 0.03)),
        ("optimizer=sgd,adam", Dimension("optimizer", ("sgd", "adam"))),
    ],
)
def test_a_space_is_written_as_overrides(text: str, expected: Dimension) -> None:
    assert parse(["data=digits", text]) == (["data=digits"], [expected])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer.lr=0.1"], "no search space; set a key to log(a,b), "),
        (["optimizer.lr=log(1,0.1)"], "optimizer.lr=log(1,0.1): must be two numbers, the smaller one first"),
        (["optimizer.lr=log(0,1)"], "optimizer.lr=log(0,1): a logarithmic interval must begin above zero"),
        (["optimizer.lr=log(a,b)"], "optimizer.lr=log(a,b): "),
        (["optimizer.lr=range(3,3)"], "optimizer.lr=range(3,3): the range is empty"),
        (["seed=1,2", "seed=3,4"], "seed: searched twice; list all its values in one override"),
        (["optimizer.lr"], "optimizer.lr: must be key=value"),
    ],
)
def test_a_wrong_space(overrides: list[str], message: str) -> None:
    with pytest.raises(RequestError) as error:
        parse(overrides)
    assert str(error.value).startswith(message)


WRONG = [
    (["optimizer.lr=log(1e-4,1)", "--trials", "0"], "--trials 0: must be a whole number of 1 or more"),
    (["optimizer.lr=log(1e-4,1)", "--trails", "3"], "--trails: no such option (did you mean --trials?)"),
    (["optimizer.lr=log(1e-4,1)", "--metric", "test.accuracy"], "--metric test.accuracy: choose one of validation."),
    (
        ["optimizer.lr=log(1e-4,1)", "data.validation=0"],
        "data.validation=0: a search needs a validation set; set 0.1, for example",
    ),
    (["optimizer.lr=interval(-1,1)"], "optimizer.lr=-1.0: the learning rate must be positive"),
    (["optimizer.rate=log(1e-4,1)"], "optimizer.rate: unknown key; "),
    (["optimizer.lr=0.1,0.2", "seed=1,2"], "seed: must not be searched; --seeds sets "),
    (["data.validation=0,0.1"], "data.validation=0: a search needs a validation set; set 0.1, for example"),
    (["optimizer=sgd,adm"], "optimizer=adm: no such option; "),
    (["--resume", "nowhere"], "--resume nowhere: not a search directory (no tune.json)"),
    (["--resume", "nowhere", "seed=1"], "--resume: a search is resumed with its own settings; "),
    (["optimizer.lr=log(1e-4,1)", "--to"], "option '--to' requires an argument; see `mnistlab tune --help`"),
]


@pytest.mark.parametrize(("arguments", "message"), thinned(WRONG, 2))
def test_a_wrong_request_leaves_nothing(arguments: list[str], message: str, command: Command) -> None:
    result = command("tune", *arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"mnistlab tune: error: {message}")
    assert result.err.count("\n") == 1
    assert not list(Path().iterdir())


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """A search of eight trials of which some diverge, with the chosen configuration tested on two seeds."""
    place = tmp_path_factory.mktemp("searched")
    done = processes.run(
        [
            *(*PROGRAM, "tune", "experiment=smoke", "report.plots=none", "trainer.threads=1", "optimizer=sgd,adam"),
            *("optimizer.lr=log(1e-3,1)", "model.hidden=choice([16],[32,16])", "trainer.epochs=4"),
            *("--trials", "8", "--seeds", "2", "--to", "s"),
        ],
        cwd=place,
        env={**os.environ, "MNISTLAB_CACHE": str(shared_cache)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (place / "out.txt").write_text(done.stdout)
    return place / "s"


def trials(search: Path) -> list[dict[str, str]]:
    with (search / "trials.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.process
@pytest.mark.slow
def test_a_search_leaves_exactly_these_files(searched: Path) -> None:
    names = {path.name for path in searched.iterdir()}
    assert names == {"tune.json", "study.sqlite3", "trials", "trials.csv", "tune.md", "plots", "chosen.json", "final"}
    assert {path.name for path in (searched / "trials").iterdir()} == {str(i) for i in range(8)}
    assert {path.stem for path in (searched / "plots").iterdir()} == {"history", "importance"}


@pytest.mark.process
@pytest.mark.slow
def test_no_trial_sees_the_test_part(searched: Path) -> None:
    for directory in (searched / "trials").iterdir():
        if (directory / "metrics.json").exists():
            assert json.loads((directory / "metrics.json").read_text())["test"] == {"n": 0}


@pytest.mark.process
@pytest.mark.slow
def test_the_chosen_configuration_is_the_best_by_validation_and_is_tested_once_a_seed(searched: Path) -> None:
    rows = trials(searched)
    best = max((row for row in rows if row["state"] == "completed"), key=lambda row: float(row["validation.accuracy"]))
    chosen = json.loads((searched / "chosen.json").read_text())
    assert (chosen["trial"], chosen["value"]) == (int(best["trial"]), float(best["validation.accuracy"]))
    tested = records.of_sweep(searched / "final")
    assert [record.seed for record in tested] == [0, 1]
    for record in tested:
        assert record.settings["optimizer"] == best["optimizer"]
        assert record.settings["optimizer.lr"] == float(best["optimizer.lr"])
        assert record.metrics["test"]["n"] > 0


@pytest.mark.process
@pytest.mark.slow
def test_the_value_of_a_trial_is_that_of_the_weights_it_kept(searched: Path) -> None:
    for row in trials(searched):
        if row["state"] == "completed":
            metrics = json.loads((searched / "trials" / row["trial"] / "metrics.json").read_text())
            assert float(row["validation.accuracy"]) == pytest.approx(metrics["validation"]["accuracy"])


@pytest.mark.process
@pytest.mark.slow
def test_the_console_names_what_was_chosen(searched: Path) -> None:
    said = (searched.parent / "out.txt").read_text()
    assert "tune    8 trials over optimizer, optimizer.lr, model.hidden, by validation.accuracy\n" in said
    *_, chosen, tested, place = said.splitlines()
    assert chosen.startswith("chosen               optimizer=") and "(trial " in chosen
    assert tested.startswith("test accuracy        ") and tested.endswith("(2 seeds; first use of the test set)")
    assert place == "search directory     s"


def search(directory: Path, count: int = 4) -> Search:
    directory.mkdir(exist_ok=True)
    space = (Dimension("optimizer.lr", (), 1e-3, 1, None, True),)
    return Search(directory.absolute(), SMALL, space, count, "validation.accuracy", True, 0)


def test_trials_of_a_killed_process_are_tried_again_and_do_not_count(tmp_path: Path) -> None:
    study = search(tmp_path / "s").study()
    trial = study.ask()
    tried = search(tmp_path / "s").space[0].propose(trial)
    assert give_back(study) == 1
    assert counted(study) == []
    assert search(tmp_path / "s").space[0].propose(study.ask()) == tried


def test_the_best_is_the_first_of_equals_and_never_a_pruned_one(tmp_path: Path) -> None:
    study = search(tmp_path / "s").study()
    for value, state in ((0.8, "COMPLETE"), (0.9, "COMPLETE"), (0.9, "COMPLETE"), (None, "PRUNED")):
        trial = study.ask()
        trial.report(0.99 if value is None else value, 1)
        study.tell(trial, value, state=optuna.trial.TrialState[state])
    best = best_of(study)
    assert best is not None and best.number == 1


@pytest.mark.slow
def test_a_trial_behind_the_median_is_stopped(command: Command) -> None:
    """With a rate of 1e-6 nothing is learned: after five trials such a one, or another slow one, ends early."""
    arguments = [*SMALL, "trainer.epochs=6", "--jobs", "1", "--trials", "12", "--seeds", "1", "--to", "s"]
    assert command("tune", *arguments, "optimizer.lr=choice(0.01,0.02,0.03,0.04,0.000001)").status == 0
    stopped = [row for row in trials(Path("s")) if row["state"] == "pruned"]
    assert stopped and all(2 <= int(row["epochs"]) < 6 and int(row["trial"]) >= 5 for row in stopped)
    assert json.loads((Path("s/trials") / stopped[0]["trial"] / "status.json").read_text())["state"] == "pruned"


@pytest.mark.slow
def test_one_worker_repeats_the_same_search(command: Command) -> None:
    for place in ("a", "b"):
        arguments = ("optimizer.lr=log(1e-3,1)", "--jobs", "1", "--trials", "3", "--seeds", "1", "--to", place)
        assert command("tune", *SMALL, *arguments).status == 0
    tried = [[(row["optimizer.lr"], row["validation.accuracy"]) for row in trials(Path(place))] for place in "ab"]
    assert tried[0] == tried[1]


@pytest.mark.slow
def test_a_search_goes_on_for_more_trials(command: Command) -> None:
    assert command("tune", *SMALL, "optimizer.lr=log(1e-3,1)", "--trials", "2", "--seeds", "1", "--to", "s").status == 0
    before = trials(Path("s"))
    assert command("tune", "--resume", "s", "--trials", "4").status == 0
    after = trials(Path("s"))
    assert len(after) == 4
    assert after[:2] == before


@pytest.mark.process
@pytest.mark.slow
def test_an_interrupted_search_names_the_command_that_goes_on() -> None:
    arguments = ("optimizer.lr=log(1e-3,1)", "trainer.epochs=3000", "--trials", "4", "--to", "s")
    process = subprocess.Popen([*PROGRAM, "tune", *SMALL, *arguments], stdout=subprocess.PIPE, text=True)
    wait_until(lambda: list(Path("s/trials").glob("*/status.json")), what="the first trial")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out.endswith("interrupted; `mnistlab tune --resume s` continues it\n")


@pytest.mark.process
@pytest.mark.slow
def test_a_killed_search_goes_on_where_it_was(command: Command) -> None:
    arguments = ("optimizer.lr=log(1e-3,1)", "trainer.epochs=40", "--trials", "4", "--seeds", "1", "--to", "s")
    process = subprocess.Popen(
        [*PROGRAM, "tune", *SMALL, *arguments], stdout=subprocess.DEVNULL, start_new_session=True
    )
    wait_until(lambda: list(Path("s/trials").glob("*/status.json")), what="the first trial")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    assert command("tune", "--resume", "s").status == 0
    assert len(trials(Path("s"))) == 4
    assert {row["state"] for row in trials(Path("s"))} <= {"completed", "pruned"}
