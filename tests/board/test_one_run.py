"""One run: the images are those behind the numbers, also beside another run; calibration and sets; the inside."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistlab.data.loading import load
from mnistlab.data.sources.bundled import Mnist5k
from mnistlab.metrics import calibration
from mnistlab.models.model_file import load_model
from mnistlab.runs.saved_run import data_of
from mnistlab.system.random import stream
from mnistlab.system.readers import read_arrays, read_json

ALL = 1000


def pixels(content: dict[str, Any]) -> np.ndarray:
    about = content["images"]
    flat = np.frombuffer(base64.b64decode(about["pixels"]), np.uint8)
    return flat.reshape(-1, about["height"], about["width"])


def test_predictions_hold_the_rows_of_the_test_part_and_the_hash_of_the_data(trained: Path) -> None:
    saved = read_arrays(trained / "cnn" / "predictions.npz")
    pool = Mnist5k().read()
    assert (
        str(saved["data_sha256"])
        == pool.provenance["sha256"]
        == read_json(trained / "cnn" / "metrics.json")["data_sha256"]
    )
    assert len(saved["rows"]) == 100 < len(pool.test)
    np.testing.assert_array_equal(pool.test.labels[saved["rows"]], saved["labels"])
    network, _ = load_model(trained / "cnn" / "model.safetensors")
    np.testing.assert_allclose(network.predict(pool.test.images[saved["rows"]]), saved["probabilities"], atol=1e-5)


def test_the_rows_of_the_validation_set_are_those_of_the_training_pool() -> None:
    for options in (
        {},
        {"limit": 300},
        {"limit": 300, "stratify": False},
        {"validation_from": "first"},
        {"validation": 0},
    ):
        if "validation_from" in options:
            from mnistlab.data.dataset import ValidationFrom

            options = {"validation_from": ValidationFrom.first}
        dataset = load(Mnist5k(**options), stream(3, "split"))
        pool = Mnist5k().read()
        assert dataset.validation_rows is not None
        np.testing.assert_array_equal(pool.train.images[dataset.validation_rows], dataset.validation.images)


def test_the_matrix_and_its_cells_agree(client: Any) -> None:
    number = client.numbers()["cnn"]
    test = client.get("run", run=number)["test"]
    confusion = np.array(test["confusion"])
    assert confusion.sum() == test["n"] == 100
    for truth, predicted in ((t, p) for t in range(0, 10, 3) for p in range(10)):
        content = client.get("images", run=number, truth=truth, predicted=predicted, count=200)
        assert content["matching"] == confusion[truth, predicted]
        assert set(content["truths"]) <= {truth}
        assert {int(np.argmax(row)) for row in content["probabilities"]} <= {predicted}


def test_the_images_of_a_cell_are_those_of_the_data(client: Any) -> None:
    number = client.numbers()["cnn"]
    content = client.get("images", run=number, count=200)
    pool = Mnist5k().read()
    np.testing.assert_array_equal(pixels(content), pool.test.images[content["rows"]])
    assert content["truths"] == pool.test.labels[content["rows"]].tolist()


def test_they_are_ordered_by_confidence_and_come_in_pages(client: Any) -> None:
    number = client.numbers()["cnn"]
    confidences = {
        order: [max(row) for row in client.get("images", run=number, order=order, count=200)["probabilities"]]
        for order in ("confident", "unsure")
    }
    assert confidences["confident"] == sorted(confidences["confident"], reverse=True)
    assert confidences["unsure"] == sorted(confidences["unsure"])
    everything = client.get("images", run=number, count=200)["places"]
    pages = [client.get("images", run=number, start=start, count=30)["places"] for start in (0, 30, 60, 90)]
    assert [place for page in pages for place in page] == everything


@pytest.mark.parametrize("other", ["lr/0.1_0", "forest"])
def test_the_same_images_through_another_run(client: Any, trained: Path, other: str) -> None:
    numbers = client.numbers()
    content = client.get("images", run=numbers["lr/0.01_0"], beside=numbers[other], count=200, order="row")
    saved = [read_arrays(trained / name / "predictions.npz") for name in ("lr/0.01_0", other)]
    at = {int(row): i for i, row in enumerate(saved[1]["rows"])}
    expected = saved[1]["probabilities"][[at[row] for row in content["rows"]]]
    np.testing.assert_allclose(content["other"], expected, atol=6e-5)
    truths = np.array(content["truths"])
    mine, theirs = (np.argmax(content[key], axis=1) == truths for key in ("probabilities", "other"))
    assert content["who"] == {
        "both": int((mine & theirs).sum()), "this": int((mine & ~theirs).sum()),
        "other": int((~mine & theirs).sum()), "neither": int((~mine & ~theirs).sum()),
    }  # fmt: skip
    for who, count in content["who"].items():
        kept = client.get("images", run=numbers["lr/0.01_0"], beside=numbers[other], who=who, count=200)
        assert kept["matching"] == count
    assert 0 <= content["p"] <= 1


def test_another_run_that_has_not_seen_them_computes_them(own: Any, lab: Path) -> None:
    path = lab / "lr" / "0.1_1" / "predictions.npz"
    saved = read_arrays(path)
    np.savez(path, **{name: array[:50] if name != "data_sha256" else array for name, array in saved.items()})
    numbers = own.numbers()
    content = own.get("images", run=numbers["lr/0.01_0"], beside=numbers["lr/0.1_1"], count=200, order="row")
    np.testing.assert_allclose(content["other"], saved["probabilities"], atol=6e-5)


def test_a_run_from_before_the_rows_were_saved_finds_its_images(own: Any, lab: Path) -> None:
    path = lab / "cnn" / "predictions.npz"
    saved = read_arrays(path)
    np.savez(path, labels=saved["labels"], probabilities=saved["probabilities"])
    content = own.get("images", run=own.numbers()["cnn"], count=200, order="row")
    np.testing.assert_array_equal(pixels(content), Mnist5k().read().test.images[saved["rows"]])


def test_images_of_other_data_are_never_shown(own: Any, lab: Path) -> None:
    environment = json.loads((lab / "cnn" / "environment.json").read_text())
    environment["data"]["sha256"] = "0" * 64
    (lab / "cnn" / "environment.json").write_text(json.dumps(environment))
    status, _, body = own.ask("GET", f"/api/images?run={own.numbers()['cnn']}")
    assert status == 422
    assert "the data has changed since this run was trained" in json.loads(body)["error"]


def test_roc_curves_have_the_areas_of_the_metrics(client: Any, trained: Path) -> None:
    about = client.get("run", run=client.numbers()["cnn"])
    metrics = read_json(trained / "cnn" / "metrics.json")["test"]
    assert about["test"]["auc"] == list(metrics["roc_auc"]["per_class"].values())
    for curve, area in zip(about["roc"], about["test"]["auc"], strict=True):
        assert np.trapezoid(curve["tpr"], curve["fpr"]) == pytest.approx(area, abs=0.01)


def test_the_temperature_comes_from_the_validation_set_and_the_sets_cover_what_they_promise(
    client: Any, trained: Path
) -> None:
    number = client.numbers()["cnn"]
    content = client.get("calibration", run=number)
    run = trained / "cnn"
    own = data_of(run, read_json(run / "environment.json"))
    validation = load(own.source(), stream(own.seed, "split")).validation
    network, _ = load_model(run / "model.safetensors")
    probabilities = network.predict(validation.images)
    assert content["validation"] == len(validation) == 30
    assert content["temperature"] == pytest.approx(calibration.temperature(validation.labels, probabilities), rel=1e-4)
    assert sum(content["test"]["count"]) == sum(content["scaled"]["count"]) == 100
    error = read_json(run / "metrics.json")["test"]["expected_calibration_error"]
    assert content["test"]["error"] == pytest.approx(error, abs=1e-9)
    assert [row["level"] for row in content["sets"]] == [0.2, 0.1, 0.05, 0.01]
    sizes = [row["mean_size"] for row in content["sets"]]
    assert sizes == sorted(sizes)
    assert content["sets"][-1]["mean_size"] == 10  # 30 images are too few to promise 99 %: every class is in every set
    assert content["sets"][-1]["coverage"] == 1


def test_a_model_that_is_not_saved_has_a_diagram_but_no_temperature(client: Any) -> None:
    content = client.get("calibration", run=client.numbers()["forest"])
    assert sum(content["test"]["count"]) > 0
    assert content["scaled"] is None
    assert "scikit-learn models are not saved" in content["problem"]


def test_the_inside_of_a_network_is_computed_on_demand(client: Any, trained: Path) -> None:
    number = client.numbers()["cnn"]
    content = client.get("inside", run=number, place=7)
    saved = read_arrays(trained / "cnn" / "predictions.npz")
    np.testing.assert_allclose(content["probabilities"], saved["probabilities"][7], atol=1e-5)
    assert content["predicted"] == int(saved["probabilities"][7].argmax())
    assert [layer["shape"][0] for layer in content["layers"]] == [4, 4, 16, 16, 32]
    drops = np.array(content["drops"])
    assert drops.shape == (14, 14)
    assert np.abs(drops).max() <= 1


def test_a_run_in_another_place_and_one_without_predictions(own: Any, lab: Path) -> None:
    shutil.copytree(lab / "cnn", lab / "moved" / "deep" / "cnn")
    (lab / "lr" / "0.1_0" / "predictions.npz").unlink()
    numbers = own.numbers()
    assert own.get("images", run=numbers["moved/deep/cnn"])["matching"] == 100
    about = own.get("run", run=numbers["lr/0.1_0"])
    assert (about["test"], about["problem"]) == (None, "this run has no predictions.npz; it has not been completed")


def test_the_report_of_a_run_is_its_own(client: Any, trained: Path) -> None:
    number = client.numbers()["cnn"]
    assert client.get("run", run=number)["has_report"]
    assert client.ask("GET", f"/run/{number}/report.html")[2] == (trained / "cnn" / "report.html").read_bytes()


def test_every_answer_is_for_the_page_alone(client: Any, serve: Callable[..., Any]) -> None:
    number = client.numbers()["cnn"]
    for path in ("/api/runs", f"/api/run?run={number}", f"/run/{number}/report.html"):
        assert client.ask("GET", path)[1]["Cross-Origin-Resource-Policy"] == "same-origin"
