"""``mnistlab compare`` on the files of runs: every format, every wrong option."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import KAIMING, RANDOM, write_manifest, write_run

from mnistlab.cli import compare

Command = Callable[..., Any]

TABLE = """\
init     runs  validation.accuracy (%)  test.accuracy (%)
kaiming  6     97.10 +/- 0.09           96.10 +/- 0.09
random   6     96.95 +/- 0.08           95.95 +/- 0.08

kaiming beats random by 0.15 +/- 0.03 points of validation.accuracy (6 seeds, exact test, p = 0.031)
"""


@pytest.fixture
def sweep() -> Path:
    """A sweep over two initialisations and six seeds."""
    points = [
        (init, seed, accuracy)
        for init, accuracies in (("random", RANDOM), ("kaiming", KAIMING))
        for seed, accuracy in enumerate(accuracies)
    ]
    directory = Path("sweep")
    write_manifest(directory, [{"init": init, "seed": seed} for init, seed, _ in points])
    for i, (init, seed, accuracy) in enumerate(points):
        write_run(
            directory / str(i),
            accuracy,
            config={"seed": seed, "init": {"scale": len(init)}},
            choices={"init": init},
            overrides=[f"init={init}", f"seed={seed}"],
        )
    return directory


def test_a_sweep_is_compared(command: Command, sweep: Path) -> None:
    result = command("compare", "sweep")
    assert (result.status, result.out, result.err) == (0, TABLE, "")


def test_its_runs_one_by_one_say_the_same(command: Command, sweep: Path) -> None:
    assert command("compare", *map(str, sorted(sweep.glob("*/")))).out == TABLE


def test_a_sweep_that_still_runs_is_compared_as_far_as_it_is(command: Command, sweep: Path) -> None:
    settings = [entry["settings"] for entry in json.loads((sweep / "sweep.json").read_text())["jobs"]]
    write_manifest(sweep, [*settings, {"init": "zeros", "seed": 0}])
    assert command("compare", "sweep").out == TABLE + "\nnot compared: 1 pending\n"


def test_a_single_run_is_shown(command: Command) -> None:
    write_run(Path("run"), 0.9)
    assert command("compare", "run").out == (
        "(all runs)  runs  validation.accuracy (%)  test.accuracy (%)\n"
        "            1     90.00                    89.00\n"
    )


@pytest.mark.parametrize(
    ("arguments", "first_line"),
    [
        (["--metric", "test.accuracy"], "init     runs  test.accuracy (%)  validation.accuracy (%)"),
        (["--metric=parameters"], "init     runs  parameters   validation.accuracy (%)  test.accuracy (%)"),
        (["--format", "table"], "init     runs  validation.accuracy (%)  test.accuracy (%)"),
        (["--format=markdown"], "| init | runs | validation.accuracy (%) | test.accuracy (%) |"),
        (["--format=json"], "{"),
        (
            ["--format=csv"],
            "init,runs,validation.accuracy.mean,validation.accuracy.sd,validation.accuracy.half,"
            "test.accuracy.mean,test.accuracy.sd,test.accuracy.half",
        ),
        (["--baseline", "random"], "init     runs  validation.accuracy (%)  test.accuracy (%)"),
    ],
)
def test_options_stand_before_or_after_the_path(
    command: Command, sweep: Path, arguments: list[str], first_line: str
) -> None:
    for line in ([*arguments, "sweep"], ["sweep", *arguments]):
        result = command("compare", *line)
        assert (result.status, result.err) == (0, "")
        assert result.out.splitlines()[0] == first_line


def test_a_baseline_may_hold_an_equals_sign(command: Command, sweep: Path) -> None:
    assert command("compare", "sweep", "--baseline=init=random").out == TABLE
    assert command("compare", "sweep", "--baseline", "init=kaiming").out == TABLE


def test_four_files_are_written_and_say_what_is_printed(command: Command, sweep: Path) -> None:
    printed = {form: command("compare", "sweep", "--format", form).out for form in ("csv", "markdown", "latex", "json")}
    for _ in range(2):  # again over its own files
        result = command("compare", "sweep", "--to", "here/there")
        assert (result.status, result.out) == (0, TABLE)
    written = {path.name: path.read_text() for path in Path("here/there").iterdir()}
    assert written == {
        "compare.csv": printed["csv"],
        "compare.md": printed["markdown"],
        "compare.tex": printed["latex"],
        "compare.json": printed["json"],
    }
    assert json.loads(written["compare.json"])["verdicts"][0]["p"] == 0.03125


def test_help_is_the_same_whatever_stands_beside_it(command: Command) -> None:
    usage = command("compare", "--help").out
    assert usage.startswith("Usage: mnistlab compare PATH [PATH ...] [options]\n")
    assert command("compare", "sweep", "-h").out == usage
    assert command("compare", "sweep", "-h").status == 0
    assert command("compare").out == usage
    assert command("compare").status == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format=csv"], "missing argument PATH; see `mnistlab compare --help`"),
        (["sweep", "--metric"], "option '--metric' requires an argument; see `mnistlab compare --help`"),
        (["sweep", "--metric="], "option '--metric' requires an argument; see `mnistlab compare --help`"),
        (["sweep", "--metric", ""], "option '--metric' requires an argument; see `mnistlab compare --help`"),
        (["sweep", "--to=a", "--to", "b"], "--to: this option is given twice; give it once"),
        (["sweep", "--metrc=x"], "--metrc: no such option (did you mean --metric?); see `mnistlab compare --help`"),
        (["sweep", "-x"], "-x: no such option; see `mnistlab compare --help`"),
        (
            ["sweep", "--format", "cvs"],
            "--format cvs: choose one of table, csv, markdown, latex, json (did you mean csv?)",
        ),
        (["sweep", "--format=xml"], "--format xml: choose one of table, csv, markdown, latex, json"),
        (["sweep", "--metric=test.acuracy"], "--metric test.acuracy: must be train, validation or test with one"),
        (
            ["sweep", "--baseline", "xavier"],
            "--baseline xavier: no group matches; name the settings of one group: init=kai",
        ),
        (["sweep", "--to", "file"], "--to file: a file is in the way; name a directory"),
        (["nowhere"], "nowhere: no such directory; name runs or sweeps"),
        (["sweep", "file"], "file: no such directory; name runs or sweeps"),
        (["empty"], "empty: neither a run directory (status.json) nor a sweep directory (sweep.json)"),
        (["failed"], "no run is completed (1 failed); `mnistlab resume` runs a sweep's jobs again"),
        (
            ["hostile"],
            "hostile/sweep.json: not the manifest of a sweep (ValueError: the directory of job 0 is outside",
        ),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(
    command: Command, sweep: Path, arguments: list[str], message: str
) -> None:
    Path("file").write_text("")
    Path("empty").mkdir()
    write_run(Path("failed"), state="failed")
    written = write_manifest(Path("hostile"), [{}])
    text = (written.directory / "sweep.json").read_text()
    (written.directory / "sweep.json").write_text(text.replace('"directory": "0"', '"directory": "/etc"'))
    before = sorted(Path().rglob("*"))
    result = command("compare", *arguments)
    assert (result.status, result.out) == (2, "")
    (line,) = result.err.splitlines()
    assert line.startswith(f"mnistlab compare: error: {message}")
    assert sorted(Path().rglob("*")) == before


def test_options_take_their_values_in_either_form_and_stand_anywhere() -> None:
    params = compare.main.make_context("compare", ["a", "--metric", "m", "b", "--to=x=y", "c"]).params
    assert params["paths"] == ("a", "b", "c")
    assert (params["metric"], params["to"]) == ("m", "x=y")


@pytest.fixture
def grid() -> Path:
    """A sweep over two initialisations, two learning rates and three seeds; kaiming is 20 points ahead."""
    points = [(init, lr, seed) for init in ("random", "kaiming") for lr in (0.1, 0.5) for seed in range(3)]
    write_manifest(Path("grid"), [{"init": init, "optimizer.lr": lr, "seed": seed} for init, lr, seed in points])
    for i, (init, lr, seed) in enumerate(points):
        accuracy = 0.5 + 0.2 * (init == "kaiming") + lr / 10 + seed**2 / 1000 * (1 + (init == "kaiming"))
        config = {"seed": seed, "init": {"scale": len(init)}, "optimizer": {"lr": lr}}
        write_run(
            Path("grid") / str(i),
            accuracy,
            config=config,
            choices={"init": init},
            overrides=[f"init={init}", f"optimizer.lr={lr}", f"seed={seed}"],
        )
    return Path("grid")


@pytest.mark.parametrize(
    ("arguments", "rows", "said"),
    [
        (
            ["--factor", "init"],
            ["kaiming  6", "random   6"],
            "kaiming beats random, averaged over 2 values of optimizer.lr,",
        ),
        (
            ["--where", "init=kaiming"],
            ["0.5           3", "0.1           3"],
            "optimizer.lr=0.5 is ahead of optimizer.lr=0.1 by 4.00",
        ),
        (["--best-over", "optimizer.lr"], ["kaiming  3", "random   3"], "kaiming beats random by 20."),
        (["--best-over", "optimizer.lr"], ["kaiming  3", "random   3"], "init=random: 0.5 in every seed"),
        (
            [],
            ["kaiming  0.5           3", "kaiming  0.1           3"],
            "effect of init\nkaiming beats random, averaged",
        ),
    ],
)
def test_questions_about_one_of_several_settings(
    command: Command, grid: Path, arguments: list[str], rows: list[str], said: str
) -> None:
    result = command("compare", "grid", *arguments)
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    assert [line[: len(row)] for line, row in zip(lines[1:], rows, strict=False)] == rows
    assert said in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--best-over", ",lr"], "--best-over ,lr: must be settings with commas between them, as in optimizer.lr"),
        (["--best-over", "lr"], "--best-over lr: must be a setting that varies: init, optimizer.lr"),
        (["--factor", "seed"], "--factor seed: must be a setting that varies: init, optimizer.lr"),
        (["--where", "init=zeros"], "--where init=zeros: no run meets it; init is kaiming, random"),
        (["--where", "test.loss<1"], "--where test.loss<1: must be a setting; choosing by results biases tests"),
    ],
)
def test_a_wrong_question_is_one_line(command: Command, grid: Path, arguments: list[str], message: str) -> None:
    result = command("compare", "grid", *arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err == f"mnistlab compare: error: {message}\n"
