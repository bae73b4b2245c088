"""`mnistlab explore`: principal components against other ways to them, decision regions, files, and wrong requests."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.tables import thinned

from mnistlab.analysis.explore.decision_grid import MESH, mesh_around, regions_of
from mnistlab.analysis.explore.principal_components import principal_components
from mnistlab.system.errors import RequestError

Command = Callable[..., Any]

PCA = {"components.npz", "environment.json", "points.csv", "summary.json", "variance.csv"}
PCA_PICTURES = {"components", "cumulative", "scatter_2d", "scatter_3d", "scree"}
BOUNDARY = {"accuracy.csv", "components.npz", "environment.json", "points.csv", "summary.json"}
SMALL = ["data=digits", "report.plots=none"]


@pytest.fixture
def explore(command: Command) -> Callable[..., Path]:
    """``explore("pca", "seed=1")`` explores the digits without pictures and returns the directory of the results."""

    def run(action: str, *arguments: str) -> Path:
        result = command("explore", action, *SMALL, *arguments)
        assert result.status == 0, result.err
        return Path(result.out.split("explore directory")[-1].strip())

    return run


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def column(path: Path, name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows_of(path)])


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def pictures(names: set[str]) -> set[str]:
    return {f"plots/{name}{suffix}" for name in names for suffix in (".png", ".txt")}


def some_images(n: int, height: int = 3, width: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, height, width), dtype=np.uint8)


def two_blobs(path: str = "blobs.npz", each: int = 40) -> str:
    """Write images of 1 x 3 pixels: a class that is bright at the left and one that is bright at the right."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 20, (2 * each, 1, 3))
    labels = np.arange(2 * each) % 2
    noise[labels == 0, :, 0] += 200
    noise[labels == 1, :, 2] += 200
    np.savez(path, x_train=noise.astype(np.uint8), y_train=labels)
    return path


BLOBS = ["data=npz", "data.path=blobs.npz", "data.classes=2", "data.class_names=[left,right]", "report.plots=none"]


# ---- principal components


def test_the_components_of_three_images_by_hand() -> None:
    # centred: (-2, -1) (0, 0) (2, 1), all on the line along (2, 1) / sqrt 5; 1/(n-1) sum |x - m|^2 = (5 + 0 + 5) / 2
    found = principal_components(np.array([[[1, 1]], [[3, 2]], [[5, 3]]], np.uint8))
    np.testing.assert_allclose(found.mean, [3, 2])
    np.testing.assert_allclose(found.variances, [5, 0], atol=1e-12)
    np.testing.assert_allclose(found.axes[0], np.array([2, 1]) / np.sqrt(5))
    np.testing.assert_allclose(found.shares, [1, 0], atol=1e-12)
    scores = found.project(np.array([[[5, 3]], [[3, 2]]], np.uint8), 1, scale=10.0)
    np.testing.assert_allclose(scores, [[10 * np.sqrt(5)], [0]], atol=1e-12)


@pytest.mark.parametrize("n", [8, 12, 13, 5000])  # fewer images than pixels, as many, one more, more than a chunk
def test_components_are_the_singular_vectors_of_the_centred_images(n: int) -> None:
    images = some_images(n)
    found = principal_components(images)
    rows = images.reshape(n, -1).astype(float)
    _, singular, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    count = min(n - 1, 12)
    assert len(found.variances) == len(found.axes) == count
    np.testing.assert_allclose(found.variances, singular[:count] ** 2 / (n - 1))
    np.testing.assert_allclose(np.abs(np.sum(found.axes * axes[:count], axis=1)), 1)  # the same up to the sign
    assert (found.axes[np.arange(count), np.abs(found.axes).argmax(axis=1)] > 0).all()
    np.testing.assert_allclose(found.shares.sum(), 1)


