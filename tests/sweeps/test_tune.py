"""The search: its space, trials without a test set, pruning, resuming, and one final test."""

from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import processes
from helpers.processes import wait_until
from helpers.runs import write_run
from helpers.tables import thinned

optuna = pytest.importorskip("optuna", reason="needs optuna: pip install '.[tune]'")

from mnistlab.sweeps import manifest, records  # noqa: E402
from mnistlab.sweeps.grid import plan  # noqa: E402
from mnistlab.sweeps.shape import Shape  # noqa: E402
from mnistlab.sweeps.tune.runner import Request, _pruner, _unchanged, best_of, front_of, runs_of  # noqa: E402
from mnistlab.sweeps.tune.search import Search, counted, give_back  # noqa: E402
from mnistlab.sweeps.tune.space import Dimension, parse  # noqa: E402
from mnistlab.system.errors import RequestError  # noqa: E402

Command = Callable[..., Any]
SMALL = ("experiment=smoke", "model=softmax", "report.plots=none", "trainer.threads=1", "hydra/launcher=basic")
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
    (
        ["optimizer.lr=log(1e-4,1)", "--pruner", "halving", "--trial-seeds", "3"],
        "--pruner halving: compares single runs ",
    ),
    (["optimizer.lr=log(1e-4,1)", "--pruner", "wilcoxon"], "--pruner wilcoxon: compares trials over their seeds, and "),
    (
        ["optimizer.lr=log(1e-4,1)", "--pruner", "median", "--against-seconds"],
        "--pruner median: Optuna stops no trials ",
    ),
    (["optimizer.lr=log(1e-4,1)", "--pruner", "median", "--no-prune"], "--no-prune: conflicts with --pruner median; "),
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
    return Search(directory.absolute(), SMALL, space, count, "validation.accuracy", "median", 0)


def test_trials_of_a_killed_process_are_tried_again_and_do_not_count(tmp_path: Path) -> None:
    study = search(tmp_path / "s").study()
    trial = study.ask()
    tried = search(tmp_path / "s").space[0].propose(trial)
    assert give_back(study) == 1
    assert counted(study) == []
    again = study.ask()
    assert search(tmp_path / "s").space[0].propose(again) == tried
    assert again.user_attrs == {"continues": trial.number}


def test_a_resumed_search_does_not_propose_its_first_trials_again(tmp_path: Path) -> None:
    """A new process has a new sampler; a search from the start is the same every time."""
    proposed: dict[str, list[str]] = {"whole": [], "halves": []}
    for place, parts in (("whole", 1), ("halves", 2)):
        for _ in range(parts):
            study = search(tmp_path / place).study()
            for _ in range(8 // parts):
                trial = study.ask()
                proposed[place].append(search(tmp_path / place).space[0].propose(trial))
                study.tell(trial, 0.5)
    assert proposed["halves"][:4] == proposed["whole"][:4]
    assert len(set(proposed["halves"])) == 8


@pytest.mark.parametrize(
    ("words", "pruner"),
    [
        ({}, "median"),
        ({"trial_seeds": 3}, "none"),
        ({"trial_seeds": 5}, "wilcoxon"),
        ({"against_seconds": True}, "none"),
        ({"pruner": "hyperband"}, "hyperband"),
    ],
)
def test_the_rule_that_stops_trials_goes_with_the_other_options(words: dict[str, Any], pruner: str) -> None:
    request = Request((), None, None, 5, "validation.accuracy", None, True, None, None)
    assert _pruner(replace(request, **words)) == pruner


def test_the_wilcoxon_pruner_stops_a_trial_that_is_worse_with_every_seed(tmp_path: Path) -> None:
    """Four pairs of which all are worse: p = 1 / 16, below 0.1; three are not enough."""
    study = replace(search(tmp_path / "s"), pruner="wilcoxon", trial_seeds=5).study()
    best, worse = study.ask(), study.ask()
    for seed in range(5):
        best.report(0.9 + seed / 100, seed)
    study.tell(best, 0.92)
    stopped = []
    for seed in range(4):
        worse.report(0.8 + seed / 200, seed)
        stopped.append(worse.should_prune())
    assert stopped == [False, False, False, True]


def test_with_two_objectives_the_front_is_what_nothing_beats_in_both(tmp_path: Path) -> None:
    study = replace(search(tmp_path / "s"), pruner="none", against_seconds=True).study()
    for accuracy, seconds in ((0.9, 5.0), (0.8, 1.0), (0.85, 6.0), (0.95, 9.0), (0.7, 2.0)):
        study.tell(study.ask(), [accuracy, seconds])
    assert [trial.number for trial in front_of(study)] == [1, 0, 3]
    best = best_of(study)
    assert best is not None and best.number == 3


def test_a_trial_of_the_front_is_tested_by_its_own_runs(tmp_path: Path) -> None:
    """The jobs are ordered by seed, and two trials of the same setting share theirs."""
    front = [
        optuna.trial.create_trial(value=0.9, user_attrs={"overrides": [f"model.hidden=[{units}]", "optimizer=sgd"]})
        for units in (8, 256, 8)
    ]
    sets = tuple(shlex.join(trial.user_attrs["overrides"]) for trial in front)
    words = [*SMALL[:1], "seed=range(2)", f"hydra.sweep.dir={tmp_path / 'final'}"]
    entries = tuple(job.entry for job in plan(words, shape=Shape(sets=sets)).jobs)
    saved = manifest.Manifest(tmp_path / "final", (), None, "", entries)
    saved.directory.mkdir()
    saved.write()
    for entry, accuracy in zip(entries, (0.25, 0.75, 0.25, 0.75), strict=True):
        write_run(saved.place(entry), accuracy)
    tested = [[run.value("validation.accuracy") for run in runs_of(each, saved.directory)] for each in front]
    assert tested == [[0.25, 0.25], [0.75, 0.75], [0.25, 0.25]]


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["halving", "hyperband"])
def test_halving_stops_trials_at_the_rungs(pruner: str, command: Command) -> None:
    arguments = [
        *SMALL,
        "trainer.epochs=9",
        "--pruner",
        pruner,
        "--jobs",
        "1",
        "--trials",
        "9",
        "--seeds",
        "1",
        "--to",
        "s",
    ]
    assert command("tune", *arguments, "optimizer.lr=log(1e-6,0.1)").status == 0
    found = [(row["state"], int(row["epochs"])) for row in trials(Path("s"))]
    assert {epochs for state, epochs in found if state == "pruned"} <= {1, 3}
    assert {epochs for state, epochs in found if state == "completed"} == {9}
    assert sum(epochs for _, epochs in found) < 81
    said = (Path("s") / "tune.md").read_text()
    assert f"{sum(epochs for _, epochs in found)} of 81 epochs were trained" in said


