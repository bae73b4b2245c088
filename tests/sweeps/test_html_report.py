"""report.html of a sweep, from jobs that nobody trained: the answer, the baseline, the order, and hostile names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.pages import Page, check_self_contained
from helpers.runs import KAIMING, RANDOM, write_manifest, write_run

from mnistlab.sweeps import html_report, records, summary
from mnistlab.sweeps.manifest import Manifest

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(8) + (640).to_bytes(4, "big") + (480).to_bytes(4, "big") + bytes(8)


def written(manifest: Manifest, pictures: Sequence[str] = ()) -> Page:
    """Write the page of a sweep, with pictures of which only the names are real."""
    found = records.of_sweep(manifest.directory)
    comparison = summary.write(manifest, found, with_pictures=False)
    (manifest.directory / "plots").mkdir(exist_ok=True)
    for name in pictures:
        (manifest.directory / "plots" / f"{name}.png").write_bytes(PICTURE)
        (manifest.directory / "plots" / f"{name}.txt").write_text(f"the text of {name}\n")
    html_report.write(manifest, found, comparison)
    made = Page(manifest.directory / "report.html")
    check_self_contained(made)
    return made


def sweep(
    directory: Path, settings: Sequence[Mapping[str, Any]], accuracies: Sequence[float | None], **config: Any
) -> Manifest:
    """Write a sweep of groups' options or plain values; where the accuracy is None the job has failed."""
    manifest = write_manifest(directory, settings, ["a=b"])
    for entry, accuracy in zip(manifest.entries, accuracies, strict=True):
        seed = entry.settings.get("seed", 0)
        choices = {key: value for key, value in entry.settings.items() if key in ("init", "model", "optimizer")}
        values: dict[str, Any] = {"seed": seed, **config}
        for key, value in entry.settings.items():
            group, _, name = key.partition(".")
            if name:
                values[group] = {**values.get(group, {}), name: value}
        learner = "scikit-learn" if choices.get("model", "").startswith("svm") else "network"
        if accuracy is None:
            write_run(manifest.place(entry), config=values, choices=choices, state="failed", error="no <room>\nat all")
        else:
            metrics = {"learner": learner, "data_sha256": "same"}
            run = write_run(manifest.place(entry), accuracy, config=values, choices=choices)
            merge(run / "metrics.json", metrics)
    return manifest


def merge(path: Path, more: Mapping[str, Any]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))


def seeds(name: str, options: Sequence[Any], count: int = 6) -> list[dict[str, Any]]:
    return [{name: option, "seed": seed} for option in options for seed in range(count)]


def test_it_begins_with_the_best_setting_and_the_verdict_on_the_next(tmp_path: Path) -> None:
    made = written(sweep(tmp_path / "s", seeds("init", ["random", "kaiming"]), [*RANDOM, *KAIMING]))
    # sd of 97.12 97.04 97.21 96.98 97.15 97.10: 0.0812; 2.571 x 0.0812 / sqrt(6) = 0.085
    # means 97.10 and 96.95 %, the differences .12 .14 .20 .14 .12 .18 points
    assert (
        "Sweep over init, 6 seeds 97.10 % validation.accuracy, 95 % confidence interval 97.01 to 97.19 over 6 seeds"
        in made.text
    )
    assert "Best setting: init=kaiming; test.accuracy 96.10 +/- 0.09 %." in made.text
    assert "Compared with the next best, init=random: kaiming beats random by 0.15 +/- 0.03 points" in made.text
    assert made.text.count("kaiming beats random") == 2  # and once among the verdicts


def test_a_network_that_wins_is_held_against_the_best_of_scikit_learn(tmp_path: Path) -> None:
    names = ["lenet5", "mlp_2hidden", "svm_rbf", "svm_linear"]
    accuracies = [base + base * seed / 500 for base in (0.9, 0.8, 0.7, 0.6) for seed in range(6)]
    made = written(sweep(tmp_path / "s", seeds("model", names), accuracies))
    assert (
        "Compared with the next best, model=mlp_2hidden: "
        "lenet5 beats mlp_2hidden by 10.05 +/- 0.04 points of validation.accuracy (6 seeds, paired t test" in made.text
    )
    assert (
        "Compared with the best scikit-learn model, model=svm_rbf: lenet5 beats svm_rbf by 20.10 +/- 0.08 points"
        in made.text
    )


