"""``mnistlab report``: the same bytes from the saved numbers, wherever they lie, and one line for what is damaged."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from helpers.pages import Page, check_self_contained

from mnistlab import cli
from mnistlab.system.locks import held

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[Path]:
    """A run with pictures, and a sweep of which one job fails."""
    place = tmp_path_factory.mktemp("made")
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTLAB_CACHE", str(shared_cache))
        patch.chdir(place)
        small = ["experiment=smoke", "trainer.epochs=1", "data.limit=200", "model=softmax"]
        assert cli.dispatch(["train", *small, "hydra.run.dir=run", "-q"]) == 0
        sweep = ["optimizer=sgd", "optimizer.lr=0.01,0.1,1e30", "seed=0,1", "hydra/launcher=basic", "trainer.threads=1"]
        line = ["train", "-m", *small, *sweep, "report.plots=none", "model=mlp_1hidden", "hydra.sweep.dir=sweep"]
        assert cli.dispatch(line) == 1
    for name in set(os.environ) - set(before):
        del os.environ[name]
    return place


@pytest.fixture
def run(made: Path) -> Path:
    return Path(shutil.copytree(made / "run", "run"))


@pytest.fixture
def sweep(made: Path) -> Path:
    return Path(shutil.copytree(made / "sweep", "sweep"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_drawn_again_to_the_same_bytes(command: Command, run: Path) -> None:
    before = contents(run)
    shutil.rmtree(run / "plots")
    (run / "report.html").unlink()
    result = command("report", "run")
    assert (result.status, result.out, result.err) == (0, "run/report.html\n", "")
    assert contents(run) == before


def test_a_sweep_is_drawn_again_to_the_same_bytes(command: Command, sweep: Path) -> None:
    before = contents(sweep)
    for path in [*sweep.glob("report.html"), *sweep.glob("[0-3]*/report.html"), *sweep.glob("plots/*")]:
        path.unlink()
    assert command("report", "sweep", "--quiet").out == ""
    assert contents(sweep) == before


def test_a_job_is_drawn_again_with_its_place_in_the_sweep(command: Command, sweep: Path) -> None:
    before = (sweep / "0_optimizer.lr=0.01,seed=0/report.html").read_bytes()
    assert command("report", "sweep/0_optimizer.lr=0.01,seed=0").status == 0
    assert (sweep / "0_optimizer.lr=0.01,seed=0/report.html").read_bytes() == before


def starts(folder: Path, ending: str) -> dict[str, bytes]:
    """Return the first bytes of every file with this ending, by the name of its picture."""
    return {path.stem: path.read_bytes()[:5] for path in folder.glob(f"*.{ending}")}


def test_a_vector_file_lies_beside_every_picture(command: Command, sweep: Path) -> None:
    names = {*starts(sweep / "plots", "png")}
    assert command("report", "sweep", "report.format=svg").status == 0
    assert starts(sweep / "plots", "svg") == dict.fromkeys(names, b"<?xml")
    assert "./plots/ranking.svg" in Page(sweep / "report.html").links


@pytest.mark.slow
def test_a_run_that_asks_for_vector_files_has_them_and_keeps_its_choice(command: Command, run: Path) -> None:
    config = run / ".hydra/config.yaml"
    config.write_text(config.read_text().replace("format: png", "format: pdf"))
    assert command("report", "run").status == 0
    assert {*starts(run / "plots", "pdf")} == {*starts(run / "plots", "png")}
    assert "./plots/curves.pdf" in Page(run / "report.html").links


def test_the_table_of_a_sweep_may_have_every_setting(command: Command, sweep: Path) -> None:
    short = (sweep / "summary.csv").read_text()
    assert command("report", "sweep", "--all-settings").status == 0
    rows = list(csv.DictReader((sweep / "summary.csv").read_text().splitlines()))
    assert [row["job"] for row in rows] == [*"012345"]
    first = rows[0]
    settings = ("optimizer", "optimizer.lr", "model", "data.limit", "trainer.epochs", "seed")
    assert [first[key] for key in settings] == ["sgd", "0.01", "mlp_1hidden", "200", "1", "0"]
    assert list(first)[:3] == ["job", "optimizer.lr", "seed"]  # those that vary come first
    assert {*short.splitlines()[0].split(",")} <= {*first}
    assert command("report", "sweep").status == 0
    assert (sweep / "summary.csv").read_text() == short


@pytest.mark.slow
def test_a_run_may_be_drawn_with_more_pictures_or_none(command: Command, run: Path) -> None:
    assert command("report", "run", "report.plots=all", "-q").status == 0
    assert (run / "plots/samples.png").exists()
    assert "data" in Page(run / "report.html").sections
    shutil.rmtree(run / "plots")
    assert command("report", "run", "report.plots=none").status == 0
    assert not (run / "plots").exists()
    assert Page(run / "report.html").images == []


def test_the_page_of_a_sweep_answers_first(sweep: Path) -> None:
    found = Page(sweep / "report.html")
    check_self_contained(found)
    assert found.sections == [
        "plots",
        "ranking",
        "verdicts",
        "failed",
        "jobs",
        "configuration",
        "environment",
        "repeat",
    ]
    assert found.text.startswith("sweep sweep · 6 jobs: 4 completed, 2 failed Sweep over optimizer.lr, 2 seeds ")
    answer = found.text.index("% validation.accuracy, 95 % confidence interval ")
    assert answer < found.text.index("Best setting: optimizer.lr=0.1; test.accuracy") < found.text.index("Ranking")
    assert "Compared with the next best, optimizer.lr=0.01: " in found.text
    titles = [str(one["alt"]).split(".")[0] for one in found.images]
    assert len(titles) == 4
    assert found.images[0]["alt"] == (sweep / "plots/against_optimizer.lr.txt").read_text().strip()
    assert "Settings of all jobs that differ from the defaults" in found.text
    assert "optimizer sgd adam" in found.text
    assert "model mlp_1hidden mlp_2hidden" in found.text


def test_the_page_of_a_sweep_links_every_job_and_says_why_some_failed(sweep: Path) -> None:
    found = Page(sweep / "report.html")
    pages = [link for link in found.links if link.endswith("/report.html")]
    assert len(pages) == 8  # six jobs, and once more the two that failed
    assert all((sweep / unquote(link)).is_file() for link in pages)
    assert "job 4, optimizer.lr=1e+30 seed=0: failed: the loss is no longer finite" in found.text


def test_the_page_of_a_job_says_how_it_stands(sweep: Path) -> None:
    best = Page(sweep / "2_optimizer.lr=0.1,seed=0/report.html")
    assert "In its sweep: number 1 of 2 settings, validation.accuracy " in best.text
    assert "./../report.html" in best.links
    assert (
        "optimizer.lr=0.1 against optimizer.lr=0.01: too few runs to compare (2 and 2 runs, 2 with a common seed); "
        "add 1 with common seeds" in best.text
    )
    assert "number 2 of 2 settings" in Page(sweep / "0_optimizer.lr=0.01,seed=0/report.html").text
    assert "In its sweep" not in Page(next(sweep.glob("4_*")) / "report.html").text


def test_a_sweep_of_which_nothing_is_completed_has_its_page(command: Command) -> None:
    line = (
        "experiment=smoke",
        "optimizer=sgd",
        "optimizer.lr=1e30,1e31",
        "hydra/launcher=basic",
        "hydra.sweep.dir=bad",
    )
    assert command("train", "-m", *line).status == 1
    found = Page(Path("bad/report.html"))
    check_self_contained(found)
    assert "No job has completed. 2 of 2 jobs did not complete." in found.text
    assert found.sections == ["failed", "jobs", "configuration", "repeat"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), None),
        (("nowhere",), "nowhere: no such directory; name a run or a sweep"),
        (("rum",), "rum: no such directory; name a run or a sweep (did you mean run?)"),
        (("run/plots",), "run/plots: neither a run directory (status.json, .hydra) nor a sweep directory (sweep.json)"),
        (("run/status.json",), "run/status.json: no such directory; name a run or a sweep"),
        (("run", "--all"), "--all: no such option; see `mnistlab report --help`"),
        (("run", "report.plots=some"), "report.plots=some: choose one of all, core, none"),
        (("run", "seed=1"), "seed=1: only report.plots and report.format can be set"),
        (("run", "report.format=sgv"), "report.format=sgv: choose one of png, svg, pdf (did you mean svg?)"),
        (("run", "--all-settings"), "--all-settings: only a sweep has a summary.csv; name one"),
        (("report.plots=all",), "missing argument DIR; see `mnistlab report --help`"),
    ],
    ids=str,
)
def test_a_wrong_request_is_one_line(
    command: Command, run: Path, arguments: tuple[str, ...], message: str | None
) -> None:
    result = command("report", *arguments)
    assert result.status == 2
    assert result.err == (f"mnistlab report: error: {message}\n" if message else "")
    if not message:
        assert result.out.startswith("Usage: mnistlab report DIR")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.json", "{", "run/metrics.json: "),
        ("metrics.json", "[]", "run/metrics.json: "),
        ("metrics.json", '{"class_names": ["a"]}', "run/metrics.json: "),
        ("history.csv", "step\n1\n", "run/history.csv: the picture curves cannot be drawn from this file (KeyError"),
        ("roc.csv", "", "run/roc.csv: the picture roc cannot be drawn from this file (ValueError: the file is empty)"),
        ("mistakes.npz", "no archive", "run/mistakes.npz: the picture worst_mistakes cannot be drawn from this file ("),
        ("model.safetensors", "", "run/model.safetensors: "),
        ("environment.json", "[1]", "run/environment.json: must be a JSON object; train the run again"),
        ("environment.json", "{", "run/environment.json: not readable as JSON ("),
    ],
)
def test_a_damaged_file_is_named(command: Command, run: Path, name: str, content: str, message: str) -> None:
    (run / name).write_text(content)
    result = command("report", "run")
    assert result.status == 2
    assert result.err.startswith(f"mnistlab report: error: {message}")
    assert result.err.count("\n") == 1


def test_a_run_that_is_not_over_is_left_alone(command: Command, run: Path) -> None:
    state = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps({**state, "state": "running"}))
    with held(run):
        result = command("report", "run")
    assert (result.status, result.err) == (
        2,
        "mnistlab report: error: run: this run is still running and writes its report when it ends\n",
    )


def test_a_damaged_job_does_not_keep_the_others_from_their_pages(command: Command, sweep: Path) -> None:
    (sweep / "0_optimizer.lr=0.01,seed=0/environment.json").write_text("{")
    assert command("report", "sweep").status == 0
    check_self_contained(Page(sweep / "report.html"))