@pytest.mark.slow
def test_a_trial_of_several_seeds_has_the_mean_of_its_runs(command: Command) -> None:
    arguments = [*SMALL, "trainer.epochs=1", "--trial-seeds", "2", "--jobs", "1", "--trials", "2", "--seeds", "1"]
    assert command("tune", *arguments, "optimizer.lr=log(1e-3,1)", "--to", "s").status == 0
    for row in trials(Path("s")):
        files = [Path("s/trials") / row["trial"] / seed / "metrics.json" for seed in "01"]
        scores = [json.loads(path.read_text())["validation"]["accuracy"] for path in files]
        assert float(row["validation.accuracy"]) == pytest.approx(sum(scores) / 2)
        assert all(json.loads(path.read_text())["test"] == {"n": 0} for path in files)


@pytest.mark.slow
def test_accuracy_against_seconds_tests_the_whole_front(command: Command) -> None:
    arguments = [*SMALL[:1], *SMALL[2:], "trainer.epochs=1", "--jobs", "1", "--trials", "3", "--seeds", "2"]
    result = command("tune", *arguments, "model.hidden=choice([8],[256])", "--against-seconds", "--to", "s", "--json")
    assert result.status == 0, result.err
    content = json.loads(result.out)
    front = content["chosen"]["front"]
    assert [choice["seconds"] for choice in front] == sorted(choice["seconds"] for choice in front)
    assert len(content["test"]["accuracy"]) == len(front) == len(records.of_sweep(Path("s/final"))) / 2
    assert list(content["trials"][0]) == [
        *("trial", "model.hidden", "state", "validation.accuracy", "train_seconds", "epochs", "seconds", "error"),
    ]


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
    arguments = ("optimizer.lr=log(1e-3,1)", "--jobs", "1", "--trials", "2", "--seeds", "1", "--to", "s")
    assert command("tune", *SMALL, *arguments).status == 0
    before = trials(Path("s"))
    assert command("tune", "--resume", "s", "--jobs", "1", "--trials", "4").status == 0
    after = trials(Path("s"))
    assert len(after) == 4
    assert after[:2] == before


def test_a_search_does_not_go_on_with_other_data_or_another_configuration(tmp_path: Path) -> None:
    """A search of version 0.1 did not record what it used, and goes on."""
    first = search(tmp_path / "s")
    now = _unchanged(first)
    assert len(now.configurations) == 3 and len(now.data_sha256) == 1  # the base and two ends, of one dataset
    assert _unchanged(now) == now
    for changed, message in (
        ({"configurations": ("c0ffee", *now.configurations[1:])}, "the configuration has changed since the search was"),
        ({"data_sha256": ("c0ffee",)}, "its trials were trained on other images (sha256 c0ffee...) than the current"),
    ):
        with pytest.raises(RequestError) as error:
            _unchanged(replace(now, **changed))
        assert str(error.value).startswith(f"--resume s: {message}")


@pytest.mark.slow
def test_what_a_search_uses_is_in_its_request(command: Command) -> None:
    arguments = ("optimizer.lr=log(1e-3,1)", "--jobs", "1", "--trials", "1", "--seeds", "1", "--to", "s")
    assert command("tune", *SMALL, *arguments).status == 0
    request = json.loads(Path("s/tune.json").read_text())
    Path("s/tune.json").write_text(json.dumps({**request, "data_sha256": ["c0ffee"]}))
    result = command("tune", "--resume", "s", "--trials", "2")
    assert (result.status, len(trials(Path("s")))) == (2, 1)
    assert result.err.startswith("mnistlab tune: error: --resume s: its trials were trained on other images (sha256 ")


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
    arguments = ("optimizer.lr=log(1e-3,1)", "trainer.epochs=60", "--trials", "3", "--seeds", "1", "--to", "s")
    process = subprocess.Popen(
        [*PROGRAM, "tune", *SMALL, "trainer.checkpoint_every=1", *arguments],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: list(Path("s/trials").glob("*/checkpoint.safetensors")), what="a checkpoint")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    assert command("tune", "--resume", "s").status == 0
    logs = [path.read_text() for path in Path("s/trials").glob("*/train.log")]
    assert any("resume  in epoch" in log for log in logs)  # the lost trial goes on in its directory
    assert len(trials(Path("s"))) == 3
    assert {row["state"] for row in trials(Path("s"))} <= {"completed", "pruned"}