def test_scikit_learn_finds_the_same() -> None:
    from sklearn.decomposition import PCA

    images = some_images(300)
    found, other = principal_components(images), PCA(svd_solver="full").fit(images.reshape(300, -1) / 255)
    np.testing.assert_allclose(found.shares, other.explained_variance_ratio_)
    np.testing.assert_allclose(found.variances / 255**2, other.explained_variance_)
    scores = found.project(images, 3, 1 / 255)
    np.testing.assert_allclose(np.abs(scores), np.abs(other.transform(images.reshape(300, -1) / 255)[:, :3]))


def test_the_number_needed_is_the_first_that_reaches_the_share() -> None:
    # pixels that vary alone, by variances 4, 2, 1, 1 (times a constant): 50, 75, 87.5, 100 %
    steps = np.array([2, np.sqrt(2), 1, 1]) * 50
    images = np.concatenate([100 + np.diag(steps), 100 - np.diag(steps)])[:, None, :]
    found = principal_components(images)
    np.testing.assert_allclose(found.cumulative, [0.5, 0.75, 0.875, 1.0])
    assert [found.needed(share) for share in (0.4, 0.5, 0.51, 0.875, 0.99)] == [1, 1, 2, 3, 4]


def test_what_has_no_components_is_refused() -> None:
    with pytest.raises(RequestError, match="1 image; components need two or more"):
        principal_components(some_images(1))
    with pytest.raises(RequestError, match="all 3 images are identical, so there is no variance to explain"):
        principal_components(np.full((3, 2, 2), 7, np.uint8))
    with pytest.raises(RequestError, match=r"65 x 64 pixels: above 4,096 pixels.* set data.limit=4096"):
        principal_components(np.zeros((4097, 65, 64), np.uint8))


# ---- pca


def test_pca_leaves_exactly_these_files(command: Command) -> None:
    result = command("explore", "pca", "data=digits", "--to", "found")
    assert result.status == 0, result.err
    assert files_of(Path("found")) == PCA | pictures(PCA_PICTURES)
    assert result.out.splitlines()[0] == "data    digits, 8 x 8 pixels, 10 classes: 1,438 training images"
    assert result.out.splitlines()[-1] == "explore directory    found"


def test_the_numbers_of_pca(explore: Callable[..., Path]) -> None:
    from sklearn.decomposition import PCA

    from mnistlab.data.loading import load
    from mnistlab.data.sources.bundled import Digits

    data = load(Digits(validation=0), np.random.default_rng(0))
    rows = data.train.images.reshape(-1, 64) / 255
    other = PCA(svd_solver="full").fit(rows)
    folder = explore("pca", "--points", "50")
    np.testing.assert_allclose(column(folder / "variance.csv", "variance"), other.explained_variance_, atol=1e-12)
    np.testing.assert_allclose(column(folder / "variance.csv", "share"), other.explained_variance_ratio_, atol=1e-12)
    about = json.loads((folder / "summary.json").read_text())
    total = np.cumsum(other.explained_variance_ratio_)
    assert about["explained"] == pytest.approx({n: total[int(n) - 1] for n in ("2", "3", "10", "50")})
    assert about["components_needed"]["0.9"] == np.searchsorted(total, 0.9) + 1
    saved, points = arrays_of(folder / "components.npz"), rows_of(folder / "points.csv")
    assert len(points) == 50
    for point in points:
        row = int(point["row"])
        assert point["class"] == data.class_names[data.train.labels[row]]
        x = data.train.images[row].reshape(-1)
        scores = saved["scale"] * (x - saved["mean"]) @ saved["axes"][:3].T
        np.testing.assert_allclose(scores, [float(point[f"component_{i}"]) for i in (1, 2, 3)], atol=1e-5)
    zeros = data.train.labels == 0
    scores_of_zeros = saved["scale"] * (data.train.images[zeros].reshape(-1, 64) - saved["mean"]) @ saved["axes"][:3].T
    np.testing.assert_allclose(saved["centres"][0], scores_of_zeros.mean(axis=0), atol=1e-5)


