"""Grids beyond the product of lists: keys that vary together, option sets, excluded points, and random subsets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnistlab.sweeps import manifest
from mnistlab.sweeps.axes import Grid
from mnistlab.sweeps.grid import Plan, plan
from mnistlab.sweeps.growth import added_points
from mnistlab.sweeps.manifest import Manifest
from mnistlab.sweeps.shape import Shape
from mnistlab.system.errors import RequestError

Command = Callable[..., Any]
SMALL = ("experiment=smoke", "model=softmax", "trainer.epochs=1", "trainer.threads=1", "report.plots=none")
PAIRS = ("optimizer.lr=0.01,0.1", "trainer.batch_size=32,64")
TOGETHER = Shape(zips=(("optimizer.lr", "trainer.batch_size"),))


def planned(*overrides: str, **shape: Any) -> Plan:
    return plan([*overrides, "hydra.sweep.dir=s"], shape=Shape(**shape))


def settings(*overrides: str, **shape: Any) -> list[tuple[Any, ...]]:
    return [tuple(job.entry.settings.values()) for job in planned(*overrides, **shape).jobs]


def refusal(*overrides: str, **shape: Any) -> str:
    with pytest.raises(RequestError) as error:
        planned(*overrides, **shape)
    return str(error.value)


# --- keys that vary together ------------------------------------------------------------------------------------------


def test_zipped_keys_take_their_values_in_step_and_the_others_multiply() -> None:
    assert settings(*PAIRS, "seed=0,1", zips=TOGETHER.zips) == [
        (0.01, 32, 0), (0.01, 32, 1), (0.1, 64, 0), (0.1, 64, 1),
    ]  # fmt: skip


def test_a_zipped_key_may_be_a_group_and_its_values_a_range() -> None:
    assert settings("model=softmax,mlp_1hidden", "seed=range(2)", zips=(("model", "seed"),)) == [
        ("softmax", 0), ("mlp_1hidden", 1),
    ]  # fmt: skip


def test_there_may_be_several_groups() -> None:
    words = (*PAIRS, "init=random,kaiming", "seed=3,4")
    assert settings(*words, zips=(*TOGETHER.zips, ("init", "seed"))) == [
        (0.01, 32, "random", 3), (0.01, 32, "kaiming", 4), (0.1, 64, "random", 3), (0.1, 64, "kaiming", 4),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "zips", "said"),
    [
        (
            ("optimizer.lr=1,2", "seed=1,2,3"),
            (("optimizer.lr", "seed"),),
            "--zip optimizer.lr,seed: the keys need equally many values, and optimizer.lr has 2, seed has 3",
        ),
        (
            ("optimizer.lr=1,2",),
            (("optimizer.lr", "sed"),),
            "--zip optimizer.lr,sed: sed has no values; give them as usual, sed=...,...",
        ),
    ],
)
def test_a_zip_that_does_not_fit_is_refused(words: tuple[str, ...], zips: Any, said: str) -> None:
    assert refusal(*words, zips=zips) == said


# --- option sets ------------------------------------------------------------------------------------------------------


def test_a_set_is_one_value_of_an_axis() -> None:
    sets = ("optimizer=sgd optimizer.lr=0.5", "optimizer=adam optimizer.lr=0.001 optimizer.beta1=0.8")
    jobs = planned("seed=0,1", sets=sets).jobs
    assert [dict(job.entry.settings) for job in jobs[1:3]] == [
        {"seed": 0, "optimizer": "adam", "optimizer.lr": 0.001, "optimizer.beta1": 0.8},
        {"seed": 1, "optimizer": "sgd", "optimizer.lr": 0.5, "optimizer.beta1": None},
    ]
    assert len(jobs) == 4


def test_a_set_may_be_a_grid_of_its_own() -> None:
    sets = ("optimizer=sgd optimizer.lr=0.1,0.5", "optimizer=adam")
    assert settings(sets=sets) == [("sgd", 0.1), ("sgd", 0.5), ("adam", 0.001)]


def test_a_set_has_priority_over_what_is_given_beside_it() -> None:
    assert settings("optimizer.lr=0.3", "seed=0,1", sets=("optimizer=sgd optimizer.lr=0.5", "optimizer=momentum")) == [
        (0, "sgd", 0.5), (0, "momentum", 0.3), (1, "sgd", 0.5), (1, "momentum", 0.3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "sets", "said"),
    [
        (("seed=0,1",), ("seed=2",), "seed: has several values and is also in --set; leave one of them out"),
        ((), ("optimizer=sgd optimizer=adam",), "--set optimizer=sgd optimizer=adam: optimizer is given twice; "),
        ((), ("hydra.launcher.n_jobs=2",), "--set hydra.launcher.n_jobs=2: hydra.launcher.n_jobs is a setting of the "),
        ((), ("",), "--set '': is empty; must be key=value key=value, in quotes"),
        ((), ("note='a",), "--set note='a: no closing quotation; must be key=value"),
        ((), ("optimizer",), "--set optimizer: "),
    ],
)
def test_a_set_that_cannot_be_is_refused(words: tuple[str, ...], sets: tuple[str, ...], said: str) -> None:
    assert refusal(*words, sets=sets).startswith(said)


# --- excluded points --------------------------------------------------------------------------------------------------


def test_points_that_fulfil_a_condition_are_left_out() -> None:
    conditions = ("optimizer=adam and optimizer.lr>0.05", "seed=1 and optimizer=sgd")
    assert settings("optimizer=sgd,adam", "optimizer.lr=0.01,0.1", "seed=0,1", exclude=conditions) == [
        ("sgd", 0.01, 0), ("sgd", 0.1, 0), ("adam", 0.01, 0), ("adam", 0.01, 1),
    ]  # fmt: skip


def test_a_condition_may_be_on_what_the_options_bring() -> None:
    """The learning rate of Adam is in its YAML file, and the number of hidden units in that of a model."""
    assert settings("optimizer=sgd,adam", exclude=("optimizer.lr<0.005",)) == [()]
    exclude = ("model.hidden=[64,32]",)
    assert settings("model=mlp_2hidden", "model.hidden=[64,32],[16]", exclude=exclude) == [()]


def test_the_log_says_how_many_points_are_left_out() -> None:
    assert planned("seed=0,1,2", exclude=("seed>0",)).notes == ("2 of 3 points are excluded",)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("optimizer=adm", "--exclude optimizer=adm: holds for none of the 4 points; correct its values"),
        ("sed=1", "--exclude: no point has the key sed (did you mean seed?); name a group or a setting"),
        ("seed>=0", "--exclude: leaves none of the 4 points; use a narrower condition"),
    ],
)
def test_a_condition_that_does_nothing_or_all_is_refused(condition: str, said: str) -> None:
    assert refusal("optimizer=sgd,adam", "seed=0,1", exclude=(condition,)) == said


# --- points given twice -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("seed=0,0,1",), ("optimizer.lr=0.1,0.10,1e-1,0.2",)])
def test_a_point_given_twice_is_run_once(words: tuple[str, ...]) -> None:
    found = planned(*words)
    assert len(found.jobs) == 2
    assert "given twice; each is run once" in found.notes[0]


def test_options_with_the_same_values_are_two_points() -> None:
    """Kaiming's and Xavier's initialisation have the same parameters."""
    assert settings("init=kaiming,xavier") == [("kaiming",), ("xavier",)]
    saved = sweep(Shape(), "init=random,kaiming")
    points = added_points(saved, ["init=xavier"])
    assert len(plan([*saved.overrides, "hydra.sweep.dir=s"], manifest=saved, added=points).jobs) == 3


def test_a_key_with_two_lists_is_refused() -> None:
    said = "seed=0,1 seed=2: seed is given 2 times; list all its values in one word"
    assert refusal("seed=0,1", "seed=2") == said


# --- random subsets ---------------------------------------------------------------------------------------------------


def test_a_sample_is_drawn_from_a_named_seed_and_keeps_the_order_of_the_grid() -> None:
    words, every = ("optimizer.lr=range(1,11)", "trainer.batch_size=range(1,11)"), range(1, 11)
    first = settings(*words, sample=7)
    assert len(first) == len({*first}) == 7
    assert first == sorted(first) == settings(*words, sample=7)
    assert {*first} <= {(lr, size) for lr in every for size in every}
    assert first != settings(*words, sample=7, sample_seed=1)


def test_every_setting_of_a_sample_has_all_seeds() -> None:
    found = settings("optimizer.lr=range(1,11)", "seed=0,1,2", sample=2)
    assert [seed for _, seed in found] == [0, 1, 2] * 2
    assert len({lr for lr, _ in found}) == 2


def test_a_sample_comes_from_what_the_conditions_leave() -> None:
    found = settings("optimizer.lr=range(1,11)", "seed=0,1", sample=3, exclude=("optimizer.lr<=7",))
    assert found == [(lr, seed) for lr in (8, 9, 10) for seed in (0, 1)]


def test_a_sample_of_a_huge_grid_is_planned_at_once() -> None:
    words = ("optimizer.lr=range(1,1000)", "trainer.batch_size=range(1,1000)", "optimizer.beta1=range(0,0.9,0.01)")
    assert len(settings(*words, sample=3)) == 3


def test_a_sweep_of_nothing_but_seeds_samples_them() -> None:
    assert len(settings("seed=range(200000)", sample=4)) == 4


@pytest.mark.parametrize(
    ("words", "shape", "said"),
    [
        (("seed=range(3)",), {"sample": 5}, "--sample 5: the grid has only 3 settings; ask for fewer, or leave it out"),
        (
            ("optimizer.lr=range(1,5)",),
            {"sample": 3, "exclude": ("optimizer.lr>2",)},
            "--sample 3: only 2 of the 4 settings are left after --exclude; ask for fewer",
        ),
        (
            ("optimizer.lr=1,2,3", "seed=range(6000)"),
            {"sample": 2},
            "the grid has 12,000 points, more than 10,000; use fewer values, a random subset (--sample 100), or ",
        ),
    ],
)
def test_a_sample_that_is_not_there_is_refused(words: tuple[str, ...], shape: dict[str, Any], said: str) -> None:
    assert refusal(*words, **shape).startswith(said)


# --- how many ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (("seed=range(200000)",), "200,000"),
        (("seed=range(0,100001,5)", "init=random,kaiming"), "40,002"),
        (("optimizer.lr=range(0.1,2000,0.1)",), "19,999"),
        (("seed=range(1000000000000)",), "1,000,000,000,000"),
        (("seed=range(20000)", "optimizer.lr=range(1,20001)"), "400,000,000"),
    ],
)
def test_a_grid_that_is_too_large_is_refused_with_its_size(words: tuple[str, ...], number: str) -> None:
    assert refusal(*words).startswith(f"the grid has {number} points, more than 10,000; use fewer values, ")


def test_zips_and_sets_count_for_what_they_are() -> None:
    words, zips = ("seed=range(9000)", "optimizer.lr=range(1,9001)"), (("seed", "optimizer.lr"),)
    assert refusal(*words, "init=random,kaiming", zips=zips).startswith("the grid has 18,000 points")
    sets = ("seed=range(8000)", "seed=range(4000) init=random")
    assert refusal(sets=sets).startswith("the grid has 12,000 points")


@given(st.lists(st.integers(1, 4), max_size=4))
def test_the_points_of_a_grid_are_numbered_as_a_product(sizes: list[int]) -> None:
    grid = Grid([[(f"{axis}={value}",) for value in range(size)] for axis, size in enumerate(sizes)])
    points = list(grid)
    assert len(grid) == len(points) == len({*points})
    assert points == sorted(points)


# --- sweep.json, resume and growth ------------------------------------------------------------------------------------


def sweep(shape: Shape, *overrides: str) -> Manifest:
    found = plan([*overrides, "hydra.sweep.dir=s"], shape=shape)
    entries = tuple(job.entry for job in found.jobs)
    return Manifest(found.directory, overrides, None, str(Path.cwd()), entries, shape=shape)


def test_the_shape_is_in_the_manifest_and_in_its_command(tmp_path: Path) -> None:
    shape = Shape((("optimizer.lr", "seed"),), ("init=random",), ("seed=1",), 3, 2)
    saved = Manifest(
        tmp_path, ("optimizer.lr=1,2", "seed=0,1"), None, "", sweep(Shape(), "seed=0").entries, (), None, shape
    )
    saved.write()
    assert manifest.read(tmp_path).shape == shape
    assert saved.command == (
        "mnistlab train -m optimizer.lr=1,2 seed=0,1 --zip optimizer.lr,seed --set init=random --exclude seed=1 "
        "--sample 3 --sample-seed 2"
    )
    content = json.loads((tmp_path / "sweep.json").read_text())
    content["grid"]["sample"] = "many"
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    with pytest.raises(RequestError, match="not the manifest of a sweep"):
        manifest.read(tmp_path)


def test_keys_that_vary_together_grow_together() -> None:
    saved = sweep(TOGETHER, *PAIRS, "seed=0,1")
    words = ["trainer.batch_size=16,8", "optimizer.lr=0.2,0.3"]
    assert added_points(saved, words) == [
        ("seed=0", "optimizer.lr=0.2", "trainer.batch_size=16"),
        ("seed=1", "optimizer.lr=0.2", "trainer.batch_size=16"),
        ("seed=0", "optimizer.lr=0.3", "trainer.batch_size=8"),
        ("seed=1", "optimizer.lr=0.3", "trainer.batch_size=8"),
    ]
    with pytest.raises(RequestError) as error:
        added_points(saved, ["optimizer.lr=0.2"])
    assert str(error.value) == (
        "optimizer.lr=0.2: varies together with optimizer.lr, trainer.batch_size (--zip); give values of "
        "trainer.batch_size too"
    )


def test_a_sweep_does_not_grow_beyond_the_limit() -> None:
    with pytest.raises(RequestError, match=r"^the grid has 400,000 points, more than 10,000; "):
        added_points(sweep(TOGETHER, *PAIRS), ["seed=range(200000)"])


def test_seeds_go_to_every_pair_of_a_zip_and_every_setting_of_a_sample() -> None:
    assert len(added_points(sweep(TOGETHER, *PAIRS), ["seed=range(3)"])) == 2 * 3
    sampled = sweep(Shape(sample=3), "optimizer.lr=range(1,11)", "seed=0,1")
    assert len(added_points(sampled, ["seed=range(4)"])) == 3 * 2


def test_another_set_goes_with_every_seed_and_its_keys_alone_are_refused() -> None:
    saved = sweep(Shape(sets=("optimizer=sgd optimizer.lr=0.5", "optimizer=adam")), "seed=0,1")
    assert added_points(saved, [], ["optimizer=rmsprop optimizer.lr=0.002"]) == [
        ("seed=0", "optimizer=rmsprop", "optimizer.lr=0.002"), ("seed=1", "optimizer=rmsprop", "optimizer.lr=0.002"),
    ]  # fmt: skip
    with pytest.raises(RequestError, match=r"^optimizer=rmsprop: optimizer belongs to the option sets of this sweep; "):
        added_points(saved, ["optimizer=rmsprop"])


def test_what_is_excluded_stays_excluded_when_a_sweep_grows() -> None:
    shape = Shape(exclude=("optimizer=adam and optimizer.lr>0.05",))
    saved = sweep(shape, "optimizer=sgd,adam", "optimizer.lr=0.01,0.1")
    points = added_points(saved, ["optimizer.lr=0.2"])
    grown = plan([*saved.overrides, "hydra.sweep.dir=s"], manifest=saved, added=points)
    assert [tuple(job.entry.settings.values()) for job in grown.jobs[3:]] == [("sgd", 0.2)]


@pytest.mark.process
@pytest.mark.slow
def test_a_zipped_sweep_with_exclusions_runs_and_grows(command: Command) -> None:
    words = (*SMALL, *PAIRS, "init=random,kaiming", "--zip", "optimizer.lr,trainer.batch_size")
    exclude = ("--exclude", "init=random and optimizer.lr>0.05")
    assert command("train", "-m", *words, *exclude, "hydra/launcher=basic", "hydra.sweep.dir=s").status == 0
    assert command("resume", "s", "seed=0,1").status == 0
    found = [tuple(entry.settings.values()) for entry in manifest.read(Path("s")).entries]
    assert found == [
        (0.01, 32, "random", 0), (0.01, 32, "kaiming", 0), (0.1, 64, "kaiming", 0),
        (0.01, 32, "random", 1), (0.01, 32, "kaiming", 1), (0.1, 64, "kaiming", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--zip", "optimizer.lr=0.01,0.1"], "--zip optimizer.lr=0.01,0.1: names keys only, and their values are "),
        (["--zip", "seed"], "--zip seed: must be two or more different keys with commas between, for example "),
        (["--zip", "seed,init", "--zip", "seed,model"], "--zip: seed is in two groups; name all keys that vary "),
        (["--sample", "0"], "--sample 0: must be a whole number of 1 or more"),
        (["--sample-seed", "3"], "--sample-seed: this option is for --sample; use both"),
        (["--reduction", "3"], "--reduction: this option is for --halving; use both"),
        (["--exclude", "seed=0"], "--exclude: a single run has one point; use it with -m and several settings"),
        (["-m", "hydra.run.dir=x"], "hydra.run.dir=x: the directory of a sweep is hydra.sweep.dir=x"),
        (["hydra.sweep.dir=x"], "hydra.sweep.dir=x: is for sweeps; the directory of a run is hydra.run.dir=x, and -m "),
        (["--dry-run"], "--dry-run: this option is for sweeps; use it with -m, or `mnistlab plan`"),
    ],
)
def test_a_wrong_request_is_refused_on_the_command_line(arguments: list[str], said: str, command: Command) -> None:
    result = command("train", *SMALL, *arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"mnistlab train: error: {said}")
    assert not any(Path().rglob("status.json"))


def test_a_sweep_does_not_write_into_the_directory_of_a_run(command: Command) -> None:
    Path("run").mkdir()
    Path("run/status.json").write_text("{}")
    Path("run/report.html").write_text("of the run")
    result = command("train", "-m", *SMALL, "seed=0,1", "hydra.sweep.dir=run")
    assert result.err == (
        "mnistlab train: error: hydra.sweep.dir=run: already contains a run, whose report would be lost; "
        "choose another directory\n"
    )
    assert Path("run/report.html").read_text() == "of the run"
    Path("sweep").mkdir()
    Path("sweep/sweep.json").write_text("{}")
    result = command("train", *SMALL, "hydra.run.dir=sweep")
    assert "hydra.run.dir=sweep: already contains a sweep; choose another directory" in result.err
