"""`mnistlab predict`: folders with labels, several digits, low confidence, pages, and tables of images."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.photographs import photograph
from PIL import Image

from mnistlab import cli
from mnistlab.data.sources.bundled import Mnist5k
from mnistlab.inference.predict import inputs, preprocessing, results
from mnistlab.metrics.classification import wilson

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[Path]:
    """A run on the embedded digits."""
    place = tmp_path_factory.mktemp("runs")
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTLAB_CACHE", str(shared_cache))
        patch.chdir(place)
        small = ["trainer.epochs=4", "trainer.batch_size=32", "report.plots=none", "report.console=quiet"]
        assert cli.dispatch(["train", *small, f"hydra.run.dir={place}/mlp"]) == 0
        yield place / "mlp"
    for name in set(os.environ) - set(before):
        del os.environ[name]


def save(path: str, grey: np.ndarray) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(path)
    return path


def photographs(folder: str, count: int = 20) -> None:
    """Photographs of test digits in class folders."""
    rng, test = np.random.default_rng(7), Mnist5k().read().test
    for i in range(count):
        k = (i * 103) % 1000
        save(f"{folder}/{test.labels[k]}/{i}.png", photograph(test.images[k], rng))


def written(labels: list[int]) -> np.ndarray:
    """Digits beside each other on paper."""
    test = Mnist5k().read().test
    tiles = [np.kron(test.images[100 * label + 3][2:26, 4:24], np.ones((4, 4), np.uint8)) for label in labels]
    ink = np.pad(np.concatenate(tiles, axis=1), 30) / 255
    return np.rint(235 - 200 * ink).astype(np.uint8)


# folders with labels


def test_the_accuracy_on_class_folders_has_its_interval_and_its_mistakes(command: Command, mlp: Path) -> None:
    photographs("photos")
    about = json.loads(command("predict", str(mlp), "photos", "--json").out)
    right = [row["class"] == row["truth"] for row in about["predictions"]]
    accuracy = about["accuracy"]
    assert (accuracy["n"], accuracy["correct"]) == (20, sum(right))
    assert accuracy["accuracy_interval"] == pytest.approx(wilson(sum(right), 20))
    assert all(Path(row["file"]).parent.name == row["truth"] for row in about["predictions"])
    result = command("predict", str(mlp), "photos")
    assert result.status == 0
    assert result.out.split()[:3] == ["file", "truth", "class"]
    low, high = (100 * bound for bound in wilson(sum(right), 20))
    interval = f"95 % confidence interval {low:.2f} to {high:.2f}"
    assert f"accuracy {5 * sum(right):.2f} % ({interval}, {sum(right)} of 20 pictures)" in result.out


def test_mistakes_are_drawn_the_most_confident_first(command: Command, mlp: Path) -> None:
    photographs("photos", 12)
    for i, path in enumerate(sorted(Path("photos").glob("*/*"))[:3]):
        Path("wrong/9").mkdir(parents=True, exist_ok=True)
        path.rename(f"wrong/9/{i}.png")
    about = json.loads(command("predict", str(mlp), "wrong", "--json").out)
    wrong = sorted((r for r in about["predictions"] if r["class"] != "9"), key=lambda row: -row["probability"])
    assert about["accuracy"]["correct"] == 3 - len(wrong)
    text = Path(about["mistakes"]).with_suffix(".txt").read_text()
    assert text.startswith(f"{len(wrong)} pictures as input to the network. {Path(wrong[0]['file']).name} (truth: 9): ")
    assert Path(about["mistakes"]).parent.parent == Path("outputs/predict")


def test_what_is_not_measured_is_said(command: Command, mlp: Path) -> None:
    photographs("photos", 4)
    save("photos/cat/1.png", written([7]))
    Path("photos/7").mkdir(exist_ok=True)
    Path("photos/7/broken.png").write_bytes(b"seven")
    result = command("predict", str(mlp), "photos")
    assert result.status == 1
    assert "not measured: cat/ is named after no class of the model" in result.out
    assert "not measured: 1 that could not be read" in result.out
    assert "of 4 pictures)" in result.out


@pytest.mark.parametrize(
    ("folder", "truth"),
    [("7", "7"), ("6666", "6666"), ("12 34", "12 34"), ("cat", None), (None, None), ("", None)],
)
def test_the_name_of_a_folder_is_an_answer(folder: str | None, truth: str | None) -> None:
    assert inputs.truth(folder, tuple("0123456789")) == truth


def test_names_of_classes_may_differ_in_case_and_punctuation() -> None:
    assert inputs.truth("t-shirt top", ("T-shirt/top", "Bag")) == "T-shirt/top"
    assert inputs.truth("bagbag", ("T-shirt/top", "Bag")) is None


def test_a_folder_is_read_to_the_bottom_without_what_systems_leave_there() -> None:
    for path in ("a/train/7/1.png", "a/train/10/2.png", "a/__MACOSX/7/3.png", "a/.hidden/7/4.png", "a/5.png"):
        save(path, written([1]))
    found = [(one.file, one.folder) for one in inputs.expand(["a"])]
    assert found == [("a/5.png", None), ("a/train/7/1.png", "7"), ("a/train/10/2.png", "10")]


# several digits


def test_several_digits_are_a_string_with_a_probability_each(command: Command, mlp: Path) -> None:
    save("many.png", written([4, 0, 7, 1]))
    (row,) = json.loads(command("predict", str(mlp), "many.png", "--json").out)["predictions"]
    assert [digit["class"] for digit in row["digits"]] == list(row["class"])
    assert len(row["digits"]) == 4
    assert row["probability"] == min(digit["probability"] for digit in row["digits"])
    assert row["probabilities"] is None
    left = [digit["box"]["left"] for digit in row["digits"]]
    assert left == sorted(left)
    for digit in row["digits"]:
        assert digit["line"] == 1
        assert sum(digit["probabilities"].values()) == pytest.approx(1)
        assert digit["box"]["top"] + digit["box"]["height"] <= row["height"]
    out = command("predict", str(mlp), "many.png").out
    assert row["class"] in out
    assert " ".join(f"{digit['probability']:.4f}" for digit in row["digits"]) in out
    assert "dark on light, 4 digits" in out


def test_lines_are_separated_by_spaces(command: Command, mlp: Path) -> None:
    save("sheet.png", np.concatenate([written([4, 0, 7]), written([1, 1, 0])]))
    (row,) = json.loads(command("predict", str(mlp), "sheet.png", "--json").out)["predictions"]
    assert [len(line) for line in row["class"].split()] == [3, 3]
    assert [digit["line"] for digit in row["digits"]] == [1, 1, 1, 2, 2, 2]


def test_one_digit_can_be_asked_for_and_is_where_the_folder_says_so(command: Command, mlp: Path) -> None:
    save("many.png", written([4, 0]))
    save("photos/4/many.png", written([4, 0]))
    for arguments in (["many.png", "--digits", "one"], ["photos"]):
        (row,) = json.loads(command("predict", str(mlp), *arguments, "--json").out)["predictions"]
        assert len(row["digits"]) == 1
    save("strings/40/many.png", written([4, 0]))
    about = json.loads(command("predict", str(mlp), "strings", "--json").out)
    assert len(about["predictions"][0]["digits"]) == 2
    assert about["accuracy"]["n"] == 1


# confidence


def test_low_confidence_is_marked() -> None:
    prepared = preprocessing.Prepared(np.zeros((28, 28), np.uint8), "unchanged", (0, 0, 28, 28))

    def one(*most: float) -> results.Predicted:
        digits = [results.Digit(np.array([p, 1 - p]), prepared) for p in most]
        return results.Predicted("a.png", tuple(digits), (28, 28), prepared.image)

    assert one(0.99).note == ""
    assert one(0.6).note == "low confidence"
    assert one(0.9, 0.69, 0.7).note == "low confidence: digit 2"
    assert one(0.6, 0.9, 0.55).note == "low confidence: digits 1, 3"
    table = results.table([one(0.99), one(0.6)], ("a", "b")).splitlines()
    assert table[0].endswith("note")
    assert table[2].endswith("low confidence")
    assert "note" not in results.table([one(0.99)], ("a", "b"))
    columns, rows = results.csv_rows([one(0.6)], ("a", "b"))
    assert dict(zip(columns, rows[0], strict=True)) == {
        "file": "a.png", "class": "a", "probability": 0.6, "low_confidence": "true",
    }  # fmt: skip


# pages


def test_more_than_thirty_pictures_are_drawn_on_pages(command: Command, mlp: Path) -> None:
    for i in range(31):
        save(f"many/{i}.png", written([i % 10]))
    result = command("predict", str(mlp), "many", "--show", "seen.png")
    assert result.status == 0, result.err
    assert result.err.splitlines() == ["picture: seen.png", "picture: seen-2.png"]
    first, second = (Path(f"seen{page}.txt").read_text() for page in ("", "-2"))
    assert first.startswith("30 pictures as input to the network. 0.png: ")
    assert second.startswith("1 picture as input to the network. 30.png: ")


# tables of images


def kaggle(path: str, images: np.ndarray, label: list[int] | None = None) -> None:
    header = ",".join([*(["label"] if label else []), *(f"pixel{i}" for i in range(784))])
    rows = images.reshape(len(images), -1).tolist()
    lines = [",".join(map(str, [*([label[i]] if label else []), *row])) for i, row in enumerate(rows)]
    Path(path).write_text("\n".join([header, *lines]) + "\n")


def test_kaggles_test_csv_becomes_a_submission(command: Command, mlp: Path) -> None:
    images = Mnist5k().read().test.images[::50]
    kaggle("test.csv", images)
    result = command("predict", str(mlp), "test.csv", "--to", "submission.csv")
    assert result.out == "20 predictions in submission.csv\n"
    lines = Path("submission.csv").read_text().splitlines()
    assert lines[0] == "ImageId,Label"
    assert [line.split(",")[0] for line in lines[1:]] == [str(i) for i in range(1, 21)]
    from mnistlab.models import model_file

    network, _ = model_file.load_model(mlp / "model.safetensors")
    expected = network.predict(images).argmax(axis=1)
    same = np.array([int(line.split(",")[1]) for line in lines[1:]]) == expected
    assert same.all()
    assert command("predict", str(mlp), "test.csv").out.splitlines() == lines  # without --to
    np.savez("test.npz", x_test=images)
    assert command("predict", str(mlp), "test.npz").out.splitlines() == lines
    about = json.loads(command("predict", str(mlp), "test.csv", "--json").out)
    assert [row["class"] for row in about["predictions"]] == [line.split(",")[1] for line in lines[1:]]
    assert about["predictions"][0]["file"] == "test.csv:1"


def test_a_table_with_labels_is_measured(command: Command, mlp: Path) -> None:
    test = Mnist5k().read().test
    kaggle("own.csv", test.images[::50], test.labels[::50].tolist())
    result = command("predict", str(mlp), "own.csv", "--to", "x.csv")
    assert result.out.startswith("accuracy ")
    assert "of 20 pictures)\n20 predictions in x.csv" in result.out


def test_an_empty_row_is_predicted_too(command: Command, mlp: Path) -> None:
    np.save("a.npy", np.zeros((2, 28, 28), np.uint8))
    assert len(command("predict", str(mlp), "a.npy").out.splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.csv", "b.png"], "a.csv: a table of images is predicted by itself; name nothing else"),
        (["gone.csv"], "gone.csv: no such file"),
        (["a.csv"], "a.csv: 2 columns of pixels form no square, and the model takes 28 x 28 pixels"),
        (["b.png", "--to", "x.txt"], "--to x.txt: the predictions are written as CSV, so its name must end in .csv"),
    ],
)
def test_a_wrong_request_is_one_line(command: Command, mlp: Path, arguments: list[str], message: str) -> None:
    Path("a.csv").write_text("pixel0,pixel1\n1,2\n")
    save("b.png", written([1]))
    result = command("predict", str(mlp), *arguments)
    assert (result.status, result.err) == (2, f"mnistlab predict: error: {message}\n")


def test_the_predictions_of_pictures_are_written_as_csv(command: Command, mlp: Path) -> None:
    photographs("photos", 3)
    result = command("predict", str(mlp), "photos", "--to", "answers.csv")
    assert "predictions: answers.csv" in result.err
    lines = Path("answers.csv").read_text().splitlines()
    assert lines[0] == "file,truth,class,probability,low_confidence"
    assert len(lines) == 4


# evaluate


def test_evaluate_prepares_photographs_as_predict_does(command: Command, mlp: Path) -> None:
    photographs("photos", 30)
    about = json.loads(command("predict", str(mlp), "photos", "--json").out)
    folder = ["data=folder", "data.path=photos", "--split", "all", "report.plots=none"]
    result = command("evaluate", str(mlp), *folder, "--as", "digit", "--json")
    assert result.status == 0, result.err
    scores = json.loads(result.out)["metrics"]["all"]
    assert (scores["n"], scores["correct"]) == (about["accuracy"]["n"], about["accuracy"]["correct"])
    result = command("evaluate", str(mlp), *folder)  # the default, which is said
    assert "the pictures are prepared as in `mnistlab predict`; --as raw only resizes them" in result.err + result.out
    assert f"{100 * scores['accuracy']:.2f} %" in result.out
    resized = command("evaluate", str(mlp), *folder, "data.size=28", "--as", "raw", "--json")
    assert json.loads(resized.out)["metrics"]["all"]["correct"] < scores["correct"]


def test_images_of_mnist_in_a_folder_are_evaluated_as_they_are(command: Command, mlp: Path) -> None:
    test = Mnist5k().read().test
    for k in range(0, 1000, 50):
        save(f"images/{test.labels[k]}/{k}.png", test.images[k])
    result = command("evaluate", str(mlp), "data=folder", "data.path=images", "--split", "all", "report.plots=none")
    assert result.status == 0, result.err
    assert "are prepared" not in result.out + result.err


def test_a_picture_without_ink_is_scored_and_one_that_cannot_be_read_is_named(command: Command, mlp: Path) -> None:
    photographs("photos", 4)
    save("photos/0/blank.png", np.full((50, 50), 240, np.uint8))
    folder = ["data=folder", "data.path=photos", "--split", "all", "report.plots=none"]
    result = command("evaluate", str(mlp), *folder)
    assert result.status == 0, result.err
    assert "1 pictures have no ink and are only resized, e.g. photos/0/blank.png" in result.out + result.err
    Path("photos/0/broken.png").write_bytes(b"seven")
    result = command("evaluate", str(mlp), *folder)
    assert result.status == 2
    assert "photos/0/broken.png: cannot be read as a picture" in result.err


def test_only_pictures_can_be_prepared(command: Command, mlp: Path) -> None:
    result = command("evaluate", str(mlp), "--as", "digit")
    assert result.status == 2
    assert "--as digit: only the pictures of data=folder can be prepared; leave it out" in result.err