@pytest.mark.slow
def test_full_mnist_has_the_published_shares(command: Command, mnist: Path) -> None:
    # Of the training set, 60,000 images; all 70,000 give .09746 and .07155. The scale of pixels changes nothing.
    result = command("explore", "pca", "data=mnist", "report.plots=none", "--to", "found")
    assert result.status == 0, result.err
    assert "60,000 training images" in result.out
    shares = column(Path("found/variance.csv"), "share")
    np.testing.assert_allclose(shares[:2], [0.09704664, 0.07095924], atol=1e-8)
    assert shares[:3].sum() == pytest.approx(0.23, abs=0.005)
    assert shares[:50].sum() == pytest.approx(0.82, abs=0.005)
    assert "2 components         16.80 % of the variance  (9.704664 + 7.095924)" in result.out


@pytest.mark.parametrize(
    ("arguments", "images"),
    [
        ([], "1,438 training images"),
        (["data.validation=0.5"], "719 training images"),
        (["--split", "test"], "359 test images"),
        (["--split=all"], "1,797 images, training and test sets together"),
        (["data.limit=100"], "100 training images"),
    ],
)
def test_the_images_that_are_explored(command: Command, arguments: list[str], images: str) -> None:
    result = command("explore", "pca", *SMALL, *arguments)
    assert result.out.splitlines()[0].endswith(f": {images}")
    folder = Path(result.out.split("explore directory")[-1].strip())
    assert json.loads((folder / "summary.json").read_text())["images"] == int(images.split()[0].replace(",", ""))


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["pca"], ["boundary", "model=knn,mlp_1hidden", "trainer.epochs=2"]])
def test_the_same_seed_gives_the_same_bytes_and_another_other_points(
    explore: Callable[..., Path], arguments: list[str]
) -> None:
    one, two, other = (explore(*arguments, "--points=80", seed) for seed in ("seed=3", "seed=3", "seed=4"))
    for name in files_of(one) - {"environment.json"}:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    assert column(one / "points.csv", "row").tolist() != column(other / "points.csv", "row").tolist()


def test_points_are_drawn_from_each_class_in_proportion(explore: Callable[..., Path]) -> None:
    drawn = [row["class"] for row in rows_of(explore("pca", "--points", "144") / "points.csv")]
    assert {drawn.count(name) for name in set(drawn)} <= {14, 15}
    assert len(rows_of(explore("pca", "data.limit=200") / "points.csv")) == 200  # as many as there are


def test_images_of_two_pixels_have_no_third_component(command: Command) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 2), dtype=np.uint8)
    np.savez("two.npz", x_train=images, y_train=np.arange(40) % 2)
    result = command("explore", "pca", "data=npz", "data.path=two.npz", "data.classes=2", "--to", "found")
    assert result.status == 0, result.err
    assert files_of(Path("found")) == PCA | pictures(PCA_PICTURES - {"scatter_3d"})


# ---- boundary


def test_boundary_leaves_exactly_these_files(command: Command) -> None:
    line = ["explore", "boundary", "model=svm_rbf,softmax", "data=digits", "--points=100", "--to=found"]
    result = command(*line)
    assert result.status == 0, result.err
    regions = {"boundary_svm_rbf.npz", "boundary_softmax.npz"}
    assert files_of(Path("found")) == BOUNDARY | regions | pictures({"boundary"})
    first, *models, last = result.out.splitlines()
    assert first == "data    digits, 8 x 8 pixels, 10 classes: 100 of 1,438 training images"
    assert [line.split()[0] for line in models] == ["svm_rbf", "softmax"]
    assert last == "explore directory    found"


