"""The table of a sweep: summary.csv word for word, summary.md with what went wrong, and its pictures."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from helpers.runs import write_manifest, write_run

from mnistlab.sweeps import records, summary
from mnistlab.sweeps.manifest import Manifest

HEADER = (
    "job,optimizer.lr,seed,state,parameters,epochs,kept_epoch,train_accuracy,validation_loss,validation_accuracy,"
    "test_loss,test_accuracy,test_macro_f1,train_seconds,seconds,error,directory"
)


@pytest.fixture
def sweep(tmp_path: Path) -> Manifest:
    """Two jobs that are completed, one that failed, one that was interrupted and one that has not begun."""
    points = [{"optimizer.lr": lr, "seed": seed} for lr, seed in [(0.1, 0), (0.5, 0), (100.0, 0), (0.1, 1), (0.5, 1)]]
    overrides = ["optimizer.lr=0.1,0.5,100", "seed=range(2)"]
    manifest = write_manifest(tmp_path / "a sweep", points, overrides)
    ended = [("completed", None), ("completed", None), ("failed", "the loss,\nis not finite"), ("interrupted", None)]
    for entry, (state, error) in zip(manifest.entries, ended, strict=False):
        place, settings = manifest.place(entry), entry.settings
        config = {"seed": settings["seed"], "optimizer": {"lr": settings["optimizer.lr"]}}
        write_run(place, 0.75 + 0.125 * entry.number, config=config, state=state, error=error)
    return manifest


def write(manifest: Manifest, with_pictures: bool = False) -> str:
    summary.write(manifest, records.of_sweep(manifest.directory), with_pictures)
    return (manifest.directory / "summary.md").read_text()


def test_the_table_word_for_word(sweep: Manifest) -> None:
    # seconds of every run that has begun: load 0.5, train 1.25
    summary.write_table(sweep, records.of_sweep(sweep.directory))
    assert (sweep.directory / "summary.csv").read_text() == (
        f"{HEADER}\n"
        "0,0.1,0,completed,7850,2,2,1.0,0.25,0.75,0.5,0.74,0.75,1.25,1.75,,0\n"
        "1,0.5,0,completed,7850,2,2,1.0,0.25,0.875,0.5,0.865,0.75,1.25,1.75,,1\n"
        '2,100,0,failed,,,,,,,,,,1.25,1.75,"the loss,\nis not finite",2\n'
        "3,0.1,1,interrupted,,,,,,,,,,1.25,1.75,,3\n"
        "4,0.5,1,pending,,,,,,,,,,,,,4\n"
    )


def test_the_table_can_be_read_back(sweep: Manifest) -> None:
    write(sweep)
    rows = list(csv.DictReader(io.StringIO((sweep.directory / "summary.csv").read_text())))
    assert [row["state"] for row in rows] == ["completed", "completed", "failed", "interrupted", "pending"]
    assert [row["error"] for row in rows] == ["", "", "the loss,\nis not finite", "", ""]


def test_the_page_word_for_word(sweep: Manifest) -> None:
    assert write(sweep) == (
        "# Sweep a sweep\n"
        "\n"
        "5 jobs: 2 completed, 1 failed, 1 interrupted, 1 pending.\n"
        "\n"
        "```\n"
        "mnistlab train -m optimizer.lr=0.1,0.5,100 'seed=range(2)'\n"
        "```\n"
        "\n"
        "## Settings, best first\n"
        "\n"
        "| optimizer.lr | runs | validation.accuracy (%) | test.accuracy (%) |\n"
        "| --- | --- | --- | --- |\n"
        "| 0.5 | 1 | 87.50 | 86.50 |\n"
        "| 0.1 | 1 | 75.00 | 74.00 |\n"
        "\n"
        "- optimizer.lr=0.5 against optimizer.lr=0.1: too few runs to compare (1 and 1 run, 1 with a common seed); "
        "add 2 with common seeds, for example seed='range(3)'\n"
        "\n"
        "## Not completed\n"
        "\n"
        "- job 2, optimizer.lr=100 seed=0: failed: the loss, is not finite\n"
        "- job 3, optimizer.lr=0.1 seed=1: interrupted: unknown reason\n"
        "\n"
        "## Jobs\n"
        "\n"
        "| job | optimizer.lr | seed | state | validation_accuracy | test_accuracy | seconds |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| 0 | 0.1 | 0 | completed | 75.00 % | 74.00 % | 1.8 |\n"
        "| 1 | 0.5 | 0 | completed | 87.50 % | 86.50 % | 1.8 |\n"
        "| 2 | 100 | 0 | failed | - | - | 1.8 |\n"
        "| 3 | 0.1 | 1 | interrupted | - | - | 1.8 |\n"
        "| 4 | 0.5 | 1 | pending | - | - | - |\n"
    )


def test_pictures_stand_in_the_page_with_their_text(sweep: Manifest) -> None:
    page = write(sweep, with_pictures=True)
    folder = sweep.directory / "plots"
    assert sorted(path.name for path in folder.iterdir()) == [
        "against_optimizer.lr.png",
        "against_optimizer.lr.txt",
        "ranking.png",
        "ranking.txt",
        "training.png",
        "training.txt",
    ]
    shown = re.findall(r"!\[(.*)\]\(plots/(.*)\)", page)
    assert [name for _, name in shown] == ["ranking.png", "against_optimizer.lr.png", "training.png"]
    assert shown[0][0] == (
        "accuracy (%), the best by validation accuracy first. optimizer.lr=0.5: validation accuracy 87.5, test "
        "accuracy 86.5. optimizer.lr=0.1: validation accuracy 75, test accuracy 74."
    )
    assert page.index("## Not completed") < page.index("![") < page.index("## Jobs")


def test_brackets_in_a_text_do_not_end_it(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, [{"model.hidden": [8]}, {"model.hidden": [64, 32]}])
    for entry in manifest.entries:
        write_run(manifest.place(entry), config={"model": {"hidden": list(entry.settings["model.hidden"])}})
    page = write(manifest, with_pictures=True)
    assert re.search(
        r"!\[accuracy [^\[\]]* model.hidden=\(8\): [^\[\]]* model.hidden=\(64,32\): [^\[\]]*\]\(plots/", page
    )


def test_a_sweep_over_seeds_only(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, [{"seed": 0}, {"seed": 1}])
    for entry in manifest.entries:
        write_run(manifest.place(entry), 0.9, config={"seed": entry.number})
    page = write(manifest)
    assert "| (all runs) | runs | validation.accuracy (%) | test.accuracy (%) |" in page
    assert "|  | 2 | 90.00 +/- 0.00 | 89.00 +/- 0.00 |" in page
    assert "## Not completed" not in page


def test_where_nothing_is_completed_there_is_a_table_all_the_same(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, [{"seed": 0}, {"seed": 1}])
    found = records.of_sweep(tmp_path)
    assert summary.write(manifest, found) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["summary.csv", "summary.md", "sweep.json"]
    page = (tmp_path / "summary.md").read_text()
    assert "2 jobs: 2 pending." in page
    assert "## Settings" not in page
    assert "## Not completed" not in page


def test_jobs_that_vary_in_other_keys_have_null_there(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, [{"a.x": 1}, {"b.y": [1, 2]}])
    summary.write_table(manifest, records.of_sweep(tmp_path))
    lines = (tmp_path / "summary.csv").read_text().splitlines()
    assert lines[0].startswith("job,a.x,b.y,state,")
    assert [line.partition(",pending")[0] for line in lines[1:]] == ["0,1,null", '1,null,"[1,2]"']


def test_states_are_counted_in_alphabetical_order(sweep: Manifest) -> None:
    found = records.of_sweep(sweep.directory)
    assert summary.counts(found) == "2 completed, 1 failed, 1 interrupted, 1 pending"
    assert summary.counts(found[:1]) == "1 completed"


def test_the_table_of_a_killed_job_says_so(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, [{"seed": 0}])
    write_run(manifest.place(manifest.entries[0]), state="running")
    assert "- job 0, seed=0: killed: process not running" in write(manifest)
