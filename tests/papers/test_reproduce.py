"""mnistlab reproduce, from the command line to the page, on a few embedded digits."""

from __future__ import annotations

import csv
import importlib.util
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnistlab.cli import reproduce
from mnistlab.config import options
from mnistlab.papers import external_rows, runner
from mnistlab.papers import figures as drawings
from mnistlab.papers import reading as figures
from mnistlab.papers.results import read

Command = Callable[..., Any]
SMALL = ["data=mnist5k", "data.limit=300", "data.test_limit=200", "trainer.epochs=2", "hydra/launcher=basic"]
FILE = """\
papers:
  lin:
    title: A small paper
    about: Its protocol.
    structures: [lin/simple_nn]
    bias: [lin/simple_nn, lin/enhanced_nn]
    ranking: [lin/simple_nn, lin/enhanced_nn]
    pictures:
      - {ranking: [lin/simple_nn, lin/enhanced_nn], metrics: [test.accuracy, train.accuracy]}
    rows:
      simple_nn:
        reported: {test.accuracy: "0.9698", parameters: "25450"}
        seeds: 2
        minutes: 1
        pictures: [curves, confusion_table]
        near: {overrides: [optimizer.lr=0.1], why: a larger step}
      enhanced_nn: {reported: {test.accuracy: "0.9778"}, seeds: 2, minutes: 2}
      pca:
        kind: explore
        command: mnistlab explore pca
        reported: {explained.1: "0.5"}
        also: [explained.2_together]
        minutes: 1
        pictures: [cumulative]
      boundary:
        kind: explore
        command: mnistlab explore boundary model=softmax,knn
        reported: {}
        also: [knn.training_accuracy]
        minutes: 1
      grid:
        kind: grid
        command: mnistlab gridsearch model=svm_rbf model.C=[1,10] model.gamma=[0.01] --cv 2
        reported: {best.accuracy: "0.99", best.gamma: "0.01"}
        also: [test.accuracy]
        seeds: 2
        minutes: 1
  macalinao:
    title: A swept row
    about: And what it has.
    exchanged: [macalinao/tuned]
    pictures:
      - {training: macalinao/lr_sweep}
      - {against: macalinao/lr_sweep}
    rows:
      lr_sweep: {reported: {}, seeds: 1, minutes: 1}
      tuned: {reported: {test.accuracy: "0.94"}, seeds: 1, minutes: 1}
claims:
  - {paper: lin, text: wider wins, beats: [[lin/enhanced_nn, lin/simple_nn]], metric: test.accuracy}
"""


def reproduced(arguments: list[str], source: Path) -> int:
    """Run the command with the papers of a file, and return its exit status."""
    read_file = figures.read
    with pytest.MonkeyPatch.context() as patch, reproduce.main.make_context("reproduce", [*arguments]) as context:
        patch.setattr(figures, "read", lambda: read_file(source))
        patch.setattr(external_rows, "all_cores", lambda: 1)  # so that a grid search starts no workers
        return reproduce.main.invoke(context)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "small.yaml"
    path.write_text(FILE)
    return path