@pytest.mark.slow
@pytest.mark.parametrize("model", ["svm_linear", "mlp_1hidden", "knn"])
def test_separable_classes_are_separated_everywhere(command: Command, model: str) -> None:
    two_blobs()
    result = command("explore", "boundary", f"model={model}", *BLOBS, "trainer.batch_size=16", "--to=found")
    assert result.status == 0, result.err
    assert rows_of(Path("found/accuracy.csv")) == [{"model": model, "points": "64", "training_accuracy": "1.0"}]
    saved = arrays_of(Path(f"found/boundary_{model}.npz"))
    assert saved["classes"].shape == saved["probabilities"].shape == (MESH, MESH)
    assert set(np.unique(saved["classes"])) == {0, 1}
    assert (saved["probabilities"] >= 0.5).all()
    for row in rows_of(Path("found/points.csv")):  # the mesh place next to a point is of the point's class
        x, y = float(row["component_1"]), float(row["component_2"])
        at = np.abs(saved["y"] - y).argmin(), np.abs(saved["x"] - x).argmin()
        assert ["left", "right"][saved["classes"][at]] == row["class"] == row[f"predicted_{model}"]
    assert sorted(saved["named"][:, 0]) == [0, 1]
    for c, x, y in saved["named"]:  # a name stands inside its region
        assert saved["classes"][np.abs(saved["y"] - y).argmin(), np.abs(saved["x"] - x).argmin()] == c


def test_a_support_vector_machine_is_fitted_on_the_scores_as_they_are(explore: Callable[..., Path]) -> None:
    from sklearn.svm import SVC

    folder = explore("boundary", "model=svm_poly", "model.gamma=auto", "model.degree=2", "--points=300")
    points = rows_of(folder / "points.csv")
    x = np.array([[float(row["component_1"]), float(row["component_2"])] for row in points])
    machine = SVC(kernel="poly", degree=2, gamma="auto").fit(x, [row["class"] for row in points])
    best = machine.classes_[machine.decision_function(x).argmax(axis=1)]
    assert [row["predicted_svm_poly"] for row in points] == best.tolist()
    right = np.mean([row["class"] == guess for row, guess in zip(points, best, strict=True)])
    assert column(folder / "accuracy.csv", "training_accuracy") == [right]


def test_the_components_are_those_of_the_points(explore: Callable[..., Path]) -> None:
    from mnistlab.data.loading import load
    from mnistlab.data.sources.bundled import Digits

    folder = explore("boundary", "model=knn", "--points=300")
    rows = column(folder / "points.csv", "row").astype(int)
    images = load(Digits(validation=0), np.random.default_rng(0)).train.images[rows]
    found = principal_components(images)
    np.testing.assert_allclose(column(folder / "points.csv", "component_2"), found.project(images, 2, 1 / 255)[:, 1])
    assert json.loads((folder / "summary.json").read_text())["shares"] == pytest.approx(found.shares[:2].tolist())


@pytest.mark.slow
def test_a_network_learns_in_default_settings(explore: Callable[..., Path]) -> None:
    folder = explore("boundary", "model=mlp_2hidden,logistic")
    network, logistic = column(folder / "accuracy.csv", "training_accuracy")
    assert network > 0.55
    assert network > logistic - 0.05


@pytest.mark.slow
def test_a_network_is_trained_as_its_trainer_says(explore: Callable[..., Path]) -> None:
    short, long = (
        column(explore("boundary", "model=softmax", f"trainer.epochs={n}") / "accuracy.csv", "training_accuracy")
        for n in (1, 100)
    )
    default = column(explore("boundary", "model=softmax") / "accuracy.csv", "training_accuracy")
    assert short < long == default


def test_early_stopping_watches_held_out_points(explore: Callable[..., Path]) -> None:
    stopping = ["trainer=early_stopping", "trainer.monitor=accuracy", "data.validation=0.2"]
    (row,) = rows_of(explore("boundary", "model=mlp_1hidden", *stopping) / "accuracy.csv")
    assert row["validation_points"] == "288"
    assert 0.3 < float(row["validation_accuracy"]) < 1


