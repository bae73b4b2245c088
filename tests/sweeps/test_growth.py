"""Sweeps that grow: seeds and values added by resume, and seeds until the verdicts are decided."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import record, write_manifest

from mnistlab.analysis.compare import compare
from mnistlab.runs.status import State
from mnistlab.statistics.sequential import Design
from mnistlab.sweeps import manifest, until_decided
from mnistlab.sweeps.grid import plan
from mnistlab.sweeps.growth import added_points, with_seeds
from mnistlab.sweeps.until_decided import Request, next_look, start
from mnistlab.system.errors import RequestError

Command = Callable[..., Any]
SMALL = ("experiment=smoke", "model=softmax", "trainer.epochs=1", "trainer.threads=1", "report.plots=none")
BASIC = ("hydra/launcher=basic",)
LARGE_STEP = ("optimizer=sgd", "optimizer.lr=0.5,0.0001")  # a difference that every seed shows


def sweep_of(place: Path, *settings: dict[str, Any]) -> manifest.Manifest:
    return write_manifest(place, settings, ("init=a,b", "seed=0,1"))


# points


def test_more_seeds_go_to_every_setting(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "s", *({"init": init, "seed": seed} for init in "ab" for seed in (0, 1)))
    assert added_points(sweep, ["seed=range(4)"]) == [
        ("init=a", "seed=2"), ("init=b", "seed=2"), ("init=a", "seed=3"), ("init=b", "seed=3"),
    ]  # fmt: skip


def test_another_value_goes_with_every_seed(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "s", *({"init": init, "seed": seed} for init in "ab" for seed in (0, 1)))
    assert added_points(sweep, ["init=c"]) == [("seed=0", "init=c"), ("seed=1", "init=c")]


def test_an_unknown_key_is_refused_with_those_that_vary(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "s", {"init": "a"}, {"init": "b"})
    with pytest.raises(RequestError, match=r"^trainer.epochs=3: jobs can be added with other values of init, seed, "):
        added_points(sweep, ["trainer.epochs=3"])


def test_seeds_are_the_outer_loop() -> None:
    assert with_seeds([("init=a", "seed=7"), ("init=b",)], range(2)) == [
        ("init=a", "seed=0"), ("init=b", "seed=0"), ("init=a", "seed=1"), ("init=b", "seed=1"),
    ]  # fmt: skip


# resume


@pytest.mark.process
def test_resume_adds_seeds_and_keeps_what_there_is(command: Command) -> None:
    assert command("train", "-m", *SMALL, "optimizer.lr=0.01,0.02", "hydra.sweep.dir=s").status == 0
    before = {path: path.stat().st_mtime_ns for path in Path("s").rglob("status.json")}
    result = command("resume", "s", "seed=range(3)")
    assert result.status == 0, result.err
    assert "sweep   4 jobs of 6: optimizer.lr x seed" in result.out + result.err
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    grown = manifest.read(Path("s"))
    assert [dict(entry.settings) for entry in grown.entries] == [
        {"optimizer.lr": 0.01, "seed": 0}, {"optimizer.lr": 0.02, "seed": 0},
        {"optimizer.lr": 0.01, "seed": 1}, {"optimizer.lr": 0.02, "seed": 1},
        {"optimizer.lr": 0.01, "seed": 2}, {"optimizer.lr": 0.02, "seed": 2},
    ]  # fmt: skip
    assert [entry.directory for entry in grown.entries][:3] == [
        "0_optimizer.lr=0.01", "1_optimizer.lr=0.02", "2_optimizer.lr=0.01,seed=1",
    ]  # fmt: skip
    assert grown.added == (("seed=range(3)",),)
    assert "mnistlab resume s 'seed=range(3)'" in Path("s/summary.md").read_text()
    assert "3 seeds, paired t test" in Path("s/summary.md").read_text()
    again = command("resume", "s", "--seeds", "3")
    assert again.status == 0
    assert len(manifest.read(Path("s")).entries) == 6


@pytest.mark.process
def test_resume_adds_another_value_of_a_swept_key(command: Command) -> None:
    assert command("train", "-m", *SMALL, "optimizer.lr=0.01,0.02", "hydra.sweep.dir=s").status == 0
    assert command("resume", "s", "optimizer.lr=0.05").status == 0
    assert [entry.settings["optimizer.lr"] for entry in manifest.read(Path("s")).entries] == [0.01, 0.02, 0.05]


# the design


def begin(request: Request, *overrides: str) -> tuple[Design, list[tuple[str, ...]]]:
    return start(request, plan([*SMALL, *overrides, "hydra.sweep.dir=s"]))


def test_the_design_is_fixed_before_the_first_job() -> None:
    design, points = begin(Request(margin=0.2), "init=random,kaiming,xavier")
    assert design == Design("validation.accuracy", (12, 16, 24), 0.05, 0.002, 0, 3)
    assert len(points) == 3 * 12
    assert points[3][-1] == "seed=1"


def test_a_seed_is_the_first_of_them_and_without_validation_the_test_set_decides() -> None:
    design, points = begin(Request(looks=(8,)), "init=random,kaiming", "seed=5", "data.validation=0")
    assert (design.metric, design.first_seed) == ("test.accuracy", 5)
    assert [point[-1] for point in points[::2]] == [f"seed={seed}" for seed in range(5, 13)]


@pytest.mark.parametrize(
    ("request_", "overrides", "said"),
    [
        (
            Request(),
            ("init=kaiming",),
            "--until-decided: needs two or more settings to compare, for example init=random,",
        ),
        (
            Request(),
            ("init=random,kaiming", "seed=0,1"),
            "--until-decided: adds the seeds itself; leave out the list of ",
        ),
        (
            Request(looks=(3, 5)),
            ("init=random,kaiming",),
            "--looks 3,5: the exact test needs 7 seeds to decide anything between 2 settings in 2 looks; end with ",
        ),
        (
            # 2 / 2^3 is more than .05 / 2, which would be spent on a look that finds nothing
            Request(looks=(3, 24)),
            ("init=random,kaiming",),
            "--looks 3,24: the exact test needs 7 seeds to decide anything between 2 settings in 2 looks; leave out 3, "
            "or begin with 7 or more",
        ),
        (
            Request(looks=(3, 5, 24)),
            ("init=random,kaiming",),
            "--looks 3,5,24: the exact test needs 7 seeds to decide anything between 2 settings in 3 looks; leave out "
            "3 and 5, or begin with 7 or more",
        ),
        (
            Request(margin=101),
            ("init=random,kaiming",),
            "--margin 101: must be 100 or less, since validation.accuracy is in per cent; for example 0.2",
        ),
        (
            # 2 / 2^28 <= 1e-8 < 2 / 2^27
            Request(alpha=1e-8),
            ("init=random,kaiming",),
            "--alpha 1e-08: the exact test needs 28 seeds to decide anything between 2 settings in 1 look; give looks "
            "of so many, for example --looks 28",
        ),
    ],
)
def test_a_design_that_can_decide_nothing_is_refused(request_: Request, overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(RequestError) as error:
        begin(request_, *overrides)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("looks", [(6,), (7, 9), (8, 12)])
def test_looks_that_can_all_decide_something_are_taken(looks: tuple[int, ...]) -> None:
    assert begin(Request(looks=looks), "init=random,kaiming")[0].looks == looks


def test_after_a_look_only_undecided_settings_get_seeds(tmp_path: Path) -> None:
    design = Design("validation.accuracy", (12, 16), 0.05, None, 0)
    settings = [{"init": init, "seed": seed} for seed in range(12) for init in "abc"]
    wobble = {"a": 0.9, "b": 0.9, "c": 0.5}
    records = [
        record(one["seed"], wobble[one["init"]] + (one["init"] == "b") * (-1) ** one["seed"] / 100 + one["seed"] / 1e4)
        for one in settings
    ]
    look = next_look(design, records, sweep_of(tmp_path / "s", *settings).entries)
    assert look.line == "look    12 seeds: 2 of 3 pairs decided; 2 settings go on to 16 seeds"
    assert look.points == tuple((f"init={init}", f"seed={seed}") for seed in range(12, 16) for init in "ab")


def test_the_others_get_seeds_where_a_setting_has_failed(tmp_path: Path) -> None:
    design = Design("validation.accuracy", (12, 16), 0.05, None, 0, 3)
    settings = [{"init": init, "seed": seed} for seed in range(12) for init in "abc"]
    values = {"a": 0.9, "b": 0.9, "c": 0.5}
    runs = [
        record(
            seed := one["seed"],
            values[init := one["init"]] + (init == "b") * (-1) ** seed / 100,
            {"init": init},
            overridden=("init", "seed"),
        )
        for one in settings
    ]
    # the last run of c has failed, and the first has no finite metric
    failed = replace(runs[-1], state=State("failed", error="the loss is no longer finite"), metrics={})
    without = replace(runs[2], metrics={})
    entries = sweep_of(tmp_path / "s", *settings).entries
    for records, lost in (([*runs[:-1], failed], 1), ([*runs[:2], without, *runs[3:]], 1)):
        look = next_look(design, records, entries)
        assert look.line == (
            "look    12 seeds: 0 of 3 pairs decided, 2 not tested further since runs failed; 2 settings go on to 16 "
            "seeds"
        )
        assert look.points == tuple((f"init={init}", f"seed={seed}") for seed in range(12, 16) for init in "ab")
        comparison = compare(records, design=design)
        texts = {frozenset((v.first, v.second)): v.text for v in comparison.verdicts}
        assert texts[frozenset(("init=a", "init=b"))].endswith(" after Holm for 3 and Bonferroni for 2 looks)")
        assert "c: not tested, since runs failed" in texts[frozenset(("init=a", "init=c"))]
        (warning,) = [text for text in comparison.warnings if text.startswith(f"init=c: {lost} of 12 runs failed (")]
        assert warning.endswith(
            "), so its pairs could not be tested at every look, but count in the correction of the others"
        )
    interrupted = replace(runs[-1], state=State("interrupted"), metrics={})
    assert next_look(design, [*runs[:-1], interrupted], entries).points == ()


def test_after_the_last_look_nothing_is_added(tmp_path: Path) -> None:
    design = Design("validation.accuracy", (8,), 0.05, None, 0)
    settings = [{"init": init, "seed": seed} for seed in range(8) for init in "ab"]
    records = [record(one["seed"], 0.9 + (one["init"] == "b") * (-1) ** one["seed"] / 100) for one in settings]
    look = next_look(design, records, sweep_of(tmp_path / "s", *settings).entries)
    assert look == until_decided.Look("look    8 seeds: 0 of 1 pair decided; the last of the planned looks", ())


def test_the_design_is_in_the_manifest(tmp_path: Path) -> None:
    design = Design("validation.accuracy", (8, 12), 0.05, 0.002, 3)
    sweep = replace(sweep_of(tmp_path / "s", {"init": "a", "seed": 3}), design=design)
    sweep.write()
    assert manifest.read(sweep.directory).design == design
    assert sweep.command == (
        "mnistlab train -m init=a,b seed=0,1 --until-decided --looks 8,12 --alpha 0.05 --margin 0.2"
    )
    content = json.loads((sweep.directory / "sweep.json").read_text())
    content["until_decided"]["looks"] = [12, 8]
    (sweep.directory / "sweep.json").write_text(json.dumps(content))
    with pytest.raises(RequestError, match="the design of until_decided is damaged"):
        manifest.read(sweep.directory)


# whole sweeps


@pytest.mark.slow
def test_two_settings_that_differ_are_decided_at_the_first_look_and_compare_says_the_same(command: Command) -> None:
    result = command(
        "train", "-m", *SMALL, *BASIC, *LARGE_STEP, "--until-decided", "--looks", "7,9", "hydra.sweep.dir=s"
    )  # fmt: skip
    assert result.status == 0, result.err
    assert "look    7 seeds: 1 of 1 pair decided\n" in result.out + result.err
    assert len(manifest.read(Path("s")).entries) == 14
    (line,) = re.findall(r"^optimizer\.lr=0\.5 beats .*$", result.out, re.MULTILINE)
    assert line.endswith(" of validation.accuracy (7 seeds, exact test, p = 0.031 after Bonferroni for 2 looks)")
    assert line in command("compare", "s").out
    assert line in Path("s/summary.md").read_text()
    refused = command("resume", "s", "seed=range(20)")
    assert refused.err == (
        "mnistlab resume: error: seed=range(20): s adds its seeds itself, by its plan in sweep.json; leave this out\n"
    )
    other = command("compare", "s", "--metric", "test.accuracy").out
    assert "this sweep added seeds until validation.accuracy was decided" in other


@pytest.mark.slow
def test_a_setting_that_diverges_does_not_stop_the_plan(command: Command) -> None:
    small = [text for text in SMALL if not text.startswith("model")]
    rates = ("optimizer=sgd", "optimizer.lr=0.1,0.100001,1e30")
    result = command("train", "-m", *small, *BASIC, *rates, "--until-decided", "--looks", "8,9", "hydra.sweep.dir=s")
    assert result.status == 1
    said = result.out + result.err
    assert "look    9 seeds: 0 of 3 pairs decided, 2 not tested further since runs failed; the last of the" in said
    (verdict,) = re.findall(r"^optimizer\.lr=0\.1\S* and .*$", result.out, re.MULTILINE)
    assert verdict.endswith(" (9 seeds, exact test, p = 1.000 after Holm for 3 and Bonferroni for 2 looks)")
    (note,) = re.findall(r"^note: optimizer\.lr=1e\+30: 8 of 8 runs failed .*$", result.out, re.MULTILINE)
    assert "the loss is no longer finite" in note
    for text in (command("compare", "s").out, Path("s/summary.md").read_text()):
        assert verdict in text
        assert note.removeprefix("note: ") in text


@pytest.mark.slow
def test_an_interrupted_look_is_resumed(command: Command) -> None:
    alike = ("optimizer.lr=0.01,0.010001",)
    arguments = (*SMALL, *BASIC, *alike, "--until-decided", "--looks", "7,8", "hydra.sweep.dir=s")
    assert command("train", "-m", *arguments).status == 0
    sweep = manifest.read(Path("s"))
    assert len(sweep.entries) == 16
    replace(sweep, entries=sweep.entries[:14]).write()
    status = Path("s", sweep.entries[13].directory, "status.json")
    status.write_text(status.read_text().replace("completed", "failed"))
    result = command("resume", "s")
    assert result.status == 0, result.err
    assert "look    7 seeds: 0 of 1 pair decided; 2 settings go on to 8 seeds\n" in result.out + result.err
    assert len(manifest.read(Path("s")).entries) == 16


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--margin", "1"],
            "--margin: this option is for --until-decided; use both; `mnistlab compare --margin` tests ",
        ),
        (["--looks", "8"], "--looks: this option is for --until-decided; use both\n"),
        (
            ["--until-decided"],
            "--until-decided: a single run has nothing to compare; use it with -m and several settings",
        ),
        (["-m", "--until-decided"], "--until-decided: needs two or more settings to compare"),
        (["-m", "--until-decided", "--looks", "8,6"], "--looks 8,6: must be rising numbers of seeds of 2 or more, "),
        (["-m", "--until-decided", "--alpha", "5"], "--alpha 5: must be a number between 0 and 1, for example 0.05\n"),
    ],
)
def test_a_wrong_request_is_refused(arguments: list[str], said: str, command: Command) -> None:
    result = command("train", *SMALL, *arguments)
    assert result.status == 2
    assert not any(Path("outputs").rglob("*_*"))
    assert result.err.startswith(f"mnistlab train: error: {said}")