def test_where_the_next_best_is_scikit_learns_it_is_said_once(tmp_path: Path) -> None:
    accuracies = [base + seed / 1000 for base in (0.9, 0.8) for seed in range(6)]
    made = written(sweep(tmp_path / "s", seeds("model", ["lenet5", "svm_rbf"]), accuracies))
    assert "Compared with the next best, model=svm_rbf" in made.text
    assert "Compared with the best scikit-learn model" not in made.text


def test_the_picture_of_the_question_comes_first(tmp_path: Path) -> None:
    lrs = [{"optimizer.lr": lr} for lr in (0.1, 0.2, 0.4)]
    names = ["ranking", "training", "against_optimizer.lr", "left_over"]
    made = written(sweep(tmp_path / "a", lrs, [0.7, 0.9, 0.8]), names)
    assert [one["alt"] for one in made.images] == [f"the text of {n}" for n in (names[2], names[0], names[1])]
    both = [{"init": i, "optimizer.lr": lr} for i in ("random", "kaiming") for lr in (0.1, 0.2)]
    made = written(sweep(tmp_path / "b", both, [0.7, 0.9, 0.8, 0.85]), ["ranking", "heat_map"])
    assert [one["alt"] for one in made.images] == ["the text of heat_map", "the text of ranking"]
    assert "effects" not in made.sections  # with a single seed nothing can be tested
    assert made.sections[0] == "plots"


def test_failed_and_waiting_jobs_are_said_at_once_with_their_reasons(tmp_path: Path) -> None:
    manifest = sweep(tmp_path / "s", [{"optimizer.lr": lr} for lr in (0.1, 0.2, 0.4)], [0.7, None, 0.8])
    for path in (tmp_path / "s/2").rglob("*"):
        if path.is_file():
            path.unlink()
    made = written(manifest)
    assert "1 of 3 jobs did not complete; 1 not finished." in made.text
    assert "job 1, optimizer.lr=0.2: failed: no <room> at all" in made.text
    assert [link for link in made.links if not link.startswith("#")] == []  # no job has a page yet
    for place in ("0", "1"):
        (tmp_path / "s" / place / "report.html").write_text("")
    assert "./1/report.html" in written(manifest).links


def test_many_settings_have_verdicts_on_the_best_and_an_answer(tmp_path: Path) -> None:
    settings = [{"optimizer.lr": lr / 100} for lr in range(1, 23)]  # 231 pairs
    made = written(sweep(tmp_path / "s", settings, [0.5 + i / 100 for i in range(22)]))
    assert "Compared with the next best, optimizer.lr=0.21: optimizer.lr=0.22 against optimizer.lr=0.21: " in made.text
    assert "22 groups make 231 pairs; the best is compared with the 21 next" in made.text


def test_more_pairs_than_one_reads_are_folded_away(tmp_path: Path) -> None:
    values = [0.9 - 0.01 * i + [0, 1, 3][seed] / 1e4 * (1 + i % 3) for i in range(7) for seed in range(3)]
    made = written(sweep(tmp_path / "s", seeds("optimizer.lr", [0.1 * i for i in range(1, 8)], 3), values))
    assert "1 more line" in made.text  # of 21
    assert "1 more lines" not in made.text


@pytest.mark.slow
def test_a_sweep_of_thousands_stays_small(tmp_path: Path) -> None:
    settings = [{"optimizer.lr": lr / 1000, "model.hidden": "a setting with a rather long value"} for lr in range(3000)]
    made = written(write_manifest(tmp_path / "s", settings))
    assert "2,000 more are in summary.csv." in made.text
    assert len(made.source) < 800_000


def test_hostile_settings_and_directories_stay_text(tmp_path: Path) -> None:
    evil = '<script>alert("1")</script>'
    directory = tmp_path / "javascript:<img src=x onerror=alert(2)>"
    manifest = sweep(directory, [{"model.hidden": evil}, {"model.hidden": "{{ 7 * 7 }}\x1b[2J"}], [0.7, 0.8])
    made = written(manifest)
    assert evil in made.text
    assert "{{ 7 * 7 }}\ufffd[2J" in made.text
    assert directory.name in made.text


def test_one_run_a_setting_has_no_interval_to_explain(tmp_path: Path) -> None:
    several = written(sweep(tmp_path / "s", seeds("init", ["random", "kaiming"], 2), [0.7, 0.71, 0.8, 0.81])).text
    single = written(sweep(tmp_path / "t", seeds("init", ["random", "kaiming"], 1), [0.7, 0.8])).text
    assert "Means over the seeds with 95 % confidence intervals, best by validation.accuracy first." in several
    assert "Means over the seeds" not in single
    assert "Best by validation.accuracy first." in single