def test_a_limit_that_is_set_is_the_number_of_points(explore: Callable[..., Path]) -> None:
    assert len(rows_of(explore("boundary", "model=knn", "data.limit=1200") / "points.csv")) == 1200
    assert len(rows_of(explore("boundary", "model=knn") / "points.csv")) == 1000


def test_a_mesh_holds_all_points_and_names_stand_deep_inside() -> None:
    x, y = mesh_around(np.array([[0.0, -1.0], [10.0, 3.0]]))
    assert (x[0], x[-1]) == (-0.5, 10.5)  # a twentieth of the extent on either side
    np.testing.assert_allclose((y[0], y[-1]), (-1.2, 3.2))

    def predict(points: np.ndarray) -> np.ndarray:  # class 1 right of x = 5, class 2 in a corner too small for a name
        right = points[:, 0] > 5
        corner = (points[:, 0] < -0.3) & (points[:, 1] < -1.1)
        return np.eye(3)[np.where(corner, 2, right.astype(int))]

    found = regions_of(predict, x, y)
    assert set(np.unique(found.classes)) == {0, 1, 2}
    classes, across, up = found.named.T
    assert classes.tolist() == [0, 1]
    assert 1 < across[0] < 4
    assert 6 < across[1] < 9
    assert ((up > 0) & (up < 2)).all()


def test_every_region_of_a_class_has_its_name() -> None:
    x, y = mesh_around(np.array([[0.0, 0.0], [9.0, 9.0]]))
    found = regions_of(lambda points: np.eye(2)[((points[:, 0] > 3) & (points[:, 0] < 6)).astype(int)], x, y)
    assert sorted(found.named[:, 0]) == [0, 0, 1]


# ---- the command line


def test_without_arguments_comes_the_help(command: Command) -> None:
    assert command("explore").out == command("explore", "--help").out
    assert command("explore").status == 2


def test_quiet_prints_the_result_and_verbose_what_is_written(command: Command) -> None:
    quiet = command("explore", "boundary", "model=knn", *SMALL, "-q").out.splitlines()
    assert [line.split()[0] for line in quiet] == ["knn", "explore"]
    assert "data from" in command("explore", "pca", *SMALL, "--verbose").out


WRONG = [
    (["pc"], "pc: choose one of pca, boundary (did you mean pca?)"),
    (["data=mnist"], "data=mnist: choose one of pca, boundary"),
    (["-q"], "missing argument pca|boundary"),
    (["pca", "--pints", "3"], "--pints: no such option (did you mean --points?)"),
    (["pca", "--points"], "option '--points' requires an argument"),
    (["pca", "--points=x"], "--points x: must be a whole number of 2 or more"),
    (["pca", "--points=1"], "--points 1: must be a whole number of 2 or more"),
    (["pca", "--points=5"], "--points 5: there are 10 classes, and each needs a point; use more"),
    (["pca", "--points=5000"], "--points 5000: there are only 1,438 images; use fewer"),
    (["pca", "--split=tests"], "--split tests: choose one of train, test, all (did you mean test?)"),
    (["pca", "optimizer=adam"], "optimizer=adam: pca accepts only data=NAME, data.KEY=..., seed=N,"),
    (["pca", "model=svm_rbf"], "model=svm_rbf: pca accepts only data=NAME"),
    (["pca", "data=mnst"], "data=mnst: no such option"),
    (["pca", "data.limit=9999"], "data.limit=9999: the training pool has only 1,438 rows"),
    (["boundary"], "no model is named; name one or more, for example model=svm_rbf,mlp_2hidden"),
    (["boundary", "model=svm_rfb"], "(did you mean svm_rbf?)"),
    (["boundary", "model="], "model=: no such option"),
    (["boundary", "model=knn,svm_rbf,knn"], "model=knn,svm_rbf,knn: knn is named twice; name each model once"),
    (["boundary", "model=knn", "model=softmax"], "model=softmax: model is set twice; name several models"),
    (["boundary", "model=knn,lenet5"], "model=lenet5: two components are not an image, which its layer conv needs;"),
    (
        ["boundary", "model=softmax", "augment=shift"],
        "augment: Shift changes images, and two components are not an image",
    ),
    (["boundary", "model=knn", "--split=all"], "--split: this option is for pca; boundary fits its models on the"),
    (
        ["boundary", "model=knn", "hydra.run.dir=x"],
        "hydra.run.dir=x: Hydra's own keys cannot be set here; use --to DIR",
    ),
    (["boundary", "model=svm_rbf,knn", "model.C=1"], "model.C: unknown key; model=knn has"),
    (["boundary", "model=svm_rbf", "model.pca=5"], "model.pca=5: 1,000 images of 2 pixels have at most 2 components"),
    (["boundary", "model=softmax", "--points=20"], "trainer.batch_size=64: the training set has only 20 images"),
    (["boundary", "model=softmax", "trainer=early_stopping"], "trainer.patience=5: there is no validation set"),
]