@pytest.mark.slow
def test_rows_are_run_once_and_more_seeds_add_to_them(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["--all", *SMALL, "--to", "page"]
    assert reproduced(arguments, source) == 0
    out = capfd.readouterr().out
    assert "[1/8] lin/simple_nn\n" in out
    assert "lin/simple_nn, optimizer.lr=0.1\n" in out
    assert "2 (2 of 100 epochs, 300 images)" in out
    runs = sorted(path.parent.relative_to("page").as_posix() for path in Path("page").rglob("status.json"))
    assert runs == [
        *(f"lin/enhanced_nn/seed={seed}" for seed in (0, 1)),
        *(f"lin/grid/seed={seed}/refit" for seed in (0, 1)),
        *(f"lin/simple_nn.near/seed={seed}" for seed in (0, 1)),
        *(f"lin/simple_nn/seed={seed}" for seed in (0, 1)),
        *(f"macalinao/lr_sweep/optimizer.lr={lr},seed=0" for lr in (0.001, 0.01, 0.1, 1.0)),
        "macalinao/tuned/seed=0",
    ]
    pictures = sorted(path.name for path in Path("page/images/papers").iterdir())
    assert pictures == [
        "lin_pca_cumulative.png",
        "lin_simple_nn_confusion_table.pdf",
        "lin_simple_nn_curves.png",
        "lin_test_accuracy_train_accuracy.png",
        "macalinao_lr_sweep_against.png",
        "macalinao_lr_sweep_training.png",
    ]
    assert Path("page/images/papers/lin_simple_nn_confusion_table.pdf").read_bytes().startswith(b"%PDF")
    text = Path("page/papers.md").read_text()
    for title in (
        "## A small paper", "### Claims", "### Ranking by test accuracy", "### Layers of `lin/simple_nn`",
        "### Selection bias of validating on the test set", "### `lr_sweep` (2 of 20 epochs, 300 images)",
        "### Classes of `macalinao/tuned`", "### Figures",
    ):  # fmt: skip
        assert f"\n{title}" in text
    assert re.search(r"\| pca \| explained.1 \| 50 \| 1\d\.\d\d \|  \| 1 \| lower \|", text)
    assert re.search(r"\| boundary \| knn.training_accuracy \|  \| \d\d\.\d\d \|  \| 1 \|  \|", text)
    assert "| grid | best.gamma | 0.01 | 0.01 +/- 0 | 0.01 to 0.01 | 2 | as reported |" in text
    assert "(images/papers/lin_pca_cumulative.png)" in text
    assert "- `simple_nn` with `optimizer.lr=0.1`: a larger step." in text
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (Path("page") / link).is_file()

    before = {path: path.stat().st_mtime_ns for path in Path("page").rglob("status.json")}
    assert reproduced(["lin/simple_nn", *SMALL, "--to", "page", "--seeds", "3", "--quiet"], source) == 0
    after = {path: path.stat().st_mtime_ns for path in Path("page").rglob("status.json")}
    assert {path.as_posix() for path in after if before.get(path) != after[path]} == {
        "page/lin/simple_nn/seed=2/status.json",
        "page/lin/simple_nn.near/seed=2/status.json",
    }


def test_the_page_is_written_without_running_anything(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert reproduced(["--all", "--page", "--to", "page"], source) == 0
    out = capfd.readouterr().out
    assert re.search(r"^simple_nn +test.accuracy +96.98 +- +0 +not run$", out, re.MULTILINE)
    assert "not run              wider wins\n" in out
    assert sorted(path.name for path in Path("page").iterdir()) == ["images", "papers.csv", "papers.md", "papers.tex"]
    with Path("page/papers.csv").open() as file:
        lines = list(csv.DictReader(file))
    first = {"paper": "lin", "row": "simple_nn", "reported": "0.9698", "mean": "", "runs": "0", "verdict": "not run"}
    assert first.items() <= lines[0].items()


@pytest.mark.slow
def test_a_job_that_is_cut_off_is_run_again(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["lin/enhanced_nn", *SMALL, "hydra/launcher=joblib", "--to", "page", "-q"]  # the default, in processes
    assert reproduced(arguments, source) == 0
    (Path("page") / "lin/enhanced_nn/seed=1/status.json").unlink()
    assert reproduced(arguments, source) == 0
    row = figures.read(source).rows["lin/enhanced_nn"]
    assert len(read(row, Path("page")).completed) == 2


def test_an_interrupted_row_leaves_a_page_of_what_there_is(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reproduced(["--all", "--to", "page", "-q"], source)
    assert "| simple_nn | test.accuracy | 96.98 | - |  | 0 | not run |" in Path("page/papers.md").read_text()


@pytest.mark.slow
def test_more_epochs_train_a_row_on_to_what_it_had_been_with_them_from_the_start(source: Path) -> None:
    small = [one for one in SMALL if "epochs" not in one]

    def reproduce_with(epochs: int, to: str) -> Path:
        words = ["lin/simple_nn", *small, f"trainer.epochs={epochs}", "--seeds", "1", "--to", to, "-q"]
        assert reproduced(words, source) == 0
        return Path(to) / "lin" / "simple_nn" / "seed=0"

    reproduce_with(2, "page")
    longer, whole = reproduce_with(3, "page"), reproduce_with(3, "other")
    assert "resume  in epoch 3" in (longer / "train.log").read_text()
    assert (longer / "metrics.json").read_bytes() == (whole / "metrics.json").read_bytes()
    assert "epoch 1/2" in (reproduce_with(2, "page") / "train.log").read_text()  # fewer begin again
    schedule = ["schedule=cosine", "trainer.epochs=2"]
    for words in (schedule, [*schedule[:1], "trainer.epochs=3"]):
        assert reproduced(["lin/simple_nn", *small, *words, "--seeds", "1", "--to", "page", "-q"], source) == 0
    assert "resume" not in (longer / "train.log").read_text()  # with another total the first steps had been others


@pytest.mark.slow
def test_a_row_that_fails_is_said_and_shown_as_not_run(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status = reproduced(["lin/simple_nn", *SMALL, "optimizer.lr=1e30", "--to", "page", "-q"], source)
    assert status == 1
    assert "not run" in capfd.readouterr().out


def test_the_list_names_every_row_with_its_figures(command: Command) -> None:
    listed = command("reproduce", "--list").out
    for row in figures.read().rows.values():
        (line,) = re.findall(rf"^  {re.escape(row.id)} .*$", listed, re.MULTILINE)
        assert f" {row.minutes:.0f} min" in line
        for metric, figure in row.reported.items():
            assert f"{metric} {figure}" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "lin/enhanced_n",
            "lin/enhanced_n: neither a paper (macalinao, ghimire, oxford, lin, fashion) nor a row of one",
        ),
        ("macalina", "(did you mean macalinao?)"),
        ("--budget quik lin", "--budget quik: choose one of full, quick (did you mean quick?)"),
        ("lin --seeds 0", "--seeds 0: must be a whole number of 1 or more"),
        ("lin --all", "name papers or rows, or use --all"),
        ("--budget quick", "name papers or rows, or use --all"),
        ("--alll", "--alll: no such option (did you mean --all?)"),
        ("lin/simple_nn optimzer.lr=1", "optimzer.lr: unknown key (did you mean optimizer.lr?)"),
    ],
)
def test_a_wrong_request_is_one_line(command: Command, arguments: str, said: str) -> None:
    result = command("reproduce", *arguments.split())
    assert result.status == 2
    assert said in result.err
    assert len(result.err.splitlines()) == 1


def test_a_kind_of_picture_that_a_file_asks_for_is_known() -> None:
    for paper in figures.read().papers:
        for given in paper.pictures:
            assert {*given} <= {"training", "against", "ranking", "metrics"}


def test_every_row_of_the_papers_stands_on_the_page_of_the_project() -> None:
    text = (options.folder().parent / "docs" / "papers.md").read_text()
    for row in figures.read().rows.values():
        assert f"\n| {row.name} | " in text
    for claim in figures.read().claims:
        assert f"\n| {claim.text} | **" in text
    assert drawings.TABLE in text


@pytest.fixture(scope="module")
def publisher() -> Any:
    spec = importlib.util.spec_from_file_location(
        "publish_papers", options.folder().parent / "docs" / "publish_papers.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_headers_of_the_experiments_are_what_the_table_says(publisher: Any) -> None:
    root = options.folder().parent
    for path, text in publisher.headers(root / "docs" / "papers.csv", options.folder() / "experiment").items():
        assert path.read_text() == text


@pytest.mark.slow
def test_what_was_made_is_taken_into_the_documentation(publisher: Any, tmp_path: Path) -> None:
    made, docs, experiments = tmp_path / "made", tmp_path / "docs", tmp_path / "experiment"
    (made / "images" / "papers").mkdir(parents=True)
    shutil.copytree(options.folder() / "experiment", experiments)
    shutil.copy(options.folder().parent / "docs" / "papers.csv", made)
    (made / "papers.md").write_text("![noise](images/papers/noise.png)\n\n[table](images/papers/table.pdf): a table\n")
    noise = np.random.default_rng(0).integers(0, 256, (100, 2000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(made / "images" / "papers" / "noise.png")
    (made / "images" / "papers" / "table.pdf").write_bytes(b"%PDF")
    docs.mkdir()
    publisher.publish(made, docs, experiments)
    assert sorted(str(path.relative_to(docs)) for path in docs.rglob("*.*")) == [
        "images/papers/noise.png",
        "images/papers/table.pdf",
        "papers.csv",
        "papers.md",
    ]
    with Image.open(docs / "images" / "papers" / "noise.png") as picture:
        assert picture.width < 2000  # too large as it was
