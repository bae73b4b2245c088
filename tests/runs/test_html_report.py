"""report.html of a run: what stands in it, that it needs nothing but itself, and that hostile names stay text."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.pages import Page, check_self_contained
from PIL import Image

from mnistlab import cli
from mnistlab.reporting import html
from mnistlab.runs import html_report

HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(2)>",
    "{{ 7 * 7 }}",
    "&lt;b&gt;",
    "a\x1b[31m\u202eb",
]
SECTIONS = [
    "configuration",
    "curves",
    "confusion",
    "thresholds",
    "mistakes",
    "inside",
    "model",
    "environment",
    "repeat",
]
RUNS = {
    "dense": ["seed=3", "trainer.epochs=3", "report.plots=core", "regularization=[l2,dropout]", "init=xavier"],
    "cnn": ["model=lenet5", "model.layers.0.conv.filters=2", "data.limit=200", "trainer.epochs=1", "report.plots=all"],
    "svm": ["model=svm_rbf", "model.C=3", "report.plots=core"],
    "bare": ["report.plots=none", "data.test_limit=100"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[Path]:
    """A few runs, each trained once; the tests only read them."""
    place = tmp_path_factory.mktemp("runs")
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTLAB_CACHE", str(shared_cache))
        patch.chdir(place)
        for name, overrides in RUNS.items():
            assert cli.dispatch(["train", "experiment=smoke", "-q", f"hydra.run.dir={name}", *overrides]) == 0
    for name in set(os.environ) - set(before):
        del os.environ[name]
    return place


@pytest.mark.parametrize("name", RUNS)
def test_a_page_needs_nothing_but_itself(trained: Path, name: str) -> None:
    check_self_contained(Page(trained / name / "report.html"))


def test_the_answer_comes_first_with_its_interval_and_what_takes_no_learning(trained: Path) -> None:
    found = Page(trained / "dense" / "report.html")
    test = json.loads((trained / "dense" / "metrics.json").read_text())["test"]
    low, high = test["accuracy_interval"]
    answer = (
        f"{100 * test['accuracy']:.2f} % test accuracy, 95 % confidence interval {100 * low:.2f} to {100 * high:.2f} %"
    )
    assert answer in found.text
    assert found.text.index(answer) < found.text.index("Settings that differ from the defaults")
    assert f"{test['correct']} of 300 test images are classified correctly." in found.text
    assert (
        "Always predicting “0”, the most frequent class in the training set, would score 10.00 %." in found.text
    )  # 30 of 300


def test_every_part_has_its_section(trained: Path) -> None:
    assert Page(trained / "dense" / "report.html").sections == SECTIONS
    assert Page(trained / "cnn" / "report.html").sections == [*SECTIONS[:6], "data", *SECTIONS[6:]]


def test_every_picture_stands_in_the_page_with_its_text(trained: Path) -> None:
    for name in ("dense", "cnn", "svm"):
        texts = {path.read_text().strip() for path in (trained / name).glob("plots/*.txt")}
        images = Page(trained / name / "report.html").images
        assert {one["alt"] for one in images} == {" ".join(text.split()) for text in texts}
        assert len(images) == len(list((trained / name).glob("plots/*.png")))


def test_the_configuration_is_what_differs_from_the_defaults(trained: Path) -> None:
    text = Page(trained / "dense" / "report.html").text
    shown = text[text.index("Settings that differ") : text.index("All settings that affect the results")]
    assert shown == (
        "Settings that differ from the defaults: Scroll sideways to see all columns. setting this run default "
        "experiment smoke none init xavier kaiming "
        "regularization [l2,dropout] none data.limit 1000 null data.test_limit 300 null trainer.epochs 3 10 "
        "trainer.batch_size 32 64 seed 3 0 "
    )


def test_of_a_changed_layer_only_what_is_changed_is_shown(trained: Path) -> None:
    text = Page(trained / "cnn" / "report.html").text
    assert "model.layers.0.conv.filters 2 6 trainer.epochs 1 10" in text.replace("data.test_limit 300 null ", "")


def test_a_model_of_scikit_learn_shows_nothing_that_it_does_not_use(trained: Path) -> None:
    found = Page(trained / "svm" / "report.html")
    assert found.sections == ["configuration", "confusion", "thresholds", "mistakes", "environment", "repeat"]
    assert "model svm_rbf mlp_2hidden" in found.text
    assert "model.C 3 1" in found.text
    for name in ("optimizer", "init.", "regularization", "schedule", "trainer.epochs", "augment"):
        assert name not in found.text.replace("mnistlab train", "")


def test_without_pictures_there_is_a_page_of_numbers(trained: Path) -> None:
    found = Page(trained / "bare" / "report.html")
    assert found.images == []
    assert found.sections == ["configuration", "classes", "model", "environment", "repeat"]


def test_the_layers_stand_in_a_table_with_their_sum(trained: Path) -> None:
    text = Page(trained / "dense" / "report.html").text
    assert "dense units 64 64 8,256" in text
    assert "all 109,386" in text


def test_the_command_repeats_the_run_in_a_new_directory(trained: Path, tmp_path: Path) -> None:
    (command,) = [
        text for text in Page(trained / "bare" / "report.html").source.split("<code>") if "mnistlab train" in text
    ][:1]
    words = command.partition("</code>")[0].split()
    assert words[:2] == ["mnistlab", "train"]
    assert not any(word.startswith(("hydra.", "report.console")) for word in words)
    assert cli.dispatch([*words[1:], "hydra.run.dir=again", "-q"]) == 0
    assert Path("again/metrics.json").read_bytes() == (trained / "bare" / "metrics.json").read_bytes()


def test_hostile_names_stay_text(command: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (200, 6, 6), np.uint8), np.arange(200) % len(HOSTILE)
    np.savez("own.npz", images=images, labels=labels)
    names = ",".join("'" + name.replace("'", "\\'") + "'" for name in HOSTILE)
    result = command(
        *(
            "train",
            "data=npz",
            "data.path=own.npz",
            "data.test=0.3",
            "data.classes=5",
            f"data.class_names=[{names}]",
            "trainer.epochs=1",
        ),
        *("report.plots=core", "hydra.run.dir='<script>alert(\"3\")</script>'", "-q"),
    )
    assert result.status == 0, result.err
    (path,) = Path().rglob("report.html")
    found = Page(path)
    check_self_contained(found)
    for name in HOSTILE[:4]:
        assert name in found.text
    assert "a\ufffd[31m\ufffdb" in found.text
    assert not [c for c in found.source if not c.isprintable() and c != "\n"]
    assert [one for one in found.images if "onerror" in one] == []


def test_a_page_shows_names_that_no_text_can_hold(tmp_path: Path) -> None:
    assert html.readable("a\x00b\u202ec\td\udcff") == "a\ufffdb\ufffdc d\ufffd"
    assert html.href("a b/<i>?#%\udcff.html") == "./a%20b/%3Ci%3E%3F%23%25%FF.html"
    assert html.href("javascript:alert(1)") == "./javascript%3Aalert%281%29"


def test_pictures_that_would_make_it_too_large_are_linked_the_largest_first(trained: Path) -> None:
    run = Path(shutil.copytree(trained / "bare", "run"))
    (run / "plots").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)  # 1.5 MB, which cannot be compressed
    for name, size in (("curves", 100), ("weights", 700), ("filters_1", 690), ("feature_maps_7", 200)):
        Image.fromarray(noise[:size]).save(run / "plots" / f"{name}.png")
    (run / "plots" / "samples.png").write_text("no picture")
    html_report.write(run)
    found = Page(run / "report.html")
    check_self_contained(found)
    assert [one["alt"] for one in found.images] == ["Training curves", "Feature maps of test image 7"]
    assert [link for link in found.links if "plots" in link] == ["./plots/weights.png", "./plots/filters_1.png"]
    assert "Not embedded, to keep this page below 2 MB" in found.text


def test_a_failed_run_has_its_page_with_the_reason(command: Callable[..., Any]) -> None:
    result = command("train", "experiment=smoke", "optimizer=sgd", "optimizer.lr=1e30", "hydra.run.dir=bad")
    assert result.status == 1
    found = Page(Path("bad/report.html"))
    check_self_contained(found)
    assert "This run is failed. the loss is no longer finite" in found.text
    assert "optimizer.lr 1e+30" in found.text
    assert "test accuracy" not in found.text
    assert found.sections == ["configuration", "environment", "repeat"]


def test_a_failed_run_of_scikit_learn_lists_no_optimizer_either(trained: Path) -> None:
    run = Path(shutil.copytree(trained / "svm", "run"))
    (run / "metrics.json").unlink()
    state = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps({**state, "state": "failed", "error": "no room"}))
    html_report.write(run)
    assert "optimizer" not in Page(run / "report.html").text


def test_a_trial_that_saw_no_test_part_is_judged_by_its_validation_part(trained: Path) -> None:
    run = Path(shutil.copytree(trained / "bare", "run"))
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["test"] = {"n": 0}
    (run / "metrics.json").write_text(json.dumps(metrics))
    html_report.write(run)
    assert (
        f"{100 * metrics['validation']['accuracy']:.2f} % validation accuracy, 95 %" in Page(run / "report.html").text
    )