@pytest.mark.parametrize(("arguments", "message"), thinned(WRONG, 3), ids=lambda value: " ".join(value)[:50])
def test_a_wrong_request_is_one_line_and_leaves_nothing(command: Command, arguments: list[str], message: str) -> None:
    digits = [] if any(word.startswith("data=") for word in arguments) or len(arguments) < 2 else SMALL
    if "--pints" in arguments or arguments[1:2] == ["--points"]:
        digits = []
    result = command("explore", *arguments, *digits)
    assert result.status == 2
    assert result.err.startswith("mnistlab explore: error: ")
    assert result.err.count("\n") == 1
    assert message in result.err
    assert not list(Path().iterdir())


def test_ten_models_are_too_many_for_a_picture(command: Command) -> None:
    from mnistlab.config import options

    names = ",".join(options.option_names("model")[:10])
    assert "at most 9 models fit into one picture; name fewer" in command("explore", "boundary", f"model={names}").err


def test_a_result_is_never_overwritten(command: Command, explore: Callable[..., Path]) -> None:
    explore("pca", "--to=found")
    before = {name: (Path("found") / name).read_bytes() for name in files_of(Path("found"))}
    result = command("explore", "boundary", "model=knn", *SMALL, "--to=found")
    assert result.status == 2
    assert "--to found: already contains files; name a directory that is new or empty" in result.err
    assert {name: (Path("found") / name).read_bytes() for name in files_of(Path("found"))} == before
    Path("file").write_text("")
    assert "--to file: a file is in the way" in command("explore", "pca", *SMALL, "--to=file").err
    assert "--to file/x: Not a directory" in command("explore", "pca", *SMALL, "--to=file/x").err


def test_images_without_variance_are_refused(command: Command) -> None:
    np.savez("grey.npz", x_train=np.full((20, 4, 4), 9, np.uint8), y_train=np.arange(20) % 2)
    result = command("explore", "pca", "data=npz", "data.path=grey.npz", "data.classes=2")
    assert result.status == 2
    assert "data=npz: all 16 images are identical, so there is no variance to explain" in result.err


def test_one_pixel_is_no_plane(command: Command) -> None:
    np.savez("dot.npz", x_train=np.arange(20, dtype=np.uint8).reshape(20, 1, 1), y_train=np.arange(20) % 2)
    dots = ["data=npz", "data.path=dot.npz", "data.classes=2"]
    result = command("explore", "boundary", "model=knn", *dots)
    assert "data=npz: the images have only one component, but boundary needs two" in result.err
    assert command("explore", "pca", *dots, "--to=found").status == 0
    assert files_of(Path("found")) == PCA | pictures(PCA_PICTURES - {"scatter_2d", "scatter_3d"})


def test_a_network_that_diverges_is_a_failed_run(command: Command) -> None:
    result = command("explore", "boundary", "model=mlp_1hidden", *SMALL, "optimizer.lr=1e30")
    assert result.status == 1
    assert "the loss is no longer finite" in result.err
    assert not list(Path().glob("outputs/*"))