def test_what_all_jobs_have_in_common_is_shown_against_the_defaults(tmp_path: Path) -> None:
    trainer = {"epochs": 3, "batch_size": 64}
    made = written(sweep(tmp_path / "s", seeds("init", ["random", "kaiming"], 1), [0.7, 0.8], trainer=trainer))
    shown = made.text[made.text.index("Settings of all jobs that differ from the defaults") :]
    assert "trainer.epochs 3 10" in shown
    assert "trainer.batch_size" not in shown
    assert "optimizer." not in shown  # of the same option, at its default
    assert "init random" not in shown


def test_the_defaults_of_what_varies_are_not_what_jobs_have_in_common(tmp_path: Path) -> None:
    """Two optimizers whose own rate is the same, which is not that of the usual one."""
    jobs = [{"optimizer": name, "seed": 0} for name in ("momentum", "nesterov")]
    directory = tmp_path / "s"
    made = sweep(directory, jobs, [0.7, 0.8], optimizer={"lr": 0.05, "momentum": 0.9})
    assert "optimizer.lr" not in written(made).text


def test_a_single_group_of_seeds_is_one_answer(tmp_path: Path) -> None:
    made = written(sweep(tmp_path / "s", [{"seed": seed} for seed in range(6)], KAIMING))
    assert "Sweep over 6 seeds 97.10 % validation.accuracy" in made.text
    assert "All jobs differ only in their seeds; test.accuracy 96.10 +/- 0.09 %." in made.text


def grid_of_two(count: int) -> list[dict[str, Any]]:
    return [
        {"init": i, "optimizer.lr": lr, "seed": s}
        for i in ("random", "kaiming")
        for lr in (0.1, 0.2)
        for s in range(count)
    ]


def test_the_effect_of_each_setting_comes_before_the_pairs(tmp_path: Path) -> None:
    values = [base + lr + seed**2 / 1000 * (1 + base) for base in (0.5, 0.7) for lr in (0, 0.1) for seed in range(3)]
    made = written(sweep(tmp_path / "s", grid_of_two(3), values))
    assert made.sections.index("effects") < made.sections.index("ranking") < made.sections.index("verdicts")
    assert "kaiming beats random, averaged over 2 values of optimizer.lr, by 20." in made.text
    assert "Effect of each setting" in made.text
    assert "optimizer.lr=0.1, averaged over 2 values of init, by 10.00 points of validation.accuracy" in made.text


def test_one_job_is_a_job(tmp_path: Path) -> None:
    made = written(sweep(tmp_path / "s", [{"seed": 0}], [0.7]))
    assert "1 job: 1 completed" in made.text
    assert "1 jobs" not in made.text
    assert "1 seed 70.00 %" in made.text


def test_jobs_in_training_have_their_epoch_and_their_validation_so_far(tmp_path: Path) -> None:
    manifest = sweep(tmp_path / "s", grid_of_two(1)[:2], [0.7, 0.8])
    place = tmp_path / "s" / "1"
    history = (place / "history.csv").read_text()
    shutil.rmtree(place)
    write_run(
        place,
        config={"seed": 0, "optimizer": {"lr": 0.2}, "trainer": {"epochs": 5}},
        choices={"init": "random"},
        state="interrupted",
    )
    (place / "history.csv").write_text(history)
    made = written(manifest)
    assert "interrupted, epoch 2 of 5 80.00 - " in made.text


def test_where_all_are_in_training_the_values_so_far_are_shown(tmp_path: Path) -> None:
    manifest = sweep(tmp_path / "s", grid_of_two(1)[:1], [0.7])
    status = tmp_path / "s/0/status.json"
    status.write_text(status.read_text().replace("completed", "interrupted"))
    made = written(manifest)
    assert (
        "No job has completed. What follows is from unfinished runs: these are the values after epoch 2, which the"
        in made.text
    )
    assert "70.00" in made.text


def test_a_table_that_is_wider_than_a_phone_says_how_to_see_it_all(tmp_path: Path) -> None:
    made = written(sweep(tmp_path / "s", grid_of_two(1), [0.7, 0.8, 0.75, 0.85]))
    hints = [one for one in made.all("p") if str(one.get("class")).startswith("hint")]
    assert {one["class"] for one in hints} <= {"hint phone", "hint any", "hint tablet"}
    assert len(hints) >= 2  # the ranking and the jobs
    assert "Scroll sideways to see all columns." in made.text
